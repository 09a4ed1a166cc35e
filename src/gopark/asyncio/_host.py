"""The program's loop: made at first use, run by a goroutine, ended when main is done.

Which loop a goroutine's `call` goes to: that of the task which has started it, or an ancestor of
it (`home`), else the program's.

The end, in main's goroutine, when main has returned or raised:
  1. tasks are cancelled, and the loop runs until they have ended, GRACE seconds at most
  2. async generators are closed, then the default executor
  3. the loop is closed; what is left is named on stderr
  4. goroutines: see rt0.py
A task, or a callback, that raises SystemExit or KeyboardInterrupt ends the program by that, as
asyncio.run does: 1 and 2 come first, in the goroutine of the loop.
Source: CPython's asyncio/runners.py. Tests: tests/asyncio/test_shutdown.py
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Final

from gopark._runtime.base.errors import FatalError, ProgramEnded
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import Sched, getg, tls
from gopark._runtime.base.suspend import called
from gopark._runtime.chan.chan import Chan
from gopark._runtime.main.atend import afterend, atend
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import Creator, Wrapped
from gopark._runtime.sched.newproc import start as start_
from gopark._runtime.sched.onm0 import stayon0
from gopark._runtime.sched.panic import doors as panicdoors
from gopark._runtime.sched.panic import endwith, printerr
from gopark._runtime.sched.startm import mysched
from gopark._runtime.sched.sysmon import hostcodes
from gopark.asyncio._alltasks import alltasks, install
from gopark.asyncio._hosted import Hosted
from gopark.asyncio._loop import Loop, doors

__all__ = ("GRACE", "athome", "bridge", "home", "homeof", "new_event_loop", "start")

GRACE: Final = 5.0  # seconds

Bridge = Any  # what has `post`: a Loop, or a Hosted

home: Final[ContextVar[Any]] = ContextVar("gopark.asyncio")
_making: Final = lasting(threading.RLock())
_shutting: Final[list[Sched]] = []  # main is done, and their tasks are being cancelled


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop whose thread is free for goroutines while it waits; for `asyncio.run` and others.

    It is asyncio's selector loop in all but how it sleeps. In a goroutine `run_forever` gives the
    right to schedule away then, as `gopark.block` does.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     await asyncio.sleep(0.001)
        ...     return 42
        >>> def plain():
        ...     with asyncio.Runner(loop_factory=gopark.asyncio.new_event_loop) as runner:
        ...         return runner.run(main())
        >>> gopark.run(plain)
        42

    Go: none.
    """
    install()
    return Loop()


