"""`test`: a function in a bubble; `wait` and `sleep` inside it. What a bubble is: bubble.py.

The caller of `test` is the bubble's root: it starts the bubble's main goroutine, waits until the
bubble is over, and has what came of it, be it an exception. What a goroutine of the bubble other
than main lets escape is a panic, as everywhere.

Who owns a wake-up: the root and the caller of `wait` are woken by `Bubble.settle`.
Source: Go 1.27 runtime/synctest.go, testing/synctest. Tests: tests/testing/test_synctest.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any, Final, ParamSpec, TypeVar, overload

from gopark._runtime.base.errors import FatalError, Goexit, ProgramEnded
from gopark._runtime.base.runtime2 import PARK, Around, Command, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.bubble.bubble import Bubble, bubbleof, mybubble, roots, within
from gopark._runtime.main.rt0 import run
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import block, notparked
from gopark._runtime.sched.newproc import Creator, Wrapped, start, startable
from gopark._runtime.sched.startm import current, mysched
from gopark._runtime.time.timechan import seconds
from gopark._runtime.time.timesleep import sleep as timesleep

__all__ = ("sleep", "test", "wait")

Params = ParamSpec("Params")
T = TypeVar("T")

_NOBUBBLE: Final = "synctest.wait: goroutine is not in a bubble"
_UNWINDS: Final = (Goexit, ProgramEnded, GeneratorExit)


@overload
def test(
    fn: Callable[Params, Coroutine[Any, Any, T]], /, *args: Params.args, **kwargs: Params.kwargs
) -> T: ...
@overload
def test(fn: Callable[Params, T], /, *args: Params.args, **kwargs: Params.kwargs) -> T: ...


def test(fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
    """Run `fn(*args, **kwargs)` in a new bubble, and wait until all its goroutines have ended.

    The bubble has a clock of its own, which begins at midnight UTC 2000-01-01 and jumps to the
    next timer whenever every goroutine of the bubble is durably blocked: hours pass in
    milliseconds. It stops when `fn` has returned. A channel, timer or ticker that is made in the
    bubble can be used in it alone.

    In plain code outside a program this starts one, as `run` does; in a goroutine, be it an
    `async def` or not, the calling thread waits, and others run meanwhile.

    Args:
        fn: An `async def` or a plain function.
        args, kwargs: What it is called with.
    Returns:
        What `fn` returns. An exception of `fn` passes through.
    Raises:
        BubbleDeadlockError: every goroutine is blocked, and there is no timer; or `fn` has
            returned, and others are blocked still. The error shows their stacks.
        RuntimeError: the caller is in a bubble already.
        TypeError: `fn` cannot be called so.
    Example:
        >>> async def main():
        ...     start = gopark.time.monotonic()
        ...     await gopark.time.sleep(3600)
        ...     return gopark.time.monotonic() - start
        >>> gopark.testing.synctest.test(main)
        3600.0

    Go: testing/synctest.Test.
    """
    if mybubble() is not None:
        raise RuntimeError("synctest.test called from within a synctest bubble")
    frame = sys._getframe(1)
    m = tls.m
    program = current()
    if (m is None or m.curg is None) and (program is None or program.main is None):
        return run(_bubble, fn, args, kwargs, frame)
    return block(_bubble(fn, args, kwargs, frame))


async def _bubble(
    fn: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object], frame: FrameType
) -> Any:
    """The root: it starts the bubble's main and waits."""
    coro = startable("synctest.test", fn, args, kwargs)
    bubble = Bubble(mysched())
    creator = Creator(frame)
    with within(bubble):
        if coro is not None:
            start(Wrapped(coro, _main(bubble, coro)), fn, (), {}, creator)
        else:
            start(None, _Main(fn, bubble), args, kwargs, creator)
    del frame, coro, creator
    await _idle(bubble)
    return _outcome(bubble)


