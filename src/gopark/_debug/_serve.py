"""`gopark.debug.serve`: the public names of the live page.

The server itself, and all that it needs of the standard library, is imported by the first call.

Source: none; Go has net/http/pprof. Tests: tests/debug/test_serve.py
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._util import string

if TYPE_CHECKING:
    from gopark._debug._http import Page

__all__ = ("Server", "serve")


class Server:
    """A page that is being served; `with` closes it at the end of the block.

    Example:
        >>> with gopark.debug.serve() as server:
        ...     print(server)  # doctest: +ELLIPSIS
        <Server http://127.0.0.1:.../debug/gopark/>

    Go: net/http.Server, with the handlers of net/http/pprof.
    """

    __slots__ = ("_page", "url")

    url: str

    def __init__(self, page: Page) -> None:
        self._page = page
        self.url = page.url

    def __repr__(self) -> str:
        return f"<Server {self.url}>"

    __reduce_ex__ = nocopy

    def close(self) -> None:
        """Stop serving: connections are cut, and all threads of the server have ended. Idempotent.

        Example:
            >>> server = gopark.debug.serve()
            >>> server.close()

        Go: net/http.Server.Close.
        """
        self._page.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def serve(addr: str = "127.0.0.1:0", *, public: bool = False, hosts: Iterable[str] = ()) -> Server:
    """Serve a page that shows this program from inside, and profiles at Go's own paths.

    It answers from threads of its own, so also while every P is stuck. These are no goroutines,
    and keep no program alive: a deadlock is reported all the same. Requests change nothing, and
    other web sites cannot have a browser start a profile or a trace.

    Args:
        addr: `host:port`; port 0 takes a free one. The host is one of this machine alone
            (`127.0.0.1`, `[::1]`, `localhost`), unless `public` is true.
        public: Let other machines look: stacks, file names and the command line are for
            everybody to read who can reach the address.
        hosts: Names, without port, that requests may call this machine by, beside its addresses
            and `localhost`. Under any other name none is answered, so that no web site can make a
            browser read the page by pointing its own name here.
    Returns:
        A handle with `url` and `close()`, which also works as a `with` block.
    Raises:
        TypeError: `addr` is no string, or `hosts` are none.
        ValueError: `addr` is none, or can be reached from outside and `public` is false.
        OSError: the address is in use, or not of this machine, or no descriptor is left.
        RuntimeError: no thread can be started for it.
    Example:
        >>> import urllib.request
        >>> with gopark.debug.serve() as server, urllib.request.urlopen(server.url) as answer:
        ...     answer.status
        200

    Go: importing net/http/pprof and serving http.DefaultServeMux.
    """
    string("serve", "addr, 'host:port'", addr)
    names = _names(hosts)
    host, port = _address(addr)
    if not public and not _loopback(host):
        raise ValueError(
            f"serve: {shown(addr)} can be reached from other machines, and whoever reaches it can "
            "read the stacks of this program; pass public=True if that is what you want, or "
            "listen on 127.0.0.1"
        )
    from gopark._debug._http import Page

    try:
        return Server(Page(host, port, frozenset(names)))
    except OSError as exc:
        exc.strerror = f"serve: cannot listen on {addr!r}: {exc.strerror}"
        raise


def _names(hosts: Iterable[str]) -> list[str]:
    try:
        names = list(hosts)
    except TypeError:
        names = [hosts]  # type: ignore[list-item]
    if isinstance(hosts, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"serve() needs several names as hosts, got {shown(hosts)}: hosts=['name']")
    return [name.lower() for name in names]


def _address(addr: str) -> tuple[str, int]:
    host, colon, port = addr.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"serve: addr must be 'host:port', like '127.0.0.1:6060', got {shown(addr)}"
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"serve: an IPv6 address goes into brackets: '[{host}]:{port}'")
    return host, int(port)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, or nothing at all, which means every address
