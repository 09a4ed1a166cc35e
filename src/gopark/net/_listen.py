"""`listen`, and sockets that others have made.

Source: Go 1.27 net/dial.go (Listen), net/sock_posix.go, net/file.go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

import socket
from typing import Any

from gopark.net._addr import network, split_host_port
from gopark.net._sock import backlog, kindof, opened, options
from gopark.net._stream import Listener, SocketConn

__all__ = ("from_socket", "listen")


def listen(
    network_name: str, address: str, *, reuse_port: bool = False, queue: int | None = None
) -> Listener:
    """Listen for connections.

    Args:
        network_name: `tcp`, `tcp4`, `tcp6` or `unix`.
        address: `host:port`. Without a host: on all addresses, of both kinds of IP where the
            system does that. Port 0: any that is free, see `addr`. For `unix` a path; on Linux one
            that begins with `@` is a name in the abstract name space.
        reuse_port: Others may listen there as well, and share the connections (SO_REUSEPORT).
        queue: How many connections may wait to be accepted; as many as the system admits.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: there is no such network, or the address is not of that form.
        OSError: somebody listens there already, it is none of this machine's, or not allowed.
    Example:
        >>> with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...     print(ln.addr.host)
        127.0.0.1

    Go: net.Listen.
    """
    family, kind = network("listen", network_name)
    if kind != socket.SOCK_STREAM:
        raise ValueError(f"listen: {network_name!r} has no connections: use listen_packet")
    if network_name == "unix":
        return _listenunix(address, queue)
    errors: list[OSError] = []
    for family, name, dual in _places("listen", network_name, address):
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
    errors[0].add_note(f"listen {network_name} {address}")
    raise errors[0]


def _bound(family: int, kind: int, name: Any, dual: bool, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
    wanted = network(who, net)[0]
    number = portof(net, port)
    if not host:
        places: list[tuple[int, Any, bool]] = []
        if wanted != socket.AF_INET and socket.has_ipv6:
            places.append((socket.AF_INET6, ("::", number), wanted == 0))
        if wanted != socket.AF_INET6:
            places.append((socket.AF_INET, ("0.0.0.0", number), False))
        return places
    found = socket.getaddrinfo(host, number, wanted, network(who, net)[1], 0, socket.AI_PASSIVE)
    found.sort(key=lambda info: info[0] != socket.AF_INET)  # as Go: IPv4 first
    return [(info[0], info[4], False) for info in found]


def portof(net: str, port: str) -> int:
    """A port, by number or by the name of its service.

    Raises:
        ValueError: it is neither.
    """
    if port.isascii() and port.isdigit():
        number = int(port) if len(port) < 10 else 1 << 16
        if number > 65535:
            raise ValueError(f"port {port} is none: the last is 65535")
        return number
    if not port:
        return 0
    try:
        return socket.getservbyname(port, net[:3])
    except OSError:
        raise ValueError(f"unknown port {port!r}: neither a number nor a service here") from None


def unixname(address: str) -> str | bytes:
    """A path as the socket module takes it.

    Raises:
        TypeError: it is no string.
        ValueError: it is too long, or empty.
    """
    if not isinstance(address, str):
        raise TypeError(f"the address of a Unix socket is a path as string, got {address!r}")
    if not address:
        raise ValueError("the address of a Unix socket is a path; got an empty string")
    if len(address.encode(errors="surrogateescape")) > 107:
        raise ValueError(f"a Unix socket's path has at most 107 bytes, got {address!r}")
    return "\0" + address[1:] if address.startswith("@") else address


def _listenunix(address: str, queue: int | None) -> Listener:
    name = unixname(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(name)
        sock.listen(backlog() if queue is None else queue)
    except OSError as exc:
        sock.close()
        exc.add_note(f"listen unix {address}")
        raise
    return Listener(opened(sock, "unix"), "" if address.startswith("@") else address)


def from_socket(sock: socket.socket) -> SocketConn | Listener:
    """A socket that others have made, as connection or listener: by systemd, by a library.

    It belongs to the result from here on, which closes it, and does not wait any more itself.

    Args:
        sock: A stream socket, connected or listening.
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
        raise TypeError(f"from_socket() needs a socket of the socket module, got {sock!r}")
    net, listens = kindof(sock)
    if net in ("udp", "unixgram"):
        raise ValueError(f"from_socket: a {net} socket has no connections")
    if listens:
        return Listener(opened(sock, net))
    if net == "tcp":
        options(sock, net)
    return SocketConn(opened(sock, net))
