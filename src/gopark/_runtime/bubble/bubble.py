"""Bubbles: goroutines with a clock of their own, which jumps when all of them wait for each other.

A goroutine of a bubble is *durably blocked* if nobody outside can wake it: in `sleep`, on a
channel or in a `select` over channels made in the bubble, in a `WaitGroup` used in it, on a `Cond`.
A mutex, C, a channel from outside are none of these: somebody outside may be the one to go on.

When every goroutine of a bubble is durably blocked, the first of these that applies is done:
  1. timers that are due run
  2. who is in `wait` goes on
  3. the clock jumps to the next timer, which runs; not once the bubble's main has ended
  4. `test` goes on: all goroutines have ended, or what is left is deadlocked
No goroutine is woken for it: the thread that parked the last one (or ended it) does it, between
two goroutines, where timers run in a program too (`Bubble.settle`).

Without `gopark.testing.synctest` nothing of this costs anything, for nothing of it is loaded. Its
import turns it on, for good (`install`), by what is put in other places:
  hooks.births           the last step of `go`: takes a goroutine into its creator's bubble
  G.__class__            a G in a bubble is a `BubbleG`. Its `status` is a property: so a bubble
                         hears of each wait, wake-up and death in the moment they happen
  chan.mkmutex           the lock of a channel made in a bubble is a `_ChanMutex`. It knows whose
                         the channel is, and lets nobody else operate on it
  hooks.timebase         a bubble in the place of the program, with its own heap of timers
  timenow.doors          `gopark.time.monotonic` and `now`

Parking, with the loop's steps in between (proc.py):
  1. `g.status` becomes waiting. The bubble counts it as blocked, if it is durably so, but counts
     itself as `active`, and puts its own unlock function around that of the primitive
  2. the primitive's unlock function: from here on others may wake it
  3. the bubble is no longer active; settle
Without `active` the bubble would look idle in step 1, while a sleep has not set its timer yet.

Invariants, true whenever `Bubble.lock` is free:
  B1  `blocked` holds exactly the Gs of the bubble that wait durably; `total` counts all its Gs
  B2  `waiter` and `root` are parked, or None; who takes them out, under the lock, owns the wake-up
  B3  the clock does not move while `active` or `total > len(blocked)`

Locks: `Bubble.lock`, rank BUBBLE: what is called under it takes no other. Reentrant, for the
collector may start a goroutine at any line. May run without a P: all of it.
Source: Go 1.27 runtime/synctest.go. Differs: the caller of `test` is no member of the bubble, and
is not woken to move the clock. Tests: tests/testing/test_synctest.py
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gopark._runtime.base import timenow
from gopark._runtime.base.errors import BubbleDeadlockError
from gopark._runtime.base.hooks import TimeBase, births, hooks
from gopark._runtime.base.lockrank import Mutex, Rank, lock, mkmutex, mkrlock
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GWAITING,
    G,
    Sched,
    Status,
    Waiter,
    allgs,
    tls,
)
from gopark._runtime.chan import chan, selectgo
from gopark._runtime.report.traceback import doors as tracebackdoors
from gopark._runtime.report.traceback import gtraceback, threadstates
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import Sema, syncfatal
from gopark._runtime.sched.startm import timebase
from gopark._runtime.sched.timer import NEVER, Timer, Timers
from gopark._runtime.scope.scope import overclass
from gopark._runtime.time import timechan, timefunc

__all__ = ("Bubble", "bubbleof", "install", "mybubble", "roots", "within")

_EPOCH: Final = 946_684_800  # midnight UTC 2000-01-01, in seconds
_ALL: Final = "deadlock: all goroutines in bubble are blocked"
_LEFT: Final = "deadlock: main bubble goroutine has exited but blocked goroutines remain"

_ids: Final = itertools.count(1)
roots: Final[dict[G, Bubble]] = {}  # who waits in `test`, for which one; read by dumps


class _TLS(threading.local):
    """The bubble whose timers this thread runs, or whose main it starts."""

    bubble: Bubble | None = None


_tls: Final = _TLS()


def mybubble() -> Bubble | None:
    """The bubble of the calling goroutine, or of the timer that runs."""
    m = tls.m
    if m is not None and isinstance(m.curg, BubbleG):
        return m.curg.bubble  # type: ignore[no-any-return]
    return _tls.bubble


class within:
    """What is started in the block is the bubble's."""

    __slots__ = ("before", "bubble")

    def __init__(self, bubble: Bubble) -> None:
        self.bubble = bubble

    def __enter__(self) -> None:
        self.before, _tls.bubble = _tls.bubble, self.bubble

    def __exit__(self, *exc: object) -> None:
        _tls.bubble = self.before


