"""`wait` and `aiter`: a task waits for what a goroutine could await.

A goroutine of its own does, and its result goes to the task's future. To cancel that takes the
goroutine off the queue that it waits on, with CancelledError: whoever has taken it off before owns
its wake-up, and what it was given comes to the task.

    who cancels, in the loop            the goroutine parks
    1. takes `lock`, sets `asked`       1. puts itself on a queue, and waits there
    2. takes it off its queue           2. is asked to go: takes `lock`, and itself off its queue
                                           again (`_parked`, between two goroutines)
Each cancel comes to one wait. The goroutine forgets itself under `lock` as its last, for its G
may be another's after that.

Locks: `_Waited.lock`, which is held while one of a channel, a sema, a timer is taken.
Source: none. Tests: tests/asyncio/test_wait.py
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import Any, Generic, TypeVar

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, getg, tls
from gopark._runtime.base.suspend import suspends, unawaited
from gopark._runtime.chan.chan import Chan
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import Creator, Wrapped, start
from gopark._runtime.signal.preempt import wakewith
from gopark.asyncio._go import GoFuture, inloop, without_trace
from gopark.asyncio._host import home, homeof

__all__ = ("aiter", "wait")

T = TypeVar("T")


class _Waited(GoFuture):
    """The future of `wait`."""

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.lock: Mutex = deque((None,))
        self.g: G | None = None  # while it runs; guarded by `lock`, as is the next
        self.pending = False  # it is to be taken off, and was not found to wait

    def _expel(self) -> None:
        with Holding(self.lock):
            self.pending = True
        self.push()

    def push(self) -> None:
        """Take the goroutine off its queue, if it is to go and waits there."""
        with Holding(self.lock):
            if self.pending and self.g is not None and wakewith(self.g, self.error()):
                self.pending = False

    def error(self) -> asyncio.CancelledError:
        return asyncio.CancelledError()

    def _heeded(self, exc: BaseException | None) -> bool:
        return False  # what it was given came first


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
    future = _begin(awaitable, sys._getframe(1))
    try:
        return await future  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        if future.done() and not future.cancelled() and future.exception() is None:
            return future.result()  # type: ignore[no-any-return]
        raise


def _begin(awaitable: Any, frame: Any) -> _Waited:
    try:
        host = homeof(inloop("wait"))
    except RuntimeError:
        if hasattr(awaitable, "close"):
            awaitable.close()
        raise
    if type(awaitable) is CoroutineType:
        unawaited(awaitable)
        coro: Any = awaitable
    elif hasattr(awaitable, "__await__"):
        coro = _await(awaitable)
    else:
        raise TypeError(
            f"gopark.asyncio.wait() needs an awaitable, got {shown(awaitable)}: wait(ch.recv())"
        )
    future = _Waited(host)
    made: Any = Wrapped(coro, _drive(future, coro), partial(_unbegun, future))
    copy_context().run(_startin, host, made, Creator(frame))
    return future


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _startin(host: Any, made: Any, creator: Creator) -> None:
    home.set(host)
    start(made, wait, (), {}, creator)


def _unbegun(future: _Waited) -> None:
    future.settle(None, asyncio.CancelledError())


async def _drive(future: _Waited, coro: Any) -> None:
    """The goroutine."""
    with Holding(future.lock):
        future.g = getg()
        future.began()
        over, future.pending = future.pending, False
    try:
        if over:
            coro.close()
            raise future.error()
        value = await _steps(future, coro)
    except (Exception, asyncio.CancelledError) as exc:
        _forget(future)
        future.settle(None, without_trace(exc))
    except (Goexit, GeneratorExit, ProgramEnded):
        _forget(future)
        future.settle(None, asyncio.CancelledError())
        raise
    else:
        _forget(future)
        future.settle(value, None)


def _forget(future: _Waited) -> None:
    with Holding(future.lock):
        future.g = None


@suspends
def _steps(future: _Waited, coro: Any) -> Generator[Command, None, Any]:
    """As `await coro`, and at each wait it is looked whether it is to go."""
    step: Callable[[Any], Any] = coro.send
    value: Any = None
    while True:
        try:
            command = step(value)
        except StopIteration as done:
            return done.value
        if command is PARK and (m := tls.m) is not None and (unlockf := m.waitunlockf) is not None:
            m.waitunlockf = partial(_parked, future, unlockf)
        try:
            _ = None is (None is (yield command))
        except BaseException as exc:
            step, value = coro.throw, exc
        else:
            step, value = coro.send, None


def _parked(future: _Waited, unlockf: Callable[[None], object], _: None) -> None:
    """The goroutine waits; from here on others may wake it."""
    unlockf(None)
    if future.pending:
        future.push()


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


transparent.update((_await.__code__, _drive.__code__, _steps.__code__))
