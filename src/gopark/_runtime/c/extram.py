"""Extra Ms: how a thread that gopark did not make becomes able to run a goroutine.

The list holds Ms without a thread, each with its G, which is dead. A foreign thread takes
one (`needm`), keeps it until the thread exits (`bindm`), and gives it back (`dropm`). Always
one more than needed: who takes the last makes the next before it goes on, so the list is
never seen empty.

Between two callbacks a bound M's G is dead: it is in no list of goroutines, and it holds
nothing of the last callback. (Go since 1.21 counts it until the thread exits.)

How the exit of a thread is noticed:
  a thread made by C         glibc's __cxa_thread_atexit_impl, whose destructor runs while the
                             Python thread state can still be used. A pthread key's does not:
                             CPython's own key may be cleared by then, and the process crashes.
  a thread made by Python    its `threading.local` values are dropped
  no such hook               it is not: the M is given back after each callback; so it is where
                             Python does not know its own thread any more, which is about to end

The values of a `threading.local` may be dropped by another thread, long after theirs has ended: one
that looked at all objects, say, and held them. It may be in the midst of anything, a lock of ours
included. So who drops them leaves the M on `_left` and touches nothing else, its own `tls` the
least; whoever wants to know which Ms there are, or needs one, takes it from there (`_reap`).
Relies on: append and popleft of a deque are atomic.

Pinning. ctypes makes a Python thread state when C calls in and destroys it on return, which
is most of the cost of a callback. One more PyGILState_Ensure in the first callback keeps the
state; the destructor gives it back. cffi keeps states by itself; one count more does no harm.

Context variables. A bound C thread has a `Context` entered for good. What a callback sets
there must not be seen by the next, so a context that is no longer empty is replaced.

Locks: `_lock`, rank EXTRAM, guards `_extra`, `_bound` and `_pinned`.
Source: Go 1.27 runtime/proc.go (needm, newextram, bindm, dropm).
Tests: tests/runtime/test_extram.py
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from contextvars import Context
from types import FrameType, NoneType
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Rank, lasting, mkrlock
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GIDLE,
    G,
    M,
    Sched,
    casgstatus,
    extragoids,
    goids,
    tls,
)
from gopark._runtime.c.cgogate import guard
from gopark._runtime.sched.deadlock import outside
from gopark._runtime.sched.startm import minit

__all__ = (
    "dropm",
    "extralen",
    "getextra",
    "inuse",
    "needm",
    "resetctx",
    "threadexit",
    "unbind",
)

_lock: Final = lasting(mkrlock(Rank.EXTRAM))  # a finalizer may come in amid it
_extra: list[M] = []
_bound: set[M] = set()
_pinned: dict[int, M] = {}  # those of C's threads, by number: what the destructor is told
_left: Final[deque[M]] = deque()  # of Python's threads that have ended

_py: Final = ctypes.pythonapi
_tstate: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_Get", _py))
_ctxenter: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(("PyContext_Enter", _py))
_ctxexit: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(("PyContext_Exit", _py))
_GILSTATE_LOCKED: Final = 0


def extralen() -> int:
    """How many extra Ms wait for a thread."""
    _reap()
    return len(_extra)


def inuse() -> list[M]:
    """The extra Ms that are bound to a thread now."""
    _reap()
    with _lock:
        return list(_bound)


def mcount(sched: Sched) -> int:
    """How many threads the program has: its own, and those of C that have called in."""
    _reap()
    return len(sched.allm) + len(_bound)


def one_new_extram() -> None:
    """Make an extra M with its dead G. Caller holds `_lock`. Go: oneNewExtraM."""
    m = M(None)
    m.ncgo = 1  # what it runs is always inside a callback; a nested one makes it 2
    g = G(next(goids))
    g.clear()
    g.lockedcnt = 1  # it stays with its thread as long as it lives
    g.waitreason = ""
    g.waitsince = 0.0
    casgstatus(g, GIDLE, GDEAD)
    m.g = g
    m.onthread = True
    extragoids.add(g.goid)
    _extra.append(m)


def needm(caller: FrameType | None) -> M:
    """Bind an extra M to the calling thread. `caller` is the frame that C entered, if C did."""
    m = getextra()
    if caller is not None and caller.f_back is None:
        bindm(m)  # no Python below the callback: a thread made by C
    elif isinstance(_pythons(), (threading._DummyThread, NoneType)):
        _forgetdummy()
        m.pinned = None  # Python below, but not Python's thread: given back after the call
    else:
        m.pinned = True
        tls.__dict__["_owner"] = _Owner((m,))  # held by the thread alone
    return m


def _pythons() -> threading.Thread | None:
    """What `threading` knows of the calling thread. Who asks by current_thread() makes a dummy."""
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return active.get(threading.get_ident())


def getextra() -> M:
    """Take one off the list, for the calling thread. Go: getExtraM."""
    _reap()
    with _lock:
        if not _extra:
            one_new_extram()  # the first of the process
        m = _extra.pop()
        if not _extra:
            one_new_extram()
        _bound.add(m)
    minit(m)
    assert m.g is not None
    m.g.m = m
    tls.m = m
    return m


def bindm(m: M) -> None:
    """Keep the M and the Python thread state until the C thread exits. Go: bindm."""
    if _cxa_thread_atexit is None:
        return
    m.pinned = _tstate()
    _py.PyGILState_Ensure()
    m.ctx = Context()
    _ctxenter(m.ctx)
    with _lock:
        _pinned[m.mid] = m
    _cxa_thread_atexit(threadexit, m.mid, _dso)


def dropm(m: M) -> None:
    """Give an extra M back. Runs on the thread it was bound to. Go: dropm."""
    tls.m = None
    unbind(m)


def unbind(m: M) -> None:
    """Put it on the list again, as it came from there. Runs on any thread."""
    m.ident = 0
    m.clock = None
    m.sched = m.nextp = None
    m.stays = False
    m.pinned = m.ctx = m.exc = None
    with _lock:
        _bound.discard(m)
        _extra.append(m)


def _reap() -> None:
    """Take what threads of Python's have left behind that have ended."""
    while _left:
        try:
            m = _left.popleft()
        except IndexError:
            return
        unbind(m)


