"""A connection that speaks HTTP/2: a goroutine that reads, and one for each request.

Over TLS where the client has chosen `h2` (ALPN), and in the clear for who begins with it (prior
knowledge). The protocol is the library h2's: this file moves bytes and wakes who waits.

    lock      guards the state of h2, the streams, and `_out`: what is to be sent. No wait under it
    _writing  somebody writes what is in `_out`, and goes on until it is empty: frames go out in the
              order in which they were made, and nobody reads the worse for it
Who wants to send more while much is unsent waits (`_HIGH`), and so does the reader: a client that
asks and does not read is held up. Streams that a client opens and resets count until their handlers
have returned; one that has twice as many as it may have open is cut off.

Source: RFC 9113; Go 1.27 net/http/h2_bundle.go (serverConn). Tests: tests/http/test_http2.py
"""

from __future__ import annotations

import importlib
import threading
from typing import Any, Final
from urllib.parse import unquote

import gopark
from gopark import context
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.sysmon import hostcodes
from gopark.http._exchange import FRESH, STARTED
from gopark.http._have import answered
from gopark.http._reaper import APP, HEADER, IDLE, LINGER
from gopark.http._stream import Stream

__all__ = ("HTTP2", "PREFACE", "available")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_h2: Final = _imported("h2")
if _h2 is not None:
    _connection: Any = importlib.import_module("h2.connection")
    _errors: Any = importlib.import_module("h2.errors").ErrorCodes
    _events: Any = importlib.import_module("h2.events")
    _settings: Any = importlib.import_module("h2.settings")
    _config: Any = importlib.import_module("h2.config")
    _exceptions: Any = importlib.import_module("h2.exceptions")
    _frame: Any = importlib.import_module("hyperframe.frame")

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_READ: Final = 65536
_HIGH: Final = 262144  # bytes that are unsent: who wants to send more waits
_WINDOW: Final = 131072  # bytes of a body that a client may send before they are read
_ALL: Final = 1 << 20  # of all bodies of a connection


def available() -> bool:
    """h2 is installed."""
    return _h2 is not None


