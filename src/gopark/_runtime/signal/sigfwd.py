"""Python's own signal handlers: run where the innermost code is the user's, and nowhere else.

Python calls a handler on the main thread between any two lines, in the midst of the runtime too.
There a lock may be held, which the handler would wait for for ever; what it raises would leave the
lock taken, and a goroutine on no queue. So while the runtime is at work on the main thread each
handler of the program's own stands in a `Forward`, which asks first where that thread is
(signal_unix.py):
  in user code         the handler is called, as ever
  in the runtime       it is noted (`pending`), and called at the next safe point: in user code,
                       between two goroutines, or where that thread sleeps with no lock held
What it raises belongs to main: it is raised there, at its wait or its next line, like a
KeyboardInterrupt. Nothing of this costs anything while no signal comes.

Handlers that are set meanwhile are caught at `signal.signal`: that function, `getsignal` and
`set_wakeup_fd` are ours from `install` to `uninstalling`. They do what they did, but that the
program's handlers go into a `Forward` and come out of it, and that the descriptor which is woken
stays ours, with theirs served behind it (sigwatch.py, `wakeupfd`): an asyncio loop sets and clears
one as it comes and goes. Who has bound those functions to names of his own before is not caught;
then a handler that comes in amid the runtime can still start goroutines, send, close and unlock:
what it finds locked is done after it (finq.py).

Invariants:
  F1  installed  => no callable but `ours` and Forwards is in Python's table of handlers, but for
      what was set behind our back; the main thread alone changes that
  F2  a handler that is in `pending` for a signal is called once, as Python itself calls it once for
      many; the main thread alone takes it off

Source: Go 1.27 runtime/signal_unix.go (sigfwdgo), preempt.go (isAsyncSafePoint). Tests:
tests/runtime/test_sigfwd.py
"""

from __future__ import annotations

import _thread
import ctypes
import os
import signal
from _signal import getsignal as handlerof  # type: ignore[import-not-found]  # no enumeration
from _signal import signal as _csignal
from collections import deque
from collections.abc import Callable, Iterable
from itertools import starmap
from operator import call, itemgetter
from types import FrameType
from typing import Any, Final

from gopark._runtime.base.runtime2 import itemsof
from gopark._runtime.sched.onm0 import keepon0
from gopark._runtime.sched.startm import current, pending

__all__ = (
    "Disposition",
    "Forward",
    "Handler",
    "Relay",
    "Step",
    "denote",
    "doors",
    "forwarded",
    "getsignal",
    "handlerof",
    "inone",
    "install",
    "installed",
    "mayhandle",
    "nforwards",
    "note",
    "oncemore",
    "ours",
    "pending",
    "relays",
    "set_wakeup_fd",
    "setsignal",
    "setting",
    "uninstalling",
)

Handler = Callable[[int, FrameType | None], Any]
Step = tuple[Any, ...]  # a function of C, and its arguments

# As they are without us.
setsignal: Final = signal.signal
getsignal: Final = signal.getsignal
set_wakeup_fd: Final = signal.set_wakeup_fd

# Handlers of the runtime, which may come in anywhere; compared by identity.
ours: Final[list[object]] = []


class _Doors:
    """Set by the modules above."""

    arrived: Callable[[Forward, int, FrameType | None], None]  # signal_unix.py
    wakeupfd: Callable[[int, dict[str, Any]], int]  # sigwatch.py: one that is set behind ours
    keyboard: Handler  # signal_unix.py: stands where Python's own handler of Ctrl-C would


doors: Final = _Doors()


class Forward:
    """Stands for a handler of the program's own."""

    __slots__ = ("handler",)

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        doors.arrived(self, signum, frame)


class Relay(Forward):
    """One whose signals come another way while this stands in the table: see sigqueue.py."""

    __slots__ = ("direct",)

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self.direct = False  # no more

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.direct:
            super().__call__(signum, frame)


def note(handler: Handler, signum: int, frame: FrameType | None = None) -> None:
    """Have it called at the next safe point."""
    one = handler, signum
    if not any(one == (other, n) for other, n, _ in itemsof(pending)):
        pending.append((*one, frame))


def denote(one: tuple[Handler, int, FrameType | None]) -> bool:
    """On the main thread: it is called now. False: it has been.

    The main thread and the signal goroutine may have noted the same at the same time (`relay`).
    """
    same = [other for other in itemsof(pending) if other[:2] == one[:2]]
    for other in same:
        pending.remove(other)
    return bool(same)


def oncemore() -> list[Step]:
    """For `inone`, as its last: what is pending comes to Python's handlers as signals do. They are
    called, and raise, once that call of C is over."""
    end = inone, 0, None
    noted = iter(pending.popleft, end)
    return [(pending.append, end), (deque, map(_thread.interrupt_main, map(itemgetter(1), noted)))]


def relays() -> dict[int, Relay]:
    """Those that stand in the table and are no direct ones, by signal."""
    found = {signum: handlerof(signum) for signum in _NUMBERS}
    return {n: one for n, one in found.items() if type(one) is Relay and not one.direct}


