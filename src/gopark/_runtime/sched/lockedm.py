"""Gs that sit on one thread: `block`, the steps of one that has locked itself to its thread
(`lock_os_thread` is in lockosthread.py), and the wait in a callback from C.

`block` drives an awaitable from plain code. When it must wait, the G's frames are on this
thread's stack, so the G is *pinned*: `g.lockedm` names the M and `g.ctx` is an `_Elsewhere`,
which tells the loop that takes the G off a queue to hand its P to that M (startlockedm).
`mpark` gives the P away and sleeps on the M's note; waking, it has the P that was handed
over. A thread that gopark did not make (an extra M) holds no P while it runs; it gets one
with its wake-up and gives it up at its next wait or when its callback ends.

Who owns the wake-up: as everywhere, the one who took the G off the wait queue. When the
program ends, the thread itself takes its G off (`unwait`) and raises ProgramEnded.

Threads of others, and the ends of programs. Such a thread outlives programs, but what it runs
belongs to one: to that in which it first waited, or made a timer, within this call (`m.stays`,
set by `mprogram`). When that has ended, its next wait raises ProgramEnded, in whatever program
the thread would wait by then: its timers are on a heap that nobody looks at any more.

Who makes a G of such a thread ready may belong to another program than the G: a channel knows no
programs. So the P that comes with the wake-up may be one of a program that lives, while the G's
has ended. It is not ours then, and goes on at once (`_takep`). The other way round, a G may be
put on a queue of a program whose end has emptied its queues: see runq.py.

In C. A G in state syscall (`cgo.call`) may run Python code all the same: a function of Python's,
a callback that nobody wrapped. When that waits, by way of `drive`, the G is out of state syscall
for the time of the call, as if the callback had been wrapped; what does not wait needs no P.

Source: Go 1.27 runtime/proc.go (stoplockedm, startlockedm). Tests: tests/runtime/test_lockedm.py
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import CodeType, CoroutineType
from typing import Any, Final, TypeVar

from gopark._runtime.base.errors import AmidRuntime, ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import (
    CAMEUP,
    FREETHREADED,
    GOSCHED,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    KEEPSP,
    LOCKED,
    PARK,
    G,
    M,
    Sched,
    casgstatus,
    strays,
    tls,
)
from gopark._runtime.base.suspend import unawaited
from gopark._runtime.sched.foreign import (
    foreigncommand,
    notawaitable,
    notong,
    strayed,
    told,
    undone,
)
from gopark._runtime.sched.onm0 import lendp, letmain
from gopark._runtime.sched.runq import offqueue
from gopark._runtime.sched.startm import (
    acquirep,
    getsched,
    handoffp,
    mprogram,
    notesleep,
    pending,
    pidleget,
    releasep,
    toolate,
    wakep,
)

__all__ = (
    *("YIELDS", "block", "drive", "entersyscall", "exitsyscall", "letgo", "lettinggo"),
    *("notparked", "requeue", "yieldcodes"),
)

T = TypeVar("T")

_INFLIGHT: Final = 0.0005  # seconds
_MANYNAPS: Final = 2000
_LASTWAIT: Final = 0.1  # seconds: how long a callback of C's waits that comes in at exit
late: Final[list[bool]] = []  # not empty once Python runs what atexit has been given
exiting: Final[list[bool]] = []  # not empty once our part of that has run

# Gs whose wait is being undone: nobody may end it for another reason meanwhile.
lettinggo: Final[set[G]] = set()
yieldcodes: Final[set[CodeType]] = set()  # of what gives way: timesleep.py adds it
YIELDS: Final = "gosched"  # the wait reason of a pinned G that gives way: no value is on its way


class _Left(ProgramEnded):
    """The coroutine swallows ProgramEnded again and again: it is not thrown into it any more."""


def block(awaitable: Awaitable[T]) -> T:
    """Run an awaitable to completion from plain code, on this thread, as part of this goroutine.

    While it waits, other goroutines run: the thread gives its right to schedule away. On a
    thread that gopark did not make, the call is a goroutine of its own while it lasts.

    Args:
        awaitable: What could stand behind `await` in a goroutine: `ch.recv()`, `sleep(1)`.
    Returns:
        Its result; its exception passes through.
    Raises:
        TypeError: it is not awaitable, or it waits for another event loop.
        RuntimeError: another goroutine awaits it already.
        ProgramEnded: main returned while it waited, or since it last did.
    Example:
        >>> def worker(ch):
        ...     gopark.block(ch.send("from a thread"))
        >>> async def main():
        ...     ch = gopark.Chan()
        ...     gopark.go(worker, ch)
        ...     print(await ch.recv())
        >>> gopark.run(main)
        from a thread

    Go: none; there every function may wait.
    """
    if type(awaitable) is CoroutineType:
        coro: Coroutine[Any, Any, T] = awaitable
    elif hasattr(awaitable, "__await__") or inspect.isawaitable(awaitable):
        coro = _await(awaitable)
    else:
        raise notawaitable(awaitable)
    m = tls.m
    if m is None or ((g := m.curg) is None and m.g is not None):
        return hooks.onforeign(partial(drive, coro))  # type: ignore[no-any-return]
    if g is None or g.waiting is not None or g.status is GWAITING:
        return _borrowed(m, coro)
    return drive(coro)


def _borrowed(m: M, coro: Coroutine[Any, Any, T]) -> T:
    """A finalizer has come in amid the scheduler, or amid a wait: it is a goroutine of its own."""
    tls.m = None
    try:
        return hooks.borrow(partial(drive, coro))  # type: ignore[no-any-return]
    finally:
        tls.m = m


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine to its end on this thread, which is running a goroutine."""
    unawaited(coro)
    m = tls.m
    assert m is not None
    g = m.curg
    assert g is not None
    insyscall = g.status is GSYSCALL
    if insyscall:
        _leavec(m, g, coro)
    step: Callable[..., Any] = coro.send
    value: Any = None
    try:
        while True:
            try:
                command = step(value)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            step, value = coro.send, None
            try:
                dowait(m, g, command)
            except BaseException as exc:
                step, value = coro.throw, exc
    finally:
        if insyscall:
            entersyscall(m, g)


