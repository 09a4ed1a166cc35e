"""An exchange whose application is a task of asyncio's, and the loops of such tasks.

What can be had without waiting is had in the task's own step: a body that is there, a write that
the socket takes. What has to wait does so in a goroutine, and the task awaits that.

With one loop, the program's, nothing runs between two awaits of a task, as everywhere in asyncio;
and one that blocks its thread holds up the other tasks. With more, a request has a loop that no
other is on, as long as there are as many: so who blocks holds up nobody, and what is bound to a
loop, a lock, a pool of connections made at the start, cannot be shared. asyncio says so where it is
tried ("is bound to a different event loop").

Locks: none; `_free` is a deque, of which append and pop are atomic.
Source: none. Tests: tests/http/test_kinds.py
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.sysmon import hostcodes
from gopark.asyncio import call, new_event_loop, wait
from gopark.asyncio._host import home
from gopark.http._exchange import DONE, PIECE, Exchange
from gopark.http._stream import Stream
from gopark.http._websocket import WebSocket

__all__ = ("LoopExchange", "LoopWebSocket", "Loops", "run")


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
        _cancelledin(exchange, exc)


def _cancelledin(exchange: Exchange, exc: asyncio.CancelledError) -> None:
    """The application has cancelled its own task; Django does when it hears that the client left.

    Raises:
        RuntimeError: there is a client, that waits for an answer.
    """
    if not (exchange.link.gone or exchange.state == DONE):
        raise RuntimeError("the application's task was cancelled, and has not answered") from exc


class Loops:
    """So many loops, made as they are needed; the last that became free is the next to be used."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: list[Any] = []
        self._free: deque[Any] = deque()
        self._turn = 0

    async def run(self, app: Any, exchange: Exchange) -> None:
        """As `run`, on a loop that no other request is on, if there is one."""
        try:
            loop = self._free.pop()
            alone = True
        except IndexError:
            loop, alone = self._another()
        token = home.set(loop)
        try:
            await run(app, exchange)
        finally:
            home.reset(token)
            if alone:
                self._free.append(loop)

    def _another(self) -> tuple[Any, bool]:
        if len(self._all) < self._most:
            loop = new_event_loop()
            self._all.append(loop)
            go(_steps, loop)
            return loop, True
        self._turn = (self._turn + 1) % len(self._all)
        return self._all[self._turn], False

    async def end(self) -> None:
        """Cancel what is left on them, and close them."""
        for loop in self._all:
            token = home.set(loop)
            try:
                await call(_cancelled())
            except ProgramEnded:
                raise
            finally:
                home.reset(token)
            await loop.halt()
        self._all.clear()
        self._free.clear()


async def _steps(loop: Any) -> None:
    """The goroutine of a loop."""
    await loop.steps()


async def _cancelled() -> None:
    """In a task: end the others of its loop."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


hostcodes.add(_steps.__code__)
