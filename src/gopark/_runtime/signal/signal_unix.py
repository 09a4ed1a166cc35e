"""Ctrl-C, handlers of the program's own, and bringing the thread that called `run` back to it.

A Python signal handler runs on the main thread between any two lines, inside the runtime too, where
a lock may be held. So nothing of the program's is called, and nothing raised, but where the
innermost code is the user's (`interruptible`, in preempt.py). What cannot be done at once is noted,
a handler that is to be called in `pending` (sigfwd.py), an exception for main in `owed`, and
a helper thread that lives until it is done sees to it:
  a handler to be called  send SIGURG (errand.py) until that meets user code; and the main thread
                          looks by itself between two goroutines, and when it wakes (`safepoint`)
  main is parked          take it off its wait queue and wake it with the exception
  main runs on M0         send SIGURG until that meets user code
  main runs elsewhere     an asynchronous exception for that thread, if user code is innermost;
                          without a GIL the thread looks itself, now and then: see codewatch.py
  main is about to run    look again in a moment
One Ctrl-C is one KeyboardInterrupt in main: who raises it has taken the entry of `owed` (owed.py).
What a handler raises is owed in the same way, unless main's own code is what it interrupted. What
is still owed as a program ends is raised by `run`. By the same means M0 comes home: bringhome.py.
Relies on: append and pop of a deque are atomic.

All this begins before `run` does anything that would have to be undone, and ends after it has
undone all; and, where the runtime is used on the main thread without `run`, at its first use. There
the goroutine of the main thread, which is one while it is in `block`, stands in main's place.

Locks: `_state.lock`, rank SIGNAL, guards `installed`; never taken by a handler.
Source: Go 1.27 runtime/signal_unix.go, preempt.go (isAsyncSafePoint); Ctrl-C ends Go's process.
Tests: tests/runtime/test_signal_unix.py
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from types import FrameType
from typing import Final

from gopark._runtime.base.errors import FatalError, ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Rank, mklock
from gopark._runtime.base.runtime2 import (
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    Sched,
    itemsof,
    tls,
)
from gopark._runtime.base.unraisable import look, nolonger
from gopark._runtime.c import cgocall, extram
from gopark._runtime.report.traceback import boundary, transparent
from gopark._runtime.sched.deadlock import outside
from gopark._runtime.sched.onm0 import holdmain, letmain
from gopark._runtime.sched.panic import endsched
from gopark._runtime.sched.startm import current
from gopark._runtime.signal import errand, sigfwd
from gopark._runtime.signal.codewatch import CodeWatch, needed
from gopark._runtime.signal.errand import SIGURG, chained, reachable, sendurg, sigurg
from gopark._runtime.signal.owed import (
    again,
    owe,
    owed,
    pressed,
    raiseall,
    raiseone,
    raisers,
    take,
    throw,
    throwatyield,
)
from gopark._runtime.signal.owed import doors as debts
from gopark._runtime.signal.preempt import Flight, interrupt, interruptible
from gopark._runtime.signal.sigfwd import (
    Disposition,
    Forward,
    Handler,
    denote,
    forwarded,
    handlerof,
    inone,
    note,
    pending,
    setsignal,
)

__all__ = (
    "Poker",
    "atend",
    "atfork",
    "awaken",
    "endsig",
    "initsig",
    "leaving",
    "nudge",
    "onwatch",
    "resume",
    "runsonmain",
)

_PAUSE: Final = 0.001
_MOST: Final = 5.0  # seconds for a helper that sees at each _PAUSE whether it is over
_TURN: Final = 0.05  # seconds that the thread which watches for signals helps at once


# What ends a process that has no main, raised on the main thread: see nomain.py.
leaving: Final[deque[BaseException]] = deque(maxlen=1)


class _State:
    """Who is to be interrupted, and whether a helper is at it."""

    def __init__(self) -> None:
        self.lock = mklock(Rank.SIGNAL)
        self.helper: deque[None] = deque((None,))  # taken while a helper is at it
        self.flight: Flight = {}  # sent to another thread, and not raised there yet
        self.installed = False  # SIGURG is ours: a program runs on the main thread
        self.before: list[Disposition] = []  # of SIGINT and SIGURG; main thread only


_state = _State()

# Have the thread that watches for signals do something short; False: there is none. sigwatch.py.
onwatch: Final[list[Callable[[Callable[[], None]], bool]]] = []

# What else ends with a program, while errands are still run, and in the child of a fork; both
# on the main thread. Set by sigqueue.py.
atend: Final[list[Callable[[], None]]] = []
atfork: Final[list[Callable[[], Callable[[], None]]]] = []  # the second half is done last


def initsig() -> bool:
    """Install the handlers, if this is the main thread and that has not been done.

    Ctrl-C first: from there on nothing is raised amid the runtime. True: the caller is to
    call `endsig` in the end.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        if handlerof(signal.SIGINT) is signal.default_int_handler:
            _state.before.append(Disposition(signal.SIGINT))
            setsignal(signal.SIGINT, _sigint)
        if SIGURG and handlerof(SIGURG) is not sigurg:
            before = Disposition(SIGURG)
            before.python = forwarded(before.python) or before.python  # set since the first use
            _state.before.append(before)
            if callable(before.python):
                chained.append(Forward(before.python))
            setsignal(SIGURG, sigurg)
        sigfwd.install()
        look(again)
        _state.installed = True
    except BaseException:  # a handler of the program's own, which had no Forward yet
        _putback()
        raise
    return True


