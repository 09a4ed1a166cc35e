"""Code that comes in amid the runtime: what finalizers do there is done after, by another thread.

Python runs `__del__`, weak references' callbacks and the collector between any two lines, on any
thread, also while that thread holds one of the runtime's locks; and so it does with a signal
handler that has no Forward (sigfwd.py). Such code may start goroutines, send, close, cancel,
unlock. Nobody can keep it from running, and it cannot wait for a lock that its own thread holds:
that lock is given back by the lines below it on the stack, which wait for it to return. So:

  1. Every lock is tried first. Where it is free, nothing of the kind is going on. 2. Where it is
  not, who wants it looks at its own stack (`amid`), once that takes longer than another
     thread would hold it. Between its own frames and those of the user's code that called it there
     is nothing of ours, unless that code came in: then this thread may be the holder. (A goroutine
     waits with the lock held, and the scheduler's loop, which stepped it, gives it back: on that
     loop lies what it steps, and whatever else lies there came in.)
  3. If so it does not wait. What has no result is left here (`later`) and done, in order, by a
     thread that holds nothing (`_catchup`); it waits there as anybody does. What asks whether
     something can be done without waiting (`try_send`, `try_lock`) is answered by what can be seen,
     and what would have to wait raises AmidRuntime, a NotOnGError that names the way out.

Step 2 may take somebody for one that came in who did not: that costs a detour, and no more. It must
not miss one. It would if a function of ours held a lock where it calls the user's code: none does
(such functions are in `transparent`, or a `boundary`), for that code may wait.

What is left here counts: a program with late work is not dead (`deadlock.py`), and it is asked
again when the work is done.

Locks: none of its own. Source: Go 1.27 runtime/mfinal.go (finq, runfinq), whose finalizers run on a
goroutine of their own. Tests: tests/runtime/test_finq.py
"""

from __future__ import annotations

import _thread
import inspect
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import CodeType, CoroutineType, FrameType
from typing import Any, Final

from gopark._runtime.base import lockrank
from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.report.traceback import boundary, callback_entry, calling, hidden, transparent
from gopark._runtime.sched.startm import ourthreads, sysmonwait, watchers

__all__ = ("amid", "exclusive", "forget", "later", "pending")

_late: Final[deque[tuple[Callable[..., Any], tuple[Any, ...]]]] = deque()
_helper: Final[deque[None]] = deque((None,))  # taken while a thread is at it

# Where a new thread of Python's begins; between these and the user's code it may hold locks of its
# own.
_THREADS: Final = frozenset(
    getattr(threading.Thread, name).__code__
    for name in ("_bootstrap", "_bootstrap_inner", "run")
    if hasattr(threading.Thread, name)
)

_SUSPENDS: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def amid(threads: bool = False) -> bool:
    """The caller's caller came in while this thread was inside the runtime.

    Args:
        threads: Or inside the standard library's `threading`, which has locks as well.
    """
    frame = sys._getframe(1)
    while frame is not None and hidden(frame.f_code):
        if frame.f_code in boundary:
            return False  # the scheduler itself, for a goroutine that is locked to its thread
        below: FrameType = frame.f_back  # type: ignore[assignment]
        if frame.f_code.co_name == "__del__" and (below is None or hidden(below.f_code)):
            return True  # a finalizer of ours, which comes in as the user's do
        frame = below
    above = None
    while frame is not None:
        code = frame.f_code
        if code in calling:
            return False
        if code in boundary or (code in transparent and code.co_name == "__next__"):
            if above is not None and not hidden(above.f_code) and not _stepped(above, code):
                return True
            if code in boundary and code is not hooks.mstart.__code__:
                return False
        if hidden(code) and code not in transparent and code not in callback_entry:
            return True
        if threads and code.co_filename == threading.__file__ and code not in _THREADS:
            return True
        above = frame
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _stepped(frame: FrameType, by: CodeType) -> bool:
    """The scheduler called it. What else lies on it came in, between a wait and its unlockf."""
    m = tls.m
    if m is None:
        return True
    if not frame.f_code.co_flags & _SUSPENDS:
        return m.onthread and by not in boundary  # the function of `go(fn)`
    coro = None if m.curg is None else m.curg.coro
    return coro.cr_frame is frame if isinstance(coro, CoroutineType) else coro is not None


class exclusive:
    """`with exclusive(lock):` around what may be asked for by code that came in amid it."""

    __slots__ = ("lock",)

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __enter__(self) -> None:
        if not self.lock.acquire(False):
            if amid():
                raise AmidRuntime
            self.lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self.lock.release()


# --- late work -----------------------------------------------------------------------------


def later(work: Callable[..., Any], *args: Any) -> None:
    """Have it done by a thread that holds no lock, after what was left before. Takes no lock.

    No work is forgotten, the two sides step by step:
      who leaves some                     the thread
      1. appends it                       1. gives `_helper` back, for the queue is empty
      2. takes `_helper`, or it is gone   2. looks at the queue again, and takes `_helper` again
    """
    _late.append((work, args))
    _start()


def _start() -> None:
    try:
        _helper.pop()
    except IndexError:
        return
    try:
        _thread.start_new_thread(_catchup, ())
    except (RuntimeError, MemoryError):  # no more threads: sysmon looks here as well
        _helper.append(None)
        sysmonwait.note.wakeup()


def _catchup() -> None:
    """The thread. It gives `_helper` back even where it finds nothing: who left some may have taken
    it when the thread before had done that already, and was gone."""
    me = _thread.get_ident()
    watchers.add(me)
    ourthreads.add(me)
    try:
        while True:
            _drain()
            _helper.append(None)
            if not _late:
                break
            try:
                _helper.pop()
            except IndexError:
                break
    finally:
        watchers.discard(me)
        ourthreads.discard(me)
    hooks.recheck()  # who asked meanwhile whether the program is dead was told that it is not


def _drain() -> None:
    while _late:
        try:
            work, args = _late.popleft()
        except IndexError:
            return
        try:
            work(*args)
        except BaseException as exc:
            exc.add_note(f"in {shown(work)}, which a finalizer has asked for")
            _Unraisable(exc)


class _Unraisable:
    """Python tells of what its finalizer raises, and has no other way to be asked for that."""

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc

    def __del__(self) -> None:
        raise self.exc


def catchup() -> None:
    """For sysmon: there may have been no thread to be had."""
    if not _late:
        return
    try:
        _helper.pop()  # so that it counts while it is done
    except IndexError:
        return
    try:
        _drain()
    finally:
        _helper.append(None)
    hooks.recheck()


def pending() -> bool:
    """A thread is at it, or will be."""
    return bool(_late) or not _helper


def forget() -> None:
    """In the child of a fork: what was left belongs to the parent's goroutines."""
    _late.clear()
    _helper.clear()
    _helper.append(None)


lockrank.doors.amid = amid
hooks.amid = amid
hooks.later = later
hooks.catchup = catchup
