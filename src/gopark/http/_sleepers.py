"""Paths whose handlers are known to block their thread: they are called without a P.

A handler that blocks keeps the right to schedule until sysmon has seen that it sleeps, half a
millisecond or so, in which no other request is served. With two hundred of those a second that is
a tenth of the time. So a path whose handler has lost its P once has it given away before the next
call, as `cgo.call` does; one that comes back quickly after that is forgotten.

By path, for that is all a server knows of what a request will run. A path that differs each time
is none that is met again, and costs what it did before.

Relies on: add, discard and membership of a set are atomic.
Source: Go 1.27 runtime/proc.go (entersyscall). Tests: tests/http/test_sleepers.py
"""

from __future__ import annotations

from typing import Final

from gopark._runtime.base.runtime2 import tls
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.sched.startm import handoffp, releasep

__all__ = ("Sleepers",)

_MOST: Final = 1000
_QUICK: Final = 0.002  # seconds: it did not block


class Sleepers(set[str]):
    """Those of one server."""

    def begin(self) -> float:
        """Its handler is called next, on this thread; when that is."""
        m = tls.m
        assert m is not None
        g, sched = m.curg, m.sched
        if sched is not None and g is not None and g.lockedm is None and g is not sched.main:
            p = releasep(m)
            if p is not None:
                handoffp(sched, p)
        return monotonic()

    def ended(self, path: str, began: float) -> None:
        """The handler has returned; `began` is 0 if it was called with a P, and has lost it."""
        if began:
            if monotonic() - began < _QUICK:
                self.discard(path)
            return
        m = tls.m
        if m is None or m.hog:
            return  # it computes: sysmon sees to those
        self.learn(path)

    def learn(self, path: str) -> None:
        """Its handler has blocked."""
        if len(self) >= _MOST:
            self.clear()
        self.add(path)
