"""Deriving contexts: the functions, and the pair that most of them return.

Source: Go 1.27 context/context.go. Differs: seconds as float; the pair works with `with`.
Tests: tests/context/test_context.py, test_with.py
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from types import BuiltinFunctionType, TracebackType
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from gopark._runtime.base.bothwith import BothWith
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic, ofcalendar
from gopark._runtime.sched.newproc import checkcall
from gopark.context._cancel import AfterFuncCtx, CancelCtx, TimerCtx, cause_of, link
from gopark.context._context import Context, Ctx, Detached, ValueCtx

__all__ = (
    "after_func",
    "cause",
    "with_cancel",
    "with_cancel_cause",
    "with_deadline",
    "with_deadline_cause",
    "with_timeout",
    "with_timeout_cause",
    "with_value",
    "without_cancel",
)

_METHODS: Final = ("deadline", "done", "err", "value")


class CancelFunc(Protocol):
    """Ends the context. May be called from anywhere, and again."""

    def __call__(self) -> None: ...


class CancelCauseFunc(Protocol):
    """Ends the context and says why."""

    def __call__(self, cause: BaseException | None = None) -> None: ...


P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., None])


class Pair(tuple[CancelCtx, F], BothWith[CancelCtx]):
    """`ctx, cancel = pair`; or `with pair as ctx:`, ended by the block or by `ctx.cancel()`."""

    __slots__ = ()

    @property
    def ctx(self) -> CancelCtx:
        return self[0]

    @property
    def cancel(self) -> F:
        return self[1]

    def __enter__(self) -> CancelCtx:
        return self[0]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self[1]()

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            raise AttributeError(
                f"{name}() is a method of the context, and this is the pair (ctx, cancel): "
                "use pair[0], or `with ... as ctx`"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class CausePair(Pair[CancelCauseFunc]):
    """An error that ends the `with` block is the cause."""

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self[1](exc if isinstance(exc, Exception) else None)


# --- what comes in ----------------------------------------------------------------------------


def checked(who: str, ctx: object) -> None:
    """Raise TypeError unless it is a context."""
    if isinstance(ctx, Ctx):
        return
    if isinstance(ctx, Pair):
        raise TypeError(
            f"{who}() needs a context and was given the pair (ctx, cancel): "
            "pass pair[0], or use `with ... as ctx`"
        )
    if isinstance(ctx, type) or not all(callable(getattr(ctx, n, None)) for n in _METHODS):
        raise TypeError(
            f"{who}() needs a context, got {shown(ctx)}: an object with the methods "
            "deadline, done, err and value"
        )


def parentof(who: str, parent: object) -> None:
    if parent is None:
        raise TypeError(
            f"cannot create context from nil parent: {who}() was given None; "
            "where there is no parent, pass gopark.context.background()"
        )
    checked(who, parent)


def _seconds(who: str, what: str, value: object) -> float:
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise TypeError(f"{who}: the {what} must be a number of seconds, got {shown(value)}")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError(f"{who}: the {what} is more than a float can hold") from None
    if not isfinite(seconds):
        raise ValueError(f"{who}: the {what} must be finite, got {shown(value)}")
    return seconds


def _moment(who: str, value: object) -> float:
    when = _seconds(who, "deadline", value)
    if ofcalendar(when):
        raise ValueError(
            f"{who}: {shown(value)} is a moment of time.time(), decades ahead on the clock that "
            "this goes by: write gopark.time.monotonic() + seconds, or use with_timeout"
        )
    return when


def _reason(who: str, cause: object) -> None:
    if cause is not None and not isinstance(cause, BaseException):
        raise TypeError(f"{who}: the cause must be an exception or None, got {shown(cause)}")


# --- with a cancel ----------------------------------------------------------------------------


def with_cancel(parent: Context) -> Pair[CancelFunc]:
    """A child of `parent` and the function that ends it; it ends with its parent at the latest.

    Args:
        parent: The context that it is derived from.
    Returns:
        The pair `(ctx, cancel)`. `cancel()` may be called from any thread and more than once.
        As `with with_cancel(parent) as ctx:`, or `async with`, the block's end cancels, and
        `ctx.cancel()` does before.
    Raises:
        TypeError: `parent` is no context.
    Example:
        >>> with gopark.context.with_cancel(gopark.context.background()) as ctx:
        ...     print(ctx.err())
        None
        >>> print(ctx.err())
        context canceled

    Go: context.WithCancel.
    """
    parentof("with_cancel", parent)
    return _cancelable(parent)


def _cancelable(parent: Context) -> Pair[CancelFunc]:
    ctx = CancelCtx(parent)
    link(ctx)
    return Pair((ctx, ctx._cancel))


def with_cancel_cause(parent: Context) -> Pair[CancelCauseFunc]:
    """As `with_cancel`; what is passed to `cancel` is what `cause` returns then.

    Args:
        parent: The context that it is derived from.
    Returns:
        The pair `(ctx, cancel)`; `cancel(error)`, or `cancel()` for no special reason. In the
        form with `with`, an exception that leaves the block is the cause.
    Raises:
        TypeError: `parent` is no context.
    Example:
        >>> ctx, cancel = gopark.context.with_cancel_cause(gopark.context.background())
        >>> cancel(OSError("disk full"))
        >>> ctx.err(), gopark.context.cause(ctx)
        (Canceled('context canceled'), OSError('disk full'))

    Go: context.WithCancelCause.
    """
    parentof("with_cancel_cause", parent)
    ctx = CancelCtx(parent)
    link(ctx)
    return CausePair((ctx, ctx._cancel_cause))


# --- with a time ------------------------------------------------------------------------------


def with_deadline(parent: Context, when: float) -> Pair[CancelFunc]:
    """A child of `parent` that ends at a moment, if neither `cancel` nor its parent is sooner.

    Args:
        parent: The context that it is derived from.
        when: Seconds on the clock of `gopark.time.monotonic()`. In the past: it ends at once.
    Returns:
        The pair `(ctx, cancel)`, as for `with_cancel`.
    Raises:
        TypeError: `parent` is no context, or `when` is no number.
        ValueError: `when` is NaN or infinite, or a moment of `time.time()`: decades ahead.
    Example:
        >>> from gopark.time import monotonic
        >>> with gopark.context.with_deadline(gopark.context.background(), monotonic()) as ctx:
        ...     print(ctx.err())
        context deadline exceeded

    Go: context.WithDeadline.
    """
    return _timed("with_deadline", parent, _moment("with_deadline", when), None)


def with_deadline_cause(
    parent: Context, when: float, cause: BaseException | None
) -> Pair[CancelFunc]:
    """As `with_deadline`; the cause is `cause` if it is the deadline that ends the context.

    Args:
        parent: The context that it is derived from.
        when: Seconds on the clock of `gopark.time.monotonic()`.
        cause: What `cause(ctx)` is then. Not if `cancel` is called before.
    Returns:
        The pair `(ctx, cancel)`, as for `with_cancel`.
    Raises:
        TypeError: `parent` is no context, `when` no number or `cause` no exception.
        ValueError: `when` is NaN or infinite, or a moment of `time.time()`: decades ahead.
    Example:
        >>> from gopark.time import monotonic
        >>> slow = TimeoutError("the index took too long")
        >>> root = gopark.context.background()
        >>> with gopark.context.with_deadline_cause(root, monotonic(), slow) as ctx:
        ...     print(gopark.context.cause(ctx))
        the index took too long

    Go: context.WithDeadlineCause.
    """
    who = "with_deadline_cause"
    return _timed(who, parent, _moment(who, when), cause)


def with_timeout(parent: Context, seconds: float) -> Pair[CancelFunc]:
    """A child of `parent` that ends after this long, if neither `cancel` nor its parent is sooner.

    Args:
        parent: The context that it is derived from.
        seconds: Zero or less: it ends at once.
    Returns:
        The pair `(ctx, cancel)`, as for `with_cancel`.
    Raises:
        TypeError: `parent` is no context, or `seconds` is no number.
        ValueError: `seconds` is NaN or infinite.
    Example:
        >>> async def main():
        ...     never = gopark.Chan()
        ...     with gopark.context.with_timeout(gopark.context.background(), 0.001) as ctx:
        ...         await gopark.select(gopark.recv(never), gopark.recv(ctx.done()))
        ...         print(ctx.err())
        >>> gopark.run(main)
        context deadline exceeded

    Go: context.WithTimeout.
    """
    when = monotonic() + _seconds("with_timeout", "timeout", seconds)
    return _timed("with_timeout", parent, when, None)


def with_timeout_cause(
    parent: Context, seconds: float, cause: BaseException | None
) -> Pair[CancelFunc]:
    """As `with_timeout`; the cause is `cause` if it is the timeout that ends the context.

    Args:
        parent: The context that it is derived from.
        seconds: Zero or less: it ends at once.
        cause: What `cause(ctx)` is then. Not if `cancel` is called before.
    Returns:
        The pair `(ctx, cancel)`, as for `with_cancel`.
    Raises:
        TypeError: `parent` is no context, `seconds` no number or `cause` no exception.
        ValueError: `seconds` is NaN or infinite.
    Example:
        >>> root = gopark.context.background()
        >>> slow = TimeoutError("no answer from the index")
        >>> with gopark.context.with_timeout_cause(root, 0, slow) as ctx:
        ...     print(ctx.err(), "/", gopark.context.cause(ctx))
        context deadline exceeded / no answer from the index

    Go: context.WithTimeoutCause.
    """
    who = "with_timeout_cause"
    return _timed(who, parent, monotonic() + _seconds(who, "timeout", seconds), cause)


def _timed(who: str, parent: Context, when: float, cause: BaseException | None) -> Pair[CancelFunc]:
    parentof(who, parent)
    _reason(who, cause)
    sooner = parent.deadline()
    if sooner is not None and sooner < when:
        return _cancelable(parent)
    ctx = TimerCtx(parent, when)
    link(ctx)
    if not ctx._end:
        ctx._arm(cause)
    return Pair((ctx, ctx._cancel))


# --- without ----------------------------------------------------------------------------------


def with_value(parent: Context, key: object, value: object) -> Context:
    """A child of `parent` in which `key` has a value.

    For what belongs to a request and goes through many hands; not for optional arguments.

    Args:
        parent: The context that it is derived from.
        key: Something hashable, best an object of a class of your own, which no other module
            can hit upon. It matches the same object, or an equal one of the same type: 1, 1.0 and
            True are three keys.
        value: Anything. It should be safe to use from many goroutines.
    Raises:
        TypeError: `parent` is no context, or `key` is None or not hashable.
    Example:
        >>> ctx = gopark.context.with_value(gopark.context.background(), "user", "ada")
        >>> ctx.value("user")
        'ada'

    Go: context.WithValue.
    """
    parentof("with_value", parent)
    if key is None:
        raise TypeError("nil key: with_value() needs a key other than None")
    try:
        hash(key)
    except TypeError:
        raise TypeError(
            f"key is not comparable: with_value() needs a hashable key, got {shown(key)}"
        ) from None
    return ValueCtx(parent, key, value)


def without_cancel(parent: Context) -> Context:
    """A child of `parent` with its values, that does not end with it and has no deadline.

    For work that has to be completed after the request is gone.

    Args:
        parent: The context whose values are taken over.
    Raises:
        TypeError: `parent` is no context.
    Example:
        >>> ctx, cancel = gopark.context.with_cancel(gopark.context.background())
        >>> cancel()
        >>> print(gopark.context.without_cancel(ctx).err())
        None

    Go: context.WithoutCancel.
    """
    parentof("without_cancel", parent)
    return Detached(parent)


def after_func(
    ctx: Context, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
) -> Callable[[], bool]:
    """Start `fn(*args, **kwargs)` as a goroutine once `ctx` is done, at once if it is already.

    Args:
        ctx: The context.
        fn: An `async def` or a plain function. It sees the caller's context variables.
        args, kwargs: What it is called with.
    Returns:
        A function `stop`. It returns True if it was called in time: `fn` will not run. False:
        it was started, and `stop` does not wait for its end, or has been stopped before.
    Raises:
        TypeError: `ctx` is no context, `fn` no function, or the arguments do not fit.
    Example:
        >>> async def main():
        ...     told = gopark.Chan()
        ...     ctx, cancel = gopark.context.with_cancel(gopark.context.background())
        ...     stop = gopark.context.after_func(ctx, told.send, "it is over")
        ...     cancel()
        ...     print(await told.recv(), stop())
        >>> gopark.run(main)
        it is over False

    Go: context.AfterFunc.
    """
    checked("after_func", ctx)
    if type(fn) is not BuiltinFunctionType:  # it tells slowly, or not at all
        checkcall("after_func", fn, args, kwargs)  # or the one who cancels would have the error
    child = AfterFuncCtx(ctx, fn, args, kwargs)
    link(child)
    return child._stop


def cause(ctx: Context) -> BaseException | None:
    """Why a context has ended: the cause that was given, else what `ctx.err()` is; else None.

    Args:
        ctx: The context; the first end above it, or its own, counts.
    Raises:
        TypeError: `ctx` is no context.
    Example:
        >>> parent, cancel = gopark.context.with_cancel_cause(gopark.context.background())
        >>> child, _ = gopark.context.with_cancel(parent)
        >>> cancel(ValueError("bad request"))
        >>> gopark.context.cause(child)
        ValueError('bad request')

    Go: context.Cause.
    """
    checked("cause", ctx)
    return cause_of(ctx)
