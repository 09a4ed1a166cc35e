"""The workloads, one module each, in the order of the table.

A module has TITLE, UNIT, the sizes N and QUICK, and SIDES: the contenders by name, gopark's
first. Each takes the number of operations and returns a `Sample` for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.measure import Sample

__all__ = ("NAMES", "Workload", "load")

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
    "callback",
    "callback_threads",
)


@dataclass(frozen=True)
class Workload:
    """A module's constants, checked once."""

    name: str
    title: str
    unit: str
    n: int
    quick: int
    sides: Mapping[str, Callable[[int], Sample]]


def load(name: str) -> Workload:
    """The workload of that name; imports gopark."""
    module = import_module(f"benchmarks.workloads.{name}")
    return Workload(name, module.TITLE, module.UNIT, module.N, module.QUICK, module.SIDES)
