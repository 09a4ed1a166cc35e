"""Gs that sit on one thread: `block`, `lock_os_thread`, and the wait in a callback from C.

`block` drives an awaitable from plain code. When it must wait, the G's frames are on this
thread's stack, so the G is *pinned*: `g.lockedm` names the M and `g.ctx` is an `_Elsewhere`,
which tells the loop that takes the G off a queue to hand its P to that M (startlockedm).
`mpark` gives the P away and sleeps on the M's note; waking, it has the P that was handed
over. A thread that gopark did not make (an extra M) holds no P while it runs; it gets one
with its wake-up and gives it up at its next wait or when its callback ends.

Who owns the wake-up: as everywhere, the one who took the G off the wait queue. When the
program ends, the thread itself takes its G off (`unwait`) and raises ProgramEnded.

Source: Go 1.27 runtime/proc.go (LockOSThread, stoplockedm, startlockedm, exitsyscall).
Tests: tests/runtime/test_lockedm.py
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, TypeVar

from gopark._runtime.errors import NotOnGError, ProgramEnded
from gopark._runtime.runtime2 import (
    FREETHREADED,
    GOSCHED,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    LOCKED,
    PARK,
    G,
    M,
    Sched,
    casgstatus,
    tls,
)
from gopark._runtime.startm import (
    acquirep,
    current,
    getsched,
    handoffp,
    hooks,
    notesleep,
    pidleget,
    releasep,
    startsysmon,
    wakep,
)

__all__ = (
    "block",
    "drive",
    "entersyscall",
    "exitsyscall",
    "lock_os_thread",
    "requeue",
    "unlock_os_thread",
)

T = TypeVar("T")

_INFLIGHT: Final = 0.0005  # seconds
exiting: Final[list[bool]] = []  # not empty once the interpreter exits


class _Foreign:
    """Set by extram.py: how a thread without a goroutine becomes one for the time of a call."""

    callback: Callable[[Callable[[], Any]], Any]


foreign = _Foreign()


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
        ProgramEnded: main returned while it waited.
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
    elif hasattr(awaitable, "__await__"):
        coro = _await(awaitable)
    else:
        raise TypeError(f"block() needs an awaitable, got {awaitable!r}: block(ch.recv())")
    m = tls.m
    if m is None or m.curg is None:
        return foreign.callback(lambda: drive(coro))  # type: ignore[no-any-return]
    return drive(coro)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine to its end on this thread, which is running a goroutine."""
    m = tls.m
    assert m is not None
    g = m.curg
    assert g is not None
    step: Callable[..., Any] = coro.send
    value: Any = None
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


def foreigncommand(command: object) -> BaseException:
    """The error for a coroutine that yielded something that is not ours."""
    what = "a bare yield" if command is None else repr(command)
    return TypeError(
        f"a goroutine awaited {what}, which belongs to another event loop (asyncio, trio, ...); "
        "use gopark's own sleep, channels and locks, or run that loop in a plain goroutine: "
        "gopark.go(asyncio.run, main())"
    )


def notparked(waiter: object, exc: BaseException) -> None:
    """PARK raised: if no scheduler of ours took it, undo the wait that has just begun.

    Called by a primitive, which still holds its lock in that case. A wake-up from outside
    clears `g.waiting` first, so what is still set was never handed to a scheduler.
    """
    m = tls.m
    g = None if m is None else m.curg
    if m is None or g is None or g.waiting is not waiter:
        return
    if m.waitunlockf is not None:
        m.waitunlockf(None)
    g.waiting.unwait(g)  # type: ignore[union-attr]
    raise NotOnGError(
        "a gopark operation had to wait where no goroutine runs it (under another event loop?); "
        "start it with gopark.go or gopark.run, or use gopark.block in a thread of its own"
    ) from exc


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
    sched = _schedof(m)
    cleanup = sched.cleanup
    if sched.ended and not (cleanup is not None and cleanup.mayblock(g)):
        if cleanup is not None:
            cleanup.told.add(g)
        _undo(g, m)
        raise ProgramEnded
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
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)
    else:
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


def _schedof(m: M) -> Sched:
    """The program this M works for; a bound extra M outlives programs."""
    sched = m.sched
    if sched is None or (sched.ended and m.g is not None):
        sched = m.sched = getsched()
        m.hog = False
        m.p = None  # of the program that has ended
    return sched


def _undo(g: G, m: M) -> None:
    """A G of an ended program wanted to wait: let its primitive go as if it had not."""
    if m.waitunlockf is None or g.waiting is None:
        m.waitunlockf = None
        return
    saved, g.lockedm = g.lockedm, m  # or the end of the program would bury it, as if parked
    g.status = GWAITING
    unlockf, m.waitunlockf = m.waitunlockf, None
    unlockf(None)
    sched = _schedof(m)
    while not _takeoff(sched, g) and m.nextp is None:
        m.park.sleep(_INFLIGHT)
    m.nextp = None  # whoever took it off a run queue has left a P that is none
    g.waiting = None
    g.lockedm = saved
    g.status = GRUNNING


def _checkdead(sched: Sched) -> None:
    with sched.lock:
        dead = hooks.checkdead(sched)
    if dead is not None:
        hooks.deadlock(sched, dead)


