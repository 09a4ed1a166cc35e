"""Stream: one request over HTTP/2 and its answer, as an Exchange is one over HTTP/1.1.

It is its own `link` as well: what HTTP/1.1 asks of a connection, whether the client is there and
what more it sends, is a matter of the stream here. What it sends goes through the connection
(`wire`), whose lock guards what both touch: chunks, `complete`, `gone`, the two channels on which
the stream waits. A body is told to be read as the application reads it, so a client that sends
faster is held up by the stream's window; what the client does not read holds up `send`.

Source: RFC 9113. Tests: tests/http/test_http2.py
"""

from __future__ import annotations

from typing import Any, Final

import gopark
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark.http._exchange import DONE, PIECE, STARTED, STREAMING, TRAILING, Exchange, Headers
from gopark.http._head import CONNECTION, DATE, LENGTH, NAMES, TRANSFER, checkvalues, known

__all__ = ("Stream",)

Fields = list[tuple[bytes, bytes]]
_SLOW: Final = 512
# What belongs to one connection of HTTP/1.1, and must not be sent here.
_OLD: Final = frozenset((b"keep-alive", b"proxy-connection", b"upgrade"))


class Stream(Exchange):
    """One of a connection's."""

    environ: dict[str, Any] | None = None
    gone = False  # the client has given it up, or left
    finished = False  # its end was sent
    bad: tuple[int, str] | None = None  # the answer in place of the application's
    _room: Chan[None] | None = None  # there may be room to send
    _news: Chan[None] | None = None  # something has come
    _size = 0  # bytes of the body that have come
    _owed = 0  # of which the client has not been told that they were taken
    _slow = 0
    _until = 0.0

    def __init__(self, wire: Any, number: int, scope: Any) -> None:
        self.wire = wire
        self.number = number
        self.scope = scope
        self.server = wire.server
        self.client = wire.client
        self.local = wire.local
        self.head = scope["method"] == "HEAD"
        self.keepalive = True

    @property
    def link(self) -> Any:
        return self

    # --- what comes; under the connection's lock -------------------------------------------------

    def arrived(self, data: bytes, owed: int) -> None:
        """A piece of the body."""
        self._owed += owed
        if self.bad is not None:
            return
        self._size += len(data)
        most = self.server.limits.body_size
        if most is not None and self._size > most:
            self.refuse(413, f"a body has at most {most:,} bytes here")
        elif data:
            self._slow += len(data)
            if self._slow >= _SLOW:
                self._slow, self._until = 0, 0.0
            self.came(data)
        self.wake()

    def ended(self) -> None:
        """The body is there."""
        self.complete = True
        self.wake()

    def wake(self) -> None:
        if self._news is not None:
            self._news.try_send(None)

    def roomy(self) -> None:
        """There may be room to send."""
        if self._room is not None:
            self._room.try_send(None)

    def lost(self) -> None:
        """The client has given it up."""
        self.gone = True
        self.wake()
        self.roomy()
        self.departed()

    def refuse(self, status: int, text: str) -> None:
        if self.bad is None:
            self.bad = status, text

    # --- the request ------------------------------------------------------------------------------

    def take(self) -> dict[str, Any] | None:
        with self.wire.lock:
            message = super().take()
            owed, self._owed = self._owed, 0
            if owed and not self.complete:
                self.wire.taken(self.number, owed)
        if owed:
            self.wire.kick()
        return message

    async def proceed(self) -> None:
        if self.expects:
            self.expects = False
            if self.state == 0:
                await self.wire.headers(self, [(b":status", b"100")], False)

    async def more(self) -> bool:
        """Wait for more of the body: False, if there will be none."""
        with self.wire.lock:
            if self.bad is not None or self.gone:
                return False
            if self.complete or self.chunks:
                return True
            if self._news is None:
                self._news = Chan(1)
            news = self._news
        seconds = self.server.timeouts.body
        if seconds is None:
            await news.recv()
        elif not await self._soon(news, seconds):
            self.refuse(408, "the body came too slowly")
        return self.bad is None and not self.gone

    async def _soon(self, news: Chan[None], seconds: float) -> bool:
        if not self._until:
            self._until = monotonic() + seconds
        scope = gopark.timeout(max(0.0, self._until - monotonic()))
        try:
            with scope:
                await news.recv()
        except TimeoutError:
            return False
        return True

    async def left(self) -> None:
        with self.wire.lock:
            if self._over is None:
                self._over = Chan()
            over = self._over
            if self.state == DONE or self.gone:
                return
        await over.recv_ok()

    def watch(self) -> None:
        if self.gone:
            self.departed()

    # --- the answer -------------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        out = self.render(message)
        if out is None:
            return
        if isinstance(out, str):
            with open(out, "rb") as file:
                await self.writefile(file, 0, file.seek(0, 2))
            return
        await self.emit(*out)

    async def emit(self, fields: Fields | None, body: Any, end: bool) -> None:
        """Header fields, if there are any; bytes of the body; the end."""
        if fields is not None:
            await self.wire.headers(self, fields, end and not body)
            if not body:
                return
        await self.wire.data(self, body, end)

    def waiting(self) -> Chan[None]:
        """What is told that there is room; under the connection's lock."""
        if self._room is None:
            self._room = Chan(1)
        return self._room

    def _fields(self) -> tuple[Fields, int | None, bool, bool]:
        """Of the answer; the length they say; the application has said date, and server."""
        status = self.status
        if not isinstance(status, int) or not 100 <= status <= 999:
            raise ValueError(
                f"the status of an answer is a number from 100 to 999, got {shown(status)}"
            )
        fields: Fields = [(b":status", b"%d" % status)]
        length: int | None = None
        dated = named = False
        for name, value in self._headers:
            _, meaning = NAMES.get(name) or known(name)
            lower = bytes(name).lower()
            if meaning == LENGTH:
                if not value.isdigit() or (length is not None and int(value) != length):
                    raise ValueError(f"not the length of a body: {shown(value)}")
                if length is not None:
                    continue
                length = int(value)
            elif meaning in (TRANSFER, CONNECTION) or lower in _OLD:
                continue
            elif meaning == DATE:
                dated = True
            elif meaning:
                named = True
            fields.append((lower, bytes(value)))
        checkvalues(b"".join(value for _, value in fields), 0)
        return fields, length, dated, named

    def first(self, body: bytes, more: bool) -> Any:
        fields, length, dated, named = self._fields()
        status = self.status
        if status < 200:
            raise ValueError(f"{status} is no status of an answer: it is one before it")
        if status == 204:
            self._body = False
        elif self.head or status == 304:
            self._body = False
            if length is None and body and not more:
                fields.append((b"content-length", b"%d" % len(body)))
        elif length is not None:
            self._left = length
        elif not (more or self._trailers):
            self._left = len(body)
            fields.append((b"content-length", b"%d" % len(body)))
        fields += self.server.stampfields(dated, named)
        self.state = STREAMING
        _, body, end = self.next(body, more) or (None, b"", False)
        return fields, body, end

    def next(self, body: bytes, more: bool) -> Any:
        body = self._counted(body, more)
        end = not more
        if end and self._trailers:
            self.state, end = TRAILING, False
        elif end:
            self.over()
        return (None, body, end) if body or end else None

    async def writefile(self, file: Any, at: int, end: int) -> None:
        """An answer whose body is that part of a file."""
        await self.emit(*self.startfile(end - at))
        file.seek(at)
        sent = 0
        while at + sent < end and self._body:
            data = file.read(min(PIECE, end - at - sent))
            if not data:
                raise RuntimeError(f"{file} has become shorter while it was sent")
            sent += len(data)
            await self.emit(None, data, False)
        await self.emit(None, b"", True)
        self.filesent(sent)

    def startfile(self, size: int) -> Any:
        self._headers = [*self._headers]
        _, length, *_ = self._fields()
        if length is None:
            self._headers.append((b"content-length", b"%d" % size))
        elif length != size and not self.head:
            raise RuntimeError(f"the file has {size} bytes, and the content-length says {length}")
        return self.first(b"", True)

    def _hint(self, links: list[bytes]) -> Any:
        if not links:
            return None
        checkvalues(b"".join(links), 0)
        return [(b":status", b"103"), *((b"link", link) for link in links)], b"", False

    def _trailer(self, headers: Headers, more: bool) -> Any:
        fields = [(bytes(name).lower(), bytes(value)) for name, value in headers]
        for name, value in fields:
            known(name)
            checkvalues(value, 0)
        held: Fields = self.__dict__.setdefault("_held", [])
        held += fields  # all of them are one block here
        if more:
            return None
        self.over()
        return (held, b"", True) if held else (None, b"", True)

    def refusal(self, status: int, text: str) -> Any:
        """A whole answer, in place of the application's."""
        self._headers = [(b"content-type", b"text/plain; charset=utf-8")]
        self._trailers, self._left = False, None
        self.status, self.state = status, STARTED
        return self.first(f"{status}: {text}\n".encode(), False)
