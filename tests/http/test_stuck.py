"""A task that blocks the one event loop is named in the log."""

from __future__ import annotations

import asyncio
import threading

import gopark
from gopark.http._stuck import Stuck
from httpends import answering, serving


async def test_it_is_named_once_with_its_place(caplog):
    event, begun = threading.Event(), gopark.Chan(1)

    async def handler(scope, receive, send):
        begun.try_send(None)
        assert event.wait(60)
        await answering()(scope, receive, send)

    async with serving(handler, loop="asyncio") as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.recv()
        while "held up the event loop" not in caplog.text:
            await connect.server._stuck.look()
        await connect.server._stuck.look()
        event.set()
        assert (await client.answer()).status == 200
    lines = [line for line in caplog.text.splitlines() if "held up the event loop" in line]
    assert len(lines) == 1
    assert "handler (" in lines[0]
    assert "test_stuck.py:" in lines[0]
    assert "--loops auto" in lines[0]


async def test_nothing_is_said_of_a_loop_that_waits(caplog):
    await gopark.asyncio.call(asyncio.sleep(0))
    await Stuck().look()
    assert caplog.text == ""
