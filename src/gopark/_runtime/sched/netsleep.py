"""The sleep of an idle M in the network poller.

One M at a time sleeps there, `netdoor.sleeper` is its note, and whoever wakes the note breaks the
poll off (`Note.breaks`). So it can be chosen for work, or told to look around, as one that sleeps
on its note alone.

Which M it is, is decided under Sched.lock (`netblock`, and `_sleeptime` in proc.py).
Source: Go 1.27 runtime/proc.go, findRunnable's last poll. Tests: tests/net
"""

from __future__ import annotations

from time import monotonic

from gopark._runtime.base.hooks import hooks, netdoor
from gopark._runtime.base.runtime2 import G, M, P, Sched
from gopark._runtime.sched.runq import resetspinning, runqhead
from gopark._runtime.sched.startm import (
    SIGNALCHECK,
    acquirep,
    current,
    pidleget,
    sysmonwait,
    wakepoller,
)
from gopark._runtime.sched.timer import NEVER

__all__ = ("netblock", "netleave", "netsleep")


def netblock(m: M, sched: Sched, p: P) -> G | None:
    """Nothing to run, and one P alone: sleep in the network poller right here, and back.

    stopm, _sleep and findrunnable in one, step by step: 1. shows its P idle 2. looks at every
    queue again 3. sleeps 4. takes its P back. None: the caller goes the long way, with whatever it
    has by then. pidleput, midleput, pidleget and acquirep are in line (benchmarks/net_echo.py).
    """
    note = m.park
    with sched.lock:
        if (
            len(sched.allp) > 1
            or sched.allp[0] is not p
            or m.p is not p
            or sched.ended
            or sched.pollm is not None
            or netdoor.sleeper is not None
            or m.hog
            or m.spinning
            or m.lockedg is not None
            or m.nextp is not None
            or sched.runq
            or sched.hogq
            or p.runnext
            or p.runq
            or not netdoor.waits()
        ):
            return None
        m.p = m.curg = p.m = None
        sched.pidle.append(p)
        sched.npidle += 1
        m.idle = True
        sched.midle.insert(0 if m.m0 else len(sched.midle), m)
        sched.pollm = m
        # After that: who adds a timer and sees no idle P wakes nobody.
        sched.polluntil = when = sched.timers.when
        netdoor.sleeper = note
        note.breaks = netdoor.wakeup
        work = sched.runq or p.runnext or p.runq
    timeout = -1 if when is NEVER else max(0.0, when - monotonic())
    found = netsleep(m, 0 if work else timeout)
    with sched.lock:
        back = None
        if m.idle:
            m.idle = False
            sched.midle.remove(m)
            sched.pollm = None
            if sched.pidle and (sysmonwait.on or not sysmonwait.started):
                back = pidleget(sched)
            elif sched.pidle:
                back = sched.pidle.pop()
                sched.npidle -= 1
    if back is not p:
        acquirep(m, back)  # or what whoever woke it has left for it
    else:
        p.schedtick += 1
        p.began = monotonic()
        p.m = m
        m.p = p
        if sched.allp[0] is not p or len(sched.allp) > 1:  # after that: see acquirep
            m.p = None
            acquirep(m, p)
    if found:
        netdoor.ready(found)
    if m.p is not p or not found or hooks.round is not None:
        return None
    sched.now = p.began
    g = runqhead(p)
    if g is not None and m.spinning:  # by who chose it meanwhile, to look for work
        resetspinning(m, sched)
    return g


def netsleep(m: M, timeout: float) -> list[G]:
    """Sleep in the network poller, where `Note.wakeup` gets this thread out."""
    note, poll = m.park, netdoor.poll
    taken = note.trylock
    found: list[G] = []
    if not taken(False):
        again = True
        if m.m0 and not 0 <= timeout <= SIGNALCHECK:  # see notesleep
            found = poll(SIGNALCHECK)
            again = not (found or taken(False))
            timeout -= SIGNALCHECK if timeout > 0 else 0
        if again:
            found = poll(timeout)
    netleave(m)
    taken(False)
    return found


def netleave(m: M) -> None:
    """Another may sleep there now; in a program that began meanwhile one may have to be told."""
    m.park.breaks = netdoor.sleeper = None
    sched = m.sched
    assert sched is not None
    if sched.ended and (other := current()) is not None and other is not sched:
        wakepoller(other)
