"""Channels that a clock sends on: `Timer`, `Ticker`, `after`, `tick`; and `after_func`.

The state of a timer is in its channel: `_when`, the time of the next value, or NEVER. Who
looks at the channel finds out by the clock whether that has come. So only while a goroutine
waits on the channel is there an entry in the heap (and the heap knows the channel at all):
a timer that nobody looks at costs nothing, is collected when nobody has it any more, and
keeps no program from being called dead.

Invariants, true whenever `TimerChan._lock` is free:
  W1  a G waits and `_when` is not NEVER => an entry that is not later is in the heap, or `fire`
      is about to look
  W2  no G waits => no entry is pending
  W3  `_value` is held => no G waits; it is the only one, what comes meanwhile is dropped
What runs late delivers nothing stale: `fire` looks at `_when` again, under the lock, and
`stop` and `reset` have changed that and taken `_value` away under the same lock.

A timer belongs to the program, or the bubble, in which it was made, and goes by its clock. When
that has ended it sends nothing more, until a reset takes it over to the one of the caller.

Locks: `TimerChan._lock`, rank CHAN; the heap's, rank TIMERS, under it. The idle M that sleeps
until the next timer is woken, and a G made ready, after the channel's lock is released.
Who owns a wake-up: as in chan.py.
Source: Go 1.27 runtime/time.go, time/sleep.go, time/tick.go. Tests: tests/runtime/test_timechan.py,
tests/test_time.py
"""

from __future__ import annotations

import sys
from collections import deque
from math import isfinite, nextafter
from typing import Any, Final, NoReturn

from gopark._runtime.base.errors import AmidRuntime, nocopy
from gopark._runtime.base.hooks import TimeBase, hooks
from gopark._runtime.base.lockrank import Regaining, lock, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import G, tls
from gopark._runtime.chan.chan import Chan, wake
from gopark._runtime.chan.sudog import Entry, Sudog, WaitQ
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.timer import NEVER, Timers
from gopark._runtime.sched.timer import Timer as HeapTimer

__all__ = ("Ticker", "Timer", "TimerChan", "after", "fire", "seconds", "tick")

_SHORTEST: Final = 1e-9  # seconds: the period of a ticker, as Go's durations have it
_LATEST: Final = sys.float_info.max
_EMPTY: Final[deque[Any]] = deque()  # what every timer's channel has no use for


def seconds(who: str, duration: object, what: str = "duration") -> float:
    """The duration as a float, or an error that names it."""
    if type(duration) is not float:
        if isinstance(duration, bool) or not hasattr(type(duration), "__float__"):
            raise TypeError(f"{who}: the {what} must be a number of seconds, got {shown(duration)}")
        try:
            duration = float(duration)  # type: ignore[arg-type]
        except OverflowError:
            raise ValueError(f"{who}: the {what} is more than a float can hold") from None
    if not isfinite(duration):
        raise ValueError(f"{who}: the {what} must be finite, got {shown(duration)}")
    return duration


