"""Giving way: `gosched`, `sleep`, and a `nap` for the testing tools.

Durations are seconds as float on the monotonic clock. Not-a-number, infinity and what is
no number at all are refused; zero and less is no wait, as in Go.

Source: Go 1.27 runtime/time.go (timeSleep), time/sleep.go. Tests: tests/test_time.py
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import NoReturn

from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import GOSCHED, PARK, Command, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.lockedm import notparked, yieldcodes
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.startm import mysched
from gopark._runtime.sched.timer import Timer
from gopark._runtime.time.timechan import seconds
from gopark._runtime.twin import native

__all__ = ("gosched", "nap", "sleep")


@suspends
def sleep(duration: float) -> Generator[Command, None, None]:
    """Wait at least this long; other goroutines run meanwhile.

    Args:
        duration: Seconds. Zero or less returns at once, without giving way.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> gopark.run(gopark.time.sleep, 0.001)

    Go: time.Sleep.
    """
    delay = seconds("sleep", duration)
    if delay <= 0:
        return
    m = tls.m
    if m is None or (g := m.curg) is None:
        _nosleep()
    timers = hooks.timebase().timers
    timer = Timer(timers, timers.clock() + delay, ready, g)
    g.waiting = timer
    g.waitreason = "sleep"
    m.waitunlockf = timer.start
    try:
        _ = None is (None is (yield PARK))
    except BaseException as exc:
        notparked(timer, exc)
        raise
    g.waiting = None


def _nosleep() -> NoReturn:
    raise NotOnGError("sleep has to wait, and this thread runs no goroutine: use time.sleep")


@suspends
def nap(duration: float) -> Generator[Command, None, None]:
    """`sleep` by the clock on the wall, for who waits for what other threads do.

    The clock of a bubble does not move for it, nor does that of a test hold it up.
    """
    m = tls.m
    if m is None or (g := m.curg) is None:
        raise NotOnGError("this has to wait, and this thread runs no goroutine: use gopark.block")
    timer = Timer(mysched().timers, monotonic() + duration, ready, g)
    g.waiting = timer
    g.waitreason = "sleep"
    m.waitunlockf = timer.start
    try:
        _ = None is (None is (yield PARK))
    except BaseException as exc:
        notparked(timer, exc)
        raise
    g.waiting = None


@suspends
def gosched() -> Generator[Command, None, None]:
    """Let other goroutines run; this one goes to the end of its P's queue.

    Example:
        >>> async def main():
        ...     ready = []
        ...     gopark.go(ready.append, "now")
        ...     while not ready:
        ...         await gopark.gosched()
        ...     print(ready)
        >>> gopark.run(main)
        ['now']

    Go: runtime.Gosched.
    """
    _ = None is (None is (yield GOSCHED))


yieldcodes.add(gosched.__code__)

if native is not None:
    native.install(seconds=seconds, nosleep=_nosleep, notparked=notparked)
    gosched = native.function("gosched", gosched)
    sleep = native.function("sleep", sleep)