# --- a bubble ----------------------------------------------------------------------------------


class Bubble(Waiter):
    """The goroutines that come of one `test`. It is also what its root, and `wait`, wait on."""

    __slots__ = (
        "_total",
        "active",
        "blocked",
        "done",
        "exc",
        "goid",
        "id",
        "lock",
        "now",
        "over",
        "result",
        "root",
        "sched",
        "timers",
        "waiter",
        "waiting",
    )

    timers: Timers

    def __init__(self, sched: Sched) -> None:
        self.id = next(_ids)
        self.sched = sched
        self.lock = mkrlock(Rank.BUBBLE)
        self.timers = _BubbleTimers(self)
        self.now = 0.0
        self._total = 0  # goroutines
        self.blocked: set[G] = set()  # those that are durably blocked
        self.active = 1  # what keeps it from settling; at first that its root has not parked
        self.goid = 0  # of its main goroutine
        self.done = False  # that one has ended
        self.over = False  # the root goes on
        self.root: G | None = None  # the caller of `test`, while it is parked
        self.waiter: G | None = None  # the caller of `wait`, while it is parked
        self.waiting = False  # somebody is in `wait`
        self.result: Any = None
        self.exc: BaseException | None = None

    def clock(self) -> float:
        return self.now

    @property
    def ended(self) -> bool:
        """Its timers fire no more."""
        return self.over or self.sched.ended

    # --- who comes, who goes ---------------------------------------------------------------

    def adopt(self, g: G) -> None:
        """A goroutine of this bubble has been made; it is on no queue yet."""
        g.bubble = self
        with self.lock:
            self._total += 1
            if not self.goid:
                self.goid = g.goid
        g.__class__ = BubbleG

    def bury(self, g: G) -> None:
        """One has ended, and its G may become that of a goroutine elsewhere."""
        g.__class__ = G
        del g.bubble
        with self.lock:
            self._total -= 1
            self.blocked.discard(g)
            if g.goid == self.goid:
                self.done = True

    def parks(self, g: G) -> None:
        """Step 1 of parking. The P, the M and the locks are those of the loop."""
        durable = _isdurable(g, self)
        with self.lock:
            self.active += 1
            if durable:
                self.blocked.add(g)
        m = tls.m
        assert m is not None
        assert m.waitunlockf is not None
        m.waitunlockf = _Unlock(self, m.waitunlockf)

    def wakes(self, g: G) -> None:
        """Somebody who owns its wake-up is about to make it runnable."""
        if g.waitreason == "sync.Cond.Wait" and mybubble() is not self and not self.sched.ended:
            g.waiting = _NOBODY  # it has been taken off its queue: the end of the program is next
            syncfatal("semaphore wake of synctest goroutine from outside bubble")
        with self.lock:
            self.blocked.discard(g)

    # --- all are blocked ---------------------------------------------------------------------

    def activate(self) -> None:
        with self.lock:
            self.active += 1

    def deactivate(self) -> None:
        with self.lock:
            self.active -= 1
        self.settle()

    def settle(self) -> None:
        """If all are durably blocked, do the first thing that applies, and look again."""
        while True:
            with self.lock:
                if self.active or self._total > len(self.blocked) or self.ended:
                    return
                g = self._next()
                if g is None and self.timers.when > self.now:
                    return
                self.active += 1
            try:
                if g is not None:
                    ready(g)
                else:
                    self.runtimers()
            finally:
                with self.lock:
                    self.active -= 1

    def _next(self) -> G | None:
        """Whom to wake; None: a timer is due, now, or there is nobody. Lock held."""
        when = self.timers.when
        g = None
        if when <= self.now:
            return None
        if self.waiter is not None:
            g, self.waiter = self.waiter, None
        elif when is not NEVER and not self.done:
            self.now = when
        elif self.root is not None:
            g, self.root = self.root, None
            self.over = True
        if g is not None:
            g.waiting = None
        return g

    def runtimers(self) -> None:
        """Run what is due. No lock held."""
        with within(self):
            while self.timers.when <= self.now:
                self.timers.run(self.now)

    # --- the two that wait for that ----------------------------------------------------------

    def unwait(self, g: G) -> bool:
        with self.lock:
            if self.root is g:
                self.root = None
                self.over = True  # nobody waits for its end any more
            elif self.waiter is g:
                self.waiter = None
            else:
                return False
        g.waiting = None
        return True

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        with self.lock:
            return look(g) if g.waiting is self else []

    def parkroot(self, g: G) -> Callable[[None], None]:
        def unlock(_: None) -> None:
            with self.lock:
                self.root = g

        return _Unlock(self, unlock)

    def parkwaiter(self, g: G) -> Callable[[None], None]:
        """The unlock function; `parks` will put another one around it."""

        def unlock(_: None) -> None:
            with self.lock:
                self.waiter = g

        return unlock

    def deadlock(self) -> BubbleDeadlockError | None:
        """The error, if goroutines are left once it is over."""
        gs = sorted((g for g in allgs.copy() if bubbleof(g) is self), key=lambda g: g.goid)
        if not gs:
            return None
        threads = threadstates()
        stacks = "\n".join(text for g in gs if (text := gtraceback(g, threads=threads)))
        return BubbleDeadlockError(_LEFT if self.done else _ALL, stacks)


