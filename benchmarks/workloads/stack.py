"""The stacks of 100,000 parked tasks as one text.

gopark: `runtime.stack(all=True)`. Go: `runtime.Stack`, into a buffer that is big enough.
asyncio, uvloop: `print_stack` of each of `all_tasks()`, which says where a task waits, but
neither for what nor who started it.
"""

from __future__ import annotations

import asyncio
import io

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import on_asyncio, on_gopark

TITLE = "stacks of 100,000 tasks"
UNIT = "s"
N = 100_000
QUICK = 500
GROUP = "scale"


async def _gopark(n: int) -> Sample:
    begun = 0

    async def wait(ch: gp.Chan[None]) -> None:
        nonlocal begun
        begun += 1  # one thread runs them all
        await ch.recv()

    ch = gp.Chan[None]()
    for _ in range(n):
        gp.go(wait, ch)
    while begun < n:
        await gp.time.sleep(0.01)
    with Stopwatch() as watch:
        text = gp.runtime.stack(all=True)
    assert text.count("[chan receive") >= n
    ch.close()
    return watch.sample(1, 1)


async def _asyncio(n: int) -> Sample:
    async def wait(event: asyncio.Event) -> None:
        await event.wait()

    event = asyncio.Event()
    tasks = [asyncio.create_task(wait(event)) for _ in range(n)]
    await asyncio.sleep(0)  # every task has begun and waits
    text = io.StringIO()
    with Stopwatch() as watch:
        for task in asyncio.all_tasks():
            task.print_stack(file=text)
    assert text.getvalue().count("Stack for") >= n
    event.set()
    for task in tasks:
        await task
    return watch.sample(1, 1)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "Go": on_go("stack", 1),
}
