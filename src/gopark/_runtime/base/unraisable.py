"""What Python prints as "Exception ignored", looked at before it does.

An exception that nobody can take, of a finaliser or of a callback's result, goes to
`sys.unraisablehook`, on the thread where it was raised and before anything goes on there. Some are
not to be lost: what C could not take (cgoresult.py), and what was meant for main (owed.py). So our
hook stands there while one of those asks, and passes on what is none of theirs.

Locks: none. A hook that was there before ours is called for all that is none of ours.
Source: none in Go. Tests: tests/runtime/test_cgoresult.py, tests/runtime/test_owed.py
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ("look", "nolonger")

# What is to be done instead; None: it is somebody else's.
Taker = Callable[[Any], Callable[[], object] | None]

_takers: Final[list[Taker]] = []
# Who was there before, the latest first, and how deep threads are in `_hook`: who came after it
# once, and is before it by now, calls it in turn, and means who was there before that.
_previous: Final[list[Callable[[Any], object]]] = [sys.__unraisablehook__]
_inside: Final[dict[int, int]] = {}


def look(taker: Taker) -> None:
    """Have `taker` look first, from now on. It must not take a lock."""
    if taker not in _takers:
        _takers.append(taker)
    if sys.unraisablehook is not _hook:
        _previous.insert(0, sys.unraisablehook)
        sys.unraisablehook = _hook


def nolonger(taker: Taker) -> None:
    """No more; with the last of them goes our hook, unless somebody else stands before it."""
    if taker in _takers:
        _takers.remove(taker)
    if not _takers and sys.unraisablehook is _hook:
        sys.unraisablehook = _previous[0]
        if len(_previous) > 1:  # Python's own stays
            del _previous[0]


def _hook(args: Any, /) -> None:
    me = threading.get_ident()
    depth = _inside.get(me, 0)
    _inside[me] = depth + 1
    takers, previous = _takers.copy(), _previous.copy()  # others may change them meanwhile
    try:
        for take in () if depth else takers:
            if (instead := take(args)) is not None:
                break
        else:
            previous[min(depth, len(previous) - 1)](args)
            return
    finally:
        if depth:
            _inside[me] = depth
        else:
            del _inside[me]
    instead()
