"""`wait` and `aiter`: a task waits for what a goroutine could await.

A goroutine of its own does, and its result goes to the task's future. To cancel that takes the
goroutine off the queue that it waits on, with CancelledError: whoever has taken it off before owns
its wake-up, and what it was given comes to the task.

    who cancels, in the loop            the goroutine parks
    1. takes `lock`, sets `asked`       1. puts itself on a queue, and waits there
    2. takes it off its queue           2. is asked to go: takes `lock`, and itself off its queue
                                           again (`_parked`, between two goroutines)
Each cancel comes to one wait. The goroutine forgets itself under `lock` as its last, for its G
may be another's after that. An operation of ours begins as a part of the task (`_here`), and is a
goroutine of its own only if it has to wait.

Locks: `_Waited.lock`, which is held while one of a channel, a sema, a timer is taken.
Source: none. Tests: tests/asyncio/test_wait.py
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Holding, lockslow
from gopark._runtime.base.lockrank import Mutex as Lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import (
    DONE,
    GDEAD,
    GRUNNABLE,
    GRUNNING,
    PARK,
    G,
    M,
    getg,
    goids,
    tls,
)
from gopark._runtime.base.suspend import unawaited
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import select
from gopark._runtime.prof.trace import tracing
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import finishstep
from gopark._runtime.sched.newproc import listg, startin
from gopark._runtime.signal.preempt import wakewith
from gopark._runtime.time.timesleep import gosched, sleep
from gopark._runtime.twin import coroutines
from gopark.asyncio._go import GoFuture, inloop, without_trace
from gopark.asyncio._host import athome, homeof
from gopark.asyncio._loop import Loop
from gopark.sync._cond import Cond
from gopark.sync._mutex import Mutex
from gopark.sync._rwmutex import RWMutex
from gopark.sync._waitgroup import WaitGroup

__all__ = ("aiter", "wait")

T = TypeVar("T")


class _Waited(GoFuture):
    """The future of `wait`."""

    lock: Lock
    g: G | None = None  # while it runs; guarded by `lock`, as is the next
    pending = False  # it is to be taken off, and was not found to wait

    def _expel(self) -> None:
        with Holding(self.lock):
            self.pending = True
        self.push()

    def push(self) -> None:
        """Take the goroutine off its queue, if it is to go and waits there."""
        with Holding(self.lock):
            g = self.g
            if self.pending and g is not None and wakewith(g, asyncio.CancelledError()):
                self.pending = False

    def _heeded(self, exc: BaseException | None) -> bool:
        return False  # what it was given came first


class _Waiting:
    """The goroutine: the `coro` and the `step` of its G, around what is waited for."""

    __slots__ = ("coro", "future")

    def __init__(self, coro: Any, future: _Waited) -> None:
        self.coro = coro
        self.future = future

    @property
    def cr_code(self) -> Any:
        return getattr(self.coro, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return getattr(self.coro, "cr_running", True)

    def __await__(self) -> _Waiting:
        return self

    __iter__ = __await__

    def __next__(self) -> object:
        return self.send(None)

    def send(self, value: Any) -> object:
        if self.future.g is None and not self._began():
            return DONE
        return self._go(self.coro.send, value)

    def throw(self, exc: BaseException) -> object:
        return self._go(self.coro.throw, exc)

    def close(self) -> None:
        try:
            self.coro.close()
        finally:
            self._end(None, asyncio.CancelledError())

    def _began(self) -> bool:
        """Before its first step; False: it is to go already."""
        future = self.future
        with Holding(future.lock):
            future.g = g = getg()
            future.goid = 0 if g is None else g.goid
            over, future.pending = future.pending, False
        if over:
            self.close()
        return not over

    def _go(self, step: Callable[[Any], Any], value: Any) -> object:
        """As far as its next wait; at that it is looked whether it is to go."""
        try:
            command = step(value)
        except StopIteration as done:
            self._end(done.value, None)
            return DONE
        except (Exception, asyncio.CancelledError) as exc:
            self._end(None, without_trace(exc))
            return DONE
        except (Goexit, GeneratorExit, ProgramEnded):
            self._end(None, asyncio.CancelledError())
            raise
        if command is PARK and (m := tls.m) is not None and (unlockf := m.waitunlockf) is not None:
            m.waitunlockf = partial(_parked, self.future, unlockf)
        return command

    def _end(self, value: Any, exc: BaseException | None) -> None:
        """Its last: its G may be another's after that."""
        future = self.future
        lock = future.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        future.g = None
        lock.append(None)
        future.settle(value, exc)


def _parked(future: _Waited, unlockf: Callable[[None], object], _: None) -> None:
    """The goroutine waits; from here on others may wake it."""
    unlockf(None)
    if future.pending:
        future.push()


