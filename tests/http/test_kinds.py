"""Where an application runs: bare, or as a task of asyncio's."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading

import pytest

import gopark
from gopark.http import _kinds
from harness import run_python
from httpends import answering, echo, serving


async def asgi(scope, receive, send): ...


def wsgi(environ, start_response): ...


class Object:
    async def __call__(self, scope, receive, send): ...


class Wsgi:
    def __call__(self, environ, start_response): ...


@pytest.mark.parametrize(
    ("app", "interface"), [(asgi, "asgi"), (wsgi, "wsgi"), (Object(), "asgi"), (Wsgi(), "wsgi")]
)
def test_the_interface_is_seen(app, interface):
    assert _kinds.interfaceof(app, "auto") == interface


def test_a_name_is_no_application():
    with pytest.raises(TypeError, match="'main:app', which is a name: import it"):
        gopark.http.Server("main:app")


async def test_an_application_that_says_it_was_cancelled_ends_its_answer_alone(caplog):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            raise asyncio.CancelledError
        await answering()(scope, receive, send)

    for options in {"loop": "bare"}, {"loop": "asyncio"}, {"loop": "asyncio", "loops": "auto"}:
        async with serving(app, **options) as connect, connect() as one, connect() as two:
            assert (await one.get("/")).status == 500
            assert (await two.get("/ok")).status == 200
        assert "GET /: the application failed" in caplog.text
        caplog.clear()


async def test_a_lifespan_that_says_it_was_cancelled_is_none():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise asyncio.CancelledError
        await answering()(scope, receive, send)

    async with serving(app, lifespan="auto") as connect, connect() as client:
        assert (await client.get("/")).status == 200


CHILD = """
import sys
{imports}
import gopark.http
async def app(scope, receive, send): ...
print(gopark.http.Server(app).loop)
"""


@pytest.mark.parametrize(("imports", "loop"), [("", "bare"), ("import asyncio", "asyncio")])
def test_it_runs_bare_exactly_if_nothing_has_imported_asyncio(imports, loop):
    ended = run_python(["-c", CHILD.format(imports=imports)])
    assert (ended.stdout.split(), ended.stderr) == ([loop], "")


async def test_an_application_of_asyncio():
    async def app(scope, receive, send):
        await asyncio.sleep(0)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        await echo(scope, receive, send)

    async with serving(app, loop="asyncio") as connect, connect() as client:
        assert (await client.get("/a")).body == b"GET /a "
        await client.send(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        await gopark.testing.wait_all_parked()
        await client.send(b"def")
        assert (await client.answer()).body == b"POST /b abcdef"


async def test_a_task_hears_that_the_client_has_left():
    heard = gopark.Chan(1)

    async def app(scope, receive, send):
        await receive()
        await gopark.asyncio.wait(heard.send(await receive()))

    async with serving(app, loop="asyncio") as connect:
        async with connect() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await gopark.testing.wait_all_parked()
        assert await heard.recv() == {"type": "http.disconnect"}


async def test_a_task_is_held_up_while_its_answer_is_not_read():
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(160):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    async with serving(app, loop="asyncio") as connect, connect() as client, connect() as other:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await gopark.testing.wait_all_parked()
        assert len(sent) < 159
        assert len((await client.answer()).body) == 16_000_000
        del other


async def test_each_request_of_asyncio_has_variables_of_its_own():
    user = contextvars.ContextVar("user", default="nobody")

    async def app(scope, receive, send):
        seen = user.get()
        user.set("ada")
        await answering(seen.encode())(scope, receive, send)

    async with serving(app, loop="asyncio") as connect, connect() as client:
        assert [(await client.get()).body for _ in range(3)] == [b"nobody"] * 3


async def test_in_the_wrong_place_an_application_fails_and_is_told_what_to_do(caplog):
    async def ofasyncio(scope, receive, send):
        asyncio.get_running_loop()

    async def ofgopark(scope, receive, send):
        await gopark.time.sleep(0.001)

    for app, loop, text in (
        (ofasyncio, "bare", "--loop asyncio"),
        (ofgopark, "asyncio", "--loop bare"),
    ):
        async with serving(app, loop=loop) as connect, connect() as client:
            assert (await client.get()).status == 500
        assert text in caplog.text
        caplog.clear()


async def test_with_a_loop_for_each_a_task_that_blocks_stalls_no_other_request():
    event = threading.Event()

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        if scope["path"] == "/wait":
            assert event.wait(60)
        elif scope["path"] == "/set":
            event.set()
        await answering(scope["path"].encode())(scope, receive, send)

    async with serving(app, loop="asyncio", loops=3) as connect:
        async with connect() as one, connect() as two, connect() as three:
            for client in one, two:
                await client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await three.get("/")).body == b"/"
            assert (await three.get("/set")).body == b"/set"
            assert (await one.answer()).body == (await two.answer()).body == b"/wait"


async def test_there_are_no_more_loops_than_asked_for():
    loops = set()
    together = gopark.sync.WaitGroup()
    together.add(4)

    async def app(scope, receive, send):
        loops.add(asyncio.get_running_loop())
        together.done()
        await gopark.asyncio.wait(together.wait())
        await answering()(scope, receive, send)

    async with (
        serving(app, loop="asyncio", loops=2) as connect,
        contextlib.AsyncExitStack() as all_,
    ):
        clients = [await all_.enter_async_context(connect()) for _ in range(4)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [(await client.answer()).status for client in clients] == [200] * 4
    assert len(loops) == 2
    assert all(loop.is_closed() for loop in loops)
