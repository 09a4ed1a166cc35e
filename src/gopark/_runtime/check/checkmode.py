"""Debug runs: the scheduler's invariants, checked at every step of every goroutine.

`GOPARKDEBUG=checksched=1` in the environment turns this on when the package is imported;
without it this module is not even loaded. A broken invariant is a `Throw`: the process ends
with status 2 and a line that names the goroutine, its state, and one of these.

Every move of a G from state to state:
  G1  it is a row of `TRANSITIONS`, from the state the G is really in
  G2  who stops waiting is on no wait queue any more
  G3  who starts to wait has said on what: `g.waiting`
  G4  who dies is listed no more, so `allgs` holds no dead G
Before a step, and when a G that sat on its thread goes on:
  S1  the G is running, listed, and of the M of this very thread: `g.m`, `m.curg`
  S2  it is in no run queue and on no wait queue
  S3  no other thread is in its coroutine
  S4  a G that sits on a thread is on it, and an M runs no G but the one locked to it
  S5  its M is neither idle nor spinning nor about to be given another P
  S6  no lock of the runtime is held (seen with `lockrank=1`)
After a step, and when a G begins to wait on its thread:
  A1  the G is still running, of the same M, with the context it had
  A2  it asked to park, and has left an unlock function and what it waits on; or neither
  A3  `lockedcnt` counts the locks exactly while the M is locked to the G
Before a step, and whenever an M goes idle, under Sched.lock:
  P1  `npidle` is the length of pidle; what is on it are different Ps of allp that have no M
  P2  a P is on pidle or with one M, in its `p` or `nextp`; never both, never with two
  P3  `nmspinning` counts the spinning Ms, and at most one that is being made
  P4  an idle M is on midle, once, with no G and no P; the poller is one of them
  P5  allp[i] is P i; `nhogs` counts the hogs, and they have no P; `nsyscall` is not negative
When a program is called dead:
  D1  each of its goroutines waits

How: `G.status` becomes a property, and a new goroutine's context a stand-in whose `run` is what
steps it. A P moves from M to M without a lock, so P2 is broken only if it stays so.

Locks: `_lock`, the last to be taken; reentrant, for the collector may start a goroutine at
any line. Source: none in Go. Tests: tests/runtime/test_checkmode.py
"""

from __future__ import annotations

import threading
import time
from contextvars import Context
from typing import Any, Final

from gopark._runtime.base import lockrank
from gopark._runtime.base.errors import Throw
from gopark._runtime.base.hooks import births, hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GIDLE,
    GRUNNING,
    GWAITING,
    LOCKED,
    PARK,
    TRANSITIONS,
    G,
    M,
    P,
    Sched,
    Status,
    allgs,
    tls,
)
from gopark._runtime.chan.selectgo import _Selecting
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched import lockedm
from gopark._runtime.sched.deadlock import outside
from gopark._runtime.sched.onm0 import OnM0, contexts
from gopark._runtime.sched.timer import Timer

__all__ = ("install",)

_LOOKED: Final = 1000  # a queue longer than this is not searched
_lock: Final = lasting(threading.RLock())  # guards every G's status and _Context.inside


def need(holds: object, who: G | M | Sched, rule: str) -> None:
    """If an invariant does not hold, say which, and of whom, and leave."""
    if holds:
        return
    what = ""
    if isinstance(who, G):
        what = f"goroutine {who.goid} is {who.status}, waits on {who.waiting}, has {who.m}: "
    elif isinstance(who, M):
        what = f"{who} has {who.p}, is given {who.nextp}, runs {who.curg}: "
    try:
        raise Throw(f"checksched: {what}{rule} (seen on {tls.m})")
    except Throw as exc:
        hooks.throw(exc)
        raise


# --- moves -------------------------------------------------------------------------------


def checkedstatus(member: Any) -> property:
    """What stands in the place of the slot `G.status`."""

    def move(g: G, new: Status) -> None:
        with _lock:
            try:
                old = member.__get__(g)
            except AttributeError:  # made by `go`, which leaves out __init__
                old = member.__set__(g, GIDLE) or GIDLE
            legal = new in TRANSITIONS[old]
            if new is GRUNNING and old is GDEAD:  # an extra M's G, by way of syscall
                legal = g.m is not None and g.m.g is g
            elif new is old:
                legal = new in (GIDLE, GRUNNING)
            need(legal, g, f"G1 illegal move {old} -> {new}")
            if old is GWAITING:
                need(not onwaitqueue(g), g, f"G2 {new}, and on a wait queue")
            if new is GWAITING:
                need(g.waiting is not None, g, "G3 it is to wait, for nothing")
            if new is GDEAD:
                need(g not in allgs, g, "G4 it dies, and is listed")
            member.__set__(g, new)

    return property(member.__get__, move)


