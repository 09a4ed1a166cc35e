"""Hand a value to another task and wait for the answer. One op: one round trip.

gopark: two unbuffered channels.
asyncio: two `Queue(1)`, `await put` and `await get` each way. It is what asyncio offers to
hand values between tasks, and what its users write. A put finds room and does not wait,
so a round trip has two task switches, as on the channels, although a put does not wait for
the receiver to take the value, as an unbuffered send does.
`asyncio_futures` is the fastest that can be built from asyncio's parts: each message is the
result of a bare `Future` and carries the next one. Each side must know exactly who waits for
it, nobody may be late, and a cancelled wait loses the message, so few programs are written so;
it has a row of its own because it shows what the event loop itself costs.
"""

from __future__ import annotations

import asyncio

import gopark as gp
from benchmarks.measure import Sample, Stopwatch

TITLE = "ping-pong, unbuffered"
UNIT = "µs"
N = 100_000
QUICK = 5_000


def gopark(n: int) -> Sample:
    async def answer(ping: gp.Chan[int | None], pong: gp.Chan[int | None]) -> None:
        for _ in range(n):
            value = await ping.recv()
            await pong.send(value)

    async def main() -> Sample:
        ping, pong = gp.Chan[int | None](), gp.Chan[int | None]()
        gp.go(answer, ping, pong)
        with Stopwatch() as watch:
            for i in range(n):
                await ping.send(i)
                await pong.recv()
        return watch.sample(n)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    async def answer(ping: asyncio.Queue[int], pong: asyncio.Queue[int]) -> None:
        for _ in range(n):
            value = await ping.get()
            await pong.put(value)

    async def main() -> Sample:
        ping: asyncio.Queue[int] = asyncio.Queue(1)
        pong: asyncio.Queue[int] = asyncio.Queue(1)
        task = asyncio.create_task(answer(ping, pong))
        with Stopwatch() as watch:
            for i in range(n):
                await ping.put(i)
                await pong.get()
        await task
        return watch.sample(n)

    return asyncio.run(main())


Message = tuple[int, "asyncio.Future[Message]"]


def asyncio_futures(n: int) -> Sample:
    async def main() -> Sample:
        future = asyncio.get_running_loop().create_future

        async def answer(mine: asyncio.Future[Message]) -> None:
            for _ in range(n):
                value, theirs = await mine
                mine = future()
                theirs.set_result((value, mine))

        theirs: asyncio.Future[Message] = future()
        task = asyncio.create_task(answer(theirs))
        with Stopwatch() as watch:
            for i in range(n):
                mine: asyncio.Future[Message] = future()
                theirs.set_result((i, mine))
                _, theirs = await mine
        await task
        return watch.sample(n)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_, "asyncio, bare futures": asyncio_futures}