def runsonmain() -> bool:
    """A program runs on the main thread, so that errands are run."""
    sched = current()
    return _state.installed and sched is not None and sched.main is not None


def ending(forgive: bool = False) -> None:
    """The program has ended, and the rest of what it did with signals does.

    Args:
        forgive: By a fatal error: that is what is said, and nothing else is owed any more.
    """
    if threading.current_thread() is threading.main_thread():
        for also in atend:
            _despite(also)
        if forgive:
            owed.clear()


def endsig() -> None:
    """Have all as it was before, and raise what main is owed still.

    What the program's handlers raise meanwhile is as if main had. They are put back amid the
    passing of what is raised here: what they raise from then on, at any line, comes after that.
    """
    with _state.lock:
        _state.installed = False  # from here on no helper sends a signal
    time.sleep(0)  # one that is on its way meets our handler, not the one we put back
    try:
        _despite(_callrest)
        raiseall()
    finally:
        _putback()
        _late()


def _late() -> None:
    """What came since `endsig` had looked, before they were put back; any line of it may raise."""
    try:
        if pending:
            _callrest()  # after a fatal error; what they raise is not heard any more
        if owed:
            raiseone()
    finally:
        if pending or owed:
            _late()


def _callrest() -> None:
    """What came too late to be called before; and a helper may have taken what is owed to give it
    to main, have come too late as well, and be about to put it back."""
    while pending:
        one = pending[0]
        denote(one)
        _call(one)
    until = time.monotonic() + _MOST
    while not _state.helper and time.monotonic() < until:
        time.sleep(_PAUSE / 4)


def resume() -> None:
    """Main can be found from here on, and something may have come before."""
    if owed or pending:
        _help()


def _despite(step: Callable[[], object]) -> None:
    """Do it to its end, from the start again if a handler of the program's own raises amid it."""
    while True:
        try:
            step()
        except BaseException as exc:
            owe(exc)
        else:
            return


def _putback() -> None:
    """The handlers that stood before, that of Ctrl-C last; then they get what is pending still."""
    nolonger(again)
    before = _state.before
    last = {one.signum: one for one in before}
    ours = [last[n] for n in reversed(last) if handlerof(n) in (_sigint, sigurg)]
    steps = [(chained.clear,), *(step for one in ours for step in one.steps()), (before.clear,)]
    if handlerof(signal.SIGINT) is _sigint and signal.SIGINT not in last:  # it was set meanwhile
        steps.append(sigfwd.setting(signal.SIGINT, signal.default_int_handler))
    if not isinstance(sys.exc_info()[1], FatalError):
        steps += sigfwd.oncemore()
    try:
        inone((*sigfwd.uninstalling(), *steps))
    except BaseException:  # of a handler that is back
        _putback()
        raise


# --- handlers --------------------------------------------------------------------------------


def _sigint(signum: int, frame: FrameType | None) -> None:
    """On the main thread, between any two lines: take no lock of ours."""
    if not pressed():
        owe(KeyboardInterrupt())
    _attend(frame)


def _arrived(forward: Forward, signum: int, frame: FrameType | None) -> None:
    """The same for a signal that the program has a handler of its own for."""
    if signum != SIGURG or not errand.met():  # else it is one of ours: see _ours
        note(forward.handler, signum, frame)
    _attend(frame)


