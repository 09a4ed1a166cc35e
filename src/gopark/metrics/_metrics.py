"""Metrics: what there is, and reading it.

A metric is a line in `_TABLE`: what it is called, what it says, and the function that reads it. All
that one `read` needs of the scheduler is taken once (`_Now`), when the first line asks for it.

CPU time is counted from the first use of this module on: what the process burns is `user`, and what
it could have burnt on GOMAXPROCS processors beside that is `idle`. It is added up at each read.

Locks: `_cpulock`, for that. Source: Go 1.27 runtime/metrics.go, runtime/metrics.
Tests: tests/debug/test_metrics.py, tests/conformance/metrics
"""

from __future__ import annotations

import enum
import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import GRUNNABLE, GRUNNING, GSYSCALL, GWAITING, allgs, goids
from gopark._runtime.c.cgocall import num_cgo_call
from gopark._runtime.prof import metrics as measured
from gopark._runtime.sched.gomaxprocs import gomaxprocs
from gopark._runtime.sched.snapshot import allms
from gopark._runtime.sched.startm import current, sysmonwait
from gopark._util import string

__all__ = ("Description", "Histogram", "Kind", "Sample", "all", "read")

T = TypeVar("T")


class Kind(enum.Enum):
    """What a metric's value is.

    Example:
        >>> gopark.metrics.Kind.UINT64.name
        'UINT64'

    Go: runtime/metrics.ValueKind.
    """

    BAD = 0
    UINT64 = 1
    FLOAT64 = 2
    FLOAT64_HISTOGRAM = 3


@dataclass(frozen=True)
class Histogram:
    """How often there was a value of each size.

    Attributes:
        counts: For each bucket how many were in it.
        buckets: The bounds, one more than there are counts: `counts[n]` were at least
            `buckets[n]` and less than `buckets[n + 1]`.
    Example:
        >>> histogram = gopark.metrics.Histogram((3, 1), (0.0, 0.5, 1.0))
        >>> sum(histogram.counts)
        4

    Go: runtime/metrics.Float64Histogram.
    """

    counts: tuple[int, ...]
    buckets: tuple[float, ...]


class Description(NamedTuple):
    """What there is to know of a metric.

    Attributes:
        name: A path and a unit, as in `/sched/goroutines:goroutines`.
        description: What it counts.
        kind: What its value is.
        cumulative: It only grows.
    Example:
        >>> gopark.metrics.all()[-1].name
        '/sync/mutex/wait/total:seconds'

    Go: runtime/metrics.Description.
    """

    name: str
    description: str
    kind: Kind
    cumulative: bool


Value = int | float | Histogram | None


class Sample:
    """A metric to be read, and its value once it has been.

    Args:
        name: Of the metric, with its unit.
    Attributes:
        value: What was read; None if there is no such metric.
        kind: What that is; `Kind.BAD` if there is none, or it has not been read.
    Raises:
        TypeError: `name` is no string.
    Example:
        >>> sample = gopark.metrics.Sample("/sched/gomaxprocs:threads")
        >>> gopark.metrics.read([sample])
        >>> sample.value == gopark.runtime.gomaxprocs()
        True

    Go: runtime/metrics.Sample.
    """

    __slots__ = ("kind", "name", "value")

    kind: Kind
    name: str
    value: Value

    def __init__(self, name: str) -> None:
        string("Sample", "name", name)
        self.name = name
        self.kind = Kind.BAD
        self.value = None

    def __repr__(self) -> str:
        return f"<Sample {self.name} {self.value}>"


def all() -> tuple[Description, ...]:
    """What can be read, sorted by name.

    Example:
        >>> "/sched/goroutines:goroutines" in [d.name for d in gopark.metrics.all()]
        True

    Go: runtime/metrics.All.
    """
    return _DESCRIPTIONS


def read(samples: Iterable[Sample]) -> None:
    """Fill in the value and the kind of each sample.

    Args:
        samples: May be kept, and read again. One whose name is unknown gets `Kind.BAD`.
    Raises:
        TypeError: one of them is no `Sample`.
    Example:
        >>> samples = [gopark.metrics.Sample(d.name) for d in gopark.metrics.all()]
        >>> gopark.metrics.read(samples)
        >>> any(sample.kind is gopark.metrics.Kind.BAD for sample in samples)
        False

    Go: runtime/metrics.Read.
    """
    now = _Now()
    if not hasattr(samples, "__iter__"):
        raise TypeError(f"read() needs a list of samples, got {shown(samples)}")
    for sample in samples:
        if not isinstance(sample, Sample):
            raise TypeError(
                f"read() needs samples, got {shown(sample)}; make one of a name: "
                "metrics.Sample(name)"
            )
        line = _TABLE.get(sample.name)
        sample.kind = Kind.BAD if line is None else line.kind
        sample.value = None if line is None else line.read(now)


# --- the scheduler, now --------------------------------------------------------------------


class _Once(Generic[T]):
    """An attribute that is computed when it is first read.

    That of functools has a lock before 3.12, which a fork may find held.
    """

    def __init__(self, fn: Callable[[Any], T]) -> None:
        self.fn = fn

    def __get__(self, now: _Now, _: object) -> T:
        value: T = self.fn(now)
        now.__dict__[self.fn.__name__] = value
        return value


