"""`gopark serve`, as a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import urllib.request

import pytest

from gopark.http import _parser
from harness import run_python, start_python
from tlsends import made

pytestmark = pytest.mark.skipif(
    _parser.h11 is None and _parser.httptools is None, reason="neither httptools nor h11"
)

APP = """
import os
gate = os.path.join(os.path.dirname(__file__), "gate")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("ready", flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("ended", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        print("slow", flush=True)
        open(gate).close()  # a pipe: until somebody opens it to write
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello " + scope["scheme"].encode()})

def make():
    return app

def old(environ, start_response):
    start_response("200 OK", [])
    return [b"hello wsgi"]

async def broken(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "served_app.py").write_text(APP)
    os.mkfifo(tmp_path / "gate")
    return tmp_path


@pytest.fixture
def served(folder):
    """`served(*options)` is a server's process, on the Unix socket `folder / "s"`."""
    children = []

    def served(*options, app="served_app:app"):
        args = ["-m", "gopark", "serve", app, "--app-dir", str(folder), *options]
        if not {"--port", "--fd"} & set(options):
            args += ["--uds", str(folder / "s")]
        child = start_python(args)
        children.append(child)
        return child

    yield served
    for child in children:
        child.kill()
        child.end()


def asked(path, target="/"):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        return answered(sock, target)


def answered(sock, target="/"):
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    said = b""
    while data := sock.recv(65536):
        said += data
    return said


def ended(child):
    """It has ended by itself; the fixture need not see to it."""
    result = child.end()
    child.kill = child.end = lambda: None
    return result


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_ends_it(served, folder, sig):
    child = served("--access-log")
    child.expect("ready")
    assert asked(folder / "s").endswith(b"hello http")
    os.kill(child.pid, sig)
    result = ended(child)
    assert result.status == 0
    assert '"GET / HTTP/1.1" 200 10 ' in result.stdout
    assert result.stdout.endswith("ended\n")
    said = result.stderr.splitlines()
    assert said[0].startswith("INFO unix:")
    assert said[0].endswith(f"(asgi, bare), process {child.pid}")
    assert said[1].startswith(f"INFO {sig.name}: no more connections, ")
    assert said[2:] == ["INFO ended"]
    assert not (folder / "s").exists()


def test_what_is_under_way_is_answered_first(served, folder):
    child = served()
    child.expect("ready")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(folder / "s"))
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        child.expect("slow")
        os.kill(child.pid, signal.SIGTERM)
        while (folder / "s").exists():
            pass
        (folder / "gate").open("w").close()
        assert b"connection: close" in slow.recv(65536)
    assert ended(child).status == 0


def test_a_second_signal_cuts_what_is_under_way(served, folder):
    child = served()
    child.expect("ready")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(folder / "s"))
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        child.expect("slow")
        os.kill(child.pid, signal.SIGTERM)
        while (folder / "s").exists():
            pass
        os.kill(child.pid, signal.SIGTERM)
        assert slow.recv(65536) == b""
        (folder / "gate").open("w").close()
    result = ended(child)
    assert "1 requests were cut: GET /slow" in result.stderr


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_go_on_until_it_has_ended_change_nothing(served, sig):
    child = served()
    child.expect("ready")
    os.kill(child.pid, sig)
    while child.running():
        os.kill(child.pid, sig)
    result = ended(child)
    assert result.status == 0
    assert "Traceback" not in result.stderr


def test_an_application_is_made_by_a_factory(served, folder):
    served("--factory", app="served_app:make").expect("ready")
    assert asked(folder / "s").endswith(b"hello http")


INHERIT = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 0))
os.set_inheritable(sock.fileno(), True)
print(sock.getsockname()[1], flush=True)
args = ["-m", "gopark", "serve", "--fd", str(sock.fileno()), *sys.argv[1:]]
os.execv(sys.executable, [sys.executable, *args])
"""


def test_an_inherited_socket(folder):
    child = start_python(["-c", INHERIT, "served_app:app", "--app-dir", str(folder)])
    port = int(child.line())
    child.expect("ready")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        assert answered(sock).endswith(b"hello http")
    os.kill(child.pid, signal.SIGTERM)
    assert child.end().status == 0


ACTIVATE = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 0))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)  # it may have been that
print(sock.getsockname()[1], flush=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "gopark", "serve", *sys.argv[1:]])
"""


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_a_socket_of_systemd_is_served_without_being_named(folder, workers):
    child = start_python(["-c", ACTIVATE, "served_app:app", "--app-dir", str(folder), *workers])
    port = int(child.line())
    child.expect("ready")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        assert answered(sock).endswith(b"hello http")
    os.kill(child.pid, signal.SIGTERM)
    assert child.end().status == 0


