"""Medians, ratios, and the table in its three forms: terminal, Markdown, JSON."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

__all__ = ("Row", "Run", "as_json", "markdown", "table")

Cells = tuple[str, ...]

_HEADINGS: Cells = ("workload", "unit", "gopark", "beside it", "", "ratio", "lowest and highest")


@dataclass
class Row:
    """One workload: the samples of each side, in the order of the rounds, gopark's first."""

    name: str
    title: str
    unit: str
    n: int
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def values(self, side: str, clock: str) -> list[float]:
        return [sample[clock] for sample in self.samples.get(side, ())]

    def median(self, side: str, clock: str) -> float | None:
        values = self.values(side, clock)
        return statistics.median(values) if values else None

    def ratios(self, side: str, clock: str) -> list[float]:
        """`side` over gopark, round by round: both were measured one right after the other."""
        ours, theirs = self.values("gopark", clock), self.values(side, clock)
        return [b / a for a, b in zip(ours, theirs, strict=False) if a > 0]


@dataclass
class Run:
    """All rows of one interpreter."""

    about: dict[str, Any]
    rows: list[Row]

    def heading(self) -> str:
        about = self.about
        build = ", free-threaded" if about["free_threaded"] else ""
        return (
            f"{about['implementation']} {about['version']}{build}, GOMAXPROCS {about['gomaxprocs']}"
        )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


def _cells(row: Row, clock: str) -> list[Cells]:
    ours = _number(row.median("gopark", clock))
    others = [side for side in (*row.samples, *row.skipped) if side != "gopark"]
    if "gopark" in row.skipped or not others:
        reason = row.skipped.get("gopark", "")
        return [(row.title, row.unit, ours, "", "", "", f"skipped: {reason}" if reason else "")]
    cells: list[Cells] = []
    for side in others:
        if side in row.skipped:
            cells.append(
                (row.title, row.unit, ours, side, "-", "", "skipped: " + row.skipped[side])
            )
            continue
        ratios = row.ratios(side, clock)
        theirs = _number(row.median(side, clock))
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "-"
        cells.append((row.title, row.unit, ours, side, theirs, ratio, spread))
    return cells


def table(run: Run, clock: str) -> str:
    """For the terminal."""
    lines = [_HEADINGS, *(cells for row in run.rows for cells in _cells(row, clock))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADINGS))]
    right = {2, 4, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(runs: list[Run], facts: dict[str, Any]) -> str:
    """The same for a page; one table for each interpreter."""
    parts = [
        "# gopark beside asyncio and ctypes\n",
        f"Made by `python -m benchmarks` on {facts['date']}: {facts['machine']}, "
        f"{facts['cores']} cores, {facts['system']}; {facts['clock']} time, medians of "
        f"{facts['rounds']} interleaved rounds, each measurement in a process of its own. "
        "The ratio is the other's figure over gopark's, so above 1 gopark is the cheaper one; "
        "it is the median over the rounds, with the lowest and the highest of them.\n",
    ]
    if facts["quick"]:
        parts.append("Quick sizes: a check that everything runs, not figures to quote.\n")
    for run in runs:
        parts.append(f"## {run.heading()}\n")
        lines = [_HEADINGS, tuple("---:" if i in (2, 4, 5) else "---" for i in range(7))]
        lines += [cells for row in run.rows for cells in _cells(row, facts["clock"])]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n")
    return "\n".join(parts)


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
                        "title": row.title,
                        "unit": row.unit,
                        "n": row.n,
                        "sides": {
                            side: {
                                "median": {c: row.median(side, c) for c in ("wall", "cpu")},
                                "samples": samples,
                            }
                            for side, samples in row.samples.items()
                        },
                        "skipped": row.skipped,
                    }
                    for row in run.rows
                ],
            }
            for run in runs
        ],
    }
