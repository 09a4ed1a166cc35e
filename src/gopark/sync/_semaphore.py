"""Weighted: a semaphore of which one may take several units at once.

Invariants, true whenever `_lock` is free:
  W1  0 <= _cur <= _size
  W2  the first waiter needs more than is free; those behind it wait their turn, however few
      they want: else one who wants much would wait for ever
  W3  a waiter is queued or has been granted its units, never both

Who grants takes the waiter off the queue and counts its units under the lock, then closes its
channel. A waiter that does not come back with the units (its context is done, Ctrl-C, the end of
the program) looks under the lock which of the two it was, and gives back what it had.

Locks: `_lock`, rank SEMA; a channel is closed after it is released.
Source: golang.org/x/sync/semaphore as of Go 1.27. Tests: tests/sync/test_semaphore.py
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.lockrank import Holding, Rank, Regaining, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block
from gopark.context import Context
from gopark.context._with import checked
from gopark.sync._common import nocopy

__all__ = ("Held", "Weighted")

_TOOMUCH: Final = "semaphore: released more than held"


class _Waiter:
    """Somebody's place in the queue."""

    __slots__ = ("granted", "n", "ready")

    def __init__(self, n: int) -> None:
        self.n = n
        self.granted = False  # guarded by the semaphore's lock
        self.ready: Chan[None] = Chan()


class Weighted:
    """A semaphore of `size` units: `acquire(n)` waits until n are free, first come first served.

    `async with sem:`, in plain code `with sem:`, holds one unit, `sem.held(n)` more of them.

    Args:
        size: How many units there are.
    Raises:
        ValueError: `size` is negative.
        TypeError: it is not an integer.
    Example:
        >>> async def main():
        ...     sem = gopark.sync.semaphore.Weighted(10)
        ...     async with sem, sem.held(6):
        ...         print(sem.try_acquire(4), sem.try_acquire(3))
        >>> gopark.run(main)
        False True

    Go: semaphore.Weighted, of golang.org/x/sync.
    """

    __slots__ = ("__weakref__", "_cur", "_lock", "_size", "_waiters")

    def __init__(self, size: int) -> None:
        self._size = _units("Weighted", "size", size)
        self._cur = 0
        self._lock = mkmutex(Rank.SEMA)
        self._waiters: OrderedDict[_Waiter, None] = OrderedDict()

    def __repr__(self) -> str:
        waiting = f" {len(self._waiters)} waiting" if self._waiters else ""
        return f"<Weighted {self._cur}/{self._size}{waiting} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    async def acquire(self, n: int = 1, ctx: Context | None = None) -> None:
        """Take `n` units, waiting until it is this one's turn and they are free.

        Args:
            n: How many. More than there are altogether: it waits until `ctx` is done, and
                stands in nobody's way.
            ctx: Ends the wait. What is done before the call ends it even if the units are free.
        Raises:
            Canceled: `ctx` was cancelled; no unit is held. The error is `ctx.err()`, so with a
                deadline it may be DeadlineExceeded as well.
            ValueError: `n` is negative.
            TypeError: it is not an integer, or `ctx` no context.
        Example:
            >>> async def main():
            ...     sem = gopark.sync.semaphore.Weighted(3)
            ...     await sem.acquire(2)
            ...     with gopark.context.with_timeout(gopark.context.background(), 0) as ctx:
            ...         try:
            ...             await sem.acquire(2, ctx)
            ...         except gopark.context.DeadlineExceeded as err:
            ...             print(err)
            ...     sem.release(2)
            >>> gopark.run(main)
            context deadline exceeded

        Go: semaphore.Weighted.Acquire.
        """
        _units("acquire", "weight", n)
        _context("acquire", ctx)
        done = None if ctx is None else ctx.done()
        if _isdone(done):
            raise _err(ctx)
        with Holding(self._lock):
            if self._fits(n):
                self._cur += n
                return
            waiter = _Waiter(n)
            if n <= self._size:  # else it is doomed: others shall not wait behind it
                self._waiters[waiter] = None
        try:
            index, _, _ = await select(recv(waiter.ready), recv(done))
        except BaseException:
            self._leave(waiter)
            raise
        if index == 1:
            self._leave(waiter)
            raise _err(ctx)
        if _isdone(done):  # both were ready
            self.release(n)
            raise _err(ctx)

    def try_acquire(self, n: int = 1) -> bool:
        """Take `n` units if they are free and nobody waits; False otherwise.

        Args:
            n: How many.
        Raises:
            ValueError: `n` is negative.
            TypeError: it is not an integer.
        Example:
            >>> sem = gopark.sync.semaphore.Weighted(3)
            >>> sem.try_acquire(2), sem.try_acquire(2)
            (True, False)

        Go: semaphore.Weighted.TryAcquire.
        """
        _units("try_acquire", "weight", n)
        try:
            with Holding(self._lock):
                if not self._fits(n):
                    return False
                self._cur += n
                return True
        except AmidRuntime:
            return False

    def release(self, n: int = 1) -> None:
        """Give `n` units back; those who wait for them go on. From any thread.

        Args:
            n: How many.
        Raises:
            RuntimeError: that is more than is held. Nothing is given back then.
            ValueError: `n` is negative.
            TypeError: it is not an integer.
        Example:
            >>> sem = gopark.sync.semaphore.Weighted(3)
            >>> sem.try_acquire(2)
            True
            >>> sem.release(2)

        Go: semaphore.Weighted.Release.
        """
        _units("release", "weight", n)
        try:
            with Holding(self._lock):
                if n > self._cur:
                    raise RuntimeError(f"{_TOOMUCH}: {shown(n)} of {shown(self._cur)}")
                self._cur -= n
                granted = self._grant()
        except AmidRuntime:
            return later(self.release, n)
        _tell(granted)

    def held(self, n: int = 1, ctx: Context | None = None) -> Held:
        """`async with sem.held(n):`, in plain code `with`: hold `n` units for the block.

        Args:
            n, ctx: As for `acquire`.
        Raises:
            ValueError: `n` is negative.
            TypeError: it is not an integer.
        Example:
            >>> sem = gopark.sync.semaphore.Weighted(3)
            >>> with sem.held(2):
            ...     print(sem.try_acquire(2))
            False

        Go: none; Acquire and a deferred Release.
        """
        _context("held", ctx)
        return Held(self, _units("held", "weight", n), ctx)

    def __aenter__(self) -> Awaitable[None]:
        return self.acquire()

    async def __aexit__(self, *exc: object) -> None:
        self.release()

    def __enter__(self) -> None:
        if not self.try_acquire():
            block(self.acquire())

    def __exit__(self, *exc: object) -> None:
        self.release()

    # --- with the lock held ---------------------------------------------------------------

    def _fits(self, n: int) -> bool:
        return self._size - self._cur >= n and not self._waiters

    def _grant(self) -> list[_Waiter]:
        """Those whose turn it is, for `_tell`; the first that does not fit ends the list."""
        granted = []
        while self._waiters:
            waiter = next(iter(self._waiters))
            if self._size - self._cur < waiter.n:
                break
            del self._waiters[waiter]
            waiter.granted = True
            self._cur += waiter.n
            granted.append(waiter)
        return granted

    # --- giving up ------------------------------------------------------------------------

    def _leave(self, waiter: _Waiter) -> None:
        """It waits no more: off the queue, or its units go back, and others may be next."""
        with Regaining(self._lock):
            if waiter.granted:
                self._cur -= waiter.n
            else:
                self._waiters.pop(waiter, None)
            granted = self._grant()
        _tell(granted)


