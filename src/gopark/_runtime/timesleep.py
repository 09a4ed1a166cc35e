"""Giving way: `gosched`, `sleep` and the channel that `after` returns.

Durations are seconds as float on the monotonic clock. Not-a-number, infinity and what is
no number at all are refused; zero and less is no wait, as in Go.

Source: Go 1.27 runtime/time.go (timeSleep), time/sleep.go. Tests: tests/test_time.py
"""

from __future__ import annotations

from collections.abc import Generator
from math import isfinite
from time import monotonic

from gopark._runtime.chan import Chan
from gopark._runtime.errors import NotOnGError
from gopark._runtime.lockedm import notparked
from gopark._runtime.runq import ready
from gopark._runtime.runtime2 import GOSCHED, PARK, Command, suspends, tls
from gopark._runtime.startm import mysched
from gopark._runtime.timer import Timer

__all__ = ("after", "gosched", "sleep")


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
    seconds = _seconds("sleep", duration)
    if seconds <= 0:
        return
    m = tls.m
    if m is None or (g := m.curg) is None:
        raise NotOnGError("sleep has to wait, and this thread runs no goroutine: use time.sleep")
    timer = Timer(mysched().timers, monotonic() + seconds, ready, g)
    g.waiting = timer
    g.waitreason = "sleep"
    m.waitunlockf = timer.start
    try:
        yield PARK
    except BaseException as exc:
        notparked(timer, exc)
        raise
    g.waiting = None


def after(duration: float) -> Chan[float]:
    """A channel that gets one value, the monotonic time, once this long has passed.

    Args:
        duration: Seconds. Zero or less: at once.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     never = gopark.Chan()
        ...     timeout = gopark.time.after(0.001)
        ...     index, _, _ = await gopark.select(gopark.recv(never), gopark.recv(timeout))
        ...     print("timed out" if index == 1 else "a value")
        >>> gopark.run(main)
        timed out

    Go: time.After.
    """
    when = monotonic() + _seconds("after", duration)
    ch: Chan[float] = Chan(1)
    Timer(mysched().timers, when, _fire, ch).start()
    return ch


def _fire(ch: Chan[float]) -> None:
    ch.try_send(monotonic())


def _seconds(who: str, duration: object) -> float:
    if isinstance(duration, bool) or not hasattr(type(duration), "__float__"):
        raise TypeError(f"{who}: the duration must be a number of seconds, got {duration!r}")
    seconds = float(duration)  # type: ignore[arg-type]
    if not isfinite(seconds):
        raise ValueError(f"{who}: the duration must be finite, got {duration!r}")
    return seconds


@suspends
def gosched() -> Generator[Command, None, None]:
    """Let other goroutines run; this one goes to the end of its P's queue.

    Example:
        >>> async def main():
        ...     gopark.go(print, "first")
        ...     await gopark.gosched()
        ...     print("second")
        >>> gopark.run(main)
        first
        second

    Go: runtime.Gosched.
    """
    yield GOSCHED
