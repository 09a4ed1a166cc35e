"""The trace file: Chrome's JSON trace format, which ui.perfetto.dev and chrome://tracing open.

Why not Perfetto's own format: it is protobuf, so it takes an encoder and a copy of its field
numbers, and is read by nothing else. JSON is read by any program, and compressed (a name that
ends in `.gz`) it is smaller than the other uncompressed.

Lanes ("threads"), in five groups ("processes"):
  Ps           what each P ran; GC has a lane there
  goroutines   each one: running, and between two runs why it waited
  regions      each goroutine's regions, nested
  tasks        from their beginning to their end, with what was logged for them
  asyncio      each task of an event loop: its steps, and between two of them what it awaits
An arrow leads from the run in which somebody readied or started a goroutine to its next run.

What a reader of the file may rely on: slices of a lane do not overlap, but for regions and GC,
which nest; each `B` has its `E`, each `b` its `e`, and each `s` its `f`; both ends of an arrow lie
in slices; times are microseconds since the trace began, with three places.

Locks: none. Source: the "Trace Event Format" document. Tests: tests/trace/test_trace.py
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gopark._runtime.prof.trace import (
    DONE,
    GC,
    HOSTED,
    LOG,
    NOTE,
    REGION,
    REGION_END,
    RETAKE,
    TASK,
    TASK_END,
    YIELD,
)
from gopark.trace._events import Facts, Lost, Recorded, Run, Wake, events, survey

__all__ = ("write",)

_PS: Final = 1_000_001
_GOROUTINES: Final = 1_000_002
_REGIONS: Final = 1_000_003
_TASKS: Final = 1_000_004
_ASYNCIO: Final = 1_000_005
_GROUPS: Final = {
    _PS: "Ps",
    _GOROUTINES: "goroutines",
    _REGIONS: "regions",
    _TASKS: "tasks",
    _ASYNCIO: "asyncio tasks",
}
_GCLANE: Final = 900_000
_FLUSH: Final = 2000  # lines written at once

quoted: Final = lru_cache(10_000)(json.dumps)


def write(recorded: Recorded, put: Callable[[str], object]) -> None:
    """Write all of it by `put`."""
    facts = survey(recorded)
    _Writer(recorded, facts, put).write()


class _Arrow:
    """Somebody readied a goroutine; written once both runs are."""

    __slots__ = ("begin", "end", "source", "started", "target")

    def __init__(self, wake: Wake, begin: int, end: int) -> None:
        self.begin, self.end, self.started = begin, end, wake.started
        self.source: tuple[int, int, int] | None = None  # lane, and its slice there
        self.target: tuple[int, int] | None = None  # lane, and when its slice begins


class _Lane:
    """What is known of a goroutine."""

    __slots__ = ("arrows", "how", "last", "ran", "readied", "ready", "since")

    def __init__(self, how: str | None, since: int = 0) -> None:
        self.how = how  # why it waits; None: it is ready to run, or nobody knows
        self.since = since  # until when its lane is written
        self.ran = False
        self.ready = False  # it gave way, and needs nobody to ready it
        self.last: tuple[float, int, int, int] | None = None  # its last run, as source
        self.arrows: deque[_Arrow] = deque()  # that lead to its next runs
        self.readied: list[_Arrow] = []  # that come from the run it is in


class _Hosted:
    """What is known of a task of an event loop."""

    __slots__ = ("how", "number", "since")

    def __init__(self, number: int, since: int) -> None:
        self.number = number  # of its lane
        self.since = since  # until when that is written
        self.how = ""  # what it awaits


class _Writer:
    """One pass over the events."""

    def __init__(self, recorded: Recorded, facts: Facts, put: Callable[[str], object]) -> None:
        self.recorded = recorded
        self.facts = facts
        self.put = put
        self.lines: list[str] = []
        self.first = True
        self.lanes = {g.goid: _Lane(g.waits or None) for g in recorded.before}
        self.seen: dict[int, None] = {}  # goroutines with a lane in the file
        self.procs: dict[int, int] = {}  # until when the lane of each P is written
        self.regions: dict[int, list[str]] = {}  # those that are open, by goroutine
        self.tasks: dict[int, str] = {}  # those that are open
        self.hosted: dict[int, _Hosted] = {}  # those that have not ended, by their keys
        self.nhosted = 0
        self.collecting: int | None = None
        self.flows = itertools.count(1)

    def write(self) -> None:
        self.put('{"displayTimeUnit":"ns","traceEvents":[\n')
        handle: dict[str, Callable[..., None]] = {
            GC: self.collected,
            HOSTED: self.stepped,
            LOG: self.logged,
            NOTE: self.noted,
            REGION: self.region,
            REGION_END: self.regionend,
            RETAKE: self.retaken,
            TASK: self.task,
            TASK_END: self.taskend,
        }
        for event in events(self.recorded, self.facts):
            if type(event) is Run:
                self.run(event)
            elif type(event) is Wake:
                self.wake(event)
            elif type(event) is Lost:
                self.proc(event)
            else:
                kind, t, *rest = event
                if t >= self.recorded.began:
                    handle[str(kind)](self.ns(t), *rest)
        self.finish(self.ns(self.recorded.ended))
        self.flush()
        self.put('\n],"otherData":{"producer":"gopark"}}\n')

    # --- runs and waits ------------------------------------------------------------------

    def wake(self, wake: Wake) -> None:
        lane = self.lane(wake.goid)
        arrow = _Arrow(wake, self.ns(wake.begin), self.ns(wake.end))
        if not lane.ran and lane.arrows:
            first = lane.arrows[0]
            if first.started and (not wake.by or first.begin == arrow.begin):
                return  # it was started, and moved from one queue to another
        lane.arrows.append(arrow)
        if wake.by > 0:
            by = self.lane(wake.by)
            if by.last is not None and by.last[0] == wake.begin:
                arrow.source = by.last[1:]
            else:
                by.readied.append(arrow)

    def run(self, run: Run) -> None:
        goid = run.goid
        lane = self.lane(goid)
        begin, end = max(self.ns(run.begin), lane.since), self.ns(run.end)
        arrow = self.arrowto(lane, begin)
        self.waited(goid, lane, begin, arrow)
        written = end > begin
        if written:
            function = self.facts.functions.get(goid, "goroutine")
            args = f'"P":{run.pid},"M":{run.mid}' if run.pid >= 0 else f'"M":{run.mid}'
            self.seen[goid] = None
            self.slice(_GOROUTINES, goid, begin, end, function, "run", args)
            if arrow is not None:
                arrow.target = goid, begin
                self.arrow(arrow)
        for readied in lane.readied:
            if written:
                readied.source = goid, begin, end
                self.arrow(readied)
        lane.readied.clear()
        lane.last = (run.begin, goid, begin, end) if written else None
        lane.ran = True
        lane.since = max(end, begin)
        lane.ready = run.how == YIELD
        lane.how = run.how if type(run.how) is str and run.how not in _NOWAIT else None
        if run.pid >= 0:
            self.proc(run)
        if type(run.how) is tuple:
            lane.arrows.clear()
            lane.how = None

    def arrowto(self, lane: _Lane, begin: int) -> _Arrow | None:
        """The one that leads to the run that begins then."""
        if lane.ready:
            return None
        while lane.arrows and lane.arrows[0].begin <= begin:
            arrow = lane.arrows.popleft()
            if arrow.end >= lane.since or arrow.started:
                return arrow
        return None

    def waited(self, goid: int, lane: _Lane, until: int, arrow: _Arrow | None) -> None:
        """It has waited until it was readied; from then on it was on a queue."""
        if lane.how is not None:
            if arrow is not None:
                until = min(until, max(arrow.end, lane.since))
            if until > lane.since:
                self.seen[goid] = None
                self.slice(_GOROUTINES, goid, lane.since, until, lane.how, "wait", "")

    def proc(self, run: Run | Lost) -> None:
        """The lane of the P; the one who had it before has lost it by then."""
        goid = run.goid
        begin = max(self.ns(run.begin), self.procs.get(run.pid, 0))
        end = self.ns(run.end)
        if end > begin:
            self.procs[run.pid] = end
            name = f"{goid} {self.facts.functions.get(goid, 'goroutine')}"
            self.slice(_PS, run.pid + 1, begin, end, name, "run", f'"M":{run.mid}')

    def lane(self, goid: int) -> _Lane:
        lane = self.lanes.get(goid)
        if lane is None:
            lane = self.lanes[goid] = _Lane(None)
        return lane

    def arrow(self, arrow: _Arrow) -> None:
        """Its beginning must lie before the end of the slice, or it is taken for the next one's."""
        if arrow.source is None or arrow.target is None:
            return
        by, begin, end = arrow.source
        goid, target = arrow.target
        name = "go" if arrow.started else "ready"
        flow = next(self.flows)
        start = max(begin, min(end - 1, target))
        for lane, ts, how in (
            (by, start, '"ph":"s"'),
            (goid, max(target, start), '"ph":"f","bp":"e"'),
        ):
            self.line(
                f'{{{how},"id":{flow},"pid":{_GOROUTINES},"tid":{lane},"ts":{us(ts)},'
                f'"name":"{name}","cat":"flow"}}'
            )

    # --- what users say ------------------------------------------------------------------

    def region(self, t: int, goid: int, task: int, name: str) -> None:
        self.regions.setdefault(goid, []).append(name)
        self.event("B", _REGIONS, goid, t, name, f'"args":{{"task":{task}}}')

    def regionend(self, t: int, goid: int, task: int, name: str) -> None:
        """One that began before the trace is left out; those within it end with it."""
        names = self.regions.get(goid, [])
        if name in names:
            while names:
                last = names.pop()
                self.event("E", _REGIONS, goid, t, last)
                if last == name:
                    break

    def task(self, t: int, goid: int, task: int, parent: int, name: str) -> None:
        self.tasks[task] = name
        args = f'"id":"{task}","args":{{"goroutine":{goid},"parent":{parent}}}'
        self.event("b", _TASKS, 1, t, name, args, "task")

    def taskend(self, t: int, goid: int, task: int) -> None:
        name = self.tasks.pop(task, None)
        if name is not None:
            self.event("e", _TASKS, 1, t, name, f'"id":"{task}"', "task")

    def logged(self, t: int, goid: int, task: int, category: str, message: str) -> None:
        args = f'"args":{{"message":{quoted(message)},"task":{task}}},"s":"t"'
        self.event("i", _GOROUTINES, goid, t, category or "log", args, "log")
        self.seen[goid] = None

    # --- tasks of event loops --------------------------------------------------------------

    def stepped(self, begin: int, ended: float, key: int, name: str, how: str, by: str) -> None:
        lane = self.hosted.get(key)
        if lane is None:
            self.nhosted += 1
            lane = self.hosted[key] = _Hosted(self.nhosted, begin)
            self.thread(_ASYNCIO, lane.number, name, lane.number)
        self.awaited(lane, begin)
        begin, end = max(begin, lane.since), self.ns(ended)
        if end > begin:
            args = f'"awaited by":{quoted(by)}' if by else ""
            self.slice(_ASYNCIO, lane.number, begin, end, name, "run", args)
        lane.since, lane.how = max(begin, end), how
        if how == DONE:
            del self.hosted[key]

    def awaited(self, lane: _Hosted, until: int) -> None:
        if lane.how and until > lane.since:
            self.slice(_ASYNCIO, lane.number, lane.since, until, lane.how, "wait", "")
            lane.since = until

    # --- what the runtime says -----------------------------------------------------------

    def noted(self, t: int, goid: int, text: str, more: dict[str, Any] | None) -> None:
        args = f'"s":"t","args":{json.dumps(more or {})}'
        self.event("i", _GOROUTINES, goid, t, text, args, "note")
        self.seen[goid] = None

    def retaken(self, t: int, pid: int, mid: int, goid: int) -> None:
        args = f'"s":"t","args":{{"M":{mid},"goroutine":{goid}}}'
        self.event("i", _PS, pid + 1, t, "taken by sysmon", args, "note")
        self.procs.setdefault(pid, 0)

    def collected(self, t: int, phase: str, generation: int, goid: int) -> None:
        if phase == "start":
            self.collecting = t
        elif self.collecting is not None:
            begin, self.collecting = self.collecting, None
            args = f'"goroutine":{goid}'
            self.slice(_PS, _GCLANE, begin, max(t, begin + 1), f"GC {generation}", "gc", args)

    # --- the end -------------------------------------------------------------------------

    def finish(self, t: int) -> None:
        """Whoever waits does so to the end; what is open is closed; the lanes have names."""
        for goid, lane in self.lanes.items():
            if lane.how is not None:
                self.waited(goid, lane, t, lane.arrows[0] if lane.arrows else None)
        for hosted in self.hosted.values():
            self.awaited(hosted, t)
        for goid, names in self.regions.items():
            while names:
                self.event("E", _REGIONS, goid, t, names.pop())
        for task in list(self.tasks):
            self.taskend(t, 0, task)
        for order, (pid, name) in enumerate(_GROUPS.items()):
            self.meta("process_name", pid, 0, f'"name":"{name}"')
            self.meta("process_sort_index", pid, 0, f'"sort_index":{order}')
        for proc in sorted(self.procs):
            self.thread(_PS, proc + 1, f"P {proc}", proc)
        self.thread(_PS, _GCLANE, "GC", _GCLANE)
        for goid in sorted({*self.seen, *self.regions}):
            name = f"G{goid} {self.facts.functions.get(goid, 'goroutine')}"
            self.thread(_GOROUTINES, goid, name, goid)
            if goid in self.regions:
                self.thread(_REGIONS, goid, name, goid)
        self.thread(_TASKS, 1, "tasks", 0)

    def thread(self, pid: int, tid: int, name: str, order: int) -> None:
        self.meta("thread_name", pid, tid, f'"name":{quoted(name)}')
        self.meta("thread_sort_index", pid, tid, f'"sort_index":{order}')

    # --- lines ---------------------------------------------------------------------------

    def ns(self, t: float) -> int:
        return max(0, int((t - self.recorded.began) * 1e9))

    def slice(
        self, pid: int, tid: int, begin: int, end: int, name: str, cat: str, args: str
    ) -> None:
        self.line(
            f'{{"ph":"X","pid":{pid},"tid":{tid},"ts":{us(begin)},"dur":{us(end - begin)},'
            f'"name":{quoted(name)},"cat":"{cat}","args":{{{args}}}}}'
        )

    def event(
        self, ph: str, pid: int, tid: int, t: int, name: str, more: str = "", cat: str = "user"
    ) -> None:
        more = f",{more}" if more else ""
        self.line(
            f'{{"ph":"{ph}","pid":{pid},"tid":{tid},"ts":{us(t)},"name":{quoted(name)},'
            f'"cat":"{cat}"{more}}}'
        )

    def meta(self, what: str, pid: int, tid: int, args: str) -> None:
        self.line(f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"{what}","args":{{{args}}}}}')

    def line(self, text: str) -> None:
        self.lines.append(text)
        if len(self.lines) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        if self.lines:
            self.put(("" if self.first else ",\n") + ",\n".join(self.lines))
            self.first = False
            self.lines.clear()


_NOWAIT: Final = (YIELD, "callback returned")


def us(ns: int) -> str:
    """Nanoseconds as microseconds."""
    return f"{ns // 1000}.{ns % 1000:03d}"
