"""One producer, one consumer, 128 places between them. One op: one value.

gopark: `Chan(128)`; asyncio: `Queue(128)`. Both sides send and receive with `await`.
"""

from __future__ import annotations

import asyncio

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "buffered channel, 128"
UNIT = "µs"
N = 300_000
QUICK = 10_000

_CAPACITY = 128


def gopark(n: int) -> Sample:
    async def produce(ch: gp.Chan[int]) -> None:
        for i in range(n):
            await ch.send(i)

    async def main() -> Sample:
        ch = gp.Chan[int](_CAPACITY)
        with Stopwatch() as watch:
            gp.go(produce, ch)
            for _ in range(n):
                await ch.recv()
        return watch.sample(n)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(n):
            await queue.put(i)

    async def main() -> Sample:
        queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
        with Stopwatch() as watch:
            task = asyncio.create_task(produce(queue))
            for _ in range(n):
                await queue.get()
        await task
        return watch.sample(n)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
