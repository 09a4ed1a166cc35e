"""Where a hosted loop sleeps: on the descriptor of its own selector, in the network poller.

An epoll descriptor can itself be waited for. So a loop that has nothing to do parks its goroutine
there, with the moment of its next timer as the deadline, and costs no thread. Who appends something
to the loop's queue from outside calls `wake`:
  the loop                          who appends
  1. takes the lock                 1. appends to the queue
  2. looks at the queue: empty      2. takes the lock
  3. parks, and lets the lock go    3. readies the loop, if it waits
Either sees the other.

The first loop of a process is the poller's resident (netpoll.py): while it is parked its selector
is what the poller itself waits on, and what is found there the loop has with its wake-up. So a
round costs one system call, as under asyncio, and the loop parks without a look.

Edges, for all others. The poller tells of the descriptor when something new has come, and not that
there is still something: so they park only after a look that has found nothing (`Selector.dry`).

Locks: `PollDesc.lock`. Source: none. Tests: tests/asyncio/test_loop.py
"""

from __future__ import annotations

import select
import selectors
from collections.abc import Generator
from typing import Any, Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.lockrank import Holding, lockslow
from gopark._runtime.base.runtime2 import PARK, Command, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.net.netpoll import REASON, PollDesc, leaves, reside, resumes
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.startm import mysched, wakepoller

__all__ = ("Berth", "Selector")

_SKIPS: Final = 8  # steps of a busy loop between two looks at its descriptors
_epoll: Any = getattr(select, "epoll", ())
_closed: Any = None
if _epoll:
    _closed = select.epoll()
    _closed.close()
_IN: Final = getattr(select, "EPOLLIN", 1)
_OUT: Final = getattr(select, "EPOLLOUT", 4)
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_Base: Any = selectors.DefaultSelector


class Selector(_Base):  # type: ignore[misc]
    """A loop's selector, which never sleeps and asks the system only if there may be news."""

    berth: Berth

    def __init__(self) -> None:
        super().__init__()
        self.dry = False  # the last look has found nothing, and nothing was registered since
        self._skipped = 0
        self._found: Any = None
        self.events: Any = None  # what the poller has found, for a resident

    def register(self, *args: Any) -> Any:
        self.dry = False
        return super().register(*args)

    def modify(self, *args: Any) -> Any:
        self.dry = False
        return super().modify(*args)

    def select(self, timeout: float | None = None) -> Any:
        events = self.events
        if events is not None:
            self.events = None
            return self._keys(events)
        found, self._found = self._found, None
        if found is not None:
            return found
        if self.dry and not self.berth.rready and self._skipped < _SKIPS:
            self._skipped += 1
            return ()
        return self._look()

    def skips(self) -> bool:
        """The next `select` would not look, and counts as done."""
        if self.events is not None or self._found is not None or not self.dry:
            return False
        if self.berth.rready or self._skipped >= _SKIPS:
            return False
        self._skipped += 1
        return True

    def _keys(self, events: list[tuple[int, int]]) -> Any:
        """As `select` does it."""
        found, get = [], self._fd_to_key.get
        for fd, event in events:
            key = get(fd)
            if key is not None:
                mask = (event & ~_IN and _WRITE) | (event & ~_OUT and _READ)
                found.append((key, mask & key.events))
        return found

    def look(self) -> bool:
        """Before the loop sleeps: there is something, and the next `select` tells of it."""
        if self.berth.resident:
            return False  # who sleeps instead looks
        if self.dry and not self.berth.rready:
            return False
        self._found = self._look() or None
        return self._found is not None

    def close(self) -> None:
        if self.berth.epoll is not None:
            # Somebody may be about to sleep on it, or does: it is closed as he comes out, for he
            # has the last reference. Before that another file could get its number.
            self.berth.epoll, self._selector = None, _closed
        super().close()

    def _look(self) -> Any:
        self._skipped = 0
        self.berth.rready = False  # before the look: what comes later leaves another
        found = super().select(0)
        self.dry = not found
        return found


class Berth(PollDesc):
    """The selector's descriptor in the poller."""

    __slots__ = ("called", "epoll", "queue", "resident", "selector")

    def __init__(self, selector: Selector, queue: Any) -> None:
        self.selector = selector
        self.queue = queue  # the loop's; not empty: it does not sleep
        selector.berth = self
        self.called = False  # it was woken by `wake`, and not by an edge
        self.resident = False
        self.epoll: Any = getattr(selector, "_selector", None)
        super().__init__(selector.fileno())

    def register(self) -> None:
        if isinstance(self.epoll, _epoll):
            epoll, self.epoll = self.epoll, None  # not again in a child, where it is the parent's
            if reside(self, epoll.register):
                self.epoll, self.resident = epoll, True
        super().register()

    def opened(self, backend: Any) -> None:
        if not self.resident:
            super().opened(backend)

    def forked(self) -> None:
        super().forked()
        self.epoll, self.resident = None, False

    def look(self, timeout: float) -> Any:
        """For the poller: what there is on the loop's descriptors, and on its own."""
        epoll = self.epoll
        return () if epoll is None else epoll.poll(timeout, len(self.selector._fd_to_key) + 1)

    @property
    def idle(self) -> bool:  # type: ignore[override]
        """Nothing but goroutines, and timers, which count by themselves, can wake the loop."""
        fds = self.selector.get_map()
        return not fds

    @suspends
    def sleep(self, when: float | None) -> Generator[Command, None, None]:
        """Until there may be something to do, or `when`."""
        if when != self.rd or self.backend is None:
            self.setdeadline(when, True, False, mysched().timers)  # in a bubble, too
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
        if self.resident and netdoor.sleeper is not None:
            resumes(self)
        g.waiting = self
        g.waitreason = REASON
        m.waitunlockf = self.unlock
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            notparked(self, exc)
            raise
        if self.resident:
            self.called, self.selector.dry = False, True  # somebody has just looked
        elif self.called:
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
        if self.resident:
            leaves(self)
            self.resident = False

    def elsewhere(self) -> str:
        return "asyncio"
