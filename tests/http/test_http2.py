"""HTTP/2 as a client sees it, by h2 step by step; by curl and httpx as their users do."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import sys
import time

import pytest

import gopark
from gopark import context, net, testing
from gopark.http import Limits, Timeouts
from httpends import answering, echo

pytest.importorskip("h2")
import h2.errors
import h2.events

from http2ends import Client, serving2

SOON = 0.05
CODES = h2.errors.ErrorCodes


async def test_an_answer_has_length_date_and_server():
    app = answering(headers=[(b"X-Mine", b"1"), (b"Connection", b"close")])
    async with serving2(app) as connect, connect() as client:
        answer = await client.get()
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-length"] == "5"
    assert answer.headers["server"] == "gopark"
    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["x-mine"] == "1"
    assert "connection" not in answer.headers


async def test_what_an_application_sees():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answering()(scope, receive, send)

    headers = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]
    async with serving2(app, root_path="/mounted") as connect, connect() as client:
        await client.get("/a%20b?c=d", headers=headers)
    scope = scopes[0]
    assert scope["http_version"] == "2"
    assert (scope["method"], scope["scheme"]) == ("GET", "http")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/mounted/a b",
        b"/a%20b",
        b"c=d",
    )
    assert scope["headers"] == [(b"host", b"test"), (b"x", b"y"), (b"cookie", b"a=1; b=2")]


async def test_requests_of_a_connection_are_answered_at_once_each_in_a_goroutine_of_its_own():
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        if scope["path"] == "/waits":
            await go_on.recv()
        await answering(scope["path"].encode())(scope, receive, send)

    async with serving2(app) as connect, connect() as client:
        waits = await client.ask("/waits")
        for number in range(10):
            assert (await client.get(f"/{number}")).body == f"/{number}".encode()
        await go_on.send(None)
        assert (await client.answer(waits)).body == b"/waits"


async def test_one_that_blocks_its_thread_holds_up_no_other_of_its_connection():
    began = gopark.Chan(1)
    order = []

    async def app(scope, receive, send):
        if scope["path"] == "/blocks":
            await began.send(None)
            while "/" not in order:
                time.sleep(0.001)
        order.append(scope["path"])
        await answering()(scope, receive, send)

    async with serving2(app) as connect, connect() as client:
        blocks = await client.ask("/blocks")
        await began.recv()
        assert (await client.get("/")).status == 200
        assert (await client.answer(blocks)).status == 200
    assert order == ["/", "/blocks"]


async def test_a_body_is_read_as_the_application_asks_for_it():
    """Who sends faster than that is held up by the stream's window, and no other stream is."""
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            await go_on.recv()
        await echo(scope, receive, send)

    body = bytes(range(256)) * 2048
    async with serving2(app) as connect, connect() as client:
        await client.until(lambda: client.had(h2.events.RemoteSettingsChanged))
        slow = await client.ask("/slow", "POST", end=False)
        window = client.h2.local_flow_control_window(slow)
        sent = await upload(client, slow, body, window)
        await testing.wait_all_parked()
        assert client.h2.local_flow_control_window(slow) == 0
        other = await client.ask("/other", "POST", end=False)
        await upload(client, other, body, len(body))
        assert (await client.answer(other)).body == b"POST /other " + body
        await go_on.send(None)
        await upload(client, slow, body[sent:], len(body))
        assert (await client.answer(slow)).body == b"POST /slow " + body


async def upload(client, number, body, most):
    """Send so much of a body, with its end where that is all; how much it was."""
    at, most = 0, min(most, len(body))
    while at < most:
        room = client.h2.local_flow_control_window(number)
        n = min(room, client.h2.max_outbound_frame_size, most - at)
        if n <= 0:
            assert await client.step()
            continue
        client.h2.send_data(number, body[at : at + n], end_stream=at + n == len(body))
        at += n
        await client.flush()
    return at


async def test_a_client_that_does_not_read_holds_up_its_answer_and_no_other():
    body = bytes(range(256)) * 2048
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for at in range(0, len(body), 65536):
            piece = body[at : at + 65536]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent.append(at)
        await send({"type": "http.response.body", "body": b""})

    async with serving2(app) as connect, connect() as client:
        number = await client.ask()
        await client.until(lambda: len(client.answers[number].body) == 65535)
        await testing.wait_all_parked()
        assert len(sent) == 0
        assert (await client.answer(number)).body == body


