"""100,000 tasks that sleep at once. One op: one task, started, put to sleep and woken.

The sleeps are between 0.1 and 0.5 s long, in mixed order. What counts is CPU time, whichever
clock is asked for: most of the wall time is the sleep itself. Each side sleeps with its own
`sleep` and waits for the end in the way it does in spawn.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "100,000 sleepers (CPU)"
UNIT = "µs"
N = 100_000
QUICK = 2_000


def _duration(i: int) -> float:
    return 0.1 + 0.0004 * (i * 7919 % 1000)


async def _gopark(n: int) -> Sample:
    async def nap(i: int, ended: Callable[[], int], done: gp.Chan[None]) -> None:
        await gp.time.sleep(_duration(i))
        if ended() == n:
            done.close()

    done = gp.Chan[None]()
    ended = count(1).__next__
    with Stopwatch() as watch:
        for i in range(n):
            gp.go(nap, i, ended, done)
        await done.recv()
    return watch.cpu_sample(n)


async def _asyncio(n: int) -> Sample:
    async def nap(i: int) -> None:
        await asyncio.sleep(_duration(i))

    with Stopwatch() as watch:
        tasks = [asyncio.create_task(nap(i)) for i in range(n)]
        for task in tasks:
            await task
    return watch.cpu_sample(n)


async def _trio(trio: Any, n: int) -> Sample:
    async def nap(i: int) -> None:
        await trio.sleep(_duration(i))

    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for i in range(n):
                nursery.start_soon(nap, i)
    return watch.cpu_sample(n)


def _gevent(n: int) -> Sample:
    gevent = need("gevent")

    def nap(i: int) -> None:
        gevent.sleep(_duration(i))

    with Stopwatch() as watch:
        gevent.joinall([gevent.spawn(nap, i) for i in range(n)])
    return watch.cpu_sample(n)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def nap(i: int, ended: Callable[[], int], done: Any) -> None:
        await tonio.sleep(_duration(i))
        if ended() == n:
            done.set()

    done = tonio.Event()
    ended = count(1).__next__
    with Stopwatch() as watch:
        tonio.spawn.without_tracking(*[nap(i, ended, done) for i in range(n)])
        await done.wait()
    return watch.cpu_sample(n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def nap(i: int) -> None:
        pyroutine.sleep(_duration(i))

    with Stopwatch() as watch:
        tasks = [pyroutine.spawn(nap, i) for i in range(n)]
        for task in tasks:
            task.join()
    return watch.cpu_sample(n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("sleepers"),
}
