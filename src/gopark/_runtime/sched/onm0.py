"""Main stays on the main thread, where the program has signal handlers of its own.

Python calls a handler between two lines of its main thread, and a program may rely on that: what
main does, no handler sees half done, and one that comes in before a line is over before the next.
With one P it is so here as well. The P may go to another thread (the main thread's is in user code,
or calls handlers for long), and all others with it; main comes back to M0 for its next step.

  M0 calls handlers        it keeps its P meanwhile, if it has one
  one of them is long      sysmon takes the P; main is held (`Sched.held`) until it is over
  one of them waits        the P goes to others, and main with it: it may be main that wakes it
  M0 runs something else   and that for long, so that main comes up on another thread: it goes on
                           there, since it would wait for who knows how long

The goroutine of a hosted event loop stays there in the same way (`stayon0`): what runs on a loop
may ask once whether it is on the main thread, and set handlers, or keep things by thread.

So main's context is an `OnM0` from the first such handler on. With several Ps main runs where it
comes up, beside handlers, and may see what they do at any moment.

Costs one call more for each step of main's in such a program, and nothing elsewhere.
Locks: Sched.lock, for the decision who takes main.
Source: none; Go has no thread that is special. Tests: tests/runtime/test_onm0.py
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import KEEPSP, LOCKED, G, M, Sched, tls
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.startm import (
    current,
    givep,
    handoffp,
    pending,
    releasep,
    wakep,
)

__all__ = ("OnM0", "comehome", "contexts", "holdmain", "keepon0", "lendp", "letmain", "stayon0")


class OnM0:
    """In the place of main's context: on another thread than M0's it does not run at once, and
    there not before handlers that are to be called."""

    __slots__ = ("called", "ctx")

    def __init__(self, ctx: Any) -> None:
        self.ctx: Final = ctx
        self.called = False  # a handler whose exception main is to get first is pending still

    def run(self, call: Callable[..., object], *args: Any) -> object:
        m = tls.m
        if call is not next or m is None or m.sched is None:
            pass  # not by the loop: it is driven on its thread, or closed
        elif m.m0:
            if pending and not self.called:
                return LOCKED
            self.called = False
        elif _wanted(m.sched) is not None:
            return LOCKED
        return self.ctx.run(call, *args)


transparent.add(OnM0.run.__code__)  # Ctrl-C: what runs in it is the user's


# What the context of a goroutine may be that sits on no thread; checkmode has one of its own.
contexts: Final[list[type]] = [Context]


def keepon0(sched: Sched) -> None:
    """Main is on M0 from its next step on, if this thread, the main one, is M0's."""
    g, m0 = sched.main, sched.m0
    if g is None or m0 is None or m0.ident != _thread.get_ident():
        return
    if type(g.ctx) in contexts:
        g.ctx = OnM0(g.ctx)  # type: ignore[assignment]


def stayon0(g: G) -> None:
    """The calling goroutine is on M0 from its next step on, whenever that is free."""
    if type(g.ctx) in contexts:
        g.ctx = OnM0(g.ctx)  # type: ignore[assignment]


def _wanted(sched: Sched) -> M | None:
    """M0, if main is to come to it: it sleeps, or is at a handler that has not waited, or is on its
    way to the one or the other."""
    m0 = sched.m0
    if m0 is None or sched.ended or len(sched.allp) > 1:
        return None
    if m0.idle or m0.handling is KEEPSP:
        return m0
    inloop = m0.curg is None and m0.p is None and m0.lockedg is None
    return m0 if inloop and not m0.handling else None


def comehome(m: M, g: G) -> None:
    """Main has come up on this thread: M0 gets it, and the P, or holds it until it is done.

    Who puts it on a queue here looks at the queues once more before it sleeps (stopm). `handling`
    may change meanwhile, by M0 alone: what is put into `held` under the lock, `letmain` finds there
    after it; and an M0 on its way to sleep, or to a handler, is asked again at the next turn.
    """
    sched = m.sched
    assert sched is not None
    if m.m0 and isinstance(g.ctx, OnM0):
        hooks.safepoint(m)
        g.ctx.called = True
    with sched.lock:
        m0, p = None if m.m0 else _wanted(sched), m.p
        if m0 is not None and m0.handling is KEEPSP:
            sched.held.append(g)
            return
        if p is None:
            sched.runq.append(g)
            return
        if m0 is None or not m0.idle or m.lockedg is not None:
            p.runq.append(g)
            return  # in a moment
        p.runq.appendleft(g)
        sched.midle.remove(m0)
        m0.idle = False
        if sched.pollm is m0:
            sched.pollm = None
        m.p = None
        givep(m0, p)
    m0.park.wakeup()


def holdmain() -> M | None:
    """The main thread is about to call handlers: main does not go on elsewhere until `letmain` is
    called with the result, if there is one."""
    sched = current()
    m0 = None if sched is None else sched.m0
    if m0 is None or m0.handling or m0.ident != _thread.get_ident():
        return None
    m0.handling = KEEPSP
    return m0


def letmain(m0: M, then: str = "") -> None:
    """The handlers are done, or one of them waits."""
    sched = m0.sched
    assert sched is not None
    with sched.lock:
        m0.handling = then
        held = bool(sched.held)
        while sched.held:
            sched.runq.append(sched.held.popleft())
    if held and sched.npidle:
        wakep(sched)


def lendp(sched: Sched, m: M) -> bool:
    """A handler that the main thread calls is about to wait without a P: all others go on, with
    that which M0 has kept, if it has. False: the caller runs no such handler."""
    m0 = sched.m0
    if m0 is None or m0.handling is not KEEPSP or m0.ident != m.ident:
        return False
    letmain(m0, "it waits in one")
    p = releasep(m0)
    if p is None:
        return False
    handoffp(sched, p)
    return True
