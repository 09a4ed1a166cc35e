"""Ctrl-C, and bringing the thread that called `run` back to it.

A Python signal handler runs on the main thread between any two lines, inside the runtime
too, where a lock may be held. So it raises only where the innermost code is the user's
(`_interruptible`); else it leaves the work to a helper thread that lives until it is done:
  main is parked          take it off its wait queue and wake it with KeyboardInterrupt
  main runs on M0         send SIGURG (see below) until that meets user code
  main runs elsewhere     an asynchronous exception for that thread, if user code is innermost;
                          without a GIL the thread looks itself, at each line: see linewatch.py
  main is about to run    look again in a moment
One Ctrl-C is one KeyboardInterrupt in main: who raises it has taken the entry of `_state.owed`.
Relies on: append and pop of a deque are atomic.

When a program ends while M0 is in user code (a fatal error, main done on another thread),
the same means bring M0 home. If that fails for GRACE seconds after a fatal error, M0 is in
C that cannot be interrupted, and the process exits with status 2, as Go's would at once.

The handler is installed by `run` on the main thread where Python's own stood, and no other.

SIGURG is how other threads reach the main thread, wherever that is: asleep on a lock, in user
code, in C that a signal interrupts. It is the signal that Go uses to preempt, and by default
it does nothing. Its handler looks whether an exception is owed to M0, and runs errands: what
only the main thread may do, on behalf of one that waits for it (`onmain`). A handler of the
program's own that stood before `run` is called for those that others have sent.

Locks: `_state.lock`, rank SIGNAL, guards `installed`; never taken by a handler.
Source: Go 1.27 runtime/signal_unix.go; Ctrl-C has none, it ends Go's process.
Tests: tests/runtime/test_signal_unix.py
"""

from __future__ import annotations

import _thread
import ctypes
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from gopark._runtime import cgocall, lockedm
from gopark._runtime.deadlock import outside
from gopark._runtime.errors import ProgramEnded
from gopark._runtime.linewatch import LineWatch, needed
from gopark._runtime.lockrank import Rank, mklock
from gopark._runtime.panic import doors, endsched
from gopark._runtime.runq import ready
from gopark._runtime.runtime2 import (
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    Sched,
    currentframes,
    tls,
)
from gopark._runtime.startm import current
from gopark._runtime.traceback import boundary, callback_entry, hidden

__all__ = (
    "SIGURG",
    "Disposition",
    "atend",
    "atfork",
    "chained",
    "initsig",
    "onmain",
    "runsonmain",
    "wakewith",
)

GRACE: Final = 1.0  # seconds
_PATIENCE: Final = 0.02  # seconds that a step on M0 has to end by itself when the program has ended
_PAUSE: Final = 0.001
SIGURG: Final[int] = getattr(signal, "SIGURG", 0)  # 0: this system has none

# Frames of ours that user code may be called from, and an exception may pass through.
transparent: Final[set[CodeType]] = {
    lockedm.block.__code__,
    lockedm.drive.__code__,
    cgocall.call.__code__,
}  # and rt0._keep
_setasyncexc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_setasyncexc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _State:
    """Who is to be interrupted, and whether a helper is at it."""

    def __init__(self) -> None:
        self.lock = mklock(Rank.SIGNAL)
        self.owed: deque[None] = deque(maxlen=1)  # to main, a KeyboardInterrupt
        self.helper: deque[None] = deque((None,))  # taken while a helper is at it
        self.sent = self.seen = 0  # the last SIGURG of ours, and the last that was met
        self.busy = False  # errands are being run; main thread only
        self.installed = False  # SIGURG is ours: a program runs on the main thread
        self.putback: Callable[[], None] = _nothing  # have the handlers that stood before


def _nothing() -> None:
    """Nothing was installed."""


_state = _State()

_sends: Final = itertools.count(1)

# What else ends with a program, while errands are still run, and in the child of a fork; both
# on the main thread. Set by sigqueue.py.
atend: Final[list[Callable[[], None]]] = []
atfork: Final[list[Callable[[], Callable[[], None]]]] = []  # the second half is done last


