"""What an ASGI application sees, and what becomes of what it does wrong."""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar

import pytest

import gopark
from gopark import testing
from httpends import answering, echo, serving


async def test_the_scope():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answering()(scope, receive, send)

    async with serving(app, root_path="/mount/") as connect, connect() as client:
        await client.get("/a%20b/%C3%A4?q=%20", "X-Two: 1", "X-Two: 2")
        local, remote = connect.addr, client.conn.local_addr
    (scope,) = scopes
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert (scope["http_version"], scope["method"], scope["scheme"]) == ("1.1", "GET", "http")
    assert (scope["path"], scope["root_path"]) == ("/mount/a b/ä", "/mount")
    assert (scope["raw_path"], scope["query_string"]) == (b"/a%20b/%C3%A4", b"q=%20")
    assert scope["headers"] == [(b"host", b"test"), (b"x-two", b"1"), (b"x-two", b"2")]
    assert scope["client"] == (remote.host, remote.port)
    assert scope["server"] == (local.host, local.port)


async def test_a_body_comes_as_it_is_asked_for():
    pieces = gopark.Chan(10)

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await pieces.send(message["body"])
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        assert await pieces.recv() == b"abc"
        await client.send(b"def")
        assert await pieces.recv() == b"def"
        assert (await client.answer()).status == 200


async def test_a_client_is_held_up_while_its_body_is_not_read():
    """What it sends waits in its own socket, and not in the server's memory."""
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        await go_on.recv_ok()
        await echo(scope, receive, send)

    body = b"x" * 16_000_000
    async with serving(app) as connect, connect() as client:
        await client.send(
            f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        sending = gopark.spawn(client.send, body)
        await testing.wait_all_parked()
        assert not sending.done
        go_on.close()
        assert (await client.answer()).body == b"POST / " + body
        await sending


async def test_an_application_is_held_up_while_its_answer_is_not_read():
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(160):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    async with serving(app) as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await testing.wait_all_parked()
        assert len(sent) < 159
        assert len((await client.answer()).body) == 16_000_000


async def test_it_hears_that_the_client_has_left():
    heard = gopark.Chan(1)

    async def app(scope, receive, send):
        assert (await receive())["more_body"] is False
        await heard.send(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 100_000})

    async with serving(app) as connect:
        async with connect() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await testing.wait_all_parked()
        assert await heard.recv() == {"type": "http.disconnect"}


async def test_who_waits_for_that_does_not_lose_the_next_request():
    async def app(scope, receive, send):
        await receive()
        waits = gopark.spawn(receive)
        await testing_gone(scope, send)
        assert await waits == {"type": "http.disconnect"}  # for the answer is complete

    async def testing_gone(scope, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with serving(app) as connect, connect() as client:
        for path in "/a", "/b", "/c":
            assert (await client.get(path)).body == path.encode()


async def test_after_the_answer_there_is_nothing_more_to_receive():
    heard = []

    async def app(scope, receive, send):
        await answering()(scope, receive, send)
        heard.extend([await receive(), await receive()])

    async with serving(app) as connect, connect() as client:
        assert (await client.get()).status == 200
        assert (await client.get()).status == 200
    assert [message["type"] for message in heard] == ["http.request", "http.disconnect"] * 2


@pytest.mark.parametrize("begun", [False, True])
async def test_an_application_that_raises(begun, caplog):
    async def app(scope, receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise ValueError("of the application")

    async with serving(app) as connect, connect() as client:
        await client.send(b"GET /boom HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await client.rest()
    if begun:
        assert said.endswith(b"4\r\npart\r\n")  # and no last chunk
    else:
        assert said.startswith(b"HTTP/1.1 500 ")
        assert b"ValueError" not in said
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "GET /boom" in record.getMessage()
    assert "of the application" in caplog.text


SAY = {
    "nothing at all": [],
    "no body": [{"type": "http.response.start", "status": 200, "headers": []}],
    "a body first": [{"type": "http.response.body", "body": b""}],
    "start twice": [{"type": "http.response.start", "status": 200}] * 2,
    "what nobody knows": [{"type": "http.response.wonder"}],
    "no status": [{"type": "http.response.start", "status": 99}, {"type": "http.response.body"}],
    "text": [
        {"type": "http.response.start", "status": 200, "headers": [("a", "b")]},
        {"type": "http.response.body"},
    ],
    "a name that is none": [
        {"type": "http.response.start", "status": 200, "headers": [(b"a b", b"")]},
        {"type": "http.response.body"},
    ],
    "too much": [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]},
        {"type": "http.response.body", "body": b"ab"},
    ],
    "too little": [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"ab"},
    ],
}


@pytest.mark.parametrize("case", SAY)
async def test_an_answer_that_is_none_is_a_500(case):
    async def app(scope, receive, send):
        for message in SAY[case]:
            await send(message)

    async with serving(app) as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await client.rest()
    assert said.startswith(b"HTTP/1.1 500 "), said
    assert said.count(b"HTTP/1.1 ") == 1


async def test_a_handler_that_blocks_its_thread_stalls_no_other_connection():
    """One waits, with its whole thread, for what the other's request brings."""
    event = threading.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            assert event.wait(60)
        elif scope["path"] == "/set":
            event.set()
        await answering(scope["path"].encode())(scope, receive, send)

    async with serving(app) as connect, connect() as one, connect() as other:
        await one.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await other.get("/")).body == b"/"
        assert (await other.get("/set")).body == b"/set"
        assert (await one.answer()).body == b"/wait"


async def test_a_variable_that_a_request_leaves_set_is_not_seen_by_the_next():
    user = ContextVar("user", default="nobody")

    async def app(scope, receive, send):
        seen = user.get()
        user.set("ada")
        await answering(seen.encode())(scope, receive, send)

    async with serving(app) as connect, connect() as client:
        assert [(await client.get()).body for _ in range(3)] == [b"nobody"] * 3


async def test_trailers():
    async def app(scope, receive, send):
        assert "http.response.trailers" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"abc"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"9")]})

    async with serving(app) as connect, connect() as client:
        answer = await client.get()
        assert (answer.body, answer.trailers) == (b"abc", b"x-sum: 9\r\n")
        assert (await client.get()).body == b"abc"


async def test_early_hints():
    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as client:
        hint = await client.get()
        assert (hint.status, hint.headers) == (103, {"link": "</a.css>; rel=preload"})
        assert (await client.answer()).body == b"hello"
        assert (await client.get(version="1.0")).body == b"hello"


async def test_a_file_is_sent_from_its_path(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 4096)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(file)})

    async with serving(app) as connect, connect() as client:
        answer = await client.get()
        assert answer.headers["content-length"] == str(file.stat().st_size)
        assert answer.body == file.read_bytes()
        assert (await client.get(method="HEAD")).body == b""
        assert (await client.get()).body == file.read_bytes()
