"""Exceptions that main is owed: a Ctrl-C, and what signal handlers have raised.

An entry stays here until somebody takes it to raise it in main (signal_unix.py). Python may have
begun a finaliser in between, on top of main's own line: what is raised there it prints as
"Exception ignored", and main never gets it. So each exception bears the number of its signal, and
one that is found ignored is owed again.

Relies on: append and pop of a deque are atomic.
Locks: none, for signal handlers come here. Source: none in Go, whose handlers raise nothing.
Tests: tests/runtime/test_owed.py
"""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.base.runtime2 import itemsof
from gopark._runtime.signal.sigfwd import Forward, Handler, handlerof

__all__ = (
    "Debt",
    "again",
    "behind",
    "doors",
    "owe",
    "owed",
    "pressed",
    "raiseall",
    "raisers",
    "take",
)

_SIGNUM: Final = "__signum__"  # in the exception's own dict


class Debt(NamedTuple):
    """What main is owed, and the handler that has raised it, with its signal; None for a Ctrl-C."""

    exc: BaseException
    raiser: tuple[Handler, int] | None


class _Doors:
    """Set by signal_unix.py."""

    help: Callable[[], None]  # see that main gets it


doors: Final = _Doors()
owed: Final[deque[Debt]] = deque()


def owe(exc: BaseException, raiser: tuple[Handler, int] | None = None) -> None:
    """`exc` is for main."""
    exc.__dict__[_SIGNUM] = signal.SIGINT if raiser is None else raiser[1]
    owed.append(Debt(exc, raiser))


def take() -> BaseException | None:
    """What main is owed, and now is for the caller to raise."""
    try:
        return owed.popleft().exc
    except IndexError:
        return None


def raiseall() -> None:
    """Raise what is left as one chain, behind what the caller handles.

    The handlers are Python's own again: what they raise amid this is the next in the chain.
    """
    while True:
        try:
            _raiseall()
            return
        except BaseException as exc:
            if not owed:
                raise
            owe(exc)


def _raiseall() -> None:
    last = ends = sys.exc_info()[1]
    for debt in itemsof(owed):
        last = debt.exc if last is None else behind(debt.exc, last)
    if last is None or last is ends:
        return
    context = last.__context__
    try:
        raise last
    finally:
        last.__context__ = context  # `raise` has put there what ends `run`, and dropped the rest
        owed.clear()
        del last, ends, context, debt


def behind(exc: BaseException, last: BaseException) -> BaseException:
    """`exc`, as if raised while `last` was handled; it may have come after the same as that did."""
    known = {id(older) for older in _chain(last)}
    if id(exc) in known:
        return last
    for end in _chain(exc):
        older = end.__context__
        if older is None or id(older) in known:
            break
    end.__context__ = last
    return exc


def _chain(exc: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    older: BaseException | None = exc
    while older is not None and not any(older is one for one in chain):
        chain.append(older)
        older = older.__context__
    return chain


def pressed() -> bool:
    """A Ctrl-C is among it."""
    return any(debt.raiser is None for debt in itemsof(owed))


def raisers() -> list[tuple[Handler, int]]:
    """Whose exceptions main has not got yet."""
    return [debt.raiser for debt in itemsof(owed) if debt.raiser is not None]


def again(args: Any) -> Callable[[], object] | None:
    """For unraisable.py: what a finaliser has swallowed, and main is owed still."""
    exc = args.exc_value
    if isinstance(exc, ProgramEnded):
        return _nothing  # it is raised until the thread is home
    signum = None if exc is None else exc.__dict__.get(_SIGNUM)
    return None if signum is None else partial(_again, exc, signum)


def _again(exc: BaseException, signum: int) -> None:
    exc.__traceback__ = None  # main never saw the finaliser
    forward = handlerof(signum)
    raiser = (forward.handler, signum) if isinstance(forward, Forward) else None
    owe(exc, raiser)
    doors.help()


def _nothing() -> None:
    """There is nothing to be told."""
