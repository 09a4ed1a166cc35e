"""How late a ticker is while 50 tasks hold a thread again and again: the sides of two workloads.

One task waits for one tick of a millisecond after the other; 50 others call a function that
does not come back for a while, then give way, over and over. A tick that could not come in
time counts with its own lateness, so a task that is held up for 100 ms is late 100 times.
All run on one thread or P.

Each side sleeps until the next tick with its own `sleep` and gives way as in giveway.py, but
for two that have one that is kinder to timers: with gevent's `sleep(0)` and TonIO's
`yield_now()`, those that give way run several times, or for ever, before a timer is looked at,
so here it is `idle()` and `sleep(0)`. The 50 give up two seconds after the last tick was due:
a ticker that never gets a turn is late by that much. "own wrapper" hands the function to what
each documents for calls that block (see blocking.py) and waits for it there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Figures, Measure, plain
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

__all__ = ("Ticks", "rows", "sides")

_TASKS = 50
_PERIOD = 0.001
_PATIENCE = 2.0


def rows(what: str) -> tuple[tuple[str, str, str], ...]:
    return (
        ("p50", f"1 ms ticker late, 50 {what}: median", "ms"),
        ("p99", f"1 ms ticker late, 50 {what}: p99", "ms"),
        ("worst", f"1 ms ticker late, 50 {what}: worst", "ms"),
    )


class Ticks:
    """The ticks still to come and how late the others were."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.tasks = min(_TASKS, n)  # fewer, where it is only tried out
        self.late: list[float] = []
        self.due = time.monotonic() + _PERIOD
        self.over = False
        self._end = self.due + n * _PERIOD + _PATIENCE

    def disturbed(self) -> bool:
        """Whether the others go on."""
        return not self.over and time.monotonic() < self._end

    def delay(self) -> float:
        """How long to sleep until the next tick."""
        return max(0.0, self.due - time.monotonic())

    def tick(self) -> bool:
        """Count what has come due; false once all ticks have come."""
        now = time.monotonic()
        while self.due <= now and not self.over:
            self.late.append(now - self.due)
            self.due += _PERIOD
            self.over = len(self.late) == self.n
        return not self.over

    def figures(self) -> Figures:
        late = sorted(self.late)
        picked = {"p50": late[self.n // 2], "p99": late[self.n * 99 // 100], "worst": late[-1]}
        return {key: plain(seconds * 1e3) for key, seconds in picked.items()}


Hold = Callable[[], object]


def _gopark(hold: Hold) -> Measure:
    async def main(n: int) -> Figures:
        ticks = Ticks(n)

        async def task(ended: gp.Chan[None]) -> None:
            while ticks.disturbed():
                hold()
                await gp.gosched()
            await ended.send(None)

        ended = gp.Chan[None](ticks.tasks)
        for _ in range(ticks.tasks):
            gp.go(task, ended)
        while ticks.tick():
            await gp.time.sleep(ticks.delay())
        for _ in range(ticks.tasks):
            await ended.recv()
        return ticks.figures()

    return on_gopark(main)


def _asyncio(hold: Hold, wrapped: bool) -> dict[str, Measure]:
    async def main(n: int) -> Figures:
        ticks = Ticks(n)

        async def task() -> None:
            while ticks.disturbed():
                if wrapped:
                    await asyncio.to_thread(hold)
                else:
                    hold()
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(task()) for _ in range(ticks.tasks)]
        while ticks.tick():
            await asyncio.sleep(ticks.delay())
        for each in tasks:
            await each
        return ticks.figures()

    return on_asyncio(main)


def _trio(hold: Hold, wrapped: bool) -> Measure:
    async def main(trio: Any, n: int) -> Figures:
        ticks = Ticks(n)

        async def task() -> None:
            while ticks.disturbed():
                if wrapped:
                    await trio.to_thread.run_sync(hold)
                else:
                    hold()
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(ticks.tasks):
                nursery.start_soon(task)
            while ticks.tick():
                await trio.sleep(ticks.delay())
        return ticks.figures()

    return on_trio(main)


def _gevent(hold: Hold, wrapped: bool) -> Measure:
    def main(n: int) -> Figures:
        gevent = need("gevent")
        pool = gevent.get_hub().threadpool
        ticks = Ticks(n)

        def task() -> None:
            while ticks.disturbed():
                if wrapped:
                    pool.apply(hold)
                else:
                    hold()
                    gevent.idle()

        tasks = [gevent.spawn(task) for _ in range(ticks.tasks)]
        while ticks.tick():
            gevent.sleep(ticks.delay())
        gevent.joinall(tasks)
        return ticks.figures()

    return main


def _tonio(hold: Hold, wrapped: bool) -> Measure:
    async def main(tonio: Any, n: int) -> Figures:
        ticks = Ticks(n)

        async def task() -> None:
            while ticks.disturbed():
                if wrapped:
                    await tonio.spawn_blocking(hold)
                else:
                    hold()
                    await tonio.sleep(0)

        ended = tonio.spawn.without_results(*[task() for _ in range(ticks.tasks)])
        while ticks.tick():
            await tonio.sleep(ticks.delay())
        await ended
        return ticks.figures()

    return on_tonio(main)


def _pyroutine(hold: Hold, wrapped: bool) -> Measure:
    def main(pyroutine: Any, n: int) -> Figures:
        ticks = Ticks(n)

        def task() -> None:
            while ticks.disturbed():
                if wrapped:
                    pyroutine.run_blocking(hold)
                else:
                    hold()
                    pyroutine.yield_()

        tasks = [pyroutine.spawn(task) for _ in range(ticks.tasks)]
        while ticks.tick():
            pyroutine.sleep(ticks.delay())
        for each in tasks:
            each.join()
        return ticks.figures()

    return on_pyroutine(main)


def sides(hold: Hold, go: str) -> dict[str, Measure]:
    """All sides, with the function that holds a thread and its counterpart in Go."""
    found: dict[str, Measure] = {"gopark": _gopark(hold)}
    for suffix, wrapped in (("", False), (", own wrapper", True)):
        for peer, side in _asyncio(hold, wrapped).items():
            found[peer + suffix] = side
        found["trio" + suffix] = _trio(hold, wrapped)
        found["gevent" + suffix] = _gevent(hold, wrapped)
        found["TonIO" + suffix] = _tonio(hold, wrapped)
        found["pyroutine-rt" + suffix] = _pyroutine(hold, wrapped)
    found["Go"] = on_go(go, 1e3, cgo=True)
    return found