async def test_a_client_that_never_reads_is_left():
    failed = gopark.Chan(1)

    async def app(scope, receive, send):
        try:
            await answering(b"x" * 100_000)(scope, receive, send)
        except OSError as exc:
            await failed.send(exc)
            raise

    timeouts = Timeouts(write=SOON)
    async with serving2(app, timeouts=timeouts) as connect, connect() as client:
        answer = await client.answer(await client.ask(), reads=False)
        assert isinstance(await failed.recv(), TimeoutError)
        assert answer.reset == CODES.INTERNAL_ERROR


async def test_the_context_of_a_request_ends_when_the_client_resets_its_stream():
    ended = gopark.Chan(1)

    async def app(scope, receive, send):
        if scope["path"] != "/waits":
            return await answering()(scope, receive, send)
        ctx = context.current()
        await ctx.done().recv_ok()
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        with pytest.raises(OSError, match="left"):
            await answering()(scope, receive, send)
        await ended.send(ctx.err())

    async with serving2(app) as connect, connect() as client:
        number = await client.ask("/waits")
        client.h2.reset_stream(number, CODES.CANCEL)
        await client.flush()
        assert isinstance(await ended.recv(), context.Canceled)
        assert (await client.get()).status == 200


async def test_all_hear_of_it_when_the_client_leaves():
    ended = gopark.Chan(9)

    async def app(scope, receive, send):
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await ended.send(None)

    async with serving2(app) as connect, connect() as client:
        for _ in range(3):
            await client.ask()
        client.conn.close()
        for _ in range(3):
            await ended.recv()


async def test_at_the_end_what_is_under_way_is_answered_and_nothing_new_taken():
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        await go_on.recv_ok()
        await answering()(scope, receive, send)

    async with serving2(app) as connect, connect() as client, connect() as idle:
        await idle.until(lambda: idle.had(h2.events.RemoteSettingsChanged))
        number = await client.ask()
        await testing.wait_all_parked()
        ending = gopark.spawn(connect.server.shutdown, 60)
        await client.conn.read_full(0)
        while b"\x00\x00\x08\x07" not in (data := await client.conn.read()):
            client.h2.receive_data(data)  # until GOAWAY, after which h2 itself says nothing more
        go_on.close()
        rest = b""
        while more := await client.conn.read():
            rest += more
        assert b"hello" in rest
        assert number == 1
        await ending
        assert not await idle.step() or idle.had(h2.events.ConnectionTerminated)


async def test_what_takes_too_long_then_is_cut_and_said(caplog):
    async def app(scope, receive, send):
        await context.current().done().recv_ok()

    async with serving2(app) as connect, connect() as client:
        await client.ask("/slow")
        await testing.wait_all_parked()
        with caplog.at_level(logging.WARNING):
            await connect.server.shutdown(SOON)
        assert "1 requests were cut: GET /slow" in caplog.text


async def test_who_opens_streams_and_resets_them_is_cut_off():
    """CVE-2023-44487: the handlers go on, and so count."""
    never = gopark.Chan()

    async def app(scope, receive, send):
        await gopark.select(gopark.recv(never), gopark.recv(go_on))

    go_on = gopark.Chan()
    async with serving2(app, limits=Limits(streams=4)) as connect, connect() as client:
        await client.until(lambda: client.had(h2.events.RemoteSettingsChanged))
        for _ in range(20):
            number = await client.ask(flush=False)
            client.h2.reset_stream(number)
        await client.flush()  # all at once: who is cut off amid them cannot write the rest
        await client.until(lambda: client.had(h2.events.ConnectionTerminated))
        code = client.had(h2.events.ConnectionTerminated)[0].error_code
        assert code == CODES.ENHANCE_YOUR_CALM
        go_on.close()


async def test_a_connection_ends_after_as_many_requests_as_it_may_have():
    limits = Limits(requests=2)
    async with serving2(answering(), limits=limits) as connect, connect() as client:
        assert (await client.get()).status == 200
        number = await client.ask()
        data = b""
        while more := await client.conn.read():
            data += more
        assert b"hello" in data
        assert number == 3


