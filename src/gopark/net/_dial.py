"""`dial`: connections to others.

Source: Go 1.27 net/dial.go, net/fd_unix.go (connect). Tests: tests/net/test_dial.py
"""

from __future__ import annotations

import os
import socket
from typing import Any

from gopark.net._addr import network, split_host_port
from gopark.net._listen import portof, unixname
from gopark.net._sock import SockFD, opened, options
from gopark.net._stream import SocketConn

__all__ = ("dial",)


async def connect(sock: socket.socket, net: str, address: Any) -> SockFD:
    """Connect, and into the poller; if that fails the socket is closed. Go: netFD.connect."""
    sock.setblocking(False)
    code = sock.connect_ex(address)
    fd = opened(sock, net, None)
    try:
        while code:
            import errno

            if code not in (errno.EINPROGRESS, errno.EALREADY, errno.EINTR):
                raise OSError(code, os.strerror(code))
            await fd.turn("dial", True)
            try:
                await fd.wait("dial", True)
            finally:
                fd.release(True)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                try:
                    sock.getpeername()
                except OSError:
                    code = errno.EINPROGRESS  # woken for nothing: it goes on
    except BaseException:
        fd.close()
        raise
    return fd


async def dial(network_name: str, address: str) -> SocketConn:
    """Connect.

    Go: net.Dial.
    """
    family, kind = network("dial", network_name)
    if network_name == "unix":
        sock = socket.socket(socket.AF_UNIX, kind)
        return SocketConn(await connect(sock, "unix", unixname(address)))
    host, port = split_host_port(address)
    info = socket.getaddrinfo(host, portof(network_name, port), family, kind)[0]
    sock = socket.socket(info[0], kind)
    options(sock, "tcp")
    return SocketConn(await connect(sock, "tcp", info[4]))
