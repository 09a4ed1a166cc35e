"""The running program, and which M gets which P: wake, start, hand over.

An idle P is on `Sched.pidle`, an idle M on `Sched.midle`, asleep on its note. Who takes a P
off pidle gives it to an M at once: one off midle, or a new thread. The one that wakes an M
has put the P into `m.nextp` before; the M takes it from there (`acquirep`).

Spinning. An M that was woken because there is work, and has found none yet, is spinning;
`wakep` starts one only if there is none, and the one that finds work starts the next.

What a thread has of its own, like a directory after `unshare`, a signal mask or a priority, those
have too that it starts. So a thread that a goroutine is locked to starts none, nor does one that
gopark did not make: they ask sysmon, which runs no goroutine (Go: the template thread).

The one idle M that sleeps until the next timer is the poller (`Sched.pollm`); a timer that
is earlier than its sleep has `wakepoller` wake it, or start one.

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
from typing import Any, Final, NoReturn, Protocol

from gopark._runtime.errors import Throw
from gopark._runtime.runtime2 import G, M, Note, P, Sched, tls
from gopark._runtime.timer import NEVER, Timers

__all__ = (
    "SCHEDTICK",
    "acquirep",
    "current",
    "getsched",
    "givep",
    "globwork",
    "gone",
    "handoffp",
    "hogback",
    "hooks",
    "midleget",
    "midleput",
    "minit",
    "mysched",
    "newsched",
    "notesleep",
    "ourthreads",
    "pidleget",
    "pidleput",
    "releasep",
    "startm",
    "startsysmon",
    "startthread",
    "sysmonwait",
    "wakep",
    "wakepoller",
    "wantpoller",
    "watchers",
)


_SIGNALCHECK: Final = 0.05  # seconds
SCHEDTICK: Final = 61


class TimeBase(Protocol):
    """What timers belong to: a program, or a bubble (bubble.py)."""

    timers: Any

    @property
    def ended(self) -> bool:
        """Its timers fire no more."""
        ...


class Hooks:
    """Doors to the layers above, set once by them, so that imports run one way."""

    mstart: Callable[[M], None]  # proc.py
    drainp: Callable[[P], None]  # runq.py
    goexit0: Callable[[M, G, BaseException | None], None]  # panic.py
    checkdead: Callable[[Sched], str | None]  # deadlock.py
    deadlock: Callable[[Sched, str], None]  # deadlock.py
    badcommand: Callable[[M, G, object], None]  # lockedm.py
    parklocked: Callable[[M, G, object], None]  # lockedm.py
    extras: Callable[[], list[M]]  # extram.py
    mcount: Callable[[Sched], int]  # extram.py
    exhausted: Callable[[Sched], None]  # panic.py
    sysmon: Callable[[], None]  # sysmon.py: start its thread
    updateprocs: Callable[[], None]  # gomaxprocs.py: follow the CPUs that there are
    recordframes: Callable[[M], None]  # traceback.py
    minit: Callable[[], None]  # mfinal.py: what each new thread of ours sets up
    throw: Callable[[BaseException], None]  # panic.py
    fatalerror: Callable[[str], NoReturn]  # panic.py
    abandon: Callable[[Sched, G | None], None]  # rt0.py
    nomain: Callable[[], None]  # nomain.py
    cleanup: Callable[[Sched], Any]  # cleanup.py
    timebase: Callable[[], TimeBase]  # where the caller's timers go; bubble.py exchanges it
    # traceloop.py: stands for findrunnable while the program is traced; the Ms that are in it
    round: Callable[[M], G | None] | None = None
    rounds: Final[set[M]] = set()


hooks: Final = Hooks()

# Identifiers of the threads that newm has started, and of the watchers.
ourthreads: Final[set[int]] = set()
# Of threads that serve signals and requests from outside: they wake no goroutine.
watchers: Final[set[int]] = set()


class _SysmonWait:
    """Whether sysmon sleeps until a P is taken, the note that it sleeps on, what it is asked."""

    def __init__(self) -> None:
        self.started = False
        self.on = False  # set under Sched.lock, or while there is no program
        self.note = Note()
        self.ident = 0
        self.wanted: deque[tuple[Sched, threading.Thread]] = deque()  # threads it is to start


sysmonwait: Final = _SysmonWait()

_current: Sched | None = None
_gomaxprocs = 1
_maxthreads = 10_000
_sched_lock = threading.Lock()  # guards the making of a Sched


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


hooks.timebase = mysched


def current() -> Sched | None:
    """The running program, if there is one."""
    sched = _current
    return None if sched is None or sched.ended else sched


def newsched() -> Sched:
    global _current
    with _sched_lock:
        sched = _current
        if sched is None or sched.ended:
            sched = Sched(_gomaxprocs)
            sched.timers = Timers(lambda s=sched: wakepoller(s))  # type: ignore[misc]
            sched.now = monotonic()
            _current = sched
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
    global _current, _sched_lock
    _current = None
    _sched_lock = threading.Lock()
    ourthreads.clear()


# --- Ms and Ps --------------------------------------------------------------------------


def wakep(sched: Sched) -> None:
    """Start one more M if there is an idle P and nobody is already looking for work."""
    if sched.nmspinning or not sched.npidle:
        return
    with sched.lock:
        if sched.nmspinning or not sched.pidle or sched.ended:
            return
        p = pidleget(sched)
        sched.nmspinning += 1
        m = midleget(sched, p)
        if m is not None:
            m.spinning = True
    startm(sched, m, p, spinning=True)


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
    m = M(sched)
    givep(m, p)
    m.spinning = spinning
    with sched.lock:
        sched.allm.append(m)
    checkmcount(sched)
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        options["context"] = Context()  # 3.14t would hand down the starter's context
    thread = threading.Thread(
        target=hooks.mstart, args=(m,), name=f"gopark-M{m.mid}", daemon=True, **options
    )
    me = tls.m
    if sysmonwait.started and me is not None and (me.lockedg is not None or me.g is not None):
        sysmonwait.wanted.append((sched, thread))
        sysmonwait.note.wakeup()
    else:
        startthread(sched, thread)


def startthread(sched: Sched, thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as exc:
        if not sched.ended:
            have = len(sched.allm)
            hooks.throw(Throw(f"newm: no new thread (have {have} already): {exc}"))


def startsysmon() -> None:
    with _sched_lock:
        if sysmonwait.started:
            return
        sysmonwait.started = True
    hooks.sysmon()


def checkmcount(sched: Sched) -> None:
    """A program with more threads than allowed has gone astray: end it. Go: checkmcount."""
    if hooks.mcount(sched) > maxthreads() and not sched.ended:
        hooks.exhausted(sched)


def givep(m: M, p: P) -> None:
    """Leave `p` for `m`, which is about to be woken. What is queued on it goes along."""
    p.m = m
    m.nextp = p


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
    if m.m0 and not 0 <= timeout <= _SIGNALCHECK:
        if m.park.sleep(_SIGNALCHECK):
            return True
        timeout -= _SIGNALCHECK if timeout > 0 else 0
    return m.park.sleep(timeout)


def handoffp(sched: Sched, p: P) -> None:
    """Give away the P of an M whose thread is about to wait. Go: handoffp."""
    # What runs next sits on another thread: wake that one, not one more in between. Not every
    # time, or two that wake each other so would keep the loop, and all others, from running.
    g = None if p.schedtick % SCHEDTICK == 0 else _pinnednext(p)
    lockedm = None if g is None else g.lockedm
    if lockedm is not None:
        givep(lockedm, p)
        lockedm.park.wakeup()
        return
    dead = None
    with sched.lock:
        if sched.ended:
            return
        if p.empty() and not globwork(sched) and not wantpoller(sched):
            pidleput(sched, p)
            # A submitter that saw no idle P has put its G there, or on `p`, by now.
            late = globwork(sched) or not p.empty() or wantpoller(sched)
            again = pidleget(sched) if late and sched.pidle else None
            if again is None:
                dead = hooks.checkdead(sched)
        else:
            again = p
        m = None if again is None else midleget(sched, again)
    if dead is not None:
        hooks.deadlock(sched, dead)
    elif again is not None:
        startm(sched, m, again)


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
    """There is a timer and no idle M sleeps until it. Caller holds Sched.lock."""
    when = sched.timers.when
    return when is not NEVER and (sched.pollm is None or sched.polluntil > when)


def wakepoller(sched: Sched) -> None:
    """A timer earlier than all others was added: let somebody idle sleep until it only."""
    if not sched.npidle:
        return  # every P has an M, and those look at the timers between two goroutines
    with sched.lock:
        if not sched.pidle or sched.ended or not wantpoller(sched):
            return
        p = pidleget(sched)
        m = sched.pollm
        if m is not None:
            sched.midle.remove(m)
            sched.midle.append(m)
        m = midleget(sched, p)
    startm(sched, m, p)
