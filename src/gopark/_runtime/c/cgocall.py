"""The boundary to C: callbacks in, calls out.

A callback's round trip on a thread that C made:
  1. ctypes or cffi has taken the GIL and calls `entry` on the C thread.
  2. The thread's first time: `needm` binds an extra M (extram.py). Later: `tls.m` has it.
  3. The M's G, dead until now, becomes a goroutine: running, in `allgs`.
  4. The function runs. It holds no P, so it waits for none; it may use channels and wait,
     on this thread (`mpark`), and is woken with a P.
  5. Whatever happened, the G is dead again, holds nothing, and is in no list. An exception
     is a panic of that goroutine, since no caller could take it.
On a thread that runs a goroutine already (Python -> C -> Python) the callback is part of
that goroutine: a deeper `m.ncgo`, no new G. If the C call was made by `call`, the goroutine
is taken out of state syscall for the time of the callback. An exception of such a callback waits
in `_carried` while C returns, is raised by that `call`, and no callback runs in between: as in
Go, where a panic skips C's frames and the goroutine's own code below them may recover it.
Python code that C runs without our knowledge, in a function given to `call` or in a callback that
nobody wrapped, finds the goroutine in state syscall. It may do all that others may: what waits
takes it out of that state by itself (lockedm.py, `drive`), and a `call` in it is one of its own.

Order matters in 3 and 5: a G is running before it is listed, and unlisted before it is dead,
so that no dump meets a listed G that is dead.

What it returns, C may not be able to take: see cgoresult.py.

At interpreter exit (`_closing`) a callback is not run: it is reported once and gets zero.

Source: Go 1.27 runtime/cgocall.go. Tests: tests/runtime/test_cgocall.py
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from gopark._runtime.base.errors import (
    FatalError,
    Goexit,
    NotOnGError,
    ProgramEnded,
    ScopeEnded,
    Throw,
)
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import GDEAD, GRUNNING, GSYSCALL, G, M, allgs, tls
from gopark._runtime.c import cgogate, cgoresult
from gopark._runtime.c.cgoresult import (
    UNWINDS,
    Passes,
    Restype,
    Result,
    checkerror,
    classes,
    passed,
    passing,
    resultof,
    trying,
    watch,
)
from gopark._runtime.c.extram import dropm, getextra, needm, resetctx
from gopark._runtime.report.printpanics import carriers
from gopark._runtime.report.traceback import (
    callback_entry,
    createdby,
    excstack,
    formatframes,
    header,
)
from gopark._runtime.sched.deadlock import outside
from gopark._runtime.sched.lockedm import drive, entersyscall, exitsyscall
from gopark._runtime.sched.newproc import isasync, notcallable, startable_check
from gopark._runtime.sched.panic import fatal, gopanic, printerr, sysexit
from gopark._runtime.sched.startm import getsched, handoffp, releasep

__all__ = ("call", "callback", "closing", "export", "nlive", "num_cgo_call")

P = ParamSpec("P")
R = TypeVar("R")

_closing: Final[list[bool]] = []  # not empty once the interpreter exits
_carried: Final[dict[M, BaseException]] = {}  # what a callback raised; its `call` takes it out
_live: Final[set[int]] = set()  # ids of the callback objects that exist
_exported: Final[list[Any]] = []  # C may call these for ever
_countlock: Final = lasting(threading.RLock())  # guards _ncgocall; a finalizer may call C
_ncgocall = 0

_CFuncPtr: Final = ctypes.CFUNCTYPE(None).__mro__[1]
_GOEXIT: Final = "runtime.Goexit called in a thread that was not created by the Go runtime"
_GOEXIT_DIRECT: Final = (
    "gopark.goexit called in a callback of C that was not called by gopark.cgo.call"
)


def callback(
    fn: Callable[..., Any],
    *,
    error: Any = ...,
    restype: Restype = ...,
    passes: Passes = (),
) -> Callable[..., Any]:
    """Make a function safe to be called by C from any thread: each call is a goroutine.

    Wrap the result in what the binding asks for: `CFUNCTYPE(...)(callback(fn))` with
    ctypes, `ffi.callback(...)` or `ffi.def_extern()` with cffi.

    Args:
        fn: A function or an `async def`. It may use channels and everything else that
            waits; an exception that it lets escape is a panic.
        error: What C gets when the function could not run to its end, or returned what C
            cannot take; zero if nothing is said. For cffi functions that return nothing say None.
        restype: What C gets, a simple type of ctypes, or None for nothing. With it a result that C
            cannot take becomes a TypeError (OverflowError: too large) before C sees it. Without
            it that is noticed afterwards, and C has been given what the binding had.
        passes: Exception classes that are no panic: they go on to who called, which has to be
            Python code that knows what to do with them.
    Raises:
        TypeError: `fn` is not a function that can be called, `restype` nothing that C can be
            given, `error` not of that type, or `passes` no exception classes.
    Example:
        >>> compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
        >>> twice = compare(gopark.cgo.callback(lambda n: 2 * n))
        >>> twice(21)
        42

    Go: an exported function, `//export`.
    """
    startable_check("callback", fn)
    return _callback("callback", fn, error, restype, passes)


def _callback(
    who: str, fn: Callable[..., Any], error: Any, restype: Restype, passes: Passes
) -> Callable[..., Any]:
    excs = classes(who, passes)
    result = resultof(who, fn, restype)
    if error is ...:
        error = 0 if result is None else result.zero
        if restype is None:
            error = None
    elif result is not None:
        checkerror(who, result, error)
    run: Callable[..., Any] = _driven(fn) if isasync(fn) else fn
    entry = _plain(run, error, excs) if result is None else _checked(run, error, excs, result)
    if restype is ...:
        watch(entry, fn)
    callback_entry.add(entry.__code__)
    _live.add(id(entry))
    weakref.finalize(entry, _gone, id(entry)).atexit = False
    return entry


_listed, _unlisted = allgs.add, allgs.discard  # another's in a child: newproc.relist

# The hot path is one of the next two: a bound thread comes in again. No call of ours, no lock:
# 0.15 µs above a bare ctypes callback on a kept thread state (benchmarks: callback).


def _plain(
    run: Callable[..., Any], error: Any, passes: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    """What C calls, for a function that may return anything."""

    def entry(*args: Any) -> Any:
        m = tls.m
        if m is None or m.curg is not None or _closing:
            if passes:
                return passed(_slowentry(passing(run, passes), args, error))
            return _slowentry(run, args, error)
        g = m.curg = m.g
        if g is None:
            return error  # Python code of the collector, inside the scheduler
        g.status = GRUNNING
        _listed(g)
        try:
            return run(*args)
        except BaseException as exc:
            if passes and isinstance(exc, passes) and not isinstance(exc, UNWINDS):
                raise
            return _failed(m, g, exc, error)
        finally:
            _unlisted(g)
            g.status = GDEAD
            m.curg = None
            if m.ctx or m.sched is not None:
                _leave(m, g)

    return entry


def _checked(
    run: Callable[..., Any], error: Any, passes: tuple[type[BaseException], ...], how: Result
) -> Callable[..., Any]:
    """The same for one whose result C has to be able to take."""
    kind, low, high, check = how.kind, how.low, how.high, how.check
    tried = trying(run, check)

    def entry(*args: Any) -> Any:
        m = tls.m
        if m is None or m.curg is not None or _closing:
            if passes:
                return passed(_slowentry(passing(tried, passes), args, error))
            return _slowentry(tried, args, error)
        g = m.curg = m.g
        if g is None:
            return error
        g.status = GRUNNING
        _listed(g)
        try:
            result = run(*args)
            if type(result) is kind and low <= result <= high:
                return result
            return check(result)
        except BaseException as exc:
            if passes and isinstance(exc, passes) and not isinstance(exc, UNWINDS):
                raise
            return _failed(m, g, exc, error)
        finally:
            _unlisted(g)
            g.status = GDEAD
            m.curg = None
            if m.ctx or m.sched is not None:
                _leave(m, g)

    return entry


def export(
    prototype: Callable[[Any], R], *, error: Any = ..., passes: Passes = ()
) -> Callable[[Callable[..., Any]], R]:
    """Decorator: a C function pointer for a Python function, kept alive for ever.

    What the function returns is tried before C gets it: what C cannot take, by its type or
    because it is too large, is a TypeError or an OverflowError that the function lets escape.

    Args:
        prototype: A ctypes function type, `CFUNCTYPE(restype, *argtypes)`.
        error, passes: As for `callback`.
    Returns:
        A decorator whose result is the function pointer, to be handed to C.
    Raises:
        TypeError: `prototype` is not a ctypes function type, C cannot get its result from Python,
            or what is decorated is not a function.
    Example:
        >>> @gopark.cgo.export(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int))
        ... def twice(n):
        ...     return 2 * n
        >>> twice(21)
        42

    Go: `//export`.
    """
    restype: Any = getattr(prototype, "_restype_", prototype)
    if restype is prototype or not isinstance(prototype, type):
        raise TypeError(
            f"export() needs a ctypes function type, got {shown(prototype)}: "
            "@export(CFUNCTYPE(c_int, c_int))"
        )
    resultof("export", export, restype)
    classes("export", passes)

    def decorate(fn: Callable[..., Any]) -> R:
        startable_check("export", fn)
        entry = _callback("export", fn, error, restype, passes)
        pointer: R = prototype(entry)
        cgogate.guard(pointer)
        _exported.append((pointer, entry))
        return pointer

    return decorate


def _driven(fn: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return drive(fn(*args))

    return run


def _slowentry(run: Callable[..., Any], args: tuple[Any, ...], error: Any) -> Any:
    """The first callback of a thread, one inside a callback, one on a thread of ours."""
    if _closing:
        return _toolate(run, error)
    m = tls.m
    if m is not None:
        return _nested(m, run, args, error)
    m = needm(sys._getframe(1))
    g = _enter(m)
    try:
        return run(*args)
    except BaseException as exc:
        return _failed(m, g, exc, error)
    finally:
        _exit(m, g)


def _enter(m: M) -> G:
    """Make the dead G of a bound M a goroutine."""
    g = m.curg = m.g
    assert g is not None
    g.status = GRUNNING  # by way of syscall, where nobody could see it
    allgs.add(g)
    return g


def _exit(m: M, g: G) -> None:
    allgs.discard(g)
    g.status = GDEAD
    m.curg = None
    _leave(m, g)


def _leave(m: M, g: G) -> None:
    """What only some callbacks leave behind: a program with its P, context variables, the M."""
    p = releasep(m)
    if p is not None:
        handoffp(p.sched, p)
    if m.ctx:
        resetctx(m)
    m.sched = None
    m.stays = False
    g.elem = g.waiting = None
    g.goexiting = 0
    if m.pinned is None:
        dropm(m)


def _nested(m: M, run: Callable[..., Any], args: tuple[Any, ...], error: Any) -> Any:
    """Python -> C -> Python: part of the goroutine that called C."""
    g = m.curg
    if g is None:
        return error
    insyscall = g.status is GSYSCALL
    if insyscall and m in _carried:
        return error  # the goroutine unwinds, and C has only to return
    m.ncgo += 1
    try:
        if insyscall:
            exitsyscall(m, g)
        return run(*args)
    except BaseException as exc:
        if insyscall and _carries(m, exc):
            _carried[m] = exc
            return error
        return _failed(m, g, exc, error)
    finally:
        m.ncgo -= 1
        if insyscall:
            entersyscall(m, g)


def _carries(m: M, exc: BaseException) -> bool:
    """This exception goes on behind C. A goexit on C's own thread would end there: it is fatal."""
    return not isinstance(exc, Throw) and (m.g is None or not isinstance(exc, Goexit))


