"""One attempt to connect to one address.

It is broken off by the write deadline of its socket: when that passes, and when the context is
done, whose goroutine sets it. That one is waited for, so that it finds no other's socket.

Source: Go 1.27 net/fd_unix.go (connect), net/tcpsock_posix.go. Tests: tests/net/test_dial.py
"""

from __future__ import annotations

import errno
import math
import os
import socket
from typing import Any, Final, NamedTuple

from gopark._runtime.chan.chan import Chan
from gopark._runtime.scope.scope import shelter
from gopark.context import Context, after_func
from gopark.net._sock import SockFD, keepalive, opened

__all__ = ("Interrupted", "Place", "connect")

_GOESON: Final = {errno.EINPROGRESS, errno.EALREADY, errno.EINTR}
_SELFTRIES: Final = 2


class Interrupted(Exception):
    """The time for it is over, or its context is done."""


class Place(NamedTuple):
    """Where to connect to, and from where."""

    family: int
    name: Any  # as the socket module has it
    text: str
    local: Any


async def connect(
    net: str, kind: int, place: Place, ctx: Context | None, end: float | None, idle: float
) -> SockFD:
    """A socket in the poller, connected.

    Raises:
        Interrupted: the context is done, or that moment has passed.
        OSError: it cannot be.
    """
    tries = 0
    while True:
        fd = await _connect(net, kind, place, ctx, end, idle)
        if not (net.startswith("tcp") and place.local is None and _toitself(fd)):
            return fd
        # The port that the system chose is the one it was to connect to, where nobody listens:
        # the two ends of one socket.
        fd.close()
        tries += 1
        if tries > _SELFTRIES:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _toitself(fd: SockFD) -> bool:
    try:
        return bool(fd.raw.getsockname() == fd.raw.getpeername())
    except OSError:
        return False


async def _connect(
    net: str, kind: int, place: Place, ctx: Context | None, end: float | None, idle: float
) -> SockFD:
    sock = socket.socket(place.family, kind)
    try:
        _prepared(sock, net, kind, idle)
        if place.local is not None:
            sock.bind(place.local)
        sock.setblocking(False)
        code = sock.connect_ex(place.name)
        if code and code not in _GOESON:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    fd = opened(sock, _plain(net))
    try:
        if code:
            await _interruptible(fd, ctx, end)
        elif ctx is not None and ctx.err() is not None:
            raise Interrupted
    except BaseException:
        fd.close()
        raise
    return fd


def _plain(net: str) -> str:
    """Without the kind of IP, as Go names what it has."""
    return net.rstrip("46")


def _prepared(sock: socket.socket, net: str, kind: int, idle: float) -> None:
    if net.startswith("tcp"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keepalive(sock, math.ceil(idle))
    elif net.startswith("udp"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)


async def _interruptible(fd: SockFD, ctx: Context | None, end: float | None) -> None:
    """Wait for the end of the attempt, its time or its context. Go: netFD.connect."""
    if end is not None:
        fd.setdeadline(end, False, True)
    if ctx is None or ctx.done() is None:
        await _finished(fd)
    else:
        told: Chan[None] = Chan(1)
        stop = after_func(ctx, _interrupt, fd, told)
        try:
            await _finished(fd)
        finally:
            if not stop():
                with shelter():
                    await told.recv()
        if ctx.err() is not None:
            raise Interrupted
    if end is not None:
        fd.setdeadline(None, False, True)


async def _interrupt(fd: SockFD, told: Chan[None]) -> None:
    fd.setdeadline(-1.0, False, True)
    told.try_send(None)


async def _finished(fd: SockFD) -> None:
    """Until it is connected."""
    while True:
        await fd.turn("dial", True)
        try:
            await fd.wait("dial", True)
        except TimeoutError:
            raise Interrupted from None
        finally:
            fd.release(True)
        code = fd.raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code and code not in _GOESON:
            raise OSError(code, os.strerror(code))
        try:
            fd._remote = fd.raw.getpeername()  # for errors: it is not told after a reset
            return
        except OSError:
            continue  # woken for nothing: it goes on
