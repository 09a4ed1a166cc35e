"""Two checkouts side by side: did a change make the hot paths dearer?

    python -m benchmarks.pairs OLD                       the checkout in folder OLD, and this one
    python -m benchmarks.pairs OLD NEW                   two others
    python -m benchmarks.pairs OLD --only pingpong --python python3.13 --processes 20
    python -m benchmarks.pairs . --twin                  this one without and with its compiled twin

OLD and NEW are folders with a `src`, as `git worktree add FOLDER COMMIT` makes them. The workloads
are those beside this file, gopark's side of them, on one P.

Processor time is what counts, so that it does not matter much what else the machine does. Each
checkout has a process of its own, and the two take turns, in changing order, for many rounds of a
few milliseconds; one process of each pair is asleep while the other works. Where the interpreter
puts things differs from process to process and moves a figure by some percent, so there are many
pairs. The ratio printed is the median over the pairs of processes, each of which has the median
over its rounds; beside it, between which two values half of the pairs lie, and the ratio of the
best rounds of all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.driver import ROOT, child
from benchmarks.workloads import load

__all__ = ("main",)

DEFAULT = ("pingpong", "spawn", "buffered", "giveway")
_SHARE = 20  # the size of a round is this part of the workload's own


class _Side:
    """A process that measures when it is asked, with the sources of one checkout."""

    def __init__(self, python: str, checkout: Path, twin: bool) -> None:
        self._child = subprocess.Popen(
            [python, "-m", "benchmarks.child", "serve"],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(checkout / "src"),
                "GOPARK_TWIN": "1" if twin else "0",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, n: int) -> float:
        """CPU microseconds of one operation."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(name, n, file=self._child.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        cpu: float = answer["rows"][""]["cpu"]
        return cpu

    def leave(self) -> None:
        self._child.communicate()


def pair(
    python: str, checkouts: list[Path], name: str, rounds: int, twin: bool
) -> list[list[float]]:
    """The samples of one pair of processes; the first rounds, with cold caches, left out."""
    n = max(1, load(name).n // _SHARE)
    old, new = checkouts
    sides = [_Side(python, old, False), _Side(python, new, twin)]
    samples: list[list[float]] = [[], []]
    try:
        for i in range(-2, rounds):
            for which in (0, 1) if i % 2 else (1, 0):
                cpu = sides[which].ask(name, n)
                if i >= 0:
                    samples[which].append(cpu)
    finally:
        for side in sides:
            side.leave()
    return samples


def row(name: str, pairs: list[list[list[float]]]) -> str:
    """The figures of one workload."""
    olds, news = ([min(each[which]) for each in pairs] for which in (0, 1))
    ratios = [
        statistics.median(new / old for old, new in zip(*each, strict=True)) for each in pairs
    ]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return (
        f"{name:12}{min(olds):10.3f}{min(news):10.3f}{middle:10.3f}"
        f"   {low:.3f} to {high:.3f}{min(news) / min(olds):10.3f}"
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pairs", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("old", type=Path, help="folder of the checkout to compare with")
    add("new", type=Path, nargs="?", default=ROOT, help="folder of the other one (this one)")
    add("--only", default=",".join(DEFAULT), help="names of workloads, with commas between them")
    add("--processes", type=int, default=12, help="pairs of processes for each workload")
    add("--rounds", type=int, default=20, help="rounds of each pair")
    add("--twin", action="store_true", help="the other one with its compiled twin (make twin)")
    add("--python", default=sys.executable, help="the interpreter")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    checkouts = [options.old.resolve(), options.new.resolve()]
    version = child(options.python, "about")["version"]
    print(f"CPython {version}, one P, CPU µs of one operation")
    print(f"{'':12}{'old':>10}{'new':>10}{'new/old':>10}   {'half of them':14}{'of bests':>10}")
    for name in options.only.split(","):
        pairs = [
            pair(options.python, checkouts, name, options.rounds, options.twin)
            for _ in range(options.processes)
        ]
        print(row(name, pairs), flush=True)


if __name__ == "__main__":
    main()
