"""Give way to the other tasks: `gosched()` and `asyncio.sleep(0)`. One op: one yield.

Ten tasks take turns, which is kind to asyncio: its event loop looks at its selector once
for all that are ready, so with one task alone a yield costs it several times as much.
"""

from __future__ import annotations

import asyncio

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "yield, 10 tasks"
UNIT = "µs"
N = 500_000
QUICK = 20_000

_TASKS = 10


def gopark(n: int) -> Sample:
    each = n // _TASKS
    gosched = gp.gosched

    async def spin(done: gp.Chan[None]) -> None:
        for _ in range(each):
            await gosched()
        await done.send(None)

    async def main() -> Sample:
        done = gp.Chan[None](_TASKS)
        with Stopwatch() as watch:
            for _ in range(_TASKS):
                gp.go(spin, done)
            for _ in range(_TASKS):
                await done.recv()
        return watch.sample(each * _TASKS)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    each = n // _TASKS
    sleep = asyncio.sleep

    async def spin() -> None:
        for _ in range(each):
            await sleep(0)

    async def main() -> Sample:
        with Stopwatch() as watch:
            tasks = [asyncio.create_task(spin()) for _ in range(_TASKS)]
            for task in tasks:
                await task
        return watch.sample(each * _TASKS)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
