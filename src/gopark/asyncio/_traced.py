"""Steps of tasks in an execution trace: when each ran, and what it awaited in between.

While the program is traced the queue of a loop of ours is of another class, whose `popleft` gives
what asyncio is to run in a wrapping that looks at the clock. Else there is nothing to pay.

An event is (HOSTED, when it began, when it ended, the key of the task, its name, what came then,
who awaits it), emitted by the thread that runs the loop.

Relies on: a deque of one subclass may become one of another; the callback of a task's step has the
task as its `__self__`. Source: none. Tests: tests/asyncio/test_trace.py
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from gopark._runtime.prof.trace import DONE, HOSTED, changed, clock, emit, tracing
from gopark._runtime.report.traceback import transparent
from gopark.asyncio._call import Call
from gopark.asyncio._go import GoFuture
from gopark.asyncio._loop import Loop, Ready

__all__ = ()

_RUNNABLE: Final = ""


class _Step:
    """In the place of a Handle, or a Post."""

    __slots__ = ("handle",)

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def __repr__(self) -> str:
        return repr(self.handle)

    def _run(self) -> None:
        handle = self.handle
        if isinstance(handle, Call):
            _begin(handle)
            return
        task = getattr(handle._callback, "__self__", None)
        if not isinstance(task, asyncio.Task) or task.done():
            handle._run()
            return
        began = clock()
        try:
            handle._run()
        finally:
            _emit(began, task)


def _begin(call: Call) -> None:
    """A task is made, and may have its first step at once."""
    name, began = getattr(call.coro, "__qualname__", "task"), clock()
    try:
        call._run()
    finally:
        task = call.task
        if task is not None:
            _emit(began, task)
        elif tracing.on:
            emit((HOSTED, began, clock(), id(call), name, DONE, _caller(call)))


def _emit(began: float, task: asyncio.Task[Any]) -> None:
    if not tracing.on:
        return
    how, by = DONE, ""
    if not task.done():
        how, by = _awaits(getattr(task, "_fut_waiter", None)), _awaitedby(task)
    emit((HOSTED, began, clock(), id(task), task.get_name(), how, by))


def _awaits(waits: Any) -> str:
    if waits is None:
        return _RUNNABLE
    if isinstance(waits, GoFuture):
        return f"awaits goroutine {waits.goid}" if waits.goid else "awaits a goroutine"
    return f'awaits task "{waits.get_name()}"' if isinstance(waits, asyncio.Task) else "waiting"


def _awaitedby(task: asyncio.Task[Any]) -> str:
    """Who is told when it ends."""
    for callback, _ in getattr(task, "_callbacks", None) or ():
        one = getattr(callback, "__self__", None)
        if isinstance(one, Call):
            return _caller(one)
        if isinstance(one, asyncio.Task):
            return f'task "{one.get_name()}"'
    return ""


def _caller(call: Call) -> str:
    g = call.g
    return "" if g is None else f"goroutine {g.goid}"


class _Traced(Ready):
    __slots__ = ()

    def popleft(self) -> Any:
        return _Step(deque.popleft(self))


def _changed(on: bool) -> None:
    for loop in Loop.running():
        loop._ready.__class__ = _Traced if on else Ready


def _made(loop: Loop) -> None:
    if tracing.on:
        loop._ready.__class__ = _Traced


changed.append(_changed)
Loop.made = staticmethod(_made)
transparent.update((_Step._run.__code__, _begin.__code__))
