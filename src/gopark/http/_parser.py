"""Requests out of bytes, by httptools, or by h11 where that is not installed.

Both tell what they find by calls of httptools' kind: `on_message_begin`, `on_url`, `on_header`,
`on_headers_complete`, `on_body`, `on_message_complete`. h11 admits more than is safe in front of
others that read the same bytes: what it is given first goes by `_unsafe`.

Tests: tests/http/test_parser.py, test_smuggling.py
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Final, Protocol

__all__ = ("Malformed", "Parser", "Upgrade", "backend", "newparser")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


httptools: Final = _imported("httptools")
h11: Final = _imported("h11")

_MISSING: Final = "gopark.http needs httptools, or h11, which is slower: pip install 'gopark[http]'"
# A line break that is half of one, a line that goes on in the next, a NUL.
_UNSAFE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]|\0")
_HEAD: Final = 65536  # bytes that h11 is shown at once


class Malformed(Exception):
    """It is no HTTP/1.1, or not in one reading."""


class Upgrade(Exception):
    """The client wants to speak something else from here on.

    Attributes:
        rest: What follows the request's head.
    """

    def __init__(self, rest: bytes) -> None:
        super().__init__()
        self.rest = rest


class Parser(Protocol):
    """What is asked of one."""

    def feed(self, data: bytes) -> None: ...
    def method(self) -> bytes: ...
    def version(self) -> str: ...
    def keepalive(self) -> bool: ...


def backend() -> str:
    """Which one it is.

    Raises:
        ImportError: there is none.
    """
    if httptools is not None:
        return "httptools"
    if h11 is not None:
        return "h11"
    raise ImportError(_MISSING)


def newparser(events: Any, which: str = "") -> Parser:
    """A parser that tells `events` what it finds."""
    which = which or backend()
    return _Httptools(events) if which == "httptools" else _H11(events)


class _Httptools:
    """httptools, which is llhttp of Node.js: strict, unless told otherwise."""

    __slots__ = ("_feed", "keepalive", "method", "version")

    def __init__(self, events: Any) -> None:
        parser = httptools.HttpRequestParser(events)
        self._feed = parser.feed_data
        self.method = parser.get_method
        self.version = parser.get_http_version
        self.keepalive = parser.should_keep_alive

    def feed(self, data: bytes) -> None:
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as exc:
            raise Upgrade(data[exc.args[0] :]) from None
        except httptools.HttpParserCallbackError as exc:
            raise (exc.__context__ or exc) from None
        except httptools.HttpParserError as exc:
            raise Malformed(str(exc) or type(exc).__name__) from None


class _H11:
    """h11, a connection of it for each request."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._connection: Any = None
        self._head = b""  # of a request whose head is not there yet
        self._inbody = False
        self._request: Any = None

    def method(self) -> bytes:
        return self._request.method  # type: ignore[no-any-return]

    def version(self) -> str:
        return self._request.http_version.decode()  # type: ignore[no-any-return]

    def keepalive(self) -> bool:
        options = _tokens(self._request.headers, b"connection")
        if self._request.http_version == b"1.0":
            return b"keep-alive" in options and b"close" not in options
        return b"close" not in options

    def feed(self, data: bytes) -> None:
        while data:
            if not self._inbody:
                data = self._headed(data)
                if not self._inbody:
                    return
            try:
                data = self._body(data)
            except h11.RemoteProtocolError as exc:
                raise Malformed("no body as its head says") from exc

    def _headed(self, data: bytes) -> bytes:
        """Gather a head, and tell of it. What is left then, of which the body is the beginning."""
        if not self._head:
            data = data.lstrip(b"\r\n")
            if not data:
                return b""
            self._events.on_message_begin()
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        head = self._head if end < 0 else self._head[: end + 4]
        if _UNSAFE.search(head[:-1] if head.endswith(b"\r") else head):
            raise Malformed("a half line break, a folded line, or a NUL")
        if end < 0:
            if len(self._head) > _HEAD:
                raise Malformed("a head without an end")
            return b""
        rest, self._head = self._head[end + 4 :], b""
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self._connection.receive_data(head)
        try:
            self._request = request = self._connection.next_event()
        except h11.RemoteProtocolError as exc:
            raise Malformed("no head of a request") from exc  # its text has what was sent
        if type(request) is not h11.Request:
            raise Malformed("no head of a request")
        self._events.on_url(request.target)
        for name, value in request.headers:
            self._events.on_header(name, value)
        self._events.on_headers_complete()
        upgrade = b"upgrade" in _tokens(request.headers, b"connection") and any(
            name == b"upgrade" for name, _ in request.headers
        )
        if upgrade or request.method == b"CONNECT":
            self._events.on_message_complete()
            raise Upgrade(rest)
        self._inbody = True
        if not rest:
            self._body(b"")
        return rest

    def _body(self, data: bytes) -> bytes:
        connection = self._connection
        if data:
            connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return b""
            if type(event) is h11.Data:
                self._events.on_body(bytes(event.data))
            elif type(event) is h11.EndOfMessage:
                self._inbody = False
                self._events.on_message_complete()
                return bytes(connection.trailing_data[0])
            else:
                return b""


def _tokens(headers: Any, wanted: bytes) -> set[bytes]:
    return {
        token.strip().lower()
        for name, value in headers
        if name == wanted
        for token in value.split(b",")
    }
