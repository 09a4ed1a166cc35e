"""What profiles are made of: stacks of goroutines and threads, each with how often it was met.

A record is a stack and what was counted there. `gopark.pprof` writes records in pprof's format
and as text; nothing here knows of either. A module that has a profile of its own to offer
(`goroutineleak`) registers its source here, and `pprof.lookup` finds it by name.

A profile of goroutines is no picture of one moment: it is a copy of `allgs`, and each stack is
read when its turn comes. Nobody is stopped for it, and no lock is held but, on a free-threaded
build, that of what a goroutine waits on, while its own frames are read.

Waits (`block`, `mutex`) are recorded by whoever ends them: who hears of wake-ups (`wakes.profile`)
sees how long the goroutine has waited, and its frames, which nobody else may touch then;
`Sema.dequeue` sees on whose stack a lock was given back. Both are there while a rate is set,
together with a `waitclock` that is exact, and cost nothing otherwise.

Locks: `_ratelock` around the swapping, that of `_Buckets` around sums; nothing is called under
either that takes another. May run without a P: all of it.
Source: Go 1.27 runtime/mprof.go. Tests: tests/pprof/test_profiles.py
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from gopark._runtime.base.hooks import waitclock, wakes
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
    GSYSCALL,
    GWAITING,
    G,
    allgs,
    callers,
    getg,
    goids,
    tls,
)
from gopark._runtime.c import extram
from gopark._runtime.main.rt0 import run
from gopark._runtime.prof.proflabel import Labels, labelsof
from gopark._runtime.report.symtab import Frame, pathof
from gopark._runtime.report.traceback import (
    Link,
    Stacks,
    coroframes,
    gframes,
    handled,
    num_goroutine,
    suspended,
    threadframes,
    threadstates,
)
from gopark._runtime.sched.sema import Sema
from gopark._runtime.sched.startm import current, newm

__all__ = (
    "MAXDEPTH",
    "Record",
    "Source",
    "callerstack",
    "goroutineprofile",
    "register",
    "set_block_profile_rate",
    "set_mutex_profile_fraction",
    "sources",
    "stackof",
    "threadcount",
    "threadprofile",
)

MAXDEPTH: Final = 128  # frames that a record keeps, as in Go

Stack = tuple[Frame, ...]


class Record(NamedTuple):
    """Something that was met at a stack, `times` times, for `delay` seconds in all."""

    stack: Stack  # innermost first
    reason: str = ""  # what it waited for there, in the words of dumps
    labels: Labels = ()
    times: int = 1
    delay: float = 0.0


class Source(NamedTuple):
    """Where a profile's records come from."""

    size: Callable[[], int]  # how many there are
    records: Callable[[], list[Record]]
    timed: bool = False  # records have a delay
    fraction: Callable[[], int | None] = lambda: None  # one event in so many was recorded


sources: Final[dict[str, Source]] = {}


def register(name: str, source: Source) -> None:
    """Offer a profile under this name; the latest counts."""
    sources[name] = source


# --- goroutines --------------------------------------------------------------------------


def goroutineprofile(only: Callable[[G], bool] | None = None) -> list[Record]:
    """The stack of every goroutine (of those that `only` picks), the caller's own among them.

    Of those that were there at the beginning: the G of one that ends meanwhile may be another's
    when its turn comes, of which those that were started before it are not in the profile.
    """
    me = getg()
    mine = [] if me is None else handled(callers(sys._getframe(1)))
    threads = threadstates()
    later = _nextgoid()
    records = []
    for g in sorted(allgs.copy(), key=lambda g: g.goid):
        if only is None or only(g):
            record = _mystack(g, mine) if g is me else stackof(g, threads)
            if record is not None and g.goid < later:
                records.append(record)
    return records


def _nextgoid() -> int:
    """The number that the next goroutine will have; to ask a count for it would use it up."""
    return int(repr(goids).partition("(")[2].rstrip(")"))


def _mystack(g: G, links: list[Link]) -> Record:
    return Record(tuple(threadframes(links, tls.m)[:MAXDEPTH]), "", labelsof(g))


def stackof(g: G, threads: Stacks) -> Record | None:
    """Where another goroutine is, by the stacks of all threads; None if it has ended."""
    goid, status = g.goid, g.status
    if status is GDEAD:
        return None
    reason = g.waitreason if status is GWAITING else "syscall" if status is GSYSCALL else ""
    frames = gframes(g, status, threads=threads)
    labels = labelsof(g)
    if g.goid != goid:
        return None  # it has ended, and its G is another's
    if not frames:
        reason = ""  # it runs, or has been woken just now
    return Record(tuple(frames[:MAXDEPTH]), reason, labels)


