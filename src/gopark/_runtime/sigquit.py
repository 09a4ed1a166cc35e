r"""SIGQUIT (Ctrl-\): show every goroutine, and end.

`run` on the main thread installs the handler where the system's own action stands, which would
end the process without a word; any handler of the user's stays. The report goes by GOTRACEBACK,
and the process exits with status 2, with no `finally` block run: it is for one that hangs.

Python calls the handler on the main thread between any two lines, where a lock of the runtime
may be held, so it leaves the work to a thread of its own. A main thread that is in C and does
not come back is not told.

Locks: the report is made under `panicking()`, so it waits for one that is under way.
Source: Go 1.27 runtime/signal_unix.go (sighandler).
Tests: tests/conformance/traceback/test_crash.py
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from types import FrameType

from gopark._runtime import panic
from gopark._runtime.traceback import tracebackothers

__all__ = ("initquit",)


def initquit() -> Callable[[], None]:
    """Install the handler if nobody's stands; returns what undoes it."""
    number = getattr(signal, "SIGQUIT", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        return _nothing
    if signal.getsignal(number) is not signal.SIG_DFL:
        return _nothing
    signal.signal(number, _sigquit)

    def restore() -> None:
        if signal.getsignal(number) is _sigquit:
            signal.signal(number, signal.SIG_DFL)

    return restore


def _nothing() -> None:
    """Nothing was installed."""


def _sigquit(signum: int, frame: FrameType | None) -> None:
    _thread.start_new_thread(_report, ())


def _report() -> None:
    with panic.panicking():
        panic.printreport(f"SIGQUIT: quit\n\n{tracebackothers()}")
        panic.exitnow()
