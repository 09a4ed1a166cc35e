"""What costs something to count: how long wake-ups and locks take, and how long collections.

None of it is counted until somebody asks for the first time (`measure`). From then on a function
here hears of each wake-up (`wakes.metrics`):
  - each wait for a lock is added up when it ends, from `G.waitsince`, which is as old as the loop's
    last look at the clock. So a wait may seem longer than it was by some steps of others
  - of one wake-up in eight (as in Go) the goroutine's next step is not its own but a `_Sampled`,
    which takes the time, puts the step back, and runs it. Goroutines that sit on a thread are
    left out
A trace goes before it: while one is taken nothing is counted.

An event goes on a queue and takes no lock, for it may come out of the collector, in the middle of
anything; who reads sorts it in.

Locks: `_lock`, reentrant; guards the sums and what stands where. A leaf.
Relies on: append and popleft of deque, and next() of a count, being atomic.
Source: Go 1.27 runtime/proc.go (casgstatus), histogram.go, metrics.go.
Tests: tests/debug/test_metrics.py
"""

from __future__ import annotations

import gc
import itertools
import os
import threading
from bisect import bisect_right
from collections import deque
from math import inf
from time import monotonic, perf_counter
from typing import Final

from gopark._runtime.base.hooks import wakes
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.runtime2 import DONE, G
from gopark._runtime.report.traceback import transparent

__all__ = ("BOUNDS", "Measured", "latencies", "measure", "mutexwait", "pauses")

_PERIOD: Final = 8  # of so many wake-ups one is timed; a power of two. Go: gTrackingPeriod
_QUEUED: Final = 1000  # events
_LOCKS: Final = frozenset({"sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"})

# Bounds of the buckets, in seconds: from 100 ns to 100 s, two for each doubling.
BOUNDS: Final = (0.0, *(1e-7 * 2 ** (k / 2) for k in range(61)), inf)


class Measured:
    """Durations that somebody measured, counted in buckets."""

    def __init__(self) -> None:
        self.queue: deque[float] = deque()
        self.sorting = False
        self.counts = [0] * (len(BOUNDS) - 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.queue.append(seconds)
        if len(self.queue) > _QUEUED and _lock.acquire(False):
            try:
                self.sort()
            finally:
                _lock.release()

    def sort(self) -> None:
        """Caller holds the lock. The collector, which may come in amid it, leaves what is there."""
        if self.sorting:
            return
        self.sorting = True
        try:
            for _ in range(len(self.queue)):
                seconds = max(0.0, self.queue.popleft())
                self.counts[bisect_right(BOUNDS, seconds) - 1] += 1
                self.total += seconds
        finally:
            self.sorting = False

    def read(self) -> tuple[list[int], float]:
        """How many there were in each bucket, and all together in seconds."""
        with _lock:
            self.sort()
            return self.counts.copy(), self.total


_lock: Final = lasting(threading.RLock())
_turn: Final = itertools.count(1)
_began: Final[list[float]] = []  # when the collection began that runs now

latencies: Final = Measured()
mutexwait: Final = Measured()
pauses: Final = Measured()


class _Sampled:
    """In the place of a runnable goroutine's step, once."""

    __slots__ = ("g", "step", "when")

    def __init__(self, g: G) -> None:
        self.g = g
        self.step = g.step
        self.when = perf_counter()

    def __iter__(self) -> _Sampled:
        return self

    def __next__(self) -> object:
        latencies.add(perf_counter() - self.when)
        step = self.g.step = self.step
        return next(step, DONE)  # type: ignore[arg-type]


transparent.add(_Sampled.__next__.__code__)  # Ctrl-C: what runs in it is the user's


def _wakes(g: G) -> bool:
    """The caller owns `g`, so it may change its step."""
    if g.waitreason in _LOCKS:
        mutexwait.add(monotonic() - g.waitsince)
    if not next(_turn) % _PERIOD and g.coro is not None and g.lockedm is None:
        g.step = _Sampled(g)
    return False


def _collects(phase: str, info: dict[str, int]) -> None:
    """Called by the collector."""
    if phase == "start":
        _began.append(perf_counter())
    elif _began:
        pauses.add(perf_counter() - _began.pop())


def measure() -> None:
    """From now on, if not since before."""
    with _lock:
        if _collects not in gc.callbacks:
            gc.callbacks.append(_collects)
        wakes.set("metrics", _wakes)


def _stop() -> None:
    """For tests, and for measuring what it costs."""
    with _lock:
        if _collects in gc.callbacks:
            gc.callbacks.remove(_collects)
        wakes.set("metrics", None)


def _forget() -> None:
    """In the child of a fork: the collection that began is not here."""
    _began.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
