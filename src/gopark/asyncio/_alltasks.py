"""`asyncio.all_tasks` for a loop that changes threads.

From 3.14 on each thread has a list of the tasks that were made on it, and `all_tasks` of the loop
that runs there looks at that list alone (findings/all-tasks-by-thread.sh). Asked for a loop that
does not run on its thread it looks at all lists, so while ours asks, it does not run.

The function is put where asyncio has it, and where a module has bound it to a name of its own
before.

Source: CPython's Modules/_asynciomodule.c. Tests: tests/asyncio/test_loop.py
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio import events, tasks
from typing import Any, Final

from gopark.asyncio._loop import Loop

__all__ = ("alltasks", "install")

BYTHREAD: Final = sys.version_info >= (3, 14)
_theirs: Final = tasks.all_tasks
_setrunning: Final[Any] = events._set_running_loop


def alltasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """The tasks of a loop of ours that have not ended."""
    running = events._get_running_loop()
    if running is not loop:
        return _theirs(loop)
    _setrunning(None)
    try:
        return _theirs(loop)
    finally:
        _setrunning(loop)


@functools.wraps(_theirs)
def _all_tasks(loop: Any = None) -> set[asyncio.Task[Any]]:
    running = events._get_running_loop()
    if isinstance(running, Loop) and (loop is None or loop is running):
        return alltasks(running)
    return _theirs(loop)


def install() -> None:
    """Before the first loop of ours runs."""
    if not BYTHREAD or asyncio.all_tasks is _all_tasks:
        return
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if module is not None and names.get("all_tasks") is _theirs and names is not globals():
            names["all_tasks"] = _all_tasks