def initsig(sched: Sched) -> Callable[[], None]:
    """Install the handlers, on the main thread; returns what undoes it."""
    _state.owed.clear()
    if threading.current_thread() is not threading.main_thread():
        return _nothing
    before = []
    if SIGURG:
        before.append(Disposition(SIGURG))
        if callable(before[0].python):
            chained.append(before[0].python)
        signal.signal(SIGURG, _sigurg)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before.append(Disposition(signal.SIGINT))
        signal.signal(signal.SIGINT, _sigint)
    _state.installed = True

    def putback() -> None:
        while before:
            if signal.getsignal(before[-1].signum) in (_sigint, _sigurg):
                before[-1].restore()
            before.pop()
        chained.clear()
        _state.putback = _nothing

    def end() -> None:
        for also in atend:
            also()
        with _state.lock:
            _state.installed = False  # from here on no helper sends a signal
        time.sleep(0)  # one that is on its way meets our handler, not the one we put back
        putback()

    def restore() -> None:
        while True:
            try:
                return end()
            except BaseException as exc:  # of a handler of the program's own: as if main's
                sched.exc = sched.exc or exc

    _state.putback = putback
    return restore


# --- handlers, and what stood before -------------------------------------------------------


def _sigaction(signum: int, new: Any, old: Any) -> None:
    """Where there is none, Python's table has to do."""


if os.name == "posix":
    _sigaction = ctypes.CDLL(None).sigaction
    _sigaction.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
_SIZE: Final = 256  # bytes; more than a struct sigaction has anywhere


class Disposition:
    """What a signal does: by Python's table of handlers, and by the kernel's own.

    The two differ where C has a handler (faulthandler's, say) or has set flags, and only the
    main thread may change the first.
    """

    __slots__ = ("python", "raw", "restoring", "signum")

    def __init__(self, signum: int) -> None:
        self.restoring = False
        self.signum = signum
        self.python: Any = signal.getsignal(signum)
        self.raw = ctypes.create_string_buffer(_SIZE)
        _sigaction(signum, None, self.raw)

    def restore(self) -> None:
        """Put it back. A signal that was caught is still seen by the handler that goes.

        The kernel first: while Python had no handler and C still caught the signal, Python
        would only complain about one that comes.
        """
        self.restoring = True
        _sigaction(self.signum, self.raw, None)
        signal.signal(self.signum, signal.SIG_DFL if self.python is None else self.python)
        _sigaction(self.signum, self.raw, None)  # with the flags


# --- errands: what only the main thread may do ---------------------------------------------


class _Errand:
    """Done, from the start again, until it comes to its end: a handler of the program's own may
    raise anywhere in it, and that is for main."""

    __slots__ = ("done", "finished", "work")

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.finished = False
        self.done = _thread.allocate_lock()
        self.done.acquire()


_errands: deque[_Errand] = deque()
# Who gets a SIGURG that is not of ours: the handler that stood before `run`, and sigqueue.py. Two
# that come at once are one to the kernel, so that one of others may get lost beside one of ours.
chained: Final[list[Callable[[int, FrameType | None], object]]] = []
_RESEND: Final = 0.05  # seconds; a signal may come in the instant before the main thread waits


def reachable() -> bool:
    """The main thread can be sent a signal whose handler runs errands."""
    return SIGURG != 0 and signal.getsignal(SIGURG) is _sigurg


def runsonmain() -> bool:
    """A program runs on the main thread, so that errands are run."""
    return _state.installed


def onmain(work: Callable[[], None]) -> None:
    """Have the main thread do something between two lines of whatever it runs, and wait for it.

    `work` takes no lock, for the main thread may hold it, and may be begun several times. May
    be called without a P.
    """
    main = threading.main_thread().ident
    if _thread.get_ident() == main or main is None:
        _flush()
        work()
        return
    if not reachable():
        raise RuntimeError(
            "this thread reaches the main thread by SIGURG, and cannot: the program has set a "
            "handler for it while gopark.run is active (set it before run, or use another "
            "signal), or the system has none (call this on the main thread)"
        )
    errand = _Errand(work)
    _errands.append(errand)
    pause = 0.001
    while True:
        _state.sent = next(_sends)
        signal.pthread_kill(main, SIGURG)
        if errand.done.acquire(timeout=pause):
            return
        pause = min(pause * 2, _RESEND)


