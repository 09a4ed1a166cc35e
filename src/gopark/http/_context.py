"""The context of a request: what `context.current()` is in a handler.

It ends when the client leaves, when the time for the answer is over, and when the application has
returned. Most handlers never look at it, and pay for one object: the client is watched from the
first moment at which somebody can hear of the end, asks for `err` or `done`, or makes a child.

Source: Go 1.27 net/http/server.go (conn.serve, backgroundRead). Tests: tests/http/test_context.py
"""

from __future__ import annotations

from typing import Any, Final

from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark.context import Context, background
from gopark.context._cancel import CancelCtx, TimerCtx, done, link
from gopark.context._context import governor
from gopark.context._current import _current

__all__ = ("RequestCtx", "begin", "end")

_BACKGROUND: Final = background()


class RequestCtx(CancelCtx):
    """That of one request."""

    __slots__ = ("_above", "_exchange", "_token")

    def __init__(self, parent: Context, exchange: Any) -> None:
        if parent is _BACKGROUND:  # as there, without what has to be asked of other parents
            self._parent = parent
            self._timed = self._link = None
            self._end, self._dones, self._children = [], [], {}
        else:
            super().__init__(parent)
        self._above: TimerCtx | None = None  # which ends with it
        self._exchange = exchange  # None: it is watched, or over
        self._token: Any = None

    def _look(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not self._end:
            exchange.watch()

    def done(self) -> Chan[Any]:
        self._look()
        return super().done()

    def err(self) -> Exception | None:
        self._look()
        return super().err()

    def _governor(self) -> Context:
        self._look()
        return self

    def _suffix(self) -> str:
        return ".WithRequest"


def begin(exchange: Any, base: Context, seconds: float | None) -> RequestCtx:
    """The request's context, which is the current one from here on."""
    above = None
    if seconds is not None:
        base = above = TimerCtx(base, monotonic() + seconds)
        link(above)
        above._arm(None)
    ctx = RequestCtx(base, exchange)
    if base is not _BACKGROUND and governor(base) is not None:
        link(ctx)
    ctx._above = above
    ctx._token = _current.set(ctx)
    exchange.context = ctx
    return ctx


def end(ctx: RequestCtx) -> None:
    """The application has returned; in the goroutine that called `begin`."""
    _current.reset(ctx._token)
    ctx._exchange = ctx._token = None
    done(ctx)
    if ctx._above is not None:
        done(ctx._above)
        ctx._above._ended([])