def _leavec(m: M, g: G, coro: Coroutine[Any, Any, Any]) -> None:
    """Out of state syscall, to run this; if that cannot be, C goes on as it was."""
    try:
        exitsyscall(m, g)
    except BaseException:
        coro.close()
        entersyscall(m, g)
        raise


def notparked(waiter: object, exc: BaseException, takes: bool = False) -> bool:
    """PARK raised: if no scheduler of ours took it, undo the wait that has just begun.

    Called by a primitive, which still holds its lock in that case. A wake-up from outside clears
    `g.waiting` first, so what is still set was never handed to a scheduler. Once the lock is free
    anybody may wake it: one that `takes` what it was woken with is told so, by True, instead.
    """
    m = tls.m
    g = None if m is None else m.curg
    if m is None or g is None or g.waiting is not waiter:
        return bool(undone) and g is not None and told(g, waiter, exc, takes)
    status = g.status
    woken = m.waitunlockf is not None and letgo(mprogram(m), m, g)
    g.status = status  # in C, it may be
    if woken and takes:
        return True
    raise notong() from exc


# --- waiting on a thread -----------------------------------------------------------------


class _Elsewhere:
    """Stands in for the context of a pinned G: it runs on its own thread and nowhere else."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx  # for those who look

    def run(self, *_: object) -> object:
        return LOCKED


def mpark(m: M, g: G) -> None:
    """Wait on this thread until somebody readies `g`; the P goes to others meanwhile."""
    sched = mprogram(m)
    cleanup = sched.cleanup
    if sched.ended and not (cleanup is not None and cleanup.mayblock(g)):
        if cleanup is not None:
            cleanup.told.add(g)
        if _undo(sched, m, g) and m.g is not None:
            return  # somebody was quicker, and it has what it wanted; its next wait will not
        raise _Left if hooks.refused(sched, m, g) else ProgramEnded
    if hooks.amid():  # somebody may need what this thread holds, to wake it
        if _undo(sched, m, g):
            return
        raise AmidRuntime
    saved = g.ctx, g.lockedm
    g.ctx = _Elsewhere(g.ctx)  # type: ignore[assignment]
    g.lockedm = m
    g.waitsince = sched.now
    if FREETHREADED:
        hooks.recordframes(m)
    g.status = GWAITING
    unlockf, m.waitunlockf = m.waitunlockf, None  # in this order: see bubble.py
    unlockf(None)  # type: ignore[misc]
    del unlockf
    if m.handling is KEEPSP:
        letmain(m)
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)
    elif not lendp(sched, m):
        _checkdead(sched)
    if cleanup is not None:
        cleanup.waiting[g] = None
    _waitforp(sched, m, g)
    if cleanup is not None:
        cleanup.waiting.pop(g, None)
    g.ctx, g.lockedm = saved
    if m.exc is not None:
        _raiseexc(m, g)


def _raiseexc(m: M, g: G) -> None:
    """Raise what the one who woke this thread has left, the end of the program in most cases."""
    g.waiting = None  # a timer or a select lets its G go by itself, and now will not
    exc, m.exc = m.exc, None
    assert exc is not None
    raise exc


def _undo(sched: Sched, m: M, g: G) -> bool:
    """A G of an ended program wanted to wait: let its primitive go as if it had not.

    True: it was woken in between.
    """
    if m.waitunlockf is None or g.waiting is None:
        m.waitunlockf = None
        return False
    return letgo(sched, m, g)


def letgo(sched: Sched, m: M, g: G) -> bool:
    """Undo a wait that has just begun, by taking `g` off its queue; True: somebody was quicker.

    It is pinned meanwhile, as in `mpark`: the end of its program would bury it, as if parked, and
    the loop of another would step it, if it is that one's goroutine who is quicker.
    """
    saved = g.ctx, g.lockedm
    g.ctx = _Elsewhere(g.ctx)  # type: ignore[assignment]
    g.lockedm = m
    lettinggo.add(g)
    g.status = GWAITING
    unlockf, m.waitunlockf = m.waitunlockf, None
    unlockf(None)  # type: ignore[misc]
    while not _takeoff(sched, g) and m.nextp is None:
        m.park.sleep(_INFLIGHT)
    _takep(sched, m)
    lettinggo.discard(g)
    woken = g.status is GRUNNABLE
    g.waiting = None
    g.ctx, g.lockedm = saved
    g.status = GRUNNING
    return woken


def _checkdead(sched: Sched) -> None:
    with sched.lock:
        dead = hooks.checkdead(sched)
    if dead is not None:
        hooks.deadlock(sched, dead)


def _waitforp(sched: Sched, m: M, g: G) -> None:
    """Sleep until a P was handed over for `g`, then run on.

    When the program has ended nobody hands a P over. Then this thread takes `g` off whatever
    it is on, so that it is on no queue when it runs, and has ProgramEnded raised in it. So it does
    with a callback of C's that is left alone at exit: see `_lefton`. What a thread of others was
    given it keeps: woken before, it goes on, to its next wait.
    """
    left = over = cameup = False
    naps = 0
    while m.nextp is None:
        if pending and not cameup:
            cameup = _handle(sched, m, g)
        if exiting and m.g is not None and m.ctx is None:
            m.park.sleep()  # a thread of Python's: it sleeps on until the interpreter is gone
        elif not sched.ended and not left:
            last = bool(late) and _lefton(sched, m)
            woken = notesleep(m, _LASTWAIT if last else sched.recheck if m.m0 else -1)
            if last:
                left = not woken and _lefton(sched, m)
            elif m.nextp is None and not sched.ended:
                _checkdead(sched)
        elif (cleanup := sched.cleanup) is not None and cleanup.mayblock(g):
            m.park.sleep()  # until it is over
        elif over := _takeoff(sched, g) or (naps > _MANYNAPS and m.g is None):
            break  # a thread of ours is to end, whoever has `g`: it waits for nothing any more
        else:
            m.park.sleep(_INFLIGHT)  # somebody has `g` in hand, and is about to put it somewhere
            naps += 1
    try:
        _takep(sched, m)
    except MemoryError as exc:
        m.exc = m.exc or exc  # raised at the wait, by a G that runs
    given = m.g is not None and g.status is GRUNNABLE
    if not sched.ended and not over:
        casgstatus(g, GRUNNABLE, GRUNNING)
    if (sched.ended or over) and not given and m.exc is None and not _cleansup(sched, g):
        m.exc = sched.fatal if m.m0 and sched.fatal is not None else ProgramEnded()
    g.status = GRUNNING
    g.m = m
    m.curg = g


def _handle(sched: Sched, m: M, g: G) -> bool:
    """Signal handlers are to be called: on the main thread, while its G waits. See givelocked.

    True: its G has come up meanwhile, and is to have its turn before more of them are called. Else
    signals that come faster than handlers end would keep it from running for ever.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return False
    with sched.lock:
        if m.nextp is not None:
            return False  # awake: user code comes next, where they are called as well
        m.handling = "yes"
    try:
        hooks.safepoint(m)
    finally:
        with sched.lock:
            cameup = m.handling is CAMEUP
            m.handling = ""
        if cameup:
            sched.runq.append(g)
            if sched.npidle:
                wakep(sched)
    return cameup