def _failed(m: M, g: G, exc: BaseException, error: Any) -> Any:
    """An exception that no `call` can raise: it ends the goroutine, and the program."""
    if isinstance(exc, ProgramEnded):
        return error
    if isinstance(exc, ScopeEnded) and m.g is None:
        return error  # the next wait behind C raises it again
    sched = getsched() if m.g is not None or m.sched is None else m.sched
    if isinstance(exc, Goexit):
        what = f"fatal error: {_GOEXIT_DIRECT if m.g is None else _GOEXIT}"
        frames = "".join(formatframes(excstack(exc)))
        fatal(sched, FatalError(what), f"{what}\n\n{header(g, GRUNNING)}{frames}{createdby(g)}")
        return error
    if exc is sched.fatal:
        return error
    if isinstance(exc, SystemExit) and not isinstance(exc, FatalError):
        sysexit(sched, exc)
        return error
    gopanic(sched, g, exc)
    return error


def _toolate(run: Callable[..., Any], error: Any) -> Any:
    """A callback while the interpreter exits."""
    if cgogate.first():
        name = getattr(run, "__qualname__", None) or shown(run)
        printerr(f"gopark: callback {name} came in while the interpreter exits; it returns {error}")
    return error


def _onforeign(work: Callable[[], R]) -> R:
    """`block` on a thread without a goroutine: it is one for the time of the call."""
    m = tls.m
    if m is None:
        m = needm(None)
    elif m.g is None:
        raise NotOnGError("block() was called by the scheduler itself (by a finalizer?)")
    g = _enter(m)
    try:
        return work()
    finally:
        _exit(m, g)


