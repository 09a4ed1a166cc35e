"""Datagram sockets: UDP and Unix.

A datagram that is read tells nothing of whether there are more, so reading is always tried first:
`rend` and `more` stand from the beginning (fd.py).

Source: Go 1.27 net/udpsock.go, net/unixsock.go (unixgram). Tests: tests/net/test_packet.py
"""

from __future__ import annotations

import errno
import socket
from typing import Any, BinaryIO, Final, NoReturn

from gopark._runtime.base.printstring import shown
from gopark.net._addr import Addr, addrof, nameof, split_host_port, toport, unixname
from gopark.net._bufio import Reader
from gopark.net._conn import Buffer, Conn, checkn
from gopark.net._lookup import numeric
from gopark.net._sock import SockFD
from gopark.net._sockconn import OverSocket

__all__ = ("PacketConn",)

# What the system says to who writes, and has not said to whom.
_NOBODY: Final = {errno.EDESTADDRREQ, errno.ENOTCONN}


class PacketConn(OverSocket):
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

    __slots__ = ("_connected", "_family")

    def __init__(self, fd: SockFD, *, connected: bool, path: str = "") -> None:
        super().__init__(fd, path)
        self._connected = connected
        self._family = fd.raw.family
        fd.rend = fd.more = True

    @property
    def remote_addr(self) -> Addr:
        return self._fd.remote if self._connected else Addr("", self._fd.net)

    # --- read --------------------------------------------------------------------------------

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
                except OSError as exc:
                    raise fd.failed("read", exc) from None
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
        return await self._send("write", data, None)

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
            TypeError: `data` is no buffer of bytes, or `addr` no string.
            ValueError: `addr` is no address of this kind; a name is to be looked up before.
        Example:
            >>> async def main():
            ...     with gopark.net.listen_packet("udp", "127.0.0.1:0") as conn:
            ...         print(await conn.write_to(b"to myself", conn.local_addr))
            >>> gopark.run(main)
            9

        Go: PacketConn.WriteTo.
        """
        if isinstance(data, str) and isinstance(addr, bytes | bytearray | memoryview):
            raise TypeError(
                f"write_to() needs the bytes first and the address second, got {shown(data)} first"
            )
        if self._fd.closing:
            raise self._fd.closed("write")
        if self._connected:
            raise OSError(errno.EISCONN, f"write_to {self._fd.name}: it is connected: use write")
        return await self._send("write_to", data, sockname(self._family, addr))

    async def _send(self, what: str, data: Buffer, name: Any) -> int:
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
                except OSError as exc:
                    if exc.errno in _NOBODY and not self._connected:
                        text = f"write {fd.name}: it is not connected: use write_to(data, addr)"
                        raise OSError(exc.errno, text) from None
                    raise fd.failed("write", exc) from None
        except TypeError:
            raise TypeError(f"{what}() needs bytes, got {shown(data)}: encode text first") from None
        finally:
            fd.release(True)

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> NoReturn:
        raise TypeError(f"{shown(self)} has datagrams, and no stream to send a file on")

    sendfile.__doc__ = Conn.sendfile.__doc__


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
    return nameof(host, toport("udp", port, addr))