def _lefton(sched: Sched, m: M) -> bool:
    """At exit: a callback of C's waits, and the main thread, which ends all, runs no goroutine.

    It may be in a function that joins the library's thread, and that thread is this one. So no
    callback waits for long then; the threads of Python's that are to be joined have been.
    """
    if m.g is None or m.pinned is True or sched.main is not None:
        return False
    main = threading.main_thread().ident
    return not any(other.ident == main and other.curg is not None for other in hooks.extras())


def _takep(sched: Sched, m: M) -> None:
    """Take the P that came with the wake-up, unless it is of another program, or ours has ended.

    Whoever took the G off a run queue has handed it over. In a program that has ended it is none
    any more; one of a program that lives goes on to somebody there.
    """
    p, m.nextp = m.nextp, None
    if p is None:
        return
    if m.p is not None:  # amid the runtime, where it has given its own to nobody
        hooks.later(handoffp, p.sched, p)
    elif p.sched is sched:
        try:
            acquirep(m, p)
        except MemoryError:
            p.m, m.p = m, p  # or nobody had it
            raise
        if sched.ended:
            m.p = None  # after `ended`, so endsched and this thread cannot both miss it
            toolate(sched, p)
    elif not p.sched.ended:
        handoffp(p.sched, p)
    else:
        toolate(p.sched, p)


