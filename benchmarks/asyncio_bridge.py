"""What a crossing between goroutines and asyncio costs, beside what there is without gopark.

    python -m benchmarks.asyncio_bridge [--rounds 9] [--number 4000] [--crossings 100000]

In one process, in turns, the median of the rounds, processor time of the process per operation:
  task       `await create_task(coro())` inside asyncio: no crossing at all
  call       a goroutine has a coroutine run on the program's loop: there and back
  go, wait   a task has a goroutine run, waits for a channel: there and back
  spawn      a goroutine has another run, and waits for it: no asyncio at all
  thread     a goroutine has it run on a loop on a thread of its own, by run_coroutine_threadsafe
and how many KB the process has grown by after many crossings.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import gopark
import gopark.asyncio as ga

Series = Callable[[int], Awaitable[float]]


async def one() -> int:
    return 1


async def tasks(n: int) -> float:
    """In a task of the program's loop: which is asyncio's, so a loop of its own tells the same."""
    began = time.process_time()
    for _ in range(n):
        await asyncio.create_task(one())
    return time.process_time() - began


async def task(n: int) -> float:
    """On asyncio's own loop, in a plain goroutine."""
    done = gopark.Chan[float](1)
    gopark.go(lambda: done.try_send(asyncio.run(tasks(n))))
    return await done.recv() or 0.0


async def call(n: int) -> float:
    began = time.process_time()
    for _ in range(n):
        await ga.call(one())
    return time.process_time() - began


async def go(n: int) -> float:
    async def inside() -> float:
        began = time.process_time()
        for _ in range(n):
            await ga.go(one)
        return time.process_time() - began

    return await ga.call(inside())


async def wait(n: int) -> float:
    ch = gopark.Chan[int]()
    gopark.go(_feed, ch, n)

    async def inside() -> float:
        began = time.process_time()
        for _ in range(n):
            await ga.wait(ch.recv())
        return time.process_time() - began

    return await ga.call(inside())


async def _feed(ch: gopark.Chan[int], n: int) -> None:
    for k in range(n):
        await ch.send(k)


async def spawn(n: int) -> float:
    began = time.process_time()
    for _ in range(n):
        await gopark.spawn(one)
    return time.process_time() - began


async def thread(n: int) -> float:
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever, daemon=True)
    runner.start()
    done = gopark.Chan[Any](1)
    began = time.process_time()
    for _ in range(n):
        future = asyncio.run_coroutine_threadsafe(one(), loop)
        future.add_done_callback(done.try_send)
        ended: Any = await done.recv()
        ended.result()
    spent = time.process_time() - began
    loop.call_soon_threadsafe(loop.stop)
    await gopark.time.sleep(0.01)
    runner.join()
    loop.close()
    return spent


SERIES: dict[str, Series] = {
    "task": task,
    "call": call,
    "go": go,
    "wait": wait,
    "spawn": spawn,
    "thread": thread,
}


def rss() -> int:
    """KB of memory in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


async def main(rounds: int, number: int, crossings: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in SERIES}
    for _ in range(rounds):
        for name, series in SERIES.items():
            taken[name].append(await series(number) / number * 1e6)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        ratios = sorted(a / b for a, b in zip(taken[name], taken["task"], strict=True))
        middle = ratios[len(ratios) // 2]
        print(f"{name:8} {median:8.1f} us   {middle:5.2f} x task", flush=True)
    ratios = sorted(a / b for a, b in zip(taken["call"], taken["thread"], strict=True))
    print(f"call is {ratios[len(ratios) // 2]:.2f} x thread")
    await call(crossings // 10)
    gc.collect()
    before = rss()
    await call(crossings)
    await go(crossings)
    gc.collect()
    print(f"{2 * crossings:,} crossings: {rss() - before:+,} KB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--number", type=int, default=4000)
    parser.add_argument("--crossings", type=int, default=100_000)
    args = parser.parse_args()
    gopark.run(main, args.rounds, args.number, args.crossings)
