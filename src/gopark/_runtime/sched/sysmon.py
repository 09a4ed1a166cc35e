"""sysmon: the thread that watches the Ms and takes the P from one that does not come back.

A goroutine may block its thread or compute for long without a word. Its M cannot be stopped,
but its P can be given to another M (P is advisory, see runtime2.py); the goroutine runs on
without one until its next scheduling point. An M comes back once it starts another step, so
sysmon looks twice, and compares:
  asleep     its thread's CPU clock stood still: retaken at once
  busy       10 ms in one step: retaken if something waits for the P
A thread that waits for the GIL is no sleeper. It wakes once a switch interval, in C, to ask
for the GIL again, which its CPU clock shows. So while the process burns CPU, and somebody may
be holding the GIL, a clock must stand still for more than such an interval.

How often it looks: every 0.3 ms after it has retaken a P, every millisecond for a second
after it met a sleeper, at most every 11 ms in a program that gives it no reason, and not at
all once every P is idle (`sysmonwait`; `pidleget` wakes it).

Hogs. The Ms that compute without a P are counted (`Sched.nhogs`), and MAXHOGS is as many as
there may be: with so many the P stays where it is. From `Sched.maxhogs` on, which is the
number of Ps as long as hogs come and go, goroutines of a function known for computing
(`Sched.hogcodes`) are not started but queue on `Sched.hogq` (proc.py, deferhog), and all
others run. Every tenth of a second without a hog coming back lets in one more, and one whose clock
stands still for as long does not count any more, until it computes again.

Sleepers. Where many goroutines block their threads, each would keep its P until sysmon has seen
that, and the others would wait for all of them in turn. So once _MANY sleepers have been met
within _BURST (`Sched.careful`), goroutines of a function that has slept before
(`Sched.sleepcodes`) have their P given away before they run, as `cgo.call` does it.

Locks: Sched.lock, for one decision at a time. There is one sysmon for the process; the state
of this module is its own, and it works for the program that runs.
Source: Go 1.27 runtime/proc.go (sysmon, retake). Tests: tests/runtime/test_sysmon.py
"""

from __future__ import annotations

import _thread
import sys
import time
from time import monotonic
from typing import Final

from gopark._runtime.base.hooks import hooks, netdoor
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GRUNNING,
    KEEPSP,
    G,
    M,
    Note,
    P,
    Sched,
    codeof,
)
from gopark._runtime.sched.startm import (
    current,
    handoffp,
    ourthreads,
    startthread,
    sysmonwait,
    wakep,
)

__all__ = (
    *("FORCE_PREEMPT", "MAXHOGS", "Sysmon", "Watch"),
    *("cputime", "hostcodes", "keepon", "runnable"),
)

# Seconds.
_SHORT: Final = 0.0003  # between two looks, after a P was retaken
_ALERT: Final = 0.001  # the same, while the program is one that blocks
_LONG: Final = 0.011  # the same, at most
_BURST: Final = 0.05  # sleepers tend to come in numbers: how long it looks out for the next
_MANY: Final = 4
_MEMORY: Final = 1.0  # how long a program is one that blocks
_STILL: Final = 0.00025  # a clock that stood still for so long belongs to a sleeper
_PROCS: Final = 1.0  # how often it looks for how many CPUs there are
_ADMIT: Final = 0.1  # no hog came back for so long: let in one more
FORCE_PREEMPT: Final = 0.01  # a step that is busy for longer may lose its P

MAXHOGS: Final = 8  # Ms that compute without a P, at most
# So many times in a row every P was idle: sleep. With fewer of them a program that falls
# idle and wakes again at the wrong pace would have sysmon woken more than 100 times a second.
_IDLELOOKS: Final = 12

_SHORTAGES: Final = 10_000  # times that there was no memory for it: a process that has none left

# What goroutines are started with that run the code of many others: a hosted event loop. That one
# of those computes, or sleeps, says nothing of the next.
hostcodes: Final[set[object]] = set()

_clock: Final = getattr(time, "clock_gettime", None)


class Watch:
    """What sysmon remembers of a P between two looks."""

    __slots__ = ("cpu", "cpu0", "m", "since", "still", "tick")

    def __init__(self) -> None:
        self.m: M | None = None
        self.tick = -1
        self.since = 0.0  # when the step was first seen
        self.cpu0 = 0.0  # the thread's CPU clock then
        self.cpu = 0.0  # the thread's CPU clock at the last look
        self.still = 0.0  # since when that clock has not moved


