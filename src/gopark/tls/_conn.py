"""Conn: TLS over a `net.Conn`: what its users see, and the handshake.

Source: Go 1.27 crypto/tls/conn.go. Tests: tests/tls/
"""

from __future__ import annotations

import ssl
from typing import Any, Final, NoReturn

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.suspend import called
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.startm import current
from gopark.context import Context, after_func
from gopark.net import Addr, ClosedError
from gopark.net import Conn as NetConn
from gopark.sync._again import copied, mine
from gopark.time import monotonic
from gopark.tls._errors import TruncatedError, explained, norecord
from gopark.tls._record import PIECE, SIZE, Buffer, Records
from gopark.tls._state import ConnectionState, stateof

__all__ = ("Conn",)

_GOODBYE: Final = 5.0  # seconds for close_notify to go: as Go's


class Conn(Records):
    """A TLS connection: what `client`, `server`, `dial` and a `Listener` give.

    Read and write it as any `net.Conn`. The first of them has the handshake, unless `handshake` was
    called. A read whose deadline has passed can be tried again. A write cannot: part of a record
    may have gone, so that every write after it is an error, as in Go.

    The end of the stream is b"" only if the other side has said that it is the end; else it is a
    TruncatedError.

    Attributes:
        net_conn: The connection underneath. Who uses it disturbs this one.
        ssl_object: OpenSSL's state of it, for what `connection_state` does not tell. Do not read,
            write or unwrap it.
        session: At the client: what a later connection can go on with, see `client`. With TLS 1.3
            the server sends it after the handshake, so it comes with the first read.
    Example:
        >>> import ssl
        >>> async def main(context: ssl.SSLContext):
        ...     async with await gopark.tls.dial("tcp", "localhost:443", context) as conn:
        ...         await conn.write(b"hello")
        ...         print(await conn.read())

    Go: tls.Conn.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        side = "server" if self._ssl.server_side else "client"
        return f"<tls.Conn {side} on {self._inner!r}{' closed' if self._closed else ''}>"

    __reduce_ex__ = nocopy

    # --- what it is ----------------------------------------------------------------------------

    @property
    def net_conn(self) -> NetConn:
        return self._inner

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self._ssl

    @property
    def session(self) -> ssl.SSLSession | None:
        if not self._done:
            return None
        self._locknow()
        try:
            return self._ssl.session
        finally:
            self._mu.unlock()

    def connection_state(self) -> ConnectionState:
        """What the handshake has agreed on; before it, an empty one.

        Example:
            >>> import ssl
            >>> a, b = gopark.net.pipe()
            >>> conn = gopark.tls.client(a, ssl.create_default_context(), "www.example.com")
            >>> conn.connection_state().version is None
            True

        Go: Conn.ConnectionState.
        """
        if not self._done:
            return ConnectionState()
        if self._state is None:
            self._locknow()
            try:
                self._state = stateof(self._ssl)
            finally:
                self._mu.unlock()
        return self._state

    @property
    def local_addr(self) -> Addr:
        return self._inner.local_addr

    @property
    def remote_addr(self) -> Addr:
        return self._inner.remote_addr

    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None:
        if self._closed:
            raise self._gone("set deadline")
        self._inner._setdeadline(when, read, write)

    # --- handshake -----------------------------------------------------------------------------

    async def handshake(self, ctx: Context | None = None) -> None:
        """Have the handshake, if there was none yet. The first read or write does so as well.

        An error stays: there is no second try on the same connection. If it is a read's deadline
        that has passed, the handshake can be gone on with.

        Args:
            ctx: When it is done this ends, and the connection is closed.
        Raises:
            TypeError: `ctx` is no context.
            SSLCertVerificationError: the certificate of the other side is not to be trusted.
            SSLError: it failed for another reason, named in the error and its notes.
            RecordHeaderError: the other side does not speak TLS.
            TruncatedError: the other side has closed the connection.
            ClosedError: the connection was closed on this side.
            TimeoutError: a deadline has passed.
            OSError: the connection is broken.
            Canceled: `ctx` was cancelled.
            DeadlineExceeded: its time is up.
        Example:
            >>> async def greet(conn: gopark.tls.Conn, ctx: gopark.context.Context):
            ...     with gopark.context.with_timeout(ctx, 10) as ctx:
            ...         await conn.handshake(ctx)

        Go: Conn.HandshakeContext.
        """
        if ctx is None:
            return await self._handshaken()
        if self._done:
            return None
        stop = after_func(ctx, self._interrupt)
        if (err := ctx.err()) is not None:
            stop()
            raise err
        try:
            await self._handshaken()
        except Exception:
            if not stop() and (err := ctx.err()) is not None:
                raise err from None
            raise
        except BaseException:
            stop()
            raise
        if not stop() and (err := ctx.err()) is not None:  # it is closed, or just about to be
            raise err
        return None

    async def _interrupt(self) -> None:
        self._inner.close()

    async def _handshaken(self) -> None:
        async with self._hmu:
            if self._done:
                return
            if self._hserr is not None:
                raise mine(self._hserr)
            try:
                await self._shake()
            except BaseException as exc:
                if self._werr is not None:
                    self._hserr = self._werr
                elif isinstance(exc, ssl.SSLError | TruncatedError):
                    self._hserr = copied(exc)
                raise
            self._done = True
        self._owes = True
        self._flushsoon()  # the last of it: a server's tickets, which nobody may be reading yet

    async def _shake(self) -> None:
        """What it says last is still in `_out` when this returns. Go: clientHandshake."""
        while True:
            failed = sealed = None
            async with self._mu:
                if self._fetched:
                    self._in.write(self._fetched)
                    self._fetched = b""
                try:
                    self._ssl.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as exc:
                    failed = exc
                sealed = self._out.read()
            if failed is not None:
                await self._failed(failed, sealed)
            if sealed:
                await self._deliver(sealed)
            chunk = await self._fetch("handshake")
            if not chunk:
                raise TruncatedError(
                    f"handshake {self._name()}: the other side has closed the connection"
                )
            if not self._started:
                self._started = True
                error = norecord(chunk, self._name(), self._ssl.server_side)
                if error is not None:
                    raise error
            self._fetched = chunk

    async def _failed(self, exc: ssl.SSLError, alert: bytes) -> NoReturn:
        """Tell the other side, if it can be told, and raise."""
        explained(exc, self._name())
        try:
            if alert:
                await self._inner.write(alert)
        except OSError:
            pass
        raise exc

    # --- read ----------------------------------------------------------------------------------

    def _isclosed(self) -> bool:
        return self._closed

    @called("Conn.read")
    async def _read(self, n: int) -> bytes:
        if not self._done:
            await self.handshake()
        rmu, mu = self._rmu, self._mu
        if not rmu.try_lock():
            await rmu.lock()
        try:
            while True:
                if self._closed:
                    raise self._gone("read")
                if self._dry and not self._fetched:
                    try:
                        self._fetched = await self._inner.read(SIZE)
                    except TimeoutError:
                        if self._closed:  # close has something to send yet, and woke this up
                            raise self._gone("read") from None
                        raise
                    if not self._fetched:
                        raise self._truncated()
                if not mu.try_lock():
                    await mu.lock()
                try:
                    data = self._open(n)
                finally:
                    mu.unlock()
                    if self._owes:
                        self._flushsoon()
                if data is not None:
                    return data
                if self._told is not None:
                    self._tell()
        finally:
            rmu.unlock()
            if self._told is not None:
                self._tell()

    # --- write ---------------------------------------------------------------------------------

    async def write(self, data: Buffer) -> int:
        if type(data) is not bytes:
            data = _bytes(data)
        if not self._done:
            await self.handshake()
        size = len(data)
        wmu = self._wmu
        if not wmu.try_lock():
            await wmu.lock()
        try:
            if size <= PIECE:
                await self._push(data)
            else:
                view = memoryview(data)
                for at in range(0, size, PIECE):
                    await self._push(view[at : at + PIECE])
            return size
        finally:
            wmu.unlock()
            if self._owes:
                self._flushsoon()

    write.__doc__ = (NetConn.write.__doc__ or "").replace(
        "some of it may have been sent.",
        "the connection can be read,\n                but not written any more.",
    )

    # --- the end -------------------------------------------------------------------------------

    async def close_write(self) -> None:
        """No more is sent, and the other side is told so; this one may go on reading.

        Raises:
            ClosedError: the connection was closed on this side.
            TimeoutError: the write deadline has passed.
            OSError: the other side has gone, or the handshake failed.
        Example:
            >>> async def ask(conn: gopark.tls.Conn):
            ...     await conn.write(b"what is it?")
            ...     await conn.close_write()
            ...     return await gopark.net.Reader(conn).read_all()

        Go: Conn.CloseWrite.
        """
        if not self._done:
            await self.handshake()
        await self._wmu.lock()
        try:
            if self._shut and not self._closed:
                return
            async with self._mu:
                if not self._closed and self._werr is None:
                    self._drain()
                    self._sayend()
            await self._push(b"")
            self._shut = True
        finally:
            self._unlockwrite()

    def close(self) -> None:
        if (rest := self._ended()) and current() is not None:
            go(self._late, rest)
        elif rest:
            self._inner.close()
        self._endpump()

    close.__doc__ = (NetConn.close.__doc__ or "").replace(
        "Example:",
        """The other side is told that this is the end (close_notify), if there is room for it.
        Else, and over a connection that is no socket, a goroutine does so, within five seconds. Who
        needs to know that it was said awaits `close_write` before, or uses `async with`.

        Example:""",
        1,
    )

    async def __aexit__(self, *exc: object) -> None:
        rest = self._ended()
        self._endpump()
        if rest:
            await self._late(rest)

    def _ended(self) -> bytes:
        """Close it; what is still to be said before the connection underneath is closed."""
        if self._closed:
            return b""
        self._closed = True
        rest = b""
        # As Go: if somebody writes now, this is there to break that off.
        if self._done and self._wmu.try_lock():
            try:
                rest = self._lastword()
            except OSError:
                pass
            finally:
                self._wmu.unlock()
        try:
            if rest:
                self._inner._setdeadline(-1.0, True, False)  # who reads is to know now
                self._inner._setdeadline(monotonic() + _GOODBYE, False, True)
                return rest
        except ClosedError:
            pass
        self._inner.close()
        return b""


def _bytes(data: Any) -> memoryview:
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise TypeError(f"write() needs bytes, got {shown(data)}: encode text first") from None