def test_sockets_of_systemd_for_somebody_else_are_left_alone(served, folder, monkeypatch):
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    served().expect("ready")
    assert asked(folder / "s").endswith(b"hello http")


def test_it_ends_after_as_many_requests_as_it_may_have(served, folder):
    child = served("--limit-max-requests", "2")
    child.expect("ready")
    assert b"connection: close" in asked(folder / "s")
    assert asked(folder / "s").endswith(b"hello http")
    result = ended(child)
    assert result.status == 0
    assert "INFO 2 requests: the server ends" in result.stderr


def test_the_live_page_beside_it(folder):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        debug = f"127.0.0.1:{sock.getsockname()[1]}"
    args = ["-m", "gopark", "serve", "served_app:app", "--app-dir", str(folder), "--port", "0"]
    child = start_python([*args, "--debug", debug])
    try:
        child.expect("ready")
        for path in "/debug/pprof/goroutine?debug=2", "/debug/gopark/":
            with urllib.request.urlopen(f"http://{debug}{path}") as answer:
                assert b"goroutine" in answer.read()
    finally:
        os.kill(child.pid, signal.SIGTERM)
        result = child.end()
    assert result.status == 0
    assert f"INFO live page: http://{debug}/debug/gopark/" in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--debug", "0.0.0.0:0"], "public"),
        (["--debug", "127.0.0.1:6060", "--workers", "2"], "each process needs a port"),
    ],
)
def test_a_live_page_that_cannot_be(folder, options, text):
    args = ["-m", "gopark", "serve", "served_app:app", "--app-dir", str(folder), "--port", "0"]
    result = run_python([*args, *options])
    assert result.status == 1
    assert text in result.stderr.splitlines()[-1]


@pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl command is not installed")
def test_tls(served, folder):
    cert, key = made(folder, "localhost", "")
    child = served("--ssl-certfile", str(cert), "--ssl-keyfile", str(key))
    child.expect("ready")
    context = ssl.create_default_context(cafile=cert)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / "s"))
        with context.wrap_socket(sock, server_hostname="localhost") as secure:
            assert answered(secure).endswith(b"hello https")


@pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl command is not installed")
@pytest.mark.parametrize(("options", "chosen"), [([], "h2"), (["--no-http2"], "http/1.1")])
def test_tls_offers_http_2(served, folder, options, chosen):
    pytest.importorskip("h2")
    cert, key = made(folder, "localhost", "")
    child = served("--ssl-certfile", str(cert), "--ssl-keyfile", str(key), *options)
    child.expect("ready")
    context = ssl.create_default_context(cafile=cert)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / "s"))
        with context.wrap_socket(sock, server_hostname="localhost") as secure:
            assert secure.selected_alpn_protocol() == chosen


@pytest.mark.parametrize(
    ("app", "text"),
    [
        ("no_such_module:app", "no module no_such_module"),
        ("no_such_module", "write `module:app`"),
        ("served_app.py", "write `served_app:app`"),
        ("served_app:nothing", "has no 'nothing'"),
        ("served_app:gate", "cannot be called"),
        ("served_app:broken", "cannot start: no database"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(folder, app, text):
    result = run_python(
        ["-m", "gopark", "serve", app, "--app-dir", str(folder), "--uds", str(folder / "s")]
    )
    assert result.status == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("gopark serve: ")
    assert text in last


def test_an_address_that_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = str(sock.getsockname()[1])
        args = ["-m", "gopark", "serve", "served_app:app", "--app-dir", str(folder)]
        result = run_python([*args, "--port", port])
    assert result.status == 1
    text = f"gopark serve: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert text in result.stderr
