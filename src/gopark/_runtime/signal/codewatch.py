"""A look at code wherever Python looks for signals, on any thread, while somebody wants it.

An exception for user code on another thread (Ctrl-C while main computes there) must not strike
inside the runtime, so somebody has to see which it is. Under a GIL the one who sends it can look
first: see `preempt.interrupt`. Without one the thread has gone on meanwhile, and an asynchronous
exception strikes wherever it has come to. So the thread looks itself: `sys.monitoring` calls
`look(frame)` on it, and an exception of `look` is raised right there.

Why these events: what is raised at them is raised where Python itself may raise what a signal
handler has raised, and code is compiled with that in mind. There
  PY_START  a function begins
  C_RETURN  a call of C has ended
  JUMP      a loop turns, if it is one back
no exception is on its way that `__context__` would not keep (it is in nobody's hands but the
interpreter's from where it is raised to the instruction that begins an `except` or `finally`, or
the awaits' own), and a `with` whose `__enter__` has taken a lock is either inside its block or has
given it back (between the block and `__exit__` there is nothing but three constants). A line has
neither: its first instruction may be behind an await that failed, or before that `__exit__`. Nor
has PY_RESUME: whom a coroutine waits for is to be resumed next, and would be dropped with what it
was woken with. And who computes for ever comes by one of the three.

Nothing is slower while nobody watches. While somebody does, all code is, for about a millisecond.

Invariant: `CodeWatch.tool` is not None <=> a tool id is ours <=> `wanted` is not zero, whenever
`CodeWatch.lock` is free; but if no id is to be had, nobody is called (and who wants it asks again).
Locks: `CodeWatch.lock`, rank SIGNAL; `look` is called without it.
Source: none; Go stops a thread at any instruction by a signal of its own. Tests:
tests/crash/test_interrupt.py, tests/runtime/test_codewatch.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from gopark._runtime.base.lockrank import Rank, mklock

__all__ = ("CodeWatch", "needed")

_IDS: Final = (5, 4, 3, 2, 1, 0)  # of sys.monitoring; debuggers, coverage and profilers take 0 to 2
_NAME: Final = "gopark"


def needed() -> bool:
    """Threads run on while another looks at them."""
    return hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


class CodeWatch:
    """Calls `look(frame)` at these events, on the thread that runs that frame, while it is on."""

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
            for event, callback in self._callbacks().items():
                monitoring.register_callback(tool, event, callback)
            events = monitoring.events  # C_RETURN comes with CALL, for which nobody is called
            monitoring.set_events(tool, events.PY_START | events.CALL | events.JUMP)
            return

    def end(self) -> None:
        """Nobody wants it. In the child of a fork: whoever did is not there."""
        tool, self.tool, self.wanted = self.tool, None, 0
        if tool is None:
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        monitoring.set_events(tool, 0)
        for event in self._callbacks():
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)

    def _callbacks(self) -> dict[int, Callable[..., None]]:
        events: Any = sys.monitoring.events  # type: ignore[attr-defined, unused-ignore]
        return {
            events.PY_START: self._event,
            events.C_RETURN: self._event,
            events.JUMP: self._jump,
        }

    def _event(self, code: CodeType, *where: object) -> None:
        self.look(sys._getframe(1))

    def _jump(self, code: CodeType, at: int, to: int) -> None:
        if to <= at:
            self.look(sys._getframe(1))