def _flush() -> None:
    """Run the handlers of all signals that have come.

    Python runs them in the order of their numbers, and looks up each only when its turn comes.
    If one is called just now, those of higher numbers are still to come, and were they taken
    out meanwhile, Python would report signals that it cannot serve. A new signal starts a round
    of its own, which serves them all.
    """
    if not reachable():
        return
    _state.sent = next(_sends)
    _thread.interrupt_main(signal.SIGURG)
    signal.pthread_sigmask(signal.SIG_BLOCK, ())  # looks for signals


def _sigurg(signum: int, frame: FrameType | None) -> None:
    """On the main thread, between any two lines: take no lock of ours."""
    ours = _state.seen != _state.sent
    _state.seen = _state.sent
    if _state.busy:
        return  # inside an errand; who waits for the next one will send another signal
    try:
        _state.busy = True
        while _errands:
            errand = _errands[0]
            if not errand.finished:
                _flush()
                errand.work()
                errand.finished = True
            if errand.done.locked():
                errand.done.release()
            _errands.popleft()
    finally:
        _state.busy = False
    if not ours:
        for handler in chained:
            handler(signum, frame)
    _attend(frame)


# --- Ctrl-C ----------------------------------------------------------------------------------


def _sigint(signum: int, frame: FrameType | None) -> None:
    """On the main thread, between any two lines: take no lock of ours."""
    if current() is not None:
        _state.owed.append(None)
    _attend(frame)


def _attend(frame: FrameType | None) -> None:
    """Raise what is owed to M0, if it is in user code; else see that this is done soon."""
    sched = current()
    if sched is None:
        _athome(frame)
        return
    if not _state.owed:
        return
    m0 = sched.m0
    g = None if m0 is None else m0.curg
    if g is not None and g is sched.main and _interruptible(frame, g) and _take():
        raise KeyboardInterrupt
    _help()


def _take() -> bool:
    """Main is owed an exception, and now it is for the caller to raise."""
    try:
        _state.owed.pop()
    except IndexError:
        return False
    return True


def _atline(frame: FrameType) -> None:
    """The calling thread is about to run a line: as `_attend`, on any thread and for that one."""
    m = tls.m
    if m is None or m.sched is None or (g := m.curg) is None or g.status is not GRUNNING:
        return
    if m.sched.ended:
        if m is m.sched.m0:
            _athome(frame)
    elif g is m.sched.main and _state.owed and _interruptible(frame, g) and _take():
        raise KeyboardInterrupt


_lines: Final = LineWatch(_atline)


def _athome(frame: FrameType | None) -> None:
    """The program has ended and M0 may still be in user code, or `run` is tidying up."""
    m = tls.m
    if m is None or m.sched is None or not m.sched.ended or m.curg is None:
        return
    if _interruptible(frame, m.curg):
        raise m.sched.fatal if m.sched.fatal is not None else ProgramEnded()


def _interruptible(frame: FrameType | None, g: G) -> bool:
    """An exception may be raised in `frame`: the user's code is innermost."""
    if frame is None or frame.f_code in boundary:
        return False
    innermost = True
    while frame is not None and frame.f_code not in boundary:
        code = frame.f_code
        if hidden(code) and code not in callback_entry:
            if code not in transparent:
                return False
            if innermost and not (code is cgocall.call.__code__ and g.status is GSYSCALL):
                return False
        innermost = False
        frame = frame.f_back
    return True


def _help() -> None:
    """Have a thread of its own do what a signal handler must not.

    A Ctrl-C that finds a helper there leaves the work to that one, which may just have ended it:
      the handler                         the helper
      1. appends to `owed`                1. gives `helper` back
      2. takes `helper`, or it is gone    2. looks at `owed`, and takes `helper` again
    Relies on: pop and append of a deque are atomic.
    """
    state = _state
    try:
        state.helper.pop()
    except IndexError:
        return
    try:
        _thread.start_new_thread(_helper, (state,))
    except BaseException:
        state.helper.append(None)
        raise


def _helper(state: _State) -> None:
    while True:
        try:
            if (sched := current()) is not None:
                _interrupt(sched)
        finally:
            state.helper.append(None)
        sched = current()
        if not state.owed or sched is None or sched.ended:
            return
        try:
            state.helper.pop()
        except IndexError:
            return


