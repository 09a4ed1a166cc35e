"""The tables: one for each group of workloads, a line for each workload, a column for each peer.

gopark's cell is its figure with the unit; a peer's is its figure and, in brackets, that over
gopark's, bold where the peer is the cheaper one. What a workload measures in another way, a
side "peer, how", has a line of its own below, and is compared with gopark in that way where
there is such a side ("2 Ps"), else with gopark in its one way.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from benchmarks.names import GROUPS, PEERS
from benchmarks.report import Row, Run, introduction

__all__ = ("markdown", "missing", "tables", "terminal")

Cells = list[str]

_ABSENT = "-"
_SAME = '"'  # gopark has no such way: its figure is the one above


def number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return _ABSENT
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def ratio(value: float) -> str:
    if value >= 10:
        return f"{value:,.0f}x"
    return f"{value:.1f}x" if value >= 1.95 else f"{value:.2f}x"


def variants(row: Row) -> list[str]:
    """The ways in which the workload was measured; the plain one, "", first."""
    found = {side.partition(", ")[2]: None for side in row.samples}
    return sorted(found, key=lambda how: how != "")


def _cell(row: Row, peer: str, how: str, clock: str, bold: bool) -> str:
    side = f"{peer}, {how}" if how else peer
    ours = f"gopark, {how}" if how and f"gopark, {how}" in row.samples else "gopark"
    if peer == "gopark":
        if how and ours == "gopark":
            return _SAME if row.samples.get("gopark") else _ABSENT
        median = row.median(ours, clock)
        return _ABSENT if median is None else f"{number(median)} {row.unit}".rstrip()
    median = row.median(side, clock)
    if median is None:
        return _ABSENT
    ratios = row.ratios(side, clock, ours)
    if not ratios:
        return number(median)
    middle = statistics.median(ratios)
    text = f"{number(median)} ({ratio(middle)})"
    return f"**{text}**" if bold and middle < 1 else text


def lines(rows: Iterable[Row], clock: str, *, bold: bool) -> Iterator[Cells]:
    """The heading and the lines of one table."""
    rows = [row for row in rows if row.samples]
    measured = {side.partition(", ")[0] for row in rows for side in row.samples}
    peers = [peer for peer in PEERS if peer in measured]
    yield ["", *peers]
    for _, same in groupby(rows, lambda row: row.name):
        figures = list(same)
        ways = variants(figures[0])
        for how in ways:
            for row in figures:
                title = row.title
                if how and "" in ways:
                    title = f"- {how}, {row.key}" if row.key else f"- {how}"
                elif how:
                    title = f"{row.title}, {how}"
                yield [title, *(_cell(row, peer, how, clock, bold) for peer in peers)]


def tables(run: Run, *, main: bool = False) -> Iterator[tuple[str, list[Row]]]:
    """The groups that have something to show: heading and rows."""
    for group, heading in GROUPS.items():
        rows = [row for row in run.rows if row.group == group and (row.main or not main)]
        if any(row.samples for row in rows):
            yield heading, rows


def missing(run: Run) -> list[str]:
    """What was not measured and why, each once."""
    found = [f"{peer}: {why}" for peer, why in run.about["absent"].items()]
    grouped: dict[tuple[str, str], dict[str, None]] = {}
    for row in run.rows:
        for side, why in row.skipped.items():
            grouped.setdefault((side, why), {})[row.name] = None
        for side, note in row.notes.items():
            grouped.setdefault((side, note), {})[row.name] = None
    found += [f"{side} ({', '.join(names)}): {why}" for (side, why), names in grouped.items()]
    return found


def _pipes(found: list[Cells]) -> str:
    rule = ["---"] + ["---:"] * (len(found[0]) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [found[0], rule, *found[1:]])


def markdown(runs: list[Run], facts: dict[str, Any], *, level: int = 2, main: bool = False) -> str:
    """The tables for a page; with `main` the main rows only."""
    parts = [introduction(facts)]
    for run in runs:
        parts += [f"{'#' * level} {run.heading()}", f"With {run.versions()}."]
        for heading, rows in tables(run, main=main):
            found = list(lines(rows, facts["clock"], bold=True))
            found[0][0] = heading
            parts.append(_pipes(found))
        if not main and (reasons := missing(run)):
            parts.append("Not measured, or with a reservation: " + "; ".join(reasons) + ".")
    return "\n\n".join(parts) + "\n"


def terminal(run: Run, clock: str) -> str:
    """The same for a terminal."""
    parts = []
    for heading, rows in tables(run):
        found = list(lines(rows, clock, bold=False))
        found[0][0] = heading
        widths = [max(len(cells[i]) for cells in found) for i in range(len(found[0]))]
        parts.append(
            "\n".join(
                "  ".join(
                    cell.rjust(width) if i else cell.ljust(width)
                    for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
                ).rstrip()
                for cells in found
            )
        )
    if reasons := missing(run):
        parts.append("\n".join(["not measured, or with a reservation:", *reasons]))
    return "\n\n".join(parts)