class TimerChan(Chan[float]):
    """The channel of a timer or ticker: only to receive from. It shows no buffer, as in Go."""

    __slots__ = ("_base", "_period", "_start", "_timer", "_value", "_when")

    cap = 0
    timed = True

    def __init__(self, delay: float, period: float = 0.0) -> None:
        self._lock = mkmutex()
        self._recvq: WaitQ = deque()
        self._sendq = self._buf = _EMPTY
        self._nmarked = 0
        self._closed = False
        self._value: float | None = None
        self._timer: HeapTimer | None = None  # its entry in the heap of `_base`
        self._base: TimeBase = hooks.timebase()
        self._begin(delay, period)

    def _begin(self, delay: float, period: float) -> None:
        self._period = period  # 0 for a timer
        self._start = self._base.timers.clock()
        self._when = self._start + delay if delay > 0 else self._start

    def __len__(self) -> int:
        """Nothing, even if a value is there to be received."""
        return 0

    def __repr__(self) -> str:
        return f"<Chan of a {'ticker' if self._period else 'timer'} at {id(self):#x}>"

    # --- only to receive from --------------------------------------------------------------

    def _receiveonly(self) -> NoReturn:
        raise TypeError(
            f"{shown(self)} can only be received from: its timer sends, and never closes it"
        )

    async def send(self, value: float) -> None:
        self._receiveonly()

    def try_send(self, value: float) -> bool:
        self._receiveonly()

    def sendlocked(self, value: float) -> tuple[bool, Entry | None]:
        self._receiveonly()

    def close(self) -> None:
        self._receiveonly()

    # --- receive: with the lock held but for `recv` ----------------------------------------

    async def recv(self) -> float | None:
        return (await self.recv_ok())[0]

    def maybeready(self, is_send: bool) -> bool:
        if is_send:
            self._receiveonly()
        self._look()
        return self._value is not None

    def recvlocked(self) -> tuple[tuple[float | None, bool] | None, Entry | None]:
        self._look()
        value = self._value
        if value is None:
            return None, None
        self._value = None
        return (value, True), None

    def _look(self) -> None:
        """If it is time, the value is there; unless others wait, for it is theirs by `fire`."""
        now = self._base.timers.clock()
        if self._when <= now and not self._base.ended and not self._waited():
            if self._value is None:
                self._value = self._when
            self._advance(now)

    def _waited(self) -> bool:
        return len(self._recvq) > self._nmarked

    def _advance(self, now: float) -> None:
        """On to the next tick after `now`, counted from the start so that no error adds up."""
        period = self._period
        if not period:
            self._when = NEVER
            return
        when = self._start + ((now - self._start) // period + 1) * period
        if when <= now:  # by rounding
            when = max(when + period, nextafter(now, NEVER))
        self._when = min(when, _LATEST)

    # --- waiting -----------------------------------------------------------------------------

    def _enqueue(self) -> G:
        m = tls.m
        if m is None or (g := m.curg) is None:
            raise self._notong("recv")
        self._recvq.append(g)
        g.waiting = self
        g.waitreason = "chan receive"
        m.waitunlockf = self._parked
        return g

    def _parked(self, _: None = None) -> None:
        """The unlock function of a G that waits here. A select has its own: `_Selecting.arm`."""
        timers = self.arm()
        self._lock.append(None)
        if timers is not None:
            timers.wake()

    def arm(self) -> Timers | None:
        """Somebody waits: into the heap. What is returned is to be woken once the lock is free."""
        timer, when = self._timer, self._when
        if when is NEVER or (timer is not None and timer.seq) or self._base.ended:
            return None
        timers: Timers = self._base.timers
        if timer is None:
            self._timer = timer = HeapTimer(timers, when, fire, self)
            return timers if timers.add(timer) else None
        return timers if timers.modify(timer, when, self)[1] else None

    def _disarm(self) -> None:
        """Nobody waits any more, or not for that time: out of the heap."""
        if self._timer is not None and self._timer.seq:
            self._timer.stop()

    def leave(self, queue: WaitQ, entry: Sudog) -> None:
        super().leave(queue, entry)
        if not self._waited():
            self._disarm()

    def wakers(self) -> list[Any] | None:
        return [self] if self._when is NEVER else None

    def unwait(self, g: G) -> bool:
        with Regaining(self._lock):
            try:
                self._recvq.remove(g)
            except ValueError:
                return False
            g.waiting = None
            if not self._waited():
                self._disarm()
            return True

    # --- stop and reset ----------------------------------------------------------------------

    def stop(self) -> bool:
        """No value comes from here on; True if one would have. Go: timer.stop."""
        try:
            lock(self._lock)
        except AmidRuntime:  # a finalizer: nobody goes by what it is told
            later(self.stop)
            return self._when is not NEVER or self._value is not None
        try:
            running = self._when is not NEVER or self._value is not None
            self._value = None
            self._when = NEVER
            self._disarm()
        finally:
            self._lock.append(None)
        return running

    def reset(self, delay: float, period: float = 0.0) -> bool:
        """Forget the value that was to come and start anew; True if there was one. Go: modify."""
        timers = None
        try:
            lock(self._lock)
        except AmidRuntime:
            later(self.reset, delay, period)
            return self._when is not NEVER or self._value is not None
        try:
            running = self._when is not NEVER or self._value is not None
            self._value = None
            self._disarm()
            if self._base.ended:
                self._base = hooks.timebase()
                self._timer = None
            self._begin(delay, period)
            if self._waited():
                timers = self.arm()
        finally:
            self._lock.append(None)
        if timers is not None:
            timers.wake()
        return running


def fire(ch: TimerChan) -> None:
    """The heap says that it is time: to whom waits, or else keep it. May be late, or too many."""
    entry = timers = None
    lock(ch._lock)
    try:
        now = ch._base.timers.clock()
        when = ch._when
        if when <= now and not ch._base.ended:
            entry = ch.dequeue(ch._recvq)
            if entry is not None:
                entry.elem = when
            elif ch._value is None:
                ch._value = when
            ch._advance(now)
        if ch._waited():
            timers = ch.arm()
        else:
            ch._disarm()  # a later entry, if this one was late
    finally:
        ch._lock.append(None)
    if entry is not None:
        wake(entry)
    if timers is not None:
        timers.wake()


# --- the public names --------------------------------------------------------------------------


class Timer:
    """One event in the future: `c` gets one value, the monotonic time, once `duration` has passed.

    Nobody need stop a timer that is not wanted any more; without a reference it is gone.

    Args:
        duration: Seconds. Zero or less: at once.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     timer = gopark.time.Timer(0.001)
        ...     await timer.c.recv()
        ...     print(timer.stop())
        >>> gopark.run(main)
        False

    Go: time.Timer, time.NewTimer.
    """

    __slots__ = ("__weakref__", "c")

    c: Chan[float]

    def __init__(self, duration: float) -> None:
        self.c = TimerChan(seconds("Timer", duration))

    __reduce_ex__ = nocopy

    def stop(self) -> bool:
        """Keep the timer from firing. No value of it can be received once this has returned.

        Returns:
            False if it has fired (its value was received, its function started) or was
            stopped before.
        Raises:
            RuntimeError: a subclass has not called `Timer.__init__`.
        Example:
            >>> timer = gopark.time.Timer(3600)
            >>> timer.stop(), timer.stop()
            (True, False)

        Go: time.Timer.Stop.
        """
        return _chanof(self, "Timer.stop").stop()

    def reset(self, duration: float) -> bool:
        """Start the timer anew, whatever state it is in; a value of before is not received.

        Args:
            duration: Seconds from now. Zero or less: at once.
        Returns:
            What `stop` would have: whether it was going to fire.
        Raises:
            ValueError: `duration` is NaN or infinite.
            TypeError: it is not a number.
            RuntimeError: a subclass has not called `Timer.__init__`.
        Example:
            >>> timer = gopark.time.Timer(3600)
            >>> timer.reset(0.001)
            True
            >>> gopark.block(timer.c.recv()) is None
            False

        Go: time.Timer.Reset.
        """
        return _chanof(self, "Timer.reset").reset(seconds("Timer.reset", duration))


class Ticker:
    """A clock that ticks: `c` gets the monotonic time every `period` seconds.

    A tick that finds the one before it not received yet is dropped; the others come at their
    time all the same. Nobody need stop a ticker; without a reference it is gone.

    Args:
        period: Seconds, more than zero; less than a nanosecond is one.
    Raises:
        ValueError: `period` is zero or less, NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     ticker = gopark.time.Ticker(0.001)
        ...     first, second = await ticker.c.recv(), await ticker.c.recv()
        ...     ticker.stop()
        ...     print(first < second)
        >>> gopark.run(main)
        True

    Go: time.Ticker, time.NewTicker.
    """

    __slots__ = ("__weakref__", "c")

    c: Chan[float]

    def __init__(self, period: float) -> None:
        every = _interval("Ticker", period, "NewTicker")
        self.c = TimerChan(every, every)

    __reduce_ex__ = nocopy

    def stop(self) -> None:
        """No more ticks. The channel is not closed: who waits on it waits on.

        Example:
            >>> gopark.time.Ticker(1).stop()

        Go: time.Ticker.Stop.
        """
        c = getattr(self, "c", None)
        if isinstance(c, TimerChan):  # Go: a ticker that NewTicker did not make has nothing to stop
            c.stop()

    def reset(self, period: float) -> None:
        """Tick every `period` seconds from now on; a tick of before is not received.

        Args:
            period: Seconds, more than zero.
        Raises:
            ValueError: `period` is zero or less, NaN or infinite.
            TypeError: it is not a number.
            RuntimeError: a subclass has not called `Ticker.__init__`.
        Example:
            >>> ticker = gopark.time.Ticker(3600)
            >>> ticker.reset(0.001)
            >>> gopark.block(ticker.c.recv()) is None
            False

        Go: time.Ticker.Reset.
        """
        every = _interval("Ticker.reset", period, "Ticker.Reset")
        _chanof(self, "Ticker.reset").reset(every, every)


def _chanof(timer: Timer | Ticker, who: str) -> TimerChan:
    try:
        c = timer.c
    except AttributeError:
        kind = who.partition(".")[0]
        raise RuntimeError(
            f"{who} called on uninitialized {kind}: a subclass must call {kind}.__init__"
        ) from None
    assert isinstance(c, TimerChan)
    return c


def _interval(who: str, period: object, gos: str) -> float:
    every = seconds(who, period, "period")
    if every <= 0:
        raise ValueError(f"non-positive interval for {gos}")
    return max(every, _SHORTEST)


def after(duration: float) -> Chan[float]:
    """A channel that gets one value, the monotonic time, once this long has passed.

    Args:
        duration: Seconds. Zero or less: at once.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     never = gopark.Chan()
        ...     timeout = gopark.time.after(0.001)
        ...     index, _, _ = await gopark.select(gopark.recv(never), gopark.recv(timeout))
        ...     print("timed out" if index == 1 else "a value")
        >>> gopark.run(main)
        timed out

    Go: time.After.
    """
    return TimerChan(seconds("after", duration))


def tick(duration: float) -> Chan[float] | None:
    """The channel of a ticker that nobody is going to stop; None if `duration` is not positive.

    Args:
        duration: Seconds between two ticks.
    Raises:
        ValueError: `duration` is NaN or infinite.
        TypeError: it is not a number.
    Example:
        >>> async def main():
        ...     ticks = 0
        ...     async for _ in gopark.time.tick(0.001):
        ...         ticks += 1
        ...         if ticks == 3:
        ...             return ticks
        >>> gopark.run(main)
        3

    Go: time.Tick.
    """
    every = seconds("tick", duration)
    if every <= 0:
        return None
    every = max(every, _SHORTEST)
    return TimerChan(every, every)
