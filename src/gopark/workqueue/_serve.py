"""serve: the worker's side of a Group.

Calls of functions that are not on the list are answered with an error, and so are exceptions: they
are results. A call comes again only if its worker died, or lost its lease; after its last try the
Group is told that it is lost.

Source: none. Tests: tests/workqueue/test_group.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gopark._runtime.base.errors import ClosedChannelError
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._util import integer
from gopark.context import Context
from gopark.context._with import checked
from gopark.sync import WaitGroup
from gopark.sync._again import mine
from gopark.sync.semaphore import Weighted
from gopark.workqueue._backend import KEPT
from gopark.workqueue._calls import allowed, call_of, error_of
from gopark.workqueue._errors import NotEncodable, TooBig
from gopark.workqueue._queue import Queue, opened
from gopark.workqueue._receiver import Delivery

__all__ = ("Tally", "Worker", "serve")


@dataclass(slots=True)
class Tally:
    """What a worker has done so far."""

    done: int = 0
    failed: int = 0
    skipped: int = 0  # nobody waited for them any more
    running: int = 0


async def serve(ctx: Context, q: Queue[Any], *functions: Any, limit: int = 8) -> None:
    """Work for Groups: call the functions that they name, until `ctx` or the queue ends.

    When `ctx` ends nothing more is begun, and it returns when what has begun is done.

    Args:
        ctx: Until when.
        q: The queue.
        functions: Those that may be called, `async def` or plain; a module stands for its public
            functions. Everything else is refused.
        limit: So many run at a time.
    Raises:
        Unavailable: the queue cannot be reached any more.
        TypeError: an argument is of the wrong kind.
        ValueError: there is no function, or one has no name; `limit` is not positive.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("serve-example") as q:
        ...         await q.close()
        ...         await gopark.workqueue.serve(gopark.context.background(), q, print)
        >>> gopark.run(main)

    Go: none.
    """
    checked("serve", ctx)
    if not isinstance(q, Queue):
        raise TypeError(f"serve() needs a queue, got {shown(q)}")
    integer("serve", "limit", limit)
    if limit < 1:
        raise ValueError(f"serve: limit must be at least 1, got {shown(limit)}")
    await Worker(q, allowed(functions), limit).run(ctx)


class Worker:
    """One that serves."""

    def __init__(self, q: Queue[Any], functions: dict[str, Callable[..., Any]], limit: int) -> None:
        self.tally = Tally()
        self._q = q
        self._functions = functions
        self._slots = Weighted(limit)
        self._running = WaitGroup()
        self._replies: dict[str, Queue[Any]] = {}

    async def run(self, ctx: Context) -> None:
        q, slots = self._q, self._slots
        q._receiver.last_words = self._lost
        try:
            while True:
                await slots.acquire(1)
                which, d, ok = await select(recv(q.C), recv(ctx.done()))
                if which or not ok or d is None:
                    break
                d._take()
                self._running.add(1)
                self.tally.running += 1
                go(self._handle, d)
        finally:
            await self._running.wait()
            for reply in self._replies.values():
                await reply.leave()
        if q._receiver.err is not None:
            raise mine(q._receiver.err)

    async def _handle(self, d: Delivery[Any]) -> None:
        try:
            await self._do(d)
        except (OSError, RuntimeError):
            pass  # the queue is away; the call comes again, to us or others
        finally:
            self.tally.running -= 1
            self._slots.release(1)
            self._running.done()

    async def _do(self, d: Delivery[Any]) -> None:
        call = call_of(d.value)
        if call is None:
            self.tally.failed += 1
            await d.drop("no call of a Group")
            return
        reply = await self._reply(call)
        if reply is None:
            self.tally.skipped += 1
            await d.ack()
            return
        result = await self._result(call)
        await _answer(reply, call, result)
        self.tally.done += 1
        await d.ack()

    async def _result(self, call: dict[str, Any]) -> dict[str, Any]:
        fn = self._functions.get(call["call"])
        try:
            if fn is None:
                raise LookupError(f"{call['call']} is not among the functions of this worker")
            value = fn(*call["args"], **call["kwargs"])
            if inspect.isawaitable(value):
                value = await value
        except Exception as exc:
            self.tally.failed += 1
            return {"error": error_of(exc)}
        return {"value": value}

    async def _reply(self, call: dict[str, Any]) -> Queue[Any] | None:
        """Where the result goes; None if nobody waits for it any more."""
        name, q = call["reply"], self._q
        there = self._replies.get(name)
        if there is None:
            try:
                there = await opened(name, q.url, {}, q.codec, 600.0, 1, False, q._options, KEPT)
            except OSError:
                return None
            other = self._replies.setdefault(name, there)
            if other is not there:
                await there.leave()
            there = other
        if there._backend.over or there._receiver.err is not None:
            self._replies.pop(name, None)
            await there.leave()
            return None
        return there

    async def _lost(self, value: Any, why: str) -> None:
        """A call has had its last try."""
        call = call_of(value)
        if call is not None and (reply := await self._reply(call)) is not None:
            await _answer(reply, call, {"lost": why})


async def _answer(reply: Queue[Any], call: dict[str, Any], result: dict[str, Any]) -> None:
    task = {"task": call["task"]}
    try:
        try:
            await reply.send({**task, **result})
        except (NotEncodable, TooBig) as exc:
            await reply.send({**task, "error": [type(exc).__name__, str(exc), ""]})
    except (ClosedChannelError, OSError, RuntimeError):
        pass  # the group has ended meanwhile
