"""A connection that speaks HTTP/1.1: reads requests, has each answered, in their order.

One goroutine. While an application has a request, nothing is read that it does not ask for: a
client that sends faster is held up by its own window. What it does ask for, or a context that
somebody waits on, is a read ahead (`ahead`), which the connection's own next read then is.

What comes is made requests of in _requests.py.

Source: Go 1.27 net/http/server.go (conn.serve). Tests: tests/http/test_http1.py
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import Any, Final

import gopark
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.sysmon import hostcodes
from gopark.http._context import begin, end
from gopark.http._exchange import DONE, FRESH, PIECE, STARTED, Exchange
from gopark.http._have import answered, failure
from gopark.http._head import refusal
from gopark.http._http2 import HTTP2, PREFACE
from gopark.http._reaper import APP, BODY, HEADER, IDLE, LINGER, WRITE
from gopark.http._requests import Requests

__all__ = ("HTTP1",)

_READ: Final = 65536
_DRAIN: Final = 262144  # bytes of a body that nobody wanted: Go's


class HTTP1(Requests):
    """One connection of a server's."""

    goid = 0  # of its goroutine
    environ: dict[str, Any] | None = None  # for WSGI, what all its requests have in common

    def __init__(self, server: Any, conn: Any) -> None:
        super().__init__(server, *server.addresses(conn))
        self.conn = conn
        self.phase, self.mark, self.seen, self.seenat = HEADER, 0, -1, 0.0
        self.gone = False  # the client is, or the connection is broken
        self.exchange: Exchange | None = None  # the one that is being answered
        # The application waits for its client's end in goroutines of its own: `_lock` guards which
        # of them, or the connection, has what was read ahead. No wait under it.
        self._lock = threading.Lock()
        self._ahead: Any = None  # a Task that reads
        self._stash = b""  # what it has read, before its time
        self._read = False  # there may be one of the two
        self._sniffs = server.http2  # it may speak that: its first bytes tell
        self._preface = b""  # what has been read of it, if it does

    # --- reading --------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The next bytes; none at the end. What was read ahead comes first."""
        if self._read:
            with self._lock:
                data, self._stash = self._stash, b""
                ahead, self._ahead = self._ahead, None
                self._read = ahead is not None and bool(data)
                if self._read:
                    self._ahead = ahead
            if data:
                return data
            if ahead is not None:
                data = await ahead
                if isinstance(data, OSError):
                    raise data
                return data  # type: ignore[no-any-return]
        try:
            return await self.conn.read(_READ)  # type: ignore[no-any-return]
        except EOFError:
            return b""  # TLS: it has left without saying so

    def ahead(self) -> Any:
        """A task that reads: it ends when something comes, or the client leaves."""
        with self._lock:
            if self._ahead is None:
                self._ahead = gopark.spawn(self._reading)
                self._read = True
            return self._ahead

    async def _reading(self) -> bytes | OSError:
        """An error is a result: perhaps nobody asks for it."""
        try:
            return await self.conn.read(_READ)  # type: ignore[no-any-return]
        except OSError as exc:
            return exc
        except EOFError:
            return b""

    def leftby(self, ahead: Any) -> bool:
        """What was read ahead is the end."""
        data = ahead.result()
        if isinstance(data, OSError):
            data = b""
        with self._lock:
            if self._ahead is not ahead:
                return self.gone  # somebody else has seen to it
            self._ahead = None
            self._stash += data
        if data:
            return False
        self.lost()
        return True

    async def more(self) -> bool:
        """For an application that waits for the body: False, if there will be none."""
        if self._bad is not None or self.gone:
            return False
        self.phase = BODY
        try:
            data = await self.read()
        except TimeoutError:
            self._refuse(408, "the body came too slowly")
            return False
        except OSError:
            data = b""
        if not data:
            self.lost()
            return False
        self._slowbytes += len(data)
        if self._slowbytes >= 512:
            self._slowbytes = 0
            self.mark += 1
        self._feed(data)
        self.phase = APP
        exchange = self.exchange
        if exchange is not None and exchange.awaited and exchange.complete:
            exchange.watch()
        return self._bad is None

    # --- writing --------------------------------------------------------------------------------

    def lost(self) -> None:
        """The client has left, or cannot be written to any more."""
        self.gone = True
        exchange = self.exchange
        if exchange is not None:
            exchange.departed()

    async def writelong(self, out: Any) -> None:
        """Bytes, a piece at a time; or, if it is a path, that file."""
        if isinstance(out, str):
            with open(out, "rb") as file:
                await self.writefile(file, 0, file.seek(0, 2))
            return
        self.phase = WRITE
        try:
            view = memoryview(out).cast("B")
            for at in range(0, len(view), PIECE):
                self.mark += 1
                await self.conn.write(view[at : at + PIECE])
        except OSError:
            self.lost()
            raise
        self.phase = APP

    async def writefile(self, file: Any, at: int, end: int) -> None:
        """An answer whose body is that part of a file."""
        exchange = self.exchange
        assert exchange is not None
        self.phase = WRITE
        self.mark += 1
        sent = 0
        try:
            await self.conn.write(exchange.startfile(end - at))
            while at < end and exchange.hasbody:
                self.mark += 1
                n = await self.conn.sendfile(file, at, min(PIECE, end - at))
                if not n:
                    raise RuntimeError(f"{file} has become shorter while it was sent")
                at += n
                sent += n
        except OSError:
            self.lost()
            raise
        exchange.filesent(sent)
        self.phase = APP

    # --- the life of it -------------------------------------------------------------------------

    def expire(self) -> None:
        """It has been in its phase for too long."""
        try:
            if self.phase == WRITE:
                self.conn.set_write_deadline(0.0)
            else:
                self.conn.set_read_deadline(0.0)
        except OSError:
            pass  # it is closed

    async def serve(self) -> None:
        """The connection's goroutine."""
        self.goid = tls.m.curg.goid  # type: ignore[union-attr]
        try:
            again = await self._serve()
        except OSError:
            again = False  # the client has left
        except BaseException:
            self.close()
            raise
        if self._preface:
            await self._second()
        elif not again:
            self.close()

    async def _second(self) -> None:
        """It speaks HTTP/2: that takes the connection over."""
        conns = self.server.conns
        link = HTTP2(self)
        conns.add(link)
        conns.discard(self)
        if self.server.closing:
            link.ending()
        await link.serve(self._preface)

    def requests(self) -> list[Any]:
        """What is being answered."""
        exchange = self.exchange
        return [] if exchange is None else [exchange]

    def ending(self) -> None:
        """The server ends: what is under way is answered."""
        exchange = self.exchange
        if self.phase == IDLE:
            self.expire()
        elif exchange is not None and exchange.websocket is not None:
            exchange.websocket.shutdown()

    def close(self) -> None:
        self.lost()
        self.conn.close()
        self.server.left(self)

    async def _serve(self) -> bool:
        """True: another goroutine goes on with it."""
        base = copy_context()
        queue = self._queue
        while True:
            while not queue:
                if self._bad is not None:
                    await self._reject()
                    return False
                if not await self._next():
                    return False
            exchange = queue.popleft()
            if self.gone:
                return False  # it was cut as this came: nobody is there for an answer
            if not queue and self._bad is not None and not exchange.complete:
                self.exchange = exchange
                await self._reject()
                return False
            if exchange.websocket is not None:
                await self._converse(exchange)
                return False
            await self._answer(exchange)
            if self.gone or not exchange.keepalive:
                if not self.gone:
                    await self._linger()
                return False
            if copy_context() != base:
                # The application has left a variable set. The next request shall not find it.
                base.run(go, self.serve)
                return True

    async def _next(self) -> bool:
        """Read, as long as a request has not begun; False at the end."""
        self.phase = HEADER if self._inhead or not self._count else IDLE
        if not self._inhead:
            self.mark += 1
        if self.server.closing and self.phase == IDLE:
            return False
        try:
            data = await self.read()
        except TimeoutError:
            if self._inhead:
                self._refuse(408, "the head came too slowly")
                return True
            return False
        if self._sniffs:
            data = await self._sniffed(data)
        if not data:
            return False
        self._feed(data)
        return True

    async def _sniffed(self, data: bytes) -> bytes:
        """The first bytes; none, if they are how HTTP/2 begins."""
        self._sniffs = False
        while data and len(data) < len(PREFACE) and PREFACE.startswith(data):
            more = await self.read()
            if not more:
                break
            data += more
        if not data.startswith(PREFACE):
            return data
        self._preface = data
        return b""

    async def _answer(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.phase = APP
        self.mark += 1
        await answered(self.server, exchange, self._refuse)
        if exchange.state != DONE:
            await self._unanswered(exchange)
        if not exchange.complete and exchange.keepalive and not self.gone:
            await self._drain(exchange)
        self.exchange = None
        if self.server.logs:
            self.server.log(exchange)

    async def _converse(self, exchange: Exchange) -> None:
        """The client has asked for a WebSocket."""
        self.exchange = exchange
        self.phase = APP
        self.mark += 1
        server = self.server
        exchange.since = monotonic()
        failed = True
        ctx = begin(exchange, server.base, None)
        ctx._exchange = None  # what comes is the WebSocket's, which sees the end as it reads
        try:
            await server.run(exchange.websocket)
            failed = False
        except BaseException as exc:
            if not failure(exc):
                raise
            server.failed(exchange.websocket, exc)
        finally:
            end(ctx)
        await exchange.websocket.ended(failed)
        exchange.over()
        if server.logs:
            server.log(exchange)
        await self._linger()

    async def _unanswered(self, exchange: Exchange) -> None:
        """The application has ended without an answer, or amid one."""
        state = exchange.state
        exchange.keepalive = False
        exchange.over()
        if self.gone:
            return
        if state in (FRESH, STARTED):
            status, text = self._bad or exchange.link.server.failure(exchange)
            exchange.status = status
            await self.conn.write(refusal(status, text))
        else:
            self.gone = True  # what was sent is not to pass for the whole

    async def _drain(self, exchange: Exchange) -> None:
        """The application has not read the body: the next request stands behind it."""
        if exchange.expects:
            exchange.keepalive = False  # a body that may come, or may not
            return
        read = 0
        while not exchange.complete:
            read += sum(map(len, exchange.chunks))
            exchange.chunks = ()
            if read > _DRAIN or not await self.more():
                exchange.keepalive = False
                return

    async def _reject(self) -> None:
        """What came is no request."""
        assert self._bad is not None
        status, text = self._bad
        self.phase = WRITE
        self.mark += 1
        self.server.rejected(self, status, text)
        await self.conn.write(refusal(status, text))
        await self._linger()

    async def _linger(self) -> None:
        """Close, once the client has read what was said: data that is unread would reset it."""
        self.phase = LINGER
        self.mark += 1
        try:
            ending = self.conn.close_write()
            if ending is not None:  # of TLS: it says so to the other side
                await ending
            read = 0
            while read < _DRAIN and (data := await self.read()):
                read += len(data)
        except OSError:
            pass


# One that blocks, or computes, says nothing of the next: applications have many handlers.
hostcodes.add(HTTP1.serve.__code__)
# What runs in them is the user's, and nothing is held below it.
transparent.update(
    fn.__code__ for fn in (HTTP1.serve, HTTP1._serve, HTTP1._answer, HTTP1._converse)
)
