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
     run. What those await has a short grace: cleanup.py.
  5. Async generators that are left are closed (mfinal.py).
A coroutine is closed by the one who took it off its wait queue or run queue, never while
another thread may step it.

After a fork the child has one thread and none of the program: all state is made anew. If
the child was forked in a goroutine and comes back to the scheduler, that thread's `run`
raises.

Source: Go 1.27 runtime/proc.go (main, schedinit). Tests: tests/runtime/test_rt0.py
"""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, overload

from gopark._runtime import (
    cgocall,
    extram,
    lockedm,
    mfinal,
    nomain,
    panic,
    proc,
    remote,
    runtime1,
    signal_unix,
    sigquit,
    startm,
    sysmon,
)
from gopark._runtime.cleanup import Cleanup
from gopark._runtime.errors import Goexit
from gopark._runtime.newproc import newg, startable
from gopark._runtime.proc import schedule, stopm
from gopark._runtime.runq import drainp, runqput
from gopark._runtime.runtime2 import (
    GDEAD,
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
from gopark._runtime.startm import hooks, newsched
from gopark._runtime.timesleep import gosched
from gopark._runtime.traceback import boundary, drivers, internal, recordframes

__all__ = ("run",)

T = TypeVar("T")

# Seconds that `run` waits at its end, at most: for threads that were asleep to unwind, and for
# those in the middle of a step, after which they find that the program has ended.
_ENDWAIT: Final = 1.0
_STEPWAIT: Final = 0.1
_LINGER: Final = 1000  # turns, as in Go
_run_lock = threading.Lock()  # one `run` at a time
_forks = 0
_runs = 0


@overload
def run(main: Callable[..., Coroutine[Any, Any, T]], /, *args: object, **kwargs: object) -> T: ...
@overload
def run(main: Callable[..., T], /, *args: object, **kwargs: object) -> T: ...


def run(main: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
    """Run `main(*args, **kwargs)` as the main goroutine; when it is done, nothing else goes on.

    Args:
        main: An `async def` or a plain function.
        args, kwargs: What it is called with.
    Returns:
        What main returns. An exception of main passes through unchanged.
    Raises:
        RuntimeError: called inside a goroutine, or while another `run` is active.
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
    before = tls.m
    if before is not None and before.curg is not None:
        raise RuntimeError(
            "run() was called inside a goroutine; call the function itself, "
            "await it, or start it with gopark.go"
        )
    coro = startable("run", main, args, kwargs)
    if not _run_lock.acquire(False):
        if coro is not None:
            coro.close()
        raise RuntimeError("run() is active in another thread; a process has one main goroutine")
    try:
        return _program(main, args, kwargs, coro)
    finally:
        tls.m = before
        if _run_lock.locked():
            _run_lock.release()


def runs() -> int:
    """How often `run` has begun a program in this process: for `gopark run`."""
    return _runs


def _program(
    main: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    coro: Coroutine[Any, Any, Any] | None,
) -> Any:
    global _runs
    _runs += 1
    sched = newsched()
    m = M(sched)
    m.m0 = True
    startm.minit(m)
    tls.m = None  # main is nobody's child
    kept = None if coro is None or lockedm.initlock else _keep(sched, coro)
    g = newg(1, kept, main, args, kwargs, None)
    tls.m = m
    locks = len(lockedm.initlock)
    if locks and threading.current_thread() is threading.main_thread():
        lockedm.initlock.clear()
        g.lockedcnt = locks
        g.lockedm = m
        m.lockedg = g
    else:
        locks = 0
    sched.maincoro = coro
    _entermain(sched, m, g)
    forks = _forks
    agen_hooks = mfinal.sethooks()
    restore = signal_unix.initsig(sched)
    restorequit = sigquit.initquit()
    try:
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
            raise RuntimeError("a forked child came back to run(); end it with os._exit")
    finally:
        restore()
        restorequit()
        if forks == _forks:
            _end(sched, m)
            if coro is not None and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
                coro.close()  # the program died before main began
        mfinal.resethooks(agen_hooks)
    return _outcome(sched)


