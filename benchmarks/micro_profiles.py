"""What profiles cost while they are taken, and how long writing a large one takes.

    python benchmarks/micro_profiles.py [rounds]

A round of each in turn, so that all meet the same machine; of each the quickest counts.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any

import gopark
from gopark import Chan, pprof, runtime

TRIPS = 20_000
PARKED = 100_000


async def pong(a: Chan[int], b: Chan[int]) -> None:
    async for value in a:
        await b.send(value)


async def pingpong() -> float:
    """Microseconds of a round trip between two goroutines: two waits and two wake-ups."""
    a, b = Chan[int](), Chan[int]()
    gopark.go(pong, a, b)
    began = time.perf_counter()
    for i in range(TRIPS):
        await a.send(i)
        await b.recv()
    took = time.perf_counter() - began
    a.close()
    return took / TRIPS * 1e6


def nothing(*_: Any) -> None:
    """No profile is taken."""


WAYS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "no profile": (nothing, nothing),
    "block, rate 10_000_000": (
        lambda: runtime.set_block_profile_rate(10_000_000),
        lambda: runtime.set_block_profile_rate(0),
    ),
    "block, rate 1": (
        lambda: runtime.set_block_profile_rate(1),
        lambda: runtime.set_block_profile_rate(0),
    ),
    "mutex, fraction 1": (
        lambda: runtime.set_mutex_profile_fraction(1),
        lambda: runtime.set_mutex_profile_fraction(0),
    ),
    "CPU, 100 samples a second": (
        lambda: pprof.start_cpu_profile(io.BytesIO()),
        pprof.stop_cpu_profile,
    ),
}


def waits(rounds: int) -> None:
    best = dict.fromkeys(WAYS, float("inf"))
    for _ in range(rounds):
        for name, (on, off) in WAYS.items():
            on()
            best[name] = min(best[name], gopark.run(pingpong))
            off()
    print("µs of a round trip over two channels, while a profile is taken:")
    for name, took in best.items():
        print(f"  {name:<28}{took:6.2f}  {took / best['no profile'] - 1:+7.0%}")


async def large() -> None:
    ch = Chan[int]()
    for _ in range(PARKED):
        gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()
    profile = pprof.lookup("goroutine")
    assert profile is not None
    print(f"the profile of {PARKED:,} goroutines:")
    for debug in (0, 1, 2):
        file = io.BytesIO()
        began = time.perf_counter()
        profile.write_to(file, debug)
        took = time.perf_counter() - began
        print(f"  debug={debug}  {took:5.2f} s  {len(file.getvalue()):>12,} bytes")


if __name__ == "__main__":
    waits(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    gopark.run(large)
