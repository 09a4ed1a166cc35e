"""`go`: make a G for a function and put it on a run queue.

What is wrong with the call is an error here, at the `go` line, and never a goroutine that
dies later: not callable, a coroutine object, arguments that do not fit, a generator. None
is what `go(f(x))` hands over when f has run already and returned nothing, the commonest slip of
all, so it is an error like the others, and not the end of the program, as in Go.
An `async def` is called at once, which binds its arguments and runs none of its body. A
plain function's arguments are compared with its signature.

A plain function's G has a `_Start` as its `step`; it runs on one thread until it returns.
If it returns a coroutine (a decorated `async def`), the G goes on as that coroutine.

Source: Go 1.27 runtime/proc.go, newproc. Tests: tests/runtime/test_newproc.py
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from types import BuiltinMethodType, CodeType, FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.base.hooks import births, hooks
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import (
    DONE,
    FREETHREADED,
    GRUNNABLE,
    LOCKED,
    Around,
    G,
    M,
    allgs,
    goids,
    tls,
)
from gopark._runtime.base.suspend import unawaited
from gopark._runtime.sched.runq import globrunqput, runqput, spread
from gopark._runtime.sched.startm import getsched
from gopark._runtime.twin import coroutines, native

if TYPE_CHECKING:
    from gopark._runtime.base.runtime2 import P as P_

__all__ = (
    "START",
    "Creator",
    "Watched",
    "Wrapped",
    "born",
    "checkcall",
    "go",
    "isasync",
    "listg",
    "newg",
    "notcallable",
    "relist",
    "start",
    "startable",
    "startable_check",
    "startin",
    "unbegun",
)

P = ParamSpec("P")

_getframe: Final = sys._getframe
_listg: Final = allgs.add  # bound once: looking it up costs as much as calling it
_CO_GENERATOR: Final = inspect.CO_GENERATOR
_CO_COROUTINE: Final = inspect.CO_COROUTINE
_CO_ASYNC_GENERATOR: Final = inspect.CO_ASYNC_GENERATOR
_CO_UNUSUAL: Final = (
    _CO_GENERATOR
    | _CO_COROUTINE
    | _CO_ASYNC_GENERATOR
    | inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
)


def go(fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Start `fn(*args, **kwargs)` as a goroutine and return at once.

    Args:
        fn: An `async def`, which moves freely between threads, or a plain function, which
            has a thread until it returns. Its result is dropped; an exception that it lets
            escape ends the program, as a panic does.
        args, kwargs: What it is called with.
    Raises:
        TypeError: `fn` is not callable, is a coroutine object or a generator function, or
            the arguments do not fit.
    Example:
        >>> async def main():
        ...     done = gopark.Chan()
        ...     gopark.go(done.send, "hello")
        ...     print(await done.recv())
        >>> gopark.run(main)
        hello

    Go: the `go` statement.
    """
    if type(fn) is FunctionType and fn.__code__.co_flags & _CO_COROUTINE:
        # Python calls a function more quickly without a tuple: 1 % of spawn, where it is empty.
        coro: Any = fn(*args, **kwargs) if kwargs else fn(*args) if args else fn()
    elif (coro := startable("go", fn, args, kwargs)) is None:
        return start(None, fn, args, kwargs, _getframe(1))
    m = tls.m
    if m is not None and (p := m.p) is not None and (me := m.curg) is not None:
        # The usual case, with newg and runqput in line, 0.2 µs of spawn's 1.5 µs, and with a
        # G of one that has ended, 0.05 µs. The M that has run that tells the program.
        frame = _getframe(1)
        try:
            g = gfree.pop() if (gfree := p.gfree) else _fresh(p)
        except IndexError:
            g = _fresh(p)
        g.goid = next(goids)
        g.coro = coro
        g.step = coro.__await__()
        g.ctx = copy_context()
        g.gocode = frame.f_code
        g.gopc = frame.f_lasti
        g.goglobals = frame.f_globals
        g.parentid = me.goid
        g.status = GRUNNABLE
        if births:
            born(g)
        _listg(g)
        runnext = p.runnext
        if runnext:
            try:
                p.runq.append(runnext.pop())
            except IndexError:
                pass
        runnext.append(g)
        if p.near.npidle:
            spread(m, p)
        return
    start(coro, fn, args, kwargs, _getframe(1))


