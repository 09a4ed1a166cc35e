"""The beginning and the end of a program: `run`, what happens when main is done, fork, exit.

`run` makes the calling thread M0 and its call the main goroutine. An `async def` main is a
coroutine like any other and may move to another thread; a plain main runs on M0. M0 runs no
other plain function, so that it can come back when main is done.

The end, step by step, on M0:
  1. `endsched` (panic.py) has taken every P away and woken every sleeper of the program.
  2. A report that is being printed is waited for; its error wins over main's result.
  3. Goroutines on threads of ours, parked, raise ProgramEnded there and unwind; M0 waits for
     those threads, a second at most. For one that is in C or computing it waits a tenth of
     that; it ends at its next wait.
  4. Parked and runnable coroutines are taken off their queues and closed: `finally` blocks
     run. What those await has a short grace (cleanup.py); one that goes on all the same is
     named, and left (closing.py).
  5. Async generators that are left are closed (mfinal.py).
A coroutine is closed by the one who took it off its wait queue or run queue, never while
another thread may step it.

After a fork the child has one thread and none of the program: all state is made anew. If
the child was forked in a goroutine and comes back to the scheduler, that thread's `run`
raises.

Source: Go 1.27 runtime/proc.go (main, schedinit). Tests: tests/runtime/test_rt0.py
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import inspect
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar, overload

from gopark._runtime.base.errors import FatalError, Goexit
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.monkey import refusepatched
from gopark._runtime.base.runtime2 import (
    GRUNNABLE,
    GRUNNING,
    GWAITING,
    G,
    M,
    P,
    Sched,
    allgs,
    casgstatus,
    extragoids,
    tls,
)
from gopark._runtime.c import cgocall, extram
from gopark._runtime.main.atend import afterend, atend, ends, settle, settling
from gopark._runtime.report.traceback import boundary, drivers, internal, recordframes, transparent
from gopark._runtime.sched import closing, finq, lockedm, mfinal, panic, proc, startm, sysmon
from gopark._runtime.sched import newosproc as newosproc
from gopark._runtime.sched.cleanup import Cleanup
from gopark._runtime.sched.closing import bury
from gopark._runtime.sched.lockosthread import initlock
from gopark._runtime.sched.newproc import newg, relist, startable
from gopark._runtime.sched.onm0 import keepon0
from gopark._runtime.sched.proc import schedule, stopm
from gopark._runtime.sched.runq import drainp, runqput
from gopark._runtime.sched.startm import newsched, toolate
from gopark._runtime.sched.sysmon import cputime, runnable
from gopark._runtime.signal import bringhome as bringhome
from gopark._runtime.signal import nomain, remote, sigfwd, signal_unix, sigquit
from gopark._runtime.time.timesleep import gosched

__all__ = ("run",)

Params = ParamSpec("Params")
T = TypeVar("T")

# Seconds that `run` waits at its end, at most: for threads that were asleep to unwind, and for
# those in the middle of a step, after which they find that the program has ended. The latter is
# processor time, if the thread has any, and in all not more than the third.
_ENDWAIT: Final = 1.0
_STEPWAIT: Final = 0.1
_MOSTWAIT: Final = 10.0
_LINGER: Final = 1000  # turns, as in Go
_run: Final = lasting(deque((None,)))  # a token: one `run` at a time
_forks = 0
_runs = 0


@overload
def run(
    main: Callable[Params, Coroutine[Any, Any, T]], /, *args: Params.args, **kwargs: Params.kwargs
) -> T: ...
@overload
def run(main: Callable[Params, T], /, *args: Params.args, **kwargs: Params.kwargs) -> T: ...


def run(main: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
    """Run `main(*args, **kwargs)` as the main goroutine; when it is done, nothing else goes on.

    Args:
        main: An `async def` or a plain function.
        args, kwargs: What it is called with.
    Returns:
        What main returns. An exception of main passes through unchanged.
    Raises:
        RuntimeError: called inside a goroutine, while another `run` is active, or with Python's
            threads replaced, as `gevent.monkey.patch_all()` does.
        TypeError: `main` cannot be called so, or is a coroutine object.
        FatalError: another goroutine let an exception escape (its `__cause__`). Its report
            is on stderr; it is a SystemExit with status 2.
        DeadlockError: all goroutines wait for each other.
        KeyboardInterrupt: Ctrl-C; it is raised in main, at its wait.
    Example:
        >>> async def main(name):
        ...     return "hello " + name
        >>> gopark.run(main, "gopher")
        'hello gopher'

    Go: the program, from `func main` on.
    """
    refusepatched("run()")
    before = tls.m
    if before is not None and before.curg is not None:
        raise RuntimeError(
            "run() was called inside a goroutine; call the function itself, "
            "await it, or start it with gopark.go"
        )
    _takerun()
    try:
        handlers = signal_unix.initsig()
        try:
            return _program(main, args, kwargs, handlers)
        except FatalError:
            signal_unix.ending(forgive=True)
            raise
        finally:
            if handlers:
                signal_unix.endsig()
    finally:
        tls.m = before
        if not _run:  # else this is the child of a fork
            _run.append(None)


def _takerun() -> None:
    """One `run` at a time."""
    try:
        _run.pop()
    except IndexError:
        raise RuntimeError(
            "run() is active in another thread; a process has one main goroutine"
        ) from None
    except BaseException:  # Ctrl-C, as that came back: handlers are Python's own still
        _run.append(None)
        raise


def runs() -> int:
    """How often `run` has begun a program in this process: for `gopark run`."""
    return _runs


def _program(
    main: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object], handlers: bool
) -> Any:
    global _runs
    coro = startable("run", main, args, kwargs)
    _runs += 1
    try:
        restorequit = sigquit.initquit()
    except BaseException:
        if coro is not None:
            coro.close()
        raise
    forks = _forks
    sched = newsched()
    m = M(sched)
    m.m0 = True
    agen_hooks = mfinal.sethooks()
    kept: list[Coroutine[Any, Any, Any]] = []
    try:
        startm.minit(m)
        g, locks = _makemain(sched, m, main, args, kwargs, coro)
        kept += () if g.coro is None else (g.coro,)
        _entermain(sched, m, g)
        if handlers and sigfwd.nforwards():
            keepon0(sched)
        signal_unix.resume()
        if coro is None:
            _plainmain(m, g, main, args, kwargs)
        elif locks:
            _plainmain(m, g, lockedm.drive, (coro,), {})  # it may not leave this thread
        else:
            if m.p is not None:
                runqput(m, m.p, g)
            else:
                sched.runq.append(g)
            _leavesyscall(sched)
            schedule(m)
        while not sched.ended:  # main is gone by goexit, M0 is needed no more
            if not stopm(m):
                break
            schedule(m)
        if forks != _forks:
            raise RuntimeError("a forked child came back to run(): use os._exit") from sched.exc
    finally:
        signal_unix.ending()
        if forks == _forks:
            _end(sched, m)
            for after in afterend:
                after(sched)
            if coro is not None and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
                for one in (*kept, coro):  # the program died before main began
                    one.close()
        restorequit()
        mfinal.resethooks(agen_hooks)
    return _outcome(sched)


def _makemain(
    sched: Sched,
    m: M,
    main: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    coro: Coroutine[Any, Any, Any] | None,
) -> tuple[G, int]:
    """Main's G; and how often its thread has been locked for it."""
    tls.m = None  # main is nobody's child
    kept = None if coro is None or initlock else _keep(sched, coro)
    g = newg(1, kept, main, args, kwargs, None)
    tls.m = g.m = m
    locks = len(initlock)
    if locks and threading.current_thread() is threading.main_thread():
        initlock.clear()
        g.lockedcnt = locks
        g.lockedm = m
        m.lockedg = g
    else:
        locks = 0
    sched.maincoro = coro
    return g, locks


