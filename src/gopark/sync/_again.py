"""Raising one exception more than once, by several who wait for the same thing."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn

__all__ = ("raise_again", "traceback_of")


def traceback_of(exc: BaseException) -> TracebackType | None:
    """The frames of who raised it, without that of ours which has caught it.

    Ours would make a circle: frame, what it works on, exception, frame.
    """
    traceback = exc.__traceback__
    return None if traceback is None else traceback.tb_next


def raise_again(exc: BaseException, traceback: TracebackType | None) -> NoReturn:
    """Raise it unchanged, with the frames it came with.

    Each raise adds frames to an exception, and the exception that is being handled as its
    context; what is raised by many would grow without end.
    """
    context = exc.__context__
    try:
        raise exc.with_traceback(traceback)
    finally:
        exc.__context__ = context
        del exc  # or this frame, which its traceback holds, would hold it in turn
