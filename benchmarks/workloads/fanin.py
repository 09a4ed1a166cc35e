"""1,000 producers, one consumer, 128 places between them. One op: one value.

Bounded on both sides, so a producer that is too fast waits: `Chan(128)` and `Queue(128)`.
"""

from __future__ import annotations

import asyncio

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "fan-in, 1,000 producers"
UNIT = "µs"
N = 200_000
QUICK = 10_000

_PRODUCERS = 1_000
_CAPACITY = 128


def gopark(n: int) -> Sample:
    each = max(1, n // _PRODUCERS)

    async def produce(ch: gp.Chan[int]) -> None:
        for i in range(each):
            await ch.send(i)

    async def main() -> Sample:
        ch = gp.Chan[int](_CAPACITY)
        with Stopwatch() as watch:
            for _ in range(_PRODUCERS):
                gp.go(produce, ch)
            for _ in range(each * _PRODUCERS):
                await ch.recv()
        return watch.sample(each * _PRODUCERS)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    each = max(1, n // _PRODUCERS)

    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(each):
            await queue.put(i)

    async def main() -> Sample:
        queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
        with Stopwatch() as watch:
            tasks = [asyncio.create_task(produce(queue)) for _ in range(_PRODUCERS)]
            for _ in range(each * _PRODUCERS):
                await queue.get()
        for task in tasks:
            await task
        return watch.sample(each * _PRODUCERS)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
