"""Cond: wait, with a lock given up meanwhile, until another goroutine says to look again.

A waiter gets its place in the queue before it unlocks: whoever changes something after that,
with the lock, will find it there. Between the unlock and its parking it may have been
signalled already; its ticket says so, and then it does not park at all.

  wait, a ticket's life          signal, broadcast
  1. queued, with the lock       1. takes tickets off the queue, under the Sema's lock
  2. unlocks the locker          2. parked: the G is the taker's, who wakes it
  3. parked, unless taken        3. not yet: nothing to do, step 3 of the other side sees it

Who owns a wake-up: who took the ticket off. A waiter that is ended by an exception after a
`signal` has taken its ticket signals the next one. It locks the locker all the same, as far as
that can be done, for the block around `wait` will unlock it.

Locks: `_sema.lock`, rank SEMA; never held while the locker is locked or unlocked.
Source: Go 1.27 sync/cond.go, runtime/sema.go (notifyList). Tests: tests/sync/test_cond.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.lockrank import Holding, Rank, Regaining, lock, mkmutex
from gopark._runtime.base.lockrank import Mutex as Lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, Waiter, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.report.traceback import calling
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import ongoroutine
from gopark._runtime.scope.scope import scopeof, shelter
from gopark.sync._common import PROGRAMENDS, nocopy
from gopark.sync._mutex import Locker

__all__ = ("Cond",)

L = TypeVar("L", bound=Locker)

_noshelter: Final = nullcontext()


class _Ticket:
    """A waiter's place in the queue."""

    __slots__ = ("g", "parked", "signalled", "taken")

    def __init__(self, g: G) -> None:
        self.g = g
        self.parked = False  # the three are guarded by the lock of the queue
        self.taken = False
        self.signalled = False  # by `signal`: one that does not come back owes it to the next


class _NotifyList(Waiter):
    """The tickets, first come first."""

    __slots__ = ("lock", "tickets")

    def __init__(self) -> None:
        self.lock: Lock = mkmutex(Rank.SEMA)
        self.tickets: deque[_Ticket] = deque()

    def take(self) -> _Ticket:
        """The first. Caller holds the lock and wakes its G, if that is parked."""
        ticket = self.tickets.popleft()
        ticket.taken = True
        if ticket.parked:
            ticket.g.waiting = None
        return ticket

    def wakers(self) -> list[Any] | None:
        return [self]

    def unwait(self, g: G) -> bool:
        with Holding(self.lock):
            for ticket in self.tickets:
                if ticket.g is g and ticket.parked:
                    self.tickets.remove(ticket)
                    g.waiting = None
                    return True
        return False

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        with Holding(self.lock):
            return look(g) if g.waiting is self else []


