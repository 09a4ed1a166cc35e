"""Addresses: `host:port` as text, in Go's form, and what the socket module has for them.

Source: Go 1.27 net/ipsock.go (SplitHostPort, JoinHostPort). Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark._util import string

__all__ = (
    "Addr",
    "addrof",
    "join_host_port",
    "nameof",
    "network",
    "portof",
    "split_host_port",
    "toport",
    "unixname",
)

# Network -> (family, or 0 for what the address is; type).
NETWORKS: Final[dict[str, tuple[int, int]]] = {
    "tcp": (0, socket.SOCK_STREAM),
    "tcp4": (socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp": (0, socket.SOCK_DGRAM),
    "udp4": (socket.AF_INET, socket.SOCK_DGRAM),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
    "unix": (getattr(socket, "AF_UNIX", -1), socket.SOCK_STREAM),
    "unixgram": (getattr(socket, "AF_UNIX", -1), socket.SOCK_DGRAM),
}


class Addr(str):
    """The address of one end of a connection: a string that `dial` and `listen` take.

    Attributes:
        network: What it is an address of: `tcp`, `udp`, `unix`, `unixgram`, `pipe`.
        host: The IP address, with its zone if it has one; empty for a Unix socket.
        port: The port; 0 for a Unix socket.
    Example:
        >>> with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...     print(ln.addr.network, ln.addr.host, ln.addr == f"127.0.0.1:{ln.addr.port}")
        tcp 127.0.0.1 True

    Go: net.Addr.
    """

    __slots__ = ("host", "network", "port")

    network: str
    host: str
    port: int

    def __new__(cls, text: str, network: str = "", host: str = "", port: int = 0) -> Addr:
        self = super().__new__(cls, text)
        self.network, self.host, self.port = network, host, port
        return self

    def __getnewargs__(self) -> tuple[str, str, str, int]:  # type: ignore[override]
        return str(self), self.network, self.host, self.port


def addrof(net: str, name: Any) -> Addr:
    """What the socket module says an address is, as text."""
    if isinstance(name, tuple):
        host, port = name[0], name[1]
        if len(name) == 4:
            host = (
                host.removeprefix("::ffff:") if "." in host else host
            )  # IPv4 on a socket for both
            if name[3] and "%" not in host:
                host += f"%{_zone(name[3])}"
        return Addr(join_host_port(host, port), net, host, port)
    if isinstance(name, bytes):  # Linux: the abstract name space, where the first byte is zero
        name = "@" + name[1:].decode(errors="surrogateescape") if name else ""
    return Addr(name or "", net)


def nameof(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """An IP address and a port as the socket module takes them.

    Raises:
        OSError: there is no network interface of the name that stands after `%`.
    """
    host, percent, zone = host.partition("%")
    if not percent:
        return host, port
    return host, port, 0, int(zone) if _isindex(zone) else _index(host, zone)


def _isindex(zone: str) -> bool:
    return zone.isascii() and zone.isdigit() and int(zone[:11]) < 1 << 32


def _index(host: str, zone: str) -> int:
    """That of the network interface called so."""
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError):
        text = f"address {shown(f'{host}%{zone}')}: there is no network interface {shown(zone)}"
        raise OSError(errno.ENODEV, text) from None


def _zone(index: int) -> str:
    """The name of a network interface, for addresses that mean another thing on each."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def network(who: str, net: object) -> tuple[int, int]:
    """Family and type.

    Raises:
        TypeError: it is no string.
        ValueError: there is no such network, or not on this system.
    """
    if not isinstance(net, str):
        raise TypeError(f"{who}() needs the name of a network first, like 'tcp', got {shown(net)}")
    found = NETWORKS.get(net)
    if found is None:
        raise ValueError(f"{who}: unknown network {shown(net)}: one of {', '.join(NETWORKS)}")
    if found[0] < 0:
        raise ValueError(f"{who}: this system has no Unix sockets")
    return found


def join_host_port(host: str, port: int | str) -> str:
    """`host:port`, with brackets around an IPv6 address.

    Raises:
        TypeError: `host` is no string, or `port` neither a string nor an integer.
    Example:
        >>> gopark.net.join_host_port("::1", 80)
        '[::1]:80'

    Go: net.JoinHostPort.
    """
    string("join_host_port", "host", host)
    if not isinstance(port, int | str) or isinstance(port, bool):
        raise TypeError(f"join_host_port() needs a number or a string as port, got {shown(port)}")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(address: str) -> tuple[str, str]:
    """The host, without brackets, and the port of `host:port`.

    Raises:
        TypeError: `address` is no string.
        ValueError: it has no port, too many colons, or a bracket too few.
    Example:
        >>> gopark.net.split_host_port("[::1]:http")
        ('::1', 'http')

    Go: net.SplitHostPort.
    """
    if not isinstance(address, str):
        hint = ": see join_host_port" if isinstance(address, tuple | list) else ""
        raise TypeError(f"an address is a string like '127.0.0.1:8080', got {shown(address)}{hint}")
    if "://" in address:
        raise ValueError(f"address {shown(address)}: that is a URL: write the host:port of it")
    host, colon, port = address.rpartition(":")
    if not colon or (address.startswith("[") and address.endswith("]")):
        raise ValueError(
            f"address {shown(address)}: missing port: write host:port, like 'localhost:80'"
        )
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        if not bracket or rest or "[" in inner:
            raise ValueError(f"address {shown(address)}: write [host]:port around an IPv6 address")
        host = inner
    elif ":" in host:
        raise ValueError(
            f"address {shown(address)}: too many colons: write [host]:port around IPv6"
        )
    if "[" in host or "]" in host or "[" in port or "]" in port:
        raise ValueError(f"address {shown(address)}: unexpected bracket")
    return host, port


def portof(net: str, port: str) -> int:
    """A port, by number or by the name of its service.

    Raises:
        ValueError: it is neither.
    """
    digits = port.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        number = int(port) if len(port) < 10 else 1 << 16
        if not 0 <= number <= 65535:
            raise ValueError(f"port {port} is none: the first is 0, the last is 65535")
        return number
    if not port:
        return 0
    try:
        return socket.getservbyname(port, net[:3])
    except (OSError, ValueError):  # a null character, half a surrogate pair
        raise ValueError(
            f"unknown port {shown(port)} of {net[:3]}: neither a number nor a service here"
        ) from None


def toport(net: str, port: str, address: str) -> int:
    """The same for who wants to go there: to 0, which a listener has another made of, is nowhere.

    Raises:
        ValueError: it is none.
    """
    number = portof(net, port)
    if not number:
        what = "port 0 is nobody's" if port else "missing port"
        raise ValueError(f"address {shown(address)}: {what}: write host:port, like 'localhost:80'")
    return number


def unixname(address: str) -> str | bytes:
    """A path as the socket module takes it.

    Raises:
        TypeError: it is no string.
        ValueError: it is too long, empty, or has a null character in it.
    """
    if not isinstance(address, str):
        raise TypeError(f"the address of a Unix socket is a path as string, got {shown(address)}")
    if not address:
        raise ValueError("the address of a Unix socket is a path; got an empty string")
    if len(address.encode(errors="surrogateescape")) > 107:
        raise ValueError(f"a Unix socket's path has at most 107 bytes, got {shown(address)}")
    if "\0" in address[1:]:  # the system would take what is before it
        raise ValueError(f"a Unix socket's path has no null character, got {shown(address)}")
    return "\0" + address[1:] if address.startswith("@") else address