def callerstack(depth: int) -> Stack:
    """The stack of who called the function that calls this, `depth` frames of the user's off it."""
    frames = threadframes(handled(callers(sys._getframe(2))), tls.m)
    return tuple(frames[depth:])


register("goroutine", Source(num_goroutine, goroutineprofile))


# --- threads -----------------------------------------------------------------------------


def threadcount() -> int:
    """The threads that gopark uses: its own, the one of `run`, and those from C that came in."""
    return sum(record.times for record in threadprofile())


def threadprofile() -> list[Record]:
    """The same, told apart by the function of the runtime that they came in by.

    As in Go there is no stack of what made the runtime start a thread.
    """
    sched = current()
    ms = [] if sched is None else sched.allm[:]
    started = sum(not m.m0 for m in ms)
    ways = (
        (started, _entry("gopark.newm", newm)),
        (len(ms) - started, _entry("gopark.run", run)),
        (len(extram.inuse()), _entry("gopark.needm", extram.needm)),
    )
    return [Record((frame,), times=times) for times, frame in ways if times]


def _entry(name: str, fn: Callable[..., object]) -> Frame:
    code = fn.__code__
    return name, pathof(code.co_filename), code.co_firstlineno


register("threadcreate", Source(threadcount, threadprofile))


# --- waits: block and mutex --------------------------------------------------------------


class _Buckets:
    """What was counted, by stack. An event is put on a queue, whoever reads sorts it in.

    So an event takes no lock: it may come out of the collector, in the middle of anything.
    Relies on: append and popleft of deque being atomic.
    """

    def __init__(self) -> None:
        self.queue: deque[tuple[Stack, str, float, float]] = deque()
        self.lock = lasting(threading.RLock())  # guards `sums`, and who sorts
        self.sorting = False
        self.sums: dict[tuple[Stack, str], list[float]] = {}

    def add(self, stack: Stack, reason: str, times: float, delay: float) -> None:
        self.queue.append((stack, reason, times, delay))
        if len(self.queue) > _QUEUED and self.lock.acquire(False):
            try:
                self._sort()
            finally:
                self.lock.release()

    def _sort(self) -> None:
        """Caller holds the lock. A finaliser that comes in amid it leaves what is there."""
        if self.sorting:
            return
        self.sorting = True
        try:
            for _ in range(len(self.queue)):
                stack, reason, times, delay = self.queue.popleft()
                sums = self.sums.setdefault((stack, reason), [0.0, 0.0])
                sums[0] += times
                sums[1] += delay
        finally:
            self.sorting = False

    def records(self) -> list[Record]:
        with self.lock:
            self._sort()
            return [
                Record(stack, reason, (), round(times), delay)
                for (stack, reason), (times, delay) in self.sums.copy().items()
            ]

    def size(self) -> int:
        return len(self.records())


_QUEUED: Final = 1000
_LONGEST: Final = 1 << 63  # nanoseconds; and what a fraction is at most: a float has to hold it


class _Waits:
    """Which waits are recorded, and since when; zeros while none is."""

    rate = 0.0  # seconds of waiting for each that is recorded
    began = 0.0  # a wait from before then was not timed well
    fraction = 0  # of contended unlocks, one in so many is recorded


_waits: Final = _Waits()
_blocks: Final = _Buckets()
_mutexes: Final = _Buckets()
_ratelock: Final = lasting(threading.RLock())  # guards what is swapped in
_plaindequeue: Final = Sema.dequeue
_random: Final = random.Random().random


def set_block_profile_rate(rate: int) -> None:
    """Record waits in the profile `block`: for channels, `select` and what `gopark.sync` has.

    Of short waits a sample is taken, which counts for those that were not. A wait costs
    nothing more while this is off.

    Args:
        rate: Record one wait in so many nanoseconds of waiting, and each that is longer.
            1 records all, 0 none, which is how a program begins.
    Raises:
        TypeError: `rate` is not an integer.
    Example:
        >>> gopark.runtime.set_block_profile_rate(10_000)
        >>> gopark.runtime.set_block_profile_rate(0)

    Go: runtime.SetBlockProfileRate.
    """
    _checkint("set_block_profile_rate", rate)
    with _ratelock:
        _waits.rate = min(max(rate, 0), _LONGEST) / 1e9
        if _waits.rate and not _waits.began:
            _waits.began = monotonic()
        elif not _waits.rate:
            _waits.began = 0.0
        _swap()