def forwarded(handler: Any) -> Handler | None:
    """The program's own handler that one in the table stands for; Python's for Ctrl-C is one."""
    if isinstance(handler, Forward):
        return handler.handler
    return signal.default_int_handler if handler is doors.keyboard else None


def _wrap(signum: int, handler: Any) -> Any:
    """What goes into Python's table for what the program has set."""
    if handler is signal.default_int_handler and signum == signal.SIGINT:
        return doors.keyboard
    if not callable(handler) or isinstance(handler, (Forward, signal.Handlers)):
        return handler
    for one in ours:  # no generator: a handler that has no Forward yet may raise in it
        if handler is one:
            return handler
    return Forward(handler)


def _unwrap(handler: Any) -> Any:
    """What the program has set, for what is in the table."""
    theirs = forwarded(handler)
    return handler if theirs is None else theirs


# --- what a signal does ------------------------------------------------------------------------


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
        self.python: Any = getsignal(signum)
        self.raw = ctypes.create_string_buffer(_SIZE)
        _sigaction(signum, None, self.raw)

    def restore(self) -> None:
        """Put it back. A signal that was caught is still seen by the handler that goes.

        The kernel first: while Python had no handler and C still caught the signal, Python
        would only complain about one that comes.
        """
        self.restoring = True
        for function, *args in self.steps():
            function(*args)

    def steps(self) -> list[Step]:
        """What is done to put it back."""
        python = signal.SIG_DFL if self.python is None else self.python
        raw = _sigaction, self.signum, self.raw, None
        return [raw, setting(self.signum, python), raw]  # the second time with the flags

    def restoreraw(self) -> None:
        _sigaction(self.signum, self.raw, None)


def setting(signum: int, handler: Any) -> Step:
    return _csignal, signum, int(handler) if isinstance(handler, signal.Handlers) else handler


def inone(steps: Iterable[Step]) -> None:
    """Do all of it in one call of C, so that no handler which it puts back comes in between.

    Unless there are several: Python looks for signals before it sets another. Then one that raises
    breaks it off, and what is left is to be done once more.
    Relies on: no function among the steps, nor what calls them, is one of Python's.
    """
    deque(starmap(call, steps), maxlen=0)


# --- in the place of the standard library's, while installed ---------------------------------


def _signal(signalnum: Any, handler: Any) -> Any:
    try:
        wrapped = _wrap(int(signalnum), handler)
    except (TypeError, ValueError):
        wrapped = handler  # its own error will tell
    before = _unwrap(setsignal(signalnum, wrapped))
    if isinstance(wrapped, Forward) and (sched := current()) is not None:
        keepon0(sched)
    return before


def _getsignal(signalnum: Any) -> Any:
    return _unwrap(getsignal(signalnum))


def _set_wakeup_fd(fd: int, **options: Any) -> int:
    return doors.wakeupfd(fd, options)


_PLACES: Final[tuple[tuple[str, Any, Any], ...]] = (
    ("signal", setsignal, _signal),
    ("getsignal", getsignal, _getsignal),
    ("set_wakeup_fd", set_wakeup_fd, _set_wakeup_fd),
)
for _name, _theirs, _mine in _PLACES:
    _mine.__name__ = _mine.__qualname__ = _name
    _mine.__doc__, _mine.__module__ = _theirs.__doc__, _theirs.__module__


def installed() -> bool:
    """Handlers are called at safe points only."""
    return signal.signal is _signal


def install() -> None:
    """Have every handler called at safe points; on the main thread. Again does no harm.

    The functions first: what is set from here on goes through them.
    """
    for name, theirs, mine in _PLACES:
        if getattr(signal, name) is theirs:  # or somebody else has put his own there: leave it
            setattr(signal, name, mine)
    for signum in _NUMBERS:
        handler = handlerof(signum)
        if callable(handler) and (wrapped := _wrap(signum, handler)) is not handler:
            _exchange(signum, wrapped)


def uninstalling() -> list[Step]:
    """All as it was before."""
    steps: list[Step] = []
    for name, theirs, mine in _PLACES:
        if getattr(signal, name) is mine:
            steps.append((setattr, signal, name, theirs))
    for signum in _NUMBERS:
        handler = handlerof(signum)
        if isinstance(handler, Forward):
            raw = Disposition(signum).raw
            steps += setting(signum, handler.handler), (_sigaction, signum, raw, None)
    return steps


def _exchange(signum: int, handler: Any) -> None:
    """Another handler in Python's table; the kernel's entry, and its flags, are as they were."""
    before = Disposition(signum)
    setsignal(signum, handler)
    before.restoreraw()


def nforwards() -> int:
    """How many handlers of the program's own there are, any of which may wake somebody."""
    return sum(isinstance(handlerof(signum), Forward) for signum in _NUMBERS)


def mayhandle() -> bool:
    """The program has handlers of its own for signals, and what these may do nobody knows."""
    return installed() and nforwards() > 0


# Those that can have a handler. SIGKILL and SIGSTOP have none; nor, in Python, what a failed
# instruction raises, but one may be set for them and is called if `kill` sends it.
_NUMBERS: Final = tuple(
    sorted(int(n) for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP))
)
