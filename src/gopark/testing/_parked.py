"""Waiting until every other goroutine waits."""

from __future__ import annotations

from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.runtime2 import GDEAD, GWAITING, allgs, getg
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
    while _network() or any(g.status not in (GWAITING, GDEAD) for g in allgs.copy() if g is not me):
        turns += 1
        if turns < _YIELDS:
            await gosched()
        else:  # somebody is on a thread of its own: give it the interpreter
            await nap(_NAP)


def _network() -> bool:
    """Look whether something has come; True if somebody else is just about to say so."""
    if netdoor.opened:
        netdoor.ready(netdoor.poll(0))
    return bool(netdoor.inhand)
