r"""SIGQUIT (Ctrl-\): show every goroutine, and end.

`run` on the main thread installs the handler where the system's own action stands, which would
end the process without a word; any handler of the user's stays. The report goes by GOTRACEBACK,
and the process exits with status 2, with no `finally` block run: it is for one that hangs.

So the report trusts nothing. It is made by a thread that holds no lock (sigwatch.py), whatever the
main thread does; it waits for another report, and for stdout to be flushed, a moment only; it
is written past Python's buffers; and should it come to no end, faulthandler's own thread, which
needs no lock of Python's, shows where every thread is and ends the process with status 1.
Only C code that never gives the GIL back keeps all of this from happening.

Source: Go 1.27 runtime/signal_unix.go (sighandler).
Tests: tests/crash/test_sigquit.py, tests/conformance/traceback/test_crash.py
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.report.traceback import tracebackothers
from gopark._runtime.sched import panic
from gopark._runtime.signal import remote, sigwatch
from gopark._runtime.signal.errand import chained
from gopark._runtime.signal.sigfwd import ours
from gopark._runtime.signal.signal_unix import atfork

__all__ = ("initquit",)

_PATIENCE: Final = 60.0  # seconds that the report may take; a million goroutines need some
_MOMENT: Final = 0.5  # seconds for what the report can do without

_SIGQUIT: Final = getattr(signal, "SIGQUIT", None)
_once: Final = lasting(_thread.allocate_lock())  # held from the first report on


def initquit() -> Callable[[], None]:
    """Install the handlers, if this is the main thread; returns what undoes it."""
    if _SIGQUIT is None or threading.current_thread() is not threading.main_thread():
        return _nothing
    disarm = sigwatch.arm()
    chained.append(_sigurg)  # cleared by signal_unix.py
    if signal.getsignal(_SIGQUIT) is signal.SIG_DFL:
        signal.signal(_SIGQUIT, _sigquit)

    def restore() -> None:
        _putback()
        disarm()

    return restore


def _putback() -> None:
    if _SIGQUIT is not None and signal.getsignal(_SIGQUIT) is _sigquit:
        signal.signal(_SIGQUIT, signal.SIG_DFL)


def _nothing() -> None:
    """Nothing was installed; nothing is left to do."""


def _sigquit(signum: int, frame: FrameType | None) -> None:
    """On the main thread, if that comes back from C: take no lock, leave it to the thread."""
    if sigwatch.post(signum):
        return
    try:
        _thread.start_new_thread(_report, ())
    except (RuntimeError, MemoryError):
        _report()  # no more threads: this one, though it may hold what the report would want


def _sigurg(signum: int, frame: FrameType | None) -> None:
    sigwatch.post(signum)


def _heard() -> None:
    """On the thread that watches."""
    if _SIGQUIT is not None and signal.getsignal(_SIGQUIT) is _sigquit:
        _report()


def _report() -> None:
    if not _once.acquire(False):
        return
    try:
        with contextlib.suppress(RuntimeError, MemoryError):  # no more threads: without that
            faulthandler.dump_traceback_later(_PATIENCE, exit=True, file=2)
        panic.panicking().acquire(timeout=_MOMENT)
        panic.printreport(f"SIGQUIT: quit\n\n{tracebackothers()}", _write)
    except Exception as exc:
        _write(f"SIGQUIT: quit\n\nno goroutine can be shown: {shown(exc)}\n")
    finally:
        os._exit(2)


def _write(text: str) -> None:
    """Onto the descriptor: who hangs may hold what Python's files need."""
    flushed = _thread.allocate_lock()
    flushed.acquire()
    try:
        _thread.start_new_thread(_flush, (flushed,))
    except (RuntimeError, MemoryError):
        pass  # no more threads: what stdout holds is lost rather than the report
    else:
        flushed.acquire(timeout=_MOMENT)
    left = text.encode(errors="replace")
    try:
        while left:
            left = left[os.write(2, left) :]
    except OSError:
        pass


def _flush(flushed: _thread.LockType) -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception:
        pass
    flushed.release()


def _forget() -> Callable[[], None]:
    """The child of a fork has no goroutines to show: to it a SIGQUIT is what it is to all."""
    _putback()
    return _nothing


atfork.append(_forget)
ours.append(_sigquit)
if _SIGQUIT is not None:
    sigwatch.handlers[_SIGQUIT] = _heard
    sigwatch.handlers[signal.SIGURG] = remote.heard
