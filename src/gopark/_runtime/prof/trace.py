"""What an execution trace is made of: events, recorded as cheaply as Python can.

Each M has a list of its own (`M.trace`) to which only its thread appends; what happens on no M
goes to `tracing.away`. Nothing is formatted while the program runs. A list holds, by time:
  n            the G that runs readied goroutine n (the scheduler did, if none runs)
  -n           it started goroutine n
  0            the next G comes off a queue; without it, what was readied last is next
  t, n, how    at t the step of goroutine n ended: why it waits, `YIELD`, `MOVED`, or a tuple
               (parent, function) if it is dead
  (kind, t, ...)  anything else: the constants below
A step begins where the one before it ended, so one look at the clock is enough for both.
What was readied within a step has no time of its own: it was between its beginning and its end.

Every _CHUNK items, at its next scheduling round, an M hands its list to all subscribers (a
trace, a flight recorder) and begins a new one, whose first item (`CUT`) says what it was at. So
each list can be read without those before it.

No cost when off: the first subscriber has traceloop.py put its stand-ins in their places, the
last one takes them out again.

Locks: `tracing.lock`, reentrant, no rank: it is taken for a few lines with any other lock held,
and nothing that takes another is called under it but `Subscriber.take`. It guards who subscribes
and which lists there are.
Relies on: append to a list being atomic.
Source: Go 1.27 runtime/trace.go, traceruntime.go; the form is our own.
Tests: tests/trace/test_trace.py
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    P,
    allgs,
    codeof,
    extragoids,
    getg,
    tls,
)
from gopark._runtime.c import extram
from gopark._runtime.sched.startm import current

__all__ = (
    "CUT",
    "DONE",
    "GC",
    "GO",
    "HOSTED",
    "LAST",
    "LOG",
    "MOVED",
    "NOTE",
    "READY",
    "REGION",
    "REGION_END",
    "RETAKE",
    "RUN",
    "SLICE",
    "STOP",
    "TASK",
    "TASK_END",
    "YIELD",
    "Goroutine",
    "Items",
    "Snapshot",
    "Subscriber",
    "Tracing",
    "changed",
    "clock",
    "emit",
    "funcname",
    "gone",
    "goroutines",
    "newlog",
    "now",
    "rotate",
    "running",
    "shortname",
    "tracing",
)

clock: Final = perf_counter

# After the kind and the time come:
SLICE: Final = "slice"  # P: a round of the loop begins
CUT: Final = "cut"  # P, goroutine: the list begins in the midst of something
STOP: Final = "stop"  # goroutine, how: it leaves its thread, or waits on it
RUN: Final = "run"  # P, goroutine, function or "": it goes on, on this thread
READY: Final = "ready"  # who, whom: a goroutine was readied by a thread that is no M, or by LAST
GO: Final = "go"  # who, whom: the same, started
RETAKE: Final = "retake"  # P, M, goroutine: sysmon took the P
NOTE: Final = "note"  # goroutine, text, what more there is to say or None
GC: Final = "gc"  # "start" or "stop", generation, goroutine
TASK: Final = "task"  # goroutine, task, its parent, name
TASK_END: Final = "task end"  # goroutine, task
REGION: Final = "region"  # goroutine, task, name
REGION_END: Final = "region end"  # the same
LOG: Final = "log"  # goroutine, task, category, message
HOSTED: Final = "hosted"  # its end, key, name, how, who awaits it: a step of an event loop's task

LAST: Final = -1  # the goroutine of the step that has ended
YIELD: Final = "yield"
MOVED: Final = "moved"  # no step: it has to run on another thread
DONE: Final = "done"  # a task of an event loop has ended; else what it awaits, "" if nothing

Items = list[Any]
_CHUNK: Final = 1 << 15


class Goroutine(NamedTuple):
    """One that was there when a trace began or ended."""

    goid: int
    parent: int
    function: str
    waits: str  # why; empty if it does not


class Snapshot(NamedTuple):
    """The moment at which somebody stops to listen."""

    when: float
    lists: list[tuple[int, Items]]  # by M
    goroutines: list[Goroutine]
    running: dict[int, int]  # by M, its goroutine


class Subscriber(Protocol):
    """Who wants the lists. `take` must be quick and must not raise; it may come from any thread."""

    def take(self, mid: int, items: Items) -> None: ...


class Tracing:
    """Who traces, and what was recorded since the last list was handed over."""

    on = False
    install: Callable[[], None]  # traceloop.py
    uninstall: Callable[[], None]

    def __init__(self) -> None:
        self.lock = lasting(threading.RLock())
        self.subscribers: list[Subscriber] = []
        self.logs: dict[M, Items] = {}
        self.away: Items = []
        self.inside: dict[M, G] = {}  # whom an M runs since before tracing began

    def subscribe(self, sub: Subscriber) -> tuple[float, list[Goroutine]]:
        """From now on `sub` gets all, and may get what is older. When now is, and who there is."""
        with self.lock:
            if not self.on:
                self.on = True
                self.away = []
                for m in _ms():
                    m.trace = self.logs[m] = _newitems(m)
                    if (g := m.curg) is not None:
                        self.inside[m] = g
                self.install()
                for tell in changed:
                    tell(True)
                gc.callbacks.append(_ongc)
                _endrounds()
            self.subscribers.append(sub)
            return clock(), goroutines()

    def unsubscribe(self, sub: Subscriber) -> Snapshot:
        """The last that `sub` is to know."""
        with self.lock:
            last = self.snapshot()
            self.subscribers.remove(sub)
            if not self.subscribers:
                self.on = False
                gc.callbacks.remove(_ongc)
                self.uninstall()
                for tell in changed:
                    tell(False)
                self.inside.clear()
                for m in self.logs:
                    m.trace = None
                self.logs.clear()
        return last

    def snapshot(self) -> Snapshot:
        """What was not handed over yet, and how things are."""
        with self.lock:
            lists = [(m.mid, list(items)) for m, items in list(self.logs.items())]
            lists.append((0, list(self.away)))
            return Snapshot(clock(), lists, goroutines(), running())

    def give(self, mid: int, items: Items) -> None:
        for sub in self.subscribers:
            sub.take(mid, items)


tracing: Final = Tracing()
changed: Final[list[Callable[[bool], None]]] = []  # told when tracing goes on, and off


def _ms() -> list[M]:
    """Every M there is."""
    sched = current()
    return [*extram.inuse(), *(() if sched is None else list(sched.allm))]


def _newitems(m: M) -> Items:
    p, g = m.p, m.curg
    return [(CUT, clock(), -1 if p is None else p.pid, 0 if g is None else g.goid)]


def newlog(m: M) -> Items:
    """The list of an M that has none yet; one that nobody reads if tracing is off."""
    with tracing.lock:
        if not tracing.on:
            return []
        log = tracing.logs[m] = m.trace = _newitems(m)
        return log


def rotate(m: M) -> Items:
    """At a scheduling round: hand the list over if it is long. What to append to from now on."""
    log = m.trace
    if log is None:
        return newlog(m)
    if len(log) > _CHUNK:
        with tracing.lock:
            if tracing.logs.get(m) is log:
                m.trace = tracing.logs[m] = _newitems(m)
                tracing.give(m.mid, log)
            if len(tracing.away) > _CHUNK:
                away, tracing.away = tracing.away, []
                tracing.give(0, away)
    return m.trace or newlog(m)


def gone(m: M) -> None:
    """The thread of this M ends: nobody else will hand its list over."""
    with tracing.lock:
        log = tracing.logs.pop(m, None)
        m.trace = None
        if log is not None and len(log) > 1:
            tracing.give(m.mid, log)


def emit(event: tuple[Any, ...]) -> None:
    """Record an event of the calling thread."""
    m = tls.m
    (tracing.away if m is None else m.trace or newlog(m)).append(event)


def now() -> tuple[float, int]:
    """The time, and which goroutine asks; 0: none."""
    g = getg()
    return clock(), 0 if g is None else g.goid


def _ongc(phase: str, info: dict[str, int]) -> None:
    """In `gc.callbacks`, on whatever thread the collector runs: it appends, and that is all."""
    g = getg()
    generation = info["generation"]
    tracing.away.append((GC, clock(), phase, generation, 0 if g is None else g.goid))


def _endrounds() -> None:
    """Have each M begin a new round, and so find the stand-ins, after the step that it is in.

    The loop does that if its M has another P than before the step. So each gets another one, with
    the same number and the same queues. The old one keeps its M: see `strayed`.
    """
    sched = current()
    if sched is None:
        return
    with sched.lock:
        for i, old in enumerate(sched.allp):
            m = old.m
            if m is not None and m.p is old:
                new = P(old.pid, sched)
                new.near, new.m = old.near, m
                new.runq, new.runnext, new.gfree = old.runq, old.runnext, old.gfree
                new.schedtick, new.began = old.schedtick, old.began
                sched.allp[i] = m.p = new


# --- goroutines --------------------------------------------------------------------------


def goroutines() -> list[Goroutine]:
    """Those that there are."""
    return list(_goroutines())


def _goroutines() -> Iterator[Goroutine]:
    for g in allgs.copy():
        status = g.status
        if status is not GDEAD:
            waits = g.waitreason if status is GWAITING else ""
            waits = "syscall" if status is GSYSCALL else waits
            yield Goroutine(g.goid, g.parentid, funcname(g), waits)


def running() -> dict[int, int]:
    """Which goroutine each M runs now."""
    found = {}
    for m in _ms():
        g = m.curg
        if g is not None and g.status is GRUNNING:
            found[m.mid] = g.goid
    return found


def funcname(g: G) -> str:
    """The function that a goroutine was started with, as far as that can be told."""
    coro = g.coro
    if g.goid == 1:
        return "main"
    if coro is not None:
        return shortname(getattr(coro, "cr_code", None)) or shortname(coro) or "goroutine"
    if g.goid in extragoids:
        return "callback"
    return shortname(codeof(g)) or "goroutine"


def shortname(fn: object) -> str:
    """Of a function, or of code; empty if it has none."""
    name = getattr(fn, "co_qualname", None) or getattr(fn, "__qualname__", None)
    return name.replace(".<locals>", "") if isinstance(name, str) else ""


def _afterfork() -> None:
    """In the child nobody traces. Who began or ended that may have been in the midst of it."""
    tracing.subscribers.clear()
    tracing.on = False
    if _ongc in gc.callbacks:
        gc.callbacks.remove(_ongc)
    if hasattr(tracing, "uninstall"):
        tracing.uninstall()
    for tell in changed:
        tell(False)
    for m in tracing.logs:
        m.trace = None
    tracing.logs.clear()
    tracing.inside.clear()
    tracing.away = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)
