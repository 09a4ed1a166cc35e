"""Errands: what only the main thread may do, on behalf of a thread that waits for it; and SIGURG.

SIGURG is how other threads reach the main thread, wherever that is: asleep on a lock, in user code,
in C that a signal interrupts. It is the signal that Go uses to preempt, and by default it does
nothing. Its handler runs errands, between any two lines of whatever the main thread is at, and then
looks whether something is owed to main or is to be called (`doors.attend`, signal_unix.py). A
handler of the program's own that stood before `run` is called for those that others have sent.

Locks: none; an errand takes none either, for the main thread may hold it.
Source: Go 1.27 runtime/signal_unix.go (doSigPreempt). Tests: tests/runtime/test_signal_unix.py
"""

from __future__ import annotations

import _thread
import itertools
import signal
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Final

from gopark._runtime.signal.sigfwd import handlerof

__all__ = (
    "SIGURG",
    "chained",
    "doors",
    "flush",
    "forget",
    "met",
    "missed",
    "onmain",
    "reachable",
    "sendurg",
    "sigurg",
)

SIGURG: Final[int] = getattr(signal, "SIGURG", 0)  # 0: this system has none


class _Doors:
    """Set by signal_unix.py."""

    attend: Callable[[FrameType | None], None]


doors: Final = _Doors()


class _Sent:
    """Whose SIGURGs come in. A stale look mistakes one of ours for one of others, or the
    reverse."""

    def __init__(self) -> None:
        self.sent = self.seen = 0  # the last of ours, and the last that was met
        self.busy = False  # errands are being run; main thread only


_state: Final = _Sent()
_sends: Final = itertools.count(1)


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
# that come at once are one to Python, so that one of others may get lost beside one of ours.
chained: Final[list[Callable[[int, FrameType | None], object]]] = []
_RESEND: Final = 0.05  # seconds; a signal may come in the instant before the main thread waits


def reachable() -> bool:
    """The main thread can be sent a signal whose handler runs errands."""
    return SIGURG != 0 and handlerof(SIGURG) is sigurg


def onmain(work: Callable[[], None]) -> None:
    """Have the main thread do something between two lines of whatever it runs, and wait for it.

    `work` takes no lock, for the main thread may hold it, and may be begun several times. May
    be called without a P.
    """
    main = threading.main_thread().ident
    if _thread.get_ident() == main or main is None:
        flush()
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
        sendurg(SIGURG, main)
        if errand.done.acquire(timeout=pause):
            return
        pause = min(pause * 2, _RESEND)


def flush() -> None:
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


def met() -> bool:
    """The SIGURG that the main thread meets just now is one of ours."""
    ours = _state.seen != _state.sent
    _state.seen = _state.sent
    return ours


def missed() -> bool:
    """The main thread has not met the last that it was sent, so far.

    One that comes in the instant before that thread sleeps, after it has looked for signals for the
    last time, is served by C alone: Python's handler is called when the thread wakes.
    """
    return _state.seen != _state.sent


def sigurg(signum: int, frame: FrameType | None) -> None:
    """On the main thread, between any two lines: take no lock of ours."""
    ours = met()
    if _state.busy:
        return  # inside an errand; who waits for the next one will send another signal
    try:
        _state.busy = True
        while _errands:
            errand = _errands[0]
            if not errand.finished:
                flush()
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
    doors.attend(frame)


def sendurg(signum: int, main: int) -> None:
    """Have the main thread look around. A real signal also ends a system call it sits in."""
    _state.sent = next(_sends)
    signal.pthread_kill(main, signum)


def forget() -> None:
    """In the child of a fork: nobody waits for an errand."""
    _errands.clear()
    _state.__init__()  # type: ignore[misc]
