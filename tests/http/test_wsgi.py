"""WSGI applications, PEP 3333."""

from __future__ import annotations

import io
import threading
from wsgiref.validate import validator

import pytest

import gopark
from httpends import serving


def say(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def reading(how):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(how(environ["wsgi.input"])).encode()]

    return app


async def asked(app, target="/", *headers, body=None, **options):
    async with serving(app, loop="auto", **options) as connect, connect() as client:
        if body is None:
            return await client.get(target, *headers)
        lines = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
        await client.send("\r\n".join([*lines, "", ""]).encode())
        await client.send(body)
        return await client.answer()


async def test_an_answer_in_a_list_has_its_length():
    answer = await asked(say)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"hello", "5")


async def test_the_environment():
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        return say(environ, start_response)

    await asked(
        app, "/mount/a%20%C3%A4?q=%20", "X-Two: 1", "X-Two: 2", "X_Two: 3", root_path="/mount"
    )
    wanted = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/mount",
        "QUERY_STRING": "q=%20",
        "HTTP_X_TWO": "1,2",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
    }
    assert {key: seen[key] for key in wanted} == wanted
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/mount/a ä"


async def test_it_keeps_to_the_specification():
    """The standard library's validator looks at both sides."""
    answer = await asked(validator(say))
    assert answer.body == b"hello"


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        (lambda body: len(body.read()), lambda n: n),
        (lambda body: len(body.read(7) + body.read(None)), lambda n: n),
        (
            lambda body: [len(body.readline()), len(body.readline(3))],
            lambda n: [10, min(3, n - 10)],
        ),
        (lambda body: len(list(body)), lambda n: n // 10),
        (lambda body: len(body.readlines(15)), lambda n: min(2, n // 10)),
        (lambda body: (len(body.read()), body.read(), body.readline()), lambda n: (n, b"", b"")),
    ],
)
async def test_a_body_is_read(size, how, wanted):
    answer = await asked(reading(how), body=b"123456789\n" * (size // 10))
    assert answer.body.decode() == repr(wanted(size))


async def test_a_body_without_a_length():
    async with serving(reading(lambda body: body.read()), loop="auto") as connect:
        async with connect() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await client.send(b"3\r\nabc\r\n")
            await client.send(b"3\r\ndef\r\n0\r\n\r\n")
            assert (await client.answer()).body == b"b'abcdef'"


async def test_what_is_made_bit_by_bit_is_sent_bit_by_bit():
    seen = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        assert seen.wait(60)  # until the client has it
        yield b"two"

    async with serving(app, loop="auto") as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while b"one" not in said:
            said += await client.conn.read()
        seen.set()
        while not said.endswith(b"0\r\n\r\n"):
            said += await client.conn.read()
    assert said.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_write():
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"one")
        write(b"two")
        return [b"three"]

    assert (await asked(app)).body == b"onetwothree"


@pytest.mark.parametrize("real", [True, False])
async def test_a_file(tmp_path, real):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 2048)
    closed = []

    class Told(io.BytesIO):
        def close(self):
            closed.append(True)
            super().close()

    def app(environ, start_response):
        start_response("200 OK", [])
        opened = file.open("rb") if real else Told(file.read_bytes())
        opened.seek(5)
        return environ["wsgi.file_wrapper"](opened)

    answer = await asked(app)
    assert answer.body == file.read_bytes()[5:]
    assert ("content-length" in answer.headers) is real
    assert bool(closed) is not real


async def test_what_it_returns_is_closed_whatever_happens():
    closed = []

    class Result:
        def __iter__(self):
            yield b"one"
            raise ValueError("of the application")

        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [])
        return Result()

    async with serving(app, loop="auto") as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.rest()).endswith(b"3\r\none\r\n")
    assert closed == [True]


async def test_an_error_before_the_first_byte_may_be_answered_otherwise():
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise ValueError("late")
        except ValueError:
            import sys

            start_response("503 Oh", [], sys.exc_info())
        return [b"sorry"]

    answer = await asked(app)
    assert (answer.status, answer.body) == (503, b"sorry")


@pytest.mark.parametrize(
    "app",
    [
        lambda environ, start_response: [b"x"],
        lambda environ, start_response: start_response("OK", []) and [b"x"],
        lambda environ, start_response: 1 / 0,
    ],
)
async def test_one_that_fails_is_answered_500(app):
    assert (await asked(app)).status == 500


async def test_one_that_blocks_stalls_no_other_connection():
    event = threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            assert event.wait(60)
        if environ["PATH_INFO"] == "/set":
            event.set()
        return say(environ, start_response)

    async with serving(app, loop="auto") as connect, connect() as one, connect() as other:
        await one.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await other.get("/set")).body == b"hello"
        assert (await one.answer()).body == b"hello"


async def test_a_handler_may_wait_for_goroutines():
    ch = gopark.Chan()

    def app(environ, start_response):
        gopark.go(ch.send, b"from a goroutine")
        start_response("200 OK", [])
        return [gopark.block(ch.recv())]

    assert (await asked(app)).body == b"from a goroutine"
