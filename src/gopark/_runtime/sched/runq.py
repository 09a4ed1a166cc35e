"""Run queues: where a runnable G waits for an M.

Each P has a queue and a `runnext` slot; there is a global queue for what is made runnable
without a P. All are taken from by several Ms at once: an item goes to the one whose `pop`
or `popleft` returned it, and to nobody else.

No lost wake-up, the two sides step by step:
  a submitter               an M that goes idle (stopm)
  1. puts G on a queue      1. shows its P idle (npidle), under Sched.lock
  2. reads npidle           2. looks at every queue again, under Sched.lock
  3. nonzero: wakep         3. empty: puts itself on midle and sleeps
Either the submitter sees the idle P or the M sees the G. A submitter leaves out step 3 when
its own M will run the G next (`runnext`), still has its P, and runs a coroutine, which comes
back to the loop soon (`spread`). Who gives away the P of another, or of a thread that waits
(`handoffp`, called by sysmon too), looks at that P's queue once more after step 1, for a
submitter may have read `m.p` just before; a P that gomaxprocs took away counts as idle
(`P.near`) from before it is taken, so that what strays onto it is seen to.

After the end of a program, the two sides step by step. A submitter need not be a thread of that
program: one that gopark did not make may hold a P of it, or have asked which program runs, when
the end comes.
  a submitter                               the end (panic.py, rt0.py)
  1. puts G on a P's queue or the global    1. has every `P.near` say that a look is worth while
  2. reads `P.near`, or `ended`                (`Gone`), and then sets `ended`
  3. ended: sees to the queues (`toolate`)  2. takes all Gs off the queues (`abandon`)
Either the end finds the G or the submitter finds the end. Whoever takes it off sees whose it is:
one that waits on its thread is woken there, one of another program goes to a queue of that, any
other is closed.

May run without a P: all of it; what has no P to go to uses the global queue.
Source: Go 1.27 runtime/proc.go. Tests: tests/runtime/test_proc.py
"""

from __future__ import annotations

from collections import deque
from math import gcd
from typing import Final

from gopark._runtime.base.errors import Throw
from gopark._runtime.base.hooks import hooks, wakes
from gopark._runtime.base.runtime2 import GDEAD, GRUNNABLE, GWAITING, G, M, P, Sched, tls
from gopark._runtime.sched.startm import mysched, toolate, wakep
from gopark._runtime.twin import native

__all__ = (
    "drainp",
    "globrunqget",
    "globrunqput",
    "onthread",
    "ready",
    "resetspinning",
    "runqhead",
    "runqput",
    "runqshare",
    "runqsteal",
    "spread",
    "stealorder",
    "strayed",
)

_heard: Final = wakes.heard  # bound once
_LOCALQ: Final = 256  # as many as Go's local queue holds; we take at most half of it at once


def ready(g: G) -> None:
    """Make a waiting G runnable; the caller owns its wake-up. Go: goready."""
    if g.status is not GWAITING:
        if g.status is GDEAD:
            return  # its program ended while it waited
        raise Throw(f"ready: goroutine {g.goid} is {g.status.name}, not waiting")
    if _heard and wakes.hear(g):
        return
    try:
        g.status = GRUNNABLE
        m = tls.m
        if m is None or (p := m.p) is None:
            globrunqput(g)
            return
        # As runqput, in line: the call would add 1 to 2 % to a channel's round trip (3.11, 3.13).
        runnext = p.runnext
        if runnext:
            try:
                p.runq.append(runnext.pop())
            except IndexError:
                pass
        runnext.append(g)
        # The usual answers of `spread`, in line: with an idle P 5 % of a round trip.
        if p.near.npidle and (p.runq or m.onthread or m.p is not p):
            spread(m, p)
    except MemoryError as exc:  # who has it in hand now is nobody: it would wait for ever
        hooks.throw(exc)


def runqput(m: M, p: P, g: G) -> None:
    """Put a runnable G in `runnext`; what was there goes to the tail of the queue."""
    runnext = p.runnext
    if runnext:
        try:
            p.runq.append(runnext.pop())
        except IndexError:
            pass
    runnext.append(g)
    if p.near.npidle:
        spread(m, p)