async def _keep(sched: Sched, coro: Coroutine[Any, Any, Any]) -> None:
    """Main as the scheduler sees it: a coroutine whose result somebody keeps."""
    sched.result = await coro
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
        result = g.ctx.run(_callmain, main, args, kwargs)
        if panic.runningpanicdefers(sched):
            lockedm.drive(_linger(sched))
    except BaseException as raised:
        exc = raised
    if g.goexiting and not isinstance(exc, Goexit):
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
    if cleanup is not None and cleanup.settle(m, abandon):
        _join(sched, m)
    sched.cleanup = None
    for g in left:
        if g.m is not None and g.m.sched is sched:  # one that never ran was on a queue, and is gone
            allgs.discard(g)
    for p in sched.allp:
        p.gfree.clear()
    mfinal.closeleft()
    sched.m0 = sched.main = sched.maincoro = None
    with sched.lock:
        if m in sched.allm:
            sched.allm.remove(m)


def _ours(sched: Sched, g: G) -> bool:
    """A goroutine of the program that ends.

    A callback may have drawn a number before the end and have started its goroutine after it:
    then that is one of the next program, and runs there already, it may be.
    """
    m = g.m
    return g.goid < sched.lastgoid and g.goid not in extragoids and (m is None or m.sched is sched)


def abandon(sched: Sched, g: G | None) -> None:
    """Close coroutines that will not be stepped again: `g` if it is parked, and all on queues.

    Called on M0 for every goroutine, and by each M for its last one as it ends. What is
    closed was taken off its wait queue or run queue by this very call.
    """
    cleanup: Cleanup | None = sched.cleanup
    if cleanup is not None and g in cleanup.coros:
        g = None  # it has been told, and is waited for
    waiting = None if g is None or g.status is not GWAITING or g.lockedm is not None else g.waiting
    if g is not None and waiting is not None and waiting.unwait(g):
        g.status = GRUNNABLE
        sched.runq.append(g)
    for p in sched.allp:
        drainp(p)
    while sched.hogq:
        sched.runq.append(sched.hogq.popleft())
    while sched.runq:
        try:
            taken = sched.runq.popleft()
        except IndexError:
            break
        lockedm = taken.lockedm  # once: its own thread clears it when it goes on
        if lockedm is not None:
            startm.givep(lockedm, P(-1, sched))  # that thread unwinds it: see lockedm
            lockedm.park.wakeup()
        elif cleanup is None or not cleanup.step(taken):
            _bury(taken)


def _bury(g: G) -> None:
    coro, ctx = g.coro, g.ctx
    allgs.discard(g)
    g.status = GDEAD
    if coro is not None and ctx is not None:
        _close(coro, ctx)  # it may look at `g.elem`: has it been given something?
    g.clear()


def _close(coro: Coroutine[Any, Any, Any], ctx: Any) -> None:
    """`finally` blocks run here; one that insists on waiting is asked again, then kept."""
    for _ in range(100):
        try:
            ctx.run(coro.close)
        except RuntimeError as exc:
            if "ignored GeneratorExit" not in str(exc):
                return
        except BaseException:
            return
        else:
            return
    _undead.append(coro)  # the collector would only complain about it


_undead: Final[list[object]] = []


def _join(sched: Sched, m: M) -> None:
    """Wait for our threads to end; a short while only for one that is in C or computing."""
    began = time.monotonic()
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
        if not any(waited < (_ENDWAIT if _unwinding(o) else _STEPWAIT) for o in others):
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.005)


def _unwinding(m: M) -> bool:
    """This M was asleep, so it is on its way out; a G that runs user code may take for ever."""
    g = m.curg
    return g is None or g.status is GWAITING


# --- fork and exit -----------------------------------------------------------------------


def _afterfork() -> None:
    """In the child: one thread, no program."""
    global _run_lock, _forks
    sched = startm.current()
    _forks += 1
    if sched is not None:
        sched.ended = True
        for m in sched.allm:
            m.p = None
    _run_lock = threading.Lock()
    allgs.clear()
    tls.m = None
    startm.forget()
    panic.forget()
    runtime1.forget()
    sysmon.forget()
    extram.forget()
    remote.forget()
    nomain.forget()
    signal_unix.forget()


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)
atexit.register(_atexit)

hooks.abandon = abandon
hooks.recordframes = recordframes
drivers.add(lockedm.drive.__code__)
internal.add(startm.newm.__code__)
signal_unix.transparent.update((_keep.__code__, _callmain.__code__))
boundary.update((schedule.__code__, _plainmain.__code__, run.__code__, proc.mstart.__code__))
