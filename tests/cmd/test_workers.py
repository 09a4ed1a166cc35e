"""Many processes behind one port: those that die are replaced, and all end together."""

from __future__ import annotations

import os
import signal
import socket
import time
from types import SimpleNamespace

import pytest

from gopark._cmd._workers import _ofpython
from gopark.http import _parser
from harness import start_python

pytestmark = pytest.mark.skipif(
    _parser.h11 is None and _parser.httptools is None, reason="neither httptools nor h11"
)

APP = """
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("ready", flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.fixture
def served(tmp_path):
    (tmp_path / "worked_app.py").write_text(APP)
    children = []

    def served(*options):
        args = ["-m", "gopark", "serve", "worked_app:app", "--app-dir", str(tmp_path), *options]
        children.append(start_python(args))
        return children[-1]

    yield served
    for child in children:
        child.kill()
        child.end()


def asked(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.connect(address)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while data := sock.recv(65536):
            said += data
    return int(said.rpartition(b"\r\n\r\n")[2])


def until(fn):
    """For what the system shares out as it likes."""
    end = time.monotonic() + 120
    while not fn():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_they_share_a_port_and_are_replaced(served, port):
    child = served("--port", str(port), "--workers", "2")
    child.expect("ready")
    child.expect("ready")
    seen = set()
    until(lambda: seen.add(asked(("127.0.0.1", port))) or len(seen) == 2)
    victim = seen.pop()
    os.kill(victim, signal.SIGKILL)
    child.expect("ready")
    again = set()

    def other():
        try:
            again.add(asked(("127.0.0.1", port)))
        except (ConnectionError, ValueError):
            pass  # the system had given it to the one that died
        return len(again) == 2

    until(other)
    assert victim not in again
    os.kill(child.pid, signal.SIGTERM)
    result = child.end()
    child.kill = child.end = lambda: None
    assert result.status == 0
    assert f"process {victim} has ended (-9)" in result.stderr
    with pytest.raises(ConnectionRefusedError):
        asked(("127.0.0.1", port))


def test_a_unix_socket_and_new_processes_in_the_place_of_the_old(served, tmp_path):
    path = str(tmp_path / "s")
    child = served("--uds", path, "--workers", "1")
    child.expect("ready")
    before = asked(path)
    os.kill(child.pid, signal.SIGHUP)
    child.expect("ready")
    until(lambda: asked(path) != before)
    os.kill(child.pid, signal.SIGTERM)
    result = child.end()
    child.kill = child.end = lambda: None
    assert result.status == 0
    assert not os.path.exists(path)


def test_a_worker_that_has_had_its_requests_is_replaced(served, tmp_path):
    path = str(tmp_path / "s")
    child = served("--uds", path, "--workers", "1", "--limit-max-requests", "1")
    child.expect("ready")
    first = asked(path)
    child.expect("ready")
    assert asked(path) != first
    os.kill(child.pid, signal.SIGTERM)
    result = child.end()
    child.kill = child.end = lambda: None
    assert result.status == 0
    assert f"INFO process {first} has ended (0), another takes its place" in result.stderr


def test_a_source_that_changes_is_loaded_anew(served, tmp_path):
    pytest.importorskip("watchfiles")
    path, source = str(tmp_path / "s"), tmp_path / "worked_app.py"
    child = served("--uds", path, "--reload")
    child.expect("ready")
    before = asked(path)
    assert before > 10

    def changed():  # who watches may have begun a moment later
        source.write_text(APP.replace('b"%d" % os.getpid()', 'b"7"') + f"# {time.time_ns()}\n")
        time.sleep(0.5)
        return asked(path) == 7

    until(changed)
    os.kill(child.pid, signal.SIGTERM)
    assert child.end().status == 0
    child.kill = child.end = lambda: None


@pytest.mark.parametrize(
    ("kind", "seen"), [("added", True), ("modified", False), ("deleted", False)]
)
def test_a_package_that_is_moved_into_place_is_a_change_of_python_files(tmp_path, kind, seen):
    """watchfiles names the folder alone: findings/watchfiles-folder-moved-in.sh."""

    def python(change, path):
        return path.endswith(".py") and "node_modules" not in path

    def asked(folder):
        return _ofpython(python, SimpleNamespace(name=kind), str(tmp_path / folder))

    for folder, name in (("pkg/sub", "a.py"), ("data", "a.txt"), ("node_modules", "a.py")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).touch()
    assert asked("pkg") is seen
    assert not asked("data")
    assert not asked("node_modules")
    assert asked("pkg/sub/a.py")
    assert not asked("not there")
