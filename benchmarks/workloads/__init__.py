"""The workloads, one module each, in the order of the tables.

A module has TITLE, UNIT, the sizes N and QUICK (0: too big for --quick), and SIDES: the
contenders by name, gopark's first. Each takes the number of operations and returns a `Sample`
for one of them. A side "peer, how" is that peer in another way and gets a line of its own.

Optional: GROUP, the table it belongs to; ROWS, where a side measures several things at once and
returns a `Sample` for each: (key, title, unit); MAIN, the keys of the rows that the short table
has ("" where there is but one row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.measure import Measure
from benchmarks.names import GROUPS

__all__ = ("NAMES", "Workload", "load")

NAMES = (
    "spawn",
    "pingpong",
    "buffered",
    "giveway",
    "ring",
    "fanin",
    "select8",
    "mutex",
    "memory",
    "sleepers",
    "timers",
    "blocking",
    "tick_c",
    "tick_burn",
    "cpu",
    "pairs",
    "callback",
    "callback_threads",
    "million",
    "stack",
)


@dataclass(frozen=True)
class Workload:
    """A module's constants, checked once."""

    name: str
    n: int
    quick: int
    sides: Mapping[str, Measure]
    rows: tuple[tuple[str, str, str], ...]
    group: str
    main: tuple[str, ...]


def load(name: str) -> Workload:
    """The workload of that name; imports gopark."""
    module = import_module(f"benchmarks.workloads.{name}")
    rows = getattr(module, "ROWS", None) or (("", module.TITLE, module.UNIT),)
    group = getattr(module, "GROUP", "tasks")
    if group not in GROUPS:
        raise ValueError(f"{name}: no table named {group}")
    main: tuple[str, ...] = getattr(module, "MAIN", ())
    return Workload(name, module.N, module.QUICK, module.SIDES, rows, group, main)
