"""One error for several who wait for the same thing: each raises an object of its own.

An exception gets a traceback, a context and notes from who raises it. Raised by two, one object
would show each the frames of the other, keep the locals of both, and grow from raise to raise. So
the first gets the exception itself, and who comes later a copy, with the frames that it had come
with, or without any; and so of all that it came out of.

A copy is made without the class's own `__init__`, which may want other arguments than `args`, and
`copy.copy` would call it. What cannot be copied, if there is such a thing, is raised itself.

Tests: tests/sync/test_again.py
"""

from __future__ import annotations

import sys
from types import BuiltinMethodType, GetSetDescriptorType, MemberDescriptorType, TracebackType
from typing import Any, Final, NoReturn

__all__ = ("copied", "mine", "raise_again", "traceback_of")

_FIELDS: Final = (MemberDescriptorType, GetSetDescriptorType)
_OWN: Final = {"__traceback__", "__context__", "__cause__", "__suppress_context__", "__dict__"}


def traceback_of(exc: BaseException) -> TracebackType | None:
    """The frames of who raised it, without that of ours which has caught it.

    Ours would make a circle: frame, what it works on, exception, frame.
    """
    traceback = exc.__traceback__
    return None if traceback is None else traceback.tb_next


def raise_again(exc: BaseException, traceback: TracebackType | None) -> NoReturn:
    """Raise the one object itself, with the frames it came with, and out of what it came."""
    context = exc.__context__
    try:
        raise exc.with_traceback(traceback)
    finally:
        exc.__context__ = context
        del exc  # or this frame, which its traceback holds, would hold it in turn


def mine(exc: BaseException, traceback: TracebackType | None = None) -> BaseException:
    """The same error for the caller alone, to be raised with that traceback.

    What the caller is handling stands behind all that the error itself came out of.
    """
    exc = copied(exc, frames=traceback is not None)
    handled = sys.exception()
    last, seen = exc, {id(exc)}
    while (older := last.__context__) is not None and id(older) not in seen:
        last = older
        seen.add(id(older))
    if handled is not None and id(handled) not in seen and last.__context__ is None:
        last.__context__ = handled
    return exc


def copied(
    exc: BaseException, frames: bool = False, outer: BaseException | None = None
) -> BaseException:
    """The same error, and all that it came out of, in objects of their own.

    Args:
        exc: The error.
        frames: Each keeps the frames that it has.
        outer: What was being handled before, by somebody whom it does not concern.
    """
    return _copied(exc, frames, {} if outer is None else {id(outer): None})


def _copied(
    exc: BaseException, frames: bool, seen: dict[int, BaseException | None]
) -> BaseException:
    links: list[tuple[BaseException, BaseException]] = []
    left: list[BaseException | None] = [exc]
    while left:
        old = left.pop()
        if old is None or id(old) in seen:
            continue
        parts = None
        if isinstance(old, BaseExceptionGroup):
            parts = [_copied(part, frames, seen) for part in old.exceptions]
        seen[id(old)] = new = _copy(old, parts)
        links.append((old, new))
        left += [old.__cause__, old.__context__]
    for old, new in links:
        if new is not old:
            cause, context = old.__cause__, old.__context__
            new.__cause__ = None if cause is None else seen[id(cause)]
            new.__context__ = None if context is None else seen[id(context)]
            new.__suppress_context__ = old.__suppress_context__  # last: to set a cause sets it
        new.__traceback__ = old.__traceback__ if frames else None
    copy = seen[id(exc)]
    return exc if copy is None else copy


def _copy(exc: BaseException, parts: list[BaseException] | None = None) -> BaseException:
    args = exc.args if parts is None else (exc.args[0], parts)
    new = _new(type(exc), args)
    if new is None:
        return exc
    for name, value in vars(exc).items():
        new.__dict__[name] = value.copy() if name == "__notes__" and type(value) is list else value
    leave = _OWN if parts is None else _OWN | {"args"}
    for cls in type(exc).__mro__:
        for name, field in vars(cls).items():
            if isinstance(field, _FIELDS) and name not in leave:
                _copyfield(field, exc, new)
    return new


def _copyfield(field: Any, exc: BaseException, new: BaseException) -> None:
    try:
        value = field.__get__(exc)
        if value is not None:  # OSError tells a file name that is not set from None
            field.__set__(new, value)
    except (AttributeError, TypeError):
        pass  # it has none, or it cannot be set: then `args` has it


def _new(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException | None:
    """A new exception of this class, from whatever of Python's own makes such objects."""
    for base in cls.__mro__:
        make = vars(base).get("__new__")
        if isinstance(make, BuiltinMethodType):
            try:
                new = make(cls, *args)
            except Exception:
                continue
            if type(new) is cls:
                return new
    return None
