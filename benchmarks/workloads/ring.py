"""A token goes round a ring of 1,000 tasks. One op: one hop.

One token is ever under way; what hands it on is chosen as in pingpong.py, one between any two
neighbours: unbuffered channels in gopark and Go, unbounded queues elsewhere, a memory channel
with room for one value in trio.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch, with_procs
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "ring of 1,000, one hop"
UNIT = "µs"
N = 200_000
QUICK = 5_000
MAIN = ("",)

_SIZE = 1_000


def _laps(n: int) -> int:
    return max(1, n // _SIZE)


async def _gopark(n: int) -> Sample:
    laps = _laps(n)

    async def node(left: gp.Chan[int | None], right: gp.Chan[int | None]) -> None:
        for _ in range(laps):
            value = await left.recv()
            await right.send(value)

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


async def _asyncio(n: int) -> Sample:
    laps = _laps(n)

    async def node(left: asyncio.Queue[int], right: asyncio.Queue[int]) -> None:
        for _ in range(laps):
            value = await left.get()
            right.put_nowait(value)

    queues: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in range(_SIZE)]
    tasks = [asyncio.create_task(node(left, right)) for left, right in pairwise(queues)]
    await asyncio.sleep(0)  # every task has begun and waits
    value = 1
    with Stopwatch() as watch:
        for _ in range(laps):
            queues[0].put_nowait(value)
            value = await queues[-1].get()
    assert value == 1
    for task in tasks:
        await task
    return watch.sample(laps * _SIZE)


async def _trio(trio: Any, n: int) -> Sample:
    laps = _laps(n // 4)  # a hop costs several times what it costs elsewhere

    async def node(left: Any, right: Any) -> None:
        for _ in range(laps):
            value = await left.receive()
            right.send_nowait(value)

    chans = [trio.open_memory_channel(1) for _ in range(_SIZE)]
    async with trio.open_nursery() as nursery:
        for (_, left), (right, _) in pairwise(chans):
            nursery.start_soon(node, left, right)
        await need("trio.testing").wait_all_tasks_blocked()
        first, last, value = chans[0][0], chans[-1][1], 1
        with Stopwatch() as watch:
            for _ in range(laps):
                first.send_nowait(value)
                value = await last.receive()
    assert value == 1
    return watch.sample(laps * _SIZE)


def _gevent(n: int) -> Sample:
    gevent, queue = need("gevent"), need("gevent.queue").SimpleQueue
    laps = _laps(n)

    def node(left: Any, right: Any) -> None:
        for _ in range(laps):
            right.put(left.get())

    queues = [queue() for _ in range(_SIZE)]
    for left, right in pairwise(queues):
        gevent.spawn(node, left, right)
    gevent.sleep(0)  # every greenlet has begun and waits
    value = 1
    with Stopwatch() as watch:
        for _ in range(laps):
            queues[0].put(value)
            value = queues[-1].get()
    assert value == 1
    return watch.sample(laps * _SIZE)


async def _tonio(tonio: Any, n: int) -> Sample:
    laps = _laps(n)

    async def node(left: Any, right: Any) -> None:
        for _ in range(laps):
            value = await left.receive()
            right.send(value)

    unbounded = need("tonio.colored.sync.channel").unbounded
    chans = [unbounded() for _ in range(_SIZE)]
    for (_, left), (right, _) in pairwise(chans):
        tonio.spawn.without_tracking(node(left, right))
    await tonio.sleep(0.01)
    first, last, value = chans[0][0], chans[-1][1], 1
    with Stopwatch() as watch:
        for _ in range(laps):
            first.send(value)
            value = await last.receive()
    assert value == 1
    return watch.sample(laps * _SIZE)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    laps = _laps(n)

    def node(left: Any, right: Any) -> None:
        for _ in range(laps):
            right.put(left.get())

    queues = [pyroutine.Queue() for _ in range(_SIZE)]
    for left, right in pairwise(queues):
        pyroutine.spawn(node, left, right)
    pyroutine.sleep(0.01)
    value = 1
    with Stopwatch() as watch:
        for _ in range(laps):
            queues[0].put(value)
            value = queues[-1].get()
    assert value == 1
    return watch.sample(laps * _SIZE)


_gopark_side = on_gopark(_gopark)
_tonio_side = on_tonio(_tonio)
_go_side = on_go("ring")

SIDES: dict[str, Measure] = {
    "gopark": _gopark_side,
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": _tonio_side,
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": _go_side,
    "gopark, 2 Ps": with_procs(2, _gopark_side),
    "TonIO, 2 Ps": with_procs(2, _tonio_side),
    "Go, 2 Ps": with_procs(2, _go_side),
}
