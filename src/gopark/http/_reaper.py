"""Deadlines of connections, looked at by one goroutine for all of them.

A timer for each request would be most of what an answer costs. So a connection says in which phase
it is, and counts its steps (`mark`): two stores. The goroutine comes by once a second, or four
times within the shortest limit, and one whose count stands still for as long as its phase may last
is ended: who reads, or writes, gets a TimeoutError. There is none while there are no connections.

Source: none; Go sets a deadline per request, which costs it nothing. Tests: tests/http/test_slow.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from gopark._runtime.base.timenow import monotonic
from gopark._runtime.sched.newproc import go
from gopark._runtime.time.timesleep import sleep
from gopark.http._exchange import APP, WRITE
from gopark.http._options import Timeouts

__all__ = ("APP", "BODY", "HEADER", "IDLE", "LINGER", "WRITE", "Reaper")

IDLE: Final = 0  # between two requests
HEADER: Final = 1  # of a request line with its headers a part is there
BODY: Final = 2  # an application waits for more of the request
LINGER: Final = 5  # the last word was said: until the client has read it

_LINGER: Final = 2.0
_TICK: Final = 1.0


class Reaper:
    """Looks after the connections of one server."""

    def __init__(self, timeouts: Timeouts, links: Any, tick: Callable[[float], object]) -> None:
        self._limits: Final = {
            IDLE: timeouts.idle,
            HEADER: timeouts.header,
            BODY: timeouts.body,
            APP: None,
            WRITE: timeouts.write,
            LINGER: _LINGER,
        }
        shortest = min((one for one in self._limits.values() if one is not None), default=4.0)
        self._every: Final = min(_TICK, shortest / 4)
        self._links: Final = links
        self._tick: Final = tick  # is told the time of day
        self._on = False

    def start(self) -> None:
        """There is a connection."""
        if not self._on:
            self._on = True
            self._tick(time.time())
            go(self._run)

    async def _run(self) -> None:
        links, limits = self._links, self._limits
        while True:
            await sleep(self._every)
            self._tick(time.time())
            now = monotonic()
            for link in list(links):
                if link.mark != link.seen:
                    link.seen, link.seenat = link.mark, now
                    continue
                limit = limits[link.phase]
                if limit is not None and now - link.seenat >= limit:
                    link.expire()
            if not links:
                self._on = False
                if not links:  # one that came before this was stored has seen it running
                    return
                self._on = True