def _interrupt(sched: Sched) -> None:
    """Get a KeyboardInterrupt into main."""
    with _Poker(sched, KeyboardInterrupt) as poker:
        while _state.owed and not sched.ended:
            g = sched.main
            if g is None or sched.main_goexited:
                sched.exc = KeyboardInterrupt()
                endsched(sched)
            elif g.status is GWAITING:
                if g.waiting is not None and _take() and not wakewith(g, KeyboardInterrupt()):
                    _state.owed.append(None)
            elif g.status in (GRUNNING, GSYSCALL) and g.m is not None:
                poker.poke(g.m)
            time.sleep(_PAUSE)


def wakewith(g: G, exc: BaseException) -> bool:
    """Wake a parked G with an exception instead of what it waits for; False: somebody else has."""
    waiting = g.waiting
    if waiting is None or not waiting.unwait(g):
        return False
    if g.lockedm is not None:
        g.lockedm.exc = exc
    else:
        g.step = _Throw(g, exc)
    ready(g)
    return True


class _Throw:
    """One step of a coroutine that raises at its await; then its own `step` is back."""

    __slots__ = ("exc", "g")

    def __init__(self, g: G, exc: BaseException) -> None:
        self.g = g
        self.exc = exc

    def __iter__(self) -> _Throw:
        return self

    def __next__(self) -> object:
        coro = self.g.coro
        assert coro is not None
        self.g.step = coro.__await__()
        return coro.throw(self.exc)


class _Poker:
    """Interrupts user code on another thread than the caller's, which has looked that some runs.

    Args:
        sched: The program.
        exc: What is to be raised.
    """

    def __init__(self, sched: Sched, exc: type[BaseException]) -> None:
        self.sched = sched
        self.exc = exc
        self.watching = False

    def __enter__(self) -> _Poker:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.watching:
            _lines.off()

    def poke(self, m: M) -> None:
        """Once more, on `m`; it may be for nothing."""
        with _state.lock:
            signum = _ours()
            if m is self.sched.m0 and _state.installed and signum:
                # A real signal also ends a system call, so that time.sleep wakes up.
                main = threading.main_thread().ident
                if main is not None:
                    _state.sent = next(_sends)
                    signal.pthread_kill(main, signum)
                return
        if not needed():
            self._send(m)
        elif self.watching:
            _lines.retry()
        else:
            self.watching = True
            _lines.on()

    def _send(self, m: M) -> None:
        stack = currentframes().get(m.ident)
        g = m.curg
        if g is None or not stack or g.status is not GRUNNING or not _interruptible(stack[0], g):
            return
        if self.exc is not KeyboardInterrupt or _take():
            _setasyncexc(m.ident, self.exc)


def _ours() -> int:
    """A signal whose handler is ours still; 0 if there is none."""
    if reachable():
        return SIGURG
    return signal.SIGINT if signal.getsignal(signal.SIGINT) is _sigint else 0


def bringhome(sched: Sched) -> None:
    """The program has ended: see that M0 gets back to `run`."""
    m0 = sched.m0
    g = None if m0 is None else m0.curg
    if m0 is None or g is None or g.status is GWAITING:
        return  # asleep: it has been woken
    _thread.start_new_thread(_home, (sched,))


def _home(sched: Sched) -> None:
    began = time.monotonic()
    with _Poker(sched, ProgramEnded) as poker:
        while (m0 := sched.m0) is not None and (g := m0.curg) is not None:
            waited = time.monotonic() - began
            if waited > _PATIENCE and g.status is not GWAITING:
                poker.poke(m0)
            if waited > GRACE and sched.fatal is not None:
                os._exit(2)
            time.sleep(_PAUSE * 5)


def forget() -> None:
    """In the child of a fork: no helper came along, no errand is waited for, no program runs."""
    global _state
    putback = _state.putback
    _state = _State()
    _lines.lock = mklock(Rank.SIGNAL)
    _lines.end()
    _errands.clear()
    finish = [clean() for clean in atfork]
    putback()
    for end in finish:
        end()


def interrupting() -> bool:
    """A helper is at it. It may be so new that it does not count as a Python thread yet."""
    return not _state.helper


doors.bringhome = bringhome
outside.interrupting = interrupting
