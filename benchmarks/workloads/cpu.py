"""4 tasks that compute, on all cores. The figure: their time over the time of one after the other.

1.00 is no gain, 0.50 on two cores is the most there is. With the GIL, threads gain nothing;
processes do. Each side first does the same work in a plain loop, in the same process, so an
interpreter's or compiler's own speed is in neither figure.

gopark: 4 goroutines with GOMAXPROCS at its default, which is 1 with the GIL and the number of
  cores without. asyncio, uvloop: `to_thread`; "processes" is a `ProcessPoolExecutor`, which
  its documentation recommends for work that computes, started before the clock. trio:
  `to_thread.run_sync`. gevent: its thread pool. TonIO: 4 coroutines on as many threads as
  cores. pyroutine-rt: 4 tasks on as many workers. Go: 4 goroutines.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch, cores, plain, with_procs
from benchmarks.peers import (
    gil_is_off,
    need,
    on_asyncio,
    on_gopark,
    on_pyroutine,
    on_tonio,
    on_trio,
)

TITLE = "4 computing tasks on all cores, over their time in turn"
if not gil_is_off():
    TITLE += " (with the GIL)"
UNIT = ""
N = 1_000_000
QUICK = 50_000
GROUP = "cores"

_TASKS = 4


def _compute(n: int) -> int:
    value = 1
    for i in range(n):
        value = (value * 31 + i) % 1_000_003
    return value


def _in_turn(n: int) -> float:
    with Stopwatch() as watch:
        for _ in range(_TASKS):
            _compute(n)
    return watch.sample(1).wall


def _over(watch: Stopwatch, in_turn: float) -> Sample:
    return plain(watch.sample(1).wall / in_turn)


async def _gopark(n: int) -> Sample:
    async def task(done: gp.Chan[int]) -> None:
        await done.send(_compute(n))

    in_turn = _in_turn(n)
    done = gp.Chan[int](_TASKS)
    with Stopwatch() as watch:
        for _ in range(_TASKS):
            gp.go(task, done)
        for _ in range(_TASKS):
            await done.recv()
    return _over(watch, in_turn)


def _default_procs(side: Measure) -> Measure:
    return with_procs(gp.runtime.gomaxprocs(), side)


async def _asyncio(n: int) -> Sample:
    in_turn = _in_turn(n)
    with Stopwatch() as watch:
        await asyncio.gather(*[asyncio.to_thread(_compute, n) for _ in range(_TASKS)])
    return _over(watch, in_turn)


async def _processes(n: int) -> Sample:
    in_turn = _in_turn(n)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(min(_TASKS, cores())) as pool:

        async def all_of_them(m: int) -> None:
            calls = [loop.run_in_executor(pool, _compute, m) for _ in range(_TASKS)]
            await asyncio.gather(*calls)

        await all_of_them(100)  # the processes have started
        with Stopwatch() as watch:
            await all_of_them(n)
    return _over(watch, in_turn)


async def _trio(trio: Any, n: int) -> Sample:
    in_turn = _in_turn(n)
    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for _ in range(_TASKS):
                nursery.start_soon(trio.to_thread.run_sync, _compute, n)
    return _over(watch, in_turn)


def _gevent(n: int) -> Sample:
    gevent = need("gevent")
    pool = gevent.get_hub().threadpool
    in_turn = _in_turn(n)
    with Stopwatch() as watch:
        gevent.joinall([pool.spawn(_compute, n) for _ in range(_TASKS)])
    return _over(watch, in_turn)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def task() -> int:
        return _compute(n)

    in_turn = _in_turn(n)
    with Stopwatch() as watch:
        await tonio.spawn(*[task() for _ in range(_TASKS)])
    return _over(watch, in_turn)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    in_turn = _in_turn(n)
    with Stopwatch() as watch:
        pyroutine.gather(*[pyroutine.spawn(_compute, n) for _ in range(_TASKS)])
    return _over(watch, in_turn)


SIDES: dict[str, Measure] = {
    "gopark": _default_procs(on_gopark(_gopark)),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": with_procs(cores(), on_tonio(_tonio)),
    "pyroutine-rt": with_procs(cores(), on_pyroutine(_pyroutine)),
    "Go": with_procs(cores(), on_go("cpu", 1)),
    "asyncio, processes": on_asyncio(_processes)["asyncio"],
}
