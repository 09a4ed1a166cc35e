"""Take a lock and give it back. One op: one such pair.

free: one task, and nobody else wants the lock.
contended: ten tasks, and whoever has the lock gives way once before it lets go, so all the
others find it taken.

Each side uses its block: gopark's `async with Mutex()`, asyncio's, uvloop's and trio's
`async with Lock()`, gevent's `with BoundedSemaphore(1)` (what it recommends where no task locks
twice), and Go's `Lock` and `Unlock`. Giving way is what giveway.py uses.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Figures, Measure, Sample, Stopwatch, with_procs
from benchmarks.peers import need, on_asyncio, on_gopark, on_trio
from gopark.sync import Mutex, WaitGroup

ROWS = (
    ("free", "lock and unlock, nobody waits", "µs"),
    ("contended", "lock, yield, unlock, 10 tasks", "µs"),
)
N = 100_000
QUICK = 2_000

_TASKS = 10


async def _gopark(n: int) -> Figures:
    mu, each = Mutex(), n // _TASKS

    async def hold() -> None:
        for _ in range(each):
            async with mu:
                await gp.gosched()

    with Stopwatch() as free:
        for _ in range(n):
            async with mu:
                pass
    with Stopwatch() as contended:
        async with WaitGroup() as wg:
            for _ in range(_TASKS):
                wg.go(hold)
    return _figures(free, contended, n)


async def _asyncio(n: int) -> Figures:
    mu, each = asyncio.Lock(), n // _TASKS
    sleep = asyncio.sleep

    async def hold() -> None:
        for _ in range(each):
            async with mu:
                await sleep(0)

    with Stopwatch() as free:
        for _ in range(n):
            async with mu:
                pass
    with Stopwatch() as contended:
        async with asyncio.TaskGroup() as group:
            for _ in range(_TASKS):
                group.create_task(hold())
    return _figures(free, contended, n)


async def _trio(trio: Any, n: int) -> Figures:
    mu, each = trio.Lock(), n // _TASKS
    checkpoint = trio.lowlevel.checkpoint

    async def hold() -> None:
        for _ in range(each):
            async with mu:
                await checkpoint()

    with Stopwatch() as free:
        for _ in range(n):
            async with mu:
                pass
    with Stopwatch() as contended:
        async with trio.open_nursery() as nursery:
            for _ in range(_TASKS):
                nursery.start_soon(hold)
    return _figures(free, contended, n)


def _gevent(n: int) -> Figures:
    gevent, lock = need("gevent"), need("gevent.lock")
    mu, each = lock.BoundedSemaphore(1), n // _TASKS
    sleep = gevent.sleep

    def hold() -> None:
        for _ in range(each):
            with mu:
                sleep(0)

    with Stopwatch() as free:
        for _ in range(n):
            with mu:
                pass
    with Stopwatch() as contended:
        gevent.joinall([gevent.spawn(hold) for _ in range(_TASKS)])
    return _figures(free, contended, n)


def _figures(free: Stopwatch, contended: Stopwatch, n: int) -> dict[str, Sample]:
    return {"free": free.sample(n), "contended": contended.sample(n // _TASKS * _TASKS)}


_gopark_side = on_gopark(_gopark)
_go_side = on_go("mutex")

SIDES: dict[str, Measure] = {
    "gopark": _gopark_side,
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "Go": _go_side,
    "gopark, 2 Ps": with_procs(2, _gopark_side),
    "Go, 2 Ps": with_procs(2, _go_side),
}
