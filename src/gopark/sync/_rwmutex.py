"""RWMutex: many readers, or one writer.

Writers first settle among themselves who is next: `_w`, a Mutex, is held by the one that has
the lock or is about to have it. That one then announces itself (`_writer`): from here on new
readers wait, those inside are waited for, and the last of them lets the writer in. When the
writer leaves, all readers that wait are let in together, and the next writer is not before
their turn: so neither side starves the other.

Invariants, true whenever `_lock` is free:
  R1  a reader waits  => a writer has announced itself
  R2  a writer waits in `_writeq`  => it has announced itself, and there are readers inside
  R3  `_writer` and no readers inside  => the writer has the lock, or is on its way with it

Who owns a wake-up: who is taken off a queue here has the lock already (`HANDOFF`). If it does
not come back, it unlocks; a writer that gives up while it waits takes its announcement back.

Locks: `_lock`, rank SEMA, of both queues. `_w` is taken before it and given back after.
Source: Go 1.27 sync/rwmutex.go. Tests: tests/sync/test_rwmutex.py
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.lockrank import Mutex as Lock
from gopark._runtime.base.lockrank import Rank, lockslow, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import HANDOFF, Sema, ongoroutine, syncfatal
from gopark.sync._common import nocopy, nothing
from gopark.sync._mutex import Mutex

__all__ = ("RWMutex",)

_UNLOCKED: Final = "sync: Unlock of unlocked RWMutex"
_RUNLOCKED: Final = "sync: RUnlock of unlocked RWMutex"
_BLOCK: Final = "gopark.block(rw.{}()) or `with`"


class RWMutex:
    """A lock that any number of readers hold together, or one writer alone.

    `async with rw:` and `with rw:` write, `async with rw.reader():` and `with rw.reader():`
    read. A writer that waits keeps new readers out; so do not take the read lock again while
    you hold it.

    Example:
        >>> async def main():
        ...     rw = gopark.sync.RWMutex()
        ...     async with rw.reader():
        ...         print(rw.try_rlock(), rw.try_lock())
        >>> gopark.run(main)
        True False

    Go: sync.RWMutex.
    """

    __slots__ = ("__weakref__", "_lock", "_readers", "_readq", "_w", "_writeq", "_writer")

    def __init__(self) -> None:
        self._lock: Lock = mkmutex(Rank.SEMA)
        self._readq = Sema(self._lock)
        self._writeq = Sema(self._lock)
        self._w = Mutex()
        self._readers = 0  # inside
        self._writer = False  # one has announced itself, or is inside

    def __repr__(self) -> str:
        readers, writer = self._readers, self._writer
        state = f"{readers} reading" if readers else "writing" if writer else "unlocked"
        return f"<RWMutex {state} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    # --- read ----------------------------------------------------------------------------

    @suspends
    def rlock(self) -> Generator[Command, None, None]:
        """Take the lock for reading, waiting while a writer has it or waits for it.

        Raises:
            NotOnGError: it has to wait, and the thread runs no goroutine.
        Example:
            >>> async def main():
            ...     rw = gopark.sync.RWMutex()
            ...     await rw.rlock()
            ...     rw.runlock()
            >>> gopark.run(main)

        Go: sync.RWMutex.RLock.
        """
        g: G | None = None
        try:
            self._lock.pop()
        except IndexError:
            lockslow(self._lock)
        try:
            if self._writer:
                me = ongoroutine(f"rlock of {shown(self)}", _BLOCK.format("rlock"))
                self._readq.enqueue(me)
                self._readq.park(me, "sync.RWMutex.RLock")
                g = me
                _ = None is (None is (yield PARK))
                g.elem = None
                return
            self._readers += 1
        except BaseException as exc:
            if g is None:
                self._lock.append(None)
            else:
                self._readq.left(g, exc, self._readerleft)
            raise
        self._lock.append(None)

    def _readerleft(self, given: str | None) -> None:
        """A reader does not come back from its wait."""
        if given is HANDOFF:
            self.runlock()

    def try_rlock(self) -> bool:
        """Take the lock for reading if that needs no waiting. For plain and async code.

        Example:
            >>> rw = gopark.sync.RWMutex()
            >>> rw.try_rlock(), rw.try_rlock()
            (True, True)

        Go: sync.RWMutex.TryRLock.
        """
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                return False
        free = not self._writer
        if free:
            self._readers += 1
        self._lock.append(None)
        return free

    def runlock(self) -> None:
        """Give the lock back after reading; the last reader lets a writer in that waits.

        Raises:
            FatalError: nobody reads. That ends the program, as in Go.
        Example:
            >>> rw = gopark.sync.RWMutex()
            >>> rw.try_rlock()
            True
            >>> rw.runlock()

        Go: sync.RWMutex.RUnlock.
        """
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                return later(self.runlock)
        g = None
        try:
            readers = self._readers
            if readers:
                self._readers = readers - 1
                if readers == 1 and self._writer:
                    g = self._writeq.dequeue(HANDOFF)
        finally:
            self._lock.append(None)
        if not readers:
            syncfatal(_RUNLOCKED)
        if g is not None:
            ready(g)

    def reader(self) -> RLocker:
        """The same lock with `lock` and `unlock` for reading: for `async with`, `with`, `Cond`.

        Example:
            >>> rw = gopark.sync.RWMutex()
            >>> with rw.reader():
            ...     print(rw.try_lock())
            False

        Go: sync.RWMutex.RLocker.
        """
        return RLocker(self)

    # --- write ---------------------------------------------------------------------------

    @suspends
    def lock(self) -> Generator[Command, None, None]:
        """Take the lock for writing, waiting until nobody reads or writes.

        Raises:
            NotOnGError: it has to wait, and the thread runs no goroutine.
        Example:
            >>> async def main():
            ...     rw = gopark.sync.RWMutex()
            ...     await rw.lock()
            ...     rw.unlock()
            >>> gopark.run(main)

        Go: sync.RWMutex.Lock.
        """
        if not self._w.try_lock():
            yield from self._w._lockslow()
        g: G | None = None
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except BaseException:
                self._w.unlock()
                raise
        try:
            if self._readers:
                me = ongoroutine(f"lock of {shown(self)}", _BLOCK.format("lock"))
                self._writeq.enqueue(me)
                self._writeq.park(me, "sync.RWMutex.Lock")
                self._writer = True
                g = me
                _ = None is (None is (yield PARK))
                g.elem = None
                return
            self._writer = True
        except BaseException as exc:
            if g is None:
                self._lock.append(None)
                self._w.unlock()
            else:
                self._writeq.left(g, exc, self._writerleft)
            raise
        self._lock.append(None)

    def _writerleft(self, _: str | None) -> None:
        """A writer does not come back from its wait, whether it got the lock meanwhile or not."""
        self._letin()

    def _letin(self) -> None:
        """The writer is gone: all readers that wait come in, and then the next writer may."""
        woken = []
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                return later(self._letin)
        self._writer = False
        while self._readq.waiters and (g := self._readq.dequeue(HANDOFF)) is not None:
            woken.append(g)
        self._readers += len(woken)
        self._lock.append(None)
        for g in woken:
            ready(g)
        self._w.unlock()  # not before: what is done late would be done to the next writer

    def try_lock(self) -> bool:
        """Take the lock for writing if nobody reads or writes. For plain and async code.

        Example:
            >>> rw = gopark.sync.RWMutex()
            >>> rw.try_lock(), rw.try_lock(), rw.try_rlock()
            (True, False, False)

        Go: sync.RWMutex.TryLock.
        """
        if not self._w.try_lock():
            return False
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                self._w.unlock()
                return False
        free = not self._readers
        if free:
            self._writer = True
        self._lock.append(None)
        if not free:
            self._w.unlock()
        return free

    def unlock(self) -> None:
        """Give the lock back after writing; readers that wait come in, then the next writer.

        Raises:
            FatalError: nobody writes. That ends the program, as in Go.
        Example:
            >>> rw = gopark.sync.RWMutex()
            >>> rw.try_lock()
            True
            >>> rw.unlock()

        Go: sync.RWMutex.Unlock.
        """
        # Without the lock: who may unlock has it, so nobody changes either meanwhile.
        if not self._writer or self._readers:
            syncfatal(_UNLOCKED)
        self._letin()

    # --- async with, with ----------------------------------------------------------------

    def __aenter__(self) -> Awaitable[None]:
        return nothing if self.try_lock() else self.lock()

    def __aexit__(self, *exc: object) -> Awaitable[None]:
        self.unlock()
        return nothing

    def __enter__(self) -> None:
        if not self.try_lock():
            block(self.lock())

    def __exit__(self, *exc: object) -> None:
        self.unlock()


class RLocker:
    """The reading side of an RWMutex as a `Locker`; made by `RWMutex.reader`."""

    __slots__ = ("rw",)

    def __init__(self, rw: RWMutex) -> None:
        self.rw = rw

    def __repr__(self) -> str:
        return f"{self.rw!r}.reader()"

    def lock(self) -> Awaitable[None]:
        return self.rw.rlock()

    def try_lock(self) -> bool:
        return self.rw.try_rlock()

    def unlock(self) -> None:
        self.rw.runlock()

    def __aenter__(self) -> Awaitable[None]:
        return nothing if self.rw.try_rlock() else self.rw.rlock()

    def __aexit__(self, *exc: object) -> Awaitable[None]:
        self.rw.runlock()
        return nothing

    def __enter__(self) -> None:
        if not self.rw.try_rlock():
            block(self.rw.rlock())

    def __exit__(self, *exc: object) -> None:
        self.rw.runlock()
