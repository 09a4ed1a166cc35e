"""Stream sockets: connections and listeners, of TCP and of Unix.

Source: Go 1.27 net/tcpsock.go, net/unixsock.go, net/fd_unix.go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Callable, Coroutine
from socket import socket as Socket
from typing import Any, BinaryIO, Final

from gopark._poll.errors import ClosedError
from gopark._runtime.base.lockrank import lockslow
from gopark._runtime.base.printstring import shown
from gopark._runtime.time.timechan import seconds
from gopark._runtime.time.timesleep import sleep
from gopark.net._conn import Buffer, Conn, deadline
from gopark.net._copy import checkpart, regular, sendfd, sendfile
from gopark.net._listener import Accepts
from gopark.net._sock import INHERITS, SockFD, keepalive, opened, options
from gopark.net._sockconn import OverSocket, closefd, setdeadline, unlessclosed

__all__ = ("Listener", "SocketConn")

_BACKOFF: Final = 0.005  # seconds, then twice as long each time, up to the next: Go's net/http
_BACKOFFMOST: Final = 1.0
# Of accept: what passes, if one waits a little. The connection is in the backlog yet.
_PASSES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class SocketConn(OverSocket):
    """A connection over a socket: TCP, or Unix.

    Attributes:
        socket: The socket under it, for its options. Do not read, write or close it.
    Example:
        >>> async def main():
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await gopark.net.dial("tcp", ln.addr) as conn:
        ...             conn.set_no_delay(False)
        >>> gopark.run(main)

    Go: net.TCPConn, net.UnixConn.
    """

    __slots__ = ()

    # As Conn.read, in line: it is on the way of each request.
    def read(self, n: int = 65536) -> Coroutine[Any, Any, bytes]:
        if n.__class__ is not int or n < 1 or self._reader is not None:
            return super().read(n)
        return self._fd.read(n)

    read.__doc__ = Conn.read.__doc__

    def write(self, data: Buffer) -> Coroutine[Any, Any, int]:
        return self._fd.write(data)

    write.__doc__ = Conn.write.__doc__

    def _trywrite(self, data: Buffer) -> int:
        return self._fd.trywrite(data)

    def _discard(self) -> None:
        self._fd.tryread(65536)

    async def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        checkpart(file, offset, count)
        source = regular(file)
        if source is not None:
            sent = await sendfd(self._fd, file, source, offset, count)
            if sent is not None:
                return sent
        return await sendfile(self, file, offset, count)

    sendfile.__doc__ = Conn.sendfile.__doc__

    def _set(self, what: str, fn: Callable[..., object], *args: object) -> None:
        unlessclosed(self._fd, what, fn, *args)

    def close_write(self) -> None:
        """No more is sent; the other side reads to the end, and this one may go on reading.

        Raises:
            ClosedError: the connection was closed on this side.
            OSError: the other side has gone.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         with await gopark.net.dial("tcp", ln.addr) as conn:
            ...             conn.close_write()
            ...             with await ln.accept() as other:
            ...                 print(await other.read())
            >>> gopark.run(main)
            b''

        Go: TCPConn.CloseWrite.
        """
        self._set("close_write", Socket.shutdown, socket.SHUT_WR)

    def close_read(self) -> None:
        """No more is read: reads give b"" from here on. The errors are those of `close_write`.

        Example:
            >>> import socket
            >>> async def main():
            ...     a, b = map(gopark.net.from_socket, socket.socketpair())
            ...     with a, b:
            ...         a.close_read()
            ...         print(await a.read())
            >>> gopark.run(main)
            b''

        Go: TCPConn.CloseRead.
        """
        self._set("close_read", Socket.shutdown, socket.SHUT_RD)

    def set_no_delay(self, on: bool) -> None:
        """Send small pieces at once (so it is from the beginning), or wait for more of them.

        Args:
            on: False turns Nagle's algorithm on.
        Raises:
            ClosedError: the connection was closed on this side.
            OSError: it is no TCP connection.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         with await gopark.net.dial("tcp", ln.addr) as conn:
            ...             conn.set_no_delay(False)
            >>> gopark.run(main)

        Go: TCPConn.SetNoDelay.
        """
        option = socket.IPPROTO_TCP, socket.TCP_NODELAY, int(bool(on))
        self._set("set_no_delay", Socket.setsockopt, *option)

    def set_keep_alive(self, period: float) -> None:
        """Ask the other side whether it is there, after so much silence; from the start after 15 s.

        Args:
            period: Seconds, rounded up to whole ones; 0: never.
        Raises:
            ClosedError: the connection was closed on this side.
            OSError: it is no TCP connection, or the period is longer than the system admits.
            TypeError: `period` is no number.
            ValueError: it is negative, NaN or infinite.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         with await gopark.net.dial("tcp", ln.addr) as conn:
            ...             conn.set_keep_alive(60)
            >>> gopark.run(main)

        Go: TCPConn.SetKeepAliveConfig.
        """
        wanted = math.ceil(seconds("set_keep_alive", period))
        if wanted < 0:
            raise ValueError(f"set_keep_alive: a period cannot be negative, got {shown(period)}")
        self._set("set_keep_alive", keepalive, wanted)


def _acceptor(listening: Socket) -> Callable[[], tuple[Socket, Any]]:
    """`listening.accept`, where that is the standard library's: it asks for family and kind of the
    listener each time, as enumerations, a third of it (7.3 to 4.5 µs,
    3.11; 7.3 to 5.0, 3.13; benchmarks/micro_accept.py)."""
    take = getattr(listening, "_accept", None)
    if take is None or type(listening).accept is not Socket.accept:
        return listening.accept
    kind = int(listening.family), int(listening.type), listening.proto

    def accept() -> tuple[Socket, Any]:
        number, remote = take()
        try:
            return Socket(*kind, fileno=number), remote
        except BaseException:
            os.close(number)
            raise

    return accept


class Listener(Accepts[SocketConn]):
    """Waits for connections, TCP or Unix. `async for conn in ln` gives them until it is closed.

    Attributes:
        addr: Where it listens; with port 0 asked for, the one that was given.
        socket: The socket under it.
    Example:
        >>> async def main():
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await gopark.net.dial("tcp", ln.addr), await ln.accept() as conn:
        ...             print(conn.local_addr == ln.addr)
        >>> gopark.run(main)
        True

    Go: net.Listener.
    """

    __slots__ = ("_accept", "_fd", "_path", "addr")

    def __init__(self, fd: SockFD, path: str = "") -> None:
        super().__init__()
        self._fd = fd
        self._accept = _acceptor(fd.raw)
        self._path = path  # of a Unix socket: it goes when this is closed
        self.addr = fd.local
        fd.more = True

    def __repr__(self) -> str:
        return f"<Listener {self._fd.net} {self.addr}{' closed' if self._fd.closing else ''}>"

    @property
    def socket(self) -> Socket:
        return self._fd.raw

    async def accept(self) -> SocketConn:
        """Wait for the next connection.

        Raises:
            ClosedError: the listener was closed.
            TimeoutError: its deadline has passed.
            OSError: there are no descriptors left (EMFILE); the connection waits, and the next
                `accept` may have it. `async for` tries again by itself.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         with await gopark.net.dial("tcp", ln.addr), await ln.accept() as conn:
            ...             print(conn.local_addr == ln.addr)
            >>> gopark.run(main)
            True

        Go: Listener.Accept.
        """
        fd = self._fd
        lock = fd.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        free = not (fd.reading or fd.closing)
        if free:  # as `turn`, in line: a server does this for each connection
            fd.reading = True
        lock.append(None)
        if not free:
            await fd.turn("accept", False)
        try:
            while True:
                if fd.rbad:
                    fd.refused("accept", False)
                try:
                    sock, remote = self._accept()
                except BlockingIOError:
                    await fd.wait("accept", False)
                except ConnectionAbortedError:
                    continue  # it was reset while it waited for us: as Go, the next one
                except OSError as exc:
                    raise fd.failed("accept", exc) from None
                else:
                    break
        finally:
            fd.release(False)
        return self._made(sock, remote)

    def _made(self, sock: Socket, remote: Any) -> SocketConn:
        if not INHERITS:
            options(sock, self._fd.net)
        return SocketConn(opened(sock, self._fd.net, remote))

    async def __anext__(self) -> SocketConn:
        pause = _BACKOFF
        while True:
            try:
                return await self.accept()
            except ClosedError:
                raise StopAsyncIteration from None
            except OSError as exc:
                if exc.errno not in _PASSES:
                    raise
            await sleep(pause)
            pause = min(pause * 2, _BACKOFFMOST)

    def set_deadline(self, when: float | None) -> None:
        """By when `accept` is to have a connection; who waits then gets a TimeoutError.

        Args:
            when: Seconds on the clock of `gopark.time.monotonic()`; None: no deadline.
        Raises:
            ClosedError: the listener was closed.
            TypeError: `when` is neither a number nor None.
            ValueError: it is NaN.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         ln.set_deadline(gopark.time.monotonic())
            ...         try:
            ...             await ln.accept()
            ...         except TimeoutError:
            ...             print("nobody came")
            >>> gopark.run(main)
            nobody came

        Go: TCPListener.SetDeadline.
        """
        setdeadline(self._fd, deadline("set_deadline", when), True, False)

    def close(self) -> None:
        """Listen no more. Who waits in `accept` gets a ClosedError. A second close does nothing.

        Example:
            >>> gopark.net.listen("tcp", "127.0.0.1:0").close()

        Go: Listener.Close.
        """
        if closefd(self._fd, self._path):
            self._endconns()