def set_mutex_profile_fraction(rate: int) -> int:
    """Record in the profile `mutex` who kept others waiting for a lock, where it was unlocked.

    Args:
        rate: Record one in so many unlocks that others waited for. 1 records all, 0 none,
            which is how a program begins; a negative number changes nothing.
    Returns:
        What it was before.
    Raises:
        TypeError: `rate` is not an integer.
    Example:
        >>> gopark.runtime.set_mutex_profile_fraction(5)
        0
        >>> gopark.runtime.set_mutex_profile_fraction(0)
        5

    Go: runtime.SetMutexProfileFraction.
    """
    _checkint("set_mutex_profile_fraction", rate)
    with _ratelock:
        before = _waits.fraction
        if rate >= 0:
            _waits.fraction = min(rate, _LONGEST)
            _swap()
        return before


def _checkint(who: str, rate: object) -> None:
    if not isinstance(rate, int):
        raise TypeError(f"{who}() needs an integer, got {shown(rate)}")


def _swap() -> None:
    """Have waits timed and wake-ups seen while they are recorded; no line does so otherwise."""
    timed = bool(_waits.rate or _waits.fraction)
    waitclock.set(timed)
    wakes.set("profile", _wakes if _waits.rate else None)
    setattr(Sema, "dequeue", _dequeue if _waits.fraction else _plaindequeue)  # noqa: B010
    if not _waits.fraction:
        _charged.clear()


def _wakes(g: G) -> bool:
    """The caller owns `g`, which is parked, so its stack can be read."""
    reason, rate = g.waitreason, _waits.rate
    if rate and reason.startswith(("chan ", "select", "sync.")):
        delay = monotonic() - g.waitsince
        if g.waitsince >= _waits.began and (sampled := sample(delay, rate)) is not None:
            _blocks.add(_parkedstack(g), reason, *sampled)
    return False


def sample(delay: float, rate: float) -> tuple[float, float] | None:
    """Whether a wait is recorded, and then how often and with what time.

    One that is shorter than `rate` is recorded with a chance of `delay / rate`, and stands for
    as many as were not, on average.
    """
    if delay >= rate:
        return 1.0, delay
    return (rate / delay, rate) if _random() * rate < delay else None


def _parkedstack(g: G) -> Stack:
    m = g.lockedm
    if m is None or suspended(g):
        frames = coroframes(g)
    elif FREETHREADED:
        frames = m.frames
    else:
        frames = threadframes([*threadstates().get(m.ident, [])], m)
    return tuple(frames[:MAXDEPTH])


_UNLOCKS: Final = {
    "sync.Mutex.Lock": "sync.Mutex.Unlock",
    "sync.RWMutex.Lock": "sync.RWMutex.RUnlock",
    "sync.RWMutex.RLock": "sync.RWMutex.Unlock",
}

# Until when the waits of those still queued have been put down to somebody, by what they queue
# on. Read and written under its lock.
_charged: Final[dict[Sema, float]] = {}


def _dequeue(sema: Sema, elem: str) -> G | None:
    """In the place of `Sema.dequeue`: whoever unlocks is charged for the time of all who wait.

    As in Go the time of those that go on waiting is taken from the first and the last of them.
    """
    g = _plaindequeue(sema, elem)
    if g is None or (reason := _UNLOCKS.get(g.waitreason, "")) == "":
        return g
    now, charged = monotonic(), _charged.pop(sema, 0.0)
    first = delay = now - max(g.waitsince, charged)
    if sema.waiters:
        last = now - max(sema.waiters[-1].waitsince, charged)
        delay += (first + last) / 2 * len(sema.waiters)
        _charged[sema] = now
    fraction = _waits.fraction
    if fraction and (fraction == 1 or _random() * fraction < 1):
        _mutexes.add(callerstack(0)[:MAXDEPTH], reason, fraction, delay * fraction)
    return g


register("block", Source(_blocks.size, _blocks.records, timed=True))
register(
    "mutex",
    Source(_mutexes.size, _mutexes.records, timed=True, fraction=lambda: _waits.fraction),
)

# In the child of a fork: who was swapping is not here, and may have done half of it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_swap)
