"""The running program, and which M gets which P: wake, start, hand over.

An idle P is on `Sched.pidle`, an idle M on `Sched.midle`, asleep on its note. Who takes a P
off pidle gives it to an M at once: one off midle, or a new thread. The one that wakes an M
has put the P into `m.nextp` before; the M takes it from there (`acquirep`).

Spinning. An M that was woken because there is work, and has found none yet, is spinning;
`wakep` starts one only if there is none, and the one that finds work starts the next.

What a thread has of its own, like a directory after `unshare`, a signal mask or a priority, those
have too that it starts. So a thread that a goroutine is locked to starts none, nor does one that
gopark did not make: they ask sysmon, which runs no goroutine (Go: the template thread).

The one idle M that sleeps until the next timer is the poller (`Sched.pollm`), and where a
descriptor is open it sleeps in the network poller; a timer that is earlier than its sleep has
`wakepoller` wake it, or start one.

Locks: Sched.lock (rank SCHED). Notes are woken, and threads started, after it is released.
Source: Go 1.27 runtime/proc.go. Tests: tests/runtime/test_proc.py
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Final

from gopark._runtime.base.hooks import TimeBase, hooks, netdoor
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.monkey import refusepatched
from gopark._runtime.base.runtime2 import CAMEUP, GSYSCALL, G, M, Note, P, Sched, tls
from gopark._runtime.sched.timer import NEVER, Timers
from gopark._runtime.twin import native

__all__ = (
    "SCHEDTICK",
    "SIGNALCHECK",
    "Threads",
    "acquirep",
    "current",
    "getsched",
    "givelocked",
    "givep",
    "globwork",
    "gone",
    "handoffp",
    "hogback",
    "midleget",
    "midleput",
    "minit",
    "mprogram",
    "mysched",
    "newsched",
    "notesleep",
    "ourthreads",
    "pending",
    "pidleget",
    "pidleput",
    "releasep",
    "startm",
    "startsysmon",
    "startthread",
    "sysmonwait",
    "timebase",
    "toolate",
    "trynewm",
    "wakep",
    "wakepoller",
    "wantpoller",
    "watchers",
)

SIGNALCHECK: Final = 0.05  # seconds
_AGAIN: Final = 0.1  # seconds
SCHEDTICK: Final = 61


class Threads:
    """A set of threads, by identifier, with the number that the kernel has for each."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def add(self, ident: int, nativeid: int | None = None) -> None:
        """Without a number it is the calling thread."""
        self._known[ident] = nativeid or threading.get_native_id()

    def discard(self, ident: int) -> None:
        self._known.pop(ident, None)

    def clear(self) -> None:
        self._known.clear()

    def idents(self) -> set[int]:
        return set(self._known.copy())

    def nativeids(self) -> set[int]:
        return set(self._known.copy().values())

    def __contains__(self, ident: int) -> bool:
        return ident in self._known

    def __len__(self) -> int:
        return len(self._known)


# The threads that newm has started, and the watchers.
ourthreads: Final = Threads()
# Threads that serve signals and requests from outside: they wake no goroutine.
watchers: Final = Threads()


# Signal handlers that are to be called at the next safe point: handler, number, frame. sigfwd.py.
# Relies on: append and remove are atomic.
pending: Final[deque[tuple[Callable[..., Any], int, Any]]] = deque()


class _SysmonWait:
    """Whether sysmon sleeps until a P is taken, the note that it sleeps on, what it is asked."""

    def __init__(self) -> None:
        self.started = False
        self.on = False  # set under Sched.lock, or while there is no program
        self.note = Note()
        self.ident = self.nativeid = 0
        self.again = 0.0  # when to try next, after there was no thread for it
        self.wanted: deque[tuple[M, threading.Thread]] = deque()  # threads it is to start


sysmonwait: Final = _SysmonWait()

_current: Sched | None = None
_gomaxprocs = 1
_maxthreads = 10_000
_sched_lock: Final = lasting(threading.RLock())  # guards the making of a Sched


# --- the program -------------------------------------------------------------------------


def getsched() -> Sched:
    """The running program; one without a main if none is, for the runtime starts at first use."""
    sched = _current
    if sched is None or sched.ended:
        sched = newsched()
        hooks.nomain()
    return sched


def mysched() -> Sched:
    """The program of the calling thread: of a thread of ours its own, even if that has ended."""
    m = tls.m
    if m is not None and m.g is None and m.sched is not None:
        return m.sched
    return getsched()


