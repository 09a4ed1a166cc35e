"""Runs the measurements: each a process of its own, the sides of a workload taking turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.report import Row, Run

__all__ = ("ROOT", "ChildFailed", "child", "chosen", "measure", "peer_of", "resolve", "run")

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 300  # seconds for one measurement
_SLOW = 6.0  # a side that takes longer than this is measured once
_OURS = ("gopark", "asyncio")  # where a failure is a failure of the run


class ChildFailed(Exception):
    """A measurement's process failed; the message is the end of what it wrote."""


def child(python: str, *args: str) -> dict[str, Any]:
    """Run `benchmarks.child` under that interpreter and read its JSON."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [python, "-m", "benchmarks.child", *args]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"no result after {_TIMEOUT} s") from None
    except OSError as exc:
        raise ChildFailed(f"{python}: {exc.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-5:]
        raise ChildFailed(f"exit status {done.returncode}: " + "\n".join(lines))
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peer_of(side: str) -> str:
    """ "asyncio" for "asyncio, eager tasks"."""
    return side.partition(", ")[0]


def resolve(names: list[str], sides: list[str]) -> list[str]:
    """The sides that were asked for, given the pieces between the commas of the command line.

    A name that is no peer's is how the one before it is to be measured: "asyncio", "eager
    tasks" is one side.
    """
    peers = dict.fromkeys(map(peer_of, sides))
    found: list[str] = []
    for name in names:
        if name in peers:
            found.append(name)
        elif found and f"{found[-1]}, {name}" in sides:
            found[-1] += f", {name}"
        else:
            raise ChildFailed(f"no side named {name}; there are: {', '.join(peers)}")
    return found


def chosen(sides: list[str], wanted: list[str], absent: dict[str, str]) -> list[str]:
    """Which sides of a workload to run; gopark's always, as the others are compared with it."""
    return [
        side
        for side in sides
        if peer_of(side) not in absent
        and (not wanted or peer_of(side) in {"gopark", *wanted} or side in wanted)
    ]


def measure(python: str, name: str, n: int, rows: list[Row], sides: list[str], rounds: int) -> int:
    """Fill in a workload's rows; how many of our own sides failed."""
    dropped: set[str] = set()
    failed = 0
    for _ in range(rounds):
        for side in sides:
            if side in dropped:
                continue
            try:
                result = child(python, name, side, str(n))
            except ChildFailed as exc:
                print(f"  {side}: {exc}", file=sys.stderr)
                failed += peer_of(side) in _OURS
                result = {"skipped": "failed: " + str(exc).partition(":")[0]}
            if "skipped" in result:
                dropped.add(side)
                for row in rows:
                    row.skipped[side] = result["skipped"]
                continue
            if result["took"] > _SLOW:
                dropped.add(side)
            for row in rows:
                row.samples.setdefault(side, []).append(result["rows"][row.key])
                if result["gil_came_back"]:
                    row.notes[side] = "importing it turns the GIL on"
    return failed


def run(python: str, options: Namespace) -> tuple[Run, int]:
    """All workloads under one interpreter, with progress on stderr; how many sides failed."""
    about = child(python, "about")
    workloads: list[dict[str, Any]] = about.pop("workloads")
    unknown = set(options.only) - {w["name"] for w in workloads}
    if unknown:
        known = ", ".join(w["name"] for w in workloads)
        raise ChildFailed(f"no workload named {', '.join(sorted(unknown))}; there are: {known}")
    wanted = resolve(options.sides, [side for w in workloads for side in w["sides"]])
    absent: dict[str, str] = about["absent"]
    built = [peer for peer in ("Go", "cffi") if peer not in absent]
    built = [peer for peer in built if not wanted or peer in map(peer_of, wanted)]
    if built:
        print(f"{about['version']}: building for {', '.join(built)} ...", file=sys.stderr)
        absent.update(child(python, "prepare", *built))
    result, failed = Run(about, []), 0
    for w in workloads:
        n = w["quick"] if options.quick else w["n"]
        if not n or (options.only and w["name"] not in options.only):
            continue
        rows = [
            Row(w["name"], key, title, unit, n, w["group"], key in w["main"])
            for key, title, unit in w["rows"]
        ]
        sides = chosen(w["sides"], wanted, absent)
        print(f"{about['version']}: {w['name']}, {len(sides)} sides ...", file=sys.stderr)
        failed += measure(python, w["name"], n, rows, sides, options.rounds)
        result.rows += rows
    return result, failed
