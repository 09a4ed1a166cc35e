"""`go` and `run`: a task starts a goroutine, and has a future of its result.

The future is cancelled as a Task is: `cancel` asks for it, by the end of the goroutine's context,
and the future is done when the goroutine has ended. So who awaits it waits for that, and gets
CancelledError then.

    goroutine                                 the loop
    1. ends: posts what it has come to        2. `_settle`: the future is done
The future is touched in the loop's steps alone. What it comes to is stored before it is posted.

Source: none. Tests: tests/asyncio/test_go.py
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from types import FrameType, FunctionType
from typing import Any, Final, ParamSpec, TypeVar, overload

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.runtime2 import getg
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.foreign import noloop
from gopark._runtime.sched.newproc import Creator, Watched, Wrapped, start, startable, startin
from gopark._runtime.twin import coroutines
from gopark.asyncio._host import home, homeof
from gopark.asyncio._loop import Loop
from gopark.context import Canceled, background, current
from gopark.context._cancel import CancelCtx, done, link
from gopark.context._current import setcurrent

__all__ = ("GoFuture", "go", "inloop", "run", "without_trace")

P = ParamSpec("P")
T = TypeVar("T")

_ROOT: Final = background()  # who ends by nothing, and has nobody to tell
_CO_COROUTINE: Final = inspect.CO_COROUTINE


class GoFuture(asyncio.Future[Any]):
    """The future of a goroutine. Its `cancel` is a request, as that of a Task.

    Once the goroutine has ended it is in the loop's queue, as a Handle.
    """

    _cancelled: Final = False
    _host: Any
    _value: Any = None
    _exc: BaseException | None = None
    _asked = False
    _message: object = None
    _ctx: CancelCtx | None = None  # the goroutine's, if it has one of its own
    goid = 0  # of the goroutine

    def _expel(self) -> None:
        """Have the goroutine end."""
        raise NotImplementedError

    def cancel(self, msg: object = None) -> bool:
        if self.done():
            return False
        self._asked, self._message = True, msg
        self._expel()
        return True

    def settle(self, value: Any, exc: BaseException | None) -> None:
        """From the goroutine, as its last."""
        self._value, self._exc = value, exc
        try:
            self._host.post(self)
        except RuntimeError:
            pass  # the loop is closed: nobody waits there any more

    @property
    def _callback(self) -> Any:
        """What asyncio's debug mode names."""
        return self._settle

    def _run(self) -> None:
        """In a step of the loop."""
        host = self._host
        if type(host) is Loop and not (host._ready or host._debug):  # the last of this round
            self._settle()
            host.goon()
        else:
            self._settle()

    def _settle(self) -> None:
        value, exc = self._value, self._exc
        self._value = self._exc = None
        if (ctx := self._ctx) is not None:
            done(ctx)  # its parent forgets it
        if self.done():
            return
        if exc is None:
            if self._asked and self._heeded(None):
                super().cancel(self._message)
            else:
                self.set_result(value)
        elif isinstance(exc, asyncio.CancelledError) or (self._asked and self._heeded(exc)):
            super().cancel(self._message)
        elif isinstance(exc, StopIteration):
            error = RuntimeError("goroutine raised StopIteration")
            error.__cause__ = exc
            self.set_exception(error)
        else:
            self.set_exception(exc)

    def _heeded(self, exc: BaseException | None) -> bool:
        """It ended so because it was to."""
        return exc is None or isinstance(exc, Canceled)


class _Started(GoFuture):
    """That of `go`."""

    def _expel(self) -> None:
        assert self._ctx is not None
        self._ctx._cancel()


@overload
def go(
    fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
) -> asyncio.Future[T]: ...
@overload
def go(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]: ...


