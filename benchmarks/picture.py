"""Draws the main rows as bars, a panel for each: `--picture FILE.svg` or `.png`.

    python -m benchmarks.picture FILE [latest.json]

Needs matplotlib (`pip install gopark[picture]`). Shorter is better in every panel. Axes start
at zero and are linear; each bar has its figure, as the shortest are hard to compare by eye.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.driver import ROOT
from benchmarks.names import PEERS
from benchmarks.report import Row, Run, from_json
from benchmarks.table import number

__all__ = ("bars", "draw")

_COLUMNS = 3
_OURS, _THEIRS = "#00829b", "#b4bcc4"


def bars(row: Row, clock: str) -> list[tuple[str, float]]:
    """The sides of a panel and their medians: the peers' plain ways, then the other ways."""
    order = list(PEERS)

    def place(side: str) -> tuple[bool, int]:
        peer, _, how = side.partition(", ")
        return bool(how), order.index(peer)

    found = []
    for side in sorted(row.samples, key=place):
        median = row.median(side, clock)
        if median is not None:
            found.append((side, median))
    return found


def draw(runs: list[Run], facts: dict[str, Any], file: Path) -> None:
    """The main rows of the first interpreter into that file."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "gopark"  # the same data give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    run = runs[0]
    rows = [row for row in run.rows if row.main and row.samples]
    rows = rows or [row for row in run.rows if row.samples]
    if not rows:
        raise ValueError("there are no figures to draw")
    height = -(-len(rows) // _COLUMNS)
    most = max(len(row.samples) for row in rows)
    size = (5 * _COLUMNS, height * (1.1 + 0.24 * most))
    figure, axes = pyplot.subplots(height, _COLUMNS, figsize=size, squeeze=False)
    for axis, row in zip(axes.flat, rows, strict=False):
        _panel(axis, row, facts["clock"])
    for axis in axes.flat[len(rows) :]:
        axis.set_visible(False)
    figure.suptitle(
        f"gopark beside its peers: shorter is better\n{run.heading()}, {facts['cores']} cores, "
        f"{facts['date']}, median of {facts['rounds']} rounds"
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    # No date in the file: it is in the title.
    meta = {"Date": None} if file.suffix == ".svg" else None
    figure.savefig(file, metadata=meta, dpi=110)
    pyplot.close(figure)


def _panel(axis: Any, row: Row, clock: str) -> None:
    found = bars(row, clock)
    names = [name for name, _ in found]
    values = [value for _, value in found]
    colours = [_OURS if name.startswith("gopark") else _THEIRS for name in names]
    drawn = axis.barh(names, values, color=colours)
    axis.bar_label(drawn, labels=[number(value) for value in values], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.18)
    axis.locator_params(axis="x", nbins=4)
    axis.set_title(f"{row.title}, {row.unit}".rstrip(", "), fontsize=10, loc="left")
    axis.tick_params(axis="y", labelsize=8, length=0)
    axis.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def main(argv: list[str]) -> None:
    default = ROOT / "benchmarks" / "results" / "latest.json"
    source = Path(argv[1]) if argv[1:] else default
    runs, facts = from_json(json.loads(source.read_text(encoding="utf-8")))
    draw(runs, facts, Path(argv[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
