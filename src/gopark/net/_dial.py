"""`dial` and `Dialer`: connections to others.

A host with addresses of both kinds of IP: those of the kind that comes first are tried, one after
the other, and the rest in a second goroutine if that has taken 300 ms or has failed. The first
connection wins; the other attempt is broken off, and waited for: nothing is left behind.

An attempt ends with its context through the write deadline of its socket, as in Go. With several
addresses each has its share of the time that is left.

Source: Go 1.27 net/dial.go, net/fd_unix.go (connect), net/tcpsock_posix.go. Differs: who runs out
of the time of a context gets `ctx.err()`. Tests: tests/net/test_dial.py
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final, Literal, NamedTuple, overload

from gopark._poll.errors import named
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.scope.scope import shelter
from gopark._runtime.time.timechan import Timer, seconds
from gopark.context import Context, background, with_cancel, with_deadline
from gopark.context._with import checked
from gopark.net._addr import join_host_port, nameof, portof, split_host_port, toport, unixname
from gopark.net._addr import network as kindof
from gopark.net._conn import Conn, duration
from gopark.net._conn import deadline as moment
from gopark.net._connect import Interrupted, Place, connect
from gopark.net._lookup import DEFAULT, Resolves, numeric
from gopark.net._packet import PacketConn
from gopark.net._sock import SockFD
from gopark.net._stream import SocketConn

__all__ = ("Dialer", "dial")

_FALLBACK: Final = 0.3  # seconds: RFC 6555
_LEAST: Final = 2.0  # seconds for one address of several, if there is so much time at all

Streams = Literal["tcp", "tcp4", "tcp6", "unix"]
Packets = Literal["udp", "udp4", "udp6", "unixgram"]


class _Goal(NamedTuple):
    """What all attempts of one `dial` have in common."""

    net: str
    address: str
    kind: int
    ctx: Context | None
    until: float | None  # by the dialer; the context has its own

    def text(self) -> str:
        return f"dial {self.net} {self.address}"

    def deadline(self) -> float | None:
        ends = [self.until, None if self.ctx is None else self.ctx.deadline()]
        return min((end for end in ends if end is not None), default=None)


class Dialer:
    """Connects, with settings of its own.

    Args:
        timeout: Seconds for all of it, the lookup of the name among that; None: as long as the
            system tries.
        deadline: The same as a moment on the clock of `gopark.time.monotonic()`.
        local_addr: Where from: an address of this machine with a port, 0 for any; for Unix sockets
            a path.
        fallback_delay: Seconds after which addresses of the other kind of IP are tried as well; a
            negative number has all of them tried one after the other.
        keep_alive: Seconds of silence after which the other side is asked whether it is there,
            zero for never.
        resolver: Who looks up names, in place of the system's.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: a number is NaN, or a moment of `time.time()`.
    Example:
        >>> async def main():
        ...     dialer = gopark.net.Dialer(timeout=5, keep_alive=60)
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await dialer.dial("tcp", ln.addr) as conn:
        ...             print(conn.remote_addr == ln.addr)
        >>> gopark.run(main)
        True

    Go: net.Dialer.
    """

    __slots__ = ("_deadline", "_fallback", "_keepalive", "_local", "_resolver", "_timeout")

    def __init__(
        self,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        local_addr: str | None = None,
        fallback_delay: float = _FALLBACK,
        keep_alive: float = 15.0,
        resolver: Resolves | None = None,
    ) -> None:
        self._timeout = None
        if timeout is not None and timeout != float("inf"):
            self._timeout = duration("Dialer", timeout, "timeout")
        self._deadline = moment("Dialer", deadline)
        self._fallback = seconds("Dialer", fallback_delay, "fallback_delay")
        self._keepalive = seconds("Dialer", keep_alive, "keep_alive")
        if local_addr is not None and not isinstance(local_addr, str):
            raise TypeError(f"Dialer() needs a string as local_addr, got {shown(local_addr)}")
        if resolver is not None and not callable(getattr(resolver, "lookup_host", None)):
            raise TypeError(f"Dialer() needs a resolver with a lookup_host, got {shown(resolver)}")
        self._local = local_addr
        self._resolver: Resolves = DEFAULT if resolver is None else resolver

    @overload
    async def dial(
        self, network: Streams, address: str, *, ctx: Context | None = ...
    ) -> SocketConn: ...

    @overload
    async def dial(
        self, network: Packets, address: str, *, ctx: Context | None = ...
    ) -> PacketConn: ...

    @overload
    async def dial(self, network: str, address: str, *, ctx: Context | None = ...) -> Conn: ...

    async def dial(self, network: str, address: str, *, ctx: Context | None = None) -> Conn:
        """Connect, as `gopark.net.dial`.

        Args:
            network: `tcp`, `udp`, each with 4 or 6 for one kind of IP alone; `unix`, `unixgram`.
            address: `host:port`, or a path.
            ctx: Ends the attempt, with `ctx.err()`; not the connection.
        Raises:
            OSError: as for `gopark.net.dial`.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         with await gopark.net.Dialer().dial("tcp", ln.addr) as conn:
            ...             print(conn.remote_addr == ln.addr)
            >>> gopark.run(main)
            True

        Go: Dialer.DialContext.
        """
        goal = self._goal(network, address, ctx)
        try:
            places = await self._places(goal)
            fd = await self._raced(goal, places)
        except Interrupted:
            raise self._ended(goal) from None
        if goal.kind == socket.SOCK_STREAM:
            return SocketConn(fd)
        return PacketConn(fd, connected=True)

    # --- until when ------------------------------------------------------------------------------

    def _goal(self, net: str, address: str, ctx: Context | None) -> _Goal:
        if ctx is not None:
            checked("dial", ctx)
        kind = kindof("dial", net)[1]
        until = self._deadline
        if self._timeout is not None:
            end = monotonic() + self._timeout
            until = end if until is None else min(until, end)
        goal = _Goal(net, address, kind, ctx, until)
        if _over(goal):
            raise self._ended(goal)
        return goal

    def _ended(self, goal: _Goal) -> Exception:
        """The error for who has run out of time, or was told to stop."""
        err = None if goal.ctx is None else goal.ctx.err()
        if err is None:
            return TimeoutError(f"{goal.text()}: i/o timeout")
        err.add_note(goal.text())
        return err

    # --- where to -----------------------------------------------------------------------------

    async def _places(self, goal: _Goal) -> list[Place]:
        """Where to connect, and from where, in the order to try."""
        if goal.net.startswith("unix"):
            path = None if self._local is None else unixname(self._local)
            return [Place(socket.AF_UNIX, unixname(goal.address), goal.address, path)]
        host, port = split_host_port(goal.address)
        number = toport(goal.net, port, goal.address)
        hosts = await self._hosts(goal, host)
        wanted = kindof("dial", goal.net)[0]
        places = []
        for one in hosts:
            family = numeric(one)
            if family and wanted in (0, family):
                at = join_host_port(one, number)
                places.append((family, nameof(one, number), at))
        local_family, local = self._from(goal.net)
        found = [
            Place(family, name, at, _anyof(family, local))
            for family, name, at in places
            if local_family in (0, family)
        ]
        if not found:
            raise named(OSError(errno.EADDRNOTAVAIL, "no suitable address"), goal.text())
        return found

    async def _hosts(self, goal: _Goal, host: str) -> list[str]:
        if not host:  # as Go: this machine
            return ["::1" if goal.net.endswith("6") else "127.0.0.1"]
        if numeric(host):
            return [host]
        kind = {"4": "ip4", "6": "ip6"}.get(goal.net[-1], "ip")
        if goal.until is None:
            return await self._resolver.lookup_host(host, network=kind, ctx=goal.ctx)
        with with_deadline(goal.ctx or background(), goal.until) as ctx:
            try:
                return await self._resolver.lookup_host(host, network=kind, ctx=ctx)
            except Exception:
                if _over(goal):
                    raise Interrupted from None
                raise

    def _from(self, net: str) -> tuple[int, tuple[str, int] | None]:
        """The family of `local_addr`, 0 for any, and what it is."""
        if self._local is None:
            return 0, None
        host, port = split_host_port(self._local)
        family = numeric(host)
        if host and not family:
            raise ValueError(
                f"dial: local_addr {shown(self._local)} needs an IP address, not a name"
            )
        return family, (host, portof(net, port))

    # --- trying ---------------------------------------------------------------------------------

    async def _raced(self, goal: _Goal, places: list[Place]) -> SockFD:
        """Go: sysDialer.dialParallel."""
        first = [place for place in places if place.family == places[0].family]
        rest = [place for place in places if place.family != places[0].family]
        if not rest or goal.net != "tcp" or self._fallback < 0:
            return await self._serial(goal, places)
        results: Chan[SockFD | Exception] = Chan(2)
        errors: list[Exception] = []
        ctx, cancel = with_cancel(goal.ctx or background())
        race = goal._replace(ctx=ctx)
        timer = Timer(self._fallback)
        running = 1
        go(self._racer, race, first, results)
        try:
            while running:
                index, got, _ = await select(recv(results), recv(timer.c if rest else None))
                if index == 0:
                    running -= 1
                    if isinstance(got, SockFD):
                        return got
                    errors.append(got)
                if rest:
                    running += 1
                    go(self._racer, race, rest, results)
                    rest = []
        finally:
            timer.stop()
            cancel()
            with shelter():
                while running:
                    late = await results.recv()
                    running -= 1
                    if isinstance(late, SockFD):
                        late.close()
        raise errors[0]

    async def _racer(self, goal: _Goal, places: list[Place], results: Chan[Any]) -> None:
        try:
            result: Any = await self._serial(goal, places)
        except Exception as exc:
            result = exc
        results.try_send(result)

    async def _serial(self, goal: _Goal, places: list[Place]) -> SockFD:
        """One after the other; if all fail, the first error. Go: sysDialer.dialSerial."""
        errors: list[OSError] = []
        for n, place in enumerate(places):
            if _over(goal):
                break
            end = _share(goal.deadline(), len(places) - n)
            if end == goal.deadline():
                end = goal.until  # the context sees to its own
            try:
                return await connect(goal.net, goal.kind, place, goal.ctx, end, self._keepalive)
            except Interrupted:
                if _over(goal):
                    raise
                errors.append(TimeoutError(f"dial {goal.net} {place.text}: i/o timeout"))
            except OSError as exc:
                errors.append(named(exc, f"dial {goal.net} {place.text}"))
        if not errors:
            raise Interrupted
        for other in errors[1:]:
            errors[0].add_note(f"and {other}")
        raise errors[0]


def _over(goal: _Goal) -> bool:
    """Told to stop, or out of time."""
    if goal.ctx is not None and goal.ctx.err() is not None:
        return True
    return goal.until is not None and goal.until <= monotonic()


def _share(end: float | None, left: int) -> float | None:
    """By when the next of so many addresses has to answer. Go: partialDeadline."""
    if end is None or left == 1:
        return end
    now = monotonic()
    remaining = end - now
    return now + min(remaining, max(remaining / left, _LEAST))


def _anyof(family: int, local: tuple[str, int] | None) -> tuple[str, int] | None:
    if local is None or local[0]:
        return local
    return ("::" if family == socket.AF_INET6 else "0.0.0.0"), local[1]


@overload
async def dial(
    network: Streams,
    address: str,
    *,
    ctx: Context | None = ...,
    timeout: float | None = ...,
    local_addr: str | None = ...,
) -> SocketConn: ...


@overload
async def dial(
    network: Packets,
    address: str,
    *,
    ctx: Context | None = ...,
    timeout: float | None = ...,
    local_addr: str | None = ...,
) -> PacketConn: ...


@overload
async def dial(
    network: str,
    address: str,
    *,
    ctx: Context | None = ...,
    timeout: float | None = ...,
    local_addr: str | None = ...,
) -> Conn: ...


async def dial(
    network: str,
    address: str,
    *,
    ctx: Context | None = None,
    timeout: float | None = None,
    local_addr: str | None = None,
) -> Conn:
    """Connect.

    A host with addresses of both kinds of IP: the other kind is tried as well once the first has
    taken 300 ms; see `Dialer` for that and more.

    Args:
        network: `tcp`, `udp`, each with 4 or 6 for one kind of IP alone; `unix`, `unixgram`.
        address: `host:port`; without a host, this machine. For Unix sockets a path, or on Linux a
            name that begins with `@`.
        ctx: Ends the attempt, with `ctx.err()`; not the connection.
        timeout: Seconds for all of it, the lookup of the name among that.
        local_addr: Where from: an address of this machine with a port, 0 for any; or a path.
    Returns:
        A stream; for `udp` and `unixgram` a `PacketConn`, each of whose reads and writes is one
        datagram.
    Raises:
        OSError: it cannot be connected to: ConnectionRefusedError, FileNotFoundError and others,
            with network and address in the text. With several addresses, that of the first.
        DNSError: the host is not found.
        TimeoutError: the time is over.
        Canceled: `ctx` was cancelled; with a deadline it may be DeadlineExceeded.
        TypeError: an argument is of the wrong kind.
        ValueError: there is no such network, or the address is not of that form.
    Example:
        >>> async def main():
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await gopark.net.dial("tcp", ln.addr, timeout=5) as conn:
        ...             print(conn.remote_addr == ln.addr)
        >>> gopark.run(main)
        True

    Go: net.Dial, net.DialTimeout.
    """
    dialer = Dialer(timeout=timeout, local_addr=local_addr)
    return await dialer.dial(network, address, ctx=ctx)
