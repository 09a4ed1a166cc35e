"""A context that a signal ends.

Source: Go 1.27 os/signal/signal.go (NotifyContext). Tests: tests/test_notify_context.py
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NoReturn, cast

from gopark import context
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark.context._with import CancelFunc, Pair, parentof
from gopark.signal._signal import notify, signals, stop

__all__ = ("notify_context",)


def notify_context(parent: context.Context, *sigs: int) -> Pair[CancelFunc]:
    """A child of `parent` that ends when one of the signals comes, `stop` is called or it does.

    While `stop` has not been called, further signals of these do nothing: a second Ctrl-C does
    not end the program. After it they do what they did before.

    Args:
        parent: The context that it is derived from.
        sigs: Numbers, as for `notify`; none: all signals.
    Returns:
        The pair `(ctx, stop)`. As `with notify_context(parent, ...) as ctx:`, or `async with`,
        the block's end calls `stop`. After a signal `gopark.context.cause(ctx)` is a `Canceled`
        that tells which, and has it as its attribute `signal`.
    Raises:
        TypeError: `parent` is no context, or one of `sigs` is not a number.
        RuntimeError: `gopark.run` is not active in the main thread.
    Example:
        >>> import os, signal
        >>> async def main():
        ...     root = gopark.context.background()
        ...     with gopark.signal.notify_context(root, signal.SIGTERM) as ctx:
        ...         os.kill(os.getpid(), signal.SIGTERM)
        ...         await ctx.done().recv()
        ...     print(ctx.err(), "/", gopark.context.cause(ctx))
        >>> gopark.run(main)
        context canceled / terminated signal received

    Go: signal.NotifyContext.
    """
    parentof("notify_context", parent)
    signals("notify_context", sigs)
    inner, cancel = context.with_cancel_cause(parent)
    ch = Chan[signal.Signals](1)
    try:
        notify(ch, *sigs)
    except BaseException:
        cancel()
        raise

    def endwith(cause: BaseException | None) -> None:
        cancel(cause)
        stop(ch)

    def end() -> None:
        endwith(None)

    async def wait() -> None:
        index, signum, _ = await select(recv(ch), recv(inner.done()))
        if index == 0:
            cancel(SignalError(signum))

    ctx = SignalContext(parent, inner, sigs, endwith)
    if inner.err() is None:
        go(wait)
    return Pair(cast(Any, (ctx, end)))


class SignalContext(context.Context):
    """What `notify_context` makes; it differs from its inner context in how it prints."""

    __slots__ = ("__weakref__", "_end", "_inner", "_parent", "_sigs")

    def __init__(
        self,
        parent: context.Context,
        inner: context.Context,
        sigs: tuple[int, ...],
        end: Callable[[BaseException | None], None],
    ) -> None:
        self._end = end
        self._parent = parent
        self._inner = inner
        self._sigs = sigs

    def cancel(self, cause: BaseException | None = None) -> None:
        """End the context and listen no more, as `stop` does, for the form with `with`.

        Args:
            cause: What `gopark.context.cause` returns then.
        """
        self._end(cause)

    def deadline(self) -> float | None:
        return self._inner.deadline()

    def done(self) -> Chan[Any] | None:
        return self._inner.done()

    def err(self) -> Exception | None:
        return self._inner.err()

    def value(self, key: object) -> Any:
        return self._inner.value(key)

    def __copy__(self) -> SignalContext:
        return self  # as the other contexts do

    def __deepcopy__(self, memo: object) -> SignalContext:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self}: a context belongs to its process")

    def __str__(self) -> str:
        names = " ".join(_name(sig) for sig in self._sigs)
        return f"signal.NotifyContext({self._parent}{f', [{names}]' if names else ''})"

    def __repr__(self) -> str:
        return f"<{self}>"


class SignalError(context.Canceled):
    """Why a context of `notify_context` has ended: one of its signals came."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"{_name(signum)} signal received")
        self.signal = signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.signal,), self.__dict__  # not its text, which is all of `args`


def _name(signum: int) -> str:
    """A signal as Go prints it."""
    text = signal.strsignal(signum) if 0 < signum < 32 else None
    if text is None:  # real-time signals have no name
        return f"signal {int(signum)}"
    return text if text[:3] in ("CPU", "I/O") else text[0].lower() + text[1:]
