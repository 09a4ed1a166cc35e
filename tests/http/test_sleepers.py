"""Paths whose handlers block are learned, and forgotten when they do no more."""

from __future__ import annotations

import threading

import gopark
from httpends import answering, serving


async def test_they_are():
    event, begun = threading.Event(), gopark.Chan(1)

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            begun.try_send(None)
            assert event.wait(60)
        elif scope["path"] == "/set":
            event.set()
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as one, connect() as two:
        sleepers = connect.server.sleepers
        await one.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.recv_ok()
        assert (await two.get("/set")).status == 200
        await one.answer()
        await one.get("/")  # after what is done at the end of the one before
        assert "/wait" in sleepers  # on a busy machine others may have lost their P as well
        while "/wait" in sleepers:  # until it has come back quickly once, on a busy machine too
            assert (await one.get("/wait")).status == 200
        assert (await one.get("/wait")).status == 200
