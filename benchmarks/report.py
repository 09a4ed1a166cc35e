"""What was measured: samples by workload and side, their medians and ratios, and the JSON form."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

__all__ = ("Row", "Run", "as_json", "from_json", "introduction")


@dataclass
class Row:
    """One figure of one workload: the samples of each side, in the order of the rounds."""

    name: str  # of the workload
    key: str  # which of its figures; empty if it has one
    title: str
    unit: str
    n: int
    group: str = "tasks"
    main: bool = False
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def values(self, side: str, clock: str) -> list[float]:
        return [sample[clock] for sample in self.samples.get(side, ())]

    def median(self, side: str, clock: str) -> float | None:
        values = self.values(side, clock)
        return statistics.median(values) if values else None

    def ratios(self, side: str, clock: str, over: str = "gopark") -> list[float]:
        """`side` over gopark, round by round: both were measured shortly after one another."""
        ours, theirs = self.values(over, clock), self.values(side, clock)
        return [b / a for a, b in zip(ours, theirs, strict=False) if a > 0]


@dataclass
class Run:
    """All rows of one interpreter."""

    about: dict[str, Any]
    rows: list[Row]

    def heading(self) -> str:
        about = self.about
        build = ", free-threaded" if about["free_threaded"] else ""
        return f"{about['implementation']} {about['version']}{build}"

    def versions(self) -> str:
        """Of what was measured besides the interpreter's own."""
        measured = {side.partition(", ")[0] for row in self.rows for side in row.samples}
        own = {"asyncio", "ctypes"}
        return ", ".join(
            f"{peer} {version}"
            for peer, version in self.about["peers"].items()
            if peer in measured - own
        )


def introduction(facts: dict[str, Any]) -> str:
    """The paragraph above the tables: when, where, and how to read them."""
    text = (
        f"Measured on {facts['date']} by `python -m benchmarks`: {facts['machine']}, "
        f"{facts['cores']} cores, {facts['system']}; {facts['clock']} time, medians of "
        f"{facts['rounds']} interleaved rounds, each measurement in a process of its own. In "
        "brackets, the figure over gopark's, the median of the ratios of the rounds: above 1 "
        "gopark is the cheaper one, and where it is not, the figure is **bold**. Tasks run on one "
        "thread or P unless the row says otherwise; what each side does is said at the top of its "
        "workload in `benchmarks/workloads`."
    )
    if facts["quick"]:
        text += " Quick sizes: a check that everything runs, not figures to quote."
    return text


def as_json(runs: list[Run], facts: dict[str, Any]) -> dict[str, Any]:
    """Every sample of every round, so that others can compute what they like."""
    return {
        **facts,
        "runs": [
            {
                "interpreter": run.about,
                "workloads": [
                    {
                        "name": row.name,
                        "key": row.key,
                        "title": row.title,
                        "unit": row.unit,
                        "n": row.n,
                        "group": row.group,
                        "main": row.main,
                        "sides": {
                            side: {
                                "median": {c: row.median(side, c) for c in ("wall", "cpu")},
                                "samples": samples,
                            }
                            for side, samples in row.samples.items()
                        },
                        "skipped": row.skipped,
                        "notes": row.notes,
                    }
                    for row in run.rows
                ],
            }
            for run in runs
        ],
    }


def from_json(data: dict[str, Any]) -> tuple[list[Run], dict[str, Any]]:
    """The opposite of `as_json`."""
    facts = {key: value for key, value in data.items() if key != "runs"}
    runs = []
    for run in data["runs"]:
        rows = []
        for workload in run["workloads"]:
            sides = workload.pop("sides")
            row = Row(**workload)
            row.samples = {side: found["samples"] for side, found in sides.items()}
            rows.append(row)
        runs.append(Run(run["interpreter"], rows))
    return runs, facts
