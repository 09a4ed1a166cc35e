"""An exchange whose application is a task of asyncio's.

What can be had without waiting is had in the task's own step: a body that is there, a write that
the socket takes. What has to wait does so in a goroutine, and the task awaits that.

Source: none. Tests: tests/http/test_kinds.py
"""

from __future__ import annotations

from typing import Any

from gopark.asyncio import call, wait
from gopark.http._exchange import PIECE, Exchange

__all__ = ("LoopExchange", "run")


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


async def run(app: Any, exchange: Exchange) -> None:
    """From the connection's goroutine: have the application called in a task."""
    await call(app(exchange.scope, exchange.receive, exchange.send))