def mprogram(m: M) -> Sched:
    """The program that the G of this M waits in, or makes timers of; it may have ended.

    A thread of ours works for one only. What a thread of others runs belongs to the first that is
    asked for, as long as it runs: see lockedm.py.
    """
    sched = m.sched
    if m.g is not None and not m.stays:
        m.stays = True
        if sched is None or sched.ended:
            sched = m.sched = getsched()
            m.hog = False
            m.p = None  # of the program that has ended
            if m.curg is not None and m.curg.status is GSYSCALL:
                with sched.lock:
                    sched.nsyscall += 1  # it was counted there, and comes back here
    assert sched is not None
    return sched


def timebase() -> TimeBase:
    """The program whose timers the caller makes, or its cleanup; see `hooks.timebase`."""
    m = tls.m
    sched = mysched() if m is None or m.curg is None else mprogram(m)
    if sched.ended and (cleanup := sched.cleanup) is not None:
        return cleanup  # type: ignore[no-any-return]
    return sched


if native is not None:
    timebase = native.function("timebase", timebase)
    native.install(timebase=timebase)
hooks.timebase = timebase


def current() -> Sched | None:
    """The running program, if there is one."""
    sched = _current
    return None if sched is None or sched.ended else sched


def newsched() -> Sched:
    global _current
    with _sched_lock:
        sched = _current
        if sched is not None and not sched.ended:
            return sched
        refusepatched("gopark")
        fresh = Sched(_gomaxprocs)
        fresh.timers = Timers(lambda s=fresh: wakepoller(s))  # type: ignore[misc]
        fresh.maker = M(fresh)
        fresh.now = monotonic()
        if _current is not sched:
            return newsched()  # a finalizer came in and has made one
        _current = sched = fresh
    # Where nobody has called `run`, this is the first use: handlers must not come in amid it.
    hooks.initsig()
    return sched


def setgomaxprocs(n: int) -> None:
    global _gomaxprocs
    _gomaxprocs = n


def gomaxprocs() -> int:
    return _gomaxprocs


def setmaxthreads(n: int) -> None:
    global _maxthreads
    _maxthreads = n


def maxthreads() -> int:
    return _maxthreads


def forget() -> None:
    """In the child of a fork: there is no program, and no thread but this one."""
    global _current
    _current = None
    ourthreads.clear()


# --- Ms and Ps --------------------------------------------------------------------------


def wakep(sched: Sched) -> None:
    """Start one more M if there is an idle P and nobody is already looking for work."""
    if sched.nmspinning or not sched.npidle:
        return
    if not _schedlock(sched, wakep):
        return
    try:
        try:
            if sched.nmspinning or not sched.pidle or sched.ended:
                return
            p = pidleget(sched)
            sched.nmspinning += 1
            m = midleget(sched, p)
            if m is not None:
                m.spinning = True
        finally:
            sched.lock.release()
        startm(sched, m, p, spinning=True)
    except MemoryError as exc:  # a P would be lost
        hooks.throw(exc)


def _schedlock(sched: Sched, work: Callable[[Sched], None]) -> bool:
    """Take Sched.lock. False: a finalizer that came in where this thread may hold it has brought us
    here, and `work(sched)` is done after that."""
    if not sched.lock.acquire(False):
        if hooks.amid():
            hooks.later(work, sched)
            return False
        sched.lock.acquire()
    return True


def pidleget(sched: Sched) -> P:
    """Take an idle P; the caller holds Sched.lock and knows that there is one."""
    p = sched.pidle.pop()
    sched.npidle -= 1
    if sysmonwait.on:
        sysmonwait.on = False
        sysmonwait.note.wakeup()
    elif not sysmonwait.started:
        startsysmon()
    return p


def pidleput(sched: Sched, p: P) -> None:
    """Caller holds Sched.lock. A P that gomaxprocs took away is dropped, not its queue."""
    p.m = None
    if gone(p):
        hooks.drainp(p)
        return
    sched.pidle.append(p)
    sched.npidle += 1


def midleput(sched: Sched, m: M) -> None:
    """Caller holds Sched.lock. The thread that called `run` is taken last: see startlockedm."""
    m.idle = True
    if m.m0:
        sched.midle.insert(0, m)
    else:
        sched.midle.append(m)


def midleget(sched: Sched, p: P) -> M | None:
    """Take an idle M and give it `p`; the caller holds Sched.lock and then wakes it."""
    if not sched.midle:
        return None
    m = sched.midle.pop()
    m.idle = False
    givep(m, p)
    if sched.pollm is m:
        sched.pollm = None
    return m


def startm(sched: Sched, m: M | None, p: P, spinning: bool = False) -> None:
    """Let `m`, which has been given `p`, run; a new thread if there is no such M."""
    if m is None:
        newm(sched, p, spinning)
    else:
        m.park.wakeup()


