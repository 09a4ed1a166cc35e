"""Queues of parked Gs: what everything in `gopark.sync` waits on.

A `Sema` is a queue and its short lock. Who must wait takes the lock, finds that it has to,
calls `park` and yields PARK; the lock is let go by the scheduler once the G waits (proc.py,
"Parking, exactly once"). Who has something for a waiter takes the lock, calls `dequeue`,
lets the lock go and calls `ready`.

Invariants, true whenever `Sema.lock` is free:
  S1  a G on the queue is waiting, or about to be, and its `waiting` is this Sema
  S2  a G that has been taken off has no `waiting`; who took it off owns its wake-up

What a wake-up means is left in `g.elem` by who dequeues it, so that a waiter which does not
come back (Ctrl-C, the end of the program) can tell whether it owns something that it has to
pass on: see `left`.

Unlike Go's there is no table of semaphores by address, and no count: an address is an object
here, which has its Sema, and what is counted is counted under its lock.

Locks: `Sema.lock`, rank SEMA; never two at once. Several Semas may share one lock. A G is made
ready after it is released.
May run without a P: all of it.
Source: Go 1.27 runtime/sema.go, panic.go (sync_fatal). Tests: tests/runtime/test_sema.py
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

from gopark._runtime.base.errors import FatalError, NotOnGError
from gopark._runtime.base.lockrank import Holding, Mutex, Rank, Regaining, mkmutex
from gopark._runtime.base.runtime1 import gotraceback
from gopark._runtime.base.runtime2 import G, Sched, Waiter, callers, getg, tls
from gopark._runtime.report.printpanics import pendingtext
from gopark._runtime.report.traceback import gtraceback, handled, tracebackothers
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.panic import fatal, printreport
from gopark._runtime.sched.startm import current
from gopark._runtime.twin import Ring, SemaBase, native, slots

__all__ = ("HANDOFF", "WOKEN", "Sema", "syncfatal")

# In `g.elem`, from who took the G off the queue.
HANDOFF: Final = "handoff"  # what it waited for is its own now
WOKEN: Final = "woken"  # it may try again


class Sema(SemaBase, Waiter):
    """A queue of parked Gs, first come first served unless one is put at the front."""

    __slots__ = slots(SemaBase, "bubble", "lock", "waiters")

    bubble: Any  # set in a bubble alone: bubble.py
    lock: Mutex
    # Made when the first one waits, for it takes half a KB. Read without the lock by those
    # who look whether anybody waits at all.
    waiters: deque[G] | tuple[()]

    def __init__(self, lock: Mutex | None = None) -> None:
        self.lock = mkmutex(Rank.SEMA) if lock is None else lock
        self.waiters = ()

    # --- with the lock held --------------------------------------------------------------

    def enqueue(self, g: G, front: bool = False) -> None:
        queue = self.waiters
        if isinstance(queue, tuple):
            queue = self.waiters = Ring()
        if front:
            queue.appendleft(g)
        else:
            queue.append(g)

    def leave(self, front: bool) -> None:
        """Undo an `enqueue` under the same hold of the lock."""
        if front:
            self.waiters.popleft()  # type: ignore[union-attr]
        else:
            self.waiters.pop()  # type: ignore[union-attr]

    def park(self, g: G, reason: str) -> None:
        """The calling G, which is on the queue, is to wait; the caller goes on to yield PARK."""
        m = tls.m
        assert m is not None
        g.waiting = self
        g.waitreason = reason
        m.waitunlockf = self.lock.append

    def dequeue(self, elem: str) -> G | None:
        """The first waiter, told what it is woken for; the caller owns its wake-up."""
        queue = self.waiters
        if not queue:
            return None
        g = queue.popleft()
        g.waiting = None
        g.elem = elem
        return g

    def discard(self, g: G) -> bool:
        """Take out one that gives up. O(n): only at an interrupt and at the end."""
        try:
            self.waiters.remove(g)  # type: ignore[union-attr]
        except (ValueError, AttributeError):
            return False
        return True

    # --- after the wait, and from outside ------------------------------------------------

    def left(self, g: G, exc: BaseException, passon: Callable[[str | None], object]) -> None:
        """The wait of `g` has ended by an exception: what it had been given has to be passed on."""
        try:
            notparked(self, exc)
        finally:
            given, g.elem = g.elem, None
            passon(given)

    def wakers(self) -> list[Any] | None:
        return [self]

    def unwait(self, g: G) -> bool:
        with Regaining(self.lock):
            if not self.discard(g):
                return False
            g.waiting = None
            return True

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        # Who takes a G off the queue clears its `waiting`, under the same lock.
        with Holding(self.lock):
            return look(g) if g.waiting is self else []


if native is not None:
    native.install(sema=Sema, handoff=HANDOFF, woken=WOKEN)
    # Those of its base stand for them.
    del Sema.dequeue, Sema.discard, Sema.enqueue, Sema.leave, Sema.park


def ongoroutine(what: str, instead: str) -> G:
    """The calling goroutine, which is about to wait."""
    g = getg()
    if g is None:
        raise NotOnGError(
            f"{what} has to wait, and this thread runs no goroutine: in plain code use "
            f"{instead}; under another event loop the goroutine needs a thread of its own"
        )
    return g


def syncfatal(text: str) -> NoReturn:
    """A user's mistake that leaves nothing to rely on: report it and end the program.

    The FatalError is raised as well, so that the goroutine that made the mistake stops here.
    Where no program runs, in a thread of its own, that is all that ends. Go: sync_fatal.
    """
    err = FatalError(f"fatal error: {text}")
    sched = _program()
    if sched is None or not sched.ended:
        g, frame = getg(), sys._getframe(1)
        stack = "" if g is None else "\n" + gtraceback(g, handled(callers(frame)))
        report = f"{pendingtext(sys.exception(), frame)}{err.message}\n{stack}"
        if gotraceback().all and (others := tracebackothers(g)):
            report += f"\n{others}"
        if sched is None:
            printreport(report)
        else:
            fatal(sched, err, report)
    raise FatalError(err.message)  # `err` itself is for `run` to raise, on another thread


def _program() -> Sched | None:
    """The one this thread runs a goroutine of, even if it has ended, else the one that runs."""
    m = tls.m
    if m is not None and m.sched is not None and m.g is None:
        return m.sched
    return current()
