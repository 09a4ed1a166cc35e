"""Read a trace file as strictly as one can, and ask it questions.

    trace = traces.read(text)
    trace.runs("worker"), trace.arrows, trace.regions

`read` fails on anything a viewer could stumble over: see `gopark/trace/_write.py` for what a file
promises.
"""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from typing import Any

PS, GOROUTINES, REGIONS, TASKS, ASYNCIO = (1_000_001 + n for n in range(5))
GC = 900_000

Lane = tuple[int, int]
Span = tuple[int, int, str]  # from, to (nanoseconds), name


def ns(us: float) -> int:
    return round(us * 1000)


class Trace:
    def __init__(self, text: str) -> None:
        self.events: list[dict[str, Any]] = json.loads(text)["traceEvents"]
        self.names: dict[Lane, str] = {}
        self.groups: dict[int, str] = {}
        self.slices: dict[Lane, list[Span]] = defaultdict(list)
        self.cats: dict[Lane, list[str]] = defaultdict(list)
        self.regions: dict[int, list[Span]] = defaultdict(list)  # by goroutine, in order of end
        self.tasks: dict[str, Span] = {}
        self.instants: list[dict[str, Any]] = []
        self.arrows: list[tuple[int, int, str]] = []  # from whom, to whom, why
        self._named()
        self._lanes()
        self._arrows()

    def _named(self) -> None:
        for e in self.events:
            assert isinstance(e["name"], str)
            assert e["name"]
            if e["ph"] == "M" and e["name"] == "process_name":
                self.groups[e["pid"]] = e["args"]["name"]
            elif e["ph"] == "M" and e["name"] == "thread_name":
                self.names[e["pid"], e["tid"]] = e["args"]["name"]

    def _lanes(self) -> None:
        open_regions: dict[int, list[tuple[int, str]]] = defaultdict(list)
        open_tasks: dict[str, tuple[int, str]] = {}
        latest: dict[Any, int] = defaultdict(int)
        for e in self.events:
            ph = e["ph"]
            if ph == "M":
                continue
            lane = e["pid"], e["tid"]
            assert e["pid"] in self.groups, e
            assert lane in self.names, e
            t = ns(e["ts"])
            assert t >= 0, e
            if ph == "X":
                end = t + ns(e["dur"])
                assert end > t, e
                assert t >= latest[lane], f"{e} begins before {latest[lane]}"
                latest[lane] = t if lane == (PS, GC) else end
                self.slices[lane].append((t, end, e["name"]))
                self.cats[lane].append(e["cat"])
            elif ph in "BE":
                assert lane[0] == REGIONS
                assert t >= latest[lane], f"{e} comes before {latest[lane]}"
                latest[lane] = t
                if ph == "B":
                    open_regions[lane[1]].append((t, e["name"]))
                else:
                    begin, name = open_regions[lane[1]].pop()
                    assert name == e["name"], e
                    self.regions[lane[1]].append((begin, t, name))
            elif ph == "b":
                assert e["id"] not in open_tasks, e
                open_tasks[e["id"]] = t, e["name"]
            elif ph == "e":
                begin, name = open_tasks.pop(e["id"])
                assert name == e["name"], e
                assert begin <= t, e
                self.tasks[e["id"]] = begin, t, name
            elif ph == "i":
                assert e["s"] == "t", e
                self.instants.append(e)
            else:
                assert ph in "sf", e
        assert not any(open_regions.values())
        assert not open_tasks

    def _arrows(self) -> None:
        ends: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        for e in self.events:
            if e["ph"] in ("s", "f"):
                assert e["ph"] not in ends[e["id"]], e
                ends[e["id"]][e["ph"]] = e
                self._within(e)
        for both in ends.values():
            assert both.keys() == {"s", "f"}, both
            s, f = both["s"], both["f"]
            assert s["name"] == f["name"]
            assert s["cat"] == f["cat"]
            assert f["bp"] == "e"
            assert ns(s["ts"]) <= ns(f["ts"]), both
            self.arrows.append((s["tid"], f["tid"], s["name"]))

    def _within(self, e: dict[str, Any]) -> None:
        t = ns(e["ts"])
        lane = e["pid"], e["tid"]
        at = bisect.bisect_right(self.slices[lane], (t, 1 << 62, "")) - 1
        assert at >= 0, e
        begin, end, _ = self.slices[lane][at]
        assert begin <= t < end, e
        assert self.cats[lane][at] == "run", e

    # --- questions -----------------------------------------------------------------------

    def goids(self, function: str) -> list[int]:
        """The goroutines with that function."""
        return [
            tid
            for (pid, tid), name in self.names.items()
            if pid == GOROUTINES and name == f"G{tid} {function}"
        ]

    def goid(self, function: str) -> int:
        (goid,) = self.goids(function)
        return goid

    def runs(self, goid: int) -> list[Span]:
        lane = GOROUTINES, goid
        return [s for s, c in zip(self.slices[lane], self.cats[lane], strict=True) if c == "run"]

    def waits(self, goid: int) -> list[str]:
        lane = GOROUTINES, goid
        pairs = zip(self.slices[lane], self.cats[lane], strict=True)
        return [s[2] for s, c in pairs if c == "wait"]

    def procs(self) -> set[str]:
        return {n for (pid, tid), n in self.names.items() if pid == PS and tid != GC}

    def logs(self) -> list[tuple[str, str]]:
        return [(e["name"], e["args"]["message"]) for e in self.instants if e["cat"] == "log"]

    def notes(self) -> list[str]:
        return [e["name"] for e in self.instants if e["cat"] == "note"]


def read(text: str | bytes) -> Trace:
    return Trace(text.decode() if isinstance(text, bytes) else text)
