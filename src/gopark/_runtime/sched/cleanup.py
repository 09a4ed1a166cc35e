"""What goroutines that are left when main is done still wait for, in their `finally` blocks.

A connection says goodbye, a buffer is written out: cleanup waits, for a moment. The scheduler is
gone by then, so M0 serves these waits, and only these, for GRACE seconds altogether:

  a coroutine    GeneratorExit is thrown into it by whoever takes it off its queue; if it parks
                 after that, who takes it off a queue again steps it on
  on a thread    ProgramEnded is raised at its wait; the waits that come after that are real ones
  timers         a heap of their own, so that no timer of the program fires any more; what a timer
                 that was started in a cleanup starts, a deadline or `after_func`, has its grace too

Nothing else starts: `go` raises ProgramEnded. When the time is up, or nothing can end the waits,
what still waits is broken off as if there had been no grace, and a report says who that is, and
where.
After a fatal error there is no grace: then the process dies, as in Go.

Who steps: `step` is called by the owner of the G alone, as everywhere. Who polls: M0.
Source: none; Go's process is gone. Tests: tests/runtime/test_cleanup.py
"""

from __future__ import annotations

import _thread
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
    GOSCHED,
    GRUNNABLE,
    GRUNNING,
    GWAITING,
    PARK,
    G,
    M,
    Sched,
    allgs,
    tls,
)
from gopark._runtime.report.traceback import boundary, calling, gtraceback, transparent
from gopark._runtime.sched import closing, lockedm, mfinal, startm
from gopark._runtime.sched.newproc import unbegun
from gopark._runtime.sched.panic import printerr
from gopark._runtime.sched.timer import Timers
from gopark._runtime.twin import coroutines

__all__ = ("GRACE", "Cleanup")

GRACE: Final = 0.5  # seconds
_NAP: Final = 0.002  # seconds between two looks for what threads have readied
_SHOWN: Final = 10
_TRIES: Final = 100


def _nothing() -> None:
    """M0 looks at the timers by itself."""


