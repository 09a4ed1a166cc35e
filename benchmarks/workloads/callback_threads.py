"""Many C threads, one after the other, call a Python function once. One op: one thread.

gopark: `cgo.callback`, with the cost of binding an M to the thread and of its release when the
thread exits, and nothing to gain it back. ctypes: a plain `CFUNCTYPE`.
"""

from __future__ import annotations

import gopark as gp
from benchmarks.cthreads import CALLBACK, load
from benchmarks.measure import Sample, Stopwatch

TITLE = "C threads, one callback each"
UNIT = "µs"
N = 5_000
QUICK = 500


def _one(value: int) -> int:
    return 1


def gopark(n: int) -> Sample:
    lib = load()
    called = CALLBACK(gp.cgo.callback(_one))

    async def main() -> Sample:
        with Stopwatch() as watch:
            total = gp.cgo.call(lib.threads, called, n, 1)
        assert total == n
        return watch.sample(n)

    return gp.run(main)


def ctypes_(n: int) -> Sample:
    lib = load()
    called = CALLBACK(_one)
    with Stopwatch() as watch:
        total = lib.threads(called, n, 1)
    assert total == n
    return watch.sample(n)


SIDES = {"gopark": gopark, "ctypes": ctypes_}
