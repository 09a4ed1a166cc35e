"""What the workloads share: the stopwatch, the samples it gives, the reason to skip one.

Wall time is what a user waits for; CPU time is steadier on a machine that others use too.
Every timed sample has both, and the driver prints the one it was asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

__all__ = ("Sample", "SkipWorkload", "Stopwatch")


class SkipWorkload(Exception):
    """This machine or interpreter cannot run the workload; the message says why."""


@dataclass(frozen=True)
class Sample:
    """One measurement, in the workload's unit for one operation.

    Where no clock is involved (bytes), `wall` and `cpu` are the same.
    """

    wall: float
    cpu: float


class Stopwatch:
    """`with Stopwatch() as watch:` around the work, then `watch.sample(n, unit)`."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0

    def __enter__(self) -> Stopwatch:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wall = time.perf_counter() - self._wall
        self._cpu = time.process_time() - self._cpu

    def sample(self, n: int, per_second: float = 1e6) -> Sample:
        """Time for each of `n` operations, in microseconds unless told otherwise."""
        return Sample(self._wall / n * per_second, self._cpu / n * per_second)
