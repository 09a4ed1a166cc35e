"""What a server admits, and for how long it waits: Limits and Timeouts.

Source: Go 1.27 net/http/server.go (Server), httpd's mod_reqtimeout for the rate of bodies.
Tests: tests/http/test_slow.py, test_smuggling.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gopark._runtime.base.printstring import shown

__all__ = ("Limits", "Timeouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a client may have of a server. None: as much as it likes.

    Args:
        header_size: Bytes of a request line with its headers; more are refused with 431.
        header_count: Header lines of a request; more are refused with 431.
        body_size: Bytes of a request's body; more are refused with 413.
        connections: At once. More wait in the system's queue.
        requests: On one connection, which is closed after them.
        max_requests: In all; then the server ends in good order, for another to take its place.
        streams: Requests at once on one connection of HTTP/2.
        message_size: Bytes, or characters, of a message on a WebSocket; it is closed with 1009.
    Raises:
        TypeError: one is neither an integer nor None.
        ValueError: one is below 1.
    Example:
        >>> gopark.http.Limits(body_size=10 * 1024 * 1024).body_size
        10485760

    Go: http.Server.MaxHeaderBytes, http.MaxBytesReader, netutil.LimitListener.
    """

    header_size: int | None = 65536
    header_count: int | None = 128
    body_size: int | None = None
    connections: int | None = 10_000
    requests: int | None = None
    max_requests: int | None = None
    streams: int | None = 100
    message_size: int | None = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Limits: {field.name} is an integer or None, got {shown(value)}")
            if value < 1:
                raise ValueError(f"Limits: {field.name} is at least 1, got {shown(value)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a server waits, in seconds. None: for ever.

    They are looked at once a second, or four times within the shortest of them.

    Args:
        header: For a request line with its headers, from the first byte on, and for the first byte
            of a connection.
        body: For each 512 bytes of a request's body. A client that sends less than that is slow
            on purpose, or gone.
        response: For the application's answer, from the request's headers to its last byte. A
            wait of the application ends then, and it is answered 503 if nothing was sent yet.
        write: For the client to take what is sent to it, 256 KB at a time.
        idle: For the next request on a connection.
        shutdown: For requests under way when the server is to end; then they are cut.
    Raises:
        TypeError: one is neither a number nor None.
        ValueError: one is not above 0.
    Example:
        >>> gopark.http.Timeouts(idle=5).idle
        5

    Go: http.Server.ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout.
    """

    header: float | None = 10.0
    body: float | None = 20.0
    response: float | None = None
    write: float | None = 30.0
    idle: float | None = 75.0
    shutdown: float | None = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"Timeouts: {field.name} is a number or None, got {shown(value)}")
            if not value > 0 or math.isinf(value):
                raise ValueError(f"Timeouts: {field.name} is above 0, got {shown(value)}")
