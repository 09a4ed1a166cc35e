"""The thread that called `run`, brought back to it when its program has ended.

When a program ends while M0 is in user code (a fatal error, main done on another thread), the means
of signal_unix.py bring M0 home: a thread that lives until it is there uses them. If that fails for
GRACE seconds after a fatal error, M0 is in C that cannot be interrupted, and the process exits with
status 2, as Go's would at once.

No lock is held here, and M0 is looked at without one: it may be back at any moment, so what is sent
to it may be for nothing, and `Poker` raises ProgramEnded in user code of the ended program only.

Source: none; Go's main exits the process. Tests: tests/runtime/test_signal_unix.py
"""

from __future__ import annotations

import _thread
import os
import time
from math import inf
from typing import Final

from gopark._runtime.base.runtime2 import GWAITING, Sched
from gopark._runtime.sched.panic import doors
from gopark._runtime.signal.signal_unix import Poker

__all__ = ("GRACE", "bringhome")

GRACE: Final = 1.0  # seconds
_PATIENCE: Final = 0.02  # seconds that a step on M0 has to end by itself when the program has ended
_PAUSE: Final = 0.005
_ALONE: Final = 0.5  # seconds that who ends a program sees to it himself, without a thread for it


def bringhome(sched: Sched) -> None:
    """The program has ended: see that M0 gets back to `run`."""
    m0 = sched.m0
    g = None if m0 is None else m0.curg
    if m0 is None or g is None or g.status is GWAITING:
        return  # asleep: it has been woken
    try:
        _thread.start_new_thread(_home, (sched,))
    except (RuntimeError, MemoryError):  # no more threads: this one does it, if it can
        if m0.ident != _thread.get_ident():
            _home(sched, _ALONE)


def _home(sched: Sched, patience: float = inf) -> None:
    began = time.monotonic()
    with Poker(sched, home=True) as poker:
        while (m0 := sched.m0) is not None and (g := m0.curg) is not None:
            waited = time.monotonic() - began
            if waited > patience:
                break  # M0 may wait for what the caller holds
            if waited > _PATIENCE and g.status is not GWAITING:
                poker.poke(m0)
            if waited > GRACE and sched.fatal is not None:
                os._exit(2)
            time.sleep(_PAUSE)


doors.bringhome = bringhome
