"""asyncio's tasks as dumps, `gopark top` and the live page show them: who awaits whom.

    asyncio task "Task-3" [awaits goroutine 7], awaited by goroutine 1:
    main.fetch(...)
        /app/main.py:12

Of the program's loop, of others of its kind that run, and of loops of somebody else's in which
`go`, `wait` or `run` was called. Checks for leaks count those of the program's loop.

Read while a loop may run, from any thread: a task that moves on meanwhile is shown as it was at
some moment. Without the GIL frames may be read only while nobody runs them, so a loop that waits is
kept from being woken meanwhile, and of one that runs the tasks alone are named.

Source: none. Tests: tests/asyncio/test_dumps.py, test_inspect.py, test_leaks.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from gopark._runtime.base.printstring import oneline
from gopark._runtime.base.runtime2 import FREETHREADED, G, allgs
from gopark._runtime.report.hosted import HostedTask, Party
from gopark._runtime.report.hosted import doors as hosteddoors
from gopark._runtime.report.symtab import Frame
from gopark._runtime.report.traceback import awaitframes
from gopark._runtime.sched.startm import current
from gopark.asyncio._alltasks import alltasks
from gopark.asyncio._call import Call
from gopark.asyncio._go import GoFuture
from gopark.asyncio._hosted import Hosted
from gopark.asyncio._loop import Loop
from gopark.testing._leak import Pending
from gopark.testing._leak import doors as leakdoors

__all__ = ("found", "leaks", "pending")

_Task = asyncio.Task[Any]


def pending(loop: asyncio.AbstractEventLoop) -> list[_Task]:
    """Those that have not ended, in the order of their names."""
    if loop.is_closed():
        return []
    try:
        tasks = alltasks(loop)
    except RuntimeError:  # they change too quickly
        return []
    return sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name()))


def _programs() -> list[asyncio.AbstractEventLoop]:
    """The program's loop, if it has begun."""
    sched = current()
    host = None if sched is None else sched.host
    return [] if host is None else [host.loop]


def _all() -> list[_Task]:
    first = _programs()
    loops = first + [loop for loop in (*Loop.running(), *Hosted.known()) if loop not in first]
    return [task for loop in loops for task in pending(loop)]


def _coros() -> dict[int, Any]:
    return {id(task): task.get_coro() for task in _all()}


def found() -> list[HostedTask]:
    """All of them."""
    tasks = _all()
    if not tasks:
        return []
    awaitedby: dict[Any, list[Party]] = {}
    for g in allgs.copy():
        waiting = g.waiting
        if isinstance(waiting, Call) and (awaited := waiting.task) is not None:
            awaitedby.setdefault(awaited, []).append(_goroutine(g.goid))
    for task in tasks:
        for other in _awaited(task):
            if isinstance(other, asyncio.Task):
                awaitedby.setdefault(other, []).append(_party(task))
    return [_told(task, tuple(awaitedby.get(task, ()))) for task in tasks]


def _party(task: _Task) -> Party:
    return Party(id(task), f'task "{oneline(task.get_name())}"')


def _goroutine(goid: int) -> Party:
    return Party(-goid, f"goroutine {goid}" if goid else "a goroutine")


def _awaited(task: _Task) -> list[Any]:
    """The futures that it awaits: several, in a `gather`."""
    waits = getattr(task, "_fut_waiter", None)
    several = getattr(waits, "_children", None)
    if isinstance(several, list):
        return [one for one in several.copy() if not one.done()]
    return [] if waits is None else [waits]


def _told(task: _Task, awaitedby: tuple[Party, ...]) -> HostedTask:
    waits = _awaited(task)
    on = []
    for one in waits:
        if isinstance(one, GoFuture):
            on.append(_goroutine(one.goid))
        elif isinstance(one, asyncio.Task):
            on.append(_party(one))
    frames, name = _frames(task), oneline(task.get_name())
    return HostedTask(
        id(task),
        name,
        _state(task, waits),
        tuple(on),
        awaitedby,
        tuple(frames or ()),
        frames is None,
    )


def _state(task: _Task, waits: list[Any]) -> str:
    if not waits:
        return "running" if getattr(task.get_coro(), "cr_running", False) else "runnable"
    if any(isinstance(one, GoFuture) for one in waits):
        return "awaits goroutine"
    return "awaits task" if any(isinstance(one, asyncio.Task) for one in waits) else "waiting"


def _frames(task: _Task) -> list[Frame] | None:
    if not FREETHREADED:
        return awaitframes(task.get_coro())
    loop = task.get_loop()
    g: G | None = loop.gopark_berth.rg if isinstance(loop, Loop) else None
    if g is None:
        return None
    return loop.gopark_berth.frozen(  # type: ignore[attr-defined,no-any-return]
        g, lambda _: awaitframes(task.get_coro())
    )


def leaks(me: G | None) -> list[Pending]:
    """For checks for leaks: all but a task that waits for the goroutine that checks."""
    found = []
    for task in [task for loop in _programs() for task in pending(loop)]:
        waits = getattr(task, "_fut_waiter", None)
        if me is not None and isinstance(waits, GoFuture) and waits.goid == me.goid:
            continue
        frames = [] if FREETHREADED else awaitframes(task.get_coro())
        names = tuple(frame[0] for frame in frames)
        variables = getattr(task, "get_context", _nothing)()  # since 3.12
        found.append(Pending(-id(task), names, variables, _told(task, ()).text()))
    return found


def _nothing() -> None:
    """It does not tell."""


hosteddoors.tasks, hosteddoors.coros = found, _coros
leakdoors.tasks = leaks
