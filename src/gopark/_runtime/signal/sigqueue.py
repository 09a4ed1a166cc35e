"""Signals as values on channels: who listens for what, and the goroutine that hands them out.

The way of a signal:
  1. CPython's handler in C writes its number into a pipe (`signal.set_wakeup_fd`), on whichever
     thread it runs. The handler in Python does nothing (`_caught`).
  2. One goroutine reads the pipe (`loop`) and offers the number to each channel that wants it;
     a full channel goes without. It waits as Go's does, in dumps too (`syscall`), holds no P,
     also while it hands out, and is there from the first `notify` of a program to its end.

The main thread alone may set handlers, so that is an errand for it (errand.onmain); what
stood for a signal before is put back when its last listener goes, and at the end.

Where a handler of the program's own stood before, each signal goes to the channel or to the
handler, once. Which of the two is decided by its place in the pipe alone:
  notify   what comes while `catch` exchanges handlers is the handler's (`_caught`); the loop counts
           what is behind a mark that is left after that (`active`)
  stop     until the channel is off, as below, the handler is called for what the pipe brings that
           no channel wants (`relay`), and Python's own call of it does nothing (sigfwd.Relay). Then
           Python's call counts again (`direct`): what comes meanwhile is noted by both, as one,
           while the main thread waits for the loop to pass a mark

Nothing is lost when listening ends (`withdrawn`), step by step:
  1. who ends it, with `Sigqueue.lock`: puts the channel on `stopping`, takes it off `channels`
  2. the main thread: has the kernel do with the signal what it did before, then Python
  3. who ends it: leaves a request, and after it a mark in the pipe
  4. the loop: comes to the mark after all that was caught before 2, and has offered that to the
     channels on `stopping` as well; answers
  5. who ends it: takes the channel off `stopping`
One hole is left, which Go closes by counting its handlers: C may have begun to catch a signal
on another thread than the main one before 2, and be held up until after 3. The kernel gives a
signal for the process to another thread only while the main one has its hands full.

A listener may be woken from outside, so a program that has one waiting on its channel is not
dead (`waiting`, `handed`); Go's detector is silent for good after the first Notify.

Locks: `Sigqueue.lock`, rank SIGQUEUE, guards all writes of its fields but the goroutine's; held
during an errand, and never taken by one. The loop reads `channels` and `stopping` without it: both
are replaced as a whole, and `stopping` grows before `channels` shrinks. A listener is offered a
value with no lock held.
Relies on: a read of one attribute, append and popleft of a deque, add, update and
difference_update of a set, being atomic.
Source: Go 1.27 runtime/sigqueue.go, os/signal. Tests: tests/runtime/test_sigqueue.py
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from types import FrameType
from typing import Any, Final

from gopark._runtime.base.errors import ClosedChannelError, ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Rank, mklock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GRUNNING,
    GWAITING,
    G,
    M,
    Waiter,
    casgstatus,
    goids,
    tls,
)
from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.deadlock import outside
from gopark._runtime.sched.finq import exclusive
from gopark._runtime.sched.lockedm import entersyscall, exitsyscall
from gopark._runtime.sched.newproc import newg
from gopark._runtime.sched.runq import globrunqput
from gopark._runtime.sched.startm import current, handoffp, releasep
from gopark._runtime.signal.errand import SIGURG, chained, flush, onmain
from gopark._runtime.signal.sigfwd import (
    Disposition,
    Forward,
    Relay,
    forwarded,
    getsignal,
    handlerof,
    note,
    ours,
    relays,
    set_wakeup_fd,
    setsignal,
)
from gopark._runtime.signal.signal_unix import atend, atfork, nudge, runsonmain
from gopark._runtime.signal.sigpipe import MARK, mark, pipes, takepipe
from gopark._runtime.signal.sigwatch import endfork, giveback, keepblocked
from gopark._runtime.signal.sigwatch import handlers as watched

__all__ = ("CATCHABLE", "IGNORABLE", "OURS", "VALID", "queue", "running")

_URGENT: Final = b"\xff"  # in the pipe: a SIGURG that is none of ours
_MASKS: Final = hasattr(signal, "pthread_sigmask")
_LOOK: Final = 0.05  # seconds


def _named(*names: str) -> frozenset[int]:
    return frozenset(int(getattr(signal, name, 0)) for name in names)


VALID: Final = frozenset(int(n) for n in signal.valid_signals())
IGNORABLE: Final = VALID - _named("SIGKILL", "SIGSTOP")
# A handler in Python for these would never run: the instruction that failed is tried again.
CATCHABLE: Final = IGNORABLE - _named("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL")
# Its handler stays, for it is how the main thread is reached; by default it is ignored anyway.
OURS: Final = frozenset({SIGURG}) if SIGURG else frozenset[int]()

Channel = Chan[signal.Signals]
Listening = tuple[Channel, frozenset[int]]


def _caught(signum: int, frame: FrameType | None) -> None:
    """The handler of a signal that somebody listens for: the C half has done all there is to do.

    Unless it came while `catch` was at it: then nobody would call the one that stood before.
    """
    q = _now
    if q is not None and signum in q.switching:
        old = q.before[signum].python
        if isinstance(old, Forward):
            Forward.__call__(old, signum, frame)
        else:
            old(signum, frame)


class Sigqueue:
    """Who listens in one program."""

    def __init__(self) -> None:
        self.lock = mklock(Rank.SIGQUEUE)
        self.ended = False
        self.channels: dict[Channel, frozenset[int]] = {}
        self.stopping: tuple[Listening, ...] = ()
        self.ignoring: set[int] = set()
        self.before: dict[int, Disposition] = {}  # of what is caught or ignored; main thread only
        self.blocked: set[int] = set()  # by the main thread, until they were caught; its own
        self.main = 0  # that thread
        self.active: set[int] = set()  # those in the pipe count; the goroutine's, and `catch`
        self.switching: set[int] = set()  # those that `catch` is at; main thread only
        self.r, self.w = takepipe()
        self.armed = False  # the pipe is the wake-up descriptor
        self.otherfd = -1  # the descriptor that stood before; gets all that we get
        self.looping = False  # the goroutine has been made
        self.serving = False  # it reads
        self.handed = 0  # see handed; the goroutine's own
        self.ownspipe: list[None] = [None]  # who pops it gives the pipe back
        # Locks to release; signals that count from here on, and that do not; None: the end.
        self.requests: deque[Any] = deque()

    def wanted(self, signum: int) -> bool:
        return any(signum in sigs for sigs in self.channels.values())

    def received(self, signum: int) -> bool:
        """Somebody listens, or has not been told yet of the last that came."""
        return self.wanted(signum) or any(signum in sigs for _, sigs in self.stopping)

    # --- on the main thread; each may be broken off and begun again -------------------------

    def catch(self, sigs: Iterable[int]) -> None:
        self.arm()
        for n in sigs:
            self.ignoring.discard(n)
            if n in OURS and self.urgent not in chained:
                chained.append(self.urgent)
            elif n not in OURS:
                old = self.before.setdefault(n, Disposition(n))
                if forwarded(old.python) is not None and n not in self.active:
                    self.switching.add(n)
                else:
                    self.active.add(n)
                setsignal(n, _caught)
        if self.switching:
            flush()
            self.requests.append((frozenset(self.switching), frozenset()))
            mark(self.w)
            self.switching.clear()
        if _MASKS:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()).intersection(sigs)
            self.blocked |= blocked
            self.main = _thread.get_ident()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)

    def release(self, sigs: Iterable[int]) -> None:
        """Have what stood before, unless the program has set a handler of its own meanwhile."""
        if self.blocked:
            signal.pthread_sigmask(signal.SIG_BLOCK, self.blocked.intersection(sigs))
        self.blocked.difference_update(sigs)
        for n in sigs:
            old = self.before.get(n)
            if old is not None:
                mine = signal.SIG_IGN if n in self.ignoring else _caught
                if old.restoring or getsignal(n) is mine:
                    theirs = forwarded(old.python)
                    if theirs is not None and mine is _caught:
                        setsignal(n, Relay(theirs))
                        old.restoreraw()
                    else:
                        old.restore()
                self.before.pop(n, None)
            self.ignoring.discard(n)

    def silence(self, sigs: Iterable[int]) -> None:
        for n in sigs:
            self.ignoring.add(n)
            if n not in OURS:
                self.before.setdefault(n, Disposition(n))
                setsignal(n, signal.SIG_IGN)

    def direct(self) -> None:
        """What no channel wants goes straight to its handler again. See the top, `stop`."""
        found = relays()
        if not found:
            return
        for one in found.values():
            one.direct = True
        flush()
        if self.serving:
            self.requests.append((frozenset(), frozenset(found)))
            mark(self.w)
            self.wait(self.ask())
        flush()
        nudge()

    def urgent(self, signum: int, frame: object) -> None:
        """A SIGURG that is none of ours; called by the handler."""
        try:
            os.write(self.w, _URGENT)
        except BlockingIOError:
            pass

    def arm(self) -> None:
        """Have the pipe written to; again if somebody else has set a descriptor meanwhile."""
        fd = set_wakeup_fd(self.w, warn_on_full_buffer=False)
        if fd != self.w:
            self.otherfd = fd
        self.armed = True

    def disarm(self) -> None:
        if self.armed:
            fd = giveback(self.otherfd)
            if fd != self.w:
                giveback(fd)  # it was somebody else's by now

    # --- the goroutine ---------------------------------------------------------------------

    def hand(self, signum: int) -> None:
        """Offer a signal to all who want it, and to those who just stopped; else to its handler."""
        channels = [ch for ch, sigs in self.channels.items() if signum in sigs]
        for ch, sigs in self.stopping:
            if signum in sigs and ch not in channels:
                channels.append(ch)
        if not channels:
            relay(signum)
            return
        value: Any = signum
        try:
            value = signal.Signals(signum)
        except ValueError:
            pass  # most real-time signals have no name
        for ch in channels:
            try:
                ch.try_send(value)
            except ClosedChannelError:
                raise ClosedChannelError(
                    f"send on closed channel: {shown(ch)} listens for {shown(value)}; "
                    "call gopark.signal.stop(ch) before ch.close()"
                ) from None

    def answer(self) -> bool:
        """A mark was read. True: it is the end."""
        try:
            done = self.requests.popleft()
        except IndexError:
            return False
        if done is None:
            return True
        if isinstance(done, tuple):
            self.active.update(done[0])  # as it stands, for `catch` adds to it meanwhile
            self.active.difference_update(done[1])
        else:
            done.release()
        return False

    def forward(self, data: bytes) -> None:
        """The wake-up descriptor that stood before ours gets its signals as well.

        What our watch does by default, the report of a SIGQUIT, it must not do for a signal that
        somebody gets: who that is may have stopped listening before it looks.
        """
        taken = bytes(n for n in watched if n not in OURS and self.received(n))
        if self.otherfd >= 0 and (data := data.translate(None, MARK + _URGENT + taken)):
            try:
                os.write(self.otherfd, data)
            except OSError:
                pass

    # --- from any thread -------------------------------------------------------------------

    def listen(self, ch: Channel, add: frozenset[int]) -> None:
        """Go: signal.Notify."""
        with exclusive(self.lock):
            self.alive()
            before = self.channels
            fresh = [n for n in add if not self.wanted(n)]
            self.channels = {**before, ch: before.get(ch, frozenset()) | add}
            if fresh:
                try:
                    onmain(lambda: self.catch(fresh))
                except BaseException:
                    self.channels = before
                    raise
            first, self.looping = not self.looping, True
        if first:
            g = Context().run(newg, next(goids), None, loop, (self,), {}, sys._getframe(1))
            g.goglobals = {"__name__": "gopark.signal"}
            globrunqput(g)

    def unlisten(self, ch: Channel) -> None:
        """Go: signal.Stop."""
        gone: list[Listening] = []
        try:
            with exclusive(self.lock):
                sigs = self.channels.get(ch, frozenset())
                gone += self.takeoff({ch: sigs})
                idle = self.changed(n for n in sigs if not self.wanted(n))
                if idle:
                    onmain(lambda: self.release(idle))
        finally:
            self.withdrawn(gone)

    def cancel(self, sigs: frozenset[int], ignore: bool) -> None:
        """End all listening for these. Go: signal.cancel."""
        gone: list[Listening] = []
        try:
            with exclusive(self.lock):
                self.alive()
                gone += self.takeoff({ch: mine & sigs for ch, mine in self.channels.items()})
                idle = [*sigs] if ignore else self.changed(sigs)
                if idle:
                    onmain(lambda: self.silence(idle) if ignore else self.release(idle))
        finally:
            self.withdrawn(gone)

    def alive(self) -> None:
        if self.ended:
            raise ProgramEnded

    def changed(self, sigs: Iterable[int]) -> list[int]:
        """Those whose handler is not the one that stood before."""
        return [n for n in sigs if n in self.before or n in self.ignoring]

    def takeoff(self, gone: dict[Channel, frozenset[int]]) -> list[Listening]:
        """Step 1 of the end of listening; the caller holds the lock."""
        pairs = [pair for pair in gone.items() if pair[1]]
        self.stopping = (*self.stopping, *pairs)
        left = {ch: had - gone.get(ch, frozenset()) for ch, had in self.channels.items()}
        self.channels = {ch: had for ch, had in left.items() if had}
        return pairs

    def withdrawn(self, gone: list[Listening]) -> None:
        """Steps 3 to 5."""
        if not gone:
            return
        try:
            self.settle()
        finally:
            with self.lock:
                left = (pair for pair in self.stopping if not any(pair is p for p in gone))
                self.stopping = tuple(left)
                # All that came is handed out, and its handler may be next, straight: see `catch`.
                self.active.difference_update(self.ignoring)
                if relays() and not self.ended:
                    onmain(self.direct)
        outside.recheck()

    def settle(self) -> None:
        """Return once all that was caught before this call has been handed out."""
        done = self.ask()
        m = tls.m
        g = None if m is None else m.curg
        if m is None or g is None or self.serving or g.status is not GRUNNING:
            self.wait(done)
            return
        entersyscall(m, g)  # the loop has not begun, and may need our P for that
        try:
            self.wait(done)
        finally:
            exitsyscall(m, g)

    def ask(self) -> _thread.LockType:
        """A lock that the loop will release, once it has passed all that is in the pipe now."""
        done = _thread.allocate_lock()
        done.acquire()
        self.requests.append(done)
        mark(self.w)
        return done

    def wait(self, done: _thread.LockType) -> None:
        while not done.acquire(timeout=_LOOK):
            if not self.serving and (self.ended or current() is None):
                return  # the loop has ended, or will never begin


_now: Sigqueue | None = None  # of the program on the main thread, from its first notify or ignore
_making = _thread.allocate_lock()  # guards the making of a Sigqueue


# --- the signal goroutine ------------------------------------------------------------------


class _Signal(Waiter):
    """What the signal goroutine waits on. Nobody can take it off: it is told by the pipe."""

    __slots__ = ()

    def unwait(self, g: G) -> bool:
        return False


_anysignal: Final = _Signal()


def loop(q: Sigqueue) -> None:
    """Read signals and hand them out until the program ends. Go: os/signal.loop."""
    try:
        q.ownspipe.pop()
    except IndexError:
        return  # the program has ended before this began
    m = tls.m
    assert m is not None and m.curg is not None
    g = m.curg
    q.serving = True
    _wait(m, g)
    try:
        while True:
            data = os.read(q.r, 4096)
            q.handed += 1
            q.forward(data)
            for n in data:
                if n == _URGENT[0]:
                    q.hand(SIGURG)
                elif n in OURS:
                    continue  # its handler in Python knows better
                elif n:
                    if n in q.active:
                        q.hand(n)
                elif q.answer():
                    return
            q.handed += 1
    finally:
        pipes.append((q.r, q.w))  # nobody takes it before the program has ended
        q.serving = False
        g.waiting = g.lockedm = None
        casgstatus(g, GWAITING, GRUNNING)


loop.__module__ = "gopark.signal"


def relay(signum: int) -> None:
    """Nobody listens any more: have the handler called that stood before."""
    handler = handlerof(signum)
    if type(handler) is Relay:
        note(handler.handler, signum)
        nudge()


def _wait(m: M, g: G) -> None:
    """To all others the goroutine waits, on this thread, also while it hands out signals."""
    sched = m.sched
    assert sched is not None
    g.waiting = _anysignal
    g.waitreason = "syscall"
    g.waitsince = sched.now
    g.lockedm = m
    if FREETHREADED:
        hooks.recordframes(m)
    casgstatus(g, GRUNNING, GWAITING)
    p = releasep(m)
    if p is not None:
        handoffp(sched, p)


# --- the program that runs ---------------------------------------------------------------------


def running() -> Sigqueue | None:
    """That of the program on the main thread, if anybody has asked for it."""
    return _now


def queue(who: str) -> Sigqueue:
    """That of the program, which has to run on the main thread."""
    global _now
    m = tls.m
    if m is not None and m.g is None and m.sched is not None and m.sched.ended:
        raise ProgramEnded
    with exclusive(_making):
        if not runsonmain():
            raise RuntimeError(_elsewhere(who))
        if _now is None:
            _now = Sigqueue()
        return _now


def _elsewhere(who: str) -> str:
    sched = current()
    m0 = None if sched is None else sched.m0
    name = next((t.name for t in threading.enumerate() if m0 and t.ident == m0.ident), None)
    where = "is not active" if m0 is None else f"is active in thread {name!r}"
    return (
        f"signal.{who}(): gopark.run {where}. Python lets only the main thread change what a "
        f"signal does, so call gopark.run there"
    )


# --- the end, fork, deadlock -----------------------------------------------------------------


def _end() -> None:
    """The program has ended; on the main thread: everything is as it was before."""
    global _now
    with _making:  # one that is being made is the program's still, and ends with it
        q, _now = _now, None
    if q is None:
        return
    with q.lock:
        q.ended = True
        q.channels = {}
        q.release([*q.before])
        q.direct()
        q.disarm()
    try:
        q.ownspipe.pop()
    except IndexError:
        q.requests.append(None)
        mark(q.w)
    else:
        pipes.append((q.r, q.w))  # the loop never began


def _forget() -> Callable[[], None]:
    """In the child of a fork, which shares the pipe with its parent: nobody listens here."""
    global _now, _making
    q, _now = _now, None
    fds = [*pipes, *([] if q is None else [(q.r, q.w)])]
    if q is not None:
        q.ended = True
        if q.main == _thread.get_ident():
            keepblocked(q.blocked)
        q.release([*q.before])
        q.disarm()
    pipes.clear()
    for fd in {fd for pair in fds for fd in pair}:
        os.close(fd)
    _making = _thread.allocate_lock()
    return endfork


def waiting() -> bool:
    """A goroutine waits for a signal, so that one may wake it."""
    q = _now
    return q is not None and any(_received(ch) for ch in q.channels)


def _received(ch: Channel) -> bool:
    try:
        return any(not (e.is_select and e.marked) for e in list(ch._recvq))  # type: ignore[union-attr]
    except RuntimeError:
        return True  # it changes, so somebody is awake


def handed() -> int:
    """Odd while signals are handed out. A goroutine that is taken off a queue then seems to wait
    until it is woken, and so does the one that wakes it: nothing else tells that somebody is up."""
    q = _now
    return 0 if q is None else q.handed


ours.append(_caught)
outside.waiting = waiting
outside.handed = handed
atend.append(_end)
atfork.append(_forget)
