"""Waiting until every other goroutine waits."""

from __future__ import annotations

from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.runtime2 import GDEAD, GWAITING, G, allgs, getg, tls
from gopark._runtime.time.timesleep import gosched, nap

__all__ = ("wait_all_parked",)

_YIELDS = 100  # that many turns for the others before the clock is asked
_NAP = 0.0005  # seconds, of real time in a bubble too


async def wait_all_parked() -> None:
    """Return once every other goroutine is parked, so that no test has to sleep.

    A goroutine in a `sleep` is parked; one that is in C or computing is not, nor is one for whom
    something has come by the network.

    Example:
        >>> async def main():
        ...     ch = gopark.Chan()
        ...     gopark.go(ch.recv)
        ...     await gopark.testing.wait_all_parked()
        ...     print("chan receive" in gopark.runtime.stack(all=True))
        ...     ch.close()
        >>> gopark.run(main)
        True

    Go: testing/synctest.Wait.
    """
    me = getg()
    turns = 0
    while _network() or not _quiet(me):
        turns += 1
        if turns < _YIELDS:
            await gosched()
        else:  # somebody is on a thread of its own: give it the interpreter
            await nap(_NAP)


def _quiet(me: G | None) -> bool:
    """All others are parked, and nobody can have woken one of them since we looked at it.

    Who wakes a goroutine takes a step for that, or has a P in hand, as one that has taken a timer
    off the heap. So no other P may be busy, before and after, and none have had a step between.
    What computes or is in C without a P is not parked itself, and when it has woken somebody and
    parked since, the second look finds whom.
    """
    before = _ticks()
    return before >= 0 and _allparked(me) and _allparked(me) and before == _ticks()


def _allparked(me: G | None) -> bool:
    return all(g.status in (GWAITING, GDEAD) for g in allgs.copy() if g is not me)


def _ticks() -> int:
    """How many steps there were; -1 while another P than ours is busy."""
    m = tls.m
    assert m is not None
    sched = m.sched
    if sched is None:
        return 0
    with sched.lock:
        busy = len(sched.allp) - sched.npidle - (m.p is not None)
        return -1 if busy > 0 else sum(p.schedtick for p in sched.allp)


def _network() -> bool:
    """Look whether something has come; True if somebody else is just about to say so."""
    if netdoor.opened:
        netdoor.ready(netdoor.poll(0))
    return bool(netdoor.inhand)
