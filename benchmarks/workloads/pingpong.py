"""Hand a value to another task and wait for the answer. One op: one round trip.

One value is ever under way. A side uses what hands values between its tasks, in the way that
is fastest for that: where a queue has a put that need not wait, it is used, as here it never
would. An unbuffered channel, whose send waits for the receiver, exists in gopark and Go.

gopark, Go: two unbuffered channels.
asyncio, uvloop: two `Queue()`, `put_nowait` and `await get`, as in the example of its
  documentation. "bare futures" is the fastest that can be built from asyncio's parts: each
  message is the result of a `Future` and carries the next one. Each side must know exactly
  who waits for it, nobody may be late, and a cancelled wait loses the message, so few programs
  are written so; it shows what the event loop itself costs.
trio: two memory channels with room for one value, `send_nowait` and `receive`.
gevent: two `SimpleQueue()`, the queue it has compiled and keeps free of task counting.
TonIO: two unbounded channels, whose `send` does not wait; `await` notation.
pyroutine-rt: two `Queue()`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch, with_procs
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "ping-pong round trip"
UNIT = "µs"
N = 100_000
QUICK = 2_000
MAIN = ("",)


async def _gopark(n: int) -> Sample:
    async def answer(ping: gp.Chan[int | None], pong: gp.Chan[int | None]) -> None:
        for _ in range(n):
            value = await ping.recv()
            await pong.send(value)

    ping, pong = gp.Chan[int | None](), gp.Chan[int | None]()
    gp.go(answer, ping, pong)
    with Stopwatch() as watch:
        for i in range(n):
            await ping.send(i)
            await pong.recv()
    return watch.sample(n)


async def _asyncio(n: int) -> Sample:
    async def answer(ping: asyncio.Queue[int], pong: asyncio.Queue[int]) -> None:
        for _ in range(n):
            value = await ping.get()
            pong.put_nowait(value)

    ping: asyncio.Queue[int] = asyncio.Queue()
    pong: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(answer(ping, pong))
    with Stopwatch() as watch:
        for i in range(n):
            ping.put_nowait(i)
            await pong.get()
    await task
    return watch.sample(n)


Message = tuple[int, "asyncio.Future[Message]"]


async def _futures(n: int) -> Sample:
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


async def _trio(trio: Any, n: int) -> Sample:
    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(n):
            value = await ping.receive()
            pong.send_nowait(value)

    to_ping, ping = trio.open_memory_channel(1)
    to_pong, pong = trio.open_memory_channel(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, ping, to_pong)
        with Stopwatch() as watch:
            for i in range(n):
                to_ping.send_nowait(i)
                await pong.receive()
    return watch.sample(n)


def _gevent(n: int) -> Sample:
    gevent, queue = need("gevent"), need("gevent.queue")

    def answer(ping: Any, pong: Any) -> None:
        for _ in range(n):
            pong.put(ping.get())

    ping, pong = queue.SimpleQueue(), queue.SimpleQueue()
    gevent.spawn(answer, ping, pong)
    with Stopwatch() as watch:
        for i in range(n):
            ping.put(i)
            pong.get()
    return watch.sample(n)


async def _tonio(tonio: Any, n: int) -> Sample:
    unbounded = need("tonio.colored.sync.channel").unbounded

    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(n):
            value = await ping.receive()
            pong.send(value)

    to_ping, ping = unbounded()
    to_pong, pong = unbounded()
    tonio.spawn.without_tracking(answer(ping, to_pong))
    with Stopwatch() as watch:
        for i in range(n):
            to_ping.send(i)
            await pong.receive()
    return watch.sample(n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def answer(ping: Any, pong: Any) -> None:
        for _ in range(n):
            pong.put(ping.get())

    ping, pong = pyroutine.Queue(), pyroutine.Queue()
    pyroutine.spawn(answer, ping, pong)
    with Stopwatch() as watch:
        for i in range(n):
            ping.put(i)
            pong.get()
    return watch.sample(n)


_gopark_side = on_gopark(_gopark)
_tonio_side = on_tonio(_tonio)
_go_side = on_go("pingpong")

SIDES: dict[str, Measure] = {
    "gopark": _gopark_side,
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": _tonio_side,
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": _go_side,
    "asyncio, bare futures": on_asyncio(_futures)["asyncio"],
    "uvloop, bare futures": on_asyncio(_futures)["uvloop"],
    "gopark, 2 Ps": with_procs(2, _gopark_side),
    "TonIO, 2 Ps": with_procs(2, _tonio_side),
    "Go, 2 Ps": with_procs(2, _go_side),
}
