"""1,000,000 tasks started, all of them parked, all of them ended: the time, and the peak of memory.

The peak is that of the whole process, interpreter included. The sides park as in memory.py,
but the tasks are waited for. Skipped where less than 4 GB of memory are free.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Figures, Measure, SkipWorkload, Stopwatch, peak_rss, plain
from benchmarks.peers import on_asyncio, on_gopark, on_tonio

N = 1_000_000
QUICK = 0
GROUP = "scale"
ROWS = (
    ("time", "1,000,000 tasks, park and end all", "s"),
    ("peak", "1,000,000 tasks, peak memory", "GB"),
)

_NEEDED = 4e9

_begun = 0  # how many tasks have; one thread runs them all


def _room(side: Measure) -> Measure:
    def run(n: int) -> Any:
        try:
            with open("/proc/meminfo", encoding="ascii") as file:
                text = file.read()
        except OSError as exc:
            raise SkipWorkload(f"free memory is read from /proc/meminfo: {exc.strerror}") from None
        free = int(text.partition("MemAvailable:")[2].split()[0]) * 1024
        if free < _NEEDED * n / N:
            raise SkipWorkload(f"only {free / 1e9:.1f} GB of memory are free")
        return side(n)

    return run


def _figures(watch: Stopwatch) -> Figures:
    return {"time": watch.sample(1, 1), "peak": plain(peak_rss() / 1e9)}


async def _gopark(n: int) -> Figures:
    async def wait() -> None:
        global _begun
        _begun += 1
        await ch.recv()
        if ended() == n:
            done.close()

    ch, done, ended = gp.Chan[None](), gp.Chan[None](), count(1).__next__
    with Stopwatch() as watch:
        for _ in range(n):
            gp.go(wait)
        while _begun < n:
            await gp.time.sleep(0.01)
        ch.close()
        await done.recv()
    return _figures(watch)


async def _asyncio(n: int) -> Figures:
    async def wait() -> None:
        await event.wait()

    event = asyncio.Event()
    with Stopwatch() as watch:
        tasks = [asyncio.create_task(wait()) for _ in range(n)]
        await asyncio.sleep(0)  # every task has begun and waits
        event.set()
        for task in tasks:
            await task
    return _figures(watch)


async def _tonio(tonio: Any, n: int) -> Figures:
    async def wait() -> None:
        global _begun
        _begun += 1
        await event.wait()
        if ended() == n:
            done.set()

    event, done, ended = tonio.Event(), tonio.Event(), count(1).__next__
    with Stopwatch() as watch:
        for _ in range(n):
            tonio.spawn.without_tracking(wait())
        while _begun < n:
            await tonio.sleep(0.01)
        event.set()
        await done.wait()
    return _figures(watch)


SIDES: dict[str, Measure] = {
    "gopark": _room(on_gopark(_gopark)),
    **{peer: _room(side) for peer, side in on_asyncio(_asyncio).items()},
    "TonIO": _room(on_tonio(_tonio)),
    "Go": _room(on_go("million", 1)),
}
