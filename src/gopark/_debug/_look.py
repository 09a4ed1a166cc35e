"""What the page shows: counts, Ms and Ps, and goroutines grouped by state, stack and creator.

`counts` and `machines` cost the same whatever the number of goroutines. `look` visits each one: it
reads the places in a parked coroutine's chain of awaits, which is cheap, and makes names,
files and lines of them once for each place that is new. It takes no lock but, on a free-threaded
build, that of what a goroutine waits on, while its own frames are read; and it rests after each
millisecond (`_pacing`). A G that moves on meanwhile is shown as it was at some moment of the look.

A look is text and numbers alone: it keeps no goroutine and nothing of the user's alive.

Source: none. Tests: tests/debug/test_look.py
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable
from heapq import merge, nsmallest
from itertools import islice
from math import inf
from types import CoroutineType, GeneratorType
from typing import Any, Final, NamedTuple

from gopark._debug._pacing import paced
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
    GWAITING,
    G,
    allgs,
    framein,
    itemsof,
)
from gopark._runtime.prof.mgcleak import count as leaks
from gopark._runtime.report.hosted import tasks
from gopark._runtime.report.symtab import Frame, frameof
from gopark._runtime.report.traceback import (
    Stacks,
    coroframes,
    doors,
    gframes,
    lineat,
    threadstates,
)
from gopark._runtime.sched.snapshot import allms, mstate, pstate
from gopark._runtime.sched.startm import current

__all__ = ("Group", "Look", "asjson", "counts", "look", "machines", "what")

_IDS: Final = 12  # numbers of goroutines that come along with a group
_NAMES: Final = 50  # and names of tasks
_PART: Final = 2000  # as many are sorted in one go
_SHOWN: Final = 64  # queued goroutines that are sent of one queue

Stack = tuple[Frame, ...]


# --- in numbers ----------------------------------------------------------------------------


def counts() -> dict[str, Any]:
    """How many there are of everything, now. O(threads + Ps)."""
    sched = current()
    found: dict[str, Any] = {"at": time.time(), "goroutines": len(allgs)}
    if sched is None:
        return found | dict.fromkeys(("threads", "idle_ps", "ps", "queued", "running", "timers"), 0)
    ms, ps = allms(sched), sched.allp[:]
    return found | {
        "threads": len(ms),
        "ps": len(ps),
        "idle_ps": sched.npidle,
        "queued": len(sched.runq) + len(sched.hogq) + sum(len(p.runq) + len(p.runnext) for p in ps),
        "running": sum(mstate(m).startswith(("running", "computing")) for m in ms),
        "timers": len(sched.timers or ()),
    }


def machines() -> dict[str, Any]:
    """The Ms, the Ps and what is queued where, for the picture."""
    sched = current()
    if sched is None:
        return {"ms": [], "ps": [], "global": _queue(()), "held_back": _queue(())}
    ms = []
    for m in allms(sched):
        p, g = m.p, m.curg
        ms.append(
            {
                "id": m.mid,
                "thread": m.nativeid,
                "state": mstate(m),
                "p": None if p is None else p.pid,
                "g": None if g is None else g.goid,
                "main": m.m0,
                "foreign": m.g is not None,
            }
        )
    ps = [
        {
            "id": p.pid,
            "state": pstate(p),
            "steps": p.schedtick,
            "next": [g.goid for g in itemsof(p.runnext)],
            "queue": _queue(p.runq),
        }
        for p in sched.allp[:]
    ]
    return {"ms": ms, "ps": ps, "global": _queue(sched.runq), "held_back": _queue(sched.hogq)}


def _queue(gs: Any) -> dict[str, Any]:
    """How many are on a queue, and the first of them."""
    first = [g.goid for g in itemsof(gs)][:_SHOWN] if gs else []
    return {"length": max(len(gs), len(first)), "first": first}


# --- in groups -----------------------------------------------------------------------------


class Group:
    """Goroutines of the same state, stack and creator.

    Their numbers are in arrays: a hundred thousand tuples would have the collector look at the
    whole program, and to sort them in one go would keep the GIL for as long.
    """

    __slots__ = ("creator", "frames", "ids", "key", "names", "oldest", "parents", "since", "what")

    def __init__(self, what: str, frames: Stack, creator: Frame | None) -> None:
        self.what = what
        self.frames = frames
        self.creator = creator
        self.ids = array("q")  # in no order
        self.since = array("d")  # when each began to wait; 0: it does not
        self.oldest = inf  # the earliest of these
        self.parents: set[int] = set()
        self.names: list[str] = []  # of tasks, which have no numbers, and who awaits them
        text = repr((what, frames, creator)).encode(errors="surrogateescape")
        self.key = hashlib.blake2b(text, digest_size=8).hexdigest()

    def __len__(self) -> int:
        return len(self.ids) or len(self.names)

    def has(self, goid: int) -> bool:
        """A goroutine of this number is among them."""
        return goid in self.ids

    def first(self, n: int) -> list[int]:
        """The lowest numbers."""
        return nsmallest(n, self.ids)

    def page(self, offset: int, limit: int) -> list[tuple[int, float]]:
        """Number and beginning of the wait of some of them, by number."""
        parts = [
            sorted(zip(self.ids[i : i + _PART], self.since[i : i + _PART], strict=True))
            for i in range(0, len(self.ids), _PART)
        ]
        return list(islice(merge(*parts), offset, offset + limit))

    def text(self) -> str:
        """What is searched."""
        frames = self.frames if self.creator is None else (*self.frames, self.creator)
        places = (f"{f}\n{file}:{line}" for f, file, line in frames)
        return "\n".join((self.what, *places, *self.names)).lower()


class Look(NamedTuple):
    """All goroutines, as they were when somebody looked."""

    at: float  # time.time()
    now: float  # time.monotonic(), which waits are counted by
    took: float  # seconds
    total: int
    states: dict[str, int]
    groups: list[Group]  # the largest first

    def find(self, key: str) -> Group | None:
        return next((group for group in self.groups if group.key == key), None)


def what(g: G) -> str:
    """What a goroutine does, as dumps say it in brackets."""
    if g.status is not GWAITING:
        return g.status.name
    leaked = doors.leaked is not None and leaks() and doors.leaked(g)
    return f"{g.waitreason} (leaked)" if leaked else g.waitreason


def look() -> Look:
    """Visit every goroutine."""
    at, began = time.time(), time.perf_counter()
    finder = _Finder(threadstates())  # taken here, as this frame is the one that keeps them
    groups: dict[tuple[Any, ...], Group] = {}
    states: dict[str, int] = {}
    total = 0
    for g in paced(allgs.copy()):
        goid, status = g.goid, g.status
        if status is GDEAD:
            continue
        state = what(g)
        frames = finder.frames(g)
        code, pc, parent = g.gocode, g.gopc if g.gocode is not None else 0, g.parentid
        since = g.waitsince if status is GWAITING else 0.0
        key = (state, id(frames), code, pc)
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(state, frames, finder.creator(g))
        if g.goid != goid or g.status is GDEAD:
            continue  # it has ended, and its G may be another's
        group.ids.append(goid)
        group.since.append(since)
        group.parents.add(parent)
        if 0 < since < group.oldest:
            group.oldest = since
        states[state] = states.get(state, 0) + 1
        total += 1
    alltasks = _tasks(finder)
    for group in alltasks:
        states[group.what] = states.get(group.what, 0) + len(group)
        total += len(group)
    found = [group for group in groups.values() if len(group)] + alltasks
    found.sort(key=sortkey("count"))
    took = time.perf_counter() - began
    return Look(at, time.monotonic(), took, total, states, found)


def _tasks(finder: _Finder) -> list[Group]:
    """The tasks of event loops, grouped as goroutines are."""
    groups: dict[tuple[str, int], Group] = {}
    for task in paced(tasks()):
        frames = finder._same([*task.frames])
        key = task.state, id(frames)
        if key not in groups:
            groups[key] = Group(f"asyncio task, {task.state}", frames, None)
        on = f", {task.what}" if task.on else ""
        groups[key].names.append(f"{task.name}{on}{task.by}")
    return [*groups.values()]


class _Finder:
    """The stacks of goroutines; equal ones are one object."""

    def __init__(self, threads: Stacks) -> None:
        self.threads = threads
        self.chains: dict[tuple[object, ...], Stack] = {}
        self.stacks: dict[Stack, Stack] = {}
        self.creators: dict[tuple[object, int], Frame] = {}

    def frames(self, g: G) -> Stack:
        if g.coro is not None and g.status is GWAITING and g.lockedm is None:
            if not FREETHREADED:
                found = self._chain(g)
            else:
                waiting = g.waiting
                found = [] if waiting is None else waiting.frozen(g, self._chain)
            if found:
                return found[0]  # type: ignore[no-any-return]
        return self._same(gframes(g, g.status, threads=self.threads))

    def _chain(self, g: G) -> list[Any]:
        """The stack of a parked coroutine, in a list; an empty list if that is not to be had."""
        chain = _places(g.coro)
        if chain is None:
            return []
        stack = self.chains.get(chain)
        if stack is None:
            stack = self.chains[chain] = self._same(coroframes(g))
        return [stack]

    def _same(self, frames: list[Frame]) -> Stack:
        stack = tuple(frames)
        return self.stacks.setdefault(stack, stack)

    def creator(self, g: G) -> Frame | None:
        code = g.gocode
        if code is None:
            return None
        key = code, g.gopc
        frame = self.creators.get(key)
        if frame is None:
            frame = frameof(code, g.goglobals or {}, lineat(code, g.gopc))
            self.creators[key] = frame
        return frame


def _places(coro: Any) -> tuple[object, ...] | None:
    """Where each link of a chain of awaits is; None if there are links of another kind."""
    chain: list[object] = []
    while coro is not None:
        if type(coro) is CoroutineType:
            frame, coro = framein(coro, "cr_frame"), coro.cr_await
        elif type(coro) is GeneratorType:
            frame, coro = framein(coro, "gi_frame"), coro.gi_yieldfrom
        elif not chain or type(coro).__name__ not in ("Point", "list_reverseiterator"):
            return None
        else:
            break
        if frame is None:
            return None
        chain += (frame.f_code, frame.f_lasti)
    return tuple(chain)


# --- as JSON -------------------------------------------------------------------------------


def asjson(group: Group, now: float) -> dict[str, Any]:
    """One group, without the list of its goroutines."""
    return {
        "key": group.key,
        "count": len(group),
        "what": group.what,
        "frames": group.frames,
        "creator": group.creator,
        "parents": nsmallest(_IDS, group.parents - {0}),
        "ids": group.first(_IDS),
        "names": group.names[:_NAMES],
        "age": None if group.oldest == inf else max(0.0, now - group.oldest),
    }


def sortkey(order: str) -> Callable[[Group], Any]:
    """How to order groups: by `count`, `age` or `name`."""
    if order == "age":
        return lambda group: (group.oldest, -len(group))
    if order == "name":
        return lambda group: (group.frames[0] if group.frames else ("", "", 0), group.what)
    return lambda group: (-len(group), group.ids[0] if group.ids else inf)
