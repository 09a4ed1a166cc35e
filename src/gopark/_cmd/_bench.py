"""`gopark bench`: what goroutines and channels take here, in the form of Go's benchmarks.

Each is a function of n; n grows until the run takes as long as asked for, as Go's testing package
does it. The numbers are of one run in one process; to compare two states of a machine or of a
program use `--count` and benchstat. What gopark is compared with others by is benchmarks/.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import gopark
from gopark._cmd import _version
from gopark._cmd._failed import Failed

__all__ = ("BENCHMARKS", "bench")

Benchmark = Callable[[int], Awaitable[None]]
_MOST: Final = 100  # n grows by no more at a time


async def _pingpong(n: int) -> None:
    """A value there and back over two unbuffered channels."""
    there, back = gopark.Chan[int](), gopark.Chan[int]()

    async def echo() -> None:
        async for value in there:
            await back.send(value)

    gopark.go(echo)
    for i in range(n):
        await there.send(i)
        await back.recv()
    there.close()


async def _nothing(done: gopark.sync.WaitGroup) -> None:
    done.done()


async def _spawn(n: int) -> None:
    """A goroutine from `go` to its end."""
    done = gopark.sync.WaitGroup()
    done.add(n)
    for i in range(n):
        gopark.go(_nothing, done)
        if i % 100 == 0:
            await gopark.gosched()
    await done.wait()


async def _buffered(n: int) -> None:
    """A value through a buffered channel, in and out by one goroutine."""
    ch = gopark.Chan[int](1)
    for i in range(n):
        await ch.send(i)
        await ch.recv()


async def _gosched(n: int) -> None:
    """Giving way to another goroutine that does the same."""

    async def yields(n: int) -> None:
        for _ in range(n):
            await gopark.gosched()

    gopark.go(yields, n - n // 2)
    await yields(n // 2)


async def _select(n: int) -> None:
    """A select of two channels, one of which is ready."""
    full, never = gopark.Chan[int](1), gopark.Chan[int]()
    for i in range(n):
        await full.send(i)
        await gopark.select(gopark.recv(full), gopark.recv(never))


async def _mutex(n: int) -> None:
    """Lock and unlock of a Mutex that nobody else wants."""
    mu = gopark.sync.Mutex()
    for _ in range(n):
        async with mu:
            pass


async def _call(n: int) -> None:
    """A C call that gives the P away meanwhile."""
    from ctypes import CDLL

    nothing = CDLL(None).getpid
    for _ in range(n):
        gopark.cgo.call(nothing)


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "PingPong": _pingpong,
    "Spawn": _spawn,
    "BufferedChan": _buffered,
    "Gosched": _gosched,
    "Select": _select,
    "Mutex": _mutex,
    "CgoCall": _call,
}


def bench(names: list[str], count: int, seconds: float) -> int:
    """The command."""
    chosen = [name.removeprefix("Benchmark") for name in names or BENCHMARKS]
    for name in chosen:
        if name not in BENCHMARKS:
            raise Failed(f"no benchmark {name}; there are {', '.join(BENCHMARKS)}")
    began = time.perf_counter()
    print(f"goos: {sys.platform}\ngoarch: {_version.goarch()}\npkg: gopark")
    if cpu := _version.cpu():
        print(f"cpu: {cpu}")
    print(f"gopark: {gopark.__version__}\npython: {_version.build()}", flush=True)
    procs = gopark.runtime.gomaxprocs()
    suffix = f"-{procs}" if procs > 1 else ""
    for name in chosen:
        for _ in range(count):
            n, took = _measure(BENCHMARKS[name], seconds)
            title = f"Benchmark{name}{suffix}"
            print(f"{title:<24}\t{n:>8}\t{_perop(took / n * 1e9):>10} ns/op", flush=True)
    print(f"PASS\nok  \tgopark\t{time.perf_counter() - began:.3f}s")
    return 0


def _measure(benchmark: Benchmark, seconds: float) -> tuple[int, float]:
    """How many, and how long they took. Go: testing.(*B).launch."""
    n = 1
    while True:
        took: float = gopark.run(_timed, benchmark, n)
        if took >= seconds:
            return n, took
        guess = int(n * seconds / max(took, 1e-9) * 1.2)
        n = _round(max(n + 1, min(guess, n * _MOST)))


async def _timed(benchmark: Benchmark, n: int) -> float:
    began = time.perf_counter()
    await benchmark(n)
    return time.perf_counter() - began


def _round(n: int) -> int:
    """Up to a number with two digits and zeros, as people read more easily."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def _perop(ns: float) -> str:
    return f"{ns:.1f}" if ns < 1000 else f"{ns:.0f}"
