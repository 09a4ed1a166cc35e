"""Which goroutine this is: its number, and both number and labels for `logging`.

Locks: none; a goroutine is asked about by itself alone.
Source: Go 1.27 has no way to ask, on purpose. Tests: tests/runtime/test_goid.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gopark._runtime.base.printstring import oneline
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.prof.proflabel import labelsof

if TYPE_CHECKING:
    import logging

__all__ = ("LogFilter", "goid")


def goid() -> int:
    """The number of the calling goroutine, as dumps have it; 0 if the thread runs none.

    For messages. It says nothing about who a goroutine is, and nothing can be asked of it: what
    belongs to a request travels in a context, or in a `contextvars.ContextVar`.

    Example:
        >>> async def main():
        ...     print(gopark.runtime.goid())
        >>> gopark.run(main)
        1
        >>> gopark.runtime.goid()
        0

    Go: none, on purpose; `runtime.Stack` prints it.
    """
    m = tls.m
    return 0 if m is None or (g := m.curg) is None else g.goid


class LogFilter:
    """A filter for `logging`: `%(goid)d` and `%(golabels)s` say which goroutine wrote a line.

    Add it to a handler; that of a logger sees no lines of the loggers below. A handler that
    formats on another thread (`QueueHandler` with its listener) needs it before the queue: on the
    `QueueHandler` itself.

    Example:
        >>> import logging, sys
        >>> handler = logging.StreamHandler(sys.stdout)
        >>> handler.addFilter(gopark.runtime.LogFilter())
        >>> handler.setFormatter(logging.Formatter("[%(goid)d%(golabels)s] %(message)s"))
        >>> log = logging.getLogger("example")
        >>> log.addHandler(handler)
        >>> async def work(ctx):
        ...     log.warning("the disk is full")
        >>> async def main():
        ...     root = gopark.context.background()
        ...     await gopark.pprof.do(root, gopark.pprof.labels("job", "7"), work)
        >>> gopark.run(main)
        [1 job=7] the disk is full

    Go: none; a slog.Handler that reads a context.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Put `goid` and `golabels` into the record; no record is dropped.

        Args:
            record: What is logged. `goid` is 0 where no goroutine runs, `golabels` a text like
                ` job=7 kind=index`, with a space before each, empty if there are no labels.
        Returns:
            True.
        Example:
            >>> import logging
            >>> record = logging.makeLogRecord({"msg": "hello"})
            >>> gopark.runtime.LogFilter().filter(record), record.goid
            (True, 0)

        Go: none.
        """
        m = tls.m
        g = None if m is None else m.curg
        record.goid = 0 if g is None else g.goid
        labels = () if g is None else labelsof(g)
        record.golabels = "".join(f" {oneline(key)}={oneline(value)}" for key, value in labels)
        return True
