"""What profiles are made of: stacks of goroutines and threads, each with how often it was met.

A record is a stack and what was counted there. `gopark.pprof` writes records in pprof's format
and as text; nothing here knows of either. A module that has a profile of its own to offer
(`goroutineleak`) registers its source here, and `pprof.lookup` finds it by name.

A profile of goroutines is no picture of one moment: it is a copy of `allgs`, and each stack is
read when its turn comes. Nobody is stopped for it, and no lock is held but, on a free-threaded
build, that of what a goroutine waits on, while its own frames are read.

Source: Go 1.27 runtime/mprof.go. Tests: tests/pprof/test_profiles.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from gopark._runtime import extram
from gopark._runtime.proflabel import Labels, labelsof
from gopark._runtime.rt0 import run
from gopark._runtime.runtime2 import (
    GDEAD,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    allgs,
    callers,
    getg,
    tls,
)
from gopark._runtime.startm import current, newm
from gopark._runtime.traceback import (
    Frame,
    Link,
    Stacks,
    gframes,
    handled,
    num_goroutine,
    pathof,
    threadframes,
    threadstates,
)

__all__ = (
    "MAXDEPTH",
    "Record",
    "Source",
    "callerstack",
    "goroutineprofile",
    "register",
    "sources",
    "stackof",
    "threadcount",
    "threadprofile",
)

MAXDEPTH: Final = 128  # frames that a record keeps, as in Go

Stack = tuple[Frame, ...]


class Record(NamedTuple):
    """Something that was met at a stack, `times` times, for `delay` seconds in all."""

    stack: Stack  # innermost first
    reason: str = ""  # what it waited for there, in the words of dumps
    labels: Labels = ()
    times: int = 1
    delay: float = 0.0


class Source(NamedTuple):
    """Where a profile's records come from."""

    size: Callable[[], int]  # how many there are
    records: Callable[[], list[Record]]
    timed: bool = False  # records have a delay
    fraction: Callable[[], int | None] = lambda: None  # one event in so many was recorded


sources: Final[dict[str, Source]] = {}


def register(name: str, source: Source) -> None:
    """Offer a profile under this name; the latest counts."""
    sources[name] = source


# --- goroutines --------------------------------------------------------------------------


def goroutineprofile(only: Callable[[G], bool] | None = None) -> list[Record]:
    """The stack of every goroutine (of those that `only` picks), the caller's own among them."""
    me = getg()
    mine = [] if me is None else handled(callers(sys._getframe(1)))
    threads = threadstates()
    records = []
    for g in sorted(allgs.copy(), key=lambda g: g.goid):
        if only is None or only(g):
            record = _mystack(g, mine) if g is me else stackof(g, threads)
            if record is not None:
                records.append(record)
    return records


def _mystack(g: G, links: list[Link]) -> Record:
    return Record(tuple(threadframes(links, tls.m)[:MAXDEPTH]), "", labelsof(g))


def stackof(g: G, threads: Stacks) -> Record | None:
    """Where another goroutine is, by the stacks of all threads; None if it has ended."""
    goid, status = g.goid, g.status
    if status is GDEAD:
        return None
    reason = g.waitreason if status is GWAITING else "syscall" if status is GSYSCALL else ""
    frames = gframes(g, status, threads=threads)
    labels = labelsof(g)
    if g.goid != goid:
        return None  # it has ended, and its G is another's
    if not frames and status is GRUNNING:
        reason = "running"
    return Record(tuple(frames[:MAXDEPTH]), reason, labels)


def callerstack(depth: int) -> Stack:
    """The stack of who called the function that calls this, `depth` frames of the user's off it."""
    frames = threadframes(handled(callers(sys._getframe(2))), tls.m)
    return tuple(frames[depth:])


register("goroutine", Source(num_goroutine, goroutineprofile))


# --- threads -----------------------------------------------------------------------------


def threadcount() -> int:
    """The threads that gopark uses: its own, the one of `run`, and those from C that came in."""
    return sum(record.times for record in threadprofile())


def threadprofile() -> list[Record]:
    """The same, told apart by the function of the runtime that they came in by.

    As in Go there is no stack of what made the runtime start a thread.
    """
    sched = current()
    ms = [] if sched is None else sched.allm[:]
    started = sum(not m.m0 for m in ms)
    ways = (
        (started, _entry("gopark.newm", newm)),
        (len(ms) - started, _entry("gopark.run", run)),
        (len(extram.inuse()), _entry("gopark.needm", extram.needm)),
    )
    return [Record((frame,), times=times) for times, frame in ways if times]


def _entry(name: str, fn: Callable[..., object]) -> Frame:
    code = fn.__code__
    return name, pathof(code.co_filename), code.co_firstlineno


register("threadcreate", Source(threadcount, threadprofile))
