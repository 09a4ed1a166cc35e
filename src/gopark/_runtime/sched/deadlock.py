"""When is a program dead? Only when nothing can wake anyone.

That is: every P is idle and every queue empty, no M runs a goroutine or is in C, no timer is
set, no callback from C runs, no goroutine waits for the network or a signal; and no help can come
from outside: no live `cgo.callback` or `export` object, no signal handler that the program has set
with Python's own `signal`, and no thread but gopark's own. A
program that has started a C library and waits for its first callback is not dead, and to end
it would be the worst a runtime can do.
`strict_deadlock()` says "no outside help will come" and leaves the last three questions out.

Which threads there are the kernel knows best (`_strangers`): a thread of C may call in through a
callback that nobody wrapped, and one of Python's that was started just now has a number there
before it has begun. Those of a pool that never calls in count as well, for nobody can tell them
from others; a report that is missing is better than one that is false. A thread of others that
waits in `block`, or in a callback, is a goroutine like any other meanwhile, and no help. Where the
kernel does not say, or cannot be asked for want of descriptors, it is Python's threads that count.

A program with no main (the runtime started at first use) is never dead: the thread that
used it is a Python thread of its own.

If only threads stand in the way, they may end without a word, so an idle M asks again, at
growing intervals of 0.05 to 5 seconds (`Sched.recheck`), and what was seen of them holds for the
first of these: a program that waits for a pool of processes a thousand times a second does not list
its threads as often. It asks the first time much sooner if there is
a thread that was not there before, for it may turn out to be ours: one that has not begun to tell
us, or has just ended. Who finds that out and is not about to go idle itself, since its G waits on
its thread, has the thread that called `run` ask. The end of the last callback object asks at once
(`recheck`).

It is the thread that called `run` that says so in the end. A signal may have come that Python
has not handled yet, a Ctrl-C for one; the handlers run on that thread, before any other line
of it. So another M that finds the program dead wakes that one, to look for itself.

Locks: `checkdead` is called with Sched.lock held.
Source: Go 1.27 runtime/proc.go, checkdead. Tests: tests/runtime/test_deadlock.py
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from typing import Final

from gopark._runtime.base.errors import DeadlockError
from gopark._runtime.base.hooks import hooks, netdoor
from gopark._runtime.base.runtime2 import (
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
from gopark._runtime.report.traceback import tracebackothers
from gopark._runtime.sched import finq
from gopark._runtime.sched.panic import fatal
from gopark._runtime.sched.startm import Threads, current, ourthreads, sysmonwait, watchers

__all__ = ("bystanders", "outside", "strict_deadlock")

_ASLEEP: Final = "all goroutines are asleep - deadlock!"
_NONE: Final = "no goroutines (main called runtime.Goexit) - deadlock!"

# Threads that look on, and will wake nobody: the watch of a test's time limit.
bystanders: Final = Threads()

_SOON: Final = 0.002  # seconds until it is asked again, if there is a thread not seen before
_FIRST: Final = 0.05  # the same, if there is none; twice as much each time
_MOST: Final = 5.0

_strict = False
_seen: set[int] = set()  # the strangers that there were when it was last asked
_until = 0.0  # until then they are taken to be there


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

    Without it, a live `cgo.callback` or a thread that gopark did not start, of Python's or of
    C's, counts as something that may still wake a goroutine.

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
        or sched.runq
        or sched.main is None
        or sched.ended
        or sched.timers
        or (netdoor.opened and netdoor.waits())
        or (not _strict and outside.nlive())
    ):
        return None
    if not _strict and time.monotonic() < _until:
        _again(sched, last)
        return None
    if not _strict and outside.mayhandle():
        return None
    handed = outside.handed()
    extras = outside.extras()
    if any(m.curg is not None and m.curg.status is not GWAITING for m in extras):
        _again(sched, last)  # its thread may go its way, and end, without a word
        return None
    if sched.nsyscall:
        return None
    # An M may work on without a P: one of a callback has none, sysmon or gomaxprocs may have
    # taken it. One of ours that runs no G and is not idle is between two of them: it may hold
    # a timer that has fired, or one not yet set, and asks again when it goes idle itself.
    if any(m.curg is not None and m.curg.status is not GWAITING for m in sched.allm):
        return None
    if any(m.curg is None and not m.idle and m.lockedg is None for m in sched.allm):
        return None
    # It may have come to its scheduling point and be about to say so, and a P that another M
    # is on its way to may hold a goroutine: whoever has it in hand asks again in the end.
    if _anyruns():
        return None
    if outside.waiting() or outside.interrupting() or finq.pending():
        return None
    if outside.handed() != handed or handed & 1:
        # The signal goroutine, which seems to wait, may have taken somebody off a queue since,
        # and not have woken it yet when we looked. Whether it has: ask again.
        _again(sched, 0.0)
        return None
    if not _strict and _help(sched, last, extras):
        return None
    m0 = sched.m0
    if m0 is not None and m0 is not tls.m:
        m0.park.wakeup()  # it is asleep, and asks again itself: see above
        return None
    # A thread that is no help any more may have sent a signal as the last it did. The handler has
    # been called by now, since the thread was missed, and in this order its helper is not.
    if outside.interrupting() or _anyruns():
        return None
    return _NONE if sched.main_goexited and not allgs else _ASLEEP


def _anyruns() -> bool:
    return any(g.status in (GRUNNABLE, GRUNNING, GSYSCALL) for g in allgs.copy())


def _again(sched: Sched, last: float, soon: bool = False) -> None:
    """Have it asked again, by the M that goes idle now, or else by the one of `run`.

    `last` is what was said the last time. If somebody goes by that already, it is left to him.
    """
    me, m0 = tls.m, sched.m0
    asks = me is not None and (me is m0 or me.idle)
    if not asks and last > 0 and not soon:
        sched.recheck = last
        return
    sched.recheck = _SOON if soon else max(_FIRST, min(last * 2, _MOST))
    if not asks and m0 is not None:
        m0.park.wakeup()


def _help(sched: Sched, last: float, extras: list[M]) -> bool:
    """There are threads that may wake somebody. Then it is asked again, for they may end."""
    global _seen, _until
    # A thread of others that waits is a goroutine: it is at nothing else, as was seen.
    waiting = [m for m in extras if m.curg is not None]
    strangers = _strangers(sched, waiting)
    if strangers is None:
        if not _pythonthreads(sched, waiting):
            return False
        _again(sched, last)
        return True
    fresh = not strangers <= _seen
    _seen = strangers
    if strangers:
        _until = 0.0 if fresh else time.monotonic() + _FIRST
        _again(sched, last, fresh)
    return bool(strangers)


def _strangers(sched: Sched, waiting: list[M]) -> set[int] | None:
    """The threads of this process that may help, by the kernel's numbers; None: it does not say."""
    try:
        tasks = {int(task) for task in os.listdir("/proc/self/task")}
    except (OSError, ValueError):
        return None
    if _thread.get_native_id() not in tasks:
        return None  # numbers of another name space
    ours = {m.nativeid for m in sched.allm + waiting}
    ours |= watchers.nativeids() | bystanders.nativeids()
    ours.add(sysmonwait.nativeid)
    me = tls.m
    if me is not None and me.g is None:
        ours.add(me.nativeid)  # a thread of ours that ends
    return tasks - ours


def _pythonthreads(sched: Sched, waiting: list[M]) -> bool:
    """There is a thread that runs Python and is not ours."""
    if FREETHREADED:
        known = len(ourthreads) + len(bystanders) + sum(m.pinned is True for m in waiting)
        return _thread._count() > known
    ours = {m.ident for m in sched.allm + waiting}
    ours |= watchers.idents() | bystanders.idents()
    ours.add(sysmonwait.ident)
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
    stacks = "" if what == _NONE else "\n" + tracebackothers(tasks=False)
    fatal(sched, DeadlockError(f"fatal error: {what}"), f"fatal error: {what}\n{stacks}")


hooks.checkdead = checkdead
hooks.deadlock = deadlock
outside.recheck = hooks.recheck = recheck
