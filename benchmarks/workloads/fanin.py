"""1,000 producers, one consumer, 128 places between them. One op: one value.

A producer that finds no room waits. Each side uses what it uses in buffered.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "fan-in, 1,000 producers"
UNIT = "µs"
N = 200_000
QUICK = 5_000

_PRODUCERS = 1_000
_CAPACITY = 128


def _each(n: int) -> int:
    return max(1, n // _PRODUCERS)


async def _gopark(n: int) -> Sample:
    each = _each(n)

    async def produce(ch: gp.Chan[int]) -> None:
        for i in range(each):
            await ch.send(i)

    ch = gp.Chan[int](_CAPACITY)
    with Stopwatch() as watch:
        for _ in range(_PRODUCERS):
            gp.go(produce, ch)
        for _ in range(each * _PRODUCERS):
            await ch.recv()
    return watch.sample(each * _PRODUCERS)


async def _asyncio(n: int) -> Sample:
    each = _each(n)

    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(each):
            await queue.put(i)

    queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
    with Stopwatch() as watch:
        tasks = [asyncio.create_task(produce(queue)) for _ in range(_PRODUCERS)]
        for _ in range(each * _PRODUCERS):
            await queue.get()
    for task in tasks:
        await task
    return watch.sample(each * _PRODUCERS)


async def _trio(trio: Any, n: int) -> Sample:
    each = _each(n // 4)  # an op costs several times what it costs elsewhere

    async def produce(to: Any) -> None:
        for i in range(each):
            await to.send(i)

    to, values = trio.open_memory_channel(_CAPACITY)
    async with trio.open_nursery() as nursery:
        with Stopwatch() as watch:
            for _ in range(_PRODUCERS):
                nursery.start_soon(produce, to)
            for _ in range(each * _PRODUCERS):
                await values.receive()
    return watch.sample(each * _PRODUCERS)


def _gevent(n: int) -> Sample:
    gevent, queue = need("gevent"), need("gevent.queue").SimpleQueue(_CAPACITY)
    each = _each(n)

    def produce() -> None:
        for i in range(each):
            queue.put(i)

    with Stopwatch() as watch:
        for _ in range(_PRODUCERS):
            gevent.spawn(produce)
        for _ in range(each * _PRODUCERS):
            queue.get()
    return watch.sample(each * _PRODUCERS)


async def _tonio(tonio: Any, n: int) -> Sample:
    each = _each(n)

    async def produce(to: Any) -> None:
        for i in range(each):
            await to.send(i)

    to, values = need("tonio.colored.sync.channel").channel(_CAPACITY)
    with Stopwatch() as watch:
        tonio.spawn.without_tracking(*[produce(to) for _ in range(_PRODUCERS)])
        for _ in range(each * _PRODUCERS):
            await values.receive()
    return watch.sample(each * _PRODUCERS)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    each = _each(n)

    def produce(queue: Any) -> None:
        for i in range(each):
            queue.put(i)

    queue = pyroutine.Queue(_CAPACITY)
    with Stopwatch() as watch:
        for _ in range(_PRODUCERS):
            pyroutine.spawn(produce, queue)
        for _ in range(each * _PRODUCERS):
            queue.get()
    return watch.sample(each * _PRODUCERS)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("fanin"),
}