class Sysmon:
    """The thread's own state; nobody else touches it."""

    def __init__(self) -> None:
        self.delay = _SHORT
        self.idlelooks = 0
        self.blocked = 0.0  # when a sleeper was last met
        self.met = 0.0  # sleepers met, one less for each tenth of _BURST
        self.contended = 0.0  # until when the GIL counts as fought for
        self.looked = 0.0  # when it last looked, and the CPU time of the process then
        self.spent = 0.0
        self.watches: dict[P, Watch] = {}
        # Lost their P asleep, or have fallen asleep since: which goroutine, its number (a G is used
        # again), and the CPU clock at that time.
        self.strays: dict[M, tuple[G, int, float]] = {}
        self.hogs: dict[M, tuple[float, float]] = {}  # their CPU clock, and since when it stands
        self.sched: Sched | None = None
        self.procsat = 0.0  # when to see next how many Ps there are to be

    def loop(self) -> None:
        sysmonwait.ident = _thread.get_ident()
        sysmonwait.nativeid = _thread.get_native_id()
        ourthreads.add(sysmonwait.ident)
        note = sysmonwait.note
        while True:
            self.startwanted()
            sched = current()
            if sched is not self.sched:
                self.sched = sched
                self.watches.clear()
                self.strays.clear()
                self.hogs.clear()
            if sched is None or self.idlelooks >= _IDLELOOKS:
                began = monotonic()
                if self.parked(sched):
                    del sched  # a sleeping thread keeps no program alive
                    note.sleep()
                self.idlelooks = 0
                if self.watchful(began):
                    self.delay = _SHORT
                continue
            note.sleep(self.delay)
            self.startwanted()
            now = monotonic()
            self.look(sched, now)
            if now >= self.procsat:
                self.procsat = now + _PROCS
                hooks.updateprocs()

    def startwanted(self) -> None:
        """Threads for those that shall not start any: see startm.py."""
        while sysmonwait.wanted:
            startthread(*sysmonwait.wanted.popleft())
        hooks.catchup()

    def watchful(self, began: float) -> bool:
        """After a sleep: the program blocks now and then, or it was idle for long."""
        now = monotonic()
        return now - self.blocked < _MEMORY or now - began > _IDLELOOKS * _LONG

    def parked(self, sched: Sched | None) -> bool:
        """Show that this thread sleeps, unless a P has been taken meanwhile."""
        self.sched = None
        self.watches.clear()
        self.strays.clear()
        self.hogs.clear()
        if sched is None:
            sysmonwait.on = True
            return current() is None
        with sched.lock:
            if sched.npidle == len(sched.allp) and not sched.hogq:
                sysmonwait.on = True
            return sysmonwait.on

    def look(self, sched: Sched, now: float) -> None:
        if sched.ended:
            return
        before = self.looked
        self.fought(now)
        if sched.npidle == len(sched.allp) and not sched.hogq:
            self.idlelooks += _IDLELOOKS if now - self.blocked < _MEMORY else 1
            self.delay = _LONG
            return
        self.idlelooks = 0
        if netdoor.opened and netdoor.sleeper is None and now - sched.now > FORCE_PREEMPT:
            netdoor.ready(netdoor.poll(0))  # no M has come to do it for so long
        verdicts = [self.retake(sched, p, now) for p in sched.allp[:]]
        if self.strays:
            self.looktostrays(sched)
        if sched.hogq:
            self.looktohogs(sched, now)
            _admit(sched, now)
        elif self.hogs:
            self.hogs.clear()
        self.met = max(0.0, self.met - (now - before) * 10 / _BURST)
        sched.careful = self.met >= _MANY or (sched.careful and now - self.blocked < _BURST)
        burst = now - self.blocked < _BURST
        if "taken" in verdicts or (burst and "suspect" in verdicts):
            self.delay = _SHORT
        elif "suspect" in verdicts or now - self.blocked < _MEMORY:
            self.delay = _ALERT
        else:
            self.delay = min(self.delay * 2, _LONG)

    def fought(self, now: float) -> None:
        """See whether somebody may have held the GIL since the last look."""
        spent = time.process_time() - time.thread_time()  # this thread's own does not count
        if spent - self.spent > 0.8 * (now - self.looked) and not FREETHREADED:
            self.contended = now + sys.getswitchinterval()
        self.spent, self.looked = spent, now

    def retake(self, sched: Sched, p: P, now: float) -> str:
        """Look at one P, and take it if its M does not come back."""
        m = p.m
        g = None if m is None else m.curg
        watch = self.watches.get(p)
        if watch is None:
            watch = self.watches[p] = Watch()
        if m is None or g is None or m.p is not p:
            watch.m = None
            if m is None or m.handling is not KEEPSP or m.p is not p:
                return "idle"
            if now - p.began > FORCE_PREEMPT and _waiting(sched, p, now):
                return "taken" if self.takehandlers(sched, p, m) else "busy"
            return "suspect"
        cpu = cputime(m)
        if watch.m is not m or watch.tick != p.schedtick:
            watch.m, watch.tick = m, p.schedtick
            watch.cpu = watch.cpu0 = cpu
            watch.since = watch.still = now
            return "suspect" if now - p.began > _ALERT else "new"
        if cpu != watch.cpu or m.clock is None:
            # It ran, but for less than half of the time: it may have fallen asleep since.
            slow = cpu - watch.cpu < (now - watch.still) / 2 and m.clock is not None
            watch.cpu, watch.still = cpu, now
            if now - watch.since < FORCE_PREEMPT:
                return "suspect" if slow else "busy"
            # It waits for the GIL most of the time: so would whoever got its P.
            if slow and now < self.contended:
                return "busy"
            hog = cpu - watch.cpu0 > FORCE_PREEMPT / 2 or m.clock is None
            if _waiting(sched, p, now) and self.take(sched, p, m, hog):
                return "taken"
            return "suspect" if slow else "busy"
        need = 1.2 * sys.getswitchinterval() if now < self.contended else _STILL
        if now - watch.still < need:
            return "suspect"
        if runnable(m):
            return "busy"  # it wants to run, and its machine has no CPU for it
        self.blocked = now
        return "taken" if self.take(sched, p, m, False) else "busy"

    def take(self, sched: Sched, p: P, m: M, hog: bool) -> bool:
        """Take `p` from `m` and hand it to whoever can use it."""
        with sched.lock:
            g = m.curg
            if sched.ended or p.m is not m or m.p is not p or g is None:
                return False
            if hog:
                if sched.nhogs >= MAXHOGS:
                    return False
                _counthog(sched, m, g)
            else:
                self.strays[m] = (g, g.goid, cputime(m))
                _remember(sched.sleepcodes, g)
                self.met = min(self.met + 1, 2 * _MANY)
            m.p = None
            p.m = None
        handoffp(sched, p)
        return True

    def takehandlers(self, sched: Sched, p: P, m: M) -> bool:
        """The same from M0, which calls signal handlers that do not end: see onm0.py."""
        with sched.lock:
            if sched.ended or m.handling is not KEEPSP or m.p is not p:
                return False
            m.p = p.m = None
        handoffp(sched, p)
        return True

    def looktostrays(self, sched: Sched) -> None:
        """One that slept as it lost its P may compute now, without one: then it is a hog."""
        for m, (g, goid, cpu) in list(self.strays.items()):
            if m.p is not None or m.curg is not g or g.goid != goid or m.sched is not sched:
                del self.strays[m]
            elif cputime(m) - cpu > FORCE_PREEMPT:
                del self.strays[m]
                with sched.lock:
                    running = m.curg is g and g.status is GRUNNING and m.p is None
                    if running and not m.hog and not sched.ended:
                        _counthog(sched, m, g)

    def looktohogs(self, sched: Sched, now: float) -> None:
        """One that computed may have fallen asleep: nobody is held back for its sake."""
        for m in sched.allm[:]:
            g = m.curg
            if not m.hog or g is None or m.clock is None:
                self.hogs.pop(m, None)
                continue
            cpu = cputime(m)
            before, since = self.hogs.get(m, (-1.0, now))
            if cpu != before:
                self.hogs[m] = cpu, now
            elif now - since > _ADMIT and not runnable(m):
                del self.hogs[m]
                with sched.lock:
                    if not m.hog or m.curg is not g or sched.ended:
                        continue
                    m.hog = False
                    sched.nhogs -= 1
                self.strays[m] = (g, g.goid, cpu)
                wakep(sched)


