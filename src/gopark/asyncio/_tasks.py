"""asyncio's tasks in a dump, behind the goroutines: what each does, and who awaits whom.

    asyncio task "Task-3" [awaits goroutine 7], awaited by goroutine 1:
    main.fetch(...)
        /app/main.py:12

Read while the loop may run, from any thread: a task that moves on meanwhile is shown as it was at
some moment. Without the GIL frames may be read only while nobody runs them, so a loop that waits is
kept from being woken meanwhile, and of one that runs the tasks alone are named.

Source: none. Tests: tests/asyncio/test_dumps.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from gopark._runtime.base.printstring import oneline
from gopark._runtime.base.runtime2 import FREETHREADED, G, allgs
from gopark._runtime.report import traceback
from gopark._runtime.report.traceback import awaitframes, formatframes
from gopark._runtime.sched.startm import current
from gopark.asyncio._alltasks import alltasks
from gopark.asyncio._call import Call
from gopark.asyncio._go import GoFuture
from gopark.asyncio._loop import Loop
from gopark.testing._leak import Pending
from gopark.testing._leak import doors as leakdoors

__all__ = ("described", "leaks", "pending")

_MOST = 1000  # tasks


def pending() -> list[asyncio.Task[Any]]:
    """Those of the program's loop that have not ended, in the order of their names."""
    sched = current()
    host = None if sched is None else sched.host
    if host is None or host.loop.is_closed():
        return []
    try:
        tasks = alltasks(host.loop)
    except RuntimeError:  # they change too quickly
        return []
    return sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name()))


def described() -> str:
    """The section of a dump; empty if there are no tasks."""
    tasks = pending()
    if not tasks:
        return ""
    callers: dict[Any, int] = {}
    for g in allgs.copy():
        waiting = g.waiting
        if isinstance(waiting, Call) and (task := waiting.task) is not None:
            callers[task] = g.goid
    awaiters: dict[Any, str] = {}
    for task in tasks:
        if isinstance(waits := getattr(task, "_fut_waiter", None), asyncio.Task):
            awaiters[waits] = _name(task)
    parts = [_text(task, callers.get(task, 0), awaiters.get(task, "")) for task in tasks[:_MOST]]
    if len(tasks) > _MOST:
        parts.append(f"...{len(tasks) - _MOST:,} more asyncio tasks\n")
    return "\n".join(parts)


def _text(task: asyncio.Task[Any], caller: int, awaiter: str) -> str:
    who = f", awaited by goroutine {caller}" if caller else ""
    who = who or (f", awaited by {awaiter}" if awaiter else "")
    return f"asyncio {_name(task)} [{_state(task)}]{who}:\n" + "".join(_frames(task))


def _name(task: asyncio.Task[Any]) -> str:
    return f'task "{oneline(task.get_name())}"'


def _state(task: asyncio.Task[Any]) -> str:
    waits = getattr(task, "_fut_waiter", None)
    if waits is None:
        return "running" if getattr(task.get_coro(), "cr_running", False) else "runnable"
    if isinstance(waits, GoFuture):
        return f"awaits goroutine {waits.goid}" if waits.goid else "awaits a goroutine"
    if isinstance(waits, asyncio.Task):
        return f"awaits {_name(waits)}"
    return "waiting"


def _frames(task: asyncio.Task[Any]) -> list[str]:
    if not FREETHREADED:
        return formatframes(awaitframes(task.get_coro()))
    loop = task.get_loop()
    g: G | None = loop.gopark_berth.rg if isinstance(loop, Loop) else None
    if g is None:
        return ["\tits loop runs on other thread; stack unavailable\n"]
    return loop.gopark_berth.frozen(  # type: ignore[attr-defined,no-any-return]
        g, lambda _: formatframes(awaitframes(task.get_coro()))
    )


def leaks(me: G | None) -> list[Pending]:
    """For checks for leaks: all but a task that waits for the goroutine that checks."""
    found = []
    for task in pending():
        waits = getattr(task, "_fut_waiter", None)
        if me is not None and isinstance(waits, GoFuture) and waits.goid == me.goid:
            continue
        frames = [] if FREETHREADED else awaitframes(task.get_coro())
        names = tuple(frame[0] for frame in frames)
        variables = getattr(task, "get_context", _nothing)()  # since 3.12
        found.append(Pending(-id(task), names, variables, _text(task, 0, "")))
    return found


def _nothing() -> None:
    """It does not tell."""


traceback.doors.tasks = described
leakdoors.tasks = leaks
