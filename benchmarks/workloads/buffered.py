"""One producer, one consumer, 128 places between them. One op: one value.

A producer that is ahead by 128 values waits: every side has that bound.

gopark, Go: `Chan(128)`; asyncio, uvloop: `Queue(128)`; trio: a memory channel with 128 places;
gevent: `SimpleQueue(128)`, the queue without task counting, and in a row of its own
`Queue(128)`; TonIO: a channel with 128 places, `await` notation, which was the faster of its
two; pyroutine-rt: `Queue(128)`. All send and receive with the call that waits when it must.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "buffered channel, 128"
UNIT = "µs"
N = 300_000
QUICK = 5_000
MAIN = ("",)

_CAPACITY = 128


async def _gopark(n: int) -> Sample:
    async def produce(ch: gp.Chan[int]) -> None:
        for i in range(n):
            await ch.send(i)

    ch = gp.Chan[int](_CAPACITY)
    with Stopwatch() as watch:
        gp.go(produce, ch)
        for _ in range(n):
            await ch.recv()
    return watch.sample(n)


async def _asyncio(n: int) -> Sample:
    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(n):
            await queue.put(i)

    queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
    with Stopwatch() as watch:
        task = asyncio.create_task(produce(queue))
        for _ in range(n):
            await queue.get()
    await task
    return watch.sample(n)


async def _trio(trio: Any, n: int) -> Sample:
    n //= 4  # an op costs several times what it costs elsewhere

    async def produce(to: Any) -> None:
        for i in range(n):
            await to.send(i)

    to, values = trio.open_memory_channel(_CAPACITY)
    async with trio.open_nursery() as nursery:
        with Stopwatch() as watch:
            nursery.start_soon(produce, to)
            for _ in range(n):
                await values.receive()
    return watch.sample(n)


def _gevent_with(kind: str, n: int) -> Sample:
    gevent, queue = need("gevent"), getattr(need("gevent.queue"), kind)(_CAPACITY)

    def produce() -> None:
        for i in range(n):
            queue.put(i)

    with Stopwatch() as watch:
        gevent.spawn(produce)
        for _ in range(n):
            queue.get()
    return watch.sample(n)


def _gevent(n: int) -> Sample:
    return _gevent_with("SimpleQueue", n)


def _gevent_queue(n: int) -> Sample:
    return _gevent_with("Queue", n)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def produce(to: Any) -> None:
        for i in range(n):
            await to.send(i)

    to, values = need("tonio.colored.sync.channel").channel(_CAPACITY)
    with Stopwatch() as watch:
        tonio.spawn.without_tracking(produce(to))
        for _ in range(n):
            await values.receive()
    return watch.sample(n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def produce(queue: Any) -> None:
        for i in range(n):
            queue.put(i)

    queue = pyroutine.Queue(_CAPACITY)
    with Stopwatch() as watch:
        pyroutine.spawn(produce, queue)
        for _ in range(n):
            queue.get()
    return watch.sample(n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("buffered"),
    "gevent, Queue": _gevent_queue,
}
