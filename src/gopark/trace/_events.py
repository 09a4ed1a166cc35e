"""From the lists that the runtime recorded to events in order of time.

The lists of one M, one after another, are read by `Reader`, which knows what the M was at; those
of all Ms are merged. A step is known at its end only, so an event comes with the time by which it
is sorted, and what happened within a step comes at the time the step began: whoever was readied
in it cannot have run before that.

Locks: none. Source: none in Go, where cmd/trace and internal/trace do this.
Tests: tests/trace/test_trace.py
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from gopark._runtime.prof.trace import (
    CUT,
    GO,
    MOVED,
    READY,
    RETAKE,
    RUN,
    SLICE,
    STOP,
    Goroutine,
    Items,
)

__all__ = ("Event", "Facts", "Lost", "Recorded", "Run", "Wake", "events", "survey")


class Run(NamedTuple):
    """A goroutine ran, from `begin` to `end`."""

    begin: float
    end: float
    goid: int
    how: Any  # it ended: why it waits, YIELD, (parent, function) if it is dead, None: unknown
    mid: int
    pid: int  # -1: it had none, or lost it


class Lost(NamedTuple):
    """A P was taken from the M while `goid` ran; the `Run` comes later, with no P."""

    begin: float
    end: float
    goid: int
    mid: int
    pid: int


class Wake(NamedTuple):
    """`by` readied `goid`, or started it, between `begin` and `end`; 0: the scheduler did."""

    begin: float
    end: float
    by: int
    goid: int
    started: bool


Event = Run | Lost | Wake | tuple[Any, ...]  # the others as they were recorded
_Timed = tuple[float, int, Event]
Source = Callable[[], Iterator[tuple[int, Items]]]


class Recorded(NamedTuple):
    """All that was recorded: `source()` gives the lists, those of an M in order."""

    source: Source
    began: float
    ended: float
    before: list[Goroutine]
    after: list[Goroutine]
    running: dict[int, int]  # by M, whom it runs at the end


class Facts:
    """What one has to know before the first event can be written."""

    def __init__(self) -> None:
        self.functions: dict[int, str] = {}
        self.retakes: dict[int, list[tuple[float, int]]] = defaultdict(list)  # by M
        self.mids: dict[int, None] = {}


def survey(recorded: Recorded) -> Facts:
    """The names of all goroutines, and which Ps were taken from which Ms, and when."""
    facts = Facts()
    for mid, items in recorded.source():
        facts.mids[mid] = None
        before: Any = None
        for item in items:
            if type(item) is tuple:
                kind = item[0]
                if type(before) is int and type(kind) is int:
                    facts.functions[before] = item[1]
                elif kind == STOP and type(item[3]) is tuple:
                    facts.functions[item[2]] = item[3][1]
                elif kind == RUN and item[4]:
                    facts.functions[item[3]] = item[4]
                elif kind == RETAKE:
                    facts.retakes[item[3]].append((item[1], item[2]))
            before = item
    for g in (*recorded.before, *recorded.after):
        facts.functions.setdefault(g.goid, g.function)
    for times in facts.retakes.values():
        times.sort()
    return facts


def events(recorded: Recorded, facts: Facts) -> Iterator[Event]:
    """All events, by time."""
    lists = _bymid(recorded.source, facts.mids)
    streams = [
        _away(lists(mid)) if mid == 0 else Reader(mid, facts, recorded).read(lists(mid))
        for mid in facts.mids
    ]
    for _, _, event in heapq.merge(*streams, key=_when):
        yield event


def _when(timed: _Timed) -> float:
    return timed[0]


def _bymid(source: Source, mids: Iterable[int]) -> Callable[[int], Iterator[Items]]:
    """The lists of each M, read from one pass over all of them."""
    waiting: dict[int, list[Items]] = {mid: [] for mid in mids}
    lists = source()

    def of(mid: int) -> Iterator[Items]:
        mine = waiting[mid]
        while True:
            while mine:
                yield mine.pop(0)
            for other, items in lists:
                if other == mid:
                    mine.append(items)
                    break
                if other in waiting:
                    waiting[other].append(items)
            else:
                if not mine:
                    return

    return of


def _away(lists: Iterator[Items]) -> Iterator[_Timed]:
    """What happened on no M, by many threads: not quite in order."""
    for items in lists:
        for item in sorted(items, key=lambda item: item[1]):
            kind, t = item[0], item[1]
            if kind in (READY, GO):
                yield t, 0, Wake(t, t, item[2], item[3], kind == GO)
            else:
                yield t, 0, item


_UNKNOWN: Final = -1


class Reader:
    """Reads the lists of one M."""

    def __init__(self, mid: int, facts: Facts, recorded: Recorded) -> None:
        self.mid = mid
        self.facts = facts
        self.recorded = recorded
        self.retakes = facts.retakes.get(mid, [])
        self.pid = -1
        self.begin: float | None = None  # of the step
        self.at = 0  # the goroutine that runs, if that is known before its step ends
        self.stopped = False  # its goroutine waits on this thread
        self.fresh = False  # the next goroutine comes from `runnext`, if nothing says otherwise
        self.before: tuple[int, float, float] | None = None  # the step before, in this round
        self.numbers: list[int] = []
        self.others: list[_Timed] = []

    def read(self, lists: Iterator[Items]) -> Iterator[_Timed]:
        for items in lists:
            rest = iter(items)
            for item in rest:
                kind = type(item)
                if kind is int:
                    if item:
                        self.numbers.append(item)
                    else:
                        self.fresh = False
                elif kind is float:
                    goid = next(rest, None)
                    how = next(rest, None)
                    if goid is not None and how is not None:
                        yield from self.end(item, goid, how)
                        self.stopped = False
                else:
                    yield from self.other(item)
        goid = self.recorded.running.get(self.mid)
        ended = self.fresh and self.before is not None and self.before[0] == goid
        if goid and not self.stopped and not ended:
            yield from self.end(self.recorded.ended, goid, None)
        yield from self.others

    def other(self, item: tuple[Any, ...]) -> Iterator[_Timed]:
        kind, t = item[0], item[1]
        if kind == SLICE:
            if self.begin is not None and self.at:
                yield from self.end(t, self.at, None)
            yield from self.nobody(t)
            self.begin, self.pid = t, item[2]
            self.at, self.stopped, self.fresh, self.before = 0, False, False, None
        elif kind == CUT:
            if self.begin is None:
                self.begin, self.pid, self.at = t, item[2], item[3]
                self.before = None
        elif kind == READY:
            if self.before is not None and item[3]:
                by, since, until = self.before
                yield until, self.mid, Wake(since, until, by, item[3], False)
        elif kind == STOP:
            if self.stopped:
                self.begin = t  # it came back from C, and finds no P
            yield from self.end(t, item[2], item[3])
            self.stopped = type(item[3]) is not tuple
        elif kind == RUN:
            yield from self.nobody(t)
            self.begin, self.pid, self.at = t, item[2], item[3]
            self.stopped, self.fresh = False, False
        else:
            self.others.append((t, self.mid, item))

    def nobody(self, t: float) -> Iterator[_Timed]:
        """Whom the scheduler has readied since the last step, when a timer was due."""
        for number in self.numbers:
            yield t, self.mid, Wake(t, t, 0, abs(number), number < 0)
        self.numbers.clear()
        yield from self.others
        self.others.clear()

    def end(self, t: float, goid: int, how: Any) -> Iterator[_Timed]:
        """The step of `goid` has ended."""
        begin = t if self.begin is None or self.begin > t else self.begin
        mid = self.mid
        if self.fresh and self.before is not None:
            by, since, until = self.before
            if by != goid:
                yield begin, mid, Wake(since, until, by, goid, False)
        for number in self.numbers:
            yield begin, mid, Wake(begin, t, goid, abs(number), number < 0)
        self.numbers.clear()
        yield from self.others
        self.others.clear()
        if how != MOVED:
            lost = self.lost(begin, t)
            if lost is not None and self.pid >= 0:
                yield lost, mid, Lost(begin, lost, goid, mid, self.pid)
                self.pid = -1
            yield t, mid, Run(begin, t, goid, how, mid, self.pid)
            self.before = goid, begin, t
        self.begin, self.at, self.fresh = t, 0, True

    def lost(self, begin: float, end: float) -> float | None:
        """When within this step sysmon took the P, if it did."""
        at = bisect_right(self.retakes, (begin, _UNKNOWN))
        if at < len(self.retakes) and self.retakes[at][0] < end:
            return self.retakes[at][0]
        return None