@suspends
def _idle(bubble: Bubble) -> Generator[Command, None, None]:
    m = tls.m
    assert m is not None and m.curg is not None
    g = m.curg
    roots[g] = bubble
    g.waiting = bubble
    g.waitreason = "synctest.Run"
    m.waitunlockf = bubble.parkroot(g)
    try:
        _ = None is (None is (yield PARK))
    except BaseException as exc:
        notparked(bubble, exc)
        raise
    finally:
        roots.pop(g, None)


def _outcome(bubble: Bubble) -> Any:
    dead, exc, result = bubble.deadlock(), bubble.exc, bubble.result
    bubble.exc = bubble.result = None
    try:
        if exc is not None:
            if dead is not None:
                exc.add_note(f"\n{dead}\n\n{dead.stacks.rstrip()}")
            raise exc
        if dead is not None:
            raise dead
    finally:
        del dead, exc
    return result


async def _main(bubble: Bubble, coro: Coroutine[Any, Any, Any]) -> None:
    """The main goroutine of a bubble: what comes of it is for the root."""
    try:
        bubble.result = await coro
    except BaseException as exc:
        _keep(bubble, exc)


class _Main(Around):
    """The same for a plain function."""

    __slots__ = ("bubble", "fn")

    def __init__(self, fn: Callable[..., Any], bubble: Bubble) -> None:
        self.fn = fn
        self.bubble = bubble

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            result = self.fn(*args, **kwargs)
        except BaseException as exc:
            _keep(self.bubble, exc)
            return None
        if isinstance(result, Coroutine):  # a decorated `async def`
            return _main(self.bubble, result)
        self.bubble.result = result
        return None


def _keep(bubble: Bubble, exc: BaseException) -> None:
    """Called where `exc` is handled; what unwinds a goroutine, or ends all, goes on its way."""
    if isinstance(exc, _UNWINDS) or (isinstance(exc, FatalError) and bubble.sched.ended):
        raise
    bubble.exc = exc


@suspends
def wait() -> Generator[Command, None, None]:
    """Wait until every other goroutine of the bubble has ended or is durably blocked.

    Raises:
        RuntimeError: the caller is in no bubble, or another one is in `wait` already.
    Example:
        >>> async def main():
        ...     done = []
        ...     gopark.go(done.append, "yes")
        ...     await gopark.testing.synctest.wait()
        ...     print(done)
        >>> gopark.testing.synctest.test(main)
        ['yes']

    Go: testing/synctest.Wait.
    """
    m = tls.m
    g = None if m is None else m.curg
    bubble = None if g is None else bubbleof(g)
    if m is None or g is None or bubble is None:
        raise RuntimeError(_NOBUBBLE)
    with bubble.lock:
        if bubble.waiting:
            raise RuntimeError("synctest.wait: wait already in progress")
        bubble.waiting = True
    try:
        g.waiting = bubble
        g.waitreason = "synctest.Wait"
        m.waitunlockf = bubble.parkwaiter(g)
        _ = None is (None is (yield PARK))
    except BaseException as exc:
        notparked(bubble, exc)
        raise
    finally:
        bubble.waiting = False


async def sleep(duration: float) -> None:
    """`gopark.time.sleep`, then `wait`: what is due at the same time has been done as well.

    Args:
        duration: Seconds on the bubble's clock.
    Raises:
        RuntimeError: as for `wait`.
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     events = []
        ...     gopark.time.after_func(5, events.append, "timeout")
        ...     await gopark.testing.synctest.sleep(5)
        ...     print(events)
        >>> gopark.testing.synctest.test(main)
        ['timeout']

    Go: testing/synctest.Sleep.
    """
    seconds("sleep", duration)
    m = tls.m
    if m is None or m.curg is None or bubbleof(m.curg) is None:
        raise RuntimeError(_NOBUBBLE)  # not after that time, which would be real
    await timesleep(duration)
    await wait()


transparent.update((_main.__code__, _Main.__call__.__code__, _bubble.__code__))
