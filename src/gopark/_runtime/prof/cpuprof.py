"""The CPU profile: which goroutine, where, used the time of a CPU.

A thread of its own looks at all others at a rate. What a thread has used since the last look its
own CPU clock tells, so nobody is charged for time that it slept, waited for the GIL or for a
CPU, and a look that comes late loses nothing: the time is put down to the place where the thread
is met, in samples of one period each. The rest is kept for the next look.

Go has the kernel send a signal to the thread that used the time. Python runs signal handlers on
the main thread alone, so that is no way here. What follows from looking from outside: with the
GIL a thread is met where it lets go of it, which it does between two instructions of Python or
in a call that may block; a long call of C shows at the line that made it or the one after.

Where a thread is:
  with the GIL          its frames (`sys._current_frames`), read while it cannot move on
  free-threaded builds  frames must not be read while their thread runs them, so the interpreter
                        itself writes them, with all threads stopped: `faulthandler`. What it
                        knows of a function is file, line and bare name, which are looked up in
                        the source once the profile is written (stackdump.py).

Time in gopark itself is put down to the user's frames with the function on top that was called
(`gopark.Chan.send`), and to `gopark.schedule` between two goroutines.

Locks: `_lock` around start and stop. The sampling thread shares nothing but what `stop` reads
after it has ended. It counts as one of ours (`watchers`) and runs no goroutine.
Source: Go 1.27 runtime/cpuprof.go, runtime/pprof/pprof.go. Tests: tests/pprof/test_cpu.py
"""

from __future__ import annotations

import _thread
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from types import CodeType, FrameType
from typing import IO, Any, Final, TypeVar

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.runtime2 import FREETHREADED, G, M, Note, currentframes
from gopark._runtime.c import extram
from gopark._runtime.prof.mprof import MAXDEPTH, Record, Stack
from gopark._runtime.prof.proflabel import Labels, labelsof
from gopark._runtime.report.stackdump import Dump, Names, Raw, available
from gopark._runtime.report.symtab import Frame, pathof, publicname
from gopark._runtime.report.traceback import boundary, callback_entry, package, shown, threadframes
from gopark._runtime.sched import panic, proc, runq, startm
from gopark._runtime.sched.finq import exclusive
from gopark._runtime.sched.startm import current, ourthreads, watchers

__all__ = ("Profiler", "start", "stop")

MAXRATE: Final = 1000  # looks per second; a look takes about as long as the threads have frames

Key = tuple["Stack | Dumped", Labels]

_clock: Final = getattr(time, "clock_gettime", None)


class Watched:
    """A thread whose CPU time is measured."""

    __slots__ = ("clock", "ident", "m", "rest", "spent")

    def __init__(self, ident: int, clock: int, m: M | None, spent: float) -> None:
        self.ident = ident
        self.clock = clock
        self.m = m
        self.spent = spent  # what its clock said at the last look
        self.rest = 0.0  # seconds that no sample stands for yet

    def look(self) -> float:
        """What it has used since the last look."""
        now = cputime(self.clock)
        used, self.spent = max(0.0, now - self.spent), now
        return used


