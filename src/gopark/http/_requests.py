"""Requests out of what a client of HTTP/1.1 sends: what the parser finds, checked, in a queue.

Requests that are not HTTP/1.1 in one reading are refused with 400, and the connection is closed:
the parser sees to most; here is refused what it lets through, HTTP/0.9, transfer codings other than
`chunked`, no host or two. An upgrade that nobody wants is passed over, and its request parsed anew
without it, for the parser takes a body that follows for what comes after.

Source: Go 1.27 net/http/request.go (readRequest), transfer.go. Tests: tests/http/test_http1.py,
test_smuggling.py
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import unquote

from gopark.http._exchange import Exchange
from gopark.http._parser import Malformed, Upgrade, newparser

__all__ = ("Requests",)

_SPECIAL: Final = frozenset(
    (b"host", b"expect", b"transfer-encoding", b"content-length", b"upgrade", b"connection")
)


class Requests:
    """Those of one connection."""

    def __init__(self, server: Any, client: Any, local: Any) -> None:
        self.server = server
        self.client, self.local = client, local
        self._queue: deque[Exchange] = deque()  # read, and not begun
        self._last: Exchange | None = None  # whose body comes
        self._bad: tuple[int, str] | None = None  # why the next is none
        self._count = 0
        self._parser = newparser(self)
        self._headbytes = self._bodybytes = self._slowbytes = 0
        self._forwards = server.proxies.trusts(client)
        self.on_message_begin()
        self._inhead = False

    # --- what the parser finds ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._inhead = True
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._special: dict[bytes, bytes] | None = None
        self._bodybytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._inhead:
            return  # a trailer: what nobody asked for, and must not pass for a header
        name = name.lower()
        if name in _SPECIAL:
            special = self._special
            if special is None:
                special = self._special = {}
            if name in special:
                if name == b"connection" or name == b"upgrade":
                    value_ = special[name] + b", " + value
                    special[name] = value_
                else:
                    self._refuse(400, f"{name.decode()} is said twice")
            else:
                special[name] = value
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._inhead = False
        self._slowbytes = 0
        self._last = None
        parser, url, special = self._parser, self._url, self._special or {}
        version = parser.version()
        if version != "1.1" and version != "1.0":
            self._refuse(505, "this server speaks HTTP/1.1")
            return
        self._check(version, special)
        method = parser.method().decode()
        if not url.startswith(b"/"):
            url = self._absolute(method, url)
        if self._bad is not None:
            return
        raw, _, query = url.partition(b"?")
        path = raw.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        server = self.server
        scope = {
            "type": "http",
            "asgi": server.asgi,
            "http_version": version,
            "method": method,
            "scheme": server.scheme,
            "path": server.root_path + path if server.root_path else path,
            "raw_path": raw,
            "query_string": query,
            "root_path": server.root_path,
            "headers": self._headers,
            "client": self.client,
            "server": self.local,
            "state": server.state.copy(),
            "extensions": server.extensions.copy(),
        }
        keepalive = parser.keepalive() and not self._overdrawn()
        exchange = server.exchange(self, scope, method == "HEAD", keepalive)
        exchange.expects = b"expect" in special and version == "1.1"
        if self._forwards:
            server.proxies.apply(scope)
        self._last = exchange
        self._queue.append(exchange)

    def _overdrawn(self) -> bool:
        self._count += 1
        most = self.server.limits.requests
        return most is not None and self._count >= most

    def _check(self, version: str, special: dict[bytes, bytes]) -> None:
        limits = self.server.limits
        if b"host" not in special and version == "1.1":
            self._refuse(400, "no host")
        coding = special.get(b"transfer-encoding")
        if coding is not None:
            if version == "1.0" or b"content-length" in special:
                self._refuse(400, "a transfer-encoding where there is none")
            elif coding.lower() != b"chunked":
                codings = [one.strip() for one in coding.lower().split(b",")]
                plain = codings[-1] == b"chunked" and codings.count(b"chunked") == 1
                self._refuse(501 if plain else 400, "a transfer-encoding other than chunked")
        if special.get(b"expect", b"100-continue").lower() != b"100-continue":
            self._refuse(417, "what the request expects is not offered here")
        length = special.get(b"content-length")
        most = limits.body_size
        if length is not None and most is not None and int(length) > most:
            self._refuse(413, f"a body has at most {most:,} bytes here")
        headers = self._headers
        if limits.header_count is not None and len(headers) > limits.header_count:
            self._refuse(431, f"a request has at most {limits.header_count} header lines here")
        if limits.header_size is not None and self._headbytes > limits.header_size:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.header_size:
                self._refuse(431, f"a head has at most {limits.header_size:,} bytes here")

    def _absolute(self, method: str, url: bytes) -> bytes:
        """`http://host/path`, `*`, what CONNECT has."""
        if method == "OPTIONS" and url == b"*":
            return url
        scheme, colon, rest = url.partition(b"://")
        if not colon or scheme.lower() not in (b"http", b"https") or method == "CONNECT":
            self._refuse(400, "the target is neither a path nor http://host/path")
            return b"/"
        slash = rest.find(b"/")
        return rest[slash:] if slash >= 0 else b"/"

    def on_body(self, body: bytes) -> None:
        last = self._last
        if last is not None:
            last.came(body)
            self._bodybytes += len(body)
            most = self.server.limits.body_size
            if most is not None and self._bodybytes > most:
                if self._queue and self._queue[-1] is last:
                    self._queue.pop()
                self._refuse(413, f"a body has at most {most:,} bytes here")

    def on_message_complete(self) -> None:
        if self._last is not None:
            self._last.complete = True
        self._headbytes = 0

    def _refuse(self, status: int, text: str) -> None:
        if self._bad is None:
            self._bad = status, text

    # --- bytes ----------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self._headbytes += len(data)
        try:
            self._parser.feed(data)
        except Malformed as exc:
            self._refuse(400, str(exc))
        except Upgrade as upgrade:
            self._upgraded(upgrade.rest)
        if self._inhead and self._bad is None:
            most = self.server.limits.header_size
            if most is not None and self._headbytes > most:
                self._refuse(431, f"a head has at most {most:,} bytes here")

    def _upgraded(self, rest: bytes) -> None:
        last = self._last
        if last is None or self._bad is not None:
            return
        special = self._special or {}
        if last.scope["method"] == "CONNECT":
            self._refuse(400, "this is no proxy")
            return
        try:
            if self.server.upgrade(self, last, special, rest):
                return
        except ValueError:
            self._queue.pop()
            self._refuse(400, "no handshake of a WebSocket")
            return
        self._queue.pop()  # once more, without it
        head = [last.scope["method"].encode(), b" ", self._url, b" HTTP/1.1\r\n"]
        for name, value in last.scope["headers"]:
            if name != b"upgrade" and name != b"connection":
                head += name, b": ", value, b"\r\n"
        head += b"\r\n", rest
        self._last = None
        self._count -= 1
        self._parser = newparser(self)
        self._headbytes = 0
        self._feed(b"".join(head))
