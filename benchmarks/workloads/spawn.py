"""Start a task that does nothing, and know when all have ended. One op: one task.

Tasks are started 1,000 at a time, and all of them have ended before the next 1,000 start.

gopark: `go`; the last one to end closes a channel, as goroutines have no handle to wait on.
asyncio: `create_task` for all, then `await` each in turn. `TaskGroup` and `gather` do the
same with a done callback per task and are slower; awaiting a task that has ended costs
almost nothing. `asyncio_eager` is the same under `eager_task_factory` (3.12 and later),
where a task that does not wait never meets the event loop: it is a function call, so it is
no like-for-like comparison, and it stands in a row of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import count

import gopark as gp
from benchmarks.measure import Sample, SkipWorkload, Stopwatch

TITLE = "spawn and finish"
UNIT = "µs"
N = 200_000
QUICK = 10_000

_BATCH = 1_000


def gopark(n: int) -> Sample:
    async def task(ended: Callable[[], int], done: gp.Chan[None], last: int) -> None:
        if ended() == last:
            done.close()

    async def main() -> Sample:
        with Stopwatch() as watch:
            for start in range(0, n, _BATCH):
                size = min(_BATCH, n - start)
                done = gp.Chan[None]()
                ended = count(1).__next__  # hands out each number once, on every build
                for _ in range(size):
                    gp.go(task, ended, done, size)
                await done.recv()
        return watch.sample(n)

    return gp.run(main)


async def _spawn(n: int) -> Sample:
    async def task() -> None:
        pass

    create_task = asyncio.get_running_loop().create_task
    with Stopwatch() as watch:
        for start in range(0, n, _BATCH):
            tasks = [create_task(task()) for _ in range(min(_BATCH, n - start))]
            for each in tasks:
                await each
    return watch.sample(n)


def asyncio_(n: int) -> Sample:
    return asyncio.run(_spawn(n))


def asyncio_eager(n: int) -> Sample:
    if sys.version_info < (3, 12):
        raise SkipWorkload("eager_task_factory is new in Python 3.12")

    async def main() -> Sample:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await _spawn(n)

    return asyncio.run(main())


SIDES = {"gopark": gopark, "asyncio": asyncio_, "asyncio, eager tasks": asyncio_eager}
