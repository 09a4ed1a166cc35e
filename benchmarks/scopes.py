"""What scopes cost: to enter and to leave one, beside asyncio's, and a round trip in one.

    python -m benchmarks.scopes [ROUNDS]

In processor time per operation, medians of so many interleaved rounds (21 unless said otherwise):

    empty             the loop around it, on either side, which is taken off what comes below
    enter and leave   `with gopark.timeout(10): pass`, `async with asyncio.timeout(10): pass`
    no deadline       `with gopark.timeout(None): pass`, with asyncio likewise
    shield, scope     `with context.shield(): pass`, `with context.scope(ctx): pass`
    round trip        a value to another goroutine and one back, over channels without a buffer;
                      with the one side in a timeout of 10 s, and with it in one that is over, but
                      behind a shield
    spawn             `await gopark.spawn(fn)`, `await asyncio.create_task(fn())`
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable

import gopark
from benchmarks.measure import machine
from gopark import context

N = 20_000
TRIPS = 5_000

Side = Callable[[], float]


def timed(n: int, began: float) -> float:
    return (time.process_time() - began) / n * 1e6


async def _empty() -> float:
    began = time.process_time()
    for _ in range(N):
        pass
    return timed(N, began)


async def _timeout(seconds: float | None) -> float:
    began = time.process_time()
    for _ in range(N):
        with gopark.timeout(seconds):
            pass
    return timed(N, began)


async def _asynctimeout(seconds: float | None) -> float:
    began = time.process_time()
    for _ in range(N):
        async with asyncio.timeout(seconds):
            pass
    return timed(N, began)


async def _shield() -> float:
    began = time.process_time()
    for _ in range(N):
        with context.shield():
            pass
    return timed(N, began)


async def _scope() -> float:
    with context.with_cancel(context.background()) as ctx:
        began = time.process_time()
        for _ in range(N):
            with context.scope(ctx):
                pass
        return timed(N, began)


async def _echo(there: gopark.Chan[int], back: gopark.Chan[int]) -> None:
    async for n in there:
        await back.send(n)


async def _trips(there: gopark.Chan[int], back: gopark.Chan[int]) -> float:
    began = time.process_time()
    for n in range(TRIPS):
        await there.send(n)
        await back.recv()
    return timed(TRIPS, began)


async def _roundtrip(how: str) -> float:
    there, back = gopark.Chan[int](), gopark.Chan[int]()
    gopark.go(_echo, there, back)
    try:
        if how == "plain":
            return await _trips(there, back)
        if how == "timeout":
            with gopark.timeout(10):
                return await _trips(there, back)
        with gopark.timeout(0), context.shield():
            return await _trips(there, back)
    finally:
        there.close()


async def _nothing() -> None: ...


async def _spawn() -> float:
    began = time.process_time()
    for _ in range(TRIPS):
        await gopark.spawn(_nothing)
    return timed(TRIPS, began)


async def _createtask() -> float:
    began = time.process_time()
    for _ in range(TRIPS):
        await asyncio.create_task(_nothing())
    return timed(TRIPS, began)


SIDES: dict[str, Side] = {
    "gopark, empty": lambda: gopark.run(_empty),
    "asyncio, empty": lambda: asyncio.run(_empty()),
    "gopark, enter and leave": lambda: gopark.run(_timeout, 10.0),
    "asyncio, enter and leave": lambda: asyncio.run(_asynctimeout(10.0)),
    "gopark, no deadline": lambda: gopark.run(_timeout, None),
    "asyncio, no deadline": lambda: asyncio.run(_asynctimeout(None)),
    "gopark, shield": lambda: gopark.run(_shield),
    "gopark, scope": lambda: gopark.run(_scope),
    "gopark, round trip": lambda: gopark.run(_roundtrip, "plain"),
    "gopark, round trip in a timeout": lambda: gopark.run(_roundtrip, "timeout"),
    "gopark, round trip behind a shield": lambda: gopark.run(_roundtrip, "shield"),
    "gopark, spawn": lambda: gopark.run(_spawn),
    "asyncio, spawn": lambda: asyncio.run(_createtask()),
}

RATIOS = (
    ("gopark, enter and leave", "asyncio, enter and leave"),
    ("gopark, no deadline", "asyncio, no deadline"),
    ("gopark, round trip in a timeout", "gopark, round trip"),
    ("gopark, round trip behind a shield", "gopark, round trip"),
    ("gopark, spawn", "asyncio, spawn"),
)


def main(rounds: int) -> None:
    print(machine())
    found: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            found[name].append(side())
    for name, figures in found.items():
        empty = found[f"{name.partition(',')[0]}, empty"]
        if name in (one for pair in RATIOS[:2] for one in pair):
            figures[:] = [a - b for a, b in zip(figures, empty, strict=True)]
        print(f"  {name:36} {statistics.median(figures):7.3f} µs")
    for above, below in RATIOS:
        ratios = [a / b for a, b in zip(found[above], found[below], strict=True)]
        print(f"  {above} / {below}: {statistics.median(ratios):.2f}x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
