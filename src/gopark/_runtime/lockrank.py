"""The order in which the runtime's locks may be taken, as data, and its check in debug runs.

A thread that holds a lock may take only locks of a higher rank; channels, which a select
locks several of, may follow each other in ascending order of identity. With
`GOPARKDEBUG=lockrank=1` in the environment every lock checks this and an offence is a
`Throw` that names both ranks; without it a lock is the plain lock of `_thread`, at no cost.

Source: Go 1.27 runtime/lockrank.go. Tests: tests/runtime/test_lockrank.py
"""

from __future__ import annotations

import _thread
import enum
import os
import threading
from typing import Any, Protocol

from gopark._runtime.errors import Throw

__all__ = ("Lock", "Rank", "debugvar", "mklock")


class Rank(enum.IntEnum):
    """Ascending: what is held first has the lower number."""

    CHAN = 10  # Chan._lock; several at once only by ascending id
    TIMERS = 20  # Timers.lock
    SCHED = 30  # Sched.lock
    EXTRAM = 40  # the list of extra Ms
    SIGNAL = 50  # who delivers an interrupt


class Lock(Protocol):
    """What a lock of `_thread` and the checking one have in common."""

    def acquire(self, blocking: bool = ..., timeout: float = ..., /) -> bool: ...
    def release(self) -> None: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *exc: Any) -> None: ...


def debugvar(name: str) -> str | None:
    """The value of one `name=value` in GOPARKDEBUG, as Go reads GODEBUG."""
    for item in os.environ.get("GOPARKDEBUG", "").split(","):
        key, _, value = item.partition("=")
        if key.strip() == name:
            return value.strip()
    return None


_held = threading.local()


class _RankedLock:
    """A lock that knows its rank. One thread's held locks are in `_held.stack`."""

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self._lock = _thread.allocate_lock()

    def _check(self) -> list[_RankedLock]:
        stack: list[_RankedLock] = _held.__dict__.setdefault("stack", [])
        for other in stack:
            ascending = self.rank is Rank.CHAN and id(other) < id(self)
            if other.rank > self.rank or (other.rank == self.rank and not ascending):
                raise Throw(f"lock ranking: {self.rank.name} taken while holding {other.rank.name}")
        return stack

    def acquire(self, blocking: bool = True, timeout: float = -1, /) -> bool:
        stack = self._check()
        got = self._lock.acquire(blocking, timeout)
        if got:
            stack.append(self)
        return got

    def release(self) -> None:
        _held.__dict__.setdefault("stack", []).remove(self)
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


_checked = debugvar("lockrank") == "1"


def mklock(rank: Rank) -> Lock:
    """A new lock of that rank; a plain one unless GOPARKDEBUG asks for the check."""
    return _RankedLock(rank) if _checked else _thread.allocate_lock()
