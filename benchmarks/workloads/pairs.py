"""4 independent pairs of tasks that play ping-pong. One op: one round trip of any of them.

With "2 Ps" the work may spread over two threads: TonIO's threads, pyroutine-rt's workers,
GOMAXPROCS elsewhere. asyncio, uvloop, trio and gevent have one thread. What hands values
over is what each side uses in pingpong.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch, with_procs
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "4 ping-pong pairs, one round trip"
UNIT = "µs"
N = 100_000
QUICK = 2_000
GROUP = "cores"

_PAIRS = 4


async def _gopark(n: int) -> Sample:
    each = n // _PAIRS

    async def answer(ping: gp.Chan[int | None], pong: gp.Chan[int | None]) -> None:
        for _ in range(each):
            await pong.send(await ping.recv())

    async def ask(done: gp.Chan[None]) -> None:
        ping, pong = gp.Chan[int | None](), gp.Chan[int | None]()
        gp.go(answer, ping, pong)
        for i in range(each):
            await ping.send(i)
            await pong.recv()
        await done.send(None)

    done = gp.Chan[None](_PAIRS)
    with Stopwatch() as watch:
        for _ in range(_PAIRS):
            gp.go(ask, done)
        for _ in range(_PAIRS):
            await done.recv()
    return watch.sample(each * _PAIRS)


async def _asyncio(n: int) -> Sample:
    each = n // _PAIRS

    async def answer(ping: asyncio.Queue[int], pong: asyncio.Queue[int]) -> None:
        for _ in range(each):
            pong.put_nowait(await ping.get())

    async def ask() -> None:
        ping: asyncio.Queue[int] = asyncio.Queue()
        pong: asyncio.Queue[int] = asyncio.Queue()
        task = asyncio.create_task(answer(ping, pong))
        for i in range(each):
            ping.put_nowait(i)
            await pong.get()
        await task

    with Stopwatch() as watch:
        for task in [asyncio.create_task(ask()) for _ in range(_PAIRS)]:
            await task
    return watch.sample(each * _PAIRS)


async def _trio(trio: Any, n: int) -> Sample:
    each = n // _PAIRS

    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(each):
            pong.send_nowait(await ping.receive())

    async def ask(nursery: Any) -> None:
        to_ping, ping = trio.open_memory_channel(1)
        to_pong, pong = trio.open_memory_channel(1)
        nursery.start_soon(answer, ping, to_pong)
        for i in range(each):
            to_ping.send_nowait(i)
            await pong.receive()

    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for _ in range(_PAIRS):
                nursery.start_soon(ask, nursery)
    return watch.sample(each * _PAIRS)


def _gevent(n: int) -> Sample:
    gevent, queue = need("gevent"), need("gevent.queue").SimpleQueue
    each = n // _PAIRS

    def answer(ping: Any, pong: Any) -> None:
        for _ in range(each):
            pong.put(ping.get())

    def ask() -> None:
        ping, pong = queue(), queue()
        gevent.spawn(answer, ping, pong)
        for i in range(each):
            ping.put(i)
            pong.get()

    with Stopwatch() as watch:
        gevent.joinall([gevent.spawn(ask) for _ in range(_PAIRS)])
    return watch.sample(each * _PAIRS)


async def _tonio(tonio: Any, n: int) -> Sample:
    unbounded = need("tonio.colored.sync.channel").unbounded
    each = n // _PAIRS

    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(each):
            pong.send(await ping.receive())

    async def ask() -> None:
        to_ping, ping = unbounded()
        to_pong, pong = unbounded()
        tonio.spawn.without_tracking(answer(ping, to_pong))
        for i in range(each):
            to_ping.send(i)
            await pong.receive()

    with Stopwatch() as watch:
        await tonio.spawn.without_results(*[ask() for _ in range(_PAIRS)])
    return watch.sample(each * _PAIRS)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    each = n // _PAIRS

    def answer(ping: Any, pong: Any) -> None:
        for _ in range(each):
            pong.put(ping.get())

    def ask() -> None:
        ping, pong = pyroutine.Queue(), pyroutine.Queue()
        pyroutine.spawn(answer, ping, pong)
        for i in range(each):
            ping.put(i)
            pong.get()

    with Stopwatch() as watch:
        for task in [pyroutine.spawn(ask) for _ in range(_PAIRS)]:
            task.join()
    return watch.sample(each * _PAIRS)


_gopark_side = on_gopark(_gopark)
_tonio_side = on_tonio(_tonio)
_pyroutine_side = on_pyroutine(_pyroutine)
_go_side = on_go("pairs")

SIDES: dict[str, Measure] = {
    "gopark": _gopark_side,
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": _tonio_side,
    "pyroutine-rt": _pyroutine_side,
    "Go": _go_side,
    "gopark, 2 Ps": with_procs(2, _gopark_side),
    "TonIO, 2 Ps": with_procs(2, _tonio_side),
    "pyroutine-rt, 2 Ps": with_procs(2, _pyroutine_side),
    "Go, 2 Ps": with_procs(2, _go_side),
}
