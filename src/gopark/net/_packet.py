"""Datagram sockets: UDP and Unix.

A datagram that is read tells nothing of whether there are more, so reading is always tried first:
`rend` and `more` stand from the beginning (fd.py).

Source: Go 1.27 net/udpsock.go, net/unixsock.go (unixgram). Tests: tests/net/test_packet.py
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Coroutine
from contextlib import suppress
from socket import socket as Socket
from typing import Any, BinaryIO, NoReturn

from gopark._poll.errors import ClosedError
from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark.net._addr import Addr, addrof, nameof, portof, split_host_port, unixname
from gopark.net._bufio import Reader
from gopark.net._conn import Buffer, Conn, checkn
from gopark.net._lookup import numeric
from gopark.net._sock import SockFD, unlink

__all__ = ("PacketConn",)


class PacketConn(Conn):
    """A socket for datagrams: UDP, or Unix. Each read is one datagram, and so is each write.

    `listen_packet` gives one that is nobody's in particular, for `read_from` and `write_to`; `dial`
    one that is connected: it hears from one address alone, and `read` and `write` will do. An
    empty datagram is read as b"", and is no end: there is none.

    Attributes:
        socket: The socket under it, for its options. Do not read, write or close it.
    Example:
        >>> async def main():
        ...     with gopark.net.listen_packet("udp", "127.0.0.1:0") as server:
        ...         with await gopark.net.dial("udp", server.local_addr) as client:
        ...             await client.write(b"ping")
        ...             data, addr = await server.read_from()
        ...             await server.write_to(data.upper(), addr)
        ...             print(await client.read())
        >>> gopark.run(main)
        b'PING'

    Go: net.PacketConn, net.UDPConn, net.UnixConn.
    """

    __slots__ = ("_connected", "_family", "_fd", "_path")

    def __init__(self, fd: SockFD, *, connected: bool, path: str = "") -> None:
        self._fd = fd
        self._connected = connected
        self._family = fd.raw.family
        self._path = path  # of a Unix socket: it goes when this is closed
        self._pump = None
        self._reader = None
        fd.rend = fd.more = True

    def __repr__(self) -> str:
        return f"<PacketConn {self._fd.name}{' closed' if self._fd.closing else ''}>"

    __reduce_ex__ = nocopy

    @property
    def socket(self) -> Socket:
        return self._fd.raw

    @property
    def local_addr(self) -> Addr:
        return self._fd.local

    @property
    def remote_addr(self) -> Addr:
        return self._fd.remote if self._connected else Addr("", self._fd.net)

    # --- read --------------------------------------------------------------------------------

    def _read(self, n: int) -> Coroutine[Any, Any, bytes]:
        return self._fd.read(n)

    async def read_from(self, n: int = 65536) -> tuple[bytes, Addr]:
        """The next datagram, and who has sent it.

        Args:
            n: At most so many bytes of it; the rest is lost.
        Raises:
            ClosedError: it was closed on this side.
            TimeoutError: the read deadline has passed.
            TypeError: `n` is no integer.
            ValueError: `n` is not positive.
        Example:
            >>> async def main():
            ...     with gopark.net.listen_packet("udp", "127.0.0.1:0") as conn:
            ...         await conn.write_to(b"to myself", conn.local_addr)
            ...         data, addr = await conn.read_from()
            ...         print(data, addr == conn.local_addr)
            >>> gopark.run(main)
            b'to myself' True

        Go: PacketConn.ReadFrom.
        """
        checkn("read_from", n)
        fd = self._fd
        await fd.turn("read", False)
        try:
            while True:
                if fd.rbad:
                    fd.refused("read", False)
                try:
                    data, name = fd.raw.recvfrom(n)
                    break
                except BlockingIOError:
                    await fd.wait("read", False)
        finally:
            fd.release(False)
        return data, self.remote_addr if name is None and self._connected else addrof(fd.net, name)

    async def _chunk(self) -> bytes:
        return await self.read()

    @property
    def _buffered(self) -> Reader:
        raise TypeError(
            f"{shown(self)} has datagrams, and no stream to read exact counts or lines of"
        )

    # --- write -------------------------------------------------------------------------------

    async def write(self, data: Buffer) -> int:
        return await self._send(data, None)

    write.__doc__ = Conn.write.__doc__

    async def write_to(self, data: Buffer, addr: str) -> int:
        """Send a datagram.

        Args:
            data: Bytes, or any buffer of them; they may be none.
            addr: To whom: `ip:port`, what `read_from` gave; or a path.
        Returns:
            How many bytes that is.
        Raises:
            ClosedError: it was closed on this side.
            TimeoutError: the write deadline has passed.
            OSError: it is connected (then `write`), it is too long, or there is no way there.
            TypeError: `data` is no buffer of bytes.
            ValueError: `addr` is no address of this kind; a name is to be looked up before.
        Example:
            >>> async def main():
            ...     with gopark.net.listen_packet("udp", "127.0.0.1:0") as conn:
            ...         print(await conn.write_to(b"to myself", conn.local_addr))
            >>> gopark.run(main)
            9

        Go: PacketConn.WriteTo.
        """
        if self._connected:
            raise OSError(errno.EISCONN, f"write_to {self._fd.name}: it is connected: use write")
        return await self._send(data, sockname(self._family, addr))

    async def _send(self, data: Buffer, name: Any) -> int:
        fd = self._fd
        await fd.turn("write", True)
        try:
            while True:
                if fd.wbad:
                    fd.refused("write", True)
                try:
                    if name is None:
                        return fd.raw.send(data)
                    return fd.raw.sendto(data, name)
                except BlockingIOError:
                    await fd.wait("write", True)
        except TypeError:
            raise TypeError(f"write() needs bytes, got {shown(data)}: encode text first") from None
        finally:
            fd.release(True)

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> NoReturn:
        raise TypeError(f"{shown(self)} has datagrams, and no stream to send a file on")

    sendfile.__doc__ = Conn.sendfile.__doc__

    # --- close and deadlines -----------------------------------------------------------------

    def close(self) -> None:
        if self._fd.closing:
            return
        if self._path and os.getpid() == self._fd.pid:
            unlink(self._path)
        with suppress(ClosedError):
            self._fd.close()
        self._endpump()

    close.__doc__ = Conn.close.__doc__

    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None:
        if self._fd.closing:
            raise self._fd.closed("set deadline")
        self._fd.setdeadline(when, read, write)


def sockname(family: int, addr: str) -> Any:
    """An address as the socket module takes it.

    Raises:
        TypeError: it is no string.
        ValueError: it is none of this family.
    """
    if family not in (socket.AF_INET, socket.AF_INET6):
        return unixname(addr)
    host, port = split_host_port(addr)
    kind = numeric(host)
    if not kind:
        raise ValueError(
            f"address {shown(addr)}: write an IP address; lookup_host gives those of a name"
        )
    if family == socket.AF_INET6 and kind == socket.AF_INET:
        host = f"::ffff:{host}"
    elif kind != family:
        raise ValueError(f"address {shown(addr)}: this socket is for IPv4 alone")
    return nameof(host, portof("udp", port))