class Profiler:
    """The sampling thread and what it has seen."""

    def __init__(self, rate: int, file: IO[Any]) -> None:
        self.file = file  # where its user wants it
        self.period = 1.0 / rate
        self.began = time.time_ns()
        self.lasted = 0  # nanoseconds
        self.samples: dict[Key, int] = {}
        self.failed: BaseException | None = None
        self._dump = Dump() if FREETHREADED else None
        self._threads: dict[int, Watched] = {}  # by the kernel's number
        self._stop = Note()
        self._ended = Note()
        self._running = Note()

    def start(self) -> None:
        try:
            self._watch(first=True)
            _thread.start_new_thread(self._run, ())
        except BaseException:
            self._close()
            raise
        self._running.sleep()

    def stop(self) -> None:
        self._stop.wakeup()
        self._ended.sleep()
        self._close()
        self.lasted = time.time_ns() - self.began

    def _close(self) -> None:
        if self._dump is not None:
            self._dump.close()

    def records(self) -> list[Record]:
        """What was seen; the time is in `delay`. Once: this is the end of the profiler."""
        names = Names()
        records = []
        for (place, labels), times in self.samples.items():
            stack = place.stack(names) if isinstance(place, Dumped) else place
            records.append(Record(stack, "", labels, times, times * self.period))
        return records

    def _run(self) -> None:
        me = _thread.get_ident()
        ourthreads.add(me)
        watchers.add(me)
        self._running.wakeup()
        due = time.monotonic() + self.period
        try:
            while not self._stop.sleep(max(0.0, due - time.monotonic())):
                self._look()
                due = max(due + self.period, time.monotonic())
            self._look()
        except BaseException as exc:
            self.failed = exc
        finally:
            watchers.discard(me)
            ourthreads.discard(me)
            self._ended.wakeup()

    def _look(self) -> None:
        """Measure all threads, and take samples of those that have used a period or more."""
        self._watch()
        busy = []
        for number, thread in list(self._threads.items()):
            try:
                thread.rest += thread.look()
            except OSError:  # it has ended
                del self._threads[number]
                continue
            if thread.rest >= self.period:
                busy.append(thread)
        if not busy:
            return
        where = self._where if self._dump is None else self._wheredumped
        for thread, key in where(busy):
            times = int(thread.rest / self.period)
            thread.rest -= times * self.period
            self.samples[key] = self.samples.get(key, 0) + times

    def _where(self, busy: list[Watched]) -> list[tuple[Watched, Key]]:
        """Where these threads are, and under which labels."""
        stacks = currentframes({thread.ident for thread in busy})
        found: list[tuple[Watched, Key]] = []
        for thread in busy:
            m = thread.m
            g = None if m is None else m.curg
            links = stacks.get(thread.ident, [])
            found.append((thread, (stackon(links, m), () if g is None else labelsof(g))))
        return found

    def _wheredumped(self, busy: list[Watched]) -> list[tuple[Watched, Key]]:
        """The same where frames cannot be read."""
        assert self._dump is not None
        before = [running(thread.m) for thread in busy]
        stacks = self._dump.take({thread.ident for thread in busy})
        found: list[tuple[Watched, Key]] = []
        for thread, (g, goid) in zip(busy, before, strict=True):
            if raws := stacks.get(thread.ident):
                same = g is not None and running(thread.m) == (g, goid)
                labels = labelsof(g) if same and g is not None else ()
                found.append((thread, (Dumped(raws), labels)))
        return found

    def _watch(self, first: bool = False) -> None:
        """See which threads there are. One that is new began at zero, if gopark started it."""
        sched = current()
        ours = [] if sched is None else sched.allm[:]
        # One that called `run` may have an extra M as well, from before: M0 counts.
        for m in {m.nativeid: m for m in [*extram.inuse(), *ours] if m.ident}.values():
            known = self._threads.get(m.nativeid)
            if known is not None:
                known.m, known.ident = m, m.ident  # numbers are used again
            elif m.clock is not None:
                fresh = not first and m.g is None and not m.m0
                self._add(m.nativeid, m.ident, m.clock, m, fresh)
        if _linux:
            for thread in threading.enumerate():
                ident, number = thread.ident, thread.native_id
                if ident == _thread.get_ident():  # a child of a fork is told its parent's
                    number = _thread.get_native_id()
                if ident and number and number not in self._threads and ident not in ourthreads:
                    self._add(number, ident, threadclock(number), None, not first)

    def _add(self, number: int, ident: int, clock: int, m: M | None, fresh: bool) -> None:
        try:
            spent = 0.0 if fresh else cputime(clock)
        except OSError:
            return
        self._threads[number] = Watched(ident, clock, m, spent)


_linux: Final = sys.platform == "linux"


def threadclock(number: int) -> int:
    """The CPU clock of a thread, by the kernel's number; safe to read when it has ended."""
    return ~number << 3 | 6  # Linux: MAKE_THREAD_CPUCLOCK(number, CPUCLOCK_SCHED)


def cputime(clock: int) -> float:
    assert _clock is not None
    spent: float = _clock(clock)
    return spent


# --- stacks ------------------------------------------------------------------------------


T = TypeVar("T")
_QUALNAME: Final[Callable[[CodeType], str]] = attrgetter("co_qualname")
_PRIVATE: Final = re.compile(r"(?:^|\.)_(?!_)")


