"""The flight recorder: the last seconds, in memory, written when somebody asks.

Locks: `_lock` guards `_now`; `FlightRecorder._writing` lets one write at a time; the ring is
guarded by `tracing.lock`, which is held whenever `take` is called.
Source: Go 1.27 runtime/trace/flightrecorder.go. Differs: seconds as float; `on_panic`; `max_bytes`
counts memory, and the file is larger.
Tests: tests/trace/test_flight.py
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import Final

from gopark._runtime.base.errors import AmidRuntime, nocopy
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.prof.trace import Goroutine, Items, clock, tracing
from gopark._runtime.sched.finq import exclusive
from gopark._util import integer
from gopark.trace._events import Recorded
from gopark.trace._out import File, Out, checkfile
from gopark.trace._write import write

__all__ = ("FlightRecorder", "atdeath")

_MOST: Final = sys.float_info.max
_ITEM: Final = 14  # bytes that an item takes, on average
_SLACK: Final = 1.0  # seconds: what is older than that, beyond min_age, is not written
_lock: Final = lasting(threading.Lock())  # taken by `exclusive`: finq.py
_now: FlightRecorder | None = None


class _Ring:
    """The subscriber: it keeps what is young enough, and not too much."""

    def __init__(self, min_age: float, max_bytes: float) -> None:
        self.min_age = min_age
        self.maxitems = max_bytes / _ITEM
        self.lists: deque[tuple[float, int, Items]] = deque()  # until when, of which M, what
        self.nitems = 0
        self.before: list[Goroutine] = []
        self.began = 0.0

    def take(self, mid: int, items: Items) -> None:
        self.lists.append((clock(), mid, items))
        self.nitems += len(items)
        self.prune()

    def prune(self) -> None:
        oldest = clock() - self.min_age
        lists = self.lists
        while lists and (self.nitems > self.maxitems or lists[0][0] < oldest):
            self.nitems -= len(lists.popleft()[2])
            self.before = []  # what they did then is known no more

    def recorded(self) -> Recorded:
        """All that it has at this moment."""
        with tracing.lock:
            self.prune()
            now = tracing.snapshot()
            lists = [(mid, items) for _, mid, items in self.lists] + now.lists
            before = self.before
        began = self.began
        if not before:  # as far back as it goes
            firsts = (items[0][1] for mid, items in lists if mid and items)
            began = max(began, min(firsts, default=began))
        # A thread that has been idle for long may have a list from before that.
        began = max(began, now.when - self.min_age - _SLACK)
        return Recorded(lambda: iter(lists), began, now.when, before, now.goroutines, now.running)


class FlightRecorder:
    """Keeps the latest part of a trace, so that it is there once something has gone wrong.

    One may be on at a time, beside a trace of `start`.

    Args:
        min_age: Seconds: events that are younger are kept, if `max_bytes` allows it.
        max_bytes: About how much memory it may take; this comes before `min_age`.
        on_panic: A path to which it is written, too, when the program dies of a panic or a fatal
            error.
    Raises:
        ValueError: `min_age` or `max_bytes` is not positive.
        TypeError: one of them is no number, or `on_panic` no path.
    Example:
        >>> import io
        >>> recorder = gopark.trace.FlightRecorder(min_age=5)
        >>> recorder.start()
        >>> gopark.run(gopark.time.sleep, 0.001)
        >>> out = io.BytesIO()
        >>> recorder.write_to(out) == len(out.getvalue())
        True
        >>> recorder.stop()

    Go: runtime/trace.FlightRecorder.
    """

    def __init__(
        self,
        *,
        min_age: float = 10.0,
        max_bytes: int = 10 << 20,
        on_panic: str | os.PathLike[str] | None = None,
    ) -> None:
        integer("FlightRecorder", "max_bytes", max_bytes)
        for name, value in (("min_age", min_age), ("max_bytes", max_bytes)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"FlightRecorder: {name} must be a number, got {shown(value)}")
            if not 0 < value <= _MOST:
                raise ValueError(f"FlightRecorder: {name} must be positive, got {shown(value)}")
        if on_panic is not None and not isinstance(on_panic, str | os.PathLike):
            raise TypeError(f"FlightRecorder() needs a path as on_panic, got {shown(on_panic)}")
        self._limits = min_age, max_bytes
        self._on_panic = on_panic
        self._ring: _Ring | None = None  # while it records
        self._writing = lasting(threading.Lock())

    __reduce_ex__ = nocopy

    def start(self) -> None:
        """Begin to record.

        Raises:
            RuntimeError: it records already, or another one does.
        Example:
            >>> recorder = gopark.trace.FlightRecorder()
            >>> recorder.start()
            >>> recorder.stop()

        Go: FlightRecorder.Start.
        """
        global _now
        with exclusive(_lock):
            if self._ring is not None:
                raise RuntimeError("cannot enable a enabled flight recorder")
            if _now is not None:
                raise RuntimeError("flight recorder already enabled: stop the other one first")
            ring = _Ring(*self._limits)
            ring.began, ring.before = tracing.subscribe(ring)
            _now, self._ring = self, ring

    def stop(self) -> None:
        """Stop, and forget what was recorded; it waits for a `write_to` that is under way.

        Example:
            >>> gopark.trace.FlightRecorder().stop()

        Go: FlightRecorder.Stop.
        """
        global _now
        with exclusive(_lock):
            ring, self._ring = self._ring, None
            if ring is None:
                return
            _now = None
            tracing.unsubscribe(ring)
        try:
            with exclusive(self._writing):
                pass
        except AmidRuntime:
            pass  # it is under way below the finaliser that calls this, and waits for that

    def enabled(self) -> bool:
        """Whether it records.

        Example:
            >>> gopark.trace.FlightRecorder().enabled()
            False

        Go: FlightRecorder.Enabled.
        """
        return self._ring is not None

    def write_to(self, file: File) -> int:
        """Write what it has. It goes on recording.

        Args:
            file: As for `gopark.trace.start`.
        Returns:
            How many bytes that was, before they were compressed.
        Raises:
            RuntimeError: it does not record, or another call is under way.
            TypeError: `file` is neither a path nor a file.
            OSError: it cannot be written.
        Example:
            >>> import io
            >>> recorder = gopark.trace.FlightRecorder()
            >>> recorder.start()
            >>> recorder.write_to(io.StringIO()) > 0
            True
            >>> recorder.stop()

        Go: FlightRecorder.WriteTo.
        """
        checkfile("write_to", file)
        ring = self._ring
        if ring is None:
            raise RuntimeError("cannot snapshot a disabled flight recorder")
        if not self._writing.acquire(False):
            raise RuntimeError("call to WriteTo for trace.FlightRecorder already in progress")
        try:
            out = Out("write_to", file)
            out.finish(lambda: write(ring.recorded(), out.put))
            return out.count
        finally:
            self._writing.release()


def atdeath() -> None:
    """The program dies: write what was asked for."""
    recorder = _now
    if recorder is not None and recorder._on_panic is not None:
        recorder.write_to(recorder._on_panic)
