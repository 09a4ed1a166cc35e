"""`loops="auto"`: a task that blocks its loop stalls no request that has not begun there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sys
import threading

import pytest

import gopark
from gopark.http import _loops
from httpends import answering, echo, serving

WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"


class Blocking:
    """An application whose `/wait` blocks its thread until somebody asks for `/set`."""

    def __init__(self):
        self.event = threading.Event()
        self.begun = gopark.Chan(1000)
        self.loops = {}

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.loops.setdefault(path, set()).add(asyncio.get_running_loop())
        if path == "/wait":
            self.begun.try_send(None)
            assert self.event.wait(60)
        elif path == "/set":
            self.event.set()
        await answering(path.encode())(scope, receive, send)


def grown(app):
    return serving(app, loop="asyncio", loops="auto")


async def test_all_requests_are_on_one_loop_while_nothing_blocks():
    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two:
        for client in (one, two) * 5:
            assert (await client.get("/")).body == b"/"
        mine = await gopark.asyncio.call(running())
    assert app.loops == {"/": {mine}}


async def running():
    return asyncio.get_running_loop()


async def test_a_task_that_blocks_stalls_no_other_request():
    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two:
        await one.send(WAIT)
        await app.begun.recv()
        assert (await two.get("/")).body == b"/"
        assert (await two.get("/set")).body == b"/set"
        assert (await one.answer()).body == b"/wait"
        assert not app.loops["/wait"] & app.loops["/set"]


async def test_as_many_may_block_as_there_are_spare_loops():
    app = Blocking()
    count = 20
    async with grown(app) as connect, contextlib.AsyncExitStack() as all_, connect() as last:
        clients = [await all_.enter_async_context(connect()) for _ in range(count)]
        for client in clients:
            await client.send(WAIT)
        for _ in clients:
            await app.begun.recv()
        assert (await last.get("/set")).body == b"/set"
        assert [(await client.answer()).body for client in clients] == [b"/wait"] * count
        assert len(app.loops["/wait"]) == count
        loops = app.loops["/wait"]
        mine = await gopark.asyncio.call(running())
    assert all(loop.is_closed() for loop in loops - {mine})
    assert not mine.is_closed()


async def test_its_path_begins_elsewhere_until_it_blocks_no_more():
    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two:
        mine = await gopark.asyncio.call(running())
        for expected in ({mine}, {mine}, None):
            app.event.clear()
            app.loops.clear()
            await one.send(WAIT)
            await app.begun.recv()
            await two.get("/")  # elsewhere, once the loop is found to be stuck
            await two.get("/set")
            await one.answer()
            if expected is None:
                assert mine not in app.loops["/wait"]
            elif app.loops["/wait"] != expected:
                break  # it has been learned
        while app.loops["/wait"] != {mine}:  # it comes back at once now
            app.loops.clear()
            assert (await one.get("/wait")).body == b"/wait"


async def test_beyond_the_most_a_request_waits(monkeypatch):
    monkeypatch.setattr(_loops.Growing.__init__, "__defaults__", (1,))
    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two, connect() as three:
        await one.send(WAIT)
        await app.begun.recv()
        await two.send(WAIT)
        await app.begun.recv()
        await three.send(b"GET /third HTTP/1.1\r\nHost: x\r\n\r\n")
        app.event.set()
        for client, body in ((one, b"/wait"), (two, b"/wait"), (three, b"/third")):
            assert (await client.answer()).body == body
        assert len(set().union(*app.loops.values())) <= 2


async def test_without_a_descriptor_for_one_more_a_request_waits(monkeypatch):
    def none():
        raise OSError(errno.EMFILE, "Too many open files")

    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two:
        monkeypatch.setattr(_loops, "new_event_loop", none)
        await one.send(WAIT)
        await app.begun.recv()
        await two.send(b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        pool = connect.server._ends[0].__self__
        while not (pool._stuck and pool.waiting):
            await gopark.time.sleep(0.001)
        app.event.set()
        assert (await one.answer()).body == b"/wait"
        assert (await two.answer()).body == b"/second"


async def test_an_application_that_raises_as_it_is_called_costs_no_loop():
    app = Blocking()

    def raises(scope, receive, send):
        if scope["path"] == "/raises":
            raise ValueError("at once")
        return app(scope, receive, send)

    options = {"interface": "asgi", "loop": "asyncio", "loops": "auto"}
    async with serving(raises, **options) as connect, connect() as one, connect() as two:
        await one.send(WAIT)
        await app.begun.recv()
        assert (await two.get("/")).status == 200  # on the spare one
        assert (await two.get("/raises")).status == 500
        async with connect() as three:
            assert (await three.get("/")).status == 200
        assert len(connect.server._ends[0].__self__._all) == 1
        app.event.set()
        await one.answer()


async def test_a_body_and_a_client_that_leaves_on_a_spare_loop():
    app, heard = Blocking(), gopark.Chan(1)

    async def both(scope, receive, send):
        if scope["path"] == "/echo":
            await echo(scope, receive, send)
        elif scope["path"] == "/left":
            await receive()
            await gopark.asyncio.wait(heard.send((await receive())["type"]))
        else:
            await app(scope, receive, send)

    async with grown(both) as connect, connect() as one, connect() as two:
        await one.send(WAIT)
        await app.begun.recv()
        await two.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        assert (await sees(connect)).body == b"/"
        await two.send(b"def")
        assert (await two.answer()).body == b"POST /echo abcdef"
        async with connect() as three:
            await three.send(b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await sees(connect)).body == b"/"
        assert await heard.recv() == "http.disconnect"
        app.event.set()
        assert (await one.answer()).body == b"/wait"


async def sees(connect):
    async with connect() as client:
        return await client.get("/")


async def test_time_is_over_for_a_request_on_a_spare_loop():
    app, cancelled = Blocking(), gopark.Chan(1)

    async def slow(scope, receive, send):
        if scope["path"] != "/slow":
            await app(scope, receive, send)
            return
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.try_send(asyncio.get_running_loop())

    timeouts = gopark.http.Timeouts(response=0.05)
    options = {"loop": "asyncio", "loops": "auto", "timeouts": timeouts}
    async with serving(slow, **options) as connect, connect() as one, connect() as two:
        await one.send(WAIT)
        await app.begun.recv()
        assert (await two.get("/slow")).status == 503
        assert await cancelled.recv() not in app.loops["/wait"]
        app.event.set()


async def test_loops_that_nobody_uses_are_closed(monkeypatch):
    app = Blocking()
    async with grown(app) as connect, connect() as one, connect() as two:
        await one.send(WAIT)
        await app.begun.recv()
        await two.get("/")
        await two.get("/set")
        await one.answer()
        monkeypatch.setattr(_loops, "SPARE", 0.0)
        mine = await gopark.asyncio.call(running())
        spare = set().union(*app.loops.values()) - {mine}
        assert spare
        pool = connect.server._ends[0].__self__
        while not all(loop.is_closed() for loop in spare):
            await pool._shrinks()
        assert (await two.get("/")).body == b"/"


async def test_what_is_bound_to_another_loop_fails_and_is_told_what_to_do(caplog):
    app = Blocking()
    futures = []

    async def shares(scope, receive, send):
        if scope["path"] == "/make":
            futures.append(asyncio.get_running_loop().create_future())
        elif scope["path"] == "/await":
            await futures[0]
        await app(scope, receive, send)

    async with grown(shares) as connect, connect() as one, connect() as two:
        await two.get("/make")
        await one.send(WAIT)
        await app.begun.recv()
        assert (await two.get("/await")).status == 500
        app.event.set()
        await one.answer()
    assert "--loops 1" in caplog.text


async def test_tasks_of_many_loops_end_at_once():
    interval = sys.getswitchinterval()

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await answering(scope["path"].encode())(scope, receive, send)

    async def asks(connect, number):
        async with connect() as client:
            for turn in range(40):
                path = f"/{number}/{turn}"
                assert (await client.get(path)).body == path.encode()

    try:
        sys.setswitchinterval(1e-5)
        async with serving(app, loop="asyncio", loops=8) as connect:
            await gopark.gather(*(gopark.spawn(asks, connect, number) for number in range(16)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("loops", ["many", 0, -1, ""])
def test_no_number_of_loops(loops):
    with pytest.raises(ValueError, match="loops is"):
        gopark.http.Server(echo, loops=loops)
