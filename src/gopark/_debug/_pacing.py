"""Long looks at a running program, in small pieces.

A thread that computes keeps the GIL until another has asked for it for a switch interval, 5 ms,
and each time that a scheduler thread lets go of it, it would wait so long again. So who looks at
many goroutines lets go of the GIL after a millisecond, of his own accord, for long enough that
one who waits wakes up and takes it.

Source: none. Tests: tests/debug/test_look.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter, sleep
from typing import Final, TypeVar

__all__ = ("paced",)

T = TypeVar("T")

_BUSY: Final = 0.001  # seconds
_REST: Final = 0.0001
_LOOK: Final = 16  # items between two looks at the clock


def paced(items: Iterable[T]) -> Iterator[T]:
    """The items, with a rest after each millisecond that was spent on them."""
    until = perf_counter() + _BUSY
    left = _LOOK
    for item in items:
        yield item
        left -= 1
        if not left:
            left = _LOOK
            if perf_counter() >= until:
                sleep(_REST)
                until = perf_counter() + _BUSY
