"""Resident memory of a parked task: the growth of the process, divided by their number.

Read after a garbage collection, when all of them wait. What the tasks wait for is the same one
object for all, the cheapest that each side has for it. One thread runs them all, so a count of
those that have begun says when all wait; it is a global, as a local would be a part of each task.

gopark, Go: `recv` on a channel. asyncio, uvloop: `wait` on an `Event`, the tasks kept in a
list as asyncio's own documentation asks for. trio: an `Event`, in one nursery. gevent: an
`Event`. TonIO: an `Event`, tasks not tracked. pyroutine-rt: `get` on a `Queue`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, plain, rss
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "memory, 100,000 parked"
UNIT = "bytes"
N = 100_000
QUICK = 2_000
MAIN = ("",)


_begun = 0


async def _gopark(n: int) -> Sample:
    async def wait(ch: gp.Chan[None]) -> None:
        global _begun
        _begun += 1
        await ch.recv()

    ch = gp.Chan[None]()
    before = rss()
    for _ in range(n):
        gp.go(wait, ch)
    while _begun < n:
        await gp.time.sleep(0.01)
    grown = rss() - before
    ch.close()
    return plain(grown / n)


async def _asyncio(n: int) -> Sample:
    async def wait(event: asyncio.Event) -> None:
        await event.wait()

    event = asyncio.Event()
    before = rss()
    tasks = [asyncio.create_task(wait(event)) for _ in range(n)]
    await asyncio.sleep(0)  # every task has begun and waits
    grown = rss() - before
    event.set()
    for task in tasks:
        await task
    return plain(grown / n)


async def _trio(trio: Any, n: int) -> Sample:
    async def wait(event: Any) -> None:
        await event.wait()

    event = trio.Event()
    before = rss()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(wait, event)
        await need("trio.testing").wait_all_tasks_blocked()
        grown = rss() - before
        event.set()
    return plain(grown / n)


def _gevent(n: int) -> Sample:
    gevent, event = need("gevent"), need("gevent.event").Event()
    before = rss()
    tasks = [gevent.spawn(event.wait) for _ in range(n)]
    gevent.sleep(0)  # every greenlet has begun and waits
    grown = rss() - before
    event.set()
    gevent.joinall(tasks)
    return plain(grown / n)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def wait(event: Any) -> None:
        global _begun
        _begun += 1
        await event.wait()

    event = tonio.Event()
    before = rss()
    for _ in range(n):
        tonio.spawn.without_tracking(wait(event))
    while _begun < n:
        await tonio.sleep(0.01)
    grown = rss() - before
    event.set()
    return plain(grown / n)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    def wait(queue: Any) -> None:
        global _begun
        _begun += 1
        queue.get()

    queue = pyroutine.Queue()
    before = rss()
    tasks = [pyroutine.spawn(wait, queue) for _ in range(n)]
    while _begun < n:
        pyroutine.sleep(0.01)
    grown = rss() - before
    for _ in tasks:
        queue.put(None)
    return plain(grown / n)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "Go": on_go("memory", 1),
}
