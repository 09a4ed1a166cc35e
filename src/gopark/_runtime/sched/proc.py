"""The scheduler: which M runs which G, and when an M sleeps.

Terms. A G is a goroutine, an M an OS thread that runs Gs, a P the right to schedule; an M
needs a P to take Gs off queues. Each P has a queue and a `runnext` slot; there is a global
queue, looked at first at least once in SCHEDTICK steps so that nothing starves.

Parking, exactly once. A primitive that must wait holds its own lock, puts its G on a wait
queue, stores its unlock function in `m.waitunlockf` and yields PARK. The loop marks the G
waiting and only then calls the function. So nobody can make a G runnable while its
coroutine still executes, and no wake-up falls between the queue and the sleep.

Locks: Sched.lock (rank SCHED). Notes are woken after it is released.
May run without a P: everything but `schedule`; `ready` then uses the global queue.
Source: Go 1.27 runtime/proc.go. Left out: preemption, retaking a P (sysmon), GC.
Tests: tests/runtime/test_proc.py
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from gopark._runtime.base.errors import Throw
from gopark._runtime.base.hooks import hooks, netdoor
from gopark._runtime.base.runtime2 import (
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
    codeof,
    tls,
)
from gopark._runtime.sched.netsleep import netblock, netleave, netsleep
from gopark._runtime.sched.onm0 import OnM0, comehome
from gopark._runtime.sched.runq import (
    drainp,
    globrunqget,
    onthread,
    resetspinning,
    runqhead,
    runqshare,
    runqsteal,
    stealorder,
    strayed,
)
from gopark._runtime.sched.startm import (
    SCHEDTICK,
    acquirep,
    givelocked,
    givep,
    globwork,
    handoffp,
    hogback,
    midleget,
    midleput,
    minit,
    notesleep,
    ourthreads,
    pending,
    pidleget,
    pidleput,
    releasep,
    startm,
    toolate,
    wantpoller,
)
from gopark._runtime.sched.timer import NEVER
from gopark._runtime.twin import native

__all__ = ("UNUSUAL", "mstart", "schedule", "stopm")

IDLETIME: Final = 5.0  # seconds: an idle thread that was not needed for so long ends


# --- a thread of ours, and its sleep -----------------------------------------------------


def mstart(m: M) -> None:
    """A new thread of ours, from its first to its last line."""
    tls.m = m
    minit(m)
    ourthreads.add(m.ident)
    sched = m.sched
    assert sched is not None
    try:
        hooks.minit()
        acquirep(m)
        schedule(m)
        if sched.forked:  # this is the child, and what it was in has parked
            hooks.cameback(m, sched, None)
        if sched.ended:  # it may have drained a P since it last looked, or have been given one
            if (p := m.p) is not None:
                drainp(p)
            hooks.abandon(sched, None)
    except BaseException as exc:  # a bug of ours: say so rather than lose a thread
        hooks.throw(exc)
    finally:
        with sched.lock:
            if m in sched.allm:
                sched.allm.remove(m)
            dead = hooks.checkdead(sched)  # it counted as one that is awake
        if dead is not None:
            hooks.deadlock(sched, dead)
        tls.m = None
        ourthreads.discard(m.ident)
        m.ident = 0


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
        if m.hog:
            hogback(sched, m)
        if m.spinning:
            m.spinning = False
            sched.nmspinning -= 1
        if p is not None:
            pidleput(sched, p)
        # Another P's `runnext` is its own M's to run, if that comes back to its loop soon.
        work = globwork(sched) or any(
            q.runq or (q.runnext and (q is p or onthread(q))) for q in sched.allp
        )
        if work and sched.pidle:
            p = pidleget(sched)
            acquirep(m, p)
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
        with sched.lock:
            dead = hooks.checkdead(sched)
            recheck = sched.recheck
        if dead is not None:
            hooks.deadlock(sched, dead)
        else:
            notesleep(m, recheck)
    return False


def _sleeptime(sched: Sched, m: M) -> float:
    """How long an M that goes idle sleeps at most; it becomes the poller if one is wanted."""
    if sched.pidle and wantpoller(sched):
        sched.pollm = m
        when: float = sched.timers.when
        sched.polluntil = when
        if netdoor.opened and netdoor.sleeper is None:
            netdoor.sleeper = m.park
            m.park.breaks = netdoor.wakeup
        if when is not NEVER:
            return max(0.0, when - monotonic())
    return sched.recheck  # -1, or when to ask again whether the program is dead


def _sleep(sched: Sched, m: M, timeout: float) -> bool:
    """Sleep until chosen, woken or for `timeout`; without one, until nobody needed it for long."""
    note = m.park
    found: list[G] | None = None
    spare = timeout < 0 and not m.m0 and note.breaks is None and m is not _lastidle(sched)
    while m.nextp is None and not sched.ended:
        if note.breaks is not None and found is None:
            found = netsleep(m, timeout)
            woken = bool(found)
        else:
            woken = notesleep(m, IDLETIME if spare else timeout)
        with sched.lock:
            if not m.idle:
                timeout, spare = -1, False  # chosen (nextp), or the program has ended
                continue
            # Time is up, or somebody wants this M to look around (deadlock.recheck).
            m.idle = False
            sched.midle.remove(m)
            if sched.pollm is m:
                sched.pollm = None
            if spare and not woken:
                sched.allm.remove(m)
                return False
            if sched.pidle:
                givep(m, pidleget(sched))
            break
    if note is netdoor.sleeper:  # chosen before it came to that
        netleave(m)
    acquirep(m)
    if found:
        netdoor.ready(found)
    return not sched.ended


def _lastidle(sched: Sched) -> M | None:
    """The idle thread of ours that is woken last: it stays for good, the others end in time."""
    with sched.lock:
        return next((m for m in sched.midle if not m.m0), None)


# --- the loop ----------------------------------------------------------------------------


def findrunnable(m: M) -> G | None:
    """The next G for this M, sleeping until there is one. None: the program has ended."""
    sched = m.sched
    assert sched is not None
    while True:
        if pending and m.m0:
            hooks.safepoint(m)
        p = m.p
        if p is None or sched.ended:
            if not stopm(m):
                return None
            if hooks.round is not None and m not in hooks.rounds:
                return hooks.round(m)  # tracing began while it slept
            continue
        sched.now = p.began = now = monotonic()
        if now >= sched.timers.when:
            sched.timers.run(now)
        if netdoor.opened and netdoor.sleeper is None:
            netdoor.ready(netdoor.poll(0))  # once a slice, while nobody sleeps there
        p.schedtick += 1
        if sched.hogq and (g := hogget(m, sched)) is not None:
            return g
        # In turn, so that neither queue starves the other whatever sends us here.
        if not sched.runq:
            g = runqhead(p)
        elif p.schedtick & 1:
            g = globrunqget(sched, p) or runqhead(p)
        else:
            g = runqhead(p) or globrunqget(sched, p)
        if g is None:
            g = _steal(m, sched, p)
        elif not p.runq and len(sched.allp) > 1:
            runqshare(p)
        if m.p is not p:
            strayed(p)  # taken while we moved Gs onto it
        if g is not None and sched.nhogs >= sched.maxhogs and deferhog(sched, g):
            continue
        if g is not None:
            if m.spinning:
                resetspinning(m, sched)
            if sched.careful and codeof(g) in sched.sleepcodes:
                _withoutp(m, sched, g)
            return g
        if not stopm(m):
            return None
        if hooks.round is not None and m not in hooks.rounds:
            return hooks.round(m)


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


def _withoutp(m: M, sched: Sched, g: G) -> None:
    """This goroutine is about to block its thread, in all likelihood: see sysmon.py."""
    if g.lockedm is not None or g is sched.main or (m.m0 and g.coro is None):
        return
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)


def deferhog(sched: Sched, g: G) -> bool:
    """Hold back a goroutine that is likely to compute while enough others do: see sysmon.py."""
    if codeof(g) not in sched.hogcodes or g is sched.main or g.lockedm is not None:
        return False
    with sched.lock:
        if sched.nhogs < sched.maxhogs or sched.ended:
            return False
        if not sched.hogq:
            sched.hogwhen = monotonic()
        sched.hogq.append(g)
    return True


def hogget(m: M, sched: Sched) -> G | None:
    """One that was held back, once there is room again. It runs as a hog, without a P."""
    with sched.lock:
        if sched.nhogs >= sched.maxhogs or not sched.hogq or m.p is None:
            return None
        g = sched.hogq.popleft()
        p, m.p = m.p, None
        m.hog = True
        sched.nhogs += 1
    if m.spinning:
        resetspinning(m, sched)
    handoffp(sched, p)
    return g


def badrunnable(g: G) -> None:
    raise Throw(f"schedule: goroutine {g.goid} is {g.status.name}, not runnable")


def schedule(m: M) -> None:
    """Run goroutines on this thread until the program ends. Go: schedule and execute.

    The inner loop is the hot path: it runs Gs of the local queue, `runnext` first, and
    leaves every SCHEDTICK steps, when a timer is due, or when the queue is empty.
    """
    sched = m.sched
    assert sched is not None
    timers = sched.timers
    armed = timers.armed
    unlistg = allgs.discard
    monotime = monotonic
    # Tuples: to go through a range makes an integer at each step, 1 % of a yield (3.11).
    ticks, onetick = (None,) * (SCHEDTICK - 1), (None,)
    # Locals: as globals they would cost 5 % of a yield, 2 % of a round trip (3.13).
    runnable, running, waiting = GRUNNABLE, GRUNNING, GWAITING
    park, done, gosched, next_ = PARK, DONE, GOSCHED, next
    opened = netdoor.opened
    runslice = None if native is None else native.runslice
    g: G | None = None
    nop = p = P(-1, sched)  # in the place of a P that was taken before the first step
    while True:
        if g is not None and sched.ended:
            if m.p is None:
                drainp(p)
            hooks.abandon(sched, g)
        g = None  # an idle M keeps no goroutine alive
        g = findrunnable(m)
        if g is None:
            return
        p = m.p or nop
        runnext, runq = p.runnext, p.runq
        popnext, popleft, append, gfput = runnext.pop, runq.popleft, runq.append, p.gfree.append
        now = sched.now
        # findrunnable is to see each goroutine before it runs, while it may hold one back or there
        # are sleepers. Who comes to be a hog in this slice ends it, for it loses its P.
        steps = ticks if not (sched.nhogs >= sched.maxhogs or sched.careful) else onetick
        if runslice is not None:
            g = runslice(m, p, g, len(steps), now, timers, opened)
            if m.p is not p:
                strayed(p)
            continue
        for _ in steps:
            if g.status is not runnable:
                badrunnable(g)
            g.status = running
            if g.m is not m:
                if g.m is not None and g.m.sched is not sched:
                    astray(g, g.m)
                g.m = m
            m.curg = g
            try:
                # next() with a default, and not send(): a coroutine that returns None then
                # ends without an exception being made, 0.2 µs of spawn and finish.
                command = g.ctx.run(next_, g.step, done)  # type: ignore[union-attr, arg-type]
            except BaseException as exc:
                hooks.goexit0(m, g, exc)
                m.curg = None
            else:
                if command is park and m.lockedg is None:
                    m.curg = None
                    g.waitsince = now
                    g.status = waiting
                    unlockf = m.waitunlockf  # 3.11 calls a slot's value slowly
                    unlockf(None)  # type: ignore[misc]
                    del unlockf  # it may refer to what `g` waits on: see mgcleak.py
                elif command is done and m.lockedg is None and g is not sched.main:
                    m.curg = None
                    unlistg(g)
                    g.status = GDEAD
                    g.ctx = g.coro = g.step = g.gocode = g.goglobals = None
                    gfput(g)
                elif command is gosched and m.lockedg is None:
                    m.curg = None
                    g.status = runnable
                    # Not onto the global queue, as Go does: that one is shared between Ps,
                    # and this one is seen to often enough for nobody to starve.
                    append(g)
                else:
                    _unusual(m, g, command)
            if m.p is not p or (armed and monotime() >= timers.when):
                break
            try:
                g = popnext() if runnext else popleft()
            except IndexError:
                if not opened or (g := netblock(m, sched, p)) is None:
                    break
                now = sched.now
        else:
            putback(p, g)
        if m.p is not p:
            strayed(p)


def putback(p: P, g: G) -> None:
    """The slice was over before it began: others first.

    With hogs each slice is one step, and then not each time: one that starts the next as it ends
    would be the only one to run.
    """
    sched = p.sched
    onestep = (sched.nhogs or sched.careful) and p.schedtick % SCHEDTICK
    p.runq.appendleft(g) if onestep else p.runq.append(g)


def _unusual(m: M, g: G, command: object) -> None:
    """A step ended with something else than a plain wait or yield."""
    if command is DONE:
        hooks.goexit0(m, g, None)
        m.curg = None
    elif command is LOCKED:
        m.curg = None
        casgstatus(g, GRUNNING, GRUNNABLE)
        if isinstance(g.ctx, _Astray):
            _gohome(g, g.ctx)
        elif isinstance(g.ctx, OnM0):
            comehome(m, g)
        else:
            startlockedm(m, g)
    elif m.lockedg is g:
        hooks.parklocked(m, g, command)
    else:
        hooks.badcommand(m, g, command)


class _Astray:
    """Stands for one step in the place of the context of a goroutine whose program has ended.

    A channel knows no programs: somebody in the next one may wake it before its end comes to it.
    """

    __slots__ = ("ctx", "m")

    def __init__(self, ctx: Any, m: M) -> None:
        self.ctx = ctx  # for those who look
        self.m = m

    def run(self, *_: object) -> object:
        return LOCKED


def astray(g: G, last: M) -> None:
    """`g` was run by an M of another program before. One that sits on its thread goes there."""
    if g.lockedm is None:
        g.ctx = _Astray(g.ctx, last)  # type: ignore[assignment]


def _gohome(g: G, away: _Astray) -> None:
    """Back to the program that it is of, to be closed with all that is left there."""
    g.ctx, g.m = away.ctx, away.m
    home = away.m.sched
    assert home is not None
    home.runq.append(g)
    toolate(home)


UNUSUAL: Final = _unusual.__code__


def startlockedm(m: M, g: G) -> None:
    """Give this M's P to the thread that `g` has to run on. Go: startlockedm."""
    sched = m.sched
    assert sched is not None
    p = releasep(m)
    lockedm = g.lockedm
    if lockedm is not None:
        g.m = lockedm
    if p is None:
        sched.runq.append(g)
    elif lockedm is None:
        # A plain function, met by the thread that called run: it goes to another thread,
        # so that run can return when main does.
        with sched.lock:
            p.runq.appendleft(g)
            other = midleget(sched, p)
        startm(sched, other, p)
    elif not givelocked(lockedm, p):
        acquirep(m, p)


hooks.mstart = mstart

if native is not None:
    native.install(badrunnable=badrunnable, unusual=_unusual, astray=astray)
    native.install(putback=putback, netblock=netblock)
