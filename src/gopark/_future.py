"""`future.wait`: a goroutine waits for a future of concurrent.futures, or one that is as those.

The future's callback readies the goroutine, on whatever thread it is called; no thread waits.

Source: none. Tests: tests/test_future.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from gopark._oneshot import OneShot
from gopark._runtime.base.printstring import shown
from gopark.context import Context, after_func
from gopark.context._with import checked

__all__ = ("Future", "wait")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_HAS: Final = ("done", "add_done_callback", "result")


class Future(Protocol[T_co]):
    """What `wait` asks of a future: those of concurrent.futures, Ray's and Dask's have it.

    Example:
        >>> from concurrent.futures import Future
        >>> fut = Future()
        >>> fut.set_result(42)
        >>> gopark.run(gopark.future.wait, fut)
        42

    Go: none.
    """

    def done(self) -> bool:
        """It has a result, or an exception, or was cancelled.

        Example:
            >>> import concurrent.futures
            >>> concurrent.futures.Future().done()
            False

        Go: none.
        """

    def add_done_callback(self, fn: Callable[[Any], Any], /) -> object:
        """Have `fn(future)` called once it is done, on whatever thread; at once if it is.

        Example:
            >>> import concurrent.futures
            >>> fut = concurrent.futures.Future()
            >>> fut.add_done_callback(lambda fut: print(fut.result()))
            >>> fut.set_result(42)
            42

        Go: none.
        """

    def result(self) -> T_co:
        """What it has come to; its exception is raised.

        Example:
            >>> import concurrent.futures
            >>> fut = concurrent.futures.Future()
            >>> fut.set_result(42)
            >>> fut.result()
            42

        Go: none.
        """


async def wait(fut: Future[T], ctx: Context | None = None) -> T:
    """Wait for a future of concurrent.futures, or one that is as those, without a thread.

    If `ctx`, or a scope, ends first, the future is left as it is: `fut.cancel()` is the caller's.

    Args:
        fut: What `submit` of an executor gives, `ref.future()` of Ray, a future of Dask.
        ctx: If it ends first, its error is raised.
    Returns:
        Its result; its exception passes through, CancelledError of one that was cancelled too.
    Raises:
        Canceled: `ctx` was cancelled.
        DeadlineExceeded: the time of `ctx` is over.
        TypeError: `fut` is no such future.
    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> async def main():
        ...     with ThreadPoolExecutor() as pool:
        ...         print(await gopark.future.wait(pool.submit(pow, 2, 10)))
        >>> gopark.run(main)
        1024

    Go: none; a receive from the channel that the result is sent to.
    """
    _checkfuture(fut)
    if fut.done():
        return fut.result()
    if ctx is not None:
        checked("wait", ctx)
        if (err := ctx.err()) is not None:
            raise err
    one = OneShot("future")
    fut.add_done_callback(one.finish)
    if ctx is None:
        await one.wait()
        return fut.result()
    stop = after_func(ctx, partial(_over, one, ctx))
    try:
        await one.wait()
    finally:
        stop()
    return fut.result()


async def _over(one: OneShot, ctx: Context) -> None:
    one.finish(None, ctx.err())


def _checkfuture(fut: object) -> None:
    if getattr(fut, "_asyncio_future_blocking", None) is not None:
        raise TypeError(
            f"gopark.future.wait() needs a future of concurrent.futures, and {shown(fut)} is "
            "asyncio's: use gopark.asyncio.call(fut)"
        )
    if not all(callable(getattr(fut, name, None)) for name in _HAS):
        raise TypeError(
            "gopark.future.wait() needs a future with done, add_done_callback and result, got "
            f"{shown(fut)}: wait(pool.submit(fn))"
        )