class _Now:
    """What several metrics are read from."""

    @_Once
    def states(self) -> Counter[str]:
        """Goroutines by what they do; the sum is their number, as of the same moment."""
        states: Counter[str] = Counter()
        for g in allgs.copy():
            status, m = g.status, g.m
            if status is GSYSCALL or (status is GRUNNING and (m is None or m.p is None)):
                states["not-in-go"] += 1  # in C, or its thread blocks, as far as sysmon knows
            elif status is GRUNNING:
                states["running"] += 1
            elif status is GRUNNABLE:
                states["runnable"] += 1
            elif status is GWAITING:
                states["waiting"] += 1
        return states

    @_Once
    def threads(self) -> int:
        sched = current()
        return (0 if sched is None else len(allms(sched))) + sysmonwait.started

    @_Once
    def cpu(self) -> tuple[float, float]:
        return _cputimes()


class _Cpu:
    """Seconds up to the last read."""

    user = 0.0
    idle = 0.0
    at = time.monotonic()
    spent = time.process_time()


_cpulock: Final = lasting(threading.Lock())


def _cputimes() -> tuple[float, float]:
    """User and idle."""
    procs = gomaxprocs()
    with _cpulock:  # no function of Python's is called: no finaliser, which may read metrics
        at, spent = time.monotonic(), time.process_time()
        could = (at - _Cpu.at) * procs
        _Cpu.user += spent - _Cpu.spent
        _Cpu.idle += max(0.0, could - (spent - _Cpu.spent))
        _Cpu.at, _Cpu.spent = at, spent
        return _Cpu.user, _Cpu.idle


def _created(now: _Now) -> int:
    """Each has the next number, and 1 is main's. Relies on: the form of a count's repr."""
    return int(repr(goids)[6:-1]) - 1


def _measured(what: measured.Measured) -> Callable[[_Now], Histogram]:
    def histogram(now: _Now) -> Histogram:
        measured.measure()
        return Histogram(tuple(what.read()[0]), measured.BOUNDS)

    return histogram


def _mutexwait(now: _Now) -> float:
    measured.measure()
    return measured.mutexwait.read()[1]


def _cycles(now: _Now) -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


# --- the table -------------------------------------------------------------------------------


class _Line(NamedTuple):
    kind: Kind
    cumulative: bool
    read: Callable[[_Now], int | float | Histogram]
    description: str


_TABLE: Final[dict[str, _Line]] = {
    "/cgo/go-to-c-calls:calls": _Line(
        Kind.UINT64,
        True,
        lambda now: num_cgo_call(),
        "Calls of C functions by cgo.call.",
    ),
    "/cpu/classes/idle:cpu-seconds": _Line(
        Kind.FLOAT64,
        True,
        lambda now: now.cpu[1],
        "CPU time that GOMAXPROCS processors could have spent and this process did not, since "
        "metrics were first used.",
    ),
    "/cpu/classes/total:cpu-seconds": _Line(
        Kind.FLOAT64,
        True,
        lambda now: sum(now.cpu),
        "The sum of all other metrics in /cpu/classes.",
    ),
    "/cpu/classes/user:cpu-seconds": _Line(
        Kind.FLOAT64,
        True,
        lambda now: now.cpu[0],
        "CPU time that this process has spent, the interpreter's own included, since metrics were "
        "first used.",
    ),
    "/gc/cycles/total:gc-cycles": _Line(
        Kind.UINT64,
        True,
        _cycles,
        "Runs of Python's collector, of whatever generation.",
    ),
    "/sched/gomaxprocs:threads": _Line(
        Kind.UINT64,
        False,
        lambda now: gomaxprocs(),
        "GOMAXPROCS now: how many threads may run goroutines at once.",
    ),
    "/sched/goroutines-created:goroutines": _Line(
        Kind.UINT64,
        True,
        _created,
        "Goroutines started since the beginning of the process.",
    ),
    "/sched/goroutines/not-in-go:goroutines": _Line(
        Kind.UINT64,
        False,
        lambda now: now.states["not-in-go"],
        "Goroutines in C, or whose thread blocks or computes without a P. This and the next three "
        "are no picture of one moment.",
    ),
    "/sched/goroutines/runnable:goroutines": _Line(
        Kind.UINT64,
        False,
        lambda now: now.states["runnable"],
        "Goroutines that could run and wait for their turn.",
    ),
    "/sched/goroutines/running:goroutines": _Line(
        Kind.UINT64,
        False,
        lambda now: min(now.states["running"], gomaxprocs()),
        "Goroutines that run; never more than GOMAXPROCS.",
    ),
    "/sched/goroutines/waiting:goroutines": _Line(
        Kind.UINT64,
        False,
        lambda now: now.states["waiting"],
        "Goroutines that wait for a channel, a lock, the time, or a signal.",
    ),
    "/sched/goroutines:goroutines": _Line(
        Kind.UINT64,
        False,
        lambda now: len(allgs),
        "Goroutines that exist.",
    ),
    "/sched/latencies:seconds": _Line(
        Kind.FLOAT64_HISTOGRAM,
        True,
        _measured(measured.latencies),
        "How long goroutines were runnable after a wait before they ran; of one wake-up in eight, "
        "since this was first read.",
    ),
    "/sched/pauses/total/gc:seconds": _Line(
        Kind.FLOAT64_HISTOGRAM,
        True,
        _measured(measured.pauses),
        "How long runs of Python's collector took, during which nobody else runs with the GIL; "
        "since this was first read.",
    ),
    "/sched/threads/total:threads": _Line(
        Kind.UINT64,
        False,
        lambda now: now.threads,
        "Threads that the runtime uses: its own, that of run, those from C that have called in.",
    ),
    "/sync/mutex/wait/total:seconds": _Line(
        Kind.FLOAT64,
        True,
        _mutexwait,
        "How long goroutines have waited for a Mutex or an RWMutex, all together, since this was "
        "first read.",
    ),
}

_DESCRIPTIONS: Final = tuple(
    Description(name, line.description, line.kind, line.cumulative)
    for name, line in sorted(_TABLE.items())
)