class _Unlock:
    """Steps 2 and 3 of parking. Once called it keeps nothing alive: an M does not clear it."""

    __slots__ = ("_todo",)

    def __init__(self, bubble: Bubble, unlockf: Callable[[None], object]) -> None:
        self._todo = [(bubble, unlockf)]

    def __call__(self, _: None) -> None:
        bubble, unlockf = self._todo.pop()
        unlockf(None)
        bubble.deactivate()


class _Nobody(Waiter):
    """What a goroutine waits on that nobody is going to wake."""

    __slots__ = ()

    def unwait(self, g: G) -> bool:
        g.waiting = None
        return True


_NOBODY: Final = _Nobody()


def _isdurable(g: G, bubble: Bubble) -> bool:
    """Nobody outside the bubble can end the wait that `g` is about to begin."""
    waiting = g.waiting
    match g.waitreason:
        case "sleep":
            return isinstance(waiting, Timer) and waiting.timers is bubble.timers
        case "synctest.Wait" | "sync.Cond.Wait" | "select (no cases)":
            return True
        case "sync.WaitGroup.Wait":
            return isinstance(waiting, Sema) and getattr(waiting, "bubble", None) is bubble
        case "select" if isinstance(waiting, selectgo._Selecting):
            return all(type(ch._lock) is _ChanMutex for ch in waiting.chans)
        case "select":
            return True  # over channels that are None
    return isinstance(waiting, chan.Chan) and type(waiting._lock) is _ChanMutex


# --- what stands in other places -----------------------------------------------------------------

_status: Final[Any] = G.__dict__["status"]  # the slot, or what checkmode.py has put there


class BubbleG(G):
    """A G in a bubble, for as long as its goroutine lives."""

    __slots__ = ()

    def _move(self, new: Status) -> None:
        bubble: Bubble = self.bubble
        old = _status.__get__(self)
        if new is GWAITING:
            bubble.parks(self)
        elif old is GWAITING:
            bubble.wakes(self)
        _status.__set__(self, new)
        if new is GDEAD:
            bubble.bury(self)
            bubble.settle()

    status = property(_status.__get__, _move)


overclass(BubbleG, "OverBubbleG")


class _ChanMutex(Mutex):
    """The lock of a channel made in a bubble."""

    __slots__ = ("bubble",)

    def __init__(self, bubble: Bubble) -> None:
        super().__init__([None])
        self.bubble = bubble

    def pop(self) -> None:  # type: ignore[override]
        if mybubble() is not self.bubble:
            self._outside(sys._getframe(1))
        super().pop()

    def _outside(self, frame: FrameType) -> None:
        """What a user asks for is an error; a dump, or the end of the program, may take it."""
        if frame.f_code is lock.__code__ and frame.f_back is not None:
            frame = frame.f_back
        what = _OPERATIONS.get(frame.f_code.co_name)
        if what is not None:
            self.refuse(what)

    def refuse(self, what: str) -> None:
        if not self.bubble.sched.ended:
            syncfatal(f"{what} from outside bubble")


