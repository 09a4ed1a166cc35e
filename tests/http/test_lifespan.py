"""An application hears of the server's start, and of its end."""

from __future__ import annotations

import asyncio

import pytest

import gopark
from gopark import net
from gopark.http import LifespanError
from httpends import answering, serving


def keeping(log, onloop=False):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            log.append((await receive())["type"])
            scope["state"]["db"] = "opened"
            if onloop:
                await asyncio.sleep(0)
            await send({"type": "lifespan.startup.complete"})
            log.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
            return
        log.append(scope["state"]["db"])
        scope["state"]["db"] = "changed by a request"
        await answering()(scope, receive, send)

    return app


@pytest.mark.parametrize("loop", ["bare", "asyncio"])
@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_it_starts_before_requests_and_ends_after_them(loop, mode):
    log = []
    app = keeping(log, loop == "asyncio")
    async with serving(app, loop=loop, lifespan=mode) as connect, connect() as client:
        for _ in range(2):
            assert (await client.get()).status == 200
    assert log == ["lifespan.startup", "opened", "opened", "lifespan.shutdown"]


async def raises(scope, receive, send):
    assert scope["type"] == "http"
    await answering()(scope, receive, send)


async def returns(scope, receive, send):
    if scope["type"] == "http":
        await answering()(scope, receive, send)


@pytest.mark.parametrize("app", [raises, returns])
async def test_one_that_knows_nothing_of_it_is_served_all_the_same(app):
    async with serving(app, lifespan="auto") as connect, connect() as client:
        assert (await client.get()).status == 200


@pytest.mark.parametrize("app", [raises, returns])
async def test_unless_it_has_to(app):
    server = gopark.http.Server(app, loop="bare", lifespan="on")
    ln = net.listen("tcp", "127.0.0.1:0")
    with pytest.raises(LifespanError, match="knows no lifespan"):
        await server.serve(ln)
    with pytest.raises(net.ClosedError):
        await ln.accept()


async def test_one_that_cannot_start_is_not_served():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    server = gopark.http.Server(app, loop="bare")
    with pytest.raises(LifespanError, match="no database"):
        await server.serve(net.listen("tcp", "127.0.0.1:0"))