async def _keep(sched: Sched, coro: Coroutine[Any, Any, Any]) -> None:
    """Main as the scheduler sees it: a coroutine whose result somebody keeps."""
    try:
        sched.result = await coro
    except BaseException as exc:
        if atend and ends(sched, exc):
            await settle(sched)
        raise
    if atend:
        await settle(sched)
    if panic.runningpanicdefers(sched):
        await _linger(sched)


async def _linger(sched: Sched) -> None:
    """Main is done, but a goroutine seems to panic: as in Go it may get as far as its report."""
    for _ in range(_LINGER):
        await gosched()
        if not panic.runningpanicdefers(sched):
            return


def _entermain(sched: Sched, m: M, g: G) -> None:
    """Make `m` M0, with a P if one is idle, and `g` main.

    A program that was running without a main may fall idle at this moment. Until main is on a
    queue or runs it counts as one in C, or that would look like a deadlock.
    """
    with sched.lock:
        sched.allm.append(m)
        sched.m0 = m
        sched.main = g
        sched.nsyscall += 1
        if sched.pidle:
            startm.acquirep(m, startm.pidleget(sched))


def _leavesyscall(sched: Sched) -> None:
    with sched.lock:
        sched.nsyscall -= 1


def _plainmain(
    m: M,
    g: G,
    main: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> None:
    """Run a plain main on this thread."""
    sched = m.sched
    assert sched is not None and g.ctx is not None
    g.m = m
    m.curg = g
    m.onthread = True
    casgstatus(g, GRUNNABLE, GRUNNING)
    if m.p is None:
        lockedm.requeue(sched, m, g)  # wait for a turn
    _leavesyscall(sched)
    exc: BaseException | None = None
    result: Any = None
    try:
        result = settling(sched, g.ctx.run, _callmain, main, args, kwargs)
        if panic.runningpanicdefers(sched):
            lockedm.drive(_linger(sched))
    except BaseException as raised:
        exc = raised
    if g.goexiting == g.goid and not isinstance(exc, Goexit):
        exc = Goexit()
    m.onthread = False
    hooks.goexit0(m, g, exc)
    m.curg = None
    if not isinstance(exc, Goexit) and sched.exc is None:
        sched.result = result
    if isinstance(exc, Goexit):
        schedule(m)


def _callmain(main: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
    result = main(*args, **kwargs)
    if isinstance(result, Coroutine):  # a decorated async def
        return lockedm.drive(result)
    return result


def _outcome(sched: Sched) -> Any:
    fatal, exc, result = sched.fatal, sched.exc, sched.result
    sched.fatal = sched.exc = sched.result = None  # the caller's now, and nobody else's
    try:
        if fatal is not None:
            raise fatal
        if exc is not None:
            raise exc
    finally:
        del fatal, exc
    return result


# --- the end -----------------------------------------------------------------------------


def _end(sched: Sched, m: M) -> None:
    """Main is done: stop all that is left. See the steps above."""
    with panic.panicking():
        panic.endsched(sched)
    m.p = None
    m.curg = None
    # In the order they were started, which is about that of the queues they are on: taking
    # 100,000 of them off one channel in any other order would take minutes.
    left = sorted((g for g in allgs.copy() if _ours(sched, g)), key=lambda g: g.goid)
    for g in left:
        abandon(sched, g)
    _join(sched, m)
    cleanup: Cleanup | None = sched.cleanup
    if cleanup is not None:
        if cleanup.settle(m, abandon):
            _join(sched, m)
        cleanup.report()
    sched.cleanup = None
    for g in left:
        if _ours(sched, g):  # a G may be another goroutine by now
            allgs.discard(g)
    for p in sched.allp:
        p.gfree.clear()
    mfinal.closeleft(partial(_closeagen, sched))
    closing.forget(sched)
    sched.m0 = sched.main = sched.maincoro = None
    with sched.lock:
        if m in sched.allm:
            sched.allm.remove(m)


def _closeagen(sched: Sched, *steps: Callable[[], None]) -> None:
    """Each step's wait is undone before the next, which from 3.13 on raises in it."""
    g = G(0)
    g.clear()
    g.status = GRUNNABLE
    for step in steps:
        closing.closing(sched, g, partial(_step, step))


def _step(step: Callable[[], None], _: M) -> None:
    step()


def _ours(sched: Sched, g: G) -> bool:
    """A goroutine of the program that ends, and not a callback, which outlives it."""
    m = g.m
    return m is not None and m.sched is sched and g.goid not in extragoids


def _programof(sched: Sched, g: G) -> Sched:
    """The program of a goroutine that was on a queue of `sched`, which has ended."""
    m = g.m
    return sched if m is None or m.sched is None else m.sched


def abandon(sched: Sched, g: G | None) -> None:
    """Close coroutines that will not be stepped again: `g` if it is parked, and all on queues.

    Called on M0 for every goroutine, by each M for its last one as it ends, and by who has put
    something on a queue and found that the program has ended. What is closed was taken off its
    wait queue or run queue by this very call. What is there and belongs to another program, since
    whoever made it ready still held a P of this one, goes to a queue of that.
    """
    cleanup: Cleanup | None = sched.cleanup
    me = tls.m
    ours = me is not None and me.g is None and me.sched is sched
    if cleanup is not None and not cleanup.over and not ours:
        return  # M0 is at it, and looks at the queues again; others step nothing of this program
    if cleanup is not None and g in cleanup.coros:
        g = None  # it has been told, and is waited for
    if g is not None and g.status is GWAITING and g.lockedm is None and _ours(sched, g):
        waiting = g.waiting
        if waiting is not None and waiting.unwait(g):
            g.status = GRUNNABLE
            sched.runq.append(g)
    elsewhere: list[G] | None = [] if me is not None and me.curg is not None else None
    for p in sched.allp:
        drainp(p)
    for aside in (sched.hogq, sched.held):
        while aside:
            sched.runq.append(aside.popleft())
    while sched.runq:
        try:
            taken = sched.runq.popleft()
        except IndexError:
            break
        lockedm = taken.lockedm  # once: its own thread clears it when it goes on
        if lockedm is not None:
            startm.givep(lockedm, P(-1, sched))  # that thread unwinds it: see lockedm
            lockedm.park.wakeup()
        elif (home := _programof(sched, taken)) is not sched:
            home.runq.append(taken)
            startm.wakep(home)
            if home.ended:
                toolate(home)
        elif elsewhere is not None:
            elsewhere.append(taken)
        elif cleanup is None or not cleanup.step(taken):
            bury(sched, taken)
    if elsewhere and cleanup is not None and not cleanup.over:
        sched.runq.extend(elsewhere)  # M0 is at it
    elif elsewhere:
        _buryaway(sched, elsewhere)


def _buryaway(sched: Sched, left: list[G]) -> None:
    """Close them on a thread that runs no goroutine: what they do then is not the caller's."""

    def burial() -> None:
        for g in left:
            bury(sched, g)

    try:
        _thread.start_new_thread(burial, ())
    except RuntimeError:  # no more threads
        burial()


def _join(sched: Sched, m: M) -> None:
    """Wait for our threads to end; a short while only for one that is in C or computing.

    For one that has no CPU, on a busy machine, that while is one of its own processor time.
    """
    began = time.monotonic()
    watches: dict[M, _Watch] = {}
    pause = 0.00005
    cleanup: Cleanup | None = sched.cleanup
    while True:
        with sched.lock:
            others = [o for o in sched.allm if o is not m]
        if cleanup is not None:
            cleanup.poll()
            if not cleanup.over:
                others = [o for o in others if o.curg not in cleanup.waiting]
        abandon(sched, None)  # what was on its way to a queue when the end came
        waited = time.monotonic() - began
        if not any(
            (waited < _ENDWAIT and _unwinding(o))
            or (waited < _MOSTWAIT and watches.setdefault(o, _Watch(o)).gets(o, waited))
            for o in others
        ):
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.005)


def _unwinding(m: M) -> bool:
    """This M was asleep, so it is on its way out; a G that runs user code may take for ever."""
    g = m.curg
    return g is None or g.status is GWAITING or closing.refusing(m)


class _Watch:
    """Of a thread that runs user code, while it is waited for."""

    def __init__(self, m: M) -> None:
        self.cpu0 = self.cpu = cputime(m)
        self.moved = 0.0  # when it was last seen to run, or to want to

    def gets(self, m: M, waited: float) -> bool:
        """It has some of its while left: what it has slept counts, and what it has computed."""
        cpu = cputime(m)
        if cpu != self.cpu or runnable(m):
            self.cpu, self.moved = cpu, waited
        most = _ENDWAIT if closing.refusing(m) else _STEPWAIT
        return max(cpu - self.cpu0, waited - self.moved) < most


# --- fork and exit -----------------------------------------------------------------------


def _afterfork() -> None:
    """In the child: one thread, no program."""
    global _forks
    sched = startm.current()
    _forks += 1
    if sched is not None:
        sched.ended = sched.forked = True
        for m in sched.allm:
            m.p = None
    relist()
    tls.m = None
    startm.forget()
    sysmon.forget()
    extram.forget()
    remote.forget()
    nomain.forget()
    finq.forget()
    signal_unix.forget()


def _exitbegins() -> None:
    """The script is over. Other threads of Python's are joined next, and may need callbacks yet.

    What atexit was given comes after that, the last first: so ours is given to it only now.
    """
    atexit.register(_lastcalls)


def _lastcalls() -> None:
    """The first that atexit does: callbacks of C that wait are on their own, see lockedm.py."""
    lockedm.late.append(True)
    for g in allgs.copy():
        if g.lockedm is not None and g.lockedm.g is not None:
            g.lockedm.park.wakeup()


def _atexit() -> None:
    """The interpreter exits: callbacks stop here, and no thread of ours is waited for."""
    sched = startm.current()
    if sched is not None:
        lockedm.exiting.append(True)
        sched.ended = True
        for g in allgs.copy():  # callbacks that wait return to C; Python's threads sleep on
            if g.lockedm is not None and g.lockedm.ctx is not None:
                g.lockedm.park.wakeup()
    cgocall.closing()
    signal_unix.exiting()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)
atexit.register(_atexit)
_beforejoin: Callable[[Callable[[], None]], object] | None
_beforejoin = getattr(threading, "_register_atexit", None)
if _beforejoin is not None:  # concurrent.futures needs it as well
    with contextlib.suppress(RuntimeError):  # too late: the exit has begun
        _beforejoin(_exitbegins)

hooks.abandon = abandon
hooks.recordframes = recordframes
drivers.add(lockedm.drive.__code__)
internal.add(startm.newm.__code__)
transparent.update((_keep.__code__, _callmain.__code__))
boundary.update((schedule.__code__, _plainmain.__code__, run.__code__, proc.mstart.__code__))
