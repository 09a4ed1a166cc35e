"""Host: what a server is to its connections: limits, the application, what each answer has, logs.

Source: Go 1.27 net/http/server.go. Tests: tests/http/test_server.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextvars import Context as Variables
from typing import Any, Final

from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.newproc import go
from gopark.context import Canceled, Context
from gopark.http._exchange import Exchange
from gopark.http._forwarded import Proxies
from gopark.http._head import datebytes
from gopark.http._kinds import hint
from gopark.http._log import access, line
from gopark.http._options import Limits, Timeouts
from gopark.http._sleepers import Sleepers
from gopark.http._stream import Stream
from gopark.http._websocket import WebSocket, available, handshake

__all__ = ("Host",)

_log: Final = logging.getLogger("gopark.http")


class Host:
    """The side of a Server that its connections see."""

    app: Any
    interface: str
    loop: str
    limits: Limits
    timeouts: Timeouts
    root_path: str
    proxies: Proxies
    logs: bool  # each answer is a line
    closing: bool
    base: Context  # of which each request's is a child
    scheme: str
    conns: set[Any]
    state: dict[str, Any]  # what the application has put there when it started
    exchange: type[Exchange]
    stream: type[Stream]
    http2: bool  # clients may speak it
    sleepers: Sleepers
    run: Callable[[Any], Coroutine[Any, Any, None]]  # has the application answer
    extensions: dict[str, Any]
    _loops: int  # 0: as many as it takes
    _stuck: Any = None  # looks whether a task blocks it
    _ends: list[Callable[[], Coroutine[Any, Any, None]]]
    _name: bytes
    _room: Chan[None]
    _stamps: list[bytes]
    _fields: tuple[bytes, bytes, bytes, bytes]
    _websocket: type[WebSocket]

    def _runner(self) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
        """What has the application answer a request."""
        app = self.app
        if self.interface == "wsgi":
            from gopark.http import _wsgi

            return lambda exchange: _wsgi.run(app, exchange)
        if self.loop == "asyncio":
            from gopark.http import _onloop

            self.exchange = _onloop.LoopExchange
            self.stream = _onloop.LoopStream
            self._websocket = _onloop.LoopWebSocket
            if self._loops != 1:
                from gopark.http import _loops

                many = _loops.Loops(self._loops) if self._loops else _loops.Growing()
                self._ends.append(many.end)
                return lambda exchange: many.run(app, exchange)
            from gopark.http._stuck import Stuck

            self._stuck = Stuck()
            return lambda exchange: _onloop.run(app, exchange)
        return lambda exchange: app(exchange.scope, exchange.receive, exchange.send)

    def addresses(self, conn: Any) -> tuple[Any, Any]:
        """Of the client, and of this side, as ASGI has them."""
        remote, local = conn.remote_addr, conn.local_addr
        if local.network == "unix":
            return None, (str(local), None)
        return (remote.host, remote.port), (local.host, local.port)

    def upgrade(self, link: Any, exchange: Exchange, special: Any, rest: bytes) -> str:
        """What the client asks to speak, if it may: "", or `websocket`. Raises ValueError."""
        if self.interface == "wsgi" or not handshake(special) or not available():
            return ""
        exchange.keepalive = False
        exchange.websocket = self._websocket(link, exchange, rest, self.limits.message_size)
        return "websocket"

    def _tick(self, now: float) -> None:
        if self._stuck is not None:
            Variables().run(go, self._stuck.look)
        date = b"\r\ndate: " + datebytes(now)
        name = b"\r\nserver: " + self._name if self._name else b""
        self._stamps = [date + name, name, date, b""]
        self._fields = b"date", date[8:], b"server", self._name

    def stamp(self, dated: bool, named: bool) -> bytes:
        """What stands in the head of each answer, but for what the application has said."""
        return self._stamps[dated + 2 * named]

    def stampfields(self, dated: bool, named: bool) -> list[tuple[bytes, bytes]]:
        """The same, for HTTP/2."""
        fields = self._fields
        found = [] if dated else [fields[:2]]
        return found if named or not fields[3] else [*found, fields[2:]]

    def failed(self, exchange: Exchange, exc: BaseException) -> None:
        """The application has raised."""
        if exchange.link.gone and isinstance(exc, OSError | Canceled):
            return  # it was told that the client has left
        scope = exchange.scope
        _log.error(
            "%s %s: the application failed%s",
            scope.get("method", scope["type"]),
            scope["path"],
            hint(self.loop, exc),
            exc_info=exc,
        )

    def late(self, exchange: Exchange, seconds: float) -> None:
        """The application has not answered in time."""
        scope = exchange.scope
        name = scope.get("method", scope["type"])
        _log.warning("%s %s: no answer within %g s", name, scope["path"], seconds)

    def failure(self, exchange: Exchange) -> tuple[int, str]:
        """The answer in place of the application's."""
        return 500, "the application failed"

    def rejected(self, link: Any, status: int, text: str) -> None:
        """What came is no request."""
        _log.info("%s: %d: %s", link.client[0] if link.client else "-", status, text)

    def log(self, exchange: Exchange) -> None:
        """A line of the access log."""
        access.info(line(exchange))

    def left(self, link: Any) -> None:
        """A connection has ended."""
        self.conns.discard(link)
        self._room.try_send(None)
