"""When the machine has no thread left, or no memory for one, for an M that is to run goroutines.

It is nobody's bug: a limit of the machine's. As long as an M that has a P is awake, the program
goes on with the threads that it has: the P that was to get a new M is idle again, and what is
queued on it is taken by others. If there is none, every goroutine waits for this thread: others may
come back from where they block, or the machine have one again, so it is tried for _PATIENCE, for
_LONG while user code runs without a P; then the program ends by a fatal error that says how many
there are and what to do. (Go tries for 0.2 seconds, and always ends.)

The P is idle between two tries, so that who comes back takes it: a thread that ran on without a P,
and finds here that it has woken somebody. And where all that is missing is a thread for plain
functions, which the thread of `run` does not run, that one goes on with the rest itself.

Locks: Sched.lock. Source: Go 1.27 runtime/os_linux.go (newosproc), runtime/cgo/gcc_util.c.
Tests: tests/crash/test_exhaustion.py
"""

from __future__ import annotations

import threading
import time
from typing import Final

from gopark._runtime.base.errors import FatalError
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import GRUNNING, G, M, P, Sched, tls
from gopark._runtime.report.traceback import tracebackothers
from gopark._runtime.sched import panic
from gopark._runtime.sched.startm import (
    acquirep,
    globwork,
    hogback,
    midleget,
    pending,
    pidleget,
    pidleput,
    trynewm,
    wantpoller,
)

__all__ = ("newosproc", "nothread")

_PATIENCE: Final = 1.0  # seconds
_LONG: Final = 10.0
_PAUSE: Final = (0.001, 0.05)  # seconds between two tries, at first and at most


def nothread(why: BaseException) -> str:
    """What it means that the system starts no thread, and what to do. Go: newosproc."""
    return (
        f"{why} (this process has {threading.active_count()} threads of Python's already); close "
        "some, or raise the limit: max user processes (ulimit -u), a container's pids.max, memory"
    )


def newosproc(sched: Sched, m: M | None, p: P, spinning: bool, exc: BaseException) -> None:
    """`m`, which was to run `p`, has got no thread."""
    began = alone = time.monotonic()
    pause, most = _PAUSE
    me = tls.m
    while True:
        have = hooks.mcount(sched) - (m in sched.allm)
        _putback(sched, m, p, spinning)
        if me is not None and (_resumes(sched, me) or _goon(sched, me)):
            return
        if not _needed(sched):
            if me is not None and me.m0:
                time.sleep(_PAUSE[0])  # it met a plain function, which it may not run, and will
            return
        now = time.monotonic()
        if _comesback(sched):
            alone = now
        if now - alone > _PATIENCE or now - began > _LONG:
            _die(sched, have, exc)
            return
        time.sleep(max(0.0, min(pause, sched.timers.when - now)))
        pause = min(2 * pause, most)
        other, again = _take(sched)
        if again is None:
            return
        if other is not None:
            other.park.wakeup()
            return
        p, spinning = again, False
        m, failed = trynewm(sched, p, spinning)
        if failed is None:
            return
        exc = failed


def _resumes(sched: Sched, m: M) -> bool:
    """This thread runs a goroutine, and has lost its P meanwhile: here it has one again."""
    g = m.curg
    with sched.lock:
        if sched.ended or not sched.pidle or m.p is not None or m.g is not None:
            return False
        if m.sched is not sched or g is None or g.status is not GRUNNING:
            return False  # about to wait, it may be
        if m.hog:
            hogback(sched, m)
        acquirep(m, pidleget(sched))
    return True


def _goon(sched: Sched, m: M) -> bool:
    """The thread of `run` is between two goroutines: with plain functions put behind all else, it
    has something to run, a timer or a signal handler included."""
    with sched.lock:
        if sched.ended or not sched.pidle or m.p is not None or not m.m0 or m.curg is not None:
            return False
        plain: list[G] = []
        more = bool(pending) or time.monotonic() >= sched.timers.when
        for queue in (sched.runq, *(q for p in sched.allp for q in (p.runnext, p.runq))):
            for _ in range(len(queue)):
                try:
                    g = queue.popleft()
                except IndexError:  # somebody else has taken it
                    break
                if g.coro is None and g.lockedm is None:
                    plain.append(g)
                else:
                    queue.append(g)
                    more = True
        sched.runq.extend(plain)
        if more:
            acquirep(m, pidleget(sched))
    return more


def _putback(sched: Sched, m: M | None, p: P, spinning: bool) -> None:
    with sched.lock:
        if m in sched.allm:
            sched.allm.remove(m)
        if spinning and not sched.ended:
            sched.nmspinning -= 1
        if not sched.ended:
            pidleput(sched, p)


def _needed(sched: Sched) -> bool:
    """There is work, and no M is awake that will come to it."""
    with sched.lock:
        if sched.ended or not sched.pidle or any(o.p or o.nextp for o in sched.allm):
            return False
        work = any(q.runq or q.runnext for q in sched.allp)
        return work or globwork(sched) or wantpoller(sched)


def _comesback(sched: Sched) -> bool:
    """User code runs somewhere, though without a P: it blocks its thread, or computes."""
    with sched.lock:
        return any(o.curg is not None and o.curg.status is GRUNNING for o in sched.allm)


def _take(sched: Sched) -> tuple[M | None, P | None]:
    """An idle P, and an idle M if there is one; no P if nobody waits for one any more."""
    if not _needed(sched):
        return None, None
    with sched.lock:
        if sched.ended or not sched.pidle:
            return None, None
        p = pidleget(sched)
        return midleget(sched, p), p


def _die(sched: Sched, have: int, exc: BaseException) -> None:
    if isinstance(exc, MemoryError):
        panic.throw(exc)
    what = (
        f"runtime: failed to create new OS thread (have {have} already; {exc})\n"
        "runtime: may need to increase max user processes (ulimit -u), the container's pids.max, "
        "or memory\nfatal error: newosproc"
    )
    panic.fatal(sched, FatalError("fatal error: newosproc"), f"{what}\n\n{tracebackothers()}")


hooks.newosproc = newosproc
