"""Wait for whichever of 8 channels has a value. One op: one value received.

One producer sends to the 8 in turn; each has room for one value.

gopark, Go: `select` with 8 receive cases, which takes one value and leaves the others.
asyncio, uvloop: 8 `Queue(1)`, a task in `get` on each, `asyncio.wait(..., FIRST_COMPLETED)`.
  Tasks are made anew only where one has ended, so no value is lost; one wait hands over all
  the values that are there, up to 8 of them, which makes it cheap per value.
"forwarders", and the only way of trio, gevent, TonIO and pyroutine-rt, which have no select
  over channels: a task for each channel that hands on whatever comes to one channel that all
  share, with room for one value. It takes values that nobody has asked for yet, and cannot
  send, so it is less than a select. (TonIO's `select` races coroutines and cancels the losers,
  and its documentation says that a cancelled `receive` may lose a value.)
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "select over 8 channels"
UNIT = "µs"
N = 50_000
QUICK = 1_000

_CHANS = 8


async def _gopark(n: int) -> Sample:
    async def produce(chans: list[gp.Chan[int]]) -> None:
        for i in range(n):
            await chans[i % _CHANS].send(i)

    chans = [gp.Chan[int](1) for _ in range(_CHANS)]
    cases = [gp.recv(ch) for ch in chans]
    got = 0
    with Stopwatch() as watch:
        gp.go(produce, chans)
        while got < n:
            _, _, ok = await gp.select(*cases)
            got += ok
    return watch.sample(n)


async def _asyncio(n: int) -> Sample:
    async def produce(queues: list[asyncio.Queue[int]]) -> None:
        for i in range(n):
            await queues[i % _CHANS].put(i)

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


async def _forwarders(n: int) -> Sample:
    async def produce(queues: list[asyncio.Queue[int]]) -> None:
        for i in range(n):
            await queues[i % _CHANS].put(i)

    async def forward(queue: asyncio.Queue[int], to: asyncio.Queue[int]) -> None:
        while True:
            await to.put(await queue.get())

    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(_CHANS)]
    shared: asyncio.Queue[int] = asyncio.Queue(1)
    with Stopwatch() as watch:
        producer = asyncio.create_task(produce(queues))
        tasks = [asyncio.create_task(forward(queue, shared)) for queue in queues]
        for _ in range(n):
            await shared.get()
    await producer
    for task in tasks:
        task.cancel()
    return watch.sample(n)


async def _trio(trio: Any, n: int) -> Sample:
    async def produce(to: list[Any]) -> None:
        for i in range(n):
            await to[i % _CHANS].send(i)

    async def forward(values: Any, to: Any) -> None:
        async for value in values:
            await to.send(value)

    chans = [trio.open_memory_channel(1) for _ in range(_CHANS)]
    to, shared = trio.open_memory_channel(1)
    async with trio.open_nursery() as nursery:
        with Stopwatch() as watch:
            nursery.start_soon(produce, [to for to, _ in chans])
            for _, values in chans:
                nursery.start_soon(forward, values, to)
            for _ in range(n):
                await shared.receive()
        nursery.cancel_scope.cancel()
    return watch.sample(n)


def _gevent(n: int) -> Sample:
    gevent, queue = need("gevent"), need("gevent.queue").SimpleQueue

    def produce(queues: list[Any]) -> None:
        for i in range(n):
            queues[i % _CHANS].put(i)

    def forward(values: Any, to: Any) -> None:
        while True:
            to.put(values.get())

    queues, shared = [queue(1) for _ in range(_CHANS)], queue(1)
    with Stopwatch() as watch:
        gevent.spawn(produce, queues)
        for each in queues:
            gevent.spawn(forward, each, shared)
        for _ in range(n):
            shared.get()
    return watch.sample(n)


async def _tonio(tonio: Any, n: int) -> Sample:
    channel = need("tonio.colored.sync.channel").channel

    async def produce(to: list[Any]) -> None:
        for i in range(n):
            await to[i % _CHANS].send(i)

    async def forward(values: Any, to: Any, m: int) -> None:
        for _ in range(m):  # what still waits at the end of the program would be reported
            await to.send(await values.receive())

    chans = [channel(1) for _ in range(_CHANS)]
    to, shared = channel(1)
    with Stopwatch() as watch:
        tonio.spawn.without_tracking(produce([to for to, _ in chans]))
        for i, (_, values) in enumerate(chans):
            tonio.spawn.without_tracking(forward(values, to, len(range(i, n, _CHANS))))
        for _ in range(n):
            await shared.receive()
    return watch.sample(n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def produce(queues: list[Any]) -> None:
        for i in range(n):
            queues[i % _CHANS].put(i)

    def forward(values: Any, to: Any, m: int) -> None:
        for _ in range(m):  # it has no way to end a task that waits
            to.put(values.get())

    queues, shared = [pyroutine.Queue(1) for _ in range(_CHANS)], pyroutine.Queue(1)
    with Stopwatch() as watch:
        pyroutine.spawn(produce, queues)
        for i, each in enumerate(queues):
            pyroutine.spawn(forward, each, shared, len(range(i, n, _CHANS)))
        for _ in range(n):
            shared.get()
    return watch.sample(n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("select8"),
    "asyncio, forwarders": on_asyncio(_forwarders)["asyncio"],
    "uvloop, forwarders": on_asyncio(_forwarders)["uvloop"],
}
