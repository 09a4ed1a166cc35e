"""Wait for whichever of 8 channels has a value. One op: one value received.

One producer sends to the 8 in turn; each has room for one value.
gopark: `select` with 8 receive cases, which takes one value at a time.
asyncio: 8 `Queue(1)`, a task in `get` on each, `asyncio.wait(..., FIRST_COMPLETED)`. Tasks are
made anew only where one has ended, so no value is lost; one wait hands over all the values
that are there, up to 8 of them, which makes it cheap per value.
"""

from __future__ import annotations

import asyncio

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "select over 8 channels"
UNIT = "µs"
N = 50_000
QUICK = 2_000

_CHANS = 8


def gopark(n: int) -> Sample:
    async def produce(chans: list[gp.Chan[int]]) -> None:
        for i in range(n):
            await chans[i % _CHANS].send(i)

    async def main() -> Sample:
        chans = [gp.Chan[int](1) for _ in range(_CHANS)]
        cases = [gp.recv(ch) for ch in chans]
        got = 0
        with Stopwatch() as watch:
            gp.go(produce, chans)
            while got < n:
                _, _, ok = await gp.select(*cases)
                got += ok
        return watch.sample(n)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    async def produce(queues: list[asyncio.Queue[int]]) -> None:
        for i in range(n):
            await queues[i % _CHANS].put(i)

    async def main() -> Sample:
        queues: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(_CHANS)]
        create_task = asyncio.create_task
        got = 0
        with Stopwatch() as watch:
            producer = create_task(produce(queues))
            source = {create_task(queue.get()): queue for queue in queues}
            while got < n:
                done, _ = await asyncio.wait(source, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                    got += 1
                    queue = source.pop(task)
                    source[create_task(queue.get())] = queue
        await producer
        for task in source:
            task.cancel()
        return watch.sample(n)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
