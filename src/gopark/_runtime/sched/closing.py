"""Closing the coroutines that a program leaves behind, those that do not want to be closed too.

A coroutine is closed as Python does it: GeneratorExit is raised where it awaits, `finally` blocks
run. One that catches that, by `except BaseException` in a loop, awaits once more. It must do so as
a goroutine does, in a step that comes back here: awaited where no goroutine runs, a wait fails at
once, and such a loop would go round for ever in the thread that closes it. So the closer is an M
of its own with the G as its `curg`; a wait that begins is undone (`lockedm.letgo`).

Asked _PATIENCE times in vain, the coroutine is named on stderr and left: kept for good, since the
collector would close it again. The same for a thread that goes on waiting in a program that has
ended (`refused`): it sleeps for good, and a main that does so ends the process, for `run` cannot
return.

Locks: none. Source: none; Go's goroutines are not unwound. Tests: tests/runtime/test_closing.py
"""

from __future__ import annotations

import ctypes
import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import CoroutineType, GeneratorType
from typing import Any, Final, NoReturn

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import GDEAD, GRUNNING, G, M, Sched, allgs, callers, tls
from gopark._runtime.report.traceback import awaitframes, awaitlink, calling, threadframes
from gopark._runtime.sched import lockedm, panic
from gopark._runtime.sched.newproc import unbegun

__all__ = ("bury", "chain", "closing", "forget", "leave", "named", "refusing", "waits")

_PATIENCE: Final = 100  # times
_SUSPENDED: Final = inspect.CORO_SUSPENDED
_incref: Final = ctypes.pythonapi.Py_IncRef
_incref.argtypes = (ctypes.py_object,)
_incref.restype = None

_own = threading.local()  # the M by which this thread closes, and of which program it is


def bury(sched: Sched, g: G) -> None:
    """End a goroutine that was taken off its queue; only its owner may, on any thread."""
    coro, ctx = g.coro, g.ctx
    allgs.discard(g)
    if (tell := unbegun(g)) is not None:
        if coro is not None:
            coro.close()
        with suppress(Exception):  # a counter of the user's that is wrong already
            tell()
    elif coro is not None and ctx is not None:
        # It may look at `g.elem`: has it been given something?
        closing(sched, g, partial(_close, sched, g, coro, ctx))
    g.status = GDEAD
    g.clear()


def closing(sched: Sched, g: G, close: Callable[[M], object]) -> None:
    """Call `close` where awaits are those of `g`, and begin waits that somebody has to undo."""
    before = tls.m
    m: M | None = getattr(_own, "m", None)
    if m is None or m.sched is not sched:
        m = _own.m = M(sched)
    nested, mine = m.curg, g.m
    m.ident = threading.get_ident()
    m.curg, g.m = g, m
    g.status = GRUNNING
    g.waiting = None
    tls.m = m
    try:
        close(m)
    finally:
        if m.waitunlockf is not None:
            lockedm.letgo(sched, m, g)
        tls.m = before
        m.curg, g.m = nested, mine


def _close(sched: Sched, g: G, coro: Coroutine[Any, Any, Any], ctx: Any, m: M) -> None:
    for link in reversed(chain(coro)):  # the innermost first: see Cleanup._tell
        for _ in range(_PATIENCE):
            try:
                ctx.run(link.close)
            except BaseException:
                pass  # its own, or that it goes on
            goeson = waits(m, link)
            if m.waitunlockf is not None:
                lockedm.letgo(sched, m, g)
            if not goeson:
                break
        else:
            _keep(coro)
            leave(g, link)
            return


def leave(g: G, coro: Any) -> None:
    """It swallows what ends it: say so, and let nobody close it any more."""
    allgs.discard(g)
    _keep(coro)
    name(g, awaitframes(coro), "what ends it (GeneratorExit)")


def _keep(*coros: object) -> None:
    """For good: the collector, or the interpreter when it exits, would close them, and hang."""
    for coro in coros:
        _incref(coro)


def chain(coro: Any) -> list[Any]:
    """The coroutine, and what it awaits that can be closed, the outermost first.

    That is coroutines, generators, and what others have made that iterates, which has to pass on
    what it is told. What Python puts in between is not told by itself: an async generator's step
    that is closed cannot be gone on with.
    """
    chain: list[Any] = []
    seen: set[int] = set()
    link = getattr(coro, "ours", coro)  # newproc.Wrapped
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        theirs = type(link).__module__ != "builtins"
        if theirs or type(link) in (CoroutineType, GeneratorType):
            chain.append(link)
        link = None if theirs else awaitlink(link)[1]
    inner = getattr(coro, "coro", None)
    if inner is not None and id(inner) not in seen:
        chain.append(inner)  # ours does not await it yet, or any more
    return chain or [coro]


def waits(m: M, link: Any) -> bool:
    """One that was told to end goes on. What is no coroutine of Python's does not say so itself."""
    if type(link) is CoroutineType:
        return inspect.getcoroutinestate(link) == _SUSPENDED
    if type(link) is GeneratorType:
        return inspect.getgeneratorstate(link) == inspect.GEN_SUSPENDED
    return m.waitunlockf is not None


# --- who does not want to end ----------------------------------------------------------------


_refusals: Final[dict[M, int]] = {}
named: Final[weakref.WeakSet[G]] = weakref.WeakSet()  # who has been told of


def refusing(m: M) -> bool:
    """The G on this M waits again and again: soon it is named."""
    return m in _refusals


def forget(sched: Sched) -> None:
    """The end of this program has come to its end."""
    for m in list(_refusals):
        if m.sched is sched:
            del _refusals[m]
    mine: M | None = getattr(_own, "m", None)
    if mine is not None and mine.sched is sched:
        del _own.m  # it would keep the program


def refused(sched: Sched, m: M, g: G) -> bool:
    """The G on this thread wants to wait, though its program has ended. True: leave it, now.

    What sits on the thread's stack cannot be left by others than by the thread: it sleeps for good.
    """
    if m.g is not None:
        return False  # a thread of others is theirs
    count = _refusals[m] = _refusals.get(m, 0) + 1
    if count < _PATIENCE:
        return False
    _refusals.pop(m, None)
    coro = g.coro
    if coro is not None and waits(m, chain(coro)[0]):  # see parklocked
        name(g, awaitframes(coro), "ProgramEnded")
        _keep(coro)
        return True
    name(g, threadframes([*callers(sys._getframe())], m), "ProgramEnded")
    if m.m0:
        _leavemain(sched)
    with sched.lock:
        if m in sched.allm:
            sched.allm.remove(m)
    while True:
        m.park.sleep()


def _leavemain(sched: Sched) -> NoReturn:
    """It is on the thread that called `run`, which cannot return: the process ends instead."""
    exc = sched.exc
    code = exc.code if isinstance(exc, SystemExit) else 2
    if code is not None and not isinstance(code, int):
        panic.printerr(str(code))
        code = 1
    panic.exitnow(code or 0)


def name(g: G, frames: list[Any], what: str) -> None:
    """Say on stderr which goroutine is left, and where it stands."""
    named.add(g)
    theirs = [frame for frame in frames if not frame[0].startswith("gopark.")] or frames
    place = "".join(f", in {func} at {file}:{line}" for func, file, line in theirs[:1])
    panic.printerr(
        f"gopark: goroutine {g.goid} is left behind{place}: it swallows {what} and waits again; "
        "catch `Exception` there, not `BaseException`, or raise again what is no Exception"
    )


hooks.refused = refused
calling.update((closing.__code__, _close.__code__, bury.__code__))
