"""The sleep of an idle M in the network poller.

One M at a time sleeps there, `netdoor.sleeper` is its note, and whoever wakes the note breaks the
poll off (`Note.breaks`). So it can be chosen for work, or told to look around, as one that sleeps
on its note alone.

Which M it is, is decided under Sched.lock (`_sleeptime` and `netblock` in proc.py).
Source: Go 1.27 runtime/proc.go, findRunnable's last poll. Tests: tests/net
"""

from __future__ import annotations

from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.runtime2 import G, M, Note, Sched
from gopark._runtime.sched.startm import SIGNALCHECK, current, wakepoller

__all__ = ("netleave", "netsleep")


def netsleep(m: M, timeout: float) -> list[G]:
    """Sleep in the network poller, where `Note.wakeup` gets this thread out."""
    note = m.park
    found: list[G] = []
    if not note.taken():
        found = _netwait(m, note, timeout)
    sched = m.sched
    assert sched is not None
    netleave(m, sched)
    note.taken()
    return found


def _netwait(m: M, note: Note, timeout: float) -> list[G]:
    found = []
    if m.m0 and not 0 <= timeout <= SIGNALCHECK:  # see notesleep
        found = netdoor.poll(SIGNALCHECK)
        timeout -= SIGNALCHECK if timeout > 0 else 0
    if not found and not note.taken():
        found = netdoor.poll(timeout)
    return found


def netleave(m: M, sched: Sched) -> None:
    """Another may sleep there now; in a program that began meanwhile one may have to be told."""
    m.park.breaks = netdoor.sleeper = None
    if sched.ended and (other := current()) is not None and other is not sched:
        wakepoller(other)
