"""What a search for goroutines that wait for ever takes: `gopark.debug.leaks`.

    python -m benchmarks.micro_leaks [N]

N goroutines (100,000 unless said otherwise) wait on a channel that main has, and a tenth as many
each on a channel of its own, which nobody else has. Per search: all of it, and the part during
which no other thread runs, with the GIL the last of the two is one call in C (mgcleak._moment).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import gopark
from benchmarks.measure import machine
from gopark._runtime.prof import mgcleak


async def forgotten() -> None:
    await gopark.Chan[int]().recv()


def timed(moment: Callable[..., Iterator[Any]], seconds: list[float]) -> Callable[..., Any]:
    def look(*args: Any) -> Iterator[Any]:
        began = time.perf_counter()
        result = moment(*args)
        seconds.append(time.perf_counter() - began)
        return result

    return look


async def main(n: int) -> None:
    ch = gopark.Chan[int]()
    for _ in range(n):
        gopark.go(ch.recv)
    for _ in range(n // 10):
        gopark.go(forgotten)
    await gopark.testing.wait_all_parked()
    moments: list[float] = []
    setattr(mgcleak, "_moment", timed(mgcleak._moment, moments))  # noqa: B010
    began = time.perf_counter()
    leaked = mgcleak.leakedgs()
    took = time.perf_counter() - began
    print(f"{n:,} goroutines wait, {len(leaked):,} more have leaked")
    print(f"  the search           {took:7.3f} s")
    print(f"  longest moment       {max(moments):7.3f} s, of {len(moments)}")
    ch.close()


if __name__ == "__main__":
    print(machine())
    gopark.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