def spread(m: M, p: P) -> None:
    """There is an idle P: wake an M for it if this M will not soon run all that `p` holds.

    A coroutine comes back to the loop, which then runs `runnext`; a plain function may
    compute or wait for long, so what it readies goes where others can take it. The idle P
    may be `p` itself, taken from this M in the last lines (a P that gomaxprocs took away
    counts as idle too, see procresize); what M has been given it will look at its queue.
    """
    if m.p is not p or p.sched.ended:  # who ends it may not have come to taking this one yet
        strayed(p)
        return
    if m.onthread:
        try:
            p.runq.append(p.runnext.pop())
        except IndexError:
            pass
        if m.p is not p:  # taken with one G of it in our hands, which no one has seen
            strayed(p)
            return
    if p.runq:
        wakep(p.sched)


def strayed(p: P) -> None:
    """Gs may have been put on `p` after it was taken from the M that did so: see to them.

    An idle P's queue is nobody's to look at, and that of a P which gomaxprocs has taken away
    even less, so they go to the global queue. One that was given to another M went with all.
    """
    sched = p.sched
    if p.m is None:
        drainp(p)
    if sched.ended:
        toolate(p.sched, p)
    elif sched.runq and sched.npidle:
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
    """Onto the global queue of its program: a G of one that has ended must not enter the next."""
    m = g.m
    sched = mysched() if m is None or m.sched is None else m.sched
    sched.runq.append(g)
    _globspread(sched)


def _globspread(sched: Sched) -> None:
    """There is one more on the global queue: wake an M for an idle P, or see to it if too late."""
    if sched.npidle:
        wakep(sched)
    if sched.ended:
        toolate(sched)


def globrunqget(sched: Sched, p: P) -> G | None:
    """One G from the global queue, and of its fair share as many as the local queue is short of.

    With one alone beside a local queue that is not empty, who gives way there again and again
    would have a slice of steps for each G of the global queue.
    """
    q = sched.runq
    if not q:
        return None
    n = min(len(q) // len(sched.allp) + 1, _LOCALQ // 2) - len(p.runq)
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


def runqhead(p: P) -> G | None:
    """The head of the local queue, with `runnext` sent to its tail first.

    So what is in `runnext` keeps its turn but starves nobody: neither a pair that wakes each
    other, nor goroutines on threads of their own that pass the P round among them.
    """
    try:
        if p.runnext:
            p.runq.append(p.runnext.pop())
    except IndexError:
        pass
    try:
        return p.runq.popleft()
    except IndexError:
        return None


def stealorder(sched: Sched) -> list[P]:
    """Every P once, from a random start by a random step that is coprime with their number."""
    allp = sched.allp[:]  # gomaxprocs may change it
    n = len(allp)
    start = sched.random.randrange(n)
    step = sched.random.choice([k for k in range(1, n + 1) if gcd(k, n) == 1])
    return [allp[(start + i * step) % n] for i in range(n)]


def runqsteal(p: P, victim: P) -> G | None:
    """Take half of another P's queue; the first is to run, the rest go on ours."""
    q = victim.runq
    n = len(q)
    if n == 0 and victim.runnext and onthread(victim):
        return _pop(victim.runnext)
    return _take(q, n - n // 2, p.runq)


def runqshare(p: P) -> None:
    """Take half of a long queue, of a P whose own is empty but for the G it is about to run.

    That one may do nothing but give way until others have done something, and it would have
    this P for itself meanwhile.
    """
    for victim in p.sched.allp[:]:
        if len(victim.runq) > _LOCALQ // 8 and victim is not p:
            g = runqsteal(p, victim)
            if g is not None:
                p.runq.appendleft(g)
            return


def onthread(p: P) -> bool:
    """This P's M runs a plain function, or one that sits on its thread: it may be long."""
    m = p.m
    g = None if m is None else m.curg
    return g is not None and (g.coro is None or g.lockedm is not None)


def offqueue(sched: Sched, g: G) -> bool:
    """Take a runnable G off the queue it is on; True: it is the caller's."""
    queues: list[deque[G]] = [sched.runq, sched.hogq, sched.held]
    for p in sched.allp[:]:
        queues += [p.runq, p.runnext]
    for queue in queues:
        try:
            queue.remove(g)
        except (ValueError, IndexError):
            continue
        return True
    return False


def _pop(runnext: deque[G]) -> G | None:
    try:
        return runnext.pop()
    except IndexError:
        return None


hooks.drainp = drainp


def resetspinning(m: M, sched: Sched) -> None:
    """This M has found work; if it was the last that looked, another one is to look."""
    with sched.lock:
        m.spinning = False
        sched.nmspinning -= 1
        last = sched.nmspinning == 0
    if last and sched.npidle:
        wakep(sched)


if native is not None:
    native.install(notready=ready, spread=spread, globspread=_globspread)
    ready = native.readyfunction(ready)
    native.install(ready=ready)
    _take = native.take