def _waitforp(sched: Sched, m: M, g: G) -> None:
    """Sleep until a P was handed over for `g`, then run on.

    When the program has ended nobody hands a P over. Then this thread takes `g` off whatever
    it is on, so that it is on no queue when it runs, and has ProgramEnded raised in it.
    """
    while m.nextp is None:
        if exiting and m.g is not None and m.ctx is None:
            m.park.sleep()  # a thread of Python's: it sleeps on until the interpreter is gone
        elif not sched.ended:
            notesleep(m, sched.recheck if m.m0 else -1)
            if m.nextp is None and not sched.ended:
                _checkdead(sched)
        elif (cleanup := sched.cleanup) is not None and cleanup.mayblock(g):
            m.park.sleep()  # until it is over
        elif _takeoff(sched, g):
            break
        else:
            m.park.sleep(_INFLIGHT)  # somebody has `g` in hand, and is about to put it somewhere
    acquirep(m)
    if sched.ended:
        m.p = None  # after `ended`, so endsched and this thread cannot both miss it
    else:
        casgstatus(g, GRUNNABLE, GRUNNING)
    if sched.ended and m.exc is None and not _cleansup(sched, g):
        m.exc = sched.fatal if m.m0 and sched.fatal is not None else ProgramEnded()
    g.status = GRUNNING
    g.m = m
    m.curg = g


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
    queues: list[Any] = [sched.runq, sched.hogq]
    for p in sched.allp[:]:
        queues += [p.runq, p.runnext]
    for queue in queues:
        try:
            queue.remove(g)
        except (ValueError, IndexError):
            continue
        return True
    return False


def mgosched(m: M, g: G) -> None:
    """Yield from plain code: go to the back of the global queue and wait for a turn."""
    sched = _schedof(m)
    if sched.ended:
        if _cleansup(sched, g):
            return  # there is no turn to wait for
        raise ProgramEnded
    requeue(sched, m, g)


def requeue(sched: Sched, m: M, g: G) -> None:
    """Go to the back of the global queue and wait there, on this thread, for a P."""
    saved = g.ctx, g.lockedm
    g.ctx = _Elsewhere(g.ctx)  # type: ignore[assignment]
    g.lockedm = m
    g.status = GRUNNABLE
    p = releasep(m)
    sched.runq.append(g)
    if p is not None:
        handoffp(sched, p)
    elif sched.npidle:
        wakep(sched)
    _waitforp(sched, m, g)
    g.ctx, g.lockedm = saved
    if m.exc is not None:
        _raiseexc(m, g)


# --- system calls ------------------------------------------------------------------------


def entersyscall(m: M, g: G) -> None:
    """This G is about to run C that may block: its P goes to others. Go: entersyscallblock."""
    sched = _schedof(m)
    if FREETHREADED:
        hooks.recordframes(m)
    casgstatus(g, GRUNNING, GSYSCALL)
    g.waitsince = sched.now
    with sched.lock:
        sched.nsyscall += 1
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)


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


# --- lock_os_thread ----------------------------------------------------------------------


def lock_os_thread() -> None:
    """Wire the calling goroutine to its current thread until it unlocks as many times.

    No other goroutine runs on the thread meanwhile. A goroutine that ends while locked
    takes its thread with it. Called on the main thread before `run`, it locks the main
    goroutine of the next `run` from its first line on, as in an `init` of Go.

    Raises:
        NotOnGError: the calling thread runs no goroutine, and is not about to call `run`.
    Example:
        >>> async def main():
        ...     gopark.runtime.lock_os_thread()
        ...     thread = threading.get_ident()
        ...     await gopark.gosched()
        ...     print(threading.get_ident() == thread)
        >>> gopark.run(main)
        True

    Go: runtime.LockOSThread.
    """
    if _beforerun():
        startsysmon()  # as this thread is now: see startm.py
        initlock.append(None)
        return
    m, g = _ong("lock_os_thread")
    if m.g is g:
        return  # a callback from C never leaves its thread
    g.lockedcnt += 1
    m.lockedg = g
    g.lockedm = m
    m.onthread = True


def unlock_os_thread() -> None:
    """Undo one `lock_os_thread`; the last one frees the goroutine. No lock, no effect.

    Raises:
        NotOnGError: the calling thread runs no goroutine.
    Example:
        >>> async def main():
        ...     gopark.runtime.lock_os_thread()
        ...     gopark.runtime.unlock_os_thread()
        >>> gopark.run(main)

    Go: runtime.UnlockOSThread.
    """
    if _beforerun():
        del initlock[-1:]
        return
    m, g = _ong("unlock_os_thread")
    if not g.lockedcnt or m.g is g:
        return
    g.lockedcnt -= 1
    if not g.lockedcnt:
        m.lockedg = g.lockedm = None
        m.onthread = g.coro is None


initlock: Final[list[None]] = []  # an item for each lock_os_thread before `run`


def _beforerun() -> bool:
    """This is the main thread, and no `run` is active."""
    m = tls.m
    sched = current()
    return (
        (m is None or m.curg is None)
        and (sched is None or sched.main is None)
        and threading.current_thread() is threading.main_thread()
    )


def _ong(who: str) -> tuple[M, G]:
    m = tls.m
    if m is None or m.curg is None:
        raise NotOnGError(f"{who}() must be called in a goroutine; this thread runs none")
    return m, m.curg


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
    if command is PARK:
        g.status = GWAITING
        unlockf, m.waitunlockf = m.waitunlockf, None
        unlockf(None)  # type: ignore[misc]
    elif command is GOSCHED:
        sched = _schedof(m)
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
hooks.badcommand = badcommand
