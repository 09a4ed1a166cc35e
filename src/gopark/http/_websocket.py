"""A WebSocket over HTTP/1.1, by wsproto: what an ASGI application receives and sends on one.

    CONNECTING -> OPEN -> CLOSED; or refused: closed, or answered as a request, before it is open
Reading is what `receive` does: what comes is not read ahead, and who sends faster is held up. Pings
are answered by the way. What is sent is put into frames and written under one lock, so that frames
go out in the order in which they were made: `receive` sends too.

Source: the ASGI specification, WebSocket 2.5. Tests: tests/http/test_websocket.py
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark._runtime.sched.newproc import go
from gopark.http._exchange import DONE, Exchange
from gopark.sync import Mutex

__all__ = ("WebSocket", "available", "handshake")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_wsproto: Final = _imported("wsproto")
_events: Any = None if _wsproto is None else importlib.import_module("wsproto.events")
_extensions: Any = None if _wsproto is None else importlib.import_module("wsproto.extensions")

CONNECTING: Final = 0
OPEN: Final = 1
CLOSED: Final = 2

_EMPTY: Final = b"content-length", b"0"
_ABNORMAL: Final = 1006
_TOOBIG: Final = 1009
_RESTART: Final = 1012


def available() -> bool:
    """wsproto is installed."""
    return _wsproto is not None


def handshake(special: Any) -> bool:
    """The client asks for a WebSocket."""
    wanted: bytes = special.get(b"upgrade", b"")
    return wanted.lower() == b"websocket"


class WebSocket:
    """One of them, from the client's request on.

    Raises:
        ValueError: the request is no handshake.
    """

    def __init__(self, link: Any, exchange: Exchange, rest: bytes, most: int | None) -> None:
        self.link = link
        self.exchange = exchange
        http = exchange.scope
        self._protocol = _wsproto.WSConnection(_wsproto.ConnectionType.SERVER)
        try:
            self._protocol.initiate_upgrade_connection(http["headers"], http["raw_path"])
        except _wsproto.utilities.RemoteProtocolError as exc:
            raise ValueError(str(exc)) from None
        request = next(self._protocol.events())
        self._deflate = any(
            extension.startswith("permessage-deflate") for extension in request.extensions
        )
        self._rest = rest
        self._most = most
        self._lock = Mutex()
        self._state = CONNECTING
        self._told = False  # that there is a client
        self._ending = False  # the server is
        self._code, self._reason = _ABNORMAL, ""
        self._parts: list[Any] = []
        self._size = 0
        self.scope = {
            **http,
            "type": "websocket",
            "scheme": "wss" if http["scheme"] == "https" else "ws",
            "subprotocols": list(request.subprotocols),
            "extensions": {"websocket.http.response": {}},
        }
        del self.scope["method"]

    # --- receiving -------------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """What ASGI calls `receive`."""
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        while self._state == OPEN:
            message = await self._found()
            if message is not None:
                return message
            if self._state == OPEN:
                await self._read()
        if self._state == CONNECTING:
            await self.exchange.left()
        return {"type": "websocket.disconnect", "code": self._code, "reason": self._reason}

    async def _read(self) -> None:
        data, self._rest = self._rest, b""
        if not data:
            try:
                data = await self.link.read()
            except OSError:
                data = b""
        if not data:
            self._closed(self._code, self._reason)
            return
        try:
            self._protocol.receive_data(data)
        except _wsproto.utilities.RemoteProtocolError as exc:
            await self._fail(getattr(exc.event_hint, "code", 1002), "protocol error")

    async def _found(self) -> dict[str, Any] | None:
        """A message that is complete, or the end; pings are answered."""
        try:
            for event in self._protocol.events():
                kind = type(event)
                if kind in (_events.TextMessage, _events.BytesMessage):
                    message = await self._part(event)
                    if message is not None:
                        return message
                elif kind is _events.Ping:
                    await self._out(event.response())
                elif kind is _events.CloseConnection:
                    await self._answerclose(event)
                    return None
        except _wsproto.utilities.RemoteProtocolError as exc:
            await self._fail(getattr(exc.event_hint, "code", 1002), "protocol error")
        return None

    async def _part(self, event: Any) -> dict[str, Any] | None:
        self._parts.append(event.data)
        self._size += len(event.data)
        if self._most is not None and self._size > self._most:
            await self._fail(_TOOBIG, "message too big")
            return None
        if not event.message_finished:
            return None
        parts, self._parts, self._size = self._parts, [], 0
        if type(event) is _events.TextMessage:
            return {"type": "websocket.receive", "text": "".join(parts)}
        return {"type": "websocket.receive", "bytes": b"".join(map(bytes, parts))}

    async def _answerclose(self, event: Any) -> None:
        try:
            await self._out(event.response())
        except (OSError, _wsproto.utilities.LocalProtocolError):
            pass  # we had said so first
        self._closed(event.code, event.reason or "")

    async def _fail(self, code: int, reason: str) -> None:
        try:
            await self._out(_events.CloseConnection(code, reason))
        except (OSError, _wsproto.utilities.LocalProtocolError):
            pass
        self._closed(code, reason)

    def _closed(self, code: int, reason: str) -> None:
        if self._state != CLOSED:
            self._state = CLOSED
            self._code, self._reason = code, reason

    # --- sending ---------------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """What ASGI calls `send`."""
        kind = message["type"]
        if self._state == CLOSED:
            raise OSError(f"the WebSocket is closed ({self._code})")
        if self._state == OPEN:
            if kind == "websocket.send":
                data = message.get("bytes")
                one = _events.TextMessage(message["text"]) if data is None else None
                await self._out(one or _events.BytesMessage(data))
                return
            if kind == "websocket.close":
                await self.close(message.get("code", 1000), message.get("reason") or "")
                return
        elif kind == "websocket.accept":
            await self._accept(message)
            return
        elif kind == "websocket.close":
            await self._refuse()
            return
        elif kind.startswith("websocket.http.response."):
            answer = {**message, "type": kind.removeprefix("websocket.")}
            await Exchange.send(self.exchange, answer)
            if self.exchange.state == DONE:
                self._closed(_ABNORMAL, "")
            return
        raise RuntimeError(f"ASGI: unexpected message {shown(kind)} on a WebSocket")

    async def _accept(self, message: Any) -> None:
        deflate = [_extensions.PerMessageDeflate()] if self._deflate else []
        extra = list(message.get("headers", ()))
        subprotocol = message.get("subprotocol")
        await self._out(_events.AcceptConnection(subprotocol, deflate, extra), OPEN)
        if self._ending:
            await self._restarts()

    async def _refuse(self) -> None:
        await self._out(_events.RejectConnection(status_code=403, headers=[_EMPTY]))
        self.exchange.status = 403
        self._closed(_ABNORMAL, "")

    async def close(self, code: int, reason: str) -> None:
        """Say that it is over, if it is open."""
        if self._state == OPEN:
            await self._fail(code, reason)

    async def _out(self, event: Any, state: int | None = None) -> None:
        async with self._lock:
            data = self._protocol.send(event)
            if state is not None:  # before the client knows of it: it is what `shutdown` asks for
                self._state = state
                self.exchange.status = 101
            try:
                await self.link.writelong(data)
            except OSError:
                self._closed(_ABNORMAL, "")
                raise

    # --- the end ---------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server ends: tell both sides so."""
        self._ending = True
        go(self._restarts)

    async def _restarts(self) -> None:
        if self._state == CONNECTING:
            return  # the application is asked just now: `_accept` looks at `_ending` after that
        try:
            await self.close(_RESTART, "the server ends")
        except OSError:
            pass
        self.link.expire()

    async def ended(self, failed: bool) -> None:
        """The application has returned, or raised."""
        if self._state == CONNECTING and self.exchange.state != DONE:
            self.exchange.status = 500 if failed else 403
            status = self.exchange.status
            await self._out(_events.RejectConnection(status_code=status, headers=[_EMPTY]))
        await self.close(1011 if failed else 1000, "")
        self._closed(_ABNORMAL, "")
