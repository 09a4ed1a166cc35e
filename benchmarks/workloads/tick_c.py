"""Lateness of a 1 ms ticker while 50 tasks sleep in C for 10 ms at a time.

The sleep is the C library's `usleep`, through ctypes (cgo in Go): it stands for any call that
blocks the thread and of which no library knows. What the sides do is in benchmarks/ticking.py.
"""

from __future__ import annotations

import ctypes

from benchmarks.measure import Measure
from benchmarks.ticking import rows, sides

N = 1_000
QUICK = 10
GROUP = "blocking"
MAIN = ("p99",)
ROWS = rows("tasks sleep in C")

_usleep = ctypes.CDLL(None).usleep
_usleep.argtypes = (ctypes.c_uint,)


def _hold() -> None:
    _usleep(10_000)


SIDES: dict[str, Measure] = sides(_hold, "tick_c")