def _counthog(sched: Sched, m: M, g: G) -> None:
    """Caller holds Sched.lock."""
    m.hog = True
    sched.nhogs += 1
    _remember(sched.hogcodes, g)
    sched.hogwhen = monotonic()


def _remember(codes: set[object], g: G) -> None:
    """So that others that were started with the same are known."""
    if (code := codeof(g)) not in hostcodes:
        codes.add(code)


def cputime(m: M) -> float:
    """The CPU time of the M's thread; 0 where there is no such clock."""
    if m.clock is None or _clock is None:
        return 0.0
    try:
        cpu: float = _clock(m.clock)
    except OSError:
        return 0.0  # the thread has ended
    return cpu


def runnable(m: M) -> bool:
    """Linux says of this thread that it runs or waits for a CPU: a clock may stand still then."""
    try:
        with open(f"/proc/self/task/{m.nativeid}/stat", "rb", 0) as file:
            return file.read(512).rpartition(b")")[2].lstrip().startswith(b"R")
    except OSError:
        return False


def _waiting(sched: Sched, p: P, now: float) -> bool:
    """Something waits for this P."""
    return bool(p.runq or p.runnext or sched.runq or now >= sched.timers.when)


def _admit(sched: Sched, now: float) -> None:
    """Goroutines are held back because of hogs, and none of those comes back: one more."""
    with sched.lock:
        if now - sched.hogwhen < _ADMIT or sched.maxhogs >= MAXHOGS or not sched.hogq:
            return
        sched.hogwhen = now
        sched.maxhogs += 1
    wakep(sched)


def start() -> None:
    """The first P of the process is taken: start the thread."""
    _thread.start_new_thread(keepon, (Sysmon(),))


def keepon(sysmon: Sysmon) -> None:
    """The whole life of the thread. Memory that is short for a moment does not end it."""
    failed: BaseException = MemoryError()
    for _ in range(_SHORTAGES):
        try:
            sysmon.loop()
        except MemoryError:
            sysmon.delay = _LONG
        except BaseException as exc:
            failed = exc
            break
    hooks.throw(failed)


def forget() -> None:
    """In the child of a fork there is no such thread."""
    sysmonwait.started = sysmonwait.on = False
    sysmonwait.ident = sysmonwait.nativeid = 0
    sysmonwait.note = Note()
    sysmonwait.wanted.clear()


hooks.sysmon = start