def startin(coro: Any, ctx: Context, frame: FrameType, fn: Callable[..., object]) -> int:
    """`go` for a coroutine of ours, in these variables, not in a copy; the goroutine's number."""
    m = tls.m
    if m is None or (p := m.p) is None or m.curg is None:
        goid = next(goids)
        ctx.run(_startslow, goid, coro, fn, frame)
        return goid
    try:
        g = p.gfree.pop() if p.gfree else _fresh(p)
    except IndexError:
        g = _fresh(p)
    g.goid = goid = next(goids)
    g.coro = coro
    g.step = coro.__await__()
    g.ctx = ctx
    g.gocode = frame.f_code
    g.gopc = frame.f_lasti
    g.goglobals = frame.f_globals
    g.parentid = m.curg.goid
    g.status = GRUNNABLE
    listg(g)
    runqput(m, p, g)
    return goid


def listg(g: G) -> None:
    """It is one of all from here on: the last step of making a goroutine."""
    if births:
        born(g)
    _listg(g)


def _startslow(goid: int, coro: Any, fn: Callable[..., object], frame: FrameType) -> None:
    submit(tls.m, newg(goid, coro, fn, (), {}, frame))


def start(
    coro: Any,
    fn: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    frame: FrameType | Creator,
) -> None:
    """`go` for what `startable` has checked; `frame` is the line that the goroutine is made in."""
    submit(tls.m, newg(next(goids), coro, fn, args, kwargs, frame))


def submit(m: M | None, g: G) -> None:
    """Onto a queue with it; `m` is the calling thread's."""
    if m is None or (p := m.p) is None:
        if m is not None and m.sched is not None and m.sched.ended and m.g is None:
            return _toolate(m, g)
        globrunqput(g)
    else:
        runqput(m, p, g)


def newg(
    goid: int,
    coro: Coroutine[Any, Any, Any] | None,
    fn: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    frame: FrameType | Creator | None,
) -> G:
    """A runnable G, known to `allgs` but on no queue yet; `frame` is the line that made it."""
    g = G(goid)
    g.m = _maker()
    g.coro = coro
    g.step = _Start(g, fn, args, kwargs) if coro is None else coro.__await__()
    g.ctx = copy_context()
    if frame is not None:
        g.gocode = frame.f_code
        g.gopc = frame.f_lasti
        g.goglobals = frame.f_globals
        g.parentid = frame.goid if isinstance(frame, Creator) else _goid()
    g.status = GRUNNABLE
    if births:
        born(g)
    _listg(g)
    return g


def _fresh(p: P_) -> G:
    """One that was no goroutine yet."""
    g = G(0)
    g.m = p.sched.maker
    return g


def _maker() -> M:
    """What tells, until an M has run a new goroutine, which program it is of: that of who makes it.

    A thread of ours works for one program only. One of others is in one for as long as it runs a
    callback; what it starts is of the program it has a P of, or else of the one that runs now.
    """
    m = tls.m
    if m is not None and m.g is None:
        return m
    p = None if m is None else m.p
    maker: M = (getsched() if p is None else p.sched).maker
    return maker


def born(g: G) -> None:
    """Tell those who want to hear of it."""
    for heard in births:
        heard(g)


def _goid() -> int:
    """The calling goroutine's, 0 if there is none."""
    m = tls.m
    return 0 if m is None or m.curg is None else m.curg.goid


def relist() -> None:
    """In the child of a fork: no goroutine.

    Without a GIL a thread that is not here any more may have been amid a change of `allgs`, and
    have held the set's own lock, which nobody gives back (seen with CPython 3.13.15; 3.14 has all
    threads stand still for a fork). So it is a new set then, for all who have it, or its methods,
    by a name.
    """
    if not FREETHREADED:
        allgs.clear()
        return
    old: Any = allgs
    new: Any = set()
    for module in [m for name, m in sys.modules.items() if name.startswith("gopark.")]:
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)
            elif type(value) is BuiltinMethodType and value.__self__ is old:
                setattr(module, name, getattr(new, value.__name__))
    _left.append(old)  # with all that is in it, which is not to end here


