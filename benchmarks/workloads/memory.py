"""Resident memory of a parked task: the growth of the process, divided by their number.

gopark: goroutines that wait in `recv` on one channel; asyncio: tasks that wait on one `Event`,
kept in a list as asyncio's own documentation asks for. Read after `gc.collect()`, when all
of them wait.
"""

from __future__ import annotations

import asyncio
import gc
import os

import gopark as gp
from benchmarks.measure import Sample, SkipWorkload

TITLE = "memory, 100,000 parked"
UNIT = "bytes"
N = 100_000
QUICK = 10_000

_STATM = "/proc/self/statm"


def _rss() -> int:
    gc.collect()
    try:
        with open(_STATM, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError as exc:
        raise SkipWorkload(f"resident memory is read from {_STATM}: {exc.strerror}") from None


def gopark(n: int) -> Sample:
    async def wait(ch: gp.Chan[None]) -> None:
        await ch.recv()

    async def main() -> Sample:
        ch = gp.Chan[None]()
        before = _rss()
        for _ in range(n):
            gp.go(wait, ch)
        await gp.testing.wait_all_parked()
        grown = _rss() - before
        ch.close()
        return Sample(grown / n, grown / n)

    return gp.run(main)


def asyncio_(n: int) -> Sample:
    async def wait(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> Sample:
        event = asyncio.Event()
        before = _rss()
        tasks = [asyncio.create_task(wait(event)) for _ in range(n)]
        await asyncio.sleep(0)  # every task has begun and waits
        grown = _rss() - before
        event.set()
        for task in tasks:
            await task
        return Sample(grown / n, grown / n)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_}
