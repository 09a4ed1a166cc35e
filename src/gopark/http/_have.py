"""Have an application answer one request: its context, its time, and what is said if it fails.

What HTTP/1.1 and HTTP/2 have in common: it runs in the goroutine that is the request's.

Source: Go 1.27 net/http/server.go (conn.serve). Tests: tests/http/test_http1.py, test_http2.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import gopark
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.report.traceback import transparent
from gopark.http._context import begin, end

__all__ = ("answered", "failure")


async def answered(server: Any, exchange: Any, refuse: Callable[[int, str], None]) -> None:
    """Return when the application has, or its time is over; `refuse` is told of that."""
    if server.logs:
        exchange.since = monotonic()
    sleepers = server.sleepers
    path = exchange.scope["path"]
    seconds = server.timeouts.response
    slept = path in sleepers and sleepers.begin()
    ctx = begin(exchange, server.base, seconds)
    try:
        if seconds is None:
            await server.run(exchange)
        else:
            await _timely(server, exchange, seconds, refuse)
    except BaseException as exc:
        if not failure(exc):
            raise
        server.failed(exchange, exc)
    finally:
        end(ctx)
    if slept or tls.m.p is None:  # type: ignore[union-attr]
        sleepers.ended(path, slept)


def failure(exc: BaseException) -> bool:
    """It is the application's alone, and ends no more than its answer: asyncio's CancelledError,
    too, which is no Exception, and which nobody but the application can have raised here."""
    if isinstance(exc, Exception):
        return True
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(exc, asyncio.CancelledError)


async def _timely(
    server: Any, exchange: Any, seconds: float, refuse: Callable[[int, str], None]
) -> None:
    scope = gopark.timeout(seconds)
    try:
        with scope:
            await server.run(exchange)
    except TimeoutError:
        if not scope.expired:
            raise
        server.late(exchange, seconds)
        refuse(503, "the application took too long")


# What runs in them is the user's, and nothing is held below it.
transparent.update((answered.__code__, _timely.__code__))