def newm(sched: Sched, p: P, spinning: bool) -> None:
    """An M with a thread of its own for `p`. If the machine has none left: see newosproc.py."""
    m, exc = trynewm(sched, p, spinning)
    if exc is not None:
        hooks.newosproc(sched, m, p, spinning, exc)


def trynewm(sched: Sched, p: P, spinning: bool) -> tuple[M | None, BaseException | None]:
    """The M, and why it has no thread if it has none."""
    m = None
    try:
        m = M(sched)
        givep(m, p)
        m.spinning = spinning
        with sched.lock:
            sched.allm.append(m)
        checkmcount(sched)
        options: dict[str, Any] = {}
        if sys.version_info >= (3, 14):
            options["context"] = Context()  # 3.14t would hand down the starter's context
        thread = MThread(
            target=hooks.mstart, args=(m,), name=f"gopark-M{m.mid}", daemon=True, **options
        )
        me = tls.m
        locked = me is not None and (me.lockedg is not None or me.g is not None)
        if sysmonwait.started and (locked or hooks.amid(threads=True)):
            sysmonwait.wanted.append((m, thread))
            sysmonwait.note.wakeup()
        elif not sys.is_finalizing():  # else it would not run, and up to 3.12 we would wait for it
            thread.start()
    except (RuntimeError, MemoryError) as exc:
        return m, exc
    return m, None


class MThread(threading.Thread):
    """A thread of ours. Should it fail before it gets to its M, who started it would wait for ever:
    `start` returns when the new thread has said that it runs."""

    def _bootstrap(self) -> None:
        try:
            super()._bootstrap()  # type: ignore[misc]
        except BaseException as exc:
            hooks.throw(exc)


def startthread(m: M, thread: threading.Thread) -> None:
    """Start it; `m` has been given its P."""
    sched, p = m.sched, m.nextp
    assert sched is not None and p is not None
    if sys.is_finalizing():
        return
    try:
        thread.start()
    except (RuntimeError, MemoryError) as exc:
        hooks.newosproc(sched, m, p, m.spinning, exc)


def startsysmon() -> None:
    """Start the thread, once. Where there is none to be had, the program goes on without it, and
    whoever takes a P a while later tries again. May be called with Sched.lock held."""
    with _sched_lock:
        if sysmonwait.started or monotonic() < sysmonwait.again:
            return
        sysmonwait.started = True
    try:
        hooks.sysmon()
    except (RuntimeError, MemoryError):
        sysmonwait.again = monotonic() + _AGAIN
        sysmonwait.started = False


def checkmcount(sched: Sched) -> None:
    """A program with more threads than allowed has gone astray: end it. Go: checkmcount."""
    if hooks.mcount(sched) > maxthreads() and not sched.ended:
        hooks.exhausted(sched)


def givep(m: M, p: P) -> None:
    """Leave `p` for `m`, which is about to be woken. What is queued on it goes along."""
    p.m = m
    m.nextp = p


def givelocked(m: M, p: P) -> bool:
    """Hand `p` to the thread that a runnable G sits on. False: `p` is the caller's still.

    That thread may be calling a signal handler, for as long as that takes, and the handler may
    wait for somebody who needs the P. So it gets its G back when it is done with that, by the
    global queue. The two sides, who give way under Sched.lock:
      who hands over                 the thread (lockedm.py, _handle)
      1. stores `nextp`              1. stores `handling`, unless there is a `nextp`
      2. handling: takes it back     2. done: its G has come up: onto the global queue
    """
    givep(m, p)
    if m.handling:
        with (m.sched or p.sched).lock:  # that of its G's program, which may not be that of `p`
            if m.handling and m.nextp is p:
                m.nextp = None
                m.handling = CAMEUP
                return False
    m.park.wakeup()
    return True


def acquirep(m: M, p: P | None = None) -> None:
    """Take `p`, or what whoever woke this M left for it; one that is gone meanwhile is drained."""
    if p is None:
        p, m.nextp = m.nextp, None
        if p is None:
            return
    p.schedtick += 1
    p.began = monotonic()
    p.m = m
    m.p = p
    if gone(p):  # after that: either procresize sees that we have it, or we that it is gone
        m.p = p.m = None  # before it is drained: see strayed
        hooks.drainp(p)
        wakep(p.sched)


def minit(m: M) -> None:
    """Note which thread this is, and by which clock sysmon sees whether it works. Go: minit."""
    m.ident = threading.get_ident()
    m.nativeid = threading.get_native_id()
    getid = getattr(time, "pthread_getcpuclockid", None)
    m.clock = None if getid is None else getid(m.ident)


