"""`listen`, and sockets that others have made.

Source: Go 1.27 net/dial.go (Listen), net/sock_posix.go, net/file.go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

import socket
from typing import Any

from gopark._poll.errors import named
from gopark._runtime.base.printstring import shown
from gopark._util import integer
from gopark.net._addr import nameof, portof, split_host_port, unixname
from gopark.net._addr import network as networkof
from gopark.net._lookup import hostsof, numeric
from gopark.net._packet import PacketConn
from gopark.net._sock import backlog, kindof, opened, options
from gopark.net._stream import Listener, SocketConn

__all__ = ("from_socket", "listen", "listen_packet")


def listen(
    network: str, address: str, *, reuse_port: bool = False, queue: int | None = None
) -> Listener:
    """Listen for connections.

    Args:
        network: `tcp`, `tcp4`, `tcp6` or `unix`.
        address: `host:port`. Without a host: on all addresses, of both kinds of IP where the
            system does that. Port 0: any that is free, see `addr`. For `unix` a path; on Linux one
            that begins with `@` is a name in the abstract name space.
        reuse_port: Others may listen there as well, and share the connections (SO_REUSEPORT).
        queue: How many connections may wait to be accepted; as many as the system admits.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: there is no such network, or the address is not of that form.
        DNSError: the host is not found.
        OSError: somebody listens there already, it is none of this machine's, or not allowed.
    Example:
        >>> with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...     print(ln.addr.host)
        127.0.0.1

    Go: net.Listen.
    """
    family, kind = networkof("listen", network)
    if queue is not None:
        integer("listen", "queue", queue)
    if kind != socket.SOCK_STREAM:
        raise ValueError(f"listen: {shown(network)} has no connections: use listen_packet")
    if network == "unix":
        return _listenunix(address, queue)
    errors: list[OSError] = []
    for family, name, dual in _places("listen", network, address):
        try:
            sock = _bound(family, kind, name, dual, reuse_port)
        except OSError as exc:
            errors.append(exc)
            continue
        try:
            options(sock, "tcp")
            sock.listen(backlog() if queue is None else queue)
        except BaseException:
            sock.close()
            raise
        return Listener(opened(sock, "tcp"))
    raise named(errors[0], f"listen {network} {address}") from None


def _bound(family: int, kind: int, name: Any, dual: bool, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _places(who: str, net: str, address: str) -> list[tuple[int, Any, bool]]:
    """Where to bind, the first that works: family, address, whether both kinds of IP are meant."""
    host, port = split_host_port(address)
    wanted = networkof(who, net)[0]
    number = portof(net, port)
    if not host:
        places: list[tuple[int, Any, bool]] = []
        if wanted != socket.AF_INET and socket.has_ipv6:
            places.append((socket.AF_INET6, ("::", number), wanted == 0))
        if wanted != socket.AF_INET6:
            places.append((socket.AF_INET, ("0.0.0.0", number), False))
        return places
    found = hostsof(host, wanted)
    found.sort(key=lambda one: numeric(one) != socket.AF_INET)  # as Go: IPv4 first
    return [(numeric(one), nameof(one, number), False) for one in found]


def _listenunix(address: str, queue: int | None) -> Listener:
    name = unixname(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(name)
        sock.listen(backlog() if queue is None else queue)
    except OSError as exc:
        sock.close()
        raise named(exc, f"listen unix {address}") from None
    return Listener(opened(sock, "unix"), "" if address.startswith("@") else address)


def listen_packet(network: str, address: str, *, reuse_port: bool = False) -> PacketConn:
    """A socket for datagrams, to read from whoever sends and to write to whomever.

    Args:
        network: `udp`, `udp4`, `udp6` or `unixgram`.
        address: As for `listen`.
        reuse_port: Others may bind there as well, and share what comes (SO_REUSEPORT).
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: there is no such network, or the address is not of that form.
        OSError: somebody is there already, it is none of this machine's, or not allowed.
    Example:
        >>> with gopark.net.listen_packet("udp", "127.0.0.1:0") as conn:
        ...     print(conn.local_addr.host)
        127.0.0.1

    Go: net.ListenPacket.
    """
    kind = networkof("listen_packet", network)[1]
    if kind != socket.SOCK_DGRAM:
        raise ValueError(f"listen_packet: {shown(network)} has no datagrams: use listen")
    if network == "unixgram":
        return _listenunixgram(address)
    errors: list[OSError] = []
    for family, name, dual in _places("listen_packet", network, address):
        try:
            sock = _bound(family, kind, name, dual, reuse_port)
        except OSError as exc:
            errors.append(exc)
            continue
        return PacketConn(opened(sock, "udp"), connected=False)
    raise named(errors[0], f"listen_packet {network} {address}") from None


def _listenunixgram(address: str) -> PacketConn:
    name = unixname(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(name)
    except OSError as exc:
        sock.close()
        raise named(exc, f"listen_packet unixgram {address}") from None
    path = "" if address.startswith("@") else address
    return PacketConn(opened(sock, "unixgram"), connected=False, path=path)


def from_socket(sock: socket.socket) -> SocketConn | PacketConn | Listener:
    """A socket that others have made, as connection or listener: by systemd, by a library.

    It belongs to the result from here on, which closes it, and does not wait any more itself.

    Args:
        sock: A stream socket, connected or listening, or one for datagrams.
    Raises:
        TypeError: it is no socket.
        ValueError: it is of a kind that is not supported.
    Example:
        >>> import socket
        >>> async def main():
        ...     a, b = map(gopark.net.from_socket, socket.socketpair())
        ...     with a, b:
        ...         await a.write(b"hello")
        ...         print(await b.read())
        >>> gopark.run(main)
        b'hello'

    Go: net.FileConn, net.FileListener.
    """
    if not isinstance(sock, socket.socket):
        raise TypeError(f"from_socket() needs a socket of the socket module, got {shown(sock)}")
    net, listens = kindof(sock)
    if net in ("udp", "unixgram"):
        try:
            connected = sock.getpeername() is not None
        except OSError:
            connected = False
        return PacketConn(opened(sock, net), connected=connected)
    if net == "tcp":
        options(sock, net)  # what a listener accepts inherits them
    if listens:
        return Listener(opened(sock, net))
    return SocketConn(opened(sock, net))