_OPERATIONS: Final = {
    "send": "send on synctest channel",
    "try_send": "send on synctest channel",
    "recv": "receive on synctest channel",
    "recv_ok": "receive on synctest channel",
    "try_recv": "receive on synctest channel",
    "_closenow": "close of synctest channel",
    "stop": "stop of synctest timer",
    "reset": "reset of synctest timer",
}


class _BubbleTimers(Timers):
    """The timers of a bubble. What is due is run by `settle`, and by who adds what is due now."""

    __slots__ = ("bubble",)

    def __init__(self, bubble: Bubble) -> None:
        super().__init__(self._due_now, bubble.clock)
        self.bubble = bubble

    def _due_now(self) -> None:
        """In the place of waking an M: a timer was added that is the first."""
        bubble = self.bubble
        if self.when <= bubble.now and not bubble.ended:
            bubble.activate()
            try:
                bubble.runtimers()
            finally:
                bubble.deactivate()

    def due(self, now: float) -> list[tuple[Callable[[Any], object], Any]]:
        """In random order: no test is to rely on what comes first at one instant."""
        due = super().due(now)
        random.shuffle(due)
        return due

    def delete(self, t: Timer) -> bool:
        self._mine(t, "stop")
        return super().delete(t)

    def modify(self, t: Timer, when: float, arg: Any) -> tuple[bool, bool]:
        self._mine(t, "reset")
        return super().modify(t, when, arg)

    def leave(self, t: Timer, other: Timers) -> bool:
        self._mine(t, "reset")
        return super().leave(t, other)

    def _mine(self, t: Timer, what: str) -> None:
        """One of `after_func`; for others the lock of their channel sees to it."""
        if t.f is not timefunc._gofunc or mybubble() is self.bubble:
            return
        if not self.bubble.sched.ended:
            syncfatal(f"{what} of synctest timer from outside bubble")


def install() -> None:
    """Put all of it in its place, for good."""
    lockorder = selectgo._lockorder

    def born(g: G) -> None:
        bubble = mybubble()
        if bubble is not None:
            bubble.adopt(g)

    def mkmutex_(rank: Rank = Rank.CHAN) -> Mutex:
        bubble = mybubble()
        return mkmutex(rank) if bubble is None else _ChanMutex(bubble)

    def lockorder_(polled: list[selectgo.Polled]) -> list[chan.Chan[Any]]:
        for _, _, ch in polled:
            mutex = ch._lock
            if isinstance(mutex, _ChanMutex) and mybubble() is not mutex.bubble:
                mutex.refuse("select on synctest channel")
        return lockorder(polled)

    births.append(born)
    for module in (chan, timechan):
        setattr(module, "mkmutex", mkmutex_)  # noqa: B010 - mypy sees what is imported
    selectgo._lockorder = lockorder_
    hooks.timebase = _timebase
    timenow.doors.monotonic = _monotonic
    timenow.doors.walltime = _walltime
    tracebackdoors.bubble = _header


def _timebase() -> TimeBase:
    return mybubble() or timebase()


def _monotonic() -> float:
    bubble = mybubble()
    return time.monotonic() if bubble is None else bubble.now


def _walltime() -> int:
    bubble = mybubble()
    if bubble is None:
        return time.time_ns()
    return _EPOCH * 1_000_000_000 + int(bubble.now) * 1_000_000_000 + round(bubble.now % 1 * 1e9)


def bubbleof(g: G) -> Bubble | None:
    return getattr(g, "bubble", None) if isinstance(g, BubbleG) else None


def _header(g: G) -> tuple[str, str]:
    """What a dump adds to the wait reason, and to the end of the brackets."""
    bubble = bubbleof(g) or roots.get(g)
    if bubble is None:
        return "", ""
    durable = " (durable)" if g in bubble.blocked or g is bubble.root else ""
    return durable, f", synctest bubble {bubble.id}"