class Cond(Generic[L]):
    """Waits until another goroutine has changed something that a lock protects.

    Hold the lock and wait in a loop: `while not ready: await cond.wait()`.

    Args:
        locker: A `Mutex`, an `RWMutex`, what its `reader()` gives, or any other `Locker`.
    Raises:
        TypeError: it is none.
    Example:
        >>> async def main():
        ...     cond, ready = gopark.sync.Cond(gopark.sync.Mutex()), []
        ...     async def get_ready():
        ...         async with cond.locker:
        ...             ready.append("yes")
        ...         cond.signal()
        ...     gopark.go(get_ready)
        ...     async with cond.locker:
        ...         while not ready:
        ...             await cond.wait()
        ...     print(ready)
        >>> gopark.run(main)
        ['yes']

    Go: sync.Cond, sync.NewCond.
    """

    __slots__ = ("__weakref__", "_checker", "_list", "locker")

    locker: L

    def __init__(self, locker: L) -> None:
        if not all(callable(getattr(locker, name, None)) for name in ("lock", "unlock")):
            raise TypeError(
                f"Cond() needs a locker, got {shown(locker)}: gopark.sync.Mutex(), or what has the "
                "methods lock and unlock"
            )
        self.locker = locker
        self._list = _NotifyList()
        self._checker = 0  # once it has been used: its identity, which a copy has not

    def __repr__(self) -> str:
        return f"<Cond of {self.locker!r}, {len(self._list.tickets)} waiting, at {id(self):#x}>"

    def __copy__(self) -> Cond[L]:
        copied = Cond(self.locker)
        copied._checker = self._checker
        return copied

    __reduce_ex__ = nocopy

    def _check(self) -> None:
        if not self._checker:
            self._checker = id(self)
        elif self._checker != id(self):
            raise RuntimeError("sync.Cond is copied")

    @suspends
    def wait(self) -> Generator[Command, None, None]:
        """Unlock the locker, wait for `signal` or `broadcast`, and lock it again.

        The caller holds the lock. What it waits for may have gone again when it returns.

        Raises:
            RuntimeError: this is a copy of a Cond that was in use.
            FatalError: the locker is not locked. That ends the program, as in Go.
            NotOnGError: the thread runs no goroutine.
        Example:
            >>> async def main():
            ...     cond = gopark.sync.Cond(gopark.sync.Mutex())
            ...     gopark.go(cond.signal)
            ...     async with cond.locker:
            ...         await cond.wait()
            ...     print("signalled")
            >>> gopark.run(main)
            signalled

        Go: sync.Cond.Wait.
        """
        self._check()
        g = ongoroutine(f"wait for {shown(self)}", "gopark.block(cond.wait())")
        ticket = _Ticket(g)
        waiting = self._list
        with Holding(waiting.lock):
            waiting.tickets.append(ticket)
        unlocked = False
        try:
            _unlock(self.locker)
            unlocked = True
            lock(waiting.lock)
            if ticket.taken:
                waiting.lock.append(None)
            else:
                ticket.parked = True
                self._park(g)
                _ = None is (None is (yield PARK))
        except BaseException as exc:
            try:
                self._left(ticket, exc)
            finally:
                if not unlocked:
                    pass  # it was that which failed
                elif isinstance(exc, GeneratorExit):
                    self._relock_nowait()
                else:
                    yield from self._relock(g)
            raise
        yield from self._relock(g)

    def _park(self, g: G) -> None:
        m = tls.m
        assert m is not None
        g.waiting = self._list
        g.waitreason = "sync.Cond.Wait"
        m.waitunlockf = self._list.lock.append

    def _left(self, ticket: _Ticket, exc: BaseException) -> None:
        """A waiter does not come back: off the queue, and its signal to the next."""
        try:
            if ticket.parked:
                notparked(self._list, exc)
        finally:
            with Regaining(self._list.lock):
                if not ticket.taken and ticket in self._list.tickets:
                    self._list.tickets.remove(ticket)
            if ticket.signalled:
                self.signal()

    def _relock(self, g: G) -> Generator[Any, None, None]:
        """Lock the locker. What is raised in that wait from outside, by Ctrl-C or a signal handler,
        is no reason not to, and is raised after. A scope that is over waits with that as well."""
        with shelter() if scopeof(g) is not None else _noshelter:
            interrupt = None
            while True:
                told: list[BaseException] = []
                try:
                    yield from _waiting(self.locker.lock().__await__(), told)
                except PROGRAMENDS:
                    raise
                except BaseException as exc:
                    if not told or exc is not told[-1]:
                        raise
                    interrupt = exc
                    continue
                if interrupt is not None:
                    raise interrupt
                return

    def _relock_nowait(self) -> None:
        """The coroutine is being closed: the block around `wait` is to find the lock taken."""
        try_lock = getattr(self.locker, "try_lock", None)
        if try_lock is not None:
            try_lock()

    def signal(self) -> None:
        """Wake the goroutine that has waited longest, if any. The lock may be held or not.

        Raises:
            RuntimeError: this is a copy of a Cond that was in use.
        Example:
            >>> gopark.sync.Cond(gopark.sync.Mutex()).signal()

        Go: sync.Cond.Signal.
        """
        self._check()
        if not self._list.tickets:
            return
        try:
            with Holding(self._list.lock):
                if not self._list.tickets:
                    return
                ticket = self._list.take()
                ticket.signalled = True
        except AmidRuntime:
            return later(self.signal)
        if ticket.parked:
            ready(ticket.g)

    def broadcast(self) -> None:
        """Wake all goroutines that wait. The lock may be held or not.

        Raises:
            RuntimeError: this is a copy of a Cond that was in use.
        Example:
            >>> gopark.sync.Cond(gopark.sync.Mutex()).broadcast()

        Go: sync.Cond.Broadcast.
        """
        self._check()
        if not self._list.tickets:
            return
        taken = []
        try:
            with Holding(self._list.lock):
                while self._list.tickets:
                    taken.append(self._list.take())
        except AmidRuntime:
            return later(self.broadcast)
        for ticket in taken:
            if ticket.parked:
                ready(ticket.g)


def _waiting(
    steps: Generator[Any, None, Any], told: list[BaseException]
) -> Generator[Any, None, None]:
    """`yield from steps`, and what is raised in it from outside onto `told`."""
    step: Callable[..., Any] = steps.send
    value: Any = None
    while True:
        try:
            command = step(value)
        except StopIteration:
            return
        step, value = steps.send, None
        try:
            yield command
        except BaseException as exc:
            told.append(exc)
            step, value = steps.throw, exc


def _unlock(locker: Locker) -> None:
    """A locker of the user's own may wait there: this frame holds nothing."""
    locker.unlock()


calling.add(_unlock.__code__)