@pytest.mark.parametrize(
    ("how", "limits", "status"),
    [
        ({"path": "a"}, {}, 400),
        ({"headers": [("x", "y")] * 9}, {"header_count": 8}, 431),
        ({"method": "POST", "headers": [("content-length", "9")]}, {"body_size": 8}, 413),
    ],
)
async def test_what_is_refused(how, limits, status):
    async with serving2(answering(), limits=Limits(**limits)) as connect, connect() as client:
        client.h2.config.validate_outbound_headers = False
        number = await client.ask(**how, end=status != 413)
        assert (await client.answer(number)).status == status
        assert (await client.get()).status == 200


async def test_a_body_that_grows_too_long_is_refused():
    async with serving2(echo, limits=Limits(body_size=8)) as connect, connect() as client:
        number = await client.ask(method="POST", end=False)
        client.h2.send_data(number, b"123456789")
        await client.flush()
        answer = await client.answer(number)
        assert answer.status == 413


async def test_a_body_that_comes_too_slowly():
    timeouts = Timeouts(body=SOON)
    async with serving2(echo, timeouts=timeouts) as connect, connect() as client:
        assert (await client.get(method="POST", end=False)).status == 408


async def test_an_application_that_takes_too_long_is_ended():
    async def app(scope, receive, send):
        await gopark.Chan().recv()

    timeouts = Timeouts(response=SOON)
    async with serving2(app, timeouts=timeouts) as connect, connect() as client:
        assert (await client.get()).status == 503


async def test_an_application_that_fails(caplog):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError("mine")

    async with serving2(app) as connect, connect() as client:
        assert (await client.get()).status == 500
        late = await client.get("/late")
        assert (late.status, late.reset) == (200, CODES.INTERNAL_ERROR)
    assert caplog.text.count("ValueError: mine") == 2


async def test_hints_trailers_and_files(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"abc" * 100_000)

    async def app(scope, receive, send):
        if scope["path"] == "/file":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.pathsend", "path": str(file)})
            return
        await send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        for number in b"1", b"2":
            trailers = [(b"T" + number, number)]
            more = number == b"1"
            message = {"type": "http.response.trailers", "headers": trailers, "more_trailers": more}
            await send(message)

    async with serving2(app) as connect, connect() as client:
        answer = await client.get()
        assert (answer.before, answer.body, answer.trailers) == (
            ["103"],
            b"x",
            {"t1": "1", "t2": "2"},
        )
        answer = await client.get("/file")
        assert (answer.headers["content-length"], answer.body) == ("300000", b"abc" * 100_000)


async def test_an_answer_to_head_has_no_body():
    async with serving2(answering()) as connect, connect() as client:
        answer = await client.get(method="HEAD")
        assert (answer.headers["content-length"], answer.body) == ("5", b"")


async def test_an_idle_connection_is_closed_with_goaway():
    async with serving2(answering(), timeouts=Timeouts(idle=SOON)) as connect, connect() as client:
        await client.get()
        while await client.step():
            pass
        (goaway,) = client.had(h2.events.ConnectionTerminated)
        assert goaway.error_code == CODES.NO_ERROR


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 64,
        b"\xff" * 40_000,
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ],
    ids=["zeros", "a frame of 16 MB", "a window of 0 more"],
)
async def test_what_is_no_http2_ends_the_connection_with_a_reason(junk):
    async with serving2(answering()) as connect, connect() as client:
        await client.get()
        await client.conn.write(junk)
        while await client.step():
            pass
        (goaway,) = client.had(h2.events.ConnectionTerminated)
        assert goaway.error_code != CODES.NO_ERROR


async def test_the_preface_may_come_a_byte_at_a_time():
    async with serving2(answering()) as connect:
        with await net.dial("tcp", connect.addr) as conn:
            client = Client(conn)
            for byte in client.h2.data_to_send():
                await conn.write(bytes([byte]))
            assert (await client.get()).body == b"hello"


async def test_it_may_be_turned_off():
    async with serving2(answering(), http2=False) as connect, connect() as client:
        data = b""
        while more := await client.conn.read():
            data += more
        assert data.startswith(b"HTTP/1.1 400 ") or data.startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize("loop", ["bare", "asyncio"])
async def test_an_application_of_asyncio_is_served(loop):
    async with serving2(echo, loop=loop) as connect, connect() as client:
        number = await client.ask(method="POST", end=False)
        await upload(client, number, b"x" * 500_000, 500_000)
        assert len((await client.answer(number)).body) == 500_000 + len("POST / ")