def onwaitqueue(g: G) -> bool:
    """Somebody could wake `g`. After a select or a sleep it clears `waiting` itself, later."""
    waiting = g.waiting
    if isinstance(waiting, _Selecting):
        return bool(waiting.token)
    if isinstance(waiting, Timer):
        return waiting.pending
    return waiting is not None


def onrunqueue(sched: Sched, g: G) -> bool:
    queues: list[Any] = [sched.runq, sched.hogq, sched.held]
    for p in sched.allp[:]:
        queues += (p.runq, p.runnext)
    return any(g in queue for queue in queues if len(queue) <= _LOOKED)


# --- steps -------------------------------------------------------------------------------


class _Context:
    """Stands in for the context of a goroutine."""

    __slots__ = ("ctx", "inside")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.inside: M | None = None

    def run(self, *call: Any) -> Any:
        m = tls.m
        g = None if m is None else m.curg
        if m is None or g is None or g.status is GDEAD:
            return self.ctx.run(*call)  # the end of the program closes a coroutine
        need(self._isof(g), g, "S1 a step is made of another than what the M runs")
        before(m, g)
        with _lock:
            other, self.inside = self.inside, m
        need(other is None, g, f"S3 {other} is in its coroutine")
        m.waitunlockf = None  # so that A2 sees whether this step has left one
        command = None
        try:
            command = self.ctx.run(*call)
        finally:
            self.inside = None
            need(self._isof(g) or _ended(m), g, "A1 it has another context than before")
            after(m, g, command)
        return command

    def _isof(self, g: G) -> bool:
        ctx: object = g.ctx
        return ctx is self or (isinstance(ctx, OnM0) and ctx.ctx is self)


