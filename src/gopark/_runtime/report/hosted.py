"""What tasks of event loops tell of themselves, for dumps, `gopark top`, the live page.

This is the door between those, which show tasks beside goroutines, and `gopark.asyncio`, which
knows them and sets it when it is imported. All of it is text and numbers: it keeps nothing alive.

Locks: none. Source: none. Tests: tests/asyncio/test_dumps.py, test_inspect.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gopark._runtime.report.symtab import Frame
from gopark._runtime.report.traceback import doors as dumps
from gopark._runtime.report.traceback import formatframes

__all__ = ("HostedTask", "Party", "doors", "requests", "tasks")


class Party(NamedTuple):
    """A goroutine or a task, at the other end of a wait."""

    key: int  # of a task; of a goroutine its number, negative; 0: it has none yet
    text: str  # `goroutine 7`, `task "fetch"`


class HostedTask(NamedTuple):
    """A task of an event loop."""

    key: int
    name: str  # in one line
    state: str  # waiting, awaits goroutine, awaits task, runnable, running
    on: tuple[Party, ...]  # what it awaits, as far as that is known
    awaitedby: tuple[Party, ...]
    frames: tuple[Frame, ...]  # innermost first
    lost: bool  # its frames cannot be read now

    @property
    def what(self) -> str:
        """What it does, in a dump."""
        return f"awaits {', '.join(one.text for one in self.on)}" if self.on else self.state

    @property
    def by(self) -> str:
        """Who awaits it, behind that."""
        by = ", ".join(one.text for one in self.awaitedby)
        return f", awaited by {by}" if by else ""

    def text(self) -> str:
        """It as in a dump."""
        body = "".join(formatframes([*self.frames]))
        if self.lost:
            body = "\tits loop runs on other thread; stack unavailable\n"
        return f'asyncio task "{self.name}" [{self.what}]{self.by}:\n{body}'


class _Doors:
    """Set by gopark.asyncio, and `requests` by gopark.http."""

    tasks: Callable[[], list[HostedTask]] | None = None
    coros: Callable[[], dict[int, Any]] | None = None  # the coroutine of each, by its key
    requests: Callable[[], dict[int, str]] | None = None  # what goroutines answer, by their number


doors: Final = _Doors()
_MOST: Final = 1000  # tasks in a dump


def tasks() -> list[HostedTask]:
    """Those that have not ended, of all loops that goroutines are known to reach."""
    return [] if doors.tasks is None else doors.tasks()


def requests() -> dict[int, str]:
    """The requests of clients that goroutines answer, by their number."""
    return {} if doors.requests is None else doors.requests()


def _described() -> str:
    """The part of a dump; empty if there are none."""
    found = tasks()
    parts = [task.text() for task in found[:_MOST]]
    if len(found) > _MOST:
        parts.append(f"...{len(found) - _MOST:,} more asyncio tasks\n")
    return "\n".join(parts)


dumps.tasks = _described
