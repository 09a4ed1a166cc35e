"""Who a client is, if a proxy in between says so: `X-Forwarded-For` and `X-Forwarded-Proto`.

Anybody can send such headers. So they count from the proxies that were named, and from no others;
and of the addresses in `X-Forwarded-For`, to which each proxy adds at the end, the last that is no
such proxy's is the client: what stands before it the client may have written.

Source: none; as nginx's realip module. Tests: tests/http/test_forwarded.py
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from gopark._runtime.base.printstring import shown

__all__ = ("Proxies",)

_UNIX: Final = "unix"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Those that are believed.

    Args:
        named: Addresses, networks (`10.0.0.0/8`), `unix` for who comes by a Unix socket, `*` for
            everybody.
    Raises:
        ValueError: one is none of these.
    """

    def __init__(self, named: Iterable[str]) -> None:
        if isinstance(named, str) or not isinstance(named, Iterable):
            raise TypeError(f"proxies is a list of addresses, got {shown(named)}")
        self._networks: list[Network] = []
        self._all = self._unix = False
        for name in named:
            if name == "*":
                self._all = True
            elif name == _UNIX:
                self._unix = True
            else:
                try:
                    self._networks.append(ipaddress.ip_network(name))
                except (ValueError, TypeError):
                    raise ValueError(
                        f"a proxy is an address, a network as 10.0.0.0/8, `unix` or `*`, got "
                        f"{shown(name)}"
                    ) from None

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """What comes from there is one of them."""
        if self._all:
            return True
        return self._unix if client is None else bool(self._networks) and self._has(client[0])

    def _has(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)

    def apply(self, scope: dict[str, Any]) -> None:
        """Put into a request's scope what a proxy has said of it."""
        hops: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").strip().lower()
                if scheme in ("http", "https"):
                    scope["scheme"] = scheme
        for hop in reversed(hops):
            host = _host(hop.strip())
            if not host:
                return  # what no proxy would write: and what is before it is worth no more
            scope["client"] = host, 0
            if not (self._all or self._has(host)):
                return


def _host(text: str) -> str:
    """The address alone: `1.2.3.4`, `1.2.3.4:80`, `[::1]:80`, `::1`; "" if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
