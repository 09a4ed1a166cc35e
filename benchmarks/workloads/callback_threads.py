"""Many C threads, one after the other, call a Python function once. One op: one thread.

That includes making the thread in C and joining it, which every side pays.

gopark: with the cost of binding an M to the thread and of its release when the thread ends,
and nothing to gain it back. The sides are those of callback.py.
"""

from __future__ import annotations

from collections.abc import Callable

import gopark as gp
from benchmarks import cthreads, cthreads_cffi
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import on_gopark

TITLE = "C threads with one callback, each"
UNIT = "µs"
N = 5_000
QUICK = 100
GROUP = "callbacks"
MAIN = ("",)


def _one(value: int) -> int:
    return 1


def _run(threads: Callable[[int], int], n: int) -> Sample:
    with Stopwatch() as watch:
        total = threads(n)
    assert total == n
    return watch.sample(n)


async def _gopark(n: int) -> Sample:
    lib = cthreads.load()
    called = cthreads.CALLBACK(gp.cgo.callback(_one))
    return _run(lambda n: int(gp.cgo.call(lib.threads, called, n, 1)), n)


async def _gopark_cffi(n: int) -> Sample:
    run = cthreads_cffi.load(gp.cgo.callback(_one))
    return _run(lambda n: gp.cgo.call(run, n, 1), n)


def _ctypes(n: int) -> Sample:
    lib = cthreads.load()
    called = cthreads.CALLBACK(_one)
    return _run(lambda n: int(lib.threads(called, n, 1)), n)


def _cffi(n: int) -> Sample:
    run = cthreads_cffi.load(_one)
    return _run(lambda n: run(n, 1), n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    "ctypes": _ctypes,
    "cffi": _cffi,
    "Go": on_go("callbacks", cgo=True),
    "gopark, through cffi": on_gopark(_gopark_cffi),
}
