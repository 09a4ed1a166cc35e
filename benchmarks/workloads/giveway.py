"""Give way to the other tasks. One op: one yield; ten tasks take turns.

Ten tasks rather than one are kind to event loops, which look at their selector once for all
that are ready: with one task alone a yield costs them several times as much.

gopark: `gosched()`; asyncio, uvloop: `sleep(0)`; trio: `lowlevel.checkpoint()`, what its
`sleep(0)` comes down to; gevent: `sleep(0)`; TonIO: a bare `yield`, the suspension point of
its `yield` notation, which costs far less there than `yield_now()` in the other one;
pyroutine-rt: `yield_()`; Go: `runtime.Gosched()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "yield, 10 tasks"
UNIT = "µs"
N = 500_000
QUICK = 10_000
MAIN = ("",)

_TASKS = 10


async def _gopark(n: int) -> Sample:
    each = n // _TASKS
    gosched = gp.gosched

    async def spin(done: gp.Chan[None]) -> None:
        for _ in range(each):
            await gosched()
        await done.send(None)

    done = gp.Chan[None](_TASKS)
    with Stopwatch() as watch:
        for _ in range(_TASKS):
            gp.go(spin, done)
        for _ in range(_TASKS):
            await done.recv()
    return watch.sample(each * _TASKS)


async def _asyncio(n: int) -> Sample:
    each = n // _TASKS
    sleep = asyncio.sleep

    async def spin() -> None:
        for _ in range(each):
            await sleep(0)

    with Stopwatch() as watch:
        tasks = [asyncio.create_task(spin()) for _ in range(_TASKS)]
        for task in tasks:
            await task
    return watch.sample(each * _TASKS)


async def _trio(trio: Any, n: int) -> Sample:
    each = n // _TASKS
    checkpoint = trio.lowlevel.checkpoint

    async def spin() -> None:
        for _ in range(each):
            await checkpoint()

    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for _ in range(_TASKS):
                nursery.start_soon(spin)
    return watch.sample(each * _TASKS)


def _gevent(n: int) -> Sample:
    gevent = need("gevent")
    each = n // _TASKS
    sleep = gevent.sleep

    def spin() -> None:
        for _ in range(each):
            sleep(0)

    with Stopwatch() as watch:
        gevent.joinall([gevent.spawn(spin) for _ in range(_TASKS)])
    return watch.sample(each * _TASKS)


def _tonio(tonio: Any, n: int) -> Generator[Any, Any, Sample]:
    each = n // _TASKS

    def spin() -> Generator[None, None, None]:
        for _ in range(each):
            yield

    with Stopwatch() as watch:
        yield tonio.spawn.without_results(*[spin() for _ in range(_TASKS)])
    return watch.sample(each * _TASKS)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    each = n // _TASKS
    give_way = pyroutine.yield_

    def spin() -> None:
        for _ in range(each):
            give_way()

    with Stopwatch() as watch:
        tasks = [pyroutine.spawn(spin) for _ in range(_TASKS)]
        for task in tasks:
            task.join()
    return watch.sample(each * _TASKS)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("giveway"),
}
