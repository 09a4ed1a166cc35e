"""What the program does at this moment, in numbers: for `gopark top`, and for schedtrace.

Tasks of event loops are listed beside goroutines, in groups as these.

Everything is read without stopping anyone, so a line may be of a moment a little later than the
one above it. Stacks are read for the first _MANY goroutines only: those of 100,000 take
seconds of the interpreter.

Locks: none; lists are copied, which is one step. Source: none.
Tests: tests/runtime/test_snapshot.py
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import GDEAD, GSYSCALL, GWAITING, M, P, Sched, allgs
from gopark._runtime.report.hosted import HostedTask, requests, tasks
from gopark._runtime.report.traceback import formatframes, gtraceback, threadstates
from gopark._runtime.sched.startm import current

__all__ = ("allms", "mstate", "pstate", "snapshot")

_MANY: Final = 10_000
_NAMED: Final = 20  # requests, by method and route


def snapshot() -> dict[str, Any]:
    """Everything, as what JSON can say."""
    sched = current()
    gs = sorted(allgs.copy(), key=lambda g: g.goid)
    ms = [] if sched is None else allms(sched)
    return {
        "pid": os.getpid(),
        "at": time.monotonic(),
        "cpu": time.process_time(),
        "goroutines": len(gs),
        "states": Counter(
            g.waitreason if g.status is GWAITING else g.status.name
            for g in gs
            if g.status is not GDEAD
        ).most_common(),
        "groups": _groups(gs[:_MANY]),
        "tasks": _tasks(),
        "requests": Counter(requests().values()).most_common(_NAMED),
        "ungrouped": max(0, len(gs) - _MANY),
        "ms": [[m.mid, m.nativeid, mstate(m), _pid(m), _goid(m)] for m in ms],
        "ps": [] if sched is None else [_p(p) for p in sched.allp[:]],
        "runqueue": 0 if sched is None else len(sched.runq),
        "timers": 0 if sched is None or sched.timers is None else len(sched.timers),
        "threads": threading.active_count(),
    }


def allms(sched: Sched) -> list[M]:
    """The Ms of this program, and those of C's threads that have called in."""
    return [*sched.allm.copy(), *hooks.extras()]


def mstate(m: M) -> str:
    """What an M does, in a word."""
    g = m.curg
    if g is None:
        if m.g is not None:
            return "between callbacks"
        return "idle" if m.idle else "spinning" if m.spinning else "scheduling"
    if g.status is GSYSCALL:
        return "in C"
    if g.status is GWAITING:
        return "asleep"
    if m.p is None:
        return "computing without a P" if m.hog else "running without a P"
    return "running"


def pstate(p: P) -> str:
    m = p.m
    if m is None:
        return "idle"
    return "running" if m.p is p else "handed over"


def _p(p: P) -> list[Any]:
    m = p.m
    queued = len(p.runq) + len(p.runnext)
    return [p.pid, pstate(p), None if m is None else m.mid, queued, p.schedtick]


def _pid(m: M) -> int | None:
    p = m.p
    return None if p is None else p.pid


def _goid(m: M) -> int | None:
    g = m.curg
    return None if g is None else g.goid


def _groups(gs: list[Any]) -> list[list[Any]]:
    """Goroutines of the same state, stack and creator: how many, the first, and that stack."""
    threads = threadstates()
    groups: dict[tuple[str, str], list[int]] = {}
    for g in gs:
        text = gtraceback(g, threads=threads)
        if not text:
            continue
        head, _, stack = text.partition("\n")
        what = head.partition("[")[2].rpartition("]")[0].partition(",")[0]
        if g.parentid:
            stack = stack.replace(f" in goroutine {g.parentid}\n", "\n")
        groups.setdefault((what, stack), []).append(g.goid)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1][0]))
    return [[len(ids), ids[0], what, stack] for (what, stack), ids in ordered]


def _tasks() -> list[list[Any]]:
    """The same of tasks: how many, the first's name, what it does, its stack, who awaits it."""
    groups: dict[tuple[str, tuple[Any, ...]], list[HostedTask]] = {}
    for task in tasks():
        groups.setdefault((task.state, task.frames), []).append(task)
    found = []
    for (state, frames), alike in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = alike[0]
        what = first.what if len(alike) == 1 else state
        stack = "".join(formatframes([*frames]))
        by = [one.text for one in first.awaitedby]
        found.append([len(alike), first.name, what, stack, by])
    return found
