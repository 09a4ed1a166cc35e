"""Frames: of the callers, of other threads, of coroutines that others may resume.

Each is read in one go, in C, so that nobody goes on amid it.

Relies on: `sys._current_frames`, and that a loop within C is not interrupted.
Locks: `_frameslock`, a leaf. Source: none. Tests: tests/runtime/test_runtime2.py
"""

from __future__ import annotations

import _thread
import gc
import itertools
import sys
from collections.abc import Container, Iterator
from types import FrameType
from typing import Any, Final

from gopark._runtime.base.lockrank import lasting

__all__ = ("callers", "currentframes", "framein", "nocollection")

# A leaf: nothing is called under it that takes another.
_frameslock: Final = lasting(_thread.allocate_lock())


def callers(frame: FrameType | None) -> list[FrameType]:
    """The frame and those below it on its stack, innermost first.

    In one go in C, for the thread that it belongs to must not go on between two steps: what
    it shows would be of two moments, and CPython 3.11 has been seen to crash.
    """
    frames: list[Any] = []
    chain: Iterator[Any] = itertools.chain((frame,), _FBACK)
    try:
        frames.extend(itertools.accumulate(chain, getattr))
    except AttributeError:
        pass  # behind the outermost comes None, which has no f_back
    return frames[:-1]


_FBACK: Final = itertools.repeat("f_back")


def currentframes(
    only: Container[int] | None = None, mine: FrameType | None = None
) -> dict[int, list[FrameType]]:
    """The stack of every thread, or of some, by identifier: `sys._current_frames()`, the callers.

    That of the calling thread begins with `mine`, and without one behind the caller: who keeps
    the result in a local must not be in it. A frame that refers to itself is freed by the
    collector only, and until then keeps the locals of all who called it alive.
    """
    if mine is None:
        mine = sys._getframe(1).f_back
    with nocollection():
        return _stacks(only, mine)


class nocollection:
    """`with nocollection():` C that calls nothing of Python's runs without a collection amid it.

    From 3.12 on none starts there. In 3.11 it may, runs Python, and so may give the GIL to another
    thread. In `sys._current_frames` that may be one that is being started, and waits for a lock
    which this one holds: both hang (python/cpython#106883).
    """

    if sys.version_info < (3, 12):

        def __enter__(self) -> None:
            _frameslock.acquire()
            self.enabled = gc.isenabled()
            gc.disable()

        def __exit__(self, *exc: object) -> None:
            if self.enabled:
                gc.enable()
            _frameslock.release()

    else:

        def __enter__(self) -> None: ...

        def __exit__(self, *exc: object) -> None: ...


if sys.version_info < (3, 12):

    def framein(awaited: Any, name: str) -> FrameType | None:
        """The frame of a coroutine that another thread may resume; None: it has ended.

        In 3.11 a collection may start where the frame is made, and let the other thread go on, to
        the end of the coroutine: what was made then lies on memory that is free.
        """
        with nocollection():
            frame: FrameType | None = getattr(awaited, name)
            return frame

else:
    framein = getattr


def _stacks(only: Container[int] | None, mine: FrameType | None) -> dict[int, list[FrameType]]:
    me = _thread.get_ident()
    return {  # what is gone through has no name: this frame is in it
        i: callers(mine if i == me else frame)
        for i, frame in sys._current_frames().items()
        if only is None or i in only
    }