def resetctx(m: M) -> None:
    """A callback has set context variables: the next one starts without them."""
    _ctxexit(m.ctx)
    m.ctx = Context()
    _ctxenter(m.ctx)


class _Owner(list[M]):
    """Kept in a `threading.local` of a Python thread: leaves the M behind when that ends.

    A list, since that is made by C: a frame of Python's would know of it, and who looks at the
    stacks of all threads may hold such a frame, in a cycle even, long after the thread has ended.
    """

    __slots__ = ()

    def __del__(self) -> None:
        for m in self:
            if m.pinned is not None and _left is not None:
                _left.append(m)


# --- the exit of a C thread --------------------------------------------------------------


def _exithook() -> tuple[Any, int]:
    """glibc's registration of per-thread destructors, and an address inside libc."""
    try:
        libc = ctypes.CDLL(None)
        hook = libc.__cxa_thread_atexit_impl
        inside = ctypes.cast(libc.free, ctypes.c_void_p).value
    except (OSError, AttributeError, TypeError):
        return None, 0
    hook.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    hook.restype = ctypes.c_int
    return hook, inside or 0


_cxa_thread_atexit, _dso = _exithook()


def _threadexit(mid: int) -> None:
    """The thread is about to end; its thread state still works."""
    with _lock:
        m = _pinned.pop(mid, None)
    if m is None:
        return  # the child of a fork, whose Ms are its own
    pinned = m.pinned
    _forgetdummy()
    if tls.m is m:
        dropm(m)
    else:
        unbind(m)
    if pinned == _tstate():
        _py.PyGILState_Release(_GILSTATE_LOCKED)


threadexit: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_threadexit)
guard(threadexit, quiet=True)


def _forgetdummy() -> None:
    """Python up to 3.12 keeps a _DummyThread for a C thread that is long gone."""
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    if isinstance(_pythons(), threading._DummyThread):
        active.pop(threading.get_ident(), None)


def forget() -> None:
    """In the child of a fork: no thread is bound."""
    for m in _bound:
        m.pinned = None
    _bound.clear()
    _pinned.clear()
    _left.clear()
    _extra.clear()
    extragoids.clear()


outside.extras = inuse
hooks.mcount = mcount
hooks.extras = inuse