def go(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
    """In a task: start `fn(*args, **kwargs)` as a goroutine, and have a future of its result.

    The goroutine has a copy of the task's context variables, and a context of its own, which
    `gopark.context.current()` gives it: to cancel the future, or a task that awaits it, cancels
    that context. The future is done when the goroutine has ended: cancelled, if that was asked for
    and it has returned, or raised the error of its context; else by its result or its exception.

    Args:
        fn: An `async def` that waits by gopark's means, or a plain function, which has a thread.
        args, kwargs: What it is called with.
    Raises:
        RuntimeError: no event loop runs here.
        TypeError: as for `gopark.go`.
    Example:
        >>> import asyncio
        >>> async def double(x):
        ...     await gopark.time.sleep(0.001)
        ...     return 2 * x
        >>> async def task():
        ...     return await gopark.asyncio.go(double, 21)
        >>> gopark.run(gopark.asyncio.call, task())
        42

    Go: the `go` statement.
    """
    loop = events._get_running_loop()
    host = loop if type(loop) is Loop else homeof(inloop("go"))
    coro: Any
    if type(fn) is FunctionType and fn.__code__.co_flags & _CO_COROUTINE:
        coro = fn(*args, **kwargs)
    else:
        coro = startable("gopark.asyncio.go", fn, args, kwargs)
    return _start(host, coro, fn, args, kwargs, sys._getframe(1))


def _start(
    host: Any,
    coro: Coroutine[Any, Any, Any] | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    frame: FrameType,
) -> _Started:
    future = _Started(loop=host if type(host) is Loop else host.loop)
    future._host = host
    parent = current()
    future._ctx = ctx = CancelCtx(parent)
    if parent is not _ROOT:
        link(ctx)
    variables = copy_context()
    if home.get(None) is host:
        variables.run(setcurrent, ctx)
    else:
        variables.run(_place, ctx, host)
    if coro is None:
        variables.run(start, None, _Plain(future, fn), args, kwargs, Creator(frame))
    else:
        made = Wrapped(coro, _drive(future, coro), future.cancelled)
        future.goid = startin(made, variables, frame, fn)
    return future


def _place(ctx: CancelCtx, host: Any) -> None:
    setcurrent(ctx)
    home.set(host)


async def run(main: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """In a running loop of somebody else's: run `main(*args, **kwargs)` as a goroutine.

    For a web server's worker, or a notebook. No `gopark.run` is needed; goroutines that `main`
    starts go on when it has returned, and `gopark.asyncio.call` in them goes to this loop.

    Args:
        main: An `async def` that waits by gopark's means, or a plain function.
        args, kwargs: What it is called with.
    Returns:
        Its result; its exception passes through.
    Raises:
        RuntimeError: no event loop runs here.
        CancelledError: the task was cancelled; the goroutine's context was, and it has ended.
    Example:
        >>> import asyncio
        >>> async def main(name):
        ...     ch = gopark.Chan()
        ...     gopark.go(ch.send, "hello " + name)
        ...     return await ch.recv()
        >>> asyncio.run(gopark.asyncio.run(main, "gopher"))
        'hello gopher'

    Go: the program, from `func main` on.
    """
    host = homeof(inloop("run"))
    coro = startable("gopark.asyncio.run", main, args, kwargs)
    return await _start(host, coro, main, args, kwargs, sys._getframe())


def inloop(who: str, unused: Any = None) -> asyncio.AbstractEventLoop:
    """The loop that runs here; if there is none, what was to be awaited is closed."""
    loop = events._get_running_loop()
    if loop is None:
        if hasattr(unused, "close"):
            unused.close()
        raise RuntimeError(
            f"gopark.asyncio.{who}() is for tasks, and no event loop runs here: in a goroutine use "
            + ("gopark.go" if who == "go" else "the operation itself")
        )
    return loop


# --- the goroutine ---------------------------------------------------------------------------


async def _drive(future: GoFuture, coro: Coroutine[Any, Any, Any]) -> None:
    """The goroutine of a function that is an `async def`."""
    try:
        value = await coro
    except (Exception, asyncio.CancelledError) as exc:
        future.settle(None, without_trace(exc))
    except Goexit:
        future.settle(None, _goexited())
        raise
    except (GeneratorExit, ProgramEnded):
        future.settle(None, asyncio.CancelledError())
        raise
    else:
        future.settle(value, None)


class _Plain(Watched):
    """The function of a goroutine that is no `async def`."""

    __slots__ = ("fn", "future")

    def __init__(self, future: GoFuture, fn: Callable[..., Any]) -> None:
        self.future = future
        self.fn = fn

    def unbegun(self) -> None:
        self.future.settle(None, asyncio.CancelledError())

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        future = self.future
        g = getg()
        future.goid = 0 if g is None else g.goid
        try:
            value = self.fn(*args, **kwargs)
        except (Exception, asyncio.CancelledError) as exc:
            future.settle(None, without_trace(exc))
        except Goexit:
            future.settle(None, _goexited())
            raise
        except ProgramEnded:
            future.settle(None, asyncio.CancelledError())
            raise
        else:
            if isinstance(value, coroutines):  # a decorated `async def`
                return _drive(future, value)
            future.settle(value, None)
        return None


def _goexited() -> RuntimeError:
    return RuntimeError("the goroutine has no result: it ended by goexit")


def without_trace(exc: BaseException) -> BaseException:
    """Without the frame of ours that has caught it, which would keep itself alive by it."""
    noloop(exc)
    traceback = exc.__traceback__
    return exc.with_traceback(None if traceback is None else traceback.tb_next)


transparent.update(fn.__code__ for fn in (_drive, _Plain.__call__, GoFuture._run))
