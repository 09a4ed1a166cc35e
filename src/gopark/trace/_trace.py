"""Starting and stopping a trace.

The file is written when tracing stops, in one go: while the program runs, events are only
recorded, and a long trace's go to a temporary file. A trace that is on when the program dies of a
panic or a fatal error, or when the interpreter exits, is stopped then, and so written.

Locks: `_lock` guards `_now`; nothing is called under it that waits for a goroutine.
Source: Go 1.27 runtime/trace/trace.go, subscribe.go. Differs: the file is complete at the end only.
Tests: tests/trace/test_trace.py, test_out.py
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.prof import traceloop as traceloop  # it has to be there
from gopark._runtime.prof.trace import Items, tracing
from gopark._runtime.sched import panic
from gopark._runtime.sched.finq import exclusive
from gopark.trace import _flight
from gopark.trace._events import Recorded
from gopark.trace._out import File, Out
from gopark.trace._spool import Spool
from gopark.trace._write import write

__all__ = ("is_enabled", "start", "stop")


class _Trace:
    """The trace that is on."""

    def __init__(self, file: File) -> None:
        self.out = Out("start", file)
        self.spool = Spool()
        self.began, self.before = tracing.subscribe(self.spool)

    def end(self) -> None:
        last = tracing.unsubscribe(self.spool)
        spool, out = self.spool, self.out

        def lists() -> Iterator[tuple[int, Items]]:
            yield from spool.lists()
            yield from last.lists

        recorded = Recorded(
            lists, self.began, last.when, self.before, last.goroutines, last.running
        )
        try:
            out.finish(lambda: write(recorded, out.put))
        finally:
            spool.close()
        if spool.failed is not None:
            raise spool.failed


_lock: Final = lasting(threading.Lock())  # taken by `exclusive`: finq.py
_now: _Trace | None = None


def start(file: File) -> None:
    """Trace the program from now on, until `stop` writes the file.

    Args:
        file: A path, or a file that is open for writing, text or binary. What is written is
            Chrome's JSON trace format, to be opened in ui.perfetto.dev, compressed if the path
            ends in `.gz`. A file that is made for it nobody else can read (mode 0600).
    Raises:
        RuntimeError: a trace is on already.
        TypeError: `file` is neither.
        OSError: it cannot be opened, or is a link, or somebody else's file.
    Example:
        >>> import io
        >>> out = io.StringIO()
        >>> gopark.trace.start(out)
        >>> gopark.run(gopark.time.sleep, 0.001)
        >>> gopark.trace.stop()
        >>> "sleep" in out.getvalue()
        True

    Go: runtime/trace.Start.
    """
    global _now
    with exclusive(_lock):
        if _now is not None:
            raise RuntimeError("execution tracer already enabled: call gopark.trace.stop first")
        _now = _Trace(file)


def stop() -> None:
    """End the trace and write its file; without one, nothing happens.

    Raises:
        OSError: the file cannot be written.
    Example:
        >>> gopark.trace.stop()

    Go: runtime/trace.Stop.
    """
    global _now
    with exclusive(_lock):
        trace, _now = _now, None
    if trace is not None:
        trace.end()


def is_enabled() -> bool:
    """Whether something records: a trace or a flight recorder.

    Example:
        >>> gopark.trace.is_enabled()
        False

    Go: runtime/trace.IsEnabled.
    """
    return tracing.on


def _atdeath() -> None:
    """The program dies, and its report is printed."""
    for last in (_flight.atdeath, stop):
        _orsaywhy(last)


def _atexit() -> None:
    _orsaywhy(stop)


def _orsaywhy(last: Callable[[], None]) -> None:
    try:
        last()
    except Exception as exc:
        panic.printerr(f"gopark: the trace could not be written: {exc}; what is there is not whole")


def _afterfork() -> None:
    """In the child nothing is traced; the file is the parent's."""
    global _now
    _now = None


panic.doors.died = _atdeath
atexit.register(_atexit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)

if path := os.environ.get("GOPARKTRACE"):
    try:
        start(path)
    except OSError as error:
        sys.exit(f"gopark: GOPARKTRACE={path}: {error}")
