"""Run every workload on gopark and on what it is compared with; print and write the tables.

    python -m benchmarks                                    all, on this interpreter
    python -m benchmarks --only pingpong,spawn --rounds 9
    python -m benchmarks --python python3.11 --python python3.13
    python -m benchmarks --quick                            small sizes: does it all run?

Each measurement is a fresh process, and the rounds are interleaved (gopark, asyncio, gopark,
asyncio, ...), so that a machine that is busy for a while is busy for both; the ratio is taken
round by round. The sources beside this folder are measured, whatever is installed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import Row, Run, as_json, markdown, table

_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 300  # seconds for one measurement


class ChildFailed(Exception):
    """A measurement's process failed; the message is the end of what it wrote."""


def child(python: str, *args: str) -> dict[str, Any]:
    """Run `benchmarks.child` under that interpreter and read its JSON."""
    paths = [str(_ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [python, "-m", "benchmarks.child", *args]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, env=env, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"{' '.join(args)}: no result after {_TIMEOUT} s") from None
    except OSError as exc:
        raise ChildFailed(f"{python}: {exc.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChildFailed(
            f"{' '.join(args)}: exit status {done.returncode}: " + "\n".join(lines[-5:])
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(python: str, row: Row, sides: list[str], rounds: int) -> None:
    """Fill in one row, the sides taking turns."""
    for _ in range(rounds):
        for side in sides:
            if side in row.skipped:
                continue
            result = child(python, row.name, side, str(row.n))
            if "skipped" in result:
                row.skipped[side] = result["skipped"]
            else:
                row.samples.setdefault(side, []).append(result)
        if "gopark" in row.skipped:
            return


def run(python: str, options: argparse.Namespace) -> Run:
    """All workloads under one interpreter, printing progress on stderr."""
    about = child(python, "about")
    workloads = about.pop("workloads")
    unknown = set(options.only) - {w["name"] for w in workloads}
    if unknown:
        known = ", ".join(w["name"] for w in workloads)
        raise ChildFailed(f"no workload named {', '.join(sorted(unknown))}; there are: {known}")
    result = Run(about, [])
    for w in workloads:
        if options.only and w["name"] not in options.only:
            continue
        row = Row(w["name"], w["title"], w["unit"], w["quick"] if options.quick else w["n"])
        print(f"{about['version']}: {row.title} ...", file=sys.stderr)
        measure(python, row, w["sides"], options.rounds)
        result.rows.append(row)
    return result


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the interpreter; no host name, no path."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "clock": options.clock,
        "rounds": options.rounds,
        "quick": options.quick,
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, help="rounds for each workload (5; quick: 1)")
    parser.add_argument("--only", default="", help="names of workloads, with commas between them")
    parser.add_argument("--quick", action="store_true", help="small sizes and one round")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="which to print")
    parser.add_argument(
        "--python", action="append", help="an interpreter to measure; may be given several times"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=_ROOT / "benchmarks" / "results",
        help="folder for latest.json and latest.md",
    )
    options = parser.parse_args(argv)
    options.only = [name for name in options.only.split(",") if name]
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    runs = []
    try:
        for python in options.python or [sys.executable]:
            runs.append(run(python, options))
            print(f"\n{runs[-1].heading()}\n")
            print(table(runs[-1], options.clock) + "\n", flush=True)
    except ChildFailed as failed:
        print(f"benchmarks: {failed}", file=sys.stderr)
        return 1
    known = facts(options)
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(runs, known), indent=1, ensure_ascii=False)
    (options.output / "latest.json").write_text(text + "\n", encoding="utf-8")
    (options.output / "latest.md").write_text(markdown(runs, known), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
