"""Where a hosted loop sleeps: on the descriptor of its own selector, in the network poller.

An epoll descriptor can itself be waited for. So a loop that has nothing to do parks its goroutine
there, with the moment of its next timer as the deadline, and costs no thread. Who appends something
to the loop's queue from outside calls `wake`:
  the loop                          who appends
  1. takes the lock                 1. appends to the queue
  2. looks at the queue: empty      2. takes the lock
  3. parks, and lets the lock go    3. readies the loop, if it waits
Either sees the other.

Edges. The poller tells of the descriptor when something new has come, and not that there is still
something: so the loop parks only after a look that has found nothing (`Selector.dry`).

Locks: `PollDesc.lock`. Source: none. Tests: tests/asyncio/test_loop.py
"""

from __future__ import annotations

import selectors
from collections.abc import Generator
from typing import Any, Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.lockrank import Holding, lockslow
from gopark._runtime.base.runtime2 import PARK, Command, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.net.netpoll import REASON, PollDesc
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.startm import mysched, wakepoller

__all__ = ("Berth", "Selector")

_SKIPS: Final = 8  # steps of a busy loop between two looks at its descriptors
_Base: Any = selectors.DefaultSelector


class Selector(_Base):  # type: ignore[misc]
    """A loop's selector, which never sleeps and asks the system only if there may be news."""

    berth: Berth

    def __init__(self) -> None:
        super().__init__()
        self.dry = False  # the last look has found nothing, and nothing was registered since
        self._skipped = 0
        self._found: Any = None

    def register(self, *args: Any) -> Any:
        self.dry = False
        return super().register(*args)

    def modify(self, *args: Any) -> Any:
        self.dry = False
        return super().modify(*args)

    def select(self, timeout: float | None = None) -> Any:
        found, self._found = self._found, None
        if found is not None:
            return found
        if self.dry and not self.berth.rready and self._skipped < _SKIPS:
            self._skipped += 1
            return ()
        return self._look()

    def skips(self) -> bool:
        """The next `select` would not look, and counts as done."""
        if self._found is None and self.dry and not self.berth.rready and self._skipped < _SKIPS:
            self._skipped += 1
            return True
        return False

    def look(self) -> bool:
        """Before the loop sleeps: there is something, and the next `select` tells of it."""
        if self.dry and not self.berth.rready:
            return False
        self._found = self._look() or None
        return self._found is not None

    def _look(self) -> Any:
        self._skipped = 0
        self.berth.rready = False  # before the look: what comes later leaves another
        found = super().select(0)
        self.dry = not found
        return found


class Berth(PollDesc):
    """The selector's descriptor in the poller."""

    __slots__ = ("called", "queue", "selector")

    def __init__(self, selector: Selector, queue: Any) -> None:
        self.selector = selector
        self.queue = queue  # the loop's; not empty: it does not sleep
        selector.berth = self
        self.called = False  # it was woken by `wake`, and not by an edge
        super().__init__(selector.fileno())

    @property
    def idle(self) -> bool:  # type: ignore[override]
        """Nothing but goroutines, and timers, which count by themselves, can wake the loop."""
        fds = self.selector.get_map()
        return not fds

    @suspends
    def sleep(self, when: float | None) -> Generator[Command, None, None]:
        """Until there may be something to do, or `when`."""
        if when != self.rd or self.backend is None:
            self.setdeadline(when, True, False)
        m = tls.m
        assert m is not None
        if m.g is not None and netdoor.sleeper is None:
            wakepoller(mysched())  # a thread of others: there may be none of ours that looks
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.rbad or self.rready or self.queue:
            lock.append(None)
            return
        g = m.curg
        assert g is not None
        if self.backend.arm is not None:
            self.backend.arm(self.fd, False)
        self.rg = g
        g.waiting = self
        g.waitreason = REASON
        m.waitunlockf = self.unlock
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            notparked(self, exc)
            raise
        if self.called:
            self.called = False
        else:
            self.selector.dry = False

    def wake(self) -> None:
        """Something was appended to the queue; from any thread, and from a finaliser."""
        try:
            self._wake()
        except AmidRuntime:
            later(self._wake)

    def _wake(self) -> None:
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        g = self.rg
        if g is not None:
            self.rg = g.waiting = None
            self.called = True
        lock.append(None)
        if g is not None:
            ready(g)

    def leave(self) -> None:
        """Before the selector is closed."""
        with Holding(self.lock):
            self.evict()
        self.unregister()

    def elsewhere(self) -> str:
        return "asyncio"
