"""`call`: a goroutine has a coroutine run as a task of a loop, and waits for its result.

    goroutine                         the loop
    1. posts itself, parks            2. makes the task (which `_begin` may have done), and has
                                         itself told of its end
                                      3. `finish`: stores the result, readies the goroutine
Who sets `done` owns the wake-up, as in _oneshot.py; only the wait itself is of its own.

The goroutine's context ends: the task is cancelled, and its end is waited for. What it comes to
then counts: a task that swallows the cancel gives its result.

Locks: `OneShot.lock`, rank SEMA. Source: none. Tests: tests/asyncio/test_call.py
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import events
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context as Variables
from contextvars import copy_context
from types import CoroutineType
from typing import Any, Final, TypeVar, cast

from gopark._oneshot import OneShot
from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.lockrank import lockslow
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, allgs, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.startm import mysched
from gopark.asyncio._host import Bridge, bridge
from gopark.asyncio._loop import Loop, Post, Waits, doors
from gopark.context import Context, after_func
from gopark.context._with import checked

__all__ = ("Call", "call")

T = TypeVar("T")

REASON: Final = "asyncio call"
_CLOSED: Final = "Event loop is closed"
_running: Final = events._get_running_loop
_EAGER: Final = sys.version_info >= (3, 12)
_Task: Final[Any] = asyncio.Task  # whose `eager_start` is of 3.12


async def call(coro: Awaitable[T], ctx: Context | None = None) -> T:
    """Run a coroutine as a task of an asyncio loop, and wait for its result.

    The loop is that of the task which has started this goroutine, by `go`, `wait` or `run`, or an
    ancestor of it; else the program's, which starts at first use. The task has a copy of the
    goroutine's context variables.

    Args:
        coro: A coroutine of asyncio's, or what else a task can await.
        ctx: If it ends first, the task is cancelled, and its end waited for.
    Returns:
        What the coroutine returns; what it raises passes through.
    Raises:
        Canceled: `ctx` was cancelled, and the task has ended by that.
        DeadlineExceeded: the time of `ctx` is over, and the task has ended by that.
        CancelledError: somebody else has cancelled the task.
        RuntimeError: it was called in a task of that loop, which can await `coro` itself.
        TypeError: `coro` is not awaitable.
    Example:
        >>> import asyncio
        >>> async def fetch(x):
        ...     await asyncio.sleep(0.001)
        ...     return x * 2
        >>> async def main():
        ...     print(await gopark.asyncio.call(fetch(21)))
        >>> gopark.run(main)
        42

    Go: none.
    """
    task = coro if type(coro) is CoroutineType else _coroutine(coro)
    try:
        if ctx is not None:
            checked("call", ctx)
            if (err := ctx.err()) is not None:
                raise err
        host = bridge()
        if _running() is host.loop:
            raise RuntimeError(
                "gopark.asyncio.call() in a task of the same loop: await the coroutine itself"
            )
        one = Call(host, task, copy_context())
    except BaseException:
        task.close()
        raise
    if ctx is None:
        return await one.wait()  # type: ignore[no-any-return]
    stop = after_func(ctx, _over, one)
    try:
        return await one.wait()  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        if one.asked and (err := ctx.err()) is not None:
            raise err from None
        raise
    finally:
        stop()


def _coroutine(one: Any) -> Coroutine[Any, Any, Any]:
    if asyncio.iscoroutine(one):
        return one
    if not hasattr(one, "__await__"):
        raise TypeError(
            f"gopark.asyncio.call() needs a coroutine, got {shown(one)}: call(fetch(url))"
        )
    return _await(one)


async def _await(one: Awaitable[T]) -> T:
    return await one


async def _over(one: Call) -> None:
    """The context has ended."""
    one.asked = True
    one.cancel()


class Call(OneShot, Waits):
    """One goroutine, and the task that it waits for. In the loop's queue it is as a Handle."""

    __slots__ = ("asked", "coro", "host", "task", "variables")

    _cancelled: Final = False
    posts = _EAGER  # the task is made in a step of the loop

    def __init__(self, host: Bridge, coro: Coroutine[Any, Any, Any], variables: Variables) -> None:
        super().__init__(REASON)
        self.host = host
        self.coro: Coroutine[Any, Any, Any] | None = coro
        self.variables: Variables | None = variables
        self.task: asyncio.Task[Any] | None = None
        self.asked = False  # to end, because the context has

    # --- the goroutine ------------------------------------------------------------------------

    @suspends
    def wait(self) -> Generator[Command, None, Any]:
        """Have it begun, and wait for the end."""
        m = tls.m
        coro = self.coro
        assert coro is not None
        if m is None or (g := m.curg) is None:
            coro.close()
            raise NotOnGError(
                "gopark.asyncio.call() has to wait, and this thread runs no goroutine: in plain "
                "code use gopark.block(gopark.asyncio.call(...))"
            )
        host = self.host
        if self.posts or type(host) is not Loop or not host.quiet():
            try:
                host.post(self)
            except RuntimeError:
                coro.close()
                if not _ends(host):
                    raise
        else:
            try:
                self._begin(host)
            except RuntimeError:  # it has been closed just now
                coro.close()
                if not _ends(host):
                    raise
        del coro  # the task's now
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.done:
            lock.append(None)
        elif host._closed and not _ends(host):
            lock.append(None)
            raise RuntimeError(_CLOSED)
        else:
            self.g = g
            g.waiting = self
            g.waitreason = REASON
            m.waitunlockf = lock.append
            try:
                _ = None is (None is (yield PARK))
            except BaseException as exc:
                self._leave(exc)
                raise
        error, self.exc = self.exc, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self.value

    def _begin(self, loop: Loop) -> None:
        """Make the task here. Without eager tasks this saves a round of the loop."""
        coro, variables = self.coro, self.variables
        self.coro = self.variables = None
        assert coro is not None
        task = _Task.__new__(_Task)
        try:
            task.__init__(coro, loop=loop.loop, context=variables)
        except RuntimeError:
            task._log_destroy_pending = False
            raise
        self.task = task
        task.add_done_callback(self._ended, context=Variables())
        loop.gopark_berth.wake()

    def _leave(self, exc: BaseException) -> None:
        """It does not wait any more: a Ctrl-C, a scope, or the end of the program."""
        try:
            notparked(self, exc)
        finally:
            self.cancel()

    def cancel(self) -> None:
        """From outside: have the task cancelled."""
        try:
            self.host.post(Post(self._cancel))
        except RuntimeError:
            pass  # the loop is closed, and the task has gone with it

    # --- the loop -------------------------------------------------------------------------------

    @property
    def _callback(self) -> Any:
        """What asyncio's debug mode names, if making the task takes long."""
        return self.coro

    def _run(self) -> None:
        if type(self.host) is Loop and self.host.gopark_over:
            self.dropped()
            return
        coro, variables = self.coro, self.variables
        self.coro = self.variables = None
        assert coro is not None
        loop = self.host.loop
        task: Any = None
        try:
            if _EAGER and loop.get_task_factory() is None:
                task = _Task.__new__(_Task)  # so that it is at hand if it raises
                task.__init__(coro, loop=loop, context=variables, eager_start=True)
            else:
                task = loop.create_task(coro, context=variables)
        except (SystemExit, KeyboardInterrupt):
            if task is not None:
                task._log_traceback = False  # it ends the loop: nobody need be told
            raise
        except BaseException as exc:
            coro.close()
            self.finish(None, exc)
            return
        if task.done():
            self._ended(task)
        else:
            self.task = task
            # One of its own: loops on other threads end tasks at the same moment.
            task.add_done_callback(self._ended, context=Variables())

    def dropped(self) -> None:
        """The loop was closed before it came to this."""
        coro, self.coro = self.coro, None
        if coro is not None:
            coro.close()
        if not self.done and not _ends(self.host):
            self.finish(None, RuntimeError(_CLOSED))

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.task = None
        try:
            value, exc = task.result(), None
        except BaseException as raised:
            if type(self.host) is Loop and self.host.led() and _leaves(raised):
                return  # it ends the program, once its other tasks have ended
            value, exc = None, raised.with_traceback(_beyond(raised))
        self.finish(value, exc)
        del exc


def _ends(host: Bridge) -> bool:
    """The program does, whose loop has been closed: who waits for that is told with all others."""
    return host is mysched().host


def _lost(host: Bridge) -> None:
    """The loop is closed: tasks of it will not go on, and nobody will say so."""
    if _ends(host):
        return
    for g in allgs.copy():
        waiting = g.waiting
        if isinstance(waiting, Call) and waiting.host is host and not waiting.done:
            task = waiting.task
            waiting.finish(None, RuntimeError(_CLOSED))
            if task is not None and not task.done():
                setattr(task, "_log_destroy_pending", False)  # noqa: B010 - we have said so
                with contextlib.suppress(Exception):
                    cast("Coroutine[Any, Any, Any]", task.get_coro()).close()


def _leaves(exc: BaseException) -> bool:
    return isinstance(exc, (SystemExit, KeyboardInterrupt))


def _beyond(exc: BaseException) -> Any:
    """The frames of the coroutine, without that of `_ended`."""
    traceback = exc.__traceback__
    return None if traceback is None else traceback.tb_next


doors.lost = _lost
transparent.update((_await.__code__, Call._run.__code__, Call.dropped.__code__))
