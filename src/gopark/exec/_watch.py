"""While a child runs: the goroutines that copy, and what happens when its context is done.

The end of the context (`Watch._over`) and the end of the child (`Cmd.wait`) meet so:
  who waits                                the context
  1. takes the child, which has ended      1. calls `cancel`
  2. stops the watch, in time: that is all 2. without a delay: leaves its result
  3. else closes `exited`, and waits for   3. else waits for `exited`, or until the delay is over:
     the result                               then kills, closes the pipes, leaves its result
Neither waits for the other where the other may not come: a Cmd may be dropped.

Source: Go 1.27 os/exec/exec.go (watchCtx, Start). Tests: tests/exec/test_context.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from inspect import isawaitable
from typing import Any

from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.time.timechan import Timer
from gopark.context import Context, after_func
from gopark.exec._errors import WaitDelayError
from gopark.exec._pipe import _Pipe
from gopark.exec._process import Process
from gopark.sync.atomic import Int32

__all__ = ("Copies", "Watch", "closeall")

Copy = tuple[Callable[..., Coroutine[Any, Any, None]], tuple[Any, ...]]


def closeall(pipes: Iterable[_Pipe]) -> None:
    for pipe in pipes:
        pipe.close()


class Copies:
    """The goroutines that copy, and the error of the first that failed."""

    __slots__ = ("_drains", "_left", "done", "drained", "error", "finished", "over")

    def __init__(self, feeds: list[Copy], drains: list[Copy]) -> None:
        self.done = Chan[None]()  # closed when all have ended
        self.drained = Chan[None]()  # when those have that read from the child
        self.error: Exception | None = None
        self.finished = False
        self.over = False  # the delay has passed, and what they say is no news
        self._left = Int32(len(feeds) + len(drains))
        self._drains = Int32(len(drains))
        if not drains:
            self.drained.close()
        for fn, args in feeds:
            go(self._copy, fn, args, False)
        for fn, args in drains:
            go(self._copy, fn, args, True)

    async def _copy(self, fn: Any, args: tuple[Any, ...], isdrain: bool) -> None:
        try:
            await fn(*args)
        except Exception as exc:
            if self.error is None:
                self.error = exc
        finally:
            if isdrain and self._drains.add(-1) == 0:
                self.drained.close()
            if self._left.add(-1) == 0:
                self.finished = True
                self.done.close()

    async def giveup(self, pipes: list[_Pipe]) -> None:
        """The delay has passed. Who reads from an object of the user's may go on for ever."""
        self.over = True
        closeall(pipes)
        await self.drained.recv_ok()


class Watch:
    """Ends a child when its context is done."""

    __slots__ = ("_cancel", "_ctx", "_copies", "_delay", "_exited", "_pipes", "_result", "process")

    def __init__(
        self,
        ctx: Context,
        process: Process,
        cancel: Callable[[], Any] | None,
        delay: float,
        copies: Copies | None,
        pipes: list[_Pipe],
    ) -> None:
        self.process = process
        self._ctx = ctx
        self._cancel = cancel
        self._delay = delay
        self._copies = copies
        self._pipes = pipes
        self._exited = Chan[None]()
        self._result = Chan[tuple[Exception | None, Timer | None]](1)

    def begin(self) -> Callable[[], bool]:
        """Returns: what stops it; False, if it is too late for that."""
        return after_func(self._ctx, self._over)

    async def ended(self) -> tuple[Exception | None, Timer | None]:
        """The child has ended, and it was too late to stop: what came of it, and of the delay."""
        self._exited.close()
        error, timer = await self._result.recv()  # type: ignore[misc]
        return error, timer

    async def _over(self) -> None:
        error: Exception | None = None
        timer: Timer | None = None
        try:
            error = await self._cancelled()
            if self._delay:
                timer = Timer(self._delay)
                which, _, _ = await select(recv(self._exited), recv(timer.c))
                if which == 1:
                    timer = None
                    error = await self._kill(error)
        finally:
            await self._result.send((error, timer))

    async def _cancelled(self) -> Exception | None:
        if self._cancel is None:
            return None
        try:
            done = self._cancel()
            if isawaitable(done):
                await done
        except ProcessLookupError:
            return None  # it had ended by itself
        except Exception as exc:
            exc.add_note("exec: canceling Cmd")
            return exc
        return self._ctx.err()

    async def _kill(self, error: Exception | None) -> Exception | None:
        killed = False
        try:
            self.process.kill()
            killed = True
        except ProcessLookupError:
            pass
        except OSError as exc:
            exc.add_note("exec: killing Cmd")
            error = exc
        copies = self._copies
        if copies is None:
            return error
        if copies.finished:
            copies.over = True
            return copies.error if error is None and not killed else error
        await copies.giveup(self._pipes)
        return heldopen() if error is None else error


def heldopen() -> WaitDelayError:
    return WaitDelayError(
        "exec: wait_delay expired before I/O complete: something else, maybe a child of the "
        "child's, holds its pipes open yet"
    )