class _Elsewhere:
    """Stands in for lockedm._Elsewhere: a loop meets a G that sits on another thread."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx

    def run(self, *_: object) -> object:
        m = tls.m
        assert m is not None and m.curg is not None
        before(m, m.curg, elsewhere=True)
        return LOCKED


def _dowait(m: M, g: G, command: object) -> None:
    """Around lockedm.dowait: a G waits on its thread."""
    after(m, g, command)
    try:
        _plain_dowait(m, g, command)
    finally:
        before(m, g)


def _ended(m: M) -> bool:
    return m.sched is None or m.sched.ended


def before(m: M, g: G, elsewhere: bool = False) -> None:
    """S1 to S6, and the accounts."""
    sched = m.sched
    if sched is None or sched.ended:
        return
    need(g.status is GRUNNING, g, "S1 it is to run, and is not running")
    need(g.m is m and m.curg is g and tls.m is m, g, f"S1 it is to run on {m}, who runs {m.curg}")
    need(m.ident == threading.get_ident(), m, "S1 it runs on the thread of another")
    away = elsewhere and g.lockedm is not None and _ended(g.lockedm)  # what is closed is unlisted
    need(g in allgs or sched.ended or away, g, "S1 it is to run, and is not listed")
    need(not onwaitqueue(g), g, "S2 it is to run, and is on a wait queue")
    need(not onrunqueue(sched, g), g, "S2 it is to run, and is in a run queue")
    need(g.lockedm is None or (g.lockedm is m) != elsewhere, g, f"S4 it sits on {g.lockedm}")
    need(m.lockedg in (None, g), m, f"S4 it is locked to {m.lockedg}")
    need(not m.idle and not m.spinning, m, f"S5 it runs a G: idle {m.idle}, spinning {m.spinning}")
    need(m.nextp is None or sched.ended, m, "S5 it runs a G, and is about to be given a P")
    need(not lockrank._stack(), m, f"S6 it runs a G, and holds {lockrank._stack()}")
    with sched.lock:
        accounts(sched)


def after(m: M, g: G, command: object) -> None:
    """A1 to A3."""
    if _ended(m):
        return
    need(g.status is GRUNNING, g, "A1 its step has ended, and it is not running")
    need(g.m is m and m.curg is g and tls.m is m, g, f"A1 its step has ended on {m}")
    parks = command is PARK
    need(parks is (g.waiting is not None), g, f"A2 it asked to park: {parks}")
    need(m.waitunlockf is not None or not parks, g, "A2 it parks, and nothing lets the waker in")
    locked = g.lockedcnt > 0 and m.g is not g
    need(locked is (m.lockedg is g), g, f"A3 lockedcnt is {g.lockedcnt}, and lockedg {m.lockedg}")


# --- accounts ----------------------------------------------------------------------------


def accounts(sched: Sched) -> None:
    """P1 to P5. Caller holds Sched.lock."""
    if sched.ended:
        return
    idle, ms, midle = sched.pidle, sched.allm, sched.midle
    need(sched.npidle == len(idle), sched, f"P1 npidle is {sched.npidle}, pidle {idle}")
    need(len(set(idle)) == len(idle), sched, f"P1 {idle} are idle")
    for p in idle:
        need(p in sched.allp, sched, f"P1 {p} is idle, and gone")
        need(p.m is None, sched, f"P1 {p} is idle, and {p.m} has it")
    twice = heldtwice(sched)
    for _ in range(10):
        if not twice:
            break
        time.sleep(0.001)  # one that was moving while we looked is in one place now
        twice &= heldtwice(sched)
    need(not twice, sched, f"P2 {twice} are, each, with another as well")
    making = sched.nmspinning - sum(m.spinning for m in ms)
    need(0 <= making <= 1, sched, f"P3 nmspinning is {sched.nmspinning}, {making} too many")
    need(len(set(midle)) == len(midle), sched, f"P4 {midle} are idle")
    need({m for m in ms if m.idle} == set(midle), sched, f"P4 {midle} are on midle, of {ms}")
    for m in midle:
        need(m.curg is None and m.p is None and m.nextp is None, m, "P4 it is idle")
    need(sched.pollm is None or sched.pollm in midle, sched, f"P4 {sched.pollm} is the poller")
    need([p.pid for p in sched.allp] == [*range(len(sched.allp))], sched, f"P5 {sched.allp}")
    hogs = [m for m in [*ms, *outside.extras()] if m.hog and m.sched is sched]
    need(sched.nhogs == len(hogs), sched, f"P5 nhogs is {sched.nhogs}, and hogs are {hogs}")
    for m in hogs:
        need(m.p is None, m, "P5 it is a hog")
    need(sched.nsyscall >= 0, sched, f"P5 nsyscall is {sched.nsyscall}")


def heldtwice(sched: Sched) -> set[tuple[P, M]]:
    """Ps that seem to be in two places, with one of these."""
    first: dict[P | None, M | None] = dict.fromkeys(sched.pidle)
    return {
        (p, m)
        for m in [*sched.allm, *outside.extras()]
        for p in (m.p, m.nextp)
        if p is not None and first.setdefault(p, m) is not m
    }


def _checkdead(sched: Sched) -> str | None:
    """Around hooks.checkdead, which every M asks before it goes idle. Sched.lock is held."""
    accounts(sched)
    dead = _plain_checkdead(sched)
    if dead is not None:
        for g in allgs.copy():
            need(g.status is GWAITING, g, f"D1 the program is called dead: {dead}")
    return dead


# --- on ----------------------------------------------------------------------------------

_plain_dowait: Final = lockedm.dowait
_plain_checkdead: Final = hooks.checkdead


def _born(g: G) -> None:
    # What it was made with, which need not be a copy of its maker's: see newproc.startin.
    g.ctx = _Context(g.ctx)  # type: ignore[assignment, arg-type]


def install() -> None:
    """Turn the checks on, for good, before the first goroutine is made."""
    if hooks.checkdead is _checkdead:
        return
    setattr(G, "status", checkedstatus(G.__dict__["status"]))  # noqa: B010 - mypy knows a slot
    births.append(_born)
    contexts.append(_Context)
    setattr(lockedm, "_Elsewhere", _Elsewhere)  # noqa: B010
    lockedm.dowait = _dowait
    hooks.checkdead = _checkdead
    transparent.add(_Context.run.__code__)  # Ctrl-C: what runs in it is the user's
