"""Scopes by contexts: the waits of a block end when a context does; and the shield against it.

A scope hears of the end of its context as a child of it, an `Ear`, which costs no goroutine.

Source: none in Go. Tests: tests/context/test_shield.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from gopark._runtime.base.bothwith import BothWith
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.scope.scope import Scope, Shield, end
from gopark.context._cancel import AfterFuncCtx, CancelCtx, TimerCtx, link, unlink
from gopark.context._context import Canceled, Context, DeadlineExceeded, governor, handout
from gopark.context._current import use
from gopark.context._with import checked

__all__ = ("Ear", "ownerr", "scope", "shield")


class Ear(CancelCtx):
    """A child that hears of the end of a context, and then calls a function of ours."""

    __slots__ = ("_heard",)

    _watched = True

    def __init__(self, parent: Context, heard: Callable[[], None]) -> None:
        super().__init__(parent)
        self._heard = heard

    def _ended(self, late: list[AfterFuncCtx]) -> None:
        self._heard()

    def _off(self) -> None:
        """It is to hear no more."""
        if self._link is None or isinstance(self._link, CancelCtx):
            unlink(self)
        else:
            self._cancel()


def ownerr(ctx: CancelCtx) -> Exception:
    """What it has ended with, as an object of the caller's own. No code of users runs here."""
    err = ctx._end[0].err
    if isinstance(err, (Canceled, DeadlineExceeded)):
        return handout(err)
    from gopark.sync._again import copied  # it needs this package

    own: Exception = copied(err)  # type: ignore[assignment]
    return own


class scope(Scope, BothWith[Context]):
    """`with scope(ctx):` or `async with`: each wait of the block ends once `ctx` is done.

    It raises `ctx.err()` then, as does every further one until the block is left. What does not
    have to wait keeps its result. `ctx` is the current context of the block, so goroutines that are
    started in it inherit the context; their waits are theirs, and do not end.

    The errors of contexts are exceptions like others: a loop that goes on after `except Exception`
    meets the same error at its next wait, for ever.

    Args:
        ctx: The context.
    Raises:
        TypeError: `ctx` is no context.
        NotOnGError: the block is entered where no goroutine runs, or in a task of asyncio.
        RuntimeError: it is entered again, or left in another order, or by another goroutine.
    Example:
        >>> async def main():
        ...     with gopark.context.with_timeout(gopark.context.background(), 0.01) as ctx:
        ...         try:
        ...             with gopark.context.scope(ctx):
        ...                 await gopark.Chan().recv()
        ...         except gopark.context.DeadlineExceeded as err:
        ...             print(err)
        >>> gopark.run(main)
        context deadline exceeded

    Go: none; there every function that may wait takes a context.
    """

    __slots__ = ("_ctx", "_ear", "_use")

    _asyncios = "asyncio.timeout or task.cancel()"

    def __init__(self, ctx: Context) -> None:
        checked("scope", ctx)
        super().__init__()
        self._ctx = ctx
        self._ear = Ear(ctx, partial(end, self))
        self._use = use(ctx)

    def __repr__(self) -> str:
        return f"scope({shown(self._ctx)})"

    def _enders(self) -> list[Any] | None:
        if self._ctx.deadline() is not None:
            return None
        gov = governor(self._ctx)
        return [] if gov is None else [gov]

    def _words(self) -> str:
        return "scope(ctx)"  # for the repr of a context may be a user's

    def _remaining(self) -> float | None:
        timed = self._ear._timed
        return timed._when - monotonic() if isinstance(timed, TimerCtx) else None

    def _error(self) -> BaseException:
        return ownerr(self._ear)

    def __enter__(self) -> Context:
        self._enter()
        self._use.__enter__()
        link(self._ear)
        return self._ctx

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ear._off()
        try:
            self._use.__exit__(kind, exc, traceback)
        except ValueError:
            pass  # it ends in other context variables than it began with, as generators may
        self._leave(exc)


class shield(Shield, BothWith[None]):
    """`with shield():` or `async with`: the scopes around it do not end the waits in here.

    For cleanup that has to wait, in a scope that may be over: say goodbye, write a buffer out. What
    is to have a limit all the same gets one inside: `with shield(), timeout(1):`.

    Raises:
        NotOnGError: the block is entered where no goroutine runs, or in a task of asyncio.
        RuntimeError: it is entered again, or left in another order, or by another goroutine.
    Example:
        >>> async def main():
        ...     log = gopark.Chan(1)
        ...     try:
        ...         with gopark.timeout(0.01):
        ...             try:
        ...                 await gopark.Chan().recv()
        ...             finally:
        ...                 with gopark.context.shield():
        ...                     await gopark.time.sleep(0.01)
        ...                     await log.send("goodbye")
        ...     except TimeoutError:
        ...         print(await log.recv())
        >>> gopark.run(main)
        goodbye

    Go: none.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        self._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(exc)