def _attend(frame: FrameType | None) -> None:
    """Call what is pending and raise what is owed to main, if this is the place for it; else see
    that it is done soon."""
    m = tls.m
    if leaving and interruptible(frame, None if m is None else m.curg):
        try:
            last = leaving.popleft()
        except IndexError:
            pass  # taken just now, for a wait in `block`: see nomain.py
        else:
            raise last
    sched = current()
    if m is not None and m.g is None and m.sched is not None:
        sched = m.sched
        if sched.ended:  # `run` is on its way home, and does the rest
            _athome(frame)
            return
    if not pending and not owed:
        return
    g = None if m is None else m.curg
    if not interruptible(frame, g):
        if pending and m is not None:
            m.park.wakeup()  # if it sleeps there: see safepoint
        _help()
        return
    _callpending()
    if (sched is None or _ismain(sched, g)) and (exc := take()) is not None:
        raise exc
    if owed:
        _help()


def _callpending() -> None:
    """On the main thread, where handlers of the program's own may be called: call them.

    But not again one whose exception main has not got yet: it would have been raised by now.
    """
    held = holdmain()
    try:
        for one in itemsof(pending):
            if one[:2] in raisers():
                continue
            if denote(one):
                _call(one)
    finally:
        if held is not None and held.handling:
            letmain(held)


def _call(one: tuple[Handler, int, FrameType | None]) -> None:
    handler, signum, frame = one
    try:
        handler(signum, frame)
    except BaseException as exc:
        owe(exc, (handler, signum))


def _onmain() -> bool:
    """Not in `safepoint` itself: on that, a function of the library would pass for user code."""
    return _thread.get_ident() == threading.main_thread().ident


def safepoint(m: M) -> None:
    """The main thread, in the scheduler with no lock held, has been told that something is pending.

    What is called is a goroutine of its own while it runs, as a callback from C is: it may do
    whatever that may, and wait. The P stays here meanwhile, if it is here, and main: see onm0.py.
    """
    if not _onmain():
        return
    if all(one[:2] in raisers() for one in itemsof(pending)):
        pass  # main is to get first what they have raised, and may need this P for that
    else:
        if (p := m.p) is not None:
            p.began = time.monotonic()
        tls.m = None
        try:
            cgocall.borrow(_callpending)
        finally:
            tls.m = m
    if owed:
        _help()


transparent.update(
    one.__code__ for one in (sigurg, _arrived, _attend, _callpending, _call, Forward.__call__)
)
boundary.add(safepoint.__code__)


def _ismain(sched: Sched, g: G | None) -> bool:
    """What is owed may be raised in `g`, which the main thread runs."""
    return sched.main is None or g is sched.main


def _target(sched: Sched) -> G | None:
    """Who gets what is owed: main or, if there is none, what the main thread runs."""
    if sched.main is not None:
        return sched.main
    main = threading.main_thread().ident
    return next((m.curg for m in extram.inuse() if m.ident == main), None)


def _watched(frame: FrameType) -> None:
    """The calling thread has come by a place: as `_attend`, on any thread and for that one."""
    m = tls.m
    if m is None or m.sched is None or (g := m.curg) is None or g.status is not GRUNNING:
        return
    if m.sched.ended:
        if m is m.sched.m0:
            _athome(frame)
    elif g is m.sched.main and owed and interruptible(frame, g):
        exc = take()
        if exc is not None:
            raise exc


_watch: Final = CodeWatch(_watched)


def _athome(frame: FrameType | None) -> None:
    """The program has ended and M0 may still be in user code, or `run` is tidying up."""
    m = tls.m
    if m is None or m.sched is None or not m.sched.ended or m.curg is None:
        return
    if m is not m.sched.m0:
        return  # it closes what is left behind
    if interruptible(frame, m.curg):
        raise m.sched.fatal if m.sched.fatal is not None else ProgramEnded()


def _help() -> None:
    """Have a thread of its own do what a signal handler must not.

    A Ctrl-C that finds a helper there leaves the work to that one, which may just have ended it:
      the handler                         the helper
      1. appends to `owed`                1. gives `helper` back
      2. takes `helper`, or it is gone    2. looks at `owed`, and takes `helper` again
    """
    state = _state
    try:
        state.helper.pop()
    except IndexError:
        return
    try:
        _thread.start_new_thread(_helper, (state,))
    except (RuntimeError, MemoryError):  # no more threads: the one that watches, if there is one
        if not (onwatch and onwatch[0](_helpbywatch)):
            state.helper.append(None)  # the next Ctrl-C may find one
    except BaseException:
        state.helper.append(None)
        raise


nudge: Final = _help  # something has been noted by another thread than the main one


def _helpbywatch() -> None:
    """As `_helper`, in turns, for the thread has signals to hear."""
    sched = current()
    try:
        if sched is not None:
            _interrupt(sched, time.monotonic() + _TURN)
    finally:
        more = bool(owed) and sched is not None and not sched.ended
        if not (more and onwatch[0](_helpbywatch)):
            _state.helper.append(None)