class Cleanup:
    """The waits of one program that has ended."""

    def __init__(self, sched: Sched) -> None:
        self.sched = sched
        self.until = time.monotonic() + GRACE
        self.over = False
        self.coros: dict[G, None] = {}  # have been told, and wait since
        self.told: set[G] = set()  # on threads
        self.waiting: dict[G, None] = {}  # of those, who waits since
        self.again: deque[G] = deque()  # have yielded
        self.giveup: list[tuple[G, str]] = []  # was broken off, with the stack at that wait
        self.timers = Timers(_nothing)
        sched.timers = self.timers

    @property
    def ended(self) -> bool:
        """For the timers: see `hooks.TimeBase`."""
        return self.over

    # --- coroutines -------------------------------------------------------------------------

    def step(self, g: G) -> bool:
        """Tell a coroutine that all is over, or step it on; True: it waits, or is left."""
        coro, m = g.coro, tls.m
        if coro is None or g.ctx is None or m is None or unbegun(g) is not None:
            return False
        if not self.over and mfinal.closes(g):
            self.coros[g] = None  # nothing to tell it: what it does is cleanup
        told = g in self.coros
        if told and (self.over or time.monotonic() > self.until):
            return self._breakoff(g, m, coro)
        command = self._advance(g, m, coro) if told else self._tell(g, m, coro)
        if command is None:
            self.coros.pop(g, None)
        elif command is GOSCHED:
            self.again.append(g)
        return command is not None

    def _tell(self, g: G, m: M, coro: Any) -> object:
        """GeneratorExit for the coroutine and those it awaits: PARK, GOSCHED, or None for its end.

        The innermost first, and the next when that has ended: told from outside, an outer one would
        go on, and wait, while the wait that an inner one has begun is nobody's.
        """
        g.waiting = None  # it was taken off: that is no wait any more
        before = m.curg, m.waitunlockf
        m.curg, m.waitunlockf = g, None
        g.m = m
        g.status = GRUNNING
        waits = False
        for link in reversed(closing.chain(coro)):
            try:
                g.ctx.run(link.close)  # type: ignore[union-attr]
            except BaseException:
                pass  # its own, or that it goes on
            if waits := closing.waits(m, link):
                break
        unlockf = m.waitunlockf
        m.curg, m.waitunlockf = before
        if not waits:
            return None
        self.coros[g] = None  # before somebody can ready it
        return self._parked(g, unlockf)

    def _parked(self, g: G, unlockf: Callable[[None], object] | None) -> object:
        if unlockf is None:
            g.status = GRUNNABLE
            return GOSCHED
        g.waitsince = time.monotonic()
        g.status = GWAITING
        unlockf(None)
        return PARK

    def _advance(self, g: G, m: M, coro: Any) -> object:
        """One step of a coroutine on this thread: as `_tell`."""
        before = m.curg, m.waitunlockf
        m.curg, m.waitunlockf = g, None
        g.m = m
        g.status = GRUNNING
        try:
            g.ctx.run(coro.send, None)  # type: ignore[union-attr]
            command: object = PARK
        except BaseException:  # its end, however it came
            command = None
        unlockf = m.waitunlockf
        m.curg, m.waitunlockf = before
        return None if command is None else self._parked(g, unlockf)

    def _breakoff(self, g: G, m: M, coro: Any) -> bool:
        """The time is up: tell it at each wait. True: it will not end, and is left as it is."""
        self.giveup.append((g, gtraceback(g)))
        for _ in range(_TRIES):
            command = self._tell(g, m, coro)
            if command is None:
                self.coros.pop(g, None)
                return False
            waiting = g.waiting
            if command is PARK and (waiting is None or not waiting.unwait(g)):
                return True  # somebody is about to put it on a queue
        # It swallows all that it is told. Nobody is to close it, the collector least of all.
        closing.leave(g, coro)
        self.coros.pop(g, None)
        return True

    # --- on threads: see lockedm.py -----------------------------------------------------------

    def mayblock(self, g: G) -> bool:
        """It has been told, so what it waits for now is its cleanup's. Not on M0, which serves."""
        return g in self.told and not self.over and g.m is not self.sched.m0

    # --- what timers start ----------------------------------------------------------------------

    def begin(self, g: G) -> bool:
        """A timer has started this goroutine; False: too late. On M0, between two looks."""
        m = tls.m
        if self.over or m is not self.sched.m0:
            return False
        if g.coro is not None:
            g.m = m
            self.coros[g] = None  # nothing to tell it: somebody waits for what it does
            self.again.append(g)
            return True
        m = g.m = M(self.sched)
        m.curg = g
        self.told.add(g)
        with self.sched.lock:
            self.sched.allm.append(m)
        try:
            _thread.start_new_thread(self._runplain, (m, g))
        except (RuntimeError, MemoryError):  # no more threads
            self._gone(m, g)
        return True

    def _runplain(self, m: M, g: G) -> None:
        """A thread for a plain function, from its first to its last line."""
        tls.m = m
        try:
            startm.minit(m)
            g.status = GRUNNING
            g.ctx.run(_call, g.step)  # type: ignore[union-attr]
        except BaseException:
            pass  # its own, as that of a coroutine: nobody is there who could be told
        finally:
            self._gone(m, g)
            tls.m = None

    def _gone(self, m: M, g: G) -> None:
        allgs.discard(g)
        g.status = GDEAD
        with self.sched.lock:
            if m in self.sched.allm:
                self.sched.allm.remove(m)

    # --- M0 -------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Fire the timers that are due, and have those run that have yielded."""
        now = time.monotonic()
        if now >= self.timers.when:
            self.timers.run(now)
        for _ in range(len(self.again)):
            self.sched.runq.append(self.again.popleft())

    def nap(self) -> float:
        """How long there is nothing to do."""
        if self.again or self.sched.runq:
            return 0.0
        now = time.monotonic()
        return max(0.0, min(self.timers.when - now, self.until - now, _NAP))

    def settle(self, m: M, abandon: Callable[[Sched, G | None], None]) -> bool:
        """Serve the waits until there are none, or time is up, or nothing can end them.

        True: threads were broken off and are unwinding, or have not come to their next wait yet.
        """
        sched = self.sched
        self._serve(m, abandon)
        self._close(m, every=True)  # now that their users are done
        self._serve(m, abandon)
        self.over = True
        threads = [*self.waiting]
        for g in threads:
            if (lockedm := g.lockedm) is not None:
                self.giveup.append((g, gtraceback(g)))
                lockedm.park.wakeup()
        for g in [*self.coros]:
            waiting = g.waiting
            # Without the GIL a stack is read as long as its goroutine is on a wait queue.
            text = gtraceback(g) if FREETHREADED else ""
            if g.status is GWAITING and waiting is not None and waiting.unwait(g):
                self.giveup += [(g, text)] if text else []
                sched.runq.append(g)
        sched.runq.extend(self.again)
        abandon(sched, None)
        return bool(threads) or self._threads(m)

    def _serve(self, m: M, abandon: Callable[[Sched, G | None], None]) -> None:
        sched = self.sched
        self._close(m)
        while (self.coros or self._threads(m)) and time.monotonic() < self.until:
            self._close(m)
            self.poll()
            if sched.runq:
                abandon(sched, None)
                continue
            if not self.timers and not self.again and not self._help(m):
                break
            time.sleep(self.nap())

    def _close(self, m: M, every: bool = False) -> None:
        """Begin to close async generators that were left."""
        for g in mfinal.closers(every):
            g.m = m
            if not self.step(g):
                closing.bury(self.sched, g)

    def _threads(self, m: M) -> bool:
        """Some that have been told are not done yet, be it that they wait or that they run."""
        with self.sched.lock:
            return any(o is not m and o.curg in self.told for o in self.sched.allm)

    def _help(self, m: M) -> bool:
        """Somebody is left who could ready one of them."""
        with self.sched.lock:
            others = any(o is not m and o.curg not in self.waiting for o in self.sched.allm)
        return others or threading.active_count() > 1 or bool(hooks.extras())

    def report(self) -> None:
        """Say whose waits were broken off, and where; who goes on all the same has been named."""
        told = [(g, text) for g, text in self.giveup if text and g not in closing.named]
        stacks = list(dict(reversed(told)).values())[::-1]
        if not stacks:
            return
        more = f"\n({len(stacks) - _SHOWN:,} more)\n" if len(stacks) > _SHOWN else ""
        what = "a goroutine" if len(stacks) == 1 else f"{len(stacks):,} goroutines"
        printerr(
            f"gopark: main is done, and the cleanup of {what} was broken off where it waits: what "
            f"is left when main returns has {GRACE:g} s for its `finally` blocks. Have main wait "
            "for it, with a sync.WaitGroup or in an errgroup.\n\n"
            + "\n".join(stacks[:_SHOWN])
            + more
        )


def _call(step: Any) -> None:
    result = step.fn(*step.args, **step.kwargs)
    if isinstance(result, coroutines):  # a decorated `async def`
        lockedm.drive(result)


hooks.cleanup = Cleanup
calling.update((Cleanup._tell.__code__, Cleanup._advance.__code__))
transparent.add(_call.__code__)
boundary.add(Cleanup._runplain.__code__)