async def wait(awaitable: Awaitable[T]) -> T:
    """In a task: wait for what a goroutine could await, `ch.recv()`, `wg.wait()`, `mu.lock()`.

    If the task is cancelled the wait is taken off its queue, and ends by CancelledError. What had
    been handed over to it before that is returned all the same, so that no value is lost.

    Args:
        awaitable: Of gopark, or a coroutine that awaits such.
    Returns:
        Its result; its exception passes through.
    Raises:
        RuntimeError: no event loop runs here.
        TypeError: it is not awaitable.
        CancelledError: the task was cancelled while it waited.
    Example:
        >>> async def task(ch):
        ...     return await gopark.asyncio.wait(ch.recv())
        >>> async def main():
        ...     ch = gopark.Chan()
        ...     gopark.go(ch.send, "hello")
        ...     print(await gopark.asyncio.call(task(ch)))
        >>> gopark.run(main)
        hello

    Go: none.
    """
    loop = inloop("wait", awaitable)
    host = homeof(loop)
    coro: Any = awaitable
    future: _Waited | None = None
    if type(awaitable) in coroutines:
        unawaited(coro)
        m = tls.m
        if coro.cr_code in _OPERATIONS and type(host) is Loop and m is not None and _canhere(m):
            future, value = _here(host, coro, m, sys._getframe(1))
            if future is None:
                return value  # type: ignore[no-any-return]
    elif hasattr(awaitable, "__await__"):
        coro = _await(awaitable)
    else:
        raise TypeError(
            f"gopark.asyncio.wait() needs an awaitable, got {shown(awaitable)}: wait(ch.recv())"
        )
    if future is None:
        future = _made(host, loop)
        variables = copy_context()
        variables.run(athome, host)
        startin(_Waiting(coro, future), variables, sys._getframe(1), wait)
    try:
        return await future  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        if future.done() and not future.cancelled() and future.exception() is None:
            return future.result()  # type: ignore[no-any-return]
        raise


def _made(host: Any, loop: Any) -> _Waited:
    future = _Waited(loop=loop)
    future._host = host
    future.lock = deque((None,))
    return future


def _canhere(m: M) -> bool:
    """A goroutine that is stepped by the loop's, on this M, is as one that this M has found."""
    me = m.curg
    return (
        type(me) is G  # not where others look at each wait: a bubble, a scope that is over
        and me.coro is not None
        and m.p is not None
        and m.g is None
        and m.lockedg is None
        and not tracing.on
    )


def _here(host: Any, coro: Any, m: M, frame: FrameType) -> tuple[_Waited | None, Any]:
    """Let the goroutine go as far as its first wait right here; None and its result: it has none.

    That is for operations of ours, which compute nothing: a user's coroutine could hold up the
    loop. They find a goroutine of their own as that which runs, and others know of it from its
    first wait on. Nobody can have cancelled it before that.
    """
    me, p = m.curg, m.p
    assert me is not None
    try:
        g = p.gfree.pop() if p is not None and p.gfree else G(0)
    except IndexError:
        g = G(0)
    g.goid = next(goids)
    g.coro, g.step, g.ctx, g.m = me.coro, me.step, me.ctx, m  # sysmon sees the loop, as it is
    g.gocode, g.gopc, g.goglobals = frame.f_code, frame.f_lasti, frame.f_globals
    g.parentid = me.goid
    g.status = GRUNNABLE
    g.status = GRUNNING
    m.curg = g
    try:
        command = coro.send(None)
    except StopIteration as done:
        m.curg = me
        g.status = GDEAD
        g.ctx = g.coro = g.step = g.gocode = g.goglobals = None
        if p is not None:
            p.gfree.append(g)
        return None, done.value
    except BaseException:
        m.curg = me
        raise
    future = _made(host, host)
    waiting: Any = _Waiting(coro, future)
    g.coro = g.step = waiting
    g.ctx = copy_context()
    future.g, future.goid = g, g.goid
    listg(g)
    finishstep(m, g, command)
    m.curg = me
    if (sched := m.sched) is not None and sched.ended:  # and has looked already who waits
        hooks.abandon(sched, g)
    return future, None


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _unbegun(future: _Waited) -> None:
    future.settle(None, asyncio.CancelledError())


class aiter(Generic[T]):
    """In a task: `async for value in aiter(ch)`, until the channel is closed and empty.

    Args:
        ch: A channel.
    Raises:
        TypeError: it is none.
    Example:
        >>> async def task(ch):
        ...     return [value async for value in gopark.asyncio.aiter(ch)]
        >>> async def main():
        ...     ch = gopark.Chan(3)
        ...     for n in range(3):
        ...         await ch.send(n)
        ...     ch.close()
        ...     print(await gopark.asyncio.call(task(ch)))
        >>> gopark.run(main)
        [0, 1, 2]

    Go: `for v := range ch`.
    """

    __slots__ = ("_ch",)

    def __init__(self, ch: Chan[T]) -> None:
        if not isinstance(ch, Chan):
            raise TypeError(f"gopark.asyncio.aiter() needs a channel, got {shown(ch)}")
        self._ch = ch

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        value, ok, received = self._ch.try_recv()
        if not received:
            value, ok = await wait(self._ch.recv_ok())
        if not ok:
            raise StopAsyncIteration
        return value  # type: ignore[return-value]


# What a task may begin by itself: it calls no code of the user's, and computes nothing.
_OPERATIONS: Final = frozenset(
    getattr(fn, "__code__", None)
    for fn in (
        *(Chan.recv, Chan.recv_ok, Chan.send, select, sleep, gosched),
        *(Cond.wait, Mutex.lock, RWMutex.lock, RWMutex.rlock, WaitGroup.wait),
    )
)
transparent.update(
    fn.__code__
    for fn in (
        _await,
        _Waiting.__next__,
        _Waiting.send,
        _Waiting.throw,
        _Waiting.close,
        _Waiting._go,
    )
)