class Held:
    """What `Weighted.held` returns; can be entered more than once."""

    __slots__ = ("_ctx", "_n", "_sem")

    def __init__(self, sem: Weighted, n: int, ctx: Context | None) -> None:
        self._sem = sem
        self._n = n
        self._ctx = ctx

    def __aenter__(self) -> Awaitable[None]:
        return self._sem.acquire(self._n, self._ctx)

    async def __aexit__(self, *exc: object) -> None:
        self._sem.release(self._n)

    def __enter__(self) -> None:
        block(self._sem.acquire(self._n, self._ctx))

    def __exit__(self, *exc: object) -> None:
        self._sem.release(self._n)


def _tell(granted: list[_Waiter]) -> None:
    for waiter in granted:
        waiter.ready.close()


def _units(who: str, what: str, n: object) -> int:
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"semaphore: {who}: the {what} must be an integer, got {shown(n)}")
    if n < 0:
        raise ValueError(f"semaphore: {who}: the {what} must not be negative, got {shown(n)}")
    return n


def _context(who: str, ctx: object) -> None:
    if ctx is not None:
        checked(f"Weighted.{who}", ctx)


def _isdone(done: Chan[object] | None) -> bool:
    return done is not None and done.try_recv()[2]


def _err(ctx: Context | None) -> Exception:
    err = None if ctx is None else ctx.err()
    if err is None:
        raise RuntimeError(f"semaphore: {shown(ctx)} is done, so its err() must not be None")
    return err
