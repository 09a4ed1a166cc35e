"""While a program is traced: what stands in the places of the scheduler's functions.

`install` puts them there, `uninstall` takes them away; in between each records and does what the
one it stands for does. The loop is changed without a word to it: `proc.schedule` asks
`findrunnable` for the next G at each round, and while tracing is on that name leads to `_round`,
which is a loop of its own. It runs until tracing is off, and then gives the first G back. An M
that slept as tracing began is asked for by `hooks.round` when it wakes.

New goroutines and wake-ups are told it (`births`, `wakes`).

All of them work, too, when they are called after tracing is off: an M may be in the midst of one.

Locks: none of its own.
Source: Go 1.27 runtime/traceruntime.go. Tests: tests/trace/test_trace.py
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gopark._runtime.base.errors import Goexit
from gopark._runtime.base.hooks import births, hooks, wakes
from gopark._runtime.base.runtime2 import (
    DONE,
    GDEAD,
    GOSCHED,
    GRUNNABLE,
    GRUNNING,
    GWAITING,
    LOCKED,
    PARK,
    G,
    M,
    P,
    Sched,
    allgs,
    tls,
)
from gopark._runtime.c import cgocall, extram
from gopark._runtime.prof.trace import (
    GO,
    LAST,
    MOVED,
    NOTE,
    READY,
    RETAKE,
    RUN,
    SLICE,
    STOP,
    YIELD,
    Items,
    clock,
    emit,
    funcname,
    gone,
    newlog,
    rotate,
    shortname,
    tracing,
)
from gopark._runtime.report.traceback import boundary
from gopark._runtime.sched import lockedm, proc, sysmon
from gopark._runtime.sched.proc import badrunnable
from gopark._runtime.sched.runq import drainp, spread, strayed
from gopark._runtime.sched.startm import SCHEDTICK

__all__ = ()


# --- the loop ----------------------------------------------------------------------------


def _round(m: M) -> G | None:
    """Stands for `findrunnable`: the loop of `proc.schedule`, with a record of each step."""
    if m in hooks.rounds or not tracing.on:
        return _findrunnable(m)
    hooks.rounds.add(m)
    log, p = _log(m), m.p
    if p is not None and p.runnext:
        displaced(log, p.runnext)  # readied in a step of the plain loop, which ends here
    g = tracing.inside.pop(m, None)
    if g is not None and g.status is GWAITING:
        log.append((STOP, clock(), g.goid, g.waitreason))
    log.append((SLICE, clock(), -1 if p is None else p.pid))
    del g
    try:
        _schedule(m)
        return _findrunnable(m)
    finally:
        hooks.rounds.discard(m)


def _schedule(m: M) -> None:
    """As `proc.schedule`, line by line; what is said there is not said again."""
    sched = m.sched
    assert sched is not None
    timers = sched.timers
    armed = timers.armed
    unlistg = allgs.discard
    time = clock
    ticks, onetick = (None,) * (SCHEDTICK - 1), (None,)
    runnable, running, waiting = GRUNNABLE, GRUNNING, GWAITING
    park, done, gosched, next_ = PARK, DONE, GOSCHED, next
    g: G | None = None
    nop = p = P(-1, sched)
    while True:
        if g is not None and sched.ended:
            if m.p is None:
                drainp(p)
            hooks.abandon(sched, g)
        g = None
        log = rotate(m)
        if not tracing.on:
            return
        g = _findrunnable(m)
        if g is None:
            return
        p = m.p or nop
        runnext, runq = p.runnext, p.runq
        popnext, popleft, append, gfput = runnext.pop, runq.popleft, runq.append, p.gfree.append
        t = time()
        log.append((SLICE, t, p.pid))
        for _ in ticks if not (sched.nhogs or sched.careful) else onetick:
            if g.status is not runnable:
                badrunnable(g)
            g.status = running
            if g.m is not m:
                if g.m is not None and g.m.sched is not sched:
                    proc.astray(g, g.m)
                g.m = m
            m.curg = g
            try:
                command = g.ctx.run(next_, g.step, done)  # type: ignore[union-attr, arg-type]
            except BaseException as exc:
                hooks.goexit0(m, g, exc)
                m.curg = None
                t = time()
                log = _log(m)
            else:
                t = time()
                if command is park and m.lockedg is None:
                    # Before it is let go of: another M may have it at the next line.
                    log.append(t)
                    log.append(g.goid)
                    log.append(g.waitreason)
                    m.curg = None
                    g.waitsince = t
                    g.status = waiting
                    unlockf = m.waitunlockf
                    unlockf(None)  # type: ignore[misc]
                    del unlockf
                elif command is done and m.lockedg is None and g is not sched.main:
                    log = _log(m)  # what was on its thread for long may have begun another
                    log.append(t)
                    log.append(g.goid)
                    log.append((g.parentid, funcname(g)))
                    m.curg = None
                    unlistg(g)
                    g.status = GDEAD
                    g.ctx = g.coro = g.step = g.gocode = g.goglobals = None
                    gfput(g)
                elif command is gosched and m.lockedg is None:
                    log.append(t)
                    log.append(g.goid)
                    log.append(YIELD)
                    m.curg = None
                    g.status = runnable
                    append(g)
                else:
                    if command is LOCKED:
                        log.append(t)
                        log.append(g.goid)
                        log.append(MOVED)
                    proc._unusual(m, g, command)
                    log = _log(m)
            if m.p is not p or (armed and t >= timers.when):
                if runnext:
                    log.append((READY, t, LAST, displaced([], runnext)))
                break
            if runnext:
                try:
                    g = popnext()
                except IndexError:
                    break
            else:
                try:
                    g = popleft()
                except IndexError:
                    break
                log.append(0)
        else:
            if log[-1] != 0:
                log.append((READY, t, LAST, g.goid))
            # With hogs each slice is one step, and then not each time: one that starts the next as
            # it ends would be the only one to run.
            onestep = (sched.nhogs or sched.careful) and p.schedtick % SCHEDTICK
            runq.appendleft(g) if onestep else runq.append(g)
        if m.p is not p:
            strayed(p)


def displaced(log: Items, runnext: deque[G]) -> int:
    """Note who is about to lose `runnext`: the loop tells who readied what it takes from there."""
    try:
        goid = runnext[0].goid
    except IndexError:
        return 0
    log.append(goid)
    return goid


def _wakes(g: G) -> bool:
    """In the place of what `ready` does.

    What is in `runnext` when a step ends was readied in that step, and is next. So it need be
    noted only what goes elsewhere.
    """
    m = tls.m
    if m is None or (p := m.p) is None:
        return _wakesaway(m, g)
    g.status = GRUNNABLE
    runnext = p.runnext
    if runnext:
        try:
            other = runnext.pop()
            _log(m).append(other.goid)  # first: once it is on a queue, it may run
            p.runq.append(other)
        except IndexError:
            pass
    runnext.append(g)
    if p.near.npidle and (p.runq or m.onthread or m.p is not p):
        if m.onthread or m.p is not p:
            displaced(_log(m), runnext)
        spread(m, p)
    return True


def _wakesaway(m: M | None, g: G) -> bool:
    """No P: it goes to the global queue."""
    if m is not None:
        _log(m).append(g.goid)
    elif tracing.on:
        tracing.away.append((READY, clock(), 0, g.goid))
    return False


def _log(m: M) -> Items:
    return m.trace or newlog(m)


def _born(g: G) -> None:
    """`go` has made one, and is about to put it in `runnext`. Main is started by nobody."""
    goid = g.goid
    m = tls.m
    if m is None:
        tracing.away.append((GO, clock(), 0, goid))
    elif goid != 1:
        log = _log(m)
        if (p := m.p) is not None and p.runnext:
            displaced(log, p.runnext)
        log.append(-goid)


# --- goroutines on threads ---------------------------------------------------------------


def _stop(m: M, g: G, how: object) -> None:
    log = _log(m)
    p = m.p
    if p is not None and p.runnext:
        displaced(log, p.runnext)  # whoever gets the P
    log.append((STOP, clock(), g.goid, how))


def _run(m: M, g: G, name: str = "") -> None:
    p = m.p
    rotate(m).append((RUN, clock(), -1 if p is None else p.pid, g.goid, name))


def _mpark(m: M, g: G) -> None:
    _stop(m, g, g.waitreason)
    try:
        _plain["mpark"](m, g)
    finally:
        _run(m, g)


def _requeue(sched: Sched, m: M, g: G) -> None:
    _stop(m, g, YIELD)
    try:
        _plain["requeue"](sched, m, g)
    finally:
        _run(m, g)


def _finishstep(m: M, g: G, command: object) -> None:
    if command is PARK:
        _stop(m, g, g.waitreason)
    elif command is GOSCHED:
        _stop(m, g, YIELD)
    _plain["finishstep"](m, g, command)


def _goexit0(m: M, g: G, exc: BaseException | None) -> None:
    ended = g.parentid, funcname(g)
    how = "goexit" if isinstance(exc, Goexit) else None if exc is None else type(exc).__name__
    if how is not None and not isinstance(exc, StopIteration):
        emit((NOTE, clock(), g.goid, how, None))
    _stop(m, g, ended)
    _plain["goexit0"](m, g, exc)


def _entersyscall(m: M, g: G) -> None:
    _stop(m, g, "syscall")
    _plain["entersyscall"](m, g)


def _exitsyscall(m: M, g: G) -> None:
    try:
        _plain["exitsyscall"](m, g)
    finally:
        _run(m, g)


def _mstart(m: M) -> None:
    try:
        _plain["mstart"](m)
    finally:
        gone(m)


def _take(self: sysmon.Sysmon, sched: Sched, p: P, m: M, hog: bool) -> bool:
    g = m.curg
    t = clock()
    taken: bool = _plain["take"](self, sched, p, m, hog)
    if taken:
        emit((RETAKE, t, p.pid, m.mid, 0 if g is None else g.goid))
    return taken


# --- callbacks from C --------------------------------------------------------------------


class _Closing:
    """Stands for `cgocall._closing`, and is true, so that every callback goes the slow way."""

    def __init__(self, real: list[bool]) -> None:
        self.real = real

    def __bool__(self) -> bool:
        return True

    def append(self, item: bool) -> None:
        self.real.append(item)


def _slowentry(run: Callable[..., Any], args: tuple[Any, ...], error: Any) -> Any:
    """As that of cgocall, and for the usual callback as well, with one that C called before."""
    if _closing.real:
        return cgocall._toolate(run, error)
    m = tls.m
    if m is None:
        m = _needm(sys._getframe(1))
    elif m.curg is not None or m.g is None:
        return cgocall._nested(m, run, args, error)
    g = cgocall._enter(m)
    emit((RUN, clock(), -1, g.goid, shortname(run)))
    try:
        return run(*args)
    except BaseException as exc:
        return cgocall._failed(m, g, exc, error)
    finally:
        cgocall._exit(m, g)


def _enter(m: M) -> G:
    g: G = _plain["enter"](m)
    _run(m, g)
    return g


def _exit(m: M, g: G) -> None:
    _stop(m, g, "callback returned")
    _plain["exit"](m, g)


def _needm(caller: Any) -> M:
    m: M = _plain["needm"](caller)
    assert m.g is not None
    newlog(m)
    emit((NOTE, clock(), m.g.goid, "needm", {"thread": m.nativeid}))
    return m


def _unbind(m: M) -> None:
    assert m.g is not None
    emit((NOTE, clock(), m.g.goid, "dropm", {"thread": m.nativeid}))
    gone(m)
    _plain["unbind"](m)


# --- on and off --------------------------------------------------------------------------

_findrunnable: Final = proc.findrunnable
_plain: Final[dict[str, Any]] = {}  # what ours stand for
_closing: Final = _Closing(cgocall._closing)
_swapped: Final[list[tuple[Any, str, Any, Any]]] = []  # where, name, theirs, ours


def _swap(where: Any, name: str, ours: Any, key: str = "") -> None:
    theirs = getattr(where, name)
    if theirs is not ours:
        _swapped.append((where, name, theirs, ours))
        if key:
            _plain[key] = theirs
        setattr(where, name, ours)


def install() -> None:
    """Caller holds `tracing.lock`, as for the next."""
    _swap(lockedm, "mpark", _mpark, "mpark")
    _swap(lockedm, "requeue", _requeue, "requeue")
    _swap(lockedm, "finishstep", _finishstep, "finishstep")
    _swap(hooks, "goexit0", _goexit0, "goexit0")
    _swap(hooks, "mstart", _mstart, "mstart")
    _swap(cgocall, "entersyscall", _entersyscall, "entersyscall")
    _swap(cgocall, "exitsyscall", _exitsyscall, "exitsyscall")
    _swap(lockedm, "entersyscall", _entersyscall)
    _swap(lockedm, "exitsyscall", _exitsyscall)
    _swap(sysmon.Sysmon, "take", _take, "take")
    _swap(cgocall, "needm", _needm, "needm")
    _swap(extram, "unbind", _unbind, "unbind")
    _plain["enter"], _plain["exit"] = cgocall._enter, cgocall._exit
    _swap(cgocall, "_enter", _enter, "enter")
    _swap(cgocall, "_exit", _exit, "exit")
    _swap(cgocall, "_slowentry", _slowentry)
    _swap(cgocall, "_closing", _closing)
    births.append(_born)
    wakes.set("trace", _wakes)
    hooks.round = _round
    _swap(proc, "findrunnable", _round)


def uninstall() -> None:
    """What somebody else has put in the place of ours meanwhile stays: ours do no harm."""
    hooks.round = None
    if _born in births:
        births.remove(_born)
    for where, name, theirs, ours in reversed(_swapped):
        if where is sysmon.Sysmon or getattr(where, name) is ours:
            setattr(where, name, theirs)
    _swapped.clear()
    wakes.set("trace", None)


tracing.install = install
tracing.uninstall = uninstall
boundary.update((_round.__code__, _schedule.__code__))
