"""Names and addresses: what the system's `getaddrinfo` knows, without holding up anybody.

`getaddrinfo` blocks a thread, for seconds if a server is silent, and cannot be broken off. So it
runs in a goroutine of its own in state syscall, no more than some at a time; who asks for what is
asked for already waits for that answer; and who gives up leaves it behind. An address needs none
of it, and what cannot be a name is not asked for.

A plain goroutine makes the call, never an `async def`, which the main thread might run: it would be
held up with Ctrl-C and the end of the program. It gives its place back itself, when the C function
has returned: a program may have ended by then, and another have begun.

Source: Go 1.27 net/lookup.go, lookup_unix.go, cgo_unix.go, dnsclient.go. Differs: no resolver of
our own, so no MX, SRV, TXT. Tests: tests/net/test_lookup.py
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import Sched
from gopark._runtime.c.cgocall import call
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._util import integer
from gopark.context import Context
from gopark.context._with import checked
from gopark.net._errors import DNSError
from gopark.sync._semaphore import Weighted
from gopark.sync._singleflight import Group

__all__ = (
    "Resolver",
    "Resolves",
    "hostsof",
    "lookup_addr",
    "lookup_cname",
    "lookup_host",
    "numeric",
)

_THREADS: Final = 64
_NOHOST: Final = "no such host"
_FAMILIES: Final = {"ip": 0, "ip4": socket.AF_INET, "ip6": socket.AF_INET6}
_NOTFOUND: Final = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


class Resolves(Protocol):
    """What a `Dialer` needs of a resolver: a `Resolver`, or anything with such a `lookup_host`.

    Example:
        >>> class Here:
        ...     async def lookup_host(self, host, *, network="ip", ctx=None):
        ...         return ["127.0.0.1"]
        >>> async def main():
        ...     dialer = gopark.net.Dialer(resolver=Here())
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await dialer.dial("tcp", f"service.test:{ln.addr.port}") as conn:
        ...             print(conn.remote_addr == ln.addr)
        >>> gopark.run(main)
        True

    Go: none; there a Resolver has a Dial.
    """

    async def lookup_host(
        self, host: str, *, network: str = "ip", ctx: Context | None = None
    ) -> list[str]:
        """The addresses of a host, those to be tried first in front.

        Args:
            host: Its name.
            network: `ip`, `ip4` or `ip6`: which kind is wanted.
            ctx: Ends the wait.
        Example:
            >>> gopark.block(gopark.net.lookup_host("::1", network="ip6"))
            ['::1']

        Go: Resolver.LookupIP.
        """
        raise NotImplementedError


def numeric(host: str) -> int:
    """The family, if it is an address; else 0."""
    try:
        socket.inet_pton(socket.AF_INET, host)
        return socket.AF_INET
    except (OSError, ValueError):
        pass
    try:
        socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return socket.AF_INET6
    except (OSError, ValueError):
        return 0


def _isname(name: str) -> bool:
    """It has the form of a host's name. Go: isDomainName."""
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    name = name.removesuffix(".")
    return (
        0 < len(name) <= 253
        and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        and all(0 < len(label) <= 63 for label in name.split("."))
    )


