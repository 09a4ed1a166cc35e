"""Exceptions that main is owed: a Ctrl-C, and what signal handlers have raised.

An entry stays here until somebody takes it to raise it in main (signal_unix.py). Python may have
begun a finaliser in between, on top of main's own line: what is raised there it prints as
"Exception ignored", and main never gets it. So each exception bears the number of its signal, and
one that is found ignored is owed again.

Relies on: append and pop of a deque are atomic.
Locks: none, for signal handlers come here; but not in `throw` and `throwatyield`, for helpers.
Source: none in Go, whose handlers raise nothing.
Tests: tests/runtime/test_owed.py
"""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from gopark._runtime.base.errors import FatalError, ProgramEnded
from gopark._runtime.base.runtime2 import GRUNNABLE, G, Sched, itemsof
from gopark._runtime.sched.runq import offqueue
from gopark._runtime.sched.startm import wakep
from gopark._runtime.signal.preempt import throwin, trap, wakewith, yields
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
    "raiseone",
    "raisers",
    "take",
    "throw",
    "throwatyield",
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


def throw(g: G) -> None:
    """Main is parked: let its wait end with what it is owed, unless somebody wakes it just now."""
    if g.waiting is None:
        return
    try:
        debt = owed.popleft()
    except IndexError:
        return
    if not wakewith(g, debt.exc):
        owed.appendleft(debt)


def throwatyield(sched: Sched, g: G) -> None:
    """Main runs, or is about to: if it only gives way, it gets what it is owed there."""
    if g.lockedm is None:
        trap(g, take)
    elif g.status is GRUNNABLE and offqueue(sched, g):
        if yields(g) and (exc := take()) is not None:
            throwin(g, exc)
        sched.runq.append(g)
        if sched.npidle:
            wakep(sched)


def raiseall() -> None:
    """Raise what is left as one chain, behind what the caller handles.

    But a fatal error that the caller handles is the last word: whoever catches what a handler
    raises, a timeout, would go on in a process that has died. What is raised amid this is the
    next in the chain.
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
    if isinstance(ends, FatalError):
        owed.clear()
        return
    debts = itemsof(owed)
    for debt in debts:
        last = debt.exc if last is None else behind(debt.exc, last)
    if last is None or last is ends:
        _paid(debts)
        return
    context = last.__context__
    try:
        raise last
    finally:
        last.__context__ = context  # `raise` has put there what ends `run`, and dropped the rest
        _paid(debts)
        del last, ends, context, debts, debt


def raiseone() -> None:
    """Raise the first, behind what the caller handles; handlers may raise at any line of this.

    Python looks for signals as a function begins, after a call and in a loop: not from where this
    is on its way to where it is owed no more.
    """
    debt, ends = owed[0], sys.exc_info()[1]
    if isinstance(ends, FatalError):  # the last word
        owed.clear()
        return
    last = debt.exc if ends is None else behind(debt.exc, ends)
    context = last.__context__
    try:
        raise last
    finally:
        last.__context__ = context
        owed.popleft()


def _paid(debts: list[Debt]) -> None:
    """These, and not those that have come meanwhile."""
    deque(map(owed.remove, debts), maxlen=0)


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
