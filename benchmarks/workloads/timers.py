"""100,000 timers: start them all, stop them all in another order, let as many fire.

Starting and stopping: time for each, wall and CPU. Firing: CPU time for a timer that is
started, waits and calls its function (most of the wall time is the wait). The worst one is
the longest that a single start or stop took, whatever the reason: it is what a caller feels.

gopark: `after_func` and `stop`; a goroutine calls the function.
asyncio, uvloop: `call_later` and `cancel`.
gevent: timer watchers of the hub's loop, which is what `spawn_later` uses, without a greenlet
  for each.
Go: `time.AfterFunc` and `Stop`; a goroutine calls the function.
trio, TonIO and pyroutine-rt have no timers one could stop; their sleeps are in sleepers.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Figures, Measure, Sample, Stopwatch, plain
from benchmarks.peers import need, on_asyncio, on_gopark

N = 100_000
QUICK = 2_000
ROWS = (
    ("start", "100,000 timers, start one", "µs"),
    ("stop", "100,000 timers, stop one", "µs"),
    ("fire", "100,000 timers, fire one (CPU)", "µs"),
    ("worst", "100,000 timers, worst start or stop", "µs"),
)

_FAR = 100.0  # seconds: none of those that are stopped comes near its time
_NEAR = 0.05


class _Ops:
    """Counts and clocks single operations."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.worst = 0.0

    def mixed(self, i: int) -> float:
        """Up to 0.1 s for 100,000 of them, in no order."""
        return i * 7919 % self.n * 1e-6

    def each(self, op: Callable[[int], object], order: int = 1) -> Sample:
        clock, worst, n = time.perf_counter, self.worst, self.n
        with Stopwatch() as watch:
            last = clock()
            for i in range(n):
                op(i * order % n)
                now = clock()
                if now - last > worst:
                    worst = now - last
                last = now
        self.worst = worst
        return watch.sample(n)

    def figures(self, start: Sample, stop: Sample, fire: Sample) -> Figures:
        worst = plain(self.worst * 1e6)
        return {"start": start, "stop": stop, "fire": fire, "worst": worst}


async def _gopark(n: int) -> Figures:
    ops, after_func = _Ops(n), gp.time.after_func
    timers: list[Any] = [None] * n

    def start(i: int) -> None:
        timers[i] = after_func(_FAR + ops.mixed(i), int)

    started = ops.each(start)
    stopped = ops.each(lambda i: timers[i].stop(), 7907)
    ended, done = count(1).__next__, gp.Chan[None]()

    def fire() -> None:
        if ended() == n:
            done.close()

    with Stopwatch() as watch:
        for i in range(n):
            after_func(_NEAR + ops.mixed(i), fire)
        await done.recv()
    return ops.figures(started, stopped, watch.cpu_sample(n))


async def _asyncio(n: int) -> Figures:
    ops, call_later = _Ops(n), asyncio.get_running_loop().call_later
    timers: list[Any] = [None] * n

    def start(i: int) -> None:
        timers[i] = call_later(_FAR + ops.mixed(i), int)

    started = ops.each(start)
    stopped = ops.each(lambda i: timers[i].cancel(), 7907)
    ended, done = count(1).__next__, asyncio.Event()

    def fire() -> None:
        if ended() == n:
            done.set()

    with Stopwatch() as watch:
        for i in range(n):
            call_later(_NEAR + ops.mixed(i), fire)
        await done.wait()
    return ops.figures(started, stopped, watch.cpu_sample(n))


def _gevent(n: int) -> Figures:
    ops, new = _Ops(n), need("gevent").get_hub().loop.timer
    timers: list[Any] = [None] * n

    def start(i: int) -> None:
        timers[i] = timer = new(_FAR + ops.mixed(i))
        timer.start(int)

    def stop(i: int) -> None:
        timers[i].stop()
        timers[i].close()

    started = ops.each(start)
    stopped = ops.each(stop, 7907)
    ended, done = count(1).__next__, need("gevent.event").Event()

    def fire() -> None:
        if ended() == n:
            done.set()

    with Stopwatch() as watch:
        for i in range(n):
            timers[i] = timer = new(_NEAR + ops.mixed(i))
            timer.start(fire)
        done.wait()
        for timer in timers:
            timer.close()
    return ops.figures(started, stopped, watch.cpu_sample(n))


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "gevent": _gevent,
    "Go": on_go("timers"),
}