def _helper(state: _State) -> None:
    while True:
        try:
            if (sched := current()) is not None:
                _interrupt(sched)
        finally:
            state.helper.append(None)
        sched = current()
        if not (owed or pending) or sched is None or sched.ended:
            outside.recheck()  # who asked meanwhile was told that somebody is at it
            return
        try:
            state.helper.pop()
        except IndexError:
            return


def _interrupt(sched: Sched, until: float = inf) -> None:
    """Get what is owed into main, and the main thread to where handlers may be called."""
    with Poker(sched) as poker:
        while (owed or pending) and not sched.ended and time.monotonic() < until:
            g = _target(sched)
            if pending or (g is None and sched.main is None):
                awaken()
            if not owed:
                pass
            elif sched.main_goexited:
                sched.exc = take()
                endsched(sched)
            elif g is not None and g.status is GWAITING:
                throw(g)
            elif g is not None and g.status in (GRUNNABLE, GRUNNING, GSYSCALL):
                throwatyield(sched, g)
                if g.status is not GRUNNABLE and g.m is not None:
                    poker.poke(g.m)
            time.sleep(_PAUSE)


class Poker:
    """Interrupts user code on another thread than the caller's, which has looked that some runs.

    Args:
        sched: The program.
        home: It has ended, and ProgramEnded is to be raised, not what main is owed.
    """

    def __init__(self, sched: Sched, home: bool = False) -> None:
        self.sched = sched
        self.home = home
        self.watching = False

    def __enter__(self) -> Poker:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.watching:
            _watch.off()

    def poke(self, m: M) -> None:
        """Once more, on `m`; it may be for nothing."""
        if m.ident == threading.main_thread().ident and awaken():
            return
        if not needed():
            self._send(m)
        elif self.watching:
            _watch.retry()
        else:
            self.watching = True
            _watch.on()

    def _send(self, m: M) -> None:
        g = m.curg
        if g is None or g.status is not GRUNNING or _state.flight:
            return  # what is in flight will be met there
        if self.home:
            _state.flight = interrupt(m, g, ProgramEnded()) or {}
        elif g is self.sched.main:
            try:
                debt = owed.popleft()
            except IndexError:
                return
            flight = interrupt(m, g, debt.exc)
            if flight is None:
                owed.appendleft(debt)
            else:
                _state.flight = flight


def awaken() -> bool:
    """Have the main thread look around, from any thread; False: it cannot be reached so.

    The kernel may give a signal to any thread. Then C has noted it, and the main thread, if that is
    asleep, does not know: so the one that reads the wake-up descriptor calls this too.
    """
    with _state.lock:
        signum = _ours()
        main = threading.main_thread().ident
        if not _state.installed or not signum or main is None:
            return False
        if signum == signal.SIGINT and not owed:
            return False  # it would be a Ctrl-C; beside one that is owed already it is none
        sendurg(signum, main)
        return True


def _ours() -> int:
    """A signal that brings the main thread to `_attend`; 0 if there is none.

    The Forward of a handler that the program has set for SIGURG meanwhile does. SIGINT is a Ctrl-C,
    whoever sends it: so it will do only where one is owed that another would be taken for.
    """
    if reachable() or (SIGURG and type(handlerof(SIGURG)) is Forward):
        return SIGURG
    return signal.SIGINT if pressed() and handlerof(signal.SIGINT) is _sigint else 0


def forget() -> None:
    """In the child of a fork: no helper came along, no errand is waited for, no program runs."""
    global _state
    before = _state.before
    _state = _State()
    _state.before = before
    _watch.lock = mklock(Rank.SIGNAL)
    _watch.end()
    errand.forget()
    pending.clear()
    owed.clear()
    finish = [clean() for clean in atfork]
    _putback()
    for end in finish:
        end()


def exiting() -> None:
    """The interpreter exits: its own handlers are what it knows how to do without."""
    if _state.before and threading.current_thread() is threading.main_thread():
        _putback()


def interrupting() -> bool:
    """A helper is at it. It may be so new that it does not count as a Python thread yet."""
    return not _state.helper or bool(pending)


outside.interrupting = interrupting
outside.mayhandle = sigfwd.mayhandle
hooks.safepoint = safepoint
hooks.initsig = initsig
debts.help = _help
sigfwd.doors.arrived = _arrived
sigfwd.doors.keyboard = _sigint
errand.doors.attend = _attend
sigfwd.ours.extend((_sigint, sigurg))
