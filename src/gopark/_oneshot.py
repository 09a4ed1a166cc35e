"""OneShot: one goroutine waits for one result, which may come from any thread.

    the goroutine                          who has the result
    1. takes the lock, looks at `done`     1. takes the lock, stores the result, sets `done`
    2. puts itself there, parks;           2. frees the lock, readies who was there
       the scheduler frees the lock
Who sets `done`, under the lock, owns the wake-up; what comes later is refused.

Locks: `OneShot.lock`, rank SEMA. Source: none. Tests: tests/test_future.py
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.lockrank import Holding, Mutex, Rank, lockslow, mkmutex
from gopark._runtime.base.runtime2 import PARK, Command, G, Waiter, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.runq import ready

__all__ = ("OneShot",)


class OneShot(Waiter):
    """A result to come, and the goroutine that waits for it."""

    __slots__ = ("__weakref__", "_reason", "done", "exc", "g", "lock", "value")

    def __init__(self, reason: str) -> None:
        self.lock: Mutex = mkmutex(Rank.SEMA)
        self.g: G | None = None
        self._reason = reason  # what dumps say
        self.done = False
        self.value: Any = None
        self.exc: BaseException | None = None

    @suspends
    def wait(self) -> Generator[Command, None, Any]:
        """The result; what it was failed with is raised."""
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.done:
            lock.append(None)
        else:
            m = tls.m
            if m is None or (g := m.curg) is None:
                lock.append(None)
                raise NotOnGError(
                    "a gopark operation has to wait, and this thread runs no goroutine: in plain "
                    "code use gopark.block(...)"
                )
            self.g = g
            g.waiting = self
            g.waitreason = self._reason
            m.waitunlockf = lock.append
            try:
                _ = None is (None is (yield PARK))
            except BaseException as exc:
                notparked(self, exc)
                raise
        error, self.exc = self.exc, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self.value

    def finish(self, value: Any, exc: BaseException | None = None) -> bool:
        """From anywhere: this is the result. False if there was one before."""
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.done:
            lock.append(None)
            return False
        self.value, self.exc, self.done = value, exc, True
        g, self.g = self.g, None
        if g is not None:
            g.waiting = None
        lock.append(None)
        if g is not None:
            ready(g)
        return True

    def unwait(self, g: G) -> bool:
        with Holding(self.lock):
            if self.g is not g:
                return False
            self.g = g.waiting = None
            return True

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        with Holding(self.lock):
            return look(g) if self.g is g else []
