"""Sockets in the poller: how they are made, and what is set on each.

What is set on a listener its connections inherit (Linux does so, and is not asked again): no delay
for small packets, and a question now and then whether the other side is there, as Go has both.
Which they are for is what the kernel says a socket is; `socket.proto` is 0 for most.

Source: Go 1.27 net/sock_posix.go, net/tcpsockopt_linux.go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any, Final

from gopark._poll.fd import FD
from gopark._runtime.base.printstring import shown
from gopark._runtime.twin import native
from gopark.net._addr import Addr, addrof

__all__ = ("SockFD", "backlog", "keepalive", "kindof", "opened", "options")

_KEEPALIVE: Final = 15  # seconds, and as long between two questions: Go's
_KEEPCOUNT: Final = 9
INHERITS: Final = sys.platform == "linux"


class SockFD(FD):
    """A socket in the poller. Go: net.netFD."""

    __slots__ = ("_local", "_remote", "net", "pid")

    raw: socket.socket

    def __init__(self, sock: socket.socket, net: str, remote: Any = None) -> None:
        self.net = net
        # As the socket module has them; an Addr once one was asked for.
        self._local: Any = None
        self._remote = remote
        self.pid = os.getpid()
        super().__init__(sock, sock.recv, sock.send, "")

    @property
    def local(self) -> Addr:
        self._learn()
        if not isinstance(self._local, Addr):
            if self._local is None:
                return Addr("", self.net)
            self._local = addrof(self.net, self._local)
        return self._local

    @property
    def remote(self) -> Addr:
        self._learn()
        if not isinstance(self._remote, Addr):
            if self._remote is None:
                return Addr("", self.net)
            self._remote = addrof(self.net, self._remote)
        return self._remote

    def _learn(self) -> None:
        """Ask the system for what is not known yet; it cannot be asked once this is closed."""
        try:
            if self._local is None:
                self._local = self.raw.getsockname()
            if self._remote is None:
                self._remote = self.raw.getpeername()
        except OSError:
            pass  # it has no other side, or none any more

    @property
    def name(self) -> str:
        """For errors. Found out when one is made, and not for each connection."""
        local, remote = self.local, self.remote
        return f"{self.net} {local}->{remote}" if remote else f"{self.net} {local}".rstrip()

    @name.setter
    def name(self, _: str) -> None: ...

    def _destroy(self) -> None:
        self._learn()  # who closed it may want to know yet
        super()._destroy()


def opened(sock: socket.socket, net: str, remote: Any = None) -> SockFD:
    """Into the poller; if that cannot be, the socket is closed."""
    try:
        sock.setblocking(False)
        return SockFD(sock, net, remote)
    except BaseException:
        sock.close()
        raise


def kindof(sock: socket.socket) -> tuple[str, bool]:
    """Its network, and whether it listens: what the kernel says.

    Raises:
        ValueError: it is of a kind that is not supported.
    """
    family = sock.family
    stream = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    try:
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        listens = False
    if family == getattr(socket, "AF_UNIX", None):
        return ("unix" if stream else "unixgram"), listens
    if family in (socket.AF_INET, socket.AF_INET6):
        return ("tcp" if stream else "udp"), listens
    raise ValueError(
        f"from_socket: a socket of family {shown(family)} is neither TCP, UDP nor Unix"
    )


def options(sock: socket.socket, net: str) -> None:
    """What Go sets on each TCP connection."""
    if net != "tcp":
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keepalive(sock, _KEEPALIVE)


def keepalive(sock: socket.socket, period: int) -> None:
    """Ask the other side after `period` seconds of silence, and then so often; 0: do not."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(period > 0))
    if period <= 0:
        return
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, idle, period)
    if hasattr(socket, "TCP_KEEPINTVL"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, period)
    if hasattr(socket, "TCP_KEEPCNT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPCOUNT)


def backlog() -> int:
    """How many may wait to be accepted: as many as the system admits. Go: listenerBacklog."""
    try:
        with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
            return min(int(file.read()), 65535)
    except (OSError, ValueError):
        return socket.SOMAXCONN


def unlink(path: str) -> None:
    """Remove a Unix socket's file, if it is there: one with a null in front has none."""
    try:
        os.unlink(path)
    except (OSError, ValueError):
        pass


if native is not None:
    native.install(recv=socket.socket.recv, send=socket.socket.send, fileno=socket.socket.fileno)
