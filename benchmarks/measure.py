"""What the workloads share: the stopwatch, the samples it gives, how many threads may run tasks.

Wall time is what a user waits for; CPU time is steadier on a machine that others use too.
Every timed sample has both, and the driver prints the one it was asked for.
"""

from __future__ import annotations

import datetime
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

__all__ = (
    "Figures",
    "Measure",
    "Sample",
    "SkipWorkload",
    "Stopwatch",
    "cores",
    "machine",
    "peak_rss",
    "plain",
    "procs",
    "rss",
    "set_procs",
    "with_procs",
)


class SkipWorkload(Exception):
    """This machine or interpreter cannot run the workload; the message says why."""


@dataclass(frozen=True)
class Sample:
    """One measurement, in the workload's unit for one operation.

    Where no clock is involved (bytes, lateness), `wall` and `cpu` are the same.
    """

    wall: float
    cpu: float


Figures = Mapping[str, Sample]  # of a workload that has several rows, by the row's key
Measure = Callable[[int], "Sample | Figures"]  # one side: takes the number of operations


def plain(value: float) -> Sample:
    """A sample that is not a time of this process."""
    return Sample(value, value)


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

    def cpu_sample(self, n: int) -> Sample:
        """CPU time alone, for work that mostly waits; microseconds."""
        return plain(self._cpu / n * 1e6)


_procs = 1


def procs() -> int:
    """On how many threads a side may run its tasks: GOMAXPROCS, or the peer's word for it."""
    return _procs


def set_procs(n: int) -> None:
    global _procs
    _procs = n


def with_procs(n: int, side: Measure) -> Measure:
    """The same side on `n` threads."""

    def run(operations: int) -> Sample | Figures:
        set_procs(n)
        return side(operations)

    return run


def cores() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """What a figure holds for: the machine class, the interpreter and the date."""
    gil = getattr(sys, "_is_gil_enabled", None)
    free = ", free-threaded" if gil is not None and not gil() else ""
    python = f"{platform.python_implementation()} {platform.python_version()}{free}"
    day = datetime.date.today().isoformat()
    return f"{python}, {platform.machine()}, {cores()} cores, {day}"


_STATM = "/proc/self/statm"
_STATUS = "/proc/self/status"


def rss() -> int:
    """Resident memory of this process, after a garbage collection."""
    gc.collect()
    try:
        with open(_STATM, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError as exc:
        raise SkipWorkload(f"resident memory is read from {_STATM}: {exc.strerror}") from None


def peak_rss() -> int:
    """The most memory that this process has had resident at once."""
    try:
        with open(_STATUS, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError as exc:
        raise SkipWorkload(f"peak memory is read from {_STATUS}: {exc.strerror}") from None
    raise SkipWorkload(f"{_STATUS} does not tell the peak of resident memory")