def start(
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> asyncio.AbstractEventLoop:
    """Start the program's loop now, and say which; else the first `call` does.

    Args:
        factory: Makes another one, `uvloop.new_event_loop`. It has a thread of its own then, and
            a crossing costs two switches between threads. None: asyncio's, run by a goroutine.
    Returns:
        The loop. It ends when main is done.
    Raises:
        RuntimeError: the program has a loop already.
        TypeError: what `factory` makes is no loop.
    Example:
        >>> import asyncio
        >>> async def main():
        ...     gopark.asyncio.start(factory=asyncio.new_event_loop)
        ...     print(await gopark.asyncio.call(asyncio.sleep(0.001, "slept")))
        >>> gopark.run(main)
        slept

    Go: none.
    """
    sched = _program()
    hosted = None if factory is None or sched.host is not None else Hosted(factory)
    with _making:
        if sched.host is None:
            if hosted is None:
                return _begin(sched).loop
            sched.host = hosted
            hosted.begin()
            return hosted.loop
    if hosted is not None:  # somebody else was quicker
        hosted.loop.close()
    raise RuntimeError(
        "gopark.asyncio.start(): the program has a loop already; call start() before the "
        "first gopark.asyncio.call()"
    )


def bridge() -> Bridge:
    """The loop of the calling goroutine."""
    mine = home.get(None)
    if mine is not None and not mine._closed:
        return mine
    sched = _program()
    host = sched.host
    if host is None:
        with _making:
            host = sched.host or _begin(sched)
    return host


def athome(host: Bridge) -> None:
    """In the variables of a goroutine that a task has started: its calls go to that task's loop."""
    if home.get(None) is not host:
        home.set(host)


def homeof(loop: asyncio.AbstractEventLoop) -> Bridge:
    """How to reach a loop that runs on this thread."""
    if isinstance(loop, Loop):
        return loop
    return Hosted.of(loop)


def _program() -> Sched:
    sched = mysched()
    if sched.ended:
        raise ProgramEnded
    return sched


def _begin(sched: Sched) -> Loop:
    install()
    loop = Loop()
    loop.gopark_program = True
    sched.host = loop
    m = tls.m
    me = None if m is None else m.curg
    creator = Creator(sys._getframe())
    try:
        if m is not None:
            m.curg = None  # nobody starts it: it is in no bubble, though who calls first may be
        runs: Any = _run(sched, loop)
        made = Wrapped(runs, runs, partial(_dies, loop))
        Context().run(start_, made, _run, (), {}, creator)
    except BaseException:  # the program has ended meanwhile
        loop.close()
        raise
    finally:
        if m is not None:
            m.curg = me
    return loop


@called("asyncio.loop")
async def _run(sched: Sched, loop: Loop) -> None:
    """The goroutine of the program's loop."""
    me = getg()
    assert me is not None
    stayon0(me)
    stopped = False
    try:
        await loop.steps()
        stopped = True
    except (SystemExit, KeyboardInterrupt) as exc:
        if sched.ended or isinstance(exc, FatalError) or not loop.leads():
            raise
        await _leave(loop)
        if sched.main is None or isinstance(exc, SystemExit):
            raise
        endwith(sched, exc)
    finally:
        if sched.ended or not stopped:  # it dies, and nobody comes who would end this in order
            _dies(loop)


async def _leave(loop: Loop) -> None:
    """The loop goes on until its tasks have ended. What ends the program has been said."""
    left: list[str] = []

    def over(ending: asyncio.Task[list[str]]) -> None:
        loop.gopark_program = False  # this `stop` is no task's
        loop.stop()
        left.extend(ending.result())

    asyncio.Task(_shutdown(loop), loop=loop).add_done_callback(over)
    while True:
        try:
            await loop.steps()
            break
        except (SystemExit, KeyboardInterrupt):
            pass
    if left:
        printerr(_report(left))


def _dies(loop: Loop) -> None:
    """Close it, and those of its tasks that have not ended: some may come after all others."""
    for task in alltasks(loop):
        _abandon(task)
    loop.close()


def _abandon(task: asyncio.Task[Any]) -> None:
    """Its loop runs no more. Its `finally` blocks do, as those of goroutines, and cannot wait."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coro: Any = task.get_coro()
    try:
        coro.close()
    except BaseException:
        pass  # its own, or that it goes on


# --- the end ---------------------------------------------------------------------------------


async def _end(sched: Sched) -> None:
    """Main is done."""
    host = sched.host
    if host is None or host.loop.is_closed():
        return
    if type(host) is Loop and not host.leads():  # a task ends the program
        await Chan[None]().recv()
    from gopark.asyncio._call import Call  # which goes by `bridge`

    ending = Call(host, _shutdown(host.loop), Context())
    _shutting.append(sched)
    try:
        left = await ending.wait()
        if left:
            printerr(_report(left))
        await host.halt()
    finally:
        _shutting.remove(sched)


def _cancelled(sched: Sched, exc: BaseException) -> bool:
    """Who waits for a task as main is done, and does not catch that it was cancelled: no panic."""
    return isinstance(exc, asyncio.CancelledError) and sched in _shutting


def _after(sched: Sched) -> None:
    """A program that has died: nobody has ended its loop, which may not have begun."""
    host = sched.host
    # One that is amid a step, on a thread that was not waited for, dies as that comes back.
    if type(host) is Loop and not host._closed and not host.is_running():
        _dies(host)


async def _shutdown(loop: asyncio.AbstractEventLoop) -> list[str]:
    """In a task of the loop: end all others. What does not end, described.

    Goroutines go on meanwhile, and may call: a task may wait for one that does. Those that come
    then are cancelled after the others, and from there on no call begins any more.
    """
    me = asyncio.current_task()
    until = loop.time() + GRACE
    left: set[asyncio.Task[Any]] = set()
    while (tasks := asyncio.all_tasks() - {me}) and not left:
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=max(0.0, until - loop.time()))
        for task in tasks:
            if task not in left and not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {
                        "message": "unhandled exception during gopark.asyncio shutdown",
                        "exception": task.exception(),
                        "task": task,
                    }
                )
        _over(loop)
    _over(loop)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    return [shown(task) for task in left]


def _over(loop: asyncio.AbstractEventLoop) -> None:
    if type(loop) is Loop:
        loop.gopark_over = True


def _report(left: list[str]) -> str:
    what = "a task was" if len(left) == 1 else f"{len(left):,} tasks were"
    return (
        f"gopark: main is done, and {what} left that had been cancelled and did not end within "
        f"{GRACE:g} s:\n" + "".join(f"\t{one}\n" for one in left)
    )


doors.dies = _dies
panicdoors.cancelled = _cancelled
atend.append(_end)
afterend.append(_after)
hostcodes.add(_run.__code__)
transparent.update(
    (_run.__code__, _leave.__code__, _dies.__code__, _abandon.__code__, _shutdown.__code__)
)
