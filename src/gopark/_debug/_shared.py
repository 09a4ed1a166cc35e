"""What all who look at one live page share: the curve, the last look, the last graph.

Looks at all goroutines are shared: who asks within _FRESH, or within five times what the last look
took, gets the same one. So a page that is open costs at most a fifth of one CPU.

Locks: `Shared.lock` guards the last look, `Shared.graphlock` the last graph. Neither is held while
anything is written.
Source: none. Tests: tests/debug/test_api.py, test_serve.py
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Final

from gopark._debug import _graph, _look

__all__ = ("Shared",)

_FRESH: Final = 0.9  # seconds: a look is not taken again
_STALE: Final = 30.0  # and is dropped if nobody has asked for so long
_POINTS: Final = 600  # of the curve


class Shared:
    """One for each server."""

    def __init__(self) -> None:
        self.history: deque[dict[str, Any]] = deque(maxlen=_POINTS)
        self.ticks = 0  # points taken, those that the curve has forgotten included
        self.lock = threading.Lock()
        self.graphlock = threading.Lock()
        self._graph: dict[str, Any] | None = None
        self._drawn = 0.0
        self._looked: _look.Look | None = None
        self._asked = 0.0

    def tick(self) -> None:
        """A point of the curve; and what nobody has asked for in a while is forgotten."""
        self.history.append(_look.counts())
        self.ticks += 1
        with self.lock:
            if self._looked is not None and time.monotonic() - self._asked > _STALE:
                self._looked = None

    def look(self) -> _look.Look:
        """All goroutines, in groups; as they are now or were just now."""
        with self.lock:
            self._asked = now = time.monotonic()
            last = self._looked
            if last is None or now - last.now > max(_FRESH, 5 * last.took):
                last = self._looked = _look.look()
            return last

    def graph(self) -> dict[str, Any]:
        """Who waits for whom; shared like a look."""
        with self.graphlock:
            now = time.monotonic()
            if self._graph is None or now - self._drawn > max(_FRESH, 5 * self._graph["took"]):
                self._graph = _graph.graph()
                self._drawn = time.monotonic()
            return self._graph
