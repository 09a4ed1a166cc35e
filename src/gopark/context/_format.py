"""A date and a duration as Go prints them.

Source: Go 1.27 time/time.go (Duration.String), time/format.go (Time.String).
Tests: tests/context/test_context.py
"""

from __future__ import annotations

import time
from math import isfinite

__all__ = ("date", "duration", "nanoseconds")

_SECOND = 1_000_000_000
_YEAR = 31_556_952  # seconds, on average
_LONG = 10**24  # nanoseconds; Go's are far less, and beyond it digits would fill lines


def nanoseconds(seconds: float) -> int:
    """Any number of seconds that is finite, however large."""
    ns = seconds * 1e9
    return round(ns) if isfinite(ns) else int(seconds) * _SECOND


def duration(ns: int) -> str:
    """Nanoseconds as `1h2m3.5s`, `1.5ms`, `2µs`, `0s`."""
    if ns < 0:
        return "-" + duration(-ns)
    if ns == 0:
        return "0s"
    if ns >= _LONG:
        return f"{float(ns // _SECOND) / 3600:.6g}h"
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if ns < size * 1000:
            return f"{_decimal(ns, size)}{unit}"
    minutes, ns = divmod(ns, 60 * _SECOND)
    text = f"{_decimal(ns, _SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return text


def _decimal(n: int, size: int) -> str:
    """n / size, exactly, without zeros at the end."""
    whole, part = divmod(n, size)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{len(str(size)) - 1}d}".rstrip("0")


def date(wall: int, mono: int) -> str:
    """A moment in local time with the reading of the monotonic clock, both in nanoseconds."""
    seconds, ns = divmod(wall, _SECOND)
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):  # no calendar goes so far
        return f"year {1970 + float(seconds) / _YEAR:.6g} m={float(mono // _SECOND):+.6g}"
    fraction = f".{ns:09d}".rstrip("0").rstrip(".")
    offset = local.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d} {local.tm_zone}"
    clock = f"m={'-' if mono < 0 else '+'}{abs(mono) // _SECOND}.{abs(mono) % _SECOND:09d}"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}{fraction} {zone} {clock}"
