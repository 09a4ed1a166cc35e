"""The context of the goroutine that asks, for those who do not want to pass it along.

It is a context variable. Each goroutine runs in a copy of the variables of the one that started
it, so it inherits the context, and what it sets itself nobody else sees.

Source: none in Go, where contexts are passed. Tests: tests/context/test_current.py
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from gopark.context._context import Context, background
from gopark.context._with import checked

__all__ = ("current", "setcurrent", "use")

_current: Final[ContextVar[Context]] = ContextVar("gopark.context")


def current() -> Context:
    """The context that the innermost `use` has set here, or for who started this goroutine.

    Returns:
        `background()` where nobody has.
    Example:
        >>> print(gopark.context.current())
        context.Background

    Go: none; there a context is an argument.
    """
    return _current.get(background())


def setcurrent(ctx: Context) -> None:
    """For who owns the context variables that it runs in."""
    _current.set(ctx)


class use:
    """`with use(ctx):` makes it the current context of the block and of goroutines started in it.

    Args:
        ctx: The context, of which the block's end cancels nothing.
    Raises:
        TypeError: `ctx` is no context.
        RuntimeError: a `use(...)` is entered while it is entered already.
    Example:
        >>> ctx = gopark.context.with_value(gopark.context.background(), "user", "ada")
        >>> async def greet(out):
        ...     await out.send("hello " + gopark.context.current().value("user"))
        >>> async def main():
        ...     out = gopark.Chan()
        ...     with gopark.context.use(ctx):
        ...         gopark.go(greet, out)
        ...     print(await out.recv())
        >>> gopark.run(main)
        hello ada

    Go: none; there a context is an argument.
    """

    __slots__ = ("_ctx", "_token")

    def __init__(self, ctx: Context) -> None:
        checked("use", ctx)
        self._ctx = ctx
        self._token: Token[Context] | None = None

    def __enter__(self) -> Context:
        if self._token is not None:
            raise RuntimeError("use(ctx) is entered already: write another use(ctx)")
        self._token = _current.set(self._ctx)
        return self._ctx

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            _current.reset(token)