class Resolver:
    """Looks up names and addresses by the means of the system: files, DNS, whatever it has.

    Args:
        limit: How many lookups may wait for the system at once, each of which takes a thread;
            further ones wait for their turn.
    Raises:
        TypeError: `limit` is no integer.
        ValueError: it is not positive.
    Example:
        >>> async def main():
        ...     resolver = gopark.net.Resolver(limit=4)
        ...     print(await resolver.lookup_host("127.0.0.1"))
        >>> gopark.run(main)
        ['127.0.0.1']

    Go: net.Resolver, with the resolver of the system.
    """

    __slots__ = ("_flights", "_limit", "_pid", "_places")

    def __init__(self, *, limit: int = _THREADS) -> None:
        integer("Resolver", "limit", limit)
        if limit < 1:
            raise ValueError(f"Resolver: the limit must be at least 1, got {limit}")
        self._limit = limit
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._flights = Group()
        self._places = Weighted(self._limit)
        for made in (self._flights, self._places):
            lasting(made._lock)  # another thread may be at it while this one forks

    __reduce_ex__ = nocopy

    async def lookup_host(
        self, host: str, *, network: str = "ip", ctx: Context | None = None
    ) -> list[str]:
        """The addresses of a host, those to be tried first in front.

        Args:
            host: Its name; an address is its own answer.
            network: `ip`, `ip4` or `ip6`: which kind is wanted.
            ctx: Ends the wait, with `ctx.err()`.
        Raises:
            DNSError: there is no such host, or nobody could be asked.
            Canceled: `ctx` was cancelled; with a deadline it may be DeadlineExceeded.
            TypeError: `host` is no string, or `ctx` no context.
            ValueError: there is no such network.
        Example:
            >>> gopark.block(gopark.net.Resolver().lookup_host("::1"))
            ['::1']

        Go: Resolver.LookupHost, Resolver.LookupIP.
        """
        _string("lookup_host", "name", host)
        _string("lookup_host", "network", network)
        if network not in _FAMILIES:
            raise ValueError(f"lookup_host: unknown network {shown(network)}: ip, ip4 or ip6")
        wanted = _FAMILIES[network]
        if numeric(host):
            return _itself(host, wanted)
        kind = socket.SOCK_STREAM
        return _hosts(
            host, await self._ask(host, ctx, socket.getaddrinfo, host, None, wanted, kind)
        )

    async def lookup_addr(self, address: str, *, ctx: Context | None = None) -> list[str]:
        """The names of an address, as far as the system knows them.

        Args:
            address: An IP address.
            ctx: Ends the wait, with `ctx.err()`.
        Raises:
            DNSError: it has no name, it is no address, or nobody could be asked.
            Canceled: `ctx` was cancelled; with a deadline it may be DeadlineExceeded.
            TypeError: `address` is no string, or `ctx` no context.
        Example:
            >>> async def main():
            ...     try:
            ...         await gopark.net.Resolver().lookup_addr("no address")
            ...     except gopark.net.DNSError as exc:
            ...         print(exc)
            >>> gopark.run(main)
            lookup no address: unrecognized address

        Go: Resolver.LookupAddr.
        """
        _string("lookup_addr", "address", address)
        if not numeric(address):
            raise DNSError(address, "unrecognized address")
        how = socket.NI_NAMEREQD
        name, _ = await self._ask("", ctx, socket.getnameinfo, (address, 0), how, name=address)
        return [name]

    async def lookup_cname(self, host: str, *, ctx: Context | None = None) -> str:
        """The name that a host's name stands for in the end; its own if it is no alias.

        Args:
            host: Its name.
            ctx: Ends the wait, with `ctx.err()`.
        Raises:
            DNSError: there is no such host, or nobody could be asked.
            Canceled: `ctx` was cancelled; with a deadline it may be DeadlineExceeded.
            TypeError: `host` is no string, or `ctx` no context.
        Example:
            >>> gopark.block(gopark.net.Resolver().lookup_cname("127.0.0.1"))
            '127.0.0.1'

        Go: Resolver.LookupCNAME. Differs: no dot at the end.
        """
        _string("lookup_cname", "name", host)
        if numeric(host):
            return host
        kind, how = socket.SOCK_STREAM, socket.AI_CANONNAME
        infos = await self._ask(host, ctx, socket.getaddrinfo, host, None, 0, kind, 0, how)
        return str(infos[0][3]) or host

    async def _ask(
        self, host: str, ctx: Context | None, fn: Callable[..., Any], *args: Any, name: str = ""
    ) -> Any:
        """Call it, or wait for one who has; `host` is a name to be looked at before."""
        if ctx is not None:
            checked("lookup", ctx)
            if (err := ctx.err()) is not None:
                raise _noted(err, name or host)
        if not name and not _isname(host):
            raise DNSError(host, _NOHOST, not_found=True)
        if os.getpid() != self._pid:
            self._fresh()  # what runs, and what is taken, is the parent's
        base = hooks.timebase()
        # A program, and a bubble, waits for its own calls alone: another's may end without a word.
        places = self._places if isinstance(base, Sched) else None
        ch = self._flights.do_chan((base, fn, args), _called, places, fn, args)
        done = None if ctx is None else ctx.done()
        index, result, _ = await select(recv(ch), recv(done))
        if index == 1:
            assert ctx is not None
            raise _noted(ctx.err() or TimeoutError(), name or host)
        if isinstance(result.err, socket.gaierror):
            raise _translated(name or host, result.err) from None
        if isinstance(result.err, UnicodeError):
            raise DNSError(name or host, _NOHOST, not_found=True) from None
        if result.err is not None:
            raise result.err
        return result.value


