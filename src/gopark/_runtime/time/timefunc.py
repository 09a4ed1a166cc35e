"""`after_func`: a goroutine that starts later, unless somebody stops it.

Its timer is in the heap while it is pending, and the heap keeps it: nobody need hold on to
what `after_func` returns. The goroutine is made when the timer fires, by the M that runs
the timers, between two goroutines; a function that is no plain `async def` is not even
called there, for what it does is the user's, and it may wait.

Locks: none of its own; what the heap looks at is guarded by the heap's.
Source: Go 1.27 time/sleep.go (AfterFunc, goFunc). Tests: tests/test_time.py
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from inspect import CO_COROUTINE
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, Final, ParamSpec

from gopark._runtime.base.hooks import TimeBase, hooks
from gopark._runtime.base.runtime2 import goids, tls
from gopark._runtime.sched.newproc import checkcall, newg
from gopark._runtime.sched.runq import globrunqput, runqput
from gopark._runtime.sched.timer import Timer as HeapTimer
from gopark._runtime.sched.timer import Timers
from gopark._runtime.time.timechan import Timer, seconds

__all__ = ("after_func",)

P = ParamSpec("P")

_UNCHECKED: Final = (BuiltinFunctionType, type)  # their own errors will tell


def after_func(
    duration: float, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
) -> Timer:
    """Start `fn(*args, **kwargs)` as a goroutine of its own once this long has passed.

    It runs in a copy of the context variables that the caller has now. An exception that it
    lets escape ends the program, as with `go`.

    Args:
        duration: Seconds. Zero or less: at once.
        fn: An `async def` or a plain function.
        args, kwargs: What it is called with.
    Returns:
        A timer to stop or reset it with; its `c` is None. Nobody need keep it.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number, `fn` is no function or the arguments do not fit.
    Example:
        >>> async def main():
        ...     done = gopark.Chan()
        ...     gopark.time.after_func(0.001, done.send, "later")
        ...     print(await done.recv())
        >>> gopark.run(main)
        later

    Go: time.AfterFunc.
    """
    delay = seconds("after_func", duration)
    if type(fn) not in _UNCHECKED:
        checkcall("after_func", fn, args, kwargs)
    return _FuncTimer(delay, fn, args, kwargs)


class _FuncTimer(Timer):
    """What `after_func` returns.

    The heap has a timer of its own, which knows this one only while it is pending: what was
    stopped keeps the function and its arguments alive no longer than its user does.
    """

    __slots__ = ("args", "base", "ctx", "fn", "kwargs", "timer")

    c = None  # type: ignore[assignment]
    base: TimeBase
    ctx: Context

    def __init__(
        self,
        delay: float,
        fn: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.ctx = copy_context()
        self.base = base = hooks.timebase()
        timers: Timers = base.timers
        when = timers.clock() + max(delay, 0.0)
        self.timer = timer = HeapTimer(timers, when, _gofunc, self)
        if timers.add(timer):
            timers.wake()

    def stop(self) -> bool:
        return self.timer.stop()

    def reset(self, duration: float) -> bool:
        delay = seconds("Timer.reset", duration)
        timer = self.timer
        moved = False
        if self.base.ended:
            self.base = hooks.timebase()
            moved = timer.timers.leave(timer, self.base.timers)
        timers = timer.timers
        pending, first = timers.modify(timer, timers.clock() + max(delay, 0.0), self)
        if first:
            timers.wake()
        return pending or moved


def _isasync(fn: object) -> bool:
    """Calling it makes a coroutine and runs nothing of the user's."""
    if type(fn) is MethodType:
        fn = fn.__func__
    return type(fn) is FunctionType and bool(fn.__code__.co_flags & CO_COROUTINE)


def _gofunc(t: _FuncTimer) -> None:
    """The time has come: start the goroutine."""
    m = tls.m
    cleanup = None
    if m is not None and m.sched is not None and m.sched.ended:
        cleanup = m.sched.cleanup
        if cleanup is None or cleanup.over:
            return
    fn, args, kwargs = t.fn, t.args, t.kwargs
    coro: Any = fn(*args, **kwargs) if _isasync(fn) else None
    g = newg(next(goids), coro, fn, args, kwargs, None)
    g.ctx = t.ctx.copy()  # not the context itself, in which an earlier run may still be
    g.gocode, g.gopc, g.goglobals = _CREATOR, 0, _PACKAGE
    if cleanup is not None:
        cleanup.begin(g)
        return
    if m is None or (p := m.p) is None:
        globrunqput(g)
    else:
        runqput(m, p, g)


# Who created the goroutine, in a dump: as Go has it.
_CREATOR: Final[CodeType] = _gofunc.__code__.replace(co_name="goFunc", co_qualname="goFunc")
_PACKAGE: Final[dict[str, Any]] = {"__name__": "time"}