def releasep(m: M) -> P | None:
    """Take the P off this M, whose thread is about to wait or end; None if it has none.

    Under the lock, for sysmon may take it too, and one of the two must win. Go: releasep.
    """
    sched = m.sched
    if sched is None:
        return None
    with sched.lock:
        p, m.p = m.p, None
        hog = m.hog
        if hog:
            hogback(sched, m)
    if hog and sched.npidle and globwork(sched):
        wakep(sched)
    return p


def hogback(sched: Sched, m: M) -> None:
    """A hog has come to a scheduling point: one that waits may run. Caller holds Sched.lock."""
    m.hog = False
    sched.nhogs -= 1
    sched.hogwhen = monotonic()
    if not sched.hogq:
        sched.maxhogs = len(sched.allp)


def globwork(sched: Sched) -> bool:
    """A goroutine waits that belongs to no P: on the global queue, or held back as a hog."""
    return bool(sched.runq or (sched.hogq and sched.nhogs < sched.maxhogs))


def gone(p: P) -> bool:
    """gomaxprocs has taken this P away."""
    return p.sched.allp[p.pid : p.pid + 1] != [p]


def notesleep(m: M, timeout: float = -1) -> bool:
    """Sleep on the M's note, until woken or for `timeout` seconds; False if time was up.

    On the main thread a signal may come between the interpreter's last look for one and the
    start of the wait, which then does not end. So that thread looks once more, soon.
    """
    if (m.m0 or m.ident == threading.main_thread().ident) and not 0 <= timeout <= SIGNALCHECK:
        if m.park.sleep(SIGNALCHECK):
            return True
        timeout -= SIGNALCHECK if timeout > 0 else 0
    return m.park.sleep(timeout)


def handoffp(sched: Sched, p: P) -> None:
    """Give away the P of an M whose thread is about to wait. Go: handoffp."""
    try:
        _handoff(sched, p)
    except MemoryError as exc:  # it would be lost
        hooks.throw(exc)


def _handoff(sched: Sched, p: P) -> None:
    # What runs next sits on another thread: wake that one, not one more in between. Not every
    # time, or two that wake each other so would keep the loop, and all others, from running.
    g = None if p.schedtick % SCHEDTICK == 0 else _pinnednext(p)
    lockedm = None if g is None else g.lockedm
    if lockedm is not None and givelocked(lockedm, p):
        return
    dead = None
    with sched.lock:
        if not sched.ended and p.empty() and not globwork(sched) and not wantpoller(sched):
            pidleput(sched, p)
            # A submitter that saw no idle P has put its G there, or on `p`, by now.
            late = globwork(sched) or not p.empty() or wantpoller(sched)
            again = pidleget(sched) if late and sched.pidle else None
            if again is None:
                dead = hooks.checkdead(sched)
        else:
            again = None if sched.ended else p
        m = None if again is None else midleget(sched, again)
    if sched.ended:
        toolate(sched, p)  # its end may have been before we had looked at the queue
    elif dead is not None:
        hooks.deadlock(sched, dead)
    elif again is not None:
        startm(sched, m, again)


def toolate(sched: Sched, p: P | None = None) -> None:
    """What was put on a queue of a program that has ended: see to it, unless our loop will.

    The queue of `p` first, for gomaxprocs may have taken that away, and then nobody knows it.
    """
    if p is not None:
        hooks.drainp(p)
    m = tls.m
    if m is None or m.g is not None or m.sched is not sched:
        hooks.abandon(sched, None)


def _pinnednext(p: P) -> G | None:
    """Take the next G of `p` if it is pinned to a thread; else leave it where it is."""
    for take, back in ((p.runnext.pop, p.runnext.append), (p.runq.popleft, p.runq.appendleft)):
        try:
            g = take()
        except IndexError:
            continue
        if g.lockedm is not None:
            return g
        back(g)
        return None
    return None


def wantpoller(sched: Sched) -> bool:
    """There is a timer and no idle M sleeps until it, or nobody is in the network poller.

    Caller holds Sched.lock.
    """
    if netdoor.opened and netdoor.sleeper is None:
        return True
    when = sched.timers.when
    return when is not NEVER and (sched.pollm is None or sched.polluntil > when)


def wakepoller(sched: Sched) -> None:
    """A timer earlier than all others was added: let somebody idle sleep until it only."""
    if not sched.npidle:
        return  # every P has an M, and those look at the timers between two goroutines
    if not _schedlock(sched, wakepoller):
        return
    try:
        if not sched.pidle or sched.ended or not wantpoller(sched):
            return
        p = pidleget(sched)
        m = sched.pollm
        if m is not None:
            sched.midle.remove(m)
            sched.midle.append(m)
        m = midleget(sched, p)
    finally:
        sched.lock.release()
    startm(sched, m, p)