async def _called(places: Weighted | None, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The call, and its result. It goes on if this is ended."""
    if places is not None:
        await places.acquire()
    try:
        answer: Chan[tuple[Any, Exception | None]] = Chan(1)
        go(_callhere, places, fn, args, answer)
    except BaseException:
        if places is not None:
            places.release()
        raise
    got = await answer.recv()
    assert got is not None
    value, exc = got
    if exc is not None:
        raise exc
    return value


def _callhere(
    places: Weighted | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    answer: Chan[tuple[Any, Exception | None]],
) -> None:
    try:
        answer.try_send((call(fn, *args), None))
    except Exception as exc:
        answer.try_send((None, exc))
    finally:
        if places is not None:
            places.release()


def hostsof(host: str, family: int) -> list[str]:
    """The addresses of a host, for who may wait for them on this thread; `family` 0: of any kind.

    Raises:
        DNSError: there is no such host, or nobody could be asked.
    """
    if numeric(host):
        return _itself(host, family)
    if not _isname(host):
        raise DNSError(host, _NOHOST, not_found=True)
    try:
        return _hosts(host, socket.getaddrinfo(host, None, family, socket.SOCK_STREAM))
    except DNSError:
        raise
    except socket.gaierror as exc:
        raise _translated(host, exc) from None


def _itself(host: str, family: int) -> list[str]:
    """What an address is looked up as."""
    if family in (0, numeric(host)):
        return [host]
    raise DNSError(host, "no suitable address", not_found=True)


def _hosts(host: str, infos: list[Any]) -> list[str]:
    """What getaddrinfo has said, each address once."""
    hosts = [_hostof(info[4]) for info in infos if info[0] in _FAMILIES.values()]
    if not hosts:
        raise DNSError(host, _NOHOST, not_found=True)
    return list(dict.fromkeys(hosts))


def _hostof(name: Any) -> str:
    """An address with its zone: what the socket module has apart."""
    host: str = name[0]
    if len(name) == 4 and name[3] and "%" not in host:
        return f"{host}%{name[3]}"
    return host


def _translated(name: str, exc: socket.gaierror) -> DNSError:
    code = exc.errno
    text = exc.strerror or str(exc)
    found = code not in _NOTFOUND
    again = code == socket.EAI_AGAIN
    return DNSError(
        name, text.lower() if found else _NOHOST, not_found=not found, timeout=again, code=code
    )


def _noted(err: Exception, name: str) -> Exception:
    err.add_note(f"lookup {name}")
    return err


def _string(who: str, what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{who}() needs a string as {what}, got {shown(value)}")


DEFAULT: Final = Resolver()


async def lookup_host(host: str, *, network: str = "ip", ctx: Context | None = None) -> list[str]:
    """The addresses of a host, as `Resolver.lookup_host`.

    Args:
        host: Its name; an address is its own answer.
        network: `ip`, `ip4` or `ip6`: which kind is wanted.
        ctx: Ends the wait, with `ctx.err()`.
    Raises:
        DNSError: there is no such host, or nobody could be asked.
    Example:
        >>> gopark.block(gopark.net.lookup_host("127.0.0.1"))
        ['127.0.0.1']

    Go: net.LookupHost.
    """
    return await DEFAULT.lookup_host(host, network=network, ctx=ctx)


async def lookup_addr(address: str, *, ctx: Context | None = None) -> list[str]:
    """The names of an address, as `Resolver.lookup_addr`.

    Args:
        address: An IP address.
        ctx: Ends the wait, with `ctx.err()`.
    Raises:
        DNSError: it has no name, it is no address, or nobody could be asked.
    Example:
        >>> names = gopark.block(gopark.net.lookup_addr("127.0.0.1"))

    Go: net.LookupAddr.
    """
    return await DEFAULT.lookup_addr(address, ctx=ctx)


async def lookup_cname(host: str, *, ctx: Context | None = None) -> str:
    """The name that a host's name stands for in the end, as `Resolver.lookup_cname`.

    Args:
        host: Its name.
        ctx: Ends the wait, with `ctx.err()`.
    Raises:
        DNSError: there is no such host, or nobody could be asked.
    Example:
        >>> gopark.block(gopark.net.lookup_cname("127.0.0.1"))
        '127.0.0.1'

    Go: net.LookupCNAME.
    """
    return await DEFAULT.lookup_cname(host, ctx=ctx)