async def test_a_wsgi_application_is_served():
    def app(environ, start_response):
        assert environ["SERVER_PROTOCOL"] == "HTTP/2"
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("X-Mine", "1")])
        return [body, environ["PATH_INFO"].encode()]

    async with serving2(app) as connect, connect() as client:
        number = await client.ask("/p", method="POST", end=False)
        await upload(client, number, b"x" * 300_000, 300_000)
        answer = await client.answer(number)
        assert (answer.headers["x-mine"], len(answer.body)) == ("1", 300_002)


# --- by others ------------------------------------------------------------------------------------


def _curl_speaks_it():
    if shutil.which("curl") is None:
        return False
    said = subprocess.run(["curl", "-V"], capture_output=True, text=True, check=False).stdout
    return " HTTP2 " in said


needs_curl = pytest.mark.skipif(not _curl_speaks_it(), reason="no curl that speaks HTTP/2")


def curl(*args):
    """What it prints: the answer, and which HTTP it was."""
    command = ["curl", "-sS", "--max-time", "20", "-w", " %{http_version}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_curl
async def test_curl_by_prior_knowledge():
    async with serving2(echo) as connect:
        url = f"http://{connect.addr}/a"
        ended = await gopark.spawn(curl, "--http2-prior-knowledge", "-d", "abc", url)
        assert (ended.stdout, ended.stderr) == ("POST /a abc 2", "")
        ended = await gopark.spawn(curl, "--http2", "-d", "abc", url)  # Upgrade: h2c, passed over
        assert (ended.stdout, ended.stderr) == ("POST /a abc 1.1", "")


async def _over_tls(ctx, app, protocols, ask):
    server = gopark.http.Server(app, loop="bare", lifespan="off")
    server.scheme = "https"
    ctx.set_alpn_protocols(protocols)
    ln = net.listen("tcp", "127.0.0.1:0")
    done = gopark.spawn(server.serve, gopark.tls.Listener(ln, ctx))
    try:
        return await gopark.spawn(ask, f"https://{ln.addr}/")
    finally:
        await server.shutdown(1)
        await done


@needs_curl
@pytest.mark.parametrize(
    ("protocols", "version"), [(["h2", "http/1.1"], "2"), (["http/1.1"], "1.1")]
)
async def test_curl_over_tls_chooses_what_is_offered(certificate, protocols, version):
    ended = await _over_tls(
        certificate, answering(), protocols, lambda url: curl("-k", "--http2", url)
    )
    assert (ended.stdout, ended.stderr) == (f"hello {version}", "")


@pytest.mark.parametrize("protocols", [["h2"], ["http/1.1"]])
async def test_a_client_that_leaves_without_saying_so_over_tls(certificate, protocols):
    server = gopark.http.Server(answering(), loop="bare", lifespan="off")
    certificate.set_alpn_protocols(protocols)
    ln = net.listen("tcp", "127.0.0.1:0")
    done = gopark.spawn(server.serve, gopark.tls.Listener(ln, certificate))
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mine.check_hostname, mine.verify_mode = False, ssl.CERT_NONE
    mine.set_alpn_protocols(protocols)
    for _ in range(2):
        inner = await net.dial("tcp", ln.addr)
        conn = gopark.tls.client(inner, mine, server_hostname="localhost")
        await conn.handshake()
        hello = Client(conn).h2.data_to_send() if protocols == ["h2"] else b"GET / HTTP/1.1\r\n"
        await conn.write(hello)
        await testing.wait_all_parked()
        inner.close()
    await server.shutdown(1)
    await done


async def test_httpx_over_tls(certificate):
    httpx = pytest.importorskip("httpx")
    body = b"x" * 300_000

    def ask(url):
        with httpx.Client(http2=True, verify=False) as client:
            one = client.post(url, content=body)
            return one.http_version, one.status_code, one.content, client.get(url).content

    found = await _over_tls(certificate, echo, ["h2", "http/1.1"], ask)
    assert found == ("HTTP/2", 200, b"POST / " + body, b"GET / ")


def test_without_h2_it_is_http_1(tmp_path):
    """What is not installed is not offered."""
    code = (
        "import sys; sys.modules['h2'] = None\n"
        "import gopark.http\n"
        "async def app(scope, receive, send): ...\n"
        "print(gopark.http.Server(app, loop='bare').http2)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
