"""100,000 tasks that sleep at once. One op: one task, started, put to sleep and woken.

The sleeps are between 0.1 and 0.5 s long, in mixed order. What counts is CPU time, whichever
clock is asked for: most of the wall time is the sleep itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "100,000 sleepers (CPU)"
UNIT = "µs"
N = 100_000
QUICK = 5_000


def _duration(i: int) -> float:
    return 0.1 + 0.0004 * (i * 7919 % 1000)


def _cpu(sample: Sample) -> Sample:
    return Sample(sample.cpu, sample.cpu)


def gopark(n: int) -> Sample:
    async def nap(i: int, ended: Callable[[], int], done: gp.Chan[None]) -> None:
        await gp.time.sleep(_duration(i))
        if ended() == n:
            done.close()

    async def main() -> Sample:
        done = gp.Chan[None]()
        ended = count(1).__next__
        with Stopwatch() as watch:
            for i in range(n):
                gp.go(nap, i, ended, done)
            await done.recv()
        return _cpu(watch.sample(n))

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    async def nap(i: int) -> None:
        await asyncio.sleep(_duration(i))

    async def main() -> Sample:
        with Stopwatch() as watch:
            tasks = [asyncio.create_task(nap(i)) for i in range(n)]
            for task in tasks:
                await task
        return _cpu(watch.sample(n))

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