def _cleansup(sched: Sched, g: G) -> bool:
    """What it waited for belongs to its cleanup; else it is told now, once. See cleanup.py."""
    cleanup = sched.cleanup
    if cleanup is None:
        return False
    if cleanup.mayblock(g):
        return True
    cleanup.told.add(g)
    return False


def _takeoff(sched: Sched, g: G) -> bool:
    """Take `g` off its wait queue or run queue; True if it was there."""
    if g.status is GWAITING:
        waiting = g.waiting  # once: whoever wakes `g` clears it at any moment
        return waiting is not None and waiting.unwait(g)
    return offqueue(sched, g)


def mgosched(m: M, g: G) -> None:
    """Yield from plain code: go to the back of the global queue and wait for a turn."""
    sched = mprogram(m)
    if sched.ended:
        if _cleansup(sched, g):
            return  # there is no turn to wait for
        raise _Left if hooks.refused(sched, m, g) else ProgramEnded
    if not hooks.amid():  # else it is not the goroutine that would give way
        g.waitreason = YIELDS
        try:
            requeue(sched, m, g)
        finally:
            g.waitreason = ""  # the next to come here may do so on its way back from C


def requeue(sched: Sched, m: M, g: G) -> None:
    """Go to the back of the global queue and wait there, on this thread, for a P."""
    saved = g.ctx, g.lockedm
    g.ctx = _Elsewhere(g.ctx)  # type: ignore[assignment]
    g.lockedm = m
    g.status = GRUNNABLE
    if m.handling is KEEPSP:
        letmain(m)
    p = releasep(m)
    sched.runq.append(g)
    if p is not None:
        handoffp(sched, p)
    elif not lendp(sched, m) and sched.npidle:
        wakep(sched)
    _waitforp(sched, m, g)
    g.ctx, g.lockedm = saved
    if m.exc is not None:
        _raiseexc(m, g)