_left: Final[list[object]] = []


class Creator:
    """Who asked for a goroutine that somebody else starts, and where; for `start`, as a frame."""

    __slots__ = ("f_code", "f_globals", "f_lasti", "goid")

    def __init__(self, frame: FrameType) -> None:
        self.f_code = frame.f_code
        self.f_globals = frame.f_globals
        self.f_lasti = frame.f_lasti
        self.goid = _goid()


def _toolate(m: M, g: G) -> None:
    """`go` in a goroutine that outlived its program: nothing will run it. But a timer may start
    one that somebody's cleanup waits for: see cleanup.py."""
    assert m.sched is not None
    cleanup = m.sched.cleanup
    if m.curg is None and cleanup is not None and cleanup.begin(g):
        return
    allgs.discard(g)
    if g.coro is not None:
        g.coro.close()
    if not hooks.amid():  # a finalizer: nobody waits for what it starts, or could be told
        raise ProgramEnded


class _Start:
    """The `step` of a plain function's G: runs it to its end, on a thread that may block."""

    __slots__ = ("args", "fn", "g", "kwargs")

    def __init__(
        self, g: G, fn: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.g = g
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def __iter__(self) -> _Start:
        return self

    def __next__(self) -> object:
        m = tls.m
        assert m is not None
        if m.m0:
            return LOCKED
        m.onthread = True
        try:
            result = self.fn(*self.args, **self.kwargs)
        except StopIteration as exc:  # it must not pass for the end of this iterator
            raise RuntimeError("goroutine raised StopIteration") from exc
        finally:
            m.onthread = False
        if not isinstance(result, coroutines):
            return DONE
        unawaited(result)
        g = self.g
        g.coro = result
        g.step = result.__await__()
        return next(g.step, DONE)


START: Final = _Start.__next__.__code__


class Wrapped:
    """A user's coroutine inside one of ours that sees to what comes after it.

    A G has this as its `coro`: sysmon and dumps know the goroutine by the user's code, and
    whatever steps it, throws or closes goes through ours. `unbegun` is called if the program
    ends before ours has begun, and so cannot see to anything.
    """

    __slots__ = ("coro", "ours", "step", "unbegun")

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        ours: Coroutine[Any, Any, Any],
        unbegun: Callable[[], object] | None = None,
    ) -> None:
        self.coro = coro
        self.ours = ours
        self.step: Any = ours.__await__()
        self.unbegun = unbegun

    @property
    def cr_code(self) -> CodeType | None:
        return getattr(self.coro, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return getattr(self.coro, "cr_running", True)

    def __await__(self) -> Any:
        return self.step

    def send(self, value: Any) -> Any:
        return self.step.send(value)

    def throw(self, exc: BaseException) -> Any:
        return self.step.throw(exc)

    def close(self) -> None:
        self.step.close()
        self.coro.close()  # ours had not begun


class Watched(Around):
    """The same for a plain function that somebody counts on."""

    __slots__ = ()

    def unbegun(self) -> None:
        """The program has ended before it was called."""


def unbegun(g: G) -> Callable[[], object] | None:
    """Whom to tell that this goroutine will never begin; None if it has, or nobody counts on it."""
    step: Any = g.step
    coro: Any = g.coro
    if coro is None:
        fn = step.fn if type(step) is _Start else None
        return fn.unbegun if isinstance(fn, Watched) else None
    if type(coro) is Wrapped and inspect.getcoroutinestate(coro.ours) == inspect.CORO_CREATED:
        return coro.unbegun
    return None


def startable(
    who: str, fn: object, args: tuple[object, ...], kwargs: dict[str, object]
) -> Coroutine[Any, Any, Any] | None:
    """Check the call. The coroutine if `fn` is an `async def`, None if it is a plain function."""
    startable_check(who, fn)
    assert callable(fn)
    if isasync(fn):
        coro: Coroutine[Any, Any, Any] = fn(*args, **kwargs)
        unawaited(coro)
        return coro
    _checkargs(who, fn, args, kwargs)
    return None


def checkcall(who: str, fn: object, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """As `startable`, for a call that comes later: raise TypeError unless it can be made."""
    if type(fn) is FunctionType:
        if _fits(fn, fn.__code__, args, kwargs, _CO_UNUSUAL & ~_CO_COROUTINE):
            return
    elif type(fn) is MethodType and type(fn.__func__) is FunctionType:
        method = fn.__func__
        bound = (fn.__self__, *args)
        if _fits(method, method.__code__, bound, kwargs, _CO_UNUSUAL & ~_CO_COROUTINE):
            return
    startable_check(who, fn)
    assert callable(fn)
    _checkargs(who, fn, args, kwargs)


def _checkargs(
    who: str, fn: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    if _fits(fn, _codeof(fn), args, kwargs):
        return
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError, SystemError):
        # A C function that does not tell: its own error will. SystemError: up to 3.12 two threads
        # that read such a signature at once may trip over each other (python/cpython#106905).
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        try:
            text = str(signature)
        except Exception:  # of a default that has no `repr`
            text = "(...)"
        raise TypeError(f"{who}: {_name(fn)}{text} cannot be called so: {exc}") from None


def startable_check(who: str, fn: object) -> None:
    """Raise TypeError unless `fn` is a function that can run as a goroutine."""
    if not callable(fn):
        raise TypeError(notcallable(who, fn))
    code = _codeof(fn)
    if code is not None and not code.co_flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR):
        return
    if inspect.isasyncgenfunction(fn):
        raise TypeError(f"{who}: {_name(fn)} is an async generator function; loop over it instead")
    if inspect.isgeneratorfunction(fn):
        raise TypeError(f"{who}: {_name(fn)} is a generator function, its body would never run")


def isasync(fn: object) -> bool:
    """An `async def`, or something that Python takes for one (method, partial, marked)."""
    code = _codeof(fn)
    if code is not None and code.co_flags & _CO_COROUTINE:
        return True
    if inspect.iscoroutinefunction(fn):
        return True
    call = getattr(fn, "__call__", None)  # noqa: B004 - an object with `async def __call__`
    return inspect.ismethod(call) and inspect.iscoroutinefunction(call)


def notcallable(who: str, fn: object) -> str:
    if isinstance(fn, coroutines):
        name = fn.__qualname__
        fn.close()  # or Python warns on top that it was never awaited
        return (
            f"{who}() was given a coroutine object, the result of calling {name}; "
            f"pass the function and its arguments: {_form(who, name)}"
        )
    nil = f"{who} of nil func value: " if fn is None else ""
    return (
        f"{nil}{who}() needs a function, got {shown(fn)}; pass the function and its arguments, "
        f"not its result: {_form(who, 'f')}"
    )


def _form(who: str, name: str) -> str:
    """What to write, and what not."""
    first, args = _FIRST.get(who, ""), "" if who in _ALONE else ", x"
    return f"{who}({first}{name}{args}), not {who}({first}{name}(x))"


_ALONE: Final = (
    *("callback", "cleanup", "export", "once_func", "once_value", "once_values"),
    *("pprof.do", "set_panic_handler", "with_region"),
)
_FIRST: Final = {
    **{"after_func": "..., ", "do": "key, ", "do_chan": "key, "},
    **{"pprof.do": "ctx, labels, ", "with_region": "ctx, name, "},
}


def _codeof(fn: object) -> CodeType | None:
    """The code of a plain Python function, None for all else (methods, partials, C)."""
    return fn.__code__ if type(fn) is FunctionType else None


def _fits(
    fn: object,
    code: CodeType | None,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    unusual: int = _CO_UNUSUAL,
) -> bool:
    """A cheap yes; where it says no, the signature has the last word."""
    if code is None or kwargs or code.co_flags & unusual or code.co_kwonlyargcount:
        return False
    missing = code.co_argcount - len(args)
    defaults = fn.__defaults__ if type(fn) is FunctionType else None
    return 0 <= missing <= (len(defaults) if defaults else 0)


def _name(fn: object) -> str:
    return getattr(fn, "__qualname__", None) or shown(fn)


if native is not None:
    native.install(born=born, submit=submit)
    go = native.function("go", go)
