"""When is a program dead? Only when nothing can wake anyone.

That is: every P is idle and every queue empty, no M runs a goroutine or is in C, no timer is
set, no callback from C runs, no goroutine waits for a signal; and no help can come from
outside: no live `cgo.callback` or `export` object, no signal handler that the program has set with
Python's own `signal`, and no Python thread but gopark's own. A
program that has started a C library and waits for its first callback is not dead, and to end
it would be the worst a runtime can do.
`strict_deadlock()` says "no outside help will come" and leaves the last three questions out.

A program with no main (the runtime started at first use) is never dead: the thread that
used it is a Python thread of its own.

If only Python threads stand in the way, they may end without a word, so an idle M asks
again, at growing intervals of 0.05 to 5 seconds (`Sched.recheck`). The end of the last
callback object asks at once (`recheck`).

It is the thread that called `run` that says so in the end. A signal may have come that Python
has not handled yet, a Ctrl-C for one; the handlers run on that thread, before any other line
of it. So another M that finds the program dead wakes that one, to look for itself.

Locks: `checkdead` is called with Sched.lock held.
Source: Go 1.27 runtime/proc.go, checkdead. Tests: tests/runtime/test_deadlock.py
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Final

from gopark._runtime.errors import DeadlockError
from gopark._runtime.panic import fatal
from gopark._runtime.runtime2 import (
    FREETHREADED,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    M,
    Sched,
    allgs,
    currentframes,
    tls,
)
from gopark._runtime.startm import current, hooks, ourthreads, sysmonwait, watchers
from gopark._runtime.traceback import tracebackothers

__all__ = ("bystanders", "outside", "strict_deadlock")

_ASLEEP: Final = "all goroutines are asleep - deadlock!"
_NONE: Final = "no goroutines (main called runtime.Goexit) - deadlock!"

# Identifiers of threads that look on, and will wake nobody: the watch of a test's time limit.
bystanders: Final[set[int]] = set()

_strict = False


class _Outside:
    """Set by extram, cgocall, signal_unix and sigqueue: what could come in from outside."""

    nlive: Callable[[], int]  # live callback and export objects
    recheck: Callable[[], None]  # ask again: help from outside has become less
    extras: Callable[[], list[M]]  # extra Ms bound to a thread
    waiting: Callable[[], bool]  # a goroutine waits for a signal
    handed: Callable[[], int]  # counts on as signals are handed out; odd while one is
    interrupting: Callable[[], bool]  # a thread is about to interrupt main
    mayhandle: Callable[[], bool]  # the program has set signal handlers of its own


outside: Final = _Outside()


def strict_deadlock(on: bool = True) -> None:
    """Say that no help will come from outside, so that every deadlock is found.

    Without it, a live `cgo.callback` or a Python thread that gopark did not start counts
    as something that may still wake a goroutine.

    Args:
        on: False takes it back.
    Example:
        >>> gopark.debug.strict_deadlock()
        >>> gopark.debug.strict_deadlock(False)

    Go: none; Go's detector is silent in every program that uses cgo.
    """
    global _strict
    _strict = on


def checkdead(sched: Sched) -> str | None:
    """What to say if the program is dead. Caller holds Sched.lock."""
    sched.recheck, last = -1.0, sched.recheck
    if (
        sched.npidle < len(sched.allp)
        or sched.nsyscall
        or sched.runq
        or sched.main is None
        or sched.ended
        or sched.timers
    ):
        return None
    handed = outside.handed()
    # An M may work on without a P: one of a callback has none, sysmon or gomaxprocs may have
    # taken it. One of ours that runs no G and is not idle is between two of them: it may hold
    # a timer that has fired, or one not yet set, and asks again when it goes idle itself.
    ms = sched.allm + outside.extras()
    if any(m.curg is not None and m.curg.status is not GWAITING for m in ms):
        return None
    if any(m.curg is None and not m.idle and m.lockedg is None for m in sched.allm):
        return None
    # It may have come to its scheduling point and be about to say so, and a P that another M
    # is on its way to may hold a goroutine: whoever has it in hand asks again in the end.
    if any(g.status in (GRUNNABLE, GRUNNING, GSYSCALL) for g in allgs.copy()):
        return None
    if outside.waiting() or outside.interrupting():
        return None
    if outside.handed() != handed or handed & 1:
        # The signal goroutine, which seems to wait, may have taken somebody off a queue since,
        # and not have woken it yet when we looked. Whether it has: ask again.
        sched.recheck = 0.05
        return None
    if not _strict:
        if outside.nlive() or outside.mayhandle():
            return None
        if _pythonthreads(sched):
            sched.recheck = 0.05 if last <= 0 else min(last * 2, 5.0)
            return None
    m0 = sched.m0
    if m0 is not None and m0 is not tls.m:
        m0.park.wakeup()  # it is asleep, and asks again itself: see above
        return None
    return _NONE if sched.main_goexited and not allgs else _ASLEEP


def _pythonthreads(sched: Sched) -> bool:
    """There is a thread that runs Python and is not ours."""
    if FREETHREADED:
        return _thread._count() > len(ourthreads) + len(bystanders)
    ours = bystanders | {m.ident for m in sched.allm}
    ours.add(sysmonwait.ident)
    ours |= watchers
    return any(ident not in ours for ident in currentframes())


def recheck() -> None:
    """Have an idle M ask again. May be called by the collector: takes no lock."""
    sched = current()
    if sched is None or sched.main is None or sched.npidle < len(sched.allp):
        return
    for m in sched.allm:
        m.park.wakeup()  # one with nothing to do looks around and sleeps again


def deadlock(sched: Sched, what: str) -> None:
    """Report it with the stack of every goroutine and end the program."""
    stacks = "" if what == _NONE else "\n" + tracebackothers()
    fatal(sched, DeadlockError(f"fatal error: {what}"), f"fatal error: {what}\n{stacks}")


hooks.checkdead = checkdead
hooks.deadlock = deadlock
outside.recheck = recheck
