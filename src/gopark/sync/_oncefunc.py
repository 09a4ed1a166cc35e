"""once_func, once_value, once_values: a function whose work is done one time.

The wrapped function keeps its colour: an `async def` gives an `async def`, a plain function a
plain one. What it raised is raised again at each call, as an exception of that call's own: equal
in type, arguments and attributes. It has not the frames of the call that failed, whose locals
would live as long as the function, but a note that says where that was. Ctrl-C is none of the
function's own: the next caller calls it again.

Source: Go 1.27 sync/oncefunc.go. Tests: tests/sync/test_once.py
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine
from traceback import walk_tb
from types import CodeType
from typing import Any, Final, Generic, TypeVar, cast, overload

from gopark._runtime.base.errors import ScopeEnded
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import isasync
from gopark.sync._again import copied, mine, raise_again, traceback_of
from gopark.sync._common import PROGRAMENDS, checked
from gopark.sync._mutex import Mutex

__all__ = ("once_func", "once_value", "once_values")

# What comes from outside is no outcome of the function, to be raised ever after.
_BROKENOFF: Final = (*PROGRAMENDS, KeyboardInterrupt, ScopeEnded)

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")


class _Once(Generic[T]):
    """The function until it has been called, then what came of it. `mu` guards the change."""

    __slots__ = ("done", "exc", "fn", "mu", "result")

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn: Callable[[], Any] | None = fn
        self.mu = Mutex()
        self.done = False  # written last, read without the mutex
        self.exc: BaseException | None = None
        self.result: T | None = None

    def failed(self, exc: BaseException, outer: BaseException | None) -> None:
        """Keep what it raised, and none of the frames; the first caller raises it itself."""
        if isinstance(exc, _BROKENOFF):
            return  # another caller, or another program, may have it done
        self.exc = copied(exc, outer=outer)
        places = [_place(frame.f_code, line) for frame, line in walk_tb(traceback_of(exc))]
        if places and self.exc is not exc:
            self.exc.add_note("raised by the first call, in" + "".join(places))
        self.finish(None)

    def finish(self, result: T | None) -> None:
        self.result = result
        self.fn = None  # what it holds is needed no more
        self.done = True

    def outcome(self) -> T:
        if self.exc is not None:
            raise_again(mine(self.exc), None)
        return cast(T, self.result)


def _place(code: CodeType, line: int) -> str:
    return f'\n  File "{code.co_filename}", line {line}, in {code.co_name}'


def _once(who: str, fn: Callable[[], Any], keep: bool = True) -> Callable[[], Any]:
    checked(who, fn, (), {})
    once: _Once[Any] = _Once(fn)

    async def call() -> Any:
        if not once.done:
            async with once.mu:
                if not once.done:
                    outer = sys.exception()
                    try:
                        result = await once.fn()  # type: ignore[misc]
                    except BaseException as exc:
                        once.failed(exc, outer)
                        raise
                    finally:
                        del outer
                    once.finish(result if keep else None)
        return once.outcome()

    def plaincall() -> Any:
        if not once.done:
            with once.mu:
                if not once.done:
                    outer = sys.exception()
                    try:
                        result = once.fn()  # type: ignore[misc]
                    except BaseException as exc:
                        once.failed(exc, outer)
                        raise
                    finally:
                        del outer
                    once.finish(result if keep else None)
        return once.outcome()

    transparent.update((call.__code__, plaincall.__code__))
    called = functools.update_wrapper(call if isasync(fn) else plaincall, fn)
    del called.__wrapped__  # it would keep the function, which is called no more
    return called


@overload
def once_func(  # type: ignore[overload-overlap]
    fn: Callable[[], Coroutine[Any, Any, object]],
) -> Callable[[], Coroutine[Any, Any, None]]: ...
@overload
def once_func(fn: Callable[[], object]) -> Callable[[], None]: ...


def once_func(fn: Callable[[], Any]) -> Callable[[], Any]:
    """A function that calls `fn` the first time, and then never again.

    Args:
        fn: A plain function or an `async def` without arguments; so is the result, which
            may be called by any goroutine. Its own result is dropped, what it raises is
            raised at every call, as an object of that call's own.
    Raises:
        TypeError: `fn` is not a function, or needs arguments.
    Example:
        >>> setup = gopark.sync.once_func(lambda: print("set up"))
        >>> setup()
        set up
        >>> setup()

    Go: sync.OnceFunc.
    """

    return _once("once_func", fn, keep=False)


@overload
def once_value(
    fn: Callable[[], Coroutine[Any, Any, T]],
) -> Callable[[], Coroutine[Any, Any, T]]: ...
@overload
def once_value(fn: Callable[[], T]) -> Callable[[], T]: ...


def once_value(fn: Callable[[], Any]) -> Callable[[], Any]:
    """A function that calls `fn` the first time, and returns that value every time.

    Args:
        fn: A plain function or an `async def` without arguments; so is the result, which
            may be called by any goroutine. What it raises is raised at every call, as an
            object of that call's own.
    Raises:
        TypeError: `fn` is not a function, or needs arguments.
    Example:
        >>> total = gopark.sync.once_value(lambda: print("computed") or sum(range(1000)))
        >>> total(), total()
        computed
        (499500, 499500)

    Go: sync.OnceValue.
    """
    return _once("once_value", fn)


@overload
def once_values(
    fn: Callable[[], Coroutine[Any, Any, tuple[T1, T2]]],
) -> Callable[[], Coroutine[Any, Any, tuple[T1, T2]]]: ...
@overload
def once_values(fn: Callable[[], tuple[T1, T2]]) -> Callable[[], tuple[T1, T2]]: ...


def once_values(fn: Callable[[], Any]) -> Callable[[], Any]:
    """`once_value` for a function that returns two values, as a tuple.

    Args:
        fn: A plain function or an `async def` without arguments.
    Raises:
        TypeError: `fn` is not a function, or needs arguments.
    Example:
        >>> read = gopark.sync.once_values(lambda: ("text", None))
        >>> text, error = read()
        >>> text
        'text'

    Go: sync.OnceValues.
    """
    return _once("once_values", fn)
