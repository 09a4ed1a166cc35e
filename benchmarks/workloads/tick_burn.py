"""Lateness of a 1 ms ticker while 50 tasks compute for 20 ms at a time.

20 ms is twice the time after which Go and gopark take the P from a task that computes. What
the sides do is in benchmarks/ticking.py.
"""

from __future__ import annotations

import time

from benchmarks.measure import Measure
from benchmarks.ticking import rows, sides

N = 1_000
QUICK = 10
GROUP = "blocking"
MAIN = ("p99",)
ROWS = rows("tasks compute")

_SECONDS = 0.02


def _hold() -> None:
    end = time.monotonic() + _SECONDS
    value = 1
    while time.monotonic() < end:
        for _ in range(100):
            value = value * 31 % 1_000_003


SIDES: dict[str, Measure] = sides(_hold, "tick_burn")
