"""The timer heap of a program: what runs when, by the monotonic clock.

Invariants, true whenever `Timers.lock` is free:
  T1  `when` is NEVER exactly if no timer is pending, else not later than the first of them
      (it may be the time of a dead one, for which somebody looks in vain)
  T2  an entry is alive exactly if its number is its timer's; stopping or restarting a timer
      leaves a dead entry in the heap, and the timer may have a live one beside it
  T3  once half of the entries are dead, the heap is exchanged for a new one, a few entries at
      each add and delete: no single operation is slow, and the dead are never the many for long
Locks: `Timers.lock`, rank TIMERS, reentrant. No timer's function is called under it.
Who comes in the midst: a signal handler or a finaliser, which Python may run between any two
calls, can start and stop timers in a thread that has the lock. It finds `_inside` set; then a
timer is told at once that it will run or not (`seq`), and what is to be done to the heap is
left for the one that was interrupted (`_late`, `_catchup`). Between looking at a `seq` and
storing one nothing is called, so nobody comes there.
Memory that runs out amid a change raises MemoryError, and leaves things as they were before it.
Who runs timers: any M between two goroutines, once `when` has come; and the one idle M
that sleeps until `when` (`Sched.pollm`). `when` is read without the lock: a stale value is
corrected by `wake`, which the adder calls after it has stored the new one (with a
channel's lock held it calls it after it has let go of that).

Source: Go 1.27 runtime/time.go. Left out: a heap per P. Tests: tests/runtime/test_timer.py
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from time import monotonic
from typing import Any, Final

from gopark._runtime.base.lockrank import Rank, lasting, mkrlock
from gopark._runtime.base.runtime2 import G, Waiter
from gopark._runtime.twin import native

__all__ = ("NEVER", "Timer", "Timers")

NEVER: Final = inf
_FEW: Final = 64
_STEP: Final = 8  # entries moved at each add and delete; 3 would be enough to come to an end
_BATCH: Final = 256  # timers run in one go


class Timer(Waiter):
    """Calls `f(arg)` at `when`. `f` runs on a scheduler thread: it must not wait or raise.

    It may be started again, by `modify`, before or after it has run. All but `f` is guarded
    by `timers.lock`.
    """

    __slots__ = ("arg", "f", "seq", "timers", "when")

    def __init__(self, timers: Timers, when: float, f: Callable[[Any], object], arg: Any) -> None:
        self.timers = timers
        self.when = when
        self.f = f
        self.arg = arg
        self.seq = 0  # that of its entry in the heap; 0: it is not going to run

    @property
    def pending(self) -> bool:
        return self.seq != 0

    def start(self, _: None = None) -> None:
        timers = self.timers
        if timers.add(self):
            timers.wake()

    def stop(self) -> bool:
        """True if this call kept the timer from running."""
        return self.timers.delete(self)

    def unwait(self, g: G) -> bool:
        if not self.timers.delete(self):
            return False
        g.waiting = None
        return True

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        with self.timers.lock:
            return look(g) if self.seq else []


Entry = tuple[float, int, Timer]

# Timers of one instant run in the order they were added. Over all heaps, so that an entry whose
# timer has gone to the heap of another program is dead for certain.
# Relies on: next() of a count hands out each number once.
_seq: Final = itertools.count(1)


class Timers:
    """All timers of one program, or of a bubble (bubble.py), and the clock that they go by."""

    __slots__ = (
        "_heap",
        "_inside",
        "_late",
        "_ndead",
        "_old",
        "armed",
        "clock",
        "lock",
        "wake",
        "when",
    )

    def __init__(self, wake: Callable[[], object], clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.lock = lasting(mkrlock(Rank.TIMERS))
        self.when: float = NEVER
        self.armed: list[bool] = []  # not empty while there is an entry: the loop's quick look
        self._heap: list[Entry] = []
        self._old: list[Entry] = []  # a heap that is being moved to the other
        self._ndead = 0
        self._inside = False  # the heap is being changed, by the thread that has the lock
        self._late: deque[Entry | None] = deque()  # entries to put; None: one that is dead
        self.wake = wake  # to be called, with no lock held, when `add` or `modify` says so

    def __bool__(self) -> bool:
        return self.when is not NEVER

    def __len__(self) -> int:
        return len(self._heap) + len(self._old)

    def add(self, t: Timer) -> bool:
        """Start a timer that is not pending. True: it is the first now, and the caller wakes."""
        with self.lock:
            seq = next(_seq)
            when = t.when
            if self._inside:
                self._late.append((when, seq, t))
                t.seq = seq
                return False
            self._inside = True
            try:
                first = when < self.when
                if first:
                    self.armed[:] = (True,)
                t.seq = seq
                heappush(self._heap, (when, seq, t))  # from here on as _put, in line: 3 %
                if self._old:
                    self._move()
                if first:
                    self.when = when
            except MemoryError:
                t.seq = 0
                raise
            finally:
                self._inside = False
            return self._catchup(first) if self._late else first

    def delete(self, t: Timer) -> bool:
        """Stop a timer; True if it was going to run."""
        first = False
        with self.lock:
            if not t.seq or t.timers is not self:
                return False
            t.seq = 0
            arg = t.arg  # dies with this call, not under the lock; and not with the dead entry
            t.arg = None
            if self._inside:
                self._late.append(None)
                return True
            self._inside = True
            try:
                self._ndead += 1  # from here on as _dropped, in line
                if self._old:
                    self._move()
                elif self._ndead > len(self._heap) // 2 + _FEW:
                    self._old, self._heap = self._heap, []
                if t.when <= self.when or self._ndead == len(self._heap) + len(self._old):
                    self._settle(_STEP)
            finally:
                self._inside = False
            if self._late:
                first = self._catchup(False)
        if first:
            self.wake()
        del arg
        return True

    def modify(self, t: Timer, when: float, arg: Any) -> tuple[bool, bool]:
        """Let it run at `when`, pending or not: whether it was, and whether the caller wakes."""
        with self.lock:
            seq = next(_seq)
            entry = when, seq, t
            before = t.when, t.arg, t.seq
            pending = t.seq != 0
            t.when = when
            t.arg = arg
            t.seq = seq
            if self._inside:
                self._late.append(entry)
                if pending:
                    self._late.append(None)
                return pending, False
            self._inside = True
            try:
                first = self._put(entry)
                if pending:
                    self._dropped(before[0])
            except MemoryError:
                if t.seq == seq:
                    t.when, t.arg, t.seq = before
                raise
            finally:
                self._inside = False
            return pending, self._catchup(first) if self._late else first

    def leave(self, t: Timer, other: Timers) -> bool:
        """It goes over to another program, not pending there yet; True if it was here."""
        pending = self.delete(t)
        with self.lock:
            if t.timers is self:
                t.timers = other
        return pending

    def _put(self, entry: Entry) -> bool:
        when = entry[0]
        first = when < self.when
        if first:
            self.armed[:] = (True,)
        heappush(self._heap, entry)
        if self._old:
            self._move()
        if first:
            self.when = when
        return first

    def _dropped(self, when: float) -> None:
        """An entry for that time is dead from here on."""
        self._ndead += 1
        if self._old:
            self._move()
        elif self._ndead > len(self._heap) // 2 + _FEW:
            self._old, self._heap = self._heap, []
        if when <= self.when or self._ndead == len(self._heap) + len(self._old):
            self._settle(_STEP)

    def _catchup(self, first: bool) -> bool:
        """Do what came in the midst of something, before the lock is let go of."""
        while self._late:
            self._inside = True
            try:
                while self._late:
                    entry = self._late[0]
                    if entry is None:
                        self._ndead += 1
                    else:
                        first = self._put(entry) or first
                    self._late.popleft()
                self._settle(_STEP)
            finally:
                self._inside = False
        return first

    def _move(self) -> None:
        """A few entries of the old heap go to the new one, the dead ones nowhere.

        The last entry of a heap can be taken off and what is left is a heap. So the dead are
        got rid of a few at a time: all at once would take 0.1 s for 100,000 timers.
        """
        old = self._old
        for _ in range(min(_STEP, len(old))):
            entry = old[-1]
            if entry[2].seq == entry[1]:
                try:
                    heappush(self._heap, entry)
                except MemoryError:
                    return  # there is time for it
                old.pop()
            else:
                old.pop()
                self._ndead -= 1

    def _settle(self, most: int) -> None:
        """Drop the dead in front, but not more than that, and see what is the first entry now."""
        when = NEVER
        if self._ndead == len(self._heap) + len(self._old):
            self._heap.clear()
            self._old.clear()
            self._ndead = 0
        for heap in (self._heap, self._old):
            while most and heap and heap[0][2].seq != heap[0][1]:
                heappop(heap)
                self._ndead -= 1
                most -= 1
            if heap:
                when = min(when, heap[0][0])
        self.when = when
        self.armed[:] = () if when is NEVER else (True,)

    def run(self, now: float) -> None:
        """Run what is due, a number of them at a time. Called between two goroutines, no lock held.

        What is left of more than that is due still, and the caller comes again.
        """
        for f, arg in self.due(now):
            f(arg)

    def due(self, now: float) -> list[tuple[Callable[[Any], object], Any]]:
        """Take those off that are due, the first of them at least: what to call, with what."""
        due: list[tuple[Callable[[Any], object], Any]] = []
        first = False
        with self.lock:
            self._inside = True
            try:
                while self.when <= now and len(due) < _BATCH:
                    _, seq, t = heappop(self._first())
                    if t.seq == seq:
                        t.seq = 0
                        f, arg = t.f, t.arg
                        t.arg = None
                        due.append((f, arg))
                    else:
                        self._ndead -= 1
                    self._settle(_BATCH)
            finally:
                self._inside = False
            if self._late:
                first = self._catchup(False)
        if first:
            self.wake()
        return due

    def _first(self) -> list[Entry]:
        """The heap with the first entry."""
        heap, old = self._heap, self._old
        return heap if heap and (not old or heap[0] < old[0]) else old


if native is not None:
    native.install(never=NEVER, monotonic=monotonic)
    Timer, Timers = native.Timer, native.Timers  # type: ignore[misc]
