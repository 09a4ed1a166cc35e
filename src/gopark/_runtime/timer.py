"""The timer heap of a program: what runs when, by the monotonic clock.

Invariants, true whenever `Timers.lock` is free:
  T1  `when` is the time of heap[0], or NEVER when the heap is empty
  T2  a timer is pending exactly if it will run; stopping one leaves a dead entry in the heap
  T3  dead entries are fewer than the live ones plus 64, so stop costs O(1) on average
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


class Timers:
    """All timers of one program."""

    __slots__ = ("heap", "_ndead", "_seq", "_wake", "lock", "when")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.lock = mklock(Rank.TIMERS)
        self.when: float = NEVER
        self.heap: list[tuple[float, int, Timer]] = []
        self._seq = itertools.count()  # timers of one instant run in the order they were added
        self._ndead = 0
        self._wake = wake

    def __bool__(self) -> bool:
        return self.when is not NEVER

    def add(self, t: Timer) -> None:
        with self.lock:
            t.pending = True
            heapq.heappush(self.heap, (t.when, next(self._seq), t))
            first = self.heap[0][2] is t
            if first:
                self.when = t.when
        if first:
            self._wake()

    def delete(self, t: Timer) -> bool:
        with self.lock:
            if not t.pending:
                return False
            t.pending = False
            t.arg = None  # a stopped timer keeps nothing alive while its entry waits for removal
            self._ndead += 1
            if self.heap[0][2] is t or self._ndead > len(self.heap) // 2 + 64:
                self._clean()
            return True

    def _clean(self) -> None:
        """Drop dead entries: those at the front, or all once they are the many."""
        heap = self.heap
        if self._ndead > len(heap) // 2 + 64:
            heap[:] = [entry for entry in heap if entry[2].pending]
            heapq.heapify(heap)
            self._ndead = 0
        while heap and not heap[0][2].pending:
            heapq.heappop(heap)
            self._ndead -= 1
        self.when = heap[0][0] if heap else NEVER

    def run(self, now: float) -> None:
        """Run what is due. Called by an M between two goroutines, with no lock held."""
        due: list[Timer] = []
        with self.lock:
            heap = self.heap
            while heap and heap[0][0] <= now:
                t = heapq.heappop(heap)[2]
                if t.pending:
                    t.pending = False
                    due.append(t)
                else:
                    self._ndead -= 1
            self._clean()
        for t in due:
            arg, t.arg = t.arg, None
            t.f(arg)
