"""A look at each line and each turn of a loop that any thread runs, while somebody wants it.

An exception for user code on another thread (Ctrl-C while main computes there) must not strike
inside the runtime, so somebody has to see which it is. Under a GIL the one who sends it can look
first: see `preempt.interrupt`. Without one the thread has gone on meanwhile, and an asynchronous
exception strikes wherever it has come to. So the thread looks itself: `sys.monitoring` calls
`look(frame)` on it, and an exception of `look` is raised right there.

Nothing is slower while nobody watches. While somebody does, all code is, for about a millisecond.

Invariant: `_Watch.tool` is not None <=> a tool id is ours <=> `wanted` is not zero, whenever
`_Watch.lock` is free; but if no id is to be had, nobody is called (and who wants it asks again).
Locks: `_Watch.lock`, rank SIGNAL; `look` is called without it.
Source: none; Go stops a thread at any instruction by a signal of its own. Tests:
tests/crash/test_interrupt.py, tests/runtime/test_linewatch.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from gopark._runtime.base.lockrank import Rank, mklock

__all__ = ("LineWatch", "needed")

_IDS: Final = (5, 4, 3, 2, 1, 0)  # of sys.monitoring; debuggers, coverage and profilers take 0 to 2
_NAME: Final = "gopark"


def needed() -> bool:
    """Threads run on while another looks at them."""
    return hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


def _events() -> tuple[int, int]:
    """A loop that is one line runs no other; before 3.14 its jumps are no events."""
    events: Any = sys.monitoring.events  # type: ignore[attr-defined, unused-ignore]
    return events.LINE, events.JUMP


class LineWatch:
    """Calls `look(frame)` at each line and jump, on the thread that runs it, while it is on."""

    def __init__(self, look: Callable[[FrameType], None]) -> None:
        self.look = look
        self.lock = mklock(Rank.SIGNAL)
        self.wanted = 0
        self.tool: int | None = None

    def on(self) -> None:
        """One more wants it."""
        with self.lock:
            self.wanted += 1
            self._begin()

    def retry(self) -> None:
        """Who wants it and has not been called: there may have been no tool id to be had."""
        with self.lock:
            if self.wanted and self.tool is None:
                self._begin()

    def off(self) -> None:
        """One less wants it."""
        with self.lock:
            self.wanted -= 1
            if not self.wanted:
                self.end()

    def _begin(self) -> None:
        if self.tool is not None:
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        for tool in _IDS:
            try:
                monitoring.use_tool_id(tool, _NAME)
            except ValueError:  # somebody else's
                continue
            self.tool = tool
            for event in _events():
                monitoring.register_callback(tool, event, self._event)
            monitoring.set_events(tool, sum(_events()))
            return

    def end(self) -> None:
        """Nobody wants it. In the child of a fork: whoever did is not there."""
        tool, self.tool, self.wanted = self.tool, None, 0
        if tool is None:
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        monitoring.set_events(tool, 0)
        for event in _events():
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)

    def _event(self, code: CodeType, *where: int) -> None:
        self.look(sys._getframe(1))
