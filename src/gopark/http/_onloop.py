"""An exchange whose application is a task of asyncio's.

What can be had without waiting is had in the task's own step: a body that is there, a write that
the socket takes. What has to wait does so in a goroutine, and the task awaits that.

Which loop that task is of: _loops.py, where there is more than the program's.

Source: none. Tests: tests/http/test_kinds.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from gopark.asyncio import call, wait
from gopark.http._exchange import DONE, PIECE, Exchange
from gopark.http._stream import Stream
from gopark.http._websocket import WebSocket

__all__ = ("LoopExchange", "LoopStream", "LoopWebSocket", "cancelledin", "run")


class LoopExchange(Exchange):
    """One of a task."""

    async def slow(self) -> dict[str, Any]:
        return await wait(super().slow())

    async def send(self, message: Any) -> None:
        out = self.render(message)
        if out is None:
            return
        link = self.link
        if out.__class__ is bytes and len(out) <= PIECE:
            link.mark += 1
            try:
                n = link.conn._trywrite(out)
            except OSError:
                link.lost()
                raise
            if n == len(out):
                return
            out = out[n:]
        await wait(link.writelong(out))


class LoopStream(Stream):
    """One of a task, over HTTP/2."""

    async def slow(self) -> dict[str, Any]:
        return await wait(super().slow())

    async def emit(self, fields: Any, body: Any, end: bool) -> None:
        await wait(super().emit(fields, body, end))


class LoopWebSocket(WebSocket):
    """One of a task."""

    async def receive(self) -> dict[str, Any]:
        return await wait(super().receive())

    async def send(self, message: Any) -> None:
        await wait(super().send(message))


async def run(app: Any, exchange: Exchange) -> None:
    """From the request's goroutine: have the application called in a task."""
    try:
        await call(app(exchange.scope, exchange.receive, exchange.send))
    except asyncio.CancelledError as exc:
        cancelledin(exchange, exc)


def cancelledin(exchange: Exchange, exc: asyncio.CancelledError) -> None:
    """The application has cancelled its own task; Django does when it hears that the client left.

    Raises:
        RuntimeError: there is a client, that waits for an answer.
    """
    if not (exchange.link.gone or exchange.state == DONE):
        raise RuntimeError("the application's task was cancelled, and has not answered") from exc
