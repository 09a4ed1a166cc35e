"""WaitGroup: wait until all of a number of goroutines are done.

Invariants, true whenever the Sema's lock is free:
  W1  the counter is not negative
  W2  a G waits  => the counter is above zero
Whoever brings the counter to zero takes all waiters off and wakes them. One that finds the
counter above zero again when it comes to itself reports the misuse, as Go does: the group
was used again before `wait` had returned.

Locks: the Sema's, rank SEMA.
Source: Go 1.27 sync/waitgroup.go. Tests: tests/sync/test_waitgroup.py
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, ParamSpec

from gopark._runtime.base.errors import AmidRuntime, Goexit, ProgramEnded
from gopark._runtime.base.lockrank import lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G
from gopark._runtime.base.suspend import suspends
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.newproc import Watched, Wrapped, start, startable
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import WOKEN, Sema, ongoroutine
from gopark.sync._common import nocopy, nothing

__all__ = ("WaitGroup",)

_NEGATIVE: Final = "sync: negative WaitGroup counter"
_REUSED: Final = "sync: WaitGroup is reused before previous Wait has returned"
P = ParamSpec("P")

_getframe: Final = sys._getframe


class WaitGroup:
    """Waits for goroutines: `wg.go(fn)` starts one, `await wg.wait()` returns once all are done.

    `async with WaitGroup() as wg:` (in plain code `with`) waits at the end of the block, even
    if the block raises: no goroutine outlives it, unless Ctrl-C or a scope (`gopark.timeout`) ends
    that wait.

    Example:
        >>> async def main():
        ...     fetched = []
        ...     async with gopark.sync.WaitGroup() as wg:
        ...         for n in range(3):
        ...             wg.go(fetched.append, n)
        ...     print("all done:", sorted(fetched))
        >>> gopark.run(main)
        all done: [0, 1, 2]

    Go: sync.WaitGroup.
    """

    __slots__ = ("__weakref__", "_count", "_sema")

    def __init__(self) -> None:
        self._sema = Sema()
        self._count = 0

    def __repr__(self) -> str:
        return f"<WaitGroup {self._count} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    def add(self, delta: int) -> None:
        """Change the counter; at zero everybody who waits goes on.

        Args:
            delta: How many more are to be waited for; negative: how many are done.
        Raises:
            RuntimeError: the counter would fall below zero. It stays what it was.
            TypeError: `delta` is not an integer.
        Example:
            >>> wg = gopark.sync.WaitGroup()
            >>> wg.add(2)
            >>> wg.add(-2)

        Go: sync.WaitGroup.Add.
        """
        if not isinstance(delta, int):
            raise TypeError(f"WaitGroup.add: delta must be an integer, got {shown(delta)}")
        woken: list[G] = []
        try:
            lock(self._sema.lock)
        except AmidRuntime:
            if delta > 0:  # who is started after it might be done before it
                raise
            return later(self.add, delta)
        try:
            count = self._count + delta
            if count >= 0:
                self._count = count
            if count == 0:
                while (g := self._sema.dequeue(WOKEN)) is not None:
                    woken.append(g)
        finally:
            self._sema.lock.append(None)
        if count < 0:
            raise RuntimeError(_NEGATIVE)
        for g in woken:
            ready(g)

    def done(self) -> None:
        """One is done: the counter falls by one.

        Raises:
            RuntimeError: the counter was zero already.
        Example:
            >>> wg = gopark.sync.WaitGroup()
            >>> wg.add(1)
            >>> wg.done()

        Go: sync.WaitGroup.Done.
        """
        self.add(-1)

    @suspends
    def wait(self) -> Generator[Command, None, None]:
        """Wait until the counter is zero.

        Raises:
            RuntimeError: the group was used again before this had returned.
            NotOnGError: it has to wait, and the thread runs no goroutine.
        Example:
            >>> async def main():
            ...     wg = gopark.sync.WaitGroup()
            ...     wg.go(print, "working")
            ...     await wg.wait()
            ...     print("done")
            >>> gopark.run(main)
            working
            done

        Go: sync.WaitGroup.Wait.
        """
        if not self._count:
            return
        g = ongoroutine(f"wait for {shown(self)}", "gopark.block(wg.wait())")
        lock(self._sema.lock)
        try:
            if waits := self._count > 0:
                self._sema.enqueue(g)
                self._sema.park(g, "sync.WaitGroup.Wait")
        except BaseException:
            self._sema.lock.append(None)
            raise
        if not waits:
            self._sema.lock.append(None)
            return
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            self._sema.left(g, exc, _nothingowned)
            raise
        g.elem = None
        if self._count:
            raise RuntimeError(_REUSED)

    def go(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Start `fn(*args, **kwargs)` as a goroutine that counts until it has returned.

        Args:
            fn: As for `gopark.go`. An exception that it lets escape is a panic; the group
                then waits on, until the program has ended.
            args, kwargs: What it is called with.
        Raises:
            TypeError: it cannot be started so; see `gopark.go`.
        Example:
            >>> async def main():
            ...     wg = gopark.sync.WaitGroup()
            ...     wg.go(print, "hello")
            ...     await wg.wait()
            >>> gopark.run(main)
            hello

        Go: sync.WaitGroup.Go.
        """
        coro = startable("WaitGroup.go", fn, args, kwargs)
        self.add(1)
        try:
            if coro is not None:
                counted = _counted(coro, self.done)
                start(Wrapped(coro, counted, self.done), fn, (), {}, _getframe(1))
            else:
                start(None, _Counted(fn, self.done), args, kwargs, _getframe(1))
        except BaseException:
            self.done()
            raise

    # --- async with, with ----------------------------------------------------------------

    async def __aenter__(self) -> WaitGroup:
        return self

    def __aexit__(self, *exc: object) -> Awaitable[None]:
        return self.wait() if self._count else nothing

    def __enter__(self) -> WaitGroup:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._count:
            block(self.wait())


def _nothingowned(_: str | None) -> None:
    """All are woken: there is nobody to pass a wake-up on to."""


# A goroutine that panics is not done: if it were, main might return, with status 0, before
# the report is out.
_UNWOUND: Final = (Goexit, ProgramEnded, GeneratorExit)


async def _counted(coro: Coroutine[Any, Any, object], done: Callable[[], None]) -> None:
    try:
        await coro
    except _UNWOUND:
        done()
        raise
    done()


class _Counted(Watched):
    """A plain function whose end counts."""

    __slots__ = ("done", "fn")

    def __init__(self, fn: Callable[..., object], done: Callable[[], None]) -> None:
        self.fn = fn
        self.done = done

    def unbegun(self) -> None:
        self.done()

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            result = self.fn(*args, **kwargs)
        except _UNWOUND:
            self.done()
            raise
        if isinstance(result, Coroutine):  # a decorated `async def`
            return _counted(result, self.done)
        self.done()
        return None


transparent.update((_counted.__code__, _Counted.__call__.__code__))