# --- system calls ------------------------------------------------------------------------


def entersyscall(m: M, g: G) -> None:
    """This G is about to run C that may block: its P goes to others. Go: entersyscallblock."""
    sched = m.sched
    if sched is None or (sched.ended and m.g is not None and not m.stays):
        sched = m.sched = getsched()
        m.hog = False
        m.p = None  # of the program that has ended
    if FREETHREADED:
        hooks.recordframes(m)
    casgstatus(g, GRUNNING, GSYSCALL)
    g.waitsince = sched.now
    with sched.lock:
        sched.nsyscall += 1
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)
    elif sched.m0 is not m:
        lendp(sched, m)


def exitsyscall(m: M, g: G) -> None:
    """Back from C: run on with an idle P if there is one, else wait for a turn."""
    sched = m.sched  # as entersyscall left it, even if that program has ended meanwhile
    assert sched is not None
    with sched.lock:
        wantp = not sched.ended and m.g is None  # a foreign thread holds no P
        p = pidleget(sched) if wantp and sched.pidle else None
        if p is not None:
            acquirep(m, p)
        sched.nsyscall -= 1
    casgstatus(g, GSYSCALL, GRUNNING)
    if wantp and p is None:
        requeue(sched, m, g)


# --- after lock_os_thread ----------------------------------------------------------------


def parklocked(m: M, g: G, command: object) -> None:
    """A locked coroutine gave its M a wait: drive it here until it ends or unlocks."""
    coro = g.coro
    assert coro is not None and g.ctx is not None
    try:
        while m.lockedg is g:
            step: Callable[..., Any] = coro.send
            value: Any = None
            try:
                dowait(m, g, command)
            except _Left:
                raise
            except BaseException as exc:
                step, value = coro.throw, exc
            command = g.ctx.run(step, value)
    except StopIteration as done:
        hooks.goexit0(m, g, done)
    except BaseException as exc:
        hooks.goexit0(m, g, exc)
    else:
        finishstep(m, g, command)


def dowait(m: M, g: G, command: object) -> None:
    """Do on this thread what a step of a coroutine asked for."""
    if command is PARK:
        mpark(m, g)
    elif command is GOSCHED:
        mgosched(m, g)
    else:
        raise foreigncommand(command)


def finishstep(m: M, g: G, command: object) -> None:
    """The end of a coroutine's step outside the loop: as the loop does it."""
    m.curg = None
    sched = m.sched
    assert sched is not None
    if command is PARK:
        g.waitsince = sched.now
        g.status = GWAITING
        unlockf, m.waitunlockf = m.waitunlockf, None
        unlockf(None)  # type: ignore[misc]
    elif command is GOSCHED:
        g.status = GRUNNABLE
        sched.runq.append(g)
    else:
        m.curg = g
        badcommand(m, g, command)


def badcommand(m: M, g: G, command: object) -> None:
    """A coroutine awaited what another loop must serve: raise that at its await."""
    coro = g.coro
    assert coro is not None and g.ctx is not None
    try:
        command = g.ctx.run(coro.throw, foreigncommand(command))
    except BaseException as exc:
        hooks.goexit0(m, g, exc)
        m.curg = None
        return
    if m.lockedg is g:
        parklocked(m, g, command)
    else:
        finishstep(m, g, command)


hooks.parklocked = parklocked
strays.append(partial(strayed, letgo))
hooks.badcommand = badcommand
