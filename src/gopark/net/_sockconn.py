"""What all that is over a socket has in common: connections of both kinds, and listeners.

Source: Go 1.27 net/net.go (conn), net/fd_posix.go. Tests: tests/net/test_tcp.py, test_packet.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from socket import socket as Socket
from typing import Any

from gopark._poll.errors import ClosedError, named
from gopark._runtime.base.errors import nocopy
from gopark.net._addr import Addr
from gopark.net._conn import Conn
from gopark.net._sock import SockFD, unlink

__all__ = ("OverSocket", "closefd", "setdeadline", "unlessclosed")


def closefd(fd: SockFD, path: str) -> bool:
    """Close it, and remove its file if it is a Unix socket's; False: it was closed already."""
    if fd.closing:
        return False
    if path and os.getpid() == fd.pid:
        unlink(path)
    with suppress(ClosedError):
        fd.close()
    return True


def setdeadline(fd: SockFD, when: float | None, read: bool, write: bool) -> None:
    if fd.closing:
        raise fd.closed("set deadline")
    fd.setdeadline(when, read, write)


def unlessclosed(fd: SockFD, what: str, fn: Callable[..., object], *args: object) -> None:
    """Do something with the socket.

    Raises:
        ClosedError: it is closed, maybe just now.
        OSError: the system refuses.
    """
    if fd.closing:
        raise fd.closed(what)
    try:
        fn(fd.raw, *args)
    except OSError as exc:
        raise (fd.closed(what) if fd.closing else named(exc, f"{what} {fd.name}")) from None


class OverSocket(Conn):
    """A connection over a socket."""

    __slots__ = ("_fd", "_path")

    def __init__(self, fd: SockFD, path: str = "") -> None:
        self._fd = fd
        self._path = path  # of a Unix socket with a file: that goes when this is closed
        self._pump = None
        self._reader = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._fd.name}{' closed' if self._fd.closing else ''}>"

    __reduce_ex__ = nocopy

    @property
    def socket(self) -> Socket:
        return self._fd.raw

    @property
    def local_addr(self) -> Addr:
        return self._fd.local

    @property
    def remote_addr(self) -> Addr:
        return self._fd.remote

    def _read(self, n: int) -> Coroutine[Any, Any, bytes]:
        return self._fd.read(n)

    _apart = True

    def _source(self) -> Callable[[int], Coroutine[Any, Any, bytes]]:
        return self._fd.read

    def _isclosed(self) -> bool:
        return self._fd.closing

    def close(self) -> None:
        if closefd(self._fd, self._path):
            self._endpump()

    close.__doc__ = Conn.close.__doc__

    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None:
        setdeadline(self._fd, when, read, write)
