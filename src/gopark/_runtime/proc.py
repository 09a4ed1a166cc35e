"""The scheduler: which M runs which G, and when an M sleeps.

Terms. A G is a goroutine, an M an OS thread that runs Gs, a P the right to schedule; an M
needs a P to take Gs off queues. Each P has a queue and a `runnext` slot; there is a global
queue, looked at first at least once in SCHEDTICK steps so that nothing starves.

Parking, exactly once. A primitive that must wait holds its own lock, puts its G on a wait
queue, stores its unlock function in `m.waitunlockf` and yields PARK. The loop marks the G
waiting and only then calls the function. So nobody can make a G runnable while its
coroutine still executes, and no wake-up falls between the queue and the sleep.

No lost wake-up, the two sides step by step:
  a submitter               an M that goes idle
  1. puts G on a queue      1. shows its P idle (npidle), under Sched.lock
  2. reads npidle           2. looks at every queue again, under Sched.lock
  3. nonzero: wakep         3. empty: puts itself on midle and sleeps
Either the submitter sees the idle P or the M sees the G. `ready` skips step 3 only when its
own M will run the G next (runnext) and still has its P.

Spinning. An M that was woken because there is work, and has found none yet, is spinning;
`wakep` starts one only if there is none, and the one that finds work starts the next.

Locks: Sched.lock (rank SCHED). Notes are woken after it is released.
May run without a P: everything but `schedule`; `ready` then uses the global queue.
Source: Go 1.27 runtime/proc.go. Left out: preemption, retaking a P (sysmon), GC.
Tests: tests/runtime/test_proc.py
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from math import gcd
from time import monotonic
from typing import Any, Final

from gopark._runtime.errors import Throw
from gopark._runtime.runtime2 import (
    DONE,
    GDEAD,
    GOSCHED,
    GRUNNABLE,
    GRUNNING,
    GWAITING,
    LOCKED,
    PARK,
    G,
    M,
    P,
    Sched,
    allgs,
    casgstatus,
    tls,
)
from gopark._runtime.timer import NEVER, Timers

__all__ = (
    "getsched",
    "handoffp",
    "hooks",
    "notbusy",
    "ready",
    "runqput",
    "schedule",
    "wakep",
)

SCHEDTICK: Final = 61
_LOCALQ: Final = 256  # as many as Go's local queue holds; we take at most half of it at once


class Hooks:
    """Doors to the layers above, set once by them, so that imports run one way."""

    goexit0: Callable[[M, G, BaseException | None], None]  # panic.py
    checkdead: Callable[[Sched], str | None]  # deadlock.py
    deadlock: Callable[[Sched, str], None]  # deadlock.py
    badcommand: Callable[[M, G, object], None]  # lockedm.py
    parklocked: Callable[[M, G, object], None]  # lockedm.py
    minit: Callable[[], None]  # mfinal.py: what each new thread of ours sets up
    throw: Callable[[BaseException], None]  # panic.py
    abandon: Callable[[Sched, G | None], None]  # rt0.py


hooks: Final = Hooks()

_current: Sched | None = None
_gomaxprocs = 1
_sched_lock = threading.Lock()  # guards the making of a Sched


# --- the program -------------------------------------------------------------------------


def getsched() -> Sched:
    """The running program; one without a main if none is, for the runtime starts at first use."""
    sched = _current
    return newsched() if sched is None or sched.ended else sched


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


def forget() -> None:
    """In the child of a fork: there is no program, and no thread but this one."""
    global _current, _sched_lock
    _current = None
    _sched_lock = threading.Lock()


# --- run queues --------------------------------------------------------------------------


def ready(g: G) -> None:
    """Make a waiting G runnable; the caller owns its wake-up. Go: goready."""
    if g.status is not GWAITING:
        if g.status is GDEAD:
            return  # its program ended while it waited
        raise Throw(f"ready: goroutine {g.goid} is {g.status.name}, not waiting")
    g.status = GRUNNABLE
    m = tls.m
    if m is None or (p := m.p) is None:
        globrunqput(g)
        return
    # As runqput, in line: a call less is 50 ns of the 2 µs of a channel round trip.
    runnext = p.runnext
    if runnext:
        try:
            p.runq.append(runnext.pop())
        except IndexError:
            pass
    runnext.append(g)
    if m.p is not p:
        strayed(p)
    elif p.sched.npidle:
        spread(m, p)


def runqput(m: M, p: P, g: G) -> None:
    """Put a runnable G in `runnext`; what was there goes to the tail of the queue."""
    runnext = p.runnext
    if runnext:
        try:
            p.runq.append(runnext.pop())
        except IndexError:
            pass
    runnext.append(g)
    if m.p is not p:
        strayed(p)
    elif p.sched.npidle:
        spread(m, p)


def spread(m: M, p: P) -> None:
    """There is an idle P: wake an M for it if this M will not soon run all that `p` holds.

    A coroutine comes back to the loop, which then runs `runnext`; a plain function may
    compute or wait for long, so what it readies goes where others can take it.
    """
    g = m.curg
    if g is not None and (g.coro is None or g.lockedm is not None):
        try:
            p.runq.append(p.runnext.pop())
        except IndexError:
            pass
    if p.runq:
        wakep(p.sched)


def strayed(p: P) -> None:
    """Gs may have been put on `p` after it was taken from the M that did so: see to them.

    An idle P's queue is nobody's to look at, and that of a P which gomaxprocs has taken away
    even less, so they go to the global queue.
    """
    sched = p.sched
    if p.m is None:
        drainp(p)
    if sched.runq and sched.npidle:
        wakep(sched)


def drainp(p: P) -> None:
    """Move what a P has queued to the global queue, each G by the one who popped it."""
    for take in (p.runnext.pop, p.runq.popleft):
        try:
            while True:
                p.sched.runq.append(take())
        except IndexError:
            pass


def globrunqput(g: G) -> None:
    sched = getsched()
    sched.runq.append(g)
    if sched.npidle:
        wakep(sched)


def globrunqget(sched: Sched, p: P) -> G | None:
    """One G from the global queue, and a fair share of it onto an empty local queue."""
    q = sched.runq
    if not q:
        return None
    n = 1 if p.runq else min(len(q) // len(sched.allp) + 1, _LOCALQ // 2)
    return _take(q, n, p.runq)


def _take(q: deque[G], n: int, rest: deque[G]) -> G | None:
    """Up to `n` Gs from the head of `q`: the first is returned, the others go onto `rest`."""
    try:
        g = q.popleft()
    except IndexError:
        return None
    try:
        for _ in range(n - 1):
            rest.append(q.popleft())
    except IndexError:
        pass  # others take from it too
    return g


def stealorder(sched: Sched) -> list[P]:
    """Every P once, from a random start by a random step that is coprime with their number."""
    allp = sched.allp
    n = len(allp)
    start = sched.random.randrange(n)
    step = sched.random.choice([k for k in range(1, n + 1) if gcd(k, n) == 1])
    return [allp[(start + i * step) % n] for i in range(n)]


def runqsteal(p: P, victim: P) -> G | None:
    """Take half of another P's queue; the first is to run, the rest go on ours."""
    q = victim.runq
    n = len(q)
    return _take(q, n - n // 2, p.runq)


# --- Ms: start, stop, hand over ----------------------------------------------------------


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
    return p


def pidleput(sched: Sched, p: P) -> None:
    """Caller holds Sched.lock. A P that gomaxprocs took away is dropped, not its queue."""
    p.m = None
    if p.pid >= len(sched.allp) or sched.allp[p.pid] is not p:
        drainp(p)
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
    m.nextp = p
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
    m.nextp = p
    m.spinning = spinning
    with sched.lock:
        sched.allm.append(m)
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        options["context"] = Context()  # 3.14t would hand down the starter's context
    threading.Thread(
        target=mstart, args=(m,), name=f"gopark-M{m.mid}", daemon=True, **options
    ).start()


def mstart(m: M) -> None:
    """A new thread of ours, from its first to its last line."""
    tls.m = m
    m.ident = threading.get_ident()
    sched = m.sched
    assert sched is not None
    try:
        hooks.minit()
        acquirep(m)
        schedule(m)
    except BaseException as exc:  # a bug of ours: say so rather than lose a thread
        hooks.throw(exc)
    finally:
        with sched.lock:
            sched.allm.remove(m)
        tls.m = None
        m.ident = 0


def acquirep(m: M) -> None:
    """Take the P that whoever woke this M left for it."""
    p, m.nextp = m.nextp, None
    if p is not None:
        p.m = m
        m.p = p


def handoffp(sched: Sched, p: P) -> None:
    """Give away the P of an M whose thread is about to wait. Go: handoffp."""
    g = _pinnednext(p)
    if g is not None and g.lockedm is not None:
        # What runs next sits on another thread: wake that one, not one more in between.
        g.lockedm.nextp = p
        g.lockedm.park.wakeup()
        return
    dead = None
    with sched.lock:
        if sched.ended:
            return
        if p.empty() and not sched.runq and not _wantpoller(sched):
            pidleput(sched, p)
            if not sched.runq:  # a submitter that saw no idle P has put its G there by now
                dead = hooks.checkdead(sched)
                p = None  # type: ignore[assignment]
            else:
                p = pidleget(sched)
        m = None if p is None else midleget(sched, p)
    if dead is not None:
        hooks.deadlock(sched, dead)
    elif p is not None:
        startm(sched, m, p)


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


def _wantpoller(sched: Sched) -> bool:
    """There is a timer and no idle M sleeps until it. Caller holds Sched.lock."""
    when = sched.timers.when
    return when is not NEVER and (sched.pollm is None or sched.polluntil > when)


def wakepoller(sched: Sched) -> None:
    """A timer earlier than all others was added: let somebody idle sleep until it only."""
    if not sched.npidle:
        return  # every P has an M, and those look at the timers between two goroutines
    with sched.lock:
        if not sched.pidle or sched.ended or not _wantpoller(sched):
            return
        p = pidleget(sched)
        m = sched.pollm
        if m is not None:
            sched.midle.remove(m)
            sched.midle.append(m)
        m = midleget(sched, p)
    startm(sched, m, p)


def stopm(m: M) -> bool:
    """Give up the P, if any, and sleep until there is work. False: the program has ended.

    Called without a P, or with one whose queue the caller found empty.
    """
    sched = m.sched
    assert sched is not None
    m.curg = None
    dead = None
    if m.lockedg is not None:
        return _mexit(m, sched)
    with sched.lock:
        if sched.ended:
            return False
        p, m.p = m.p, None
        if m.spinning:
            m.spinning = False
            sched.nmspinning -= 1
        if p is not None:
            pidleput(sched, p)
        if sched.pidle and (sched.runq or any(q.runq or (q is p and q.runnext) for q in sched.allp)):
            p = pidleget(sched)
            p.m = m
            m.p = p
            return True
        if m.nextp is None:
            midleput(sched, m)
        dead = hooks.checkdead(sched)
        timeout = _sleeptime(sched, m)
    if dead is not None:
        hooks.deadlock(sched, dead)
    return _sleep(sched, m, timeout)


def _mexit(m: M, sched: Sched) -> bool:
    """The G locked to this thread has ended and takes it along; only `run`'s thread stays."""
    while m.m0 and not sched.ended:
        m.park.sleep()
    return False


def _sleeptime(sched: Sched, m: M) -> float:
    """How long an M that goes idle sleeps at most; it becomes the poller if one is wanted."""
    if sched.pidle and _wantpoller(sched):
        sched.pollm = m
        sched.polluntil = sched.timers.when
        return max(0.0, sched.polluntil - monotonic())
    return sched.recheck  # -1, or when to ask again whether the program is dead


def _sleep(sched: Sched, m: M, timeout: float) -> bool:
    while m.nextp is None and not sched.ended:
        m.park.sleep(timeout)
        with sched.lock:
            if not m.idle:
                timeout = -1  # chosen (nextp), or the program has ended
                continue
            # Time is up, or somebody wants this M to look around (deadlock.recheck).
            m.idle = False
            sched.midle.remove(m)
            if sched.pollm is m:
                sched.pollm = None
            if sched.pidle:
                m.nextp = pidleget(sched)
            break
    acquirep(m)
    return not sched.ended


# --- the loop ----------------------------------------------------------------------------


def findrunnable(m: M) -> G | None:
    """The next G for this M, sleeping until there is one. None: the program has ended."""
    sched = m.sched
    assert sched is not None
    while True:
        p = m.p
        if p is None or sched.ended:
            if not stopm(m):
                return None
            continue
        sched.now = now = monotonic()
        if now >= sched.timers.when:
            sched.timers.run(now)
        p.schedtick += 1
        # In turn, so that neither queue starves the other whatever sends us here.
        if p.schedtick & 1:
            g = globrunqget(sched, p) or _runqhead(p)
        else:
            g = _runqhead(p) or globrunqget(sched, p)
        if g is None:
            g = _steal(m, sched, p)
        if g is not None:
            if m.spinning:
                resetspinning(m, sched)
            return g
        if not stopm(m):
            return None


def _runqhead(p: P) -> G | None:
    """The local queue before `runnext`: a pair that wakes each other starves nobody."""
    try:
        return p.runq.popleft()
    except IndexError:
        try:
            return p.runnext.pop()
        except IndexError:
            return None


def _steal(m: M, sched: Sched, p: P) -> G | None:
    if len(sched.allp) == 1:
        return None
    with sched.lock:
        busy = len(sched.allp) - sched.npidle
        if not m.spinning:
            if 2 * sched.nmspinning >= busy:
                return None  # enough are looking already
            m.spinning = True
            sched.nmspinning += 1
    for victim in stealorder(sched):
        if victim is not p and (g := runqsteal(p, victim)) is not None:
            return g
    return None


def resetspinning(m: M, sched: Sched) -> None:
    """This M has found work; if it was the last that looked, another one is to look."""
    with sched.lock:
        m.spinning = False
        sched.nmspinning -= 1
        last = sched.nmspinning == 0
    if last and sched.npidle:
        wakep(sched)


def notbusy(g: G) -> None:
    raise Throw(f"schedule: goroutine {g.goid} is {g.status.name}, not runnable")


_NOP: Final = P(-1, Sched(0))  # in the place of a P that was taken before the first step


def schedule(m: M) -> None:
    """Run goroutines on this thread until the program ends. Go: schedule and execute.

    The inner loop is the hot path: it runs Gs of the local queue, `runnext` first, and
    leaves every SCHEDTICK steps, when a timer is due, or when the queue is empty.
    """
    sched = m.sched
    assert sched is not None
    timers = sched.timers
    heap = timers.heap
    unlistg = allgs.discard
    monotime = monotonic
    ticks = range(SCHEDTICK - 1)
    g: G | None = None
    p = _NOP
    while True:
        if g is not None and sched.ended:
            if m.p is None:
                drainp(p)
            hooks.abandon(sched, g)
        g = None  # an idle M keeps no goroutine alive
        g = findrunnable(m)
        if g is None:
            return
        p = m.p or _NOP
        runnext, runq = p.runnext, p.runq
        popnext, popleft = runnext.pop, runq.popleft
        now = sched.now
        for _ in ticks:
            if g.status is not GRUNNABLE:
                notbusy(g)
            g.status = GRUNNING
            g.m = m
            m.curg = g
            try:
                # next() with a default, and not send(): a coroutine that returns None then
                # ends without an exception being made, 0.2 µs of spawn and finish.
                command = g.ctx.run(next, g.step, DONE)  # type: ignore[union-attr, arg-type]
            except BaseException as exc:
                hooks.goexit0(m, g, exc)
                m.curg = None
            else:
                if command is PARK and m.lockedg is None:
                    m.curg = None
                    g.waitsince = now
                    g.status = GWAITING
                    m.waitunlockf(None)  # type: ignore[misc]
                elif command is DONE and m.lockedg is None and g is not sched.main:
                    m.curg = None
                    unlistg(g)
                    g.status = GDEAD
                    g.ctx = g.coro = g.step = None
                elif command is GOSCHED and m.lockedg is None:
                    m.curg = None
                    g.status = GRUNNABLE
                    # Not onto the global queue, as Go does: that one is shared between Ps,
                    # and this one is seen to often enough for nobody to starve.
                    runq.append(g)
                else:
                    _unusual(m, g, command)
            if m.p is not p or (heap and monotime() >= timers.when):
                break
            try:
                g = popnext() if runnext else popleft()
            except IndexError:
                break
        else:
            runq.append(g)  # the slice was over before it began: others first
        if m.p is not p:
            strayed(p)


def _unusual(m: M, g: G, command: object) -> None:
    """A step ended with something else than a plain wait or yield."""
    if command is DONE:
        hooks.goexit0(m, g, None)
        m.curg = None
    elif command is LOCKED:
        m.curg = None
        casgstatus(g, GRUNNING, GRUNNABLE)
        startlockedm(m, g)
    elif m.lockedg is g:
        hooks.parklocked(m, g, command)
    else:
        hooks.badcommand(m, g, command)


def startlockedm(m: M, g: G) -> None:
    """Give this M's P to the thread that `g` has to run on. Go: startlockedm."""
    sched = m.sched
    assert sched is not None
    p, m.p = m.p, None
    if p is None:
        sched.runq.append(g)
        return
    lockedm = g.lockedm
    if lockedm is None:
        # A plain function, met by the thread that called run: it goes to another thread,
        # so that run can return when main does.
        with sched.lock:
            p.runq.appendleft(g)
            other = midleget(sched, p)
        startm(sched, other, p)
        return
    g.m = lockedm
    lockedm.nextp = p
    lockedm.park.wakeup()
