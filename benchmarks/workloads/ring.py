"""A token goes round a ring of 1,000 tasks. One op: one hop.

gopark: an unbuffered channel between neighbours; asyncio: a `Queue(1)` (see pingpong.py).
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "ring of 1,000"
UNIT = "µs"
N = 200_000
QUICK = 10_000

_SIZE = 1_000


def gopark(n: int) -> Sample:
    laps = max(1, n // _SIZE)

    async def node(left: gp.Chan[int | None], right: gp.Chan[int | None]) -> None:
        for _ in range(laps):
            value = await left.recv()
            await right.send(value)

    async def main() -> Sample:
        chans = [gp.Chan[int | None]() for _ in range(_SIZE)]
        for left, right in pairwise(chans):
            gp.go(node, left, right)
        await gp.testing.wait_all_parked()
        value: int | None = 1
        with Stopwatch() as watch:
            for _ in range(laps):
                await chans[0].send(value)
                value = await chans[-1].recv()
        assert value == 1
        return watch.sample(laps * _SIZE)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    laps = max(1, n // _SIZE)

    async def node(left: asyncio.Queue[int], right: asyncio.Queue[int]) -> None:
        for _ in range(laps):
            value = await left.get()
            await right.put(value)

    async def main() -> Sample:
        queues: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(_SIZE)]
        tasks = [asyncio.create_task(node(left, right)) for left, right in pairwise(queues)]
        await asyncio.sleep(0)  # every task has begun and waits
        value = 1
        with Stopwatch() as watch:
            for _ in range(laps):
                await queues[0].put(value)
                value = await queues[-1].get()
        assert value == 1
        for task in tasks:
            await task
        return watch.sample(laps * _SIZE)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