class HTTP2:
    """One connection of a server's, after HTTP/1.1 has seen how it begins."""

    goid = 0

    def __init__(self, first: Any) -> None:
        self.server = server = first.server
        self.conn = first.conn
        self.client, self.local = first.client, first.local
        self._forwards = first._forwards
        self.phase, self.mark, self.seen, self.seenat = HEADER, 0, -1, 0.0
        self.lock = threading.Lock()
        self._out: list[bytes] = []
        self._unsent = 0
        self._writing = False
        self._waiting: list[Chan[None]] = []  # for less to be unsent
        self._streams: dict[int, Any] = {}  # whose answer is not complete
        self._running: set[Any] = set()  # streams whose handlers run
        self._none: Chan[None] = Chan(1)  # no handler runs any more
        self._count = 0
        self._gone = False
        self._ending = False  # the client has been told so
        self._h2 = h2 = _connection.H2Connection(
            _config.H2Configuration(client_side=False, header_encoding=None)
        )
        codes = _settings.SettingCodes
        h2.local_settings = _settings.Settings(
            client=False,
            initial_values={
                codes.MAX_CONCURRENT_STREAMS: server.limits.streams or 2**31 - 1,
                codes.INITIAL_WINDOW_SIZE: _WINDOW,
                codes.MAX_HEADER_LIST_SIZE: server.limits.header_size or 2**20,
            },
        )
        h2.decoder.max_header_list_size = server.limits.header_size or 2**20
        h2.initiate_connection()  # what it says first, also if the server ends at once
        h2.increment_flow_control_window(_ALL - 65535)
        self._gather()

    def requests(self) -> list[Any]:
        """What is being answered."""
        return list(self._running)

    # --- reading ----------------------------------------------------------------------------------

    async def serve(self, data: bytes) -> None:
        """The connection's goroutine."""
        try:
            while data and await self._feed(data):
                data = await self.conn.read(_READ)
        except (OSError, EOFError):
            pass  # it has left, or is to
        finally:
            await self._over()

    async def _over(self) -> None:
        """Nothing more is read: what is said last, and then the end of all that runs."""
        self.phase = LINGER
        self.mark += 1
        if not self._gone:
            self.goaway()
            await self.flush()
        self._cut()
        while self._running:
            await self._none.recv()
        self.server.left(self)

    def _cut(self) -> None:
        with self.lock:
            self._gone = True
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in [*streams, *list(self._running)]:
            stream.lost()
        self._drained()
        self.conn.close()

    async def _feed(self, data: bytes) -> bool:
        """False: nothing more is to be read."""
        new: list[Any] = []
        with self.lock:
            if self._gone:
                return False  # it was cut as this came
            try:
                events = self._h2.receive_data(data)
                goes = self._happened(events, new) and self._fits()
            except _exceptions.ProtocolError as exc:
                self.server.rejected(self, 400, str(exc))
                goes = False
                self._ending = True  # h2 has said so
            self._gather()
        for stream in new:
            go(self._answer, stream)
        self.kick()
        await self.room()
        if self._ending and not self._running and not new:
            return False
        return goes

    def _happened(self, events: list[Any], new: list[Any]) -> bool:
        came = 0
        for event in events:
            kind = type(event)
            if kind is _events.RequestReceived:
                stream = self._request(event)
                if stream is not None:
                    new.append(stream)
                    self._running.add(stream)
            elif kind is _events.DataReceived:
                size = event.flow_controlled_length
                came += size
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.arrived(event.data, size)
            elif kind is _events.StreamEnded:
                if event.stream_id in self._streams:
                    self._streams[event.stream_id].ended()
            elif kind is _events.StreamReset:
                stream = self._streams.pop(event.stream_id, None)
                if stream is not None:
                    stream.lost()
            elif kind is _events.WindowUpdated and event.stream_id:
                if event.stream_id in self._streams:
                    self._streams[event.stream_id].roomy()
            elif kind is _events.WindowUpdated or kind is _events.RemoteSettingsChanged:
                for stream in self._streams.values():
                    stream.roomy()
            elif kind is _events.ConnectionTerminated:
                # It asks for nothing more; what it has asked for h2 would not let us answer.
                self._ending = True
                self._h2.state_machine.state = _connection.ConnectionState.OPEN
        if came and not self._ending:
            self._h2.increment_flow_control_window(came)  # of all bodies: each has its own
        return self._calm()

    def _fits(self) -> bool:
        """h2 looks at a frame's length once it has all of it, up to 16 MB."""
        most = self._h2.max_inbound_frame_size + 9
        if len(getattr(self._h2.incoming_buffer, "_data", b"")) <= most:
            return True
        self.server.rejected(self, 400, "a frame that is too long")
        self._h2.close_connection(_errors.FRAME_SIZE_ERROR)
        self._ending = True
        return False

    def _calm(self) -> bool:
        most = self.server.limits.streams
        if most is None or len(self._running) <= 2 * most:
            return True
        self.server.rejected(self, 429, "streams are opened and reset at once")
        self._h2.close_connection(_errors.ENHANCE_YOUR_CALM)
        self._ending = True
        return False

    def _request(self, event: Any) -> Any:
        """A stream that has begun; None: it was refused."""
        if self._ending:
            self._h2.reset_stream(event.stream_id, _errors.REFUSED_STREAM)
            return None
        self._count += 1
        self.phase = APP
        self.mark += 1
        server, pseudo, headers, cookies = self.server, {}, [], []
        expects = False
        for name, value in event.headers:
            if name[:1] == b":":
                pseudo[name] = value
            elif name == b"cookie":
                cookies.append(value)
            else:
                expects = expects or (name == b"expect" and value.lower() == b"100-continue")
                headers.append((name, value))
        if cookies:
            headers.append((b"cookie", b"; ".join(cookies)))
        authority = pseudo.get(b":authority")
        if authority is not None and not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", authority))
        raw, _, query = pseudo.get(b":path", b"").partition(b"?")
        path = raw.decode("latin-1")
        scope = {
            "type": "http",
            "asgi": server.asgi,
            "http_version": "2",
            "method": pseudo[b":method"].decode("latin-1"),
            "scheme": server.scheme,
            "path": server.root_path + (unquote(path) if "%" in path else path),
            "raw_path": raw,
            "query_string": query,
            "root_path": server.root_path,
            "headers": headers,
            "client": self.client,
            "server": self.local,
            "state": server.state.copy(),
            "extensions": server.extensions.copy(),
        }
        if self._forwards:
            server.proxies.apply(scope)
        stream = server.stream(self, event.stream_id, scope)
        stream.expects = expects
        self._check(stream, raw, headers)
        self._streams[event.stream_id] = stream
        most = server.limits.requests
        if most is not None and self._count >= most:
            self._say()
        return stream

    def _check(self, stream: Any, raw: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        limits, method = self.server.limits, stream.scope["method"]
        if method == "CONNECT":
            stream.refuse(501, "this is no proxy")
        elif not raw.startswith(b"/") and not (method == "OPTIONS" and raw == b"*"):
            stream.refuse(400, "the target is no path")
        if not any(name == b"host" and value for name, value in headers):
            stream.refuse(400, "no host")
        if limits.header_count is not None and len(headers) > limits.header_count:
            stream.refuse(431, f"a request has at most {limits.header_count} header lines here")
        most = limits.body_size
        said = [int(value) for name, value in headers if name == b"content-length"]
        if most is not None and said and said[0] > most:
            stream.refuse(413, f"a body has at most {most:,} bytes here")

    # --- a request --------------------------------------------------------------------------------

    async def _answer(self, stream: Any) -> None:
        server = self.server
        stream.goid = tls.m.curg.goid  # type: ignore[union-attr]
        try:
            if stream.bad is None:
                await answered(server, stream, stream.refuse)
            await self._finish(stream)
        except OSError:
            pass  # it has left
        finally:
            if server.logs:
                server.log(stream)
            self._streams.pop(stream.number, None)
            self._running.discard(stream)
            self.mark += 1
            if not self._running:
                self.phase = IDLE
                self._none.try_send(None)
                if self._ending:
                    self.expire()

    async def _finish(self, stream: Any) -> None:
        """The application has returned: what it has left undone."""
        state, code = stream.state, _errors.NO_ERROR
        if not (stream.finished or stream.gone):
            if state in (FRESH, STARTED):
                out = stream.refusal(*(stream.bad or self.server.failure(stream)))
                await Stream.emit(stream, *out)
            else:
                code = _errors.INTERNAL_ERROR  # what was sent is not to pass for the whole
        stream.over()
        with self.lock:
            if stream.gone or self._gone or (stream.complete and code == _errors.NO_ERROR):
                return
            try:  # a body that nobody has read needs not be sent
                self._h2.reset_stream(stream.number, code)
            except _exceptions.ProtocolError:
                return
            self._gather()
        await self.flush()

    # --- writing ----------------------------------------------------------------------------------

    def taken(self, number: int, size: int) -> None:
        """So much of a body was read; under the lock."""
        if self._gone:
            return
        try:
            self._h2.increment_flow_control_window(size, number)
        except _exceptions.ProtocolError:
            return  # the stream has ended meanwhile
        self._gather()

    async def headers(self, stream: Any, fields: Any, end: bool) -> None:
        """Send header fields, for one of its streams."""
        with self.lock:
            self._there(stream)
            try:
                self._h2.send_headers(stream.number, fields, end_stream=end)
            except _exceptions.ProtocolError as exc:
                raise OSError(f"the client has left: {exc}") from None
            stream.finished = stream.finished or end
            self._gather()
        await self.flush()

    async def data(self, stream: Any, body: Any, end: bool) -> None:
        """Send bytes of a body, as the client has room for them."""
        view, at, room = memoryview(body).cast("B"), 0, None
        while True:
            with self.lock:
                self._there(stream)
                room = self._some(stream, view[at:], end)
                if isinstance(room, int):
                    at += room
            if not isinstance(room, int):
                await self.flush()
                await self._wait(room, stream)
                continue
            if at == len(view):
                break
            await self.room()
        await self.flush()

    def _some(self, stream: Any, view: memoryview, end: bool) -> Any:
        """How much was sent; or a channel that is told that there is room."""
        try:
            window = self._h2.local_flow_control_window(stream.number)
            n = min(len(view), window, self._h2.max_outbound_frame_size)
            if n <= 0 and view:
                return stream.waiting()
            n = max(n, 0)
            end = end and n == len(view)
            self._h2.send_data(stream.number, bytes(view[:n]), end_stream=end)
            stream.finished = stream.finished or end
        except _exceptions.ProtocolError as exc:
            raise OSError(f"the client has left: {exc}") from None
        self._gather()
        return n

    async def _wait(self, room: Chan[None], stream: Any) -> None:
        seconds = self.server.timeouts.write
        if seconds is None:
            await room.recv()
            return
        with gopark.timeout(seconds):
            await room.recv()

    def _there(self, stream: Any) -> None:
        if stream.gone or self._gone:
            raise OSError("the client has left")

    def _gather(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._out.append(data)
            self._unsent += len(data)

    def kick(self) -> None:
        """Have somebody write what there is."""
        if self._out and not self._writing:
            go(self.flush)

    async def flush(self) -> None:
        """Write what there is, unless somebody does."""
        while True:
            with self.lock:
                if self._writing or not self._out:
                    return
                self._writing = True
                data = b"".join(self._out)
                self._out.clear()
            try:
                with context.shield():  # a frame that is cut off would be the end of all streams
                    await self._write(data)
            finally:
                with self.lock:
                    self._writing = False
                    self._unsent -= len(data)
                self._drained()

    async def _write(self, data: bytes) -> None:
        seconds = self.server.timeouts.write
        try:
            if seconds is not None:
                self.conn.set_write_deadline(monotonic() + seconds)
            await self.conn.write(data)
        except OSError:
            self._cut()

    async def room(self) -> None:
        """Wait until not too much is unsent."""
        while self._unsent > _HIGH and not self._gone:
            with self.lock:
                if self._unsent <= _HIGH or self._gone:
                    return
                less = Chan[None](1)
                self._waiting.append(less)
            await self.flush()
            await less.recv()

    def _drained(self) -> None:
        with self.lock:
            waiting, self._waiting = self._waiting, []
        for less in waiting:
            less.try_send(None)

    # --- the end ----------------------------------------------------------------------------------

    def _say(self) -> None:
        """That no more requests are taken: GOAWAY, after which h2 itself would send nothing."""
        if not self._ending:
            self._ending = True
            last = self._h2.highest_inbound_stream_id
            data = _frame.GoAwayFrame(0, last_stream_id=last, error_code=0).serialize()
            self._out.append(data)
            self._unsent += len(data)

    def goaway(self) -> None:
        with self.lock:
            self._say()

    def ending(self) -> None:
        """The server ends: what runs is answered."""
        self.goaway()
        self.kick()
        if not self._running:
            self.expire()

    def expire(self) -> None:
        """It has been in its phase for too long, or is to end."""
        try:
            self.conn.set_read_deadline(0.0)
        except OSError:
            pass  # it is closed

    def close(self) -> None:
        self._cut()


hostcodes.add(HTTP2._answer.__code__)
transparent.add(HTTP2._answer.__code__)