def stackon(links: list[FrameType], m: M | None) -> Stack:
    """The user's frames on a thread, and what of gopark's was called last on top."""
    inside: list[CodeType] = []
    for link in links:
        code = link.f_code
        if code in boundary or code in callback_entry or shown(code):
            break
        inside.append(code)
    frames = threadframes([*links], m)[:MAXDEPTH]
    if inside and (m is None or m.curg is not None):
        return (ownframe(called(inside, _QUALNAME)), *frames)
    return tuple(frames) or (_SCHEDULE,)


def called(inside: Sequence[T], qualname: Callable[[T], str]) -> T:
    """Of functions of ours, innermost first, the one that the user called: not a private one."""
    for fn in reversed(inside):
        if not _PRIVATE.search(qualname(fn)):
            return fn
    return inside[-1]


def running(m: M | None) -> tuple[G | None, int]:
    """Which goroutine a thread runs; a G may be another goroutine's at the next look."""
    g = None if m is None else m.curg
    return g, 0 if g is None else g.goid


class Dumped:
    """A stack as the interpreter wrote it; equal to others that are the same."""

    __slots__ = ("raws",)

    def __init__(self, raws: Iterable[Raw]) -> None:
        self.raws = tuple(raws)

    def __hash__(self) -> int:
        return hash(self.raws)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dumped) and self.raws == other.raws

    def stack(self, names: Names) -> Stack:
        """What `stackon` makes of frames."""
        frames: list[Frame] = []
        inside: list[Raw] = []
        for raw in self.raws:
            if (raw.file, raw.name) in _BOUNDARY:
                break
            if not pathof(raw.file).startswith(package):
                if not raw.file.startswith("<frozen importlib"):
                    frames.append(names.frame(raw))
            elif not frames:
                inside.append(raw)
        if not inside or (not frames and inside[-1].file in _SCHEDULER):
            return tuple(frames) or (_SCHEDULE,)
        raw = called(inside, names.qualname)
        code = getattr(names.function(raw), "__code__", None)
        own = f"gopark.{names.qualname(raw)}", pathof(raw.file), raw.line
        return (own if code is None else ownframe(code), *frames)


_BOUNDARY: Final = {(code.co_filename, code.co_name) for code in boundary | callback_entry}
_SCHEDULER: Final = {
    fn.__code__.co_filename for fn in (proc.schedule, startm.handoffp, runq.ready, panic.fatal)
}
_names: Final[dict[CodeType, str]] = {}


def ownframe(code: CodeType) -> Frame:
    """A function of ours by the name that users know it by, at its first line."""
    name = _names.get(code)
    if name is None:
        name = _names[code] = publicname(code) or f"gopark.{code.co_qualname}"
    return name, pathof(code.co_filename), code.co_firstlineno


_SCHEDULE: Final = (
    "gopark.schedule",
    pathof(proc.schedule.__code__.co_filename),
    proc.schedule.__code__.co_firstlineno,
)


# --- on and off --------------------------------------------------------------------------

_lock: Final = lasting(threading.Lock())  # taken by `exclusive`: finq.py
_profiler: Profiler | None = None


def start(rate: int, file: IO[Any]) -> None:
    """Begin. One profile at a time."""
    global _profiler
    if _clock is None or not hasattr(time, "pthread_getcpuclockid"):
        raise RuntimeError("this system has no CPU clock for each thread, which a profile needs")
    if not available():
        raise RuntimeError(
            "the stacks of running threads can be read on free-threaded builds from 3.13.2 on"
        )
    with exclusive(_lock):
        if _profiler is not None:
            raise RuntimeError("cpu profiling already in use")
        profiler = Profiler(rate, file)
        profiler.start()
        _profiler = profiler


def stop() -> Profiler | None:
    """End it; None if there is none."""
    global _profiler
    with exclusive(_lock):
        profiler, _profiler = _profiler, None
        if profiler is not None:
            profiler.stop()
        return profiler


def _forget() -> None:
    """In the child of a fork: the thread is not here, and the file is the parent's."""
    global _profiler
    if _profiler is not None:
        _profiler = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
