"""The death of a program that has no main: the process ends, and tidies up as it does.

Without `run` there is nobody to raise the error to. As a library does not own its process, it is
not cut off at once: the main thread raises the error where it is, so that its `finally` blocks
run, then `atexit`, and the exit status is that of the error. Steps:

  the thread of the goroutine            the main thread
  1. prints the report, notes what is    3. a wait in `block` raises it, or the handler of SIGURG
     `leaving`, ends the program,           does, as soon as the innermost code is the user's
     sends SIGURG
  2. a watcher sends it again until it   4. unwinds; the interpreter waits for threads, runs atexit
     is met, GRACE seconds at most

The handler is there from the first use of the runtime on, if that is on the main thread
(signal_unix.py). Where it is not, or in C that no signal interrupts, the process exits without
more ado, as Go's does; so it does if threads keep it from `atexit` for GRACE seconds.

Who works at a prompt (Python's, IPython, a notebook) loses the goroutine and nothing else.

Locks: none. Relies on: append and pop of a deque are atomic.
Tests: tests/crash/test_nomain.py
"""

from __future__ import annotations

import _thread
import atexit
import sys
import threading
import time
from types import FrameType
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import GWAITING, Sched, allgs
from gopark._runtime.sched import panic
from gopark._runtime.sched.startm import current
from gopark._runtime.signal import remote
from gopark._runtime.signal.errand import chained
from gopark._runtime.signal.preempt import wakewith
from gopark._runtime.signal.signal_unix import awaken, leaving

__all__ = ("forget", "interactive")

GRACE: Final = 1.0  # seconds

_exiting: Final[list[bool]] = []  # not empty once atexit's functions run


def interactive() -> bool:
    """Somebody sits at a prompt of this process."""
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return True
    get_ipython: Any = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None


def install() -> None:
    """The runtime has started outside of `run`: the main thread answers who asks for a dump,
    too."""
    if _heard not in chained and threading.current_thread() is threading.main_thread():
        chained.append(_heard)


def leave(sched: Sched, exc: SystemExit) -> None:
    """End the program, and the process by way of its main thread."""
    status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    atexit.register(_exiting.append, True)
    leaving.append(exc)
    _wakemain()
    panic.endsched(sched)
    if leaving and not awaken():  # at once: this thread may be what the main thread waits for
        panic.exitnow(status)
    try:
        _thread.start_new_thread(_watch, (status,))
    except (RuntimeError, MemoryError):  # no more threads
        panic.exitnow(status)


def _wakemain() -> None:
    """If the main thread waits in `block`, raise there what is owed."""
    main = threading.main_thread().ident
    for g in allgs.copy():
        lockedm = g.lockedm
        if lockedm is None or lockedm.ident != main or g.status is not GWAITING:
            continue
        try:
            exc = leaving.pop()
        except IndexError:
            return
        if not wakewith(g, exc):
            leaving.append(exc)


def _watch(status: int) -> None:
    main = threading.main_thread()
    since = time.monotonic()
    while leaving:
        if time.monotonic() - since > GRACE or not awaken():
            panic.exitnow(status)
        time.sleep(0.005)
        _wakemain()
    since = 0.0
    while not _exiting:
        # 3.12 and before: is_alive() may come in between two lines of the interpreter's exit.
        stopped = getattr(main, "_is_stopped", None)
        if stopped if stopped is not None else not main.is_alive():
            since = since or time.monotonic()
            if time.monotonic() - since > GRACE:
                panic.exitnow(status)
        time.sleep(0.02)


def _heard(signum: int, frame: FrameType | None) -> None:
    """On the main thread, between any two lines: take no lock of ours."""
    sched = current()
    if not _exiting and (sched is None or sched.main is None):
        try:
            _thread.start_new_thread(remote.heard, ())
        except (RuntimeError, MemoryError):
            pass  # no more threads: who asks gets no answer, and main no exception


def forget() -> None:
    """In the child of a fork: nothing is owed."""
    leaving.clear()


hooks.nomain = install
panic.doors.leave = leave
panic.doors.interactive = interactive
