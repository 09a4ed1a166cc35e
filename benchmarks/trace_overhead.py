"""What an execution trace costs while it is on: the ping-pong workload, traced and not.

    python -m benchmarks.trace_overhead [--rounds 40] [-n 20000] [--pending]

Each round measures both, one after the other, in changing order, so that what else the machine
does falls on both alike. Printed are the CPU time of a round trip, the best of all rounds, and
the median of the rounds' ratios. That is recording alone; the file is written by `stop`. What that
takes, and how much it writes, is printed too, for each run of a goroutine.

`--pending` has a timer pending meanwhile, as most programs have: the scheduler looks at the clock
after each step then, traced or not.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import time
from typing import Any

import gopark as gp
from benchmarks.workloads.pingpong import _gopark
from gopark._runtime.prof.trace import tracing
from gopark.trace._spool import Spool

__all__ = ("main",)


def measure(n: int, traced: bool, pending: bool) -> float:
    """CPU microseconds of a round trip."""

    async def run() -> float:
        timer = gp.time.after_func(60, print) if pending else None
        spool = Spool()
        if traced:
            tracing.subscribe(spool)
        try:
            await gp.gosched()
            return (await _gopark(n)).cpu
        finally:
            if traced:
                tracing.unsubscribe(spool)
            spool.close()
            if timer is not None:
                timer.stop()

    return gp.run(run)


class _Count(io.RawIOBase):
    """A file that only counts."""

    count = 0

    def write(self, data: Any) -> int:
        self.count += len(data)
        return len(data)


def written(n: int) -> tuple[float, float]:
    """CPU microseconds that `stop` takes, and bytes, for each of the two runs of a round trip."""

    async def run() -> tuple[float, float]:
        out = _Count()
        gp.trace.start(out)  # type: ignore[arg-type]
        await gp.gosched()
        await _gopark(n)
        began = time.process_time()
        gp.trace.stop()
        return (time.process_time() - began) / (2 * n) * 1e6, out.count / (2 * n)

    return gp.run(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("-n", type=int, default=20_000, help="round trips in one measurement")
    parser.add_argument("--pending", action="store_true", help="with a timer pending")
    options = parser.parse_args()
    off: list[float] = []
    on: list[float] = []
    for i in range(options.rounds):
        for traced in (False, True) if i % 2 else (True, False):
            (on if traced else off).append(measure(options.n, traced, options.pending))
    ratio = statistics.median(b / a for a, b in zip(off, on, strict=True))
    print(
        f"Python {platform.python_version()}: off {min(off):.3f} µs, on {min(on):.3f} µs, "
        f"best {min(on) / min(off) - 1:+.1%}, median of pairs {ratio - 1:+.1%}"
    )
    took, size = written(options.n)
    print(f"stop: {took:.1f} µs and {size:.0f} bytes for each run of a goroutine")


if __name__ == "__main__":
    main()
