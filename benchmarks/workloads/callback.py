"""One C thread calls a Python function many times. One op: one callback.

The function returns its argument, which C adds up.

gopark: `cgo.callback` in a ctypes function pointer; each call is a goroutine, and the thread
  stays bound to its M. "through cffi" is the same with cffi's `extern "Python"`.
ctypes: a plain `CFUNCTYPE`; each call makes and destroys a thread state.
cffi: an `extern "Python"` function in API mode, which its documentation prefers to callbacks
  made at run time; it keeps the thread state until the thread ends.
Go: a function exported by cgo.
"""

from __future__ import annotations

from collections.abc import Callable

import gopark as gp
from benchmarks import cthreads, cthreads_cffi
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import on_gopark

TITLE = "callbacks of one C thread, each"
UNIT = "ns"
N = 200_000
QUICK = 2_000
GROUP = "callbacks"
MAIN = ("",)


def _same(value: int) -> int:
    return value


def _run(threads: Callable[[int], int], n: int) -> Sample:
    with Stopwatch() as watch:
        total = threads(n)
    assert total == n * (n - 1) // 2
    return watch.sample(n, 1e9)


async def _gopark(n: int) -> Sample:
    lib = cthreads.load()
    called = cthreads.CALLBACK(gp.cgo.callback(_same))
    return _run(lambda n: int(gp.cgo.call(lib.threads, called, 1, n)), n)


async def _gopark_cffi(n: int) -> Sample:
    run = cthreads_cffi.load(gp.cgo.callback(_same))
    return _run(lambda n: gp.cgo.call(run, 1, n), n)


def _ctypes(n: int) -> Sample:
    lib = cthreads.load()
    called = cthreads.CALLBACK(_same)
    n //= 20  # an op costs many times what it costs elsewhere
    return _run(lambda n: int(lib.threads(called, 1, n)), n)


def _cffi(n: int) -> Sample:
    run = cthreads_cffi.load(_same)
    return _run(lambda n: run(1, n), n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    "ctypes": _ctypes,
    "cffi": _cffi,
    "Go": on_go("callback", 1e9, cgo=True),
    "gopark, through cffi": on_gopark(_gopark_cffi),
}
