"""GOPARKDEBUG=schedtrace=MILLISECONDS,scheddetail=1: the scheduler in Go's lines, on stderr.

Loaded only when asked for. sysmon prints, between two looks, at the first and then once in that
many milliseconds; so it does not go to sleep while every P is idle. The lines and the numbers of
the states are those of GODEBUG, for tools that read them; what has no meaning here is 0:
needspinning, syscalltick, and of an M all from mallocing to dying. There is one heap of
timers, whose length stands at P0.

Locks: Sched.lock while the Ms and Ps are read; writing happens without it.
Source: Go 1.27 runtime/proc.go (schedtrace). Tests: tests/crash/test_schedtrace.py
"""

from __future__ import annotations

import _thread
import os
from contextlib import suppress
from typing import Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GIDLE,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    P,
    Sched,
    Status,
    allgs,
)
from gopark._runtime.sched.snapshot import allms
from gopark._runtime.sched.startm import watchers
from gopark._runtime.sched.sysmon import Sysmon, keepon

__all__ = ("install", "schedtrace")

_NUMBERS: Final[dict[Status, int]] = {
    GIDLE: 0,
    GRUNNABLE: 1,
    GRUNNING: 2,
    GSYSCALL: 3,
    GWAITING: 4,
    GDEAD: 6,
}


class _Tracer(Sysmon):
    """sysmon that prints."""

    def __init__(self, period: float, detailed: bool) -> None:
        super().__init__()
        self.period = period
        self.detailed = detailed
        self.began = self.due = 0.0

    def look(self, sched: Sched, now: float) -> None:
        super().look(sched, now)
        self.idlelooks = 0
        if now >= self.due and not sched.ended:
            self.began = self.began or now
            self.due = now + self.period
            text = schedtrace(sched, int((now - self.began) * 1000), self.detailed)
            with suppress(OSError):  # nobody reads it any more
                os.write(2, text.encode())


def install(milliseconds: str, detailed: bool) -> None:
    """Have sysmon print once in so many milliseconds; not at all if that is no number above 0."""
    if not milliseconds.isdecimal() or not int(milliseconds):
        return
    period = int(milliseconds) / 1000

    def start() -> None:
        _thread.start_new_thread(keepon, (_Tracer(period, detailed),))

    hooks.sysmon = start


def schedtrace(sched: Sched, ms: int, detailed: bool) -> str:
    """The lines of this moment."""
    with sched.lock:
        threads = hooks.mcount(sched) + 1 + len(watchers)  # sysmon is one
        line = (
            f"SCHED {ms}ms: gomaxprocs={len(sched.allp)} idleprocs={sched.npidle}"
            f" threads={threads} spinningthreads={sched.nmspinning} needspinning=0"
            f" idlethreads={len(sched.midle)} runqueue={len(sched.runq)}"
        )
        if not detailed:
            queued = " ".join(str(len(p.runq)) for p in sched.allp)
            ticks = " ".join(str(p.schedtick) for p in sched.allp)
            return f"{line} [ {queued} ] schedticks=[ {ticks} ]\n"
        lines = [f"{line} gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false"]
        lines += [_pline(p) for p in sched.allp]
    lines += [_mline(m) for m in reversed(allms(sched))]  # the newest first, as Go has them
    lines += [_gline(g) for g in sorted(allgs.copy(), key=lambda g: g.goid)]
    return "\n".join(lines) + "\n"


def _pline(p: P) -> str:
    m = p.m
    timers = len(p.sched.timers) if p.pid == 0 else 0
    return (
        f"  P{p.pid}: status={int(m is not None)} schedtick={p.schedtick} syscalltick=0"
        f" m={_mid(m)} runqsize={len(p.runq)} gfreecnt={len(p.gfree)} timerslen={timers}"
    )


def _mline(m: M) -> str:
    p = m.p
    return (
        f"  M{m.mid}: p={'nil' if p is None else p.pid} curg={_goid(m.curg)} mallocing=0"
        f" throwing=0 preemptoff= locks=0 dying=0 spinning={_bool(m.spinning)}"
        f" blocked={_bool(m.idle)} lockedg={_goid(m.lockedg)}"
    )


def _gline(g: G) -> str:
    status = g.status
    reason = g.waitreason if status is GWAITING else ""
    lockedm = g.lockedm
    m = g.m if status in (GRUNNING, GSYSCALL) else lockedm
    return f"  G{g.goid}: status={_NUMBERS[status]}({reason}) m={_mid(m)} lockedm={_mid(lockedm)}"


def _mid(m: M | None) -> int | str:
    return "nil" if m is None else m.mid


def _goid(g: G | None) -> int | str:
    return "nil" if g is None else g.goid


def _bool(value: bool) -> str:
    return "true" if value else "false"
