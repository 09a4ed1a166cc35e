"""Requests in flight, for dumps, `gopark top` and the live page.

Who looks walks through the servers that there are; a request pays nothing for it. Read from any
thread while they are answered: what is shown is what was there at some moment.

    in scopes (innermost first):
        goroutines 7, 9: request GET /items/{id}

By the route, where the framework tells it (`scope["route"]`, as Starlette and FastAPI do), else by
the path. Locks: none. Source: none. Tests: tests/http/test_flight.py
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from gopark._runtime.base.printstring import oneline
from gopark._runtime.report.hosted import doors

__all__ = ("servers",)

# Relies on: `list()` of a WeakSet bears that one is added meanwhile; `_flying` tries again.
servers: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def _flying() -> dict[int, str]:
    """What each goroutine answers."""
    found: dict[int, str] = {}
    for server in _copy(servers):
        for link in _copy(server.conns):
            for exchange in link.requests():
                found[exchange.goid or link.goid] = _name(exchange.scope)
    return found


def _copy(some: Any) -> list[Any]:
    while True:
        try:
            return list(some)
        except RuntimeError:
            pass  # it has changed meanwhile


def _name(scope: dict[str, Any]) -> str:
    route = getattr(scope.get("route"), "path", None)
    path = route if isinstance(route, str) else scope["path"]
    return oneline(f"request {scope.get('method', scope['type'])} {path}")


doors.requests = _flying
