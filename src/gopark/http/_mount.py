"""The live page, Go's profiles and the metrics under an application's own port.

The page (`gopark.debug`) is served by threads of its own on a port of the loopback address, and a
request to one of its paths is passed on to it, so that it asks for what it always asks for: its
own host names, no other web site. Before that stands who the client is:

    local    the address that the request came from is of this machine, and no proxy has passed it
             on that is not named (`proxies`): behind one every client looks like one from here
    public   anybody

Others are answered by the application, as if there were nothing.

Source: Go 1.27 net/http/pprof, which mounts itself for everybody. Tests: tests/http/test_mount.py
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import urlsplit

from gopark import net
from gopark._runtime.base.printstring import shown
from gopark.http._exchange import Exchange
from gopark.http._stream import Stream

__all__ = ("MOUNTS", "Mount", "checked")

MOUNTS: Final = ("off", "local", "public")
_METRICS: Final = "/metrics"
_UNDER: Final = ("/debug/pprof/", "/debug/gopark/", _METRICS + "/")
_PASSED: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"))
# What belongs to one of the two connections.
_HOPS: Final = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"content-length")
)
_PIECE: Final = 65536

Run = Callable[[Any], Coroutine[Any, Any, None]]


class Mount:
    """What stands before an application.

    Args:
        mode: `local` or `public`.
        run: Has the application answer.
    """

    def __init__(self, mode: str, run: Run) -> None:
        self._public = mode == "public"
        self._run = run
        self._page: Any = None

    def start(self) -> None:
        """The server begins.

        Raises:
            OSError: there is no descriptor left for it.
        """
        from gopark import debug

        self._page = debug.serve()

    async def end(self) -> None:
        if self._page is not None:
            self._page.close()

    def run(self, exchange: Any) -> Coroutine[Any, Any, None]:
        """Have the request answered, by the page or by the application."""
        scope = exchange.scope
        path = scope["path"]
        if (path.startswith("/debug/") or path == _METRICS) and self._ours(scope, exchange):
            return self._pass(exchange)
        return self._run(exchange)

    def _ours(self, scope: dict[str, Any], exchange: Any) -> bool:
        path = scope["path"] + "/"
        if not path.startswith(_UNDER) or scope["type"] != "http" or self._page is None:
            return False
        if self._public:
            return True
        client = scope["client"]
        if client is None or not _loopback(client[0]):
            return False
        if client is exchange.link.client:  # nobody that is named has passed it on
            return not any(name in _PASSED for name, _ in scope["headers"])
        return True

    async def _pass(self, exchange: Any) -> None:
        """In the request's goroutine, where an application of asyncio's has none."""
        exchange.__class__ = Stream if isinstance(exchange, Stream) else Exchange
        scope = exchange.scope
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        lines = [scope["method"].encode(), b" ", target, b" HTTP/1.0\r\n"]
        for name, value in scope["headers"]:
            if name not in _HOPS and name not in _PASSED:
                lines += name, b": ", value, b"\r\n"
        where = urlsplit(self._page.url).netloc
        with await net.dial("tcp", where) as conn:
            await conn.write(b"".join((*lines, b"\r\n")))
            await _answer(exchange, conn)


async def _answer(exchange: Any, conn: net.Conn) -> None:
    head = await conn.read_until(b"\r\n\r\n", _PIECE)
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() not in (b"connection", b"server", b"date"):
            headers.append((name.lower(), value.strip()))
    status = int(first.split(b" ", 2)[1])
    send = exchange.send
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while data := await conn.read(_PIECE):
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked(mode: str) -> str:
    """That there is such a mode.

    Raises:
        ValueError: there is none.
    """
    if mode not in MOUNTS:
        raise ValueError(f"debug is one of {', '.join(MOUNTS)}, got {shown(mode)}")
    return mode
