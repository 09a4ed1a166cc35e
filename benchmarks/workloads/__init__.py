"""The workloads, one module each, in the order of the tables.

A module has TITLE, UNIT, the sizes N and QUICK (0: too big for --quick), and SIDES: the
contenders by name, gopark's first. Each takes the number of operations and returns a `Sample`
for one of them. A side "peer, how" is that peer in another way and gets a line of its own.

Optional: GROUP, the table it belongs to; MAIN, whether the short table has it; ROWS, where a
side measures several things at once and returns a `Sample` for each: (key, title, unit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.measure import Measure

__all__ = ("GROUPS", "NAMES", "Workload", "load")

NAMES = (
    "spawn",
    "pingpong",
    "buffered",
    "giveway",
    "ring",
    "fanin",
    "select8",
    "memory",
    "sleepers",
)

# The tables, in their order.
GROUPS = {
    "tasks": "Tasks and channels",
    "blocking": "While a task blocks its thread or computes",
    "cores": "Several cores",
    "callbacks": "Callbacks from C threads",
    "scale": "Large numbers",
}


@dataclass(frozen=True)
class Workload:
    """A module's constants, checked once."""

    name: str
    n: int
    quick: int
    sides: Mapping[str, Measure]
    rows: tuple[tuple[str, str, str], ...]
    group: str
    main: bool


def load(name: str) -> Workload:
    """The workload of that name; imports gopark."""
    module = import_module(f"benchmarks.workloads.{name}")
    rows = getattr(module, "ROWS", None) or (("", module.TITLE, module.UNIT),)
    group = getattr(module, "GROUP", "tasks")
    if group not in GROUPS:
        raise ValueError(f"{name}: no table named {group}")
    main = getattr(module, "MAIN", False)
    return Workload(name, module.N, module.QUICK, module.SIDES, rows, group, main)
