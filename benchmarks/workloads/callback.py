"""One C thread calls a Python function many times. One op: one callback.

gopark: `cgo.callback`; each call is a goroutine, and the thread stays bound to its M.
ctypes: the same function in a plain `CFUNCTYPE`; each call makes and destroys a thread state.
"""

from __future__ import annotations

import gopark as gp
from benchmarks.cthreads import CALLBACK, load
from benchmarks.measure import Sample, Stopwatch

TITLE = "callbacks, one C thread"
UNIT = "ns"
N = 200_000
QUICK = 5_000


def _same(value: int) -> int:
    return value


def gopark(n: int) -> Sample:
    lib = load()
    called = CALLBACK(gp.cgo.callback(_same))

    async def main() -> Sample:
        with Stopwatch() as watch:
            total = gp.cgo.call(lib.threads, called, 1, n)
        assert total == n * (n - 1) // 2
        return watch.sample(n, 1e9)

    return gp.run(main)


def ctypes_(n: int) -> Sample:
    lib = load()
    called = CALLBACK(_same)
    with Stopwatch() as watch:
        total = lib.threads(called, 1, n)
    assert total == n * (n - 1) // 2
    return watch.sample(n, 1e9)


SIDES = {"gopark": gopark, "ctypes": ctypes_}
