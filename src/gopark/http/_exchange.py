"""Exchange: one request and its answer, what an application is given as `receive` and `send`.

    FRESH -> STARTED -> STREAMING -> [TRAILING ->] DONE
`http.response.start` is kept back until the first piece of the body, so that an answer of one piece
is one write. How the body is framed is settled then: by its length if the application says it or
sends all at once, else in chunks, else by the end of the connection (HTTP/1.0).

The connection under it (`link`) reads, writes, and tells what came: chunks of the body in `chunks`,
`complete` when it is all there.

Source: the ASGI specification 3.0, HTTP 2.5. Tests: tests/http/test_asgi.py, test_http1.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gopark._runtime.base.errors import ClosedChannelError
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark.http._head import (
    CONNECTION,
    DATE,
    LENGTH,
    NAMES,
    TRANSFER,
    checkvalues,
    known,
    statusline,
)

__all__ = ("APP", "DONE", "FRESH", "PIECE", "STARTED", "STREAMING", "TRAILING", "WRITE", "Exchange")

FRESH: Final = 0
STARTED: Final = 1
STREAMING: Final = 2
TRAILING: Final = 3
DONE: Final = 4

# Phases of a connection while an application has it: see _reaper.py.
APP: Final = 3
WRITE: Final = 4

PIECE: Final = 262144  # bytes that a client is given at a time, in the time of one write

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
Headers = Iterable[tuple[bytes, bytes]]


class Exchange:
    """A request over HTTP/1.1, and what has been answered so far."""

    # What most requests leave as it is stands here, and costs them nothing.
    complete = False  # the body is there
    expects = False  # it waits for a 100
    told = False  # the application has the whole body
    chunks: Sequence[bytes] = ()  # of the body, that the application does not have
    state = FRESH
    status = 0
    chunked = False
    sent = 0  # bytes of the body
    since = 0.0
    _body = True  # the answer has one
    _left: int | None = None  # bytes yet to come, where the length was said
    _over: Chan[None] | None = None
    _trailers = False
    _headers: Headers = ()
    websocket: Any = None  # the client speaks that from here on
    context: Any = None  # see _context.py
    goid = 0  # of the goroutine that answers; 0: the connection's
    awaited = False  # it is watched as soon as the body is there

    def __init__(self, link: Any, scope: Any, head: bool, keepalive: bool) -> None:
        self.link = link
        self.scope = scope
        self.head = head  # it is a HEAD
        self.keepalive = keepalive

    def came(self, data: bytes) -> None:
        """A piece of the body."""
        chunks = self.chunks
        if chunks.__class__ is list:
            chunks.append(data)
        else:
            self.chunks = [data]

    # --- the request -------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """What ASGI calls `receive`."""
        return self.take() or await self.slow()

    def take(self) -> dict[str, Any] | None:
        """A message that is there already."""
        if not self.told:
            if not (self.complete or self.chunks):
                return None
            chunks = self.chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self.chunks = ()
            self.told = self.complete
            return {"type": "http.request", "body": body, "more_body": not self.told}
        if self.state == DONE or self.link.gone:
            return {"type": "http.disconnect"}
        return None

    async def slow(self) -> dict[str, Any]:
        """Wait for the next message."""
        if not self.told:
            await self.proceed()
            while not (self.chunks or self.complete):
                if not await self.link.more():
                    return {"type": "http.disconnect"}
            return self.take() or {"type": "http.disconnect"}
        await self.left()
        return {"type": "http.disconnect"}

    async def proceed(self) -> None:
        """The body is wanted: tell a client that waits to hear so."""
        if self.expects:
            self.expects = False
            if self.state == FRESH:
                await self.link.conn.write(_CONTINUE)

    async def left(self) -> None:
        """Wait until the client leaves, or the answer is complete."""
        over = self._over
        if over is None:
            over = self._over = Chan()
        if self.state == DONE or self.link.gone:
            return
        ahead = self.link.ahead()
        index, _, _ = await select(recv(over), recv(ahead.ended()))
        if index and not self.link.leftby(ahead):
            await over.recv_ok()  # it has sent its next request before the answer to this one

    def over(self) -> None:
        """The answer is complete, or will never be."""
        self.state = DONE
        self._wake()

    def departed(self) -> None:
        """The client has left: who waits for that hears of it."""
        self._wake()
        if self.context is not None:
            self.context._cancel()

    def _wake(self) -> None:
        over = self._over
        if over is not None:
            try:
                over.close()
            except ClosedChannelError:
                pass  # it left at the moment at which the answer was complete

    def watch(self) -> None:
        """Somebody wants to hear when the client leaves, and does not ask by `receive`."""
        self.awaited = True
        if self.link.gone:
            self.departed()
        elif self.complete:
            go(self._watched)

    async def _watched(self) -> None:
        ahead = self.link.ahead()
        index, _, _ = await select(recv(ahead.ended()), recv(self.context.done()))
        if not index:
            self.link.leftby(ahead)

    # --- the answer ----------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """What ASGI calls `send`."""
        if self.state == FRESH and message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = message.get("headers", ())
            self._trailers = message.get("trailers", False)
            self.state = STARTED
            return
        out = self.render(message)
        if out is not None:
            link = self.link
            link.phase = WRITE
            link.mark += 1
            if out.__class__ is not bytes or len(out) > PIECE:
                await link.writelong(out)
            else:
                try:
                    await link.conn.write(out)
                except OSError:
                    link.lost()
                    raise
            link.phase = APP

    def render(self, message: Any) -> Any:
        """The bytes that are to be sent now; a path (str), whose file is; None."""
        kind = message["type"]
        state = self.state
        if kind == "http.response.start" and state == FRESH:
            self.status = message["status"]
            self._headers = message.get("headers", ())
            self._trailers = message.get("trailers", False)
            self.state = STARTED
            return None
        if kind == "http.response.body":
            body, more = message.get("body", b""), message.get("more_body", False)
            if state == STARTED:
                return self.first(body, more)
            if state == STREAMING:
                return self.next(body, more)
        return self._rare(kind, message)

    def _rare(self, kind: str, message: Any) -> Any:
        state = self.state
        if kind == "http.response.early_hint" and state == FRESH:
            return self._hint([bytes(link) for link in message.get("links", ())])
        if kind == "http.response.pathsend" and state == STARTED:
            return str(message["path"])
        if kind == "http.response.trailers" and state == TRAILING:
            return self._trailer(message.get("headers", ()), message.get("more_trailers", False))
        if self.link.gone:
            raise OSError("the client has left")
        known_ = ("http.response.start", "http.response.body")
        if state == FRESH:
            expected = "'http.response.start'"
        elif state == DONE:
            expected = "nothing more: the answer is complete"
        else:
            expected = "'http.response.trailers'" if state == TRAILING else "'http.response.body'"
        what = "unexpected" if kind in known_ else "unknown or unexpected"
        raise RuntimeError(f"ASGI: {what} message {shown(kind)}; expected is {expected}")

    def _lines(self) -> tuple[bytes, int | None, bool, bool, bool]:
        """Status line and headers; the length they say; `close`, `date`, `server` are there."""
        lines = [statusline(self.status)]
        length: int | None = None
        close = dated = named = False
        count = 0
        for name, value in self._headers:
            try:
                before, meaning = NAMES[name]
            except (KeyError, TypeError):
                before, meaning = known(name)
            if meaning:
                if meaning == LENGTH:
                    length = _length(value, length)
                elif meaning == TRANSFER:
                    continue  # this server sees to that
                elif meaning == CONNECTION:
                    close = close or b"close" in value.lower()
                    continue
                elif meaning == DATE:
                    dated = True
                else:
                    named = True
            lines += before, value
            count += 1
        try:
            block = b"".join(lines)
        except TypeError:
            wrong = next(
                one for one in lines if not isinstance(one, bytes | bytearray | memoryview)
            )
            raise TypeError(f"a header's value is bytes, got {shown(wrong)}: encode it") from None
        checkvalues(block, count)
        return block, length, close, dated, named

    def first(self, body: bytes, more: bool) -> bytes:
        """Head and first piece of the body."""
        block, length, close, dated, named = self._lines()
        status = self.status
        framing = b""
        if status < 200 or status == 204:
            if status < 200:
                raise ValueError(f"{status} is no status of an answer: it is one before it")
            self._body = False
        elif self.head or status == 304:
            self._body = False
            if length is None and body and not more:
                framing = b"\r\ncontent-length: %d" % len(body)
        elif length is not None:
            self._left = length
        elif not (more or self._trailers):
            self._left = length = len(body)
            framing = b"\r\ncontent-length: %d" % length
        elif self.scope["http_version"] == "1.1":
            self.chunked = True
            framing = b"\r\ntransfer-encoding: chunked"
        else:
            close = True
        if not self.keepalive or close or self.link.server.closing:
            self.keepalive = False
            framing += b"\r\nconnection: close"
        elif self.scope["http_version"] == "1.0":
            framing += b"\r\nconnection: keep-alive"
        stamp = self.link.server.stamp(dated, named)
        if more or self._trailers or length != len(body) or not self._body:
            payload = self.next(body, more) or b""
        else:  # all of it at once: what `next` would come to
            payload = body
            self.sent, self._left = length, 0
            self.over()
        if self.state == STARTED:
            self.state = STREAMING
        return b"".join((block, stamp, framing, b"\r\n\r\n", payload))

    def _counted(self, body: bytes, more: bool) -> bytes:
        """What of it is sent: nothing in an answer to HEAD; no more and no less than was said."""
        if not self._body:
            return b""
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("the body of the answer is longer than its content-length says")
            if not more and self._left:
                raise RuntimeError("the body of the answer is shorter than its content-length says")
        self.sent += len(body)
        return body

    def next(self, body: bytes, more: bool) -> bytes | None:
        """A piece of the body, in its frame."""
        body = self._counted(body, more)
        size = len(body)
        if self.chunked:
            if more or (self._trailers and size):
                out = b"%x\r\n%b\r\n" % (size, body) if size else b""
            elif self._trailers:
                out = b""
            else:
                out = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if size else b"0\r\n\r\n"
        else:
            out = body
        if not more:
            if self._trailers and self.chunked:
                self.state = TRAILING
                out += b"0\r\n"
            else:
                self.over()
        return out or None

    def startfile(self, size: int) -> bytes:
        """The head of an answer whose body is a file, which the caller sends."""
        self._headers = [*self._headers]
        _, length, *_ = self._lines()
        if length is None:
            self._headers.append((b"content-length", b"%d" % size))
            length = size
        if length != size and not self.head:
            raise RuntimeError(f"the file has {size} bytes, and the content-length says {length}")
        return self.first(b"", True)

    def filesent(self, size: int) -> None:
        """It was."""
        self.sent += size
        self.over()

    @property
    def hasbody(self) -> bool:
        return self._body

    def _hint(self, links: list[bytes]) -> bytes | None:
        if self.scope["http_version"] == "1.0" or not links:
            return None  # such a client does not know of answers before the answer
        block = b"HTTP/1.1 103 Early Hints" + b"".join(b"\r\nlink: " + link for link in links)
        checkvalues(block, len(links))
        return block + b"\r\n\r\n"

    def _trailer(self, headers: Headers, more: bool) -> bytes | None:
        lines = [(known(name)[0], value) for name, value in headers]
        block = b"".join(before + value for before, value in lines)
        checkvalues(block, len(lines))
        out = block[2:] + b"\r\n" if block else b""
        if more:
            return out or None
        self.over()
        return out + b"\r\n"


def _length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or (before is not None and int(value) != before):
        raise ValueError(f"not the length of a body: {shown(value)}")
    return int(value)
