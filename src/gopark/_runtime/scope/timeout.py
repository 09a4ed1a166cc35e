"""`timeout`: a scope that is over at a time.

Its timer is on the heap of the caller's clock: of a program, or of a bubble. A wait in it raises
ScopeEnded, which the end of the block makes a TimeoutError of, if it is its own: one of a scope
further out passes through.

Source: none in Go. As asyncio.timeout. Tests: tests/runtime/test_timeout.py
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from gopark._runtime.base.bothwith import BothWith
from gopark._runtime.base.errors import ScopeEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.printstring import shown
from gopark._runtime.sched.timer import Timer
from gopark._runtime.scope.scope import Scope, end
from gopark._runtime.time.timechan import seconds as checked

__all__ = ("timeout",)


class timeout(Scope, BothWith["timeout"]):
    """`with timeout(5):` or `async with`: the block's waits end after so long, with TimeoutError.

    From then on every wait in the block raises `ScopeEnded`, which `except Exception` lets pass,
    and the end of the block raises a TimeoutError instead. What does not have to wait keeps its
    result, and a block that ends without an exception has been in time, as with asyncio's. What has
    to wait while it cleans up does so in a `context.shield()`.

    It ends waits of this goroutine only, in `async def` and, by way of `block`, in plain code; one
    that is started in the block is not in it. What computes, or is in C, is met at its next wait.

    Args:
        seconds: How long, from when the block is entered. 0: its first wait raises. None: no limit,
            until `reschedule` sets one.
    Raises:
        TypeError: it is no number.
        ValueError: it is negative, NaN or infinite.
        NotOnGError: the block is entered where no goroutine runs, or in a task of asyncio.
        RuntimeError: it is entered again, or left in another order, or by another goroutine.
    Example:
        >>> async def main():
        ...     try:
        ...         with gopark.timeout(0.01):
        ...             await gopark.Chan().recv()
        ...     except TimeoutError as exc:
        ...         print(exc)
        >>> gopark.run(main)
        timeout(0.01) is over

    Go: none; there every function that may wait takes a context.
    """

    __slots__ = ("_seconds", "_timer")

    _asyncios = "asyncio.timeout"
    _timer: Timer | None

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None:
            seconds = checked("timeout", seconds, "time")
            if seconds < 0:
                raise ValueError(
                    f"timeout: the time must not be negative, got {shown(seconds)}: 0 is over at "
                    "once, None never"
                )
        self._seconds = seconds
        self._timer = None
        self._armed = [None]  # as Scope.__init__, in line: a tenth of what it costs to enter
        self._over = False
        self._g = None

    def __repr__(self) -> str:
        return f"timeout({self._seconds!r})"

    @property
    def expired(self) -> bool:
        """Its time has come while the block ran.

        Go: none.
        """
        return self._over

    @property
    def deadline(self) -> float | None:
        """When it is over, on the clock of `gopark.time.monotonic()`; None: never, or not entered.

        Go: none.
        """
        return None if self._timer is None else self._timer.when

    def reschedule(self, when: float | None) -> None:
        """Let the block be over at another time.

        Args:
            when: Seconds on the clock of `gopark.time.monotonic()`. None: never.
        Raises:
            RuntimeError: it is over, or its block is not entered, or has ended.
            TypeError: `when` is no number.
            ValueError: it is NaN or infinite.
        Example:
            >>> async def main():
            ...     try:
            ...         with gopark.timeout(60) as t:
            ...             t.reschedule(gopark.time.monotonic() + 0.01)
            ...             await gopark.time.sleep(60)
            ...     except TimeoutError:
            ...         print("sooner")
            >>> gopark.run(main)
            sooner

        Go: none.
        """
        if when is not None:
            when = checked("reschedule", when, "time")
        if self._over or self._g is None or not self._armed:
            state = (
                "is over" if self._over else "is not entered" if self._g is None else "has ended"
            )
            raise RuntimeError(f"reschedule: {shown(self)} {state}; use it in its block")
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
        if when is not None:
            self._arm(when)

    def _enders(self) -> list[Any] | None:
        return [self] if self._timer is None else None

    def _remaining(self) -> float | None:
        timer = self._timer
        return None if timer is None else timer.when - timer.timers.clock()

    def _arm(self, when: float) -> None:
        timers = hooks.timebase().timers
        if when <= timers.clock():
            end(self)
            return
        timer = self._timer = Timer(timers, when, end, self)
        if timers.add(timer):
            timers.wake()

    def __enter__(self) -> timeout:
        self._enter()
        seconds = self._seconds
        if seconds is not None:
            if seconds == 0:
                end(self)
                return self
            timers = hooks.timebase().timers
            timer = self._timer = Timer(timers, timers.clock() + seconds, end, self)
            if timers.add(timer):
                timers.wake()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        timer = self._timer
        if timer is not None and timer.seq:
            timer.timers.delete(timer)
        self._leave(exc)
        if kind is ScopeEnded and exc.scope is self:  # type: ignore[union-attr]
            raise TimeoutError(f"{shown(self)} is over") from exc
