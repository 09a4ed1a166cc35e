"""What time it is: `monotonic`, `now`; and whether somebody has taken the one for the other.

Outside a bubble these are the clocks of Python. The clock that timers and deadlines go by is the
first one.

Source: Go 1.27 runtime/time.go (time_now, time_runtimeNano). Tests: tests/test_time.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ("FAR", "calendar", "doors", "monotonic", "now", "ofcalendar", "walltime")


class _Doors:
    """Exchanged by bubble.py."""

    monotonic: Callable[[], float] = time.monotonic
    walltime: Callable[[], int] = time.time_ns


doors: Final = _Doors()


def monotonic() -> float:
    """Seconds on the clock that timers go by; only differences mean something.

    That is `time.monotonic()`, and in a bubble (`gopark.testing.synctest`) the bubble's own
    clock, which begins at 0. Code that asks this one can be tested in virtual time.

    Example:
        >>> async def main():
        ...     start = gopark.time.monotonic()
        ...     await gopark.time.sleep(0.001)
        ...     print(gopark.time.monotonic() - start >= 0.001)
        >>> gopark.run(main)
        True

    Go: time.Now, of which time.Since and time.Until use the monotonic part.
    """
    return doors.monotonic()


def now() -> float:
    """Seconds since 1970-01-01 00:00 UTC: what the calendar says.

    That is `time.time()`, and in a bubble (`gopark.testing.synctest`) the bubble's own time, which
    begins at midnight UTC 2000-01-01.

    Example:
        >>> from datetime import datetime, timezone
        >>> async def main():
        ...     print(datetime.fromtimestamp(gopark.time.now(), timezone.utc))
        >>> gopark.testing.synctest.test(main)
        2000-01-01 00:00:00+00:00

    Go: time.Now.
    """
    return doors.walltime() / 1_000_000_000  # of any size, in a bubble


def walltime() -> int:
    """The same in nanoseconds."""
    return doors.walltime()


FAR: Final = 10 * 365 * 86400.0  # seconds: no machine is up for so long, no calendar that early


def calendar(value: float) -> bool:
    """It is what `time.time()` gives, some years earlier or later."""
    return value >= FAR and abs(value - now()) < FAR


def ofcalendar(when: float) -> bool:
    """What is to be a moment of `monotonic()` is one of `time.time()`, and decades ahead."""
    return calendar(when) and abs(when - now()) < abs(when - monotonic())
