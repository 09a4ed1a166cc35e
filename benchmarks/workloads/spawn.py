"""Start a task that does nothing, and know when all have ended. One op: one task.

Tasks are started 1,000 at a time, and all of them have ended before the next 1,000 start.
A side learns that in the way that is fastest there.

gopark: `go`, then `gosched` until `num_goroutine` says that main is alone; the count is exact.
asyncio, uvloop: `create_task` for all, then `await` each in turn. `TaskGroup` and `gather` do
  the same with a done callback per task and are slower; awaiting a task that has ended costs
  almost nothing. "eager tasks" is the same under `eager_task_factory` (3.12 and later), where
  a task that does not wait never meets the event loop: it is a function call, so it is no
  like-for-like comparison, and it stands in a row of its own.
trio: `start_soon` in a nursery for each 1,000; there is no other way.
gevent: `spawn`, then `joinall`. "raw greenlets" is `spawn_raw`, which its documentation keeps
  for those who need neither a result nor the methods of a Greenlet.
TonIO: `spawn.without_tracking`; the last one sets an Event. Waiting for what `spawn` returns
  costs up to twice as much.
pyroutine-rt: `spawn`, then `join` each in turn, as its `gather` does.
Go: `go` and a WaitGroup.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Figures, Measure, Sample, SkipWorkload, Stopwatch, with_procs
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "spawn and finish"
UNIT = "µs"
N = 200_000
QUICK = 5_000
MAIN = ("",)

_BATCH = 1_000


def _batches(n: int) -> Iterator[int]:
    for start in range(0, n, _BATCH):
        yield min(_BATCH, n - start)


async def _gopark(n: int) -> Sample:
    async def task() -> None:
        pass

    count, gosched = gp.runtime.num_goroutine, gp.gosched
    with Stopwatch() as watch:
        for size in _batches(n):
            for _ in range(size):
                gp.go(task)
            while count() > 1:
                await gosched()
    return watch.sample(n)


async def _asyncio(n: int) -> Sample:
    async def task() -> None:
        pass

    create_task = asyncio.get_running_loop().create_task
    with Stopwatch() as watch:
        for size in _batches(n):
            tasks = [create_task(task()) for _ in range(size)]
            for each in tasks:
                await each
    return watch.sample(n)


async def _eager(n: int) -> Sample:
    if sys.version_info < (3, 12):
        raise SkipWorkload("eager_task_factory is new in Python 3.12")
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    return await _asyncio(n)


def _uvloop_eager(n: int) -> Sample | Figures:
    try:
        return on_asyncio(_eager)["uvloop"](n)
    except TypeError as exc:  # uvloop 0.23 on Python 3.13
        raise SkipWorkload(f"uvloop does not work with eager tasks here: {exc}") from None


async def _trio(trio: Any, n: int) -> Sample:
    async def task() -> None:
        pass

    with Stopwatch() as watch:
        for size in _batches(n):
            async with trio.open_nursery() as nursery:
                for _ in range(size):
                    nursery.start_soon(task)
    return watch.sample(n)


def _gevent(n: int) -> Sample:
    gevent = need("gevent")
    n = max(1, n // 4)  # an op costs several times what it costs elsewhere

    def task() -> None:
        pass

    with Stopwatch() as watch:
        for size in _batches(n):
            gevent.joinall([gevent.spawn(task) for _ in range(size)])
    return watch.sample(n)


def _gevent_raw(n: int) -> Sample:
    gevent = need("gevent")
    n = max(1, n // 4)
    event = need("gevent.event").Event()

    def task(ended: Callable[[], int], last: int) -> None:
        if ended() == last:
            event.set()

    with Stopwatch() as watch:
        for size in _batches(n):
            event.clear()
            ended = count(1).__next__
            for _ in range(size):
                gevent.spawn_raw(task, ended, size)
            event.wait()
    return watch.sample(n)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def task(ended: Callable[[], int], done: Any, last: int) -> None:
        if ended() == last:
            done.set()

    spawn = tonio.spawn.without_tracking
    with Stopwatch() as watch:
        for size in _batches(n):
            done = tonio.Event()
            ended = count(1).__next__
            spawn(*[task(ended, done, size) for _ in range(size)])
            await done.wait()
    return watch.sample(n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def task() -> None:
        pass

    spawn = pyroutine.spawn
    with Stopwatch() as watch:
        for size in _batches(n):
            tasks = [spawn(task) for _ in range(size)]
            for each in tasks:
                each.join()
    return watch.sample(n)


_gopark_side = on_gopark(_gopark)
_tonio_side = on_tonio(_tonio)
_go_side = on_go("spawn")

SIDES: dict[str, Measure] = {
    "gopark": _gopark_side,
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": _tonio_side,
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": _go_side,
    "asyncio, eager tasks": on_asyncio(_eager)["asyncio"],
    "uvloop, eager tasks": _uvloop_eager,
    "gevent, raw greenlets": _gevent_raw,
    "gopark, 2 Ps": with_procs(2, _gopark_side),
    "TonIO, 2 Ps": with_procs(2, _tonio_side),
    "Go, 2 Ps": with_procs(2, _go_side),
}
