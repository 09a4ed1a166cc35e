"""Refuses to run where somebody has replaced Python's threads.

gevent and eventlet exchange `threading`, `time` and more for versions of theirs, under which a
goroutine's thread would be a greenlet: it hangs, or ends in an error that says nothing of why. What
they leave alone (`patch_all(thread=False, time=False, ...)`) is none of our business.

Locks: none. Source: none in Go. Tests: tests/runtime/test_monkey.py
"""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ("refusepatched",)

_OURS: Final = ("thread", "_thread", "threading", "time", "signal", "select")


def refusepatched(who: str) -> None:
    """Raise RuntimeError if modules that the scheduler stands on are not Python's own."""
    if "gevent.monkey" in sys.modules:
        monkey: Any = sys.modules["gevent.monkey"]
        found = [name for name in _OURS if getattr(monkey, "saved", {}).get(name)]
        if found:
            raise RuntimeError(_text(who, "gevent.monkey", found))
    if "eventlet.patcher" in sys.modules:
        patcher: Any = sys.modules["eventlet.patcher"]
        found = [name for name in _OURS if getattr(patcher, "already_patched", {}).get(name)]
        if found:
            raise RuntimeError(_text(who, "eventlet.monkey_patch", found))


def _text(who: str, by: str, found: list[str]) -> str:
    return (
        f"{who}: goroutines run on Python's own threads, and {by} has replaced {', '.join(found)}; "
        "use gopark in a process that is not patched, or in the place of greenlets: what blocks "
        "its thread holds no other goroutine up"
    )
