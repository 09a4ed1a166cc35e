"""Where the lists of a trace wait until it is written: in memory, and then in a temporary file.

Locks: `tracing.lock` is held whenever `take` is called.
Source: none in Go. Tests: tests/trace/test_spool.py
"""

from __future__ import annotations

import marshal
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import IO, Final

from gopark._runtime.prof.trace import Items

__all__ = ("INMEMORY", "Spool")

INMEMORY: Final = 1 << 21  # items; about 30 MB


class Spool:
    """A subscriber that keeps all."""

    def __init__(self, inmemory: int = INMEMORY) -> None:
        self.inmemory = inmemory
        self.kept: deque[tuple[int, Items]] = deque()
        self.nkept = 0
        self.file: IO[bytes] | None = None
        self.failed: Exception | None = None  # no room: what came later is left out

    def take(self, mid: int, items: Items) -> None:
        self.kept.append((mid, items))
        self.nkept += len(items)
        while self.nkept > self.inmemory:
            self.spill(*self.kept.popleft())

    def spill(self, mid: int, items: Items) -> None:
        self.nkept -= len(items)
        if self.failed is not None:
            return
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile(prefix="gopark-trace-")  # noqa: SIM115
            marshal.dump((mid, items), self.file)
        except (OSError, ValueError, MemoryError) as exc:
            self.failed = exc

    def lists(self) -> Iterator[tuple[int, Items]]:
        """All of them, in the order they came."""
        if self.file is not None:
            end = self.file.seek(0, 2)
            self.file.seek(0)
            while self.file.tell() < end:
                yield marshal.load(self.file)
        yield from self.kept

    def close(self) -> None:
        self.kept.clear()
        if self.file is not None:
            self.file.close()
