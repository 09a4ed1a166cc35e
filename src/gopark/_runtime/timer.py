"""The timer heap of a program: what runs when, by the monotonic clock.

Invariants, true whenever `Timers.lock` is free:
  T1  `when` is NEVER exactly if no timer is pending, else not later than the first of them
      (it may be the time of a dead one, for which somebody looks in vain)
  T2  a timer is pending exactly if it will run; stopping one leaves a dead entry in the heap
  T3  once half of the entries are dead, the heap is exchanged for a new one, a few entries at
      each add and delete: no single operation is slow, and the dead are never the many for long
Locks: `Timers.lock`, rank TIMERS. No timer's function is called under it.
Who runs timers: any M between two goroutines, once `when` has come; and the one idle M
that sleeps until `when` (`Sched.pollm`). `when` is read without the lock: a stale value is
corrected by `wake`, which the adder calls after it has stored the new one.

Source: Go 1.27 runtime/time.go. Left out: a heap per P. Tests: tests/runtime/test_timer.py
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from math import inf
from typing import Any, Final

from gopark._runtime.lockrank import Rank, mklock
from gopark._runtime.runtime2 import G, Waiter

__all__ = ("NEVER", "Timer", "Timers")

NEVER: Final = inf
_FEW: Final = 64
_STEP: Final = 8  # entries moved at each add and delete; 3 would be enough to come to an end
_BATCH: Final = 256  # timers run in one go


class Timer(Waiter):
    """Calls `f(arg)` once at `when`. `f` runs on a scheduler thread: it must not wait or raise."""

    __slots__ = ("arg", "f", "pending", "timers", "when")

    def __init__(self, timers: Timers, when: float, f: Callable[[Any], object], arg: Any) -> None:
        self.timers = timers
        self.when = when
        self.f = f
        self.arg = arg
        self.pending = False  # guarded by timers.lock

    def start(self, _: None = None) -> None:
        self.timers.add(self)

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
            return look(g) if self.pending else []


Entry = tuple[float, int, Timer]


class Timers:
    """All timers of one program."""

    __slots__ = ("armed", "_heap", "_ndead", "_old", "_seq", "_wake", "lock", "when")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.lock = mklock(Rank.TIMERS)
        self.when: float = NEVER
        self.armed: list[bool] = []  # not empty while there is an entry: the loop's quick look
        self._heap: list[Entry] = []
        self._old: list[Entry] = []  # a heap that is being moved to the other
        self._seq = itertools.count()  # timers of one instant run in the order they were added
        self._ndead = 0
        self._wake = wake

    def __bool__(self) -> bool:
        return self.when is not NEVER

    def __len__(self) -> int:
        return len(self._heap) + len(self._old)

    def add(self, t: Timer) -> None:
        with self.lock:
            t.pending = True
            heapq.heappush(self._heap, (t.when, next(self._seq), t))
            if self._old:
                self._move()
            first = t.when < self.when
            if first:
                self.when = t.when
                self.armed[:] = (True,)
        if first:
            self._wake()

    def delete(self, t: Timer) -> bool:
        with self.lock:
            if not t.pending:
                return False
            t.pending = False
            t.arg = None  # a stopped timer keeps nothing alive while its entry waits for removal
            self._ndead += 1
            if self._old:
                self._move()
            elif self._ndead > len(self._heap) // 2 + _FEW:
                self._old, self._heap = self._heap, []
            if t.when <= self.when or self._ndead == len(self):
                self._settle(_STEP)
            return True

    def _move(self) -> None:
        """A few entries of the old heap go to the new one, the dead ones nowhere.

        The last entry of a heap can be taken off and what is left is a heap. So the dead are
        got rid of a few at a time: all at once would take 0.1 s for 100,000 timers.
        """
        old = self._old
        for _ in range(min(_STEP, len(old))):
            entry = old.pop()
            if entry[2].pending:
                heapq.heappush(self._heap, entry)
            else:
                self._ndead -= 1

    def _settle(self, most: int) -> None:
        """Drop the dead in front, but not more than that, and see what is the first entry now."""
        when = NEVER
        if self._ndead == len(self):
            self._heap.clear()
            self._old.clear()
            self._ndead = 0
        for heap in (self._heap, self._old):
            while most and heap and not heap[0][2].pending:
                heapq.heappop(heap)
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
        due: list[Timer] = []
        with self.lock:
            while self.when <= now and len(due) < _BATCH:
                entry = heapq.heappop(self._first())
                if entry[2].pending:
                    entry[2].pending = False
                    due.append(entry[2])
                else:
                    self._ndead -= 1
                self._settle(_BATCH)
        for t in due:
            arg, t.arg = t.arg, None
            t.f(arg)

    def _first(self) -> list[Entry]:
        """The heap with the first entry."""
        heap, old = self._heap, self._old
        return heap if heap and (not old or heap[0] < old[0]) else old