def borrow(work: Callable[[], R]) -> R:
    """Run it as a goroutine of its own on an extra M, given back after. `tls.m` is the caller's
    to keep: the thread may have an M already, in the scheduler or with a goroutine that waits."""
    m = getextra()
    g = _enter(m)
    try:
        return work()
    finally:
        _exit(m, g)


hooks.onforeign = _onforeign
hooks.borrow = borrow
# Functions that call the user's, holding nothing.
callers: Final = (
    _slowentry.__code__,
    _nested.__code__,
    _onforeign.__code__,
    borrow.__code__,
    _driven(drive).__code__,
)
cgoresult.doors.fail = lambda raises: callback(raises, restype=None)()


# --- calls out ---------------------------------------------------------------------------


def call(cfunc: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a C function that may block, letting other goroutines run meanwhile.

    The goroutine is in state syscall. If C calls back on this thread, the callback is part
    of the same goroutine: an exception that it lets escape is raised here as soon as C has
    returned, and until then further callbacks return at once, without running. On a thread
    without a goroutine it is a plain call.

    Args:
        cfunc: Anything that releases the GIL while it works; ctypes does.
        args, kwargs: What it is called with.
    Returns:
        Its result; its exception passes through, and that of a callback.
    Raises:
        TypeError: `cfunc` cannot be called.
    Example:
        >>> libc = ctypes.CDLL(None)
        >>> async def main():
        ...     print(gopark.cgo.call(libc.abs, -3))
        >>> gopark.run(main)
        3

    Go: a cgo call.
    """
    global _ncgocall
    if not callable(cfunc):
        raise TypeError(notcallable("call", cfunc))
    with _countlock:
        _ncgocall += 1
    m = tls.m
    if m is None or (g := m.curg) is None or g.status not in (GRUNNING, GSYSCALL):
        return cfunc(*args, **kwargs)
    # In Python code that C has called, a callback that failed may be under way: that is not ours.
    inc = g.status is GSYSCALL
    outer = [_carried.pop(m)] if _carried and m in _carried else None
    if not inc:
        entersyscall(m, g)
    try:
        return cfunc(*args, **kwargs)
    finally:
        carried = [_carried.pop(m)] if _carried and m in _carried else None
        if outer:
            _carried[m] = outer.pop()
        if not inc:
            exitsyscall(m, g)
        if g.goexiting == g.goid:
            raise Goexit
        if m.g is None and m.sched is not None and m.sched.ended:
            fatal = m.sched.fatal
            raise ProgramEnded if fatal is None else fatal.again()
        if carried:
            raise carried.pop()  # nothing here refers to it any more: no cycle


carriers.add(call.__code__)


def num_cgo_call() -> int:
    """How many C calls were made through `cgo.call`.

    Example:
        >>> before = gopark.runtime.num_cgo_call()
        >>> gopark.cgo.call(abs, -1)
        1
        >>> gopark.runtime.num_cgo_call() - before
        1

    Go: runtime.NumCgoCall.
    """
    return _ncgocall


# --- live callbacks ----------------------------------------------------------------------


def nlive() -> int:
    """How many callback objects exist that C might still call."""
    return len(_live)


def _gone(ident: int) -> None:
    """A callback object was freed; if it was the last, the program may be dead now."""
    _live.discard(ident)
    if not _live:
        outside.recheck()


def closing() -> None:
    """The interpreter exits: from now on callbacks do not run.

    Function pointers that users made of `callback` themselves get their gate only now, since
    nobody told us of them: a search through all objects, once.
    """
    _closing.append(True)
    entries = _live - {id(entry) for _, entry in _exported}
    if entries:
        for pointer in gc.get_objects():
            if isinstance(pointer, _CFuncPtr) and any(
                id(referent) in entries for referent in gc.get_referents(pointer)
            ):
                cgogate.guard(pointer)
    cgogate.close()


outside.nlive = nlive
