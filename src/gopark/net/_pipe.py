"""`pipe`: two connections in memory, joined to each other, for tests and for what needs a Conn.

A write hands its piece to one reader after the other until all of it was read, as Go's. It is made
of channels alone, so a goroutine that waits here is durably blocked: in a bubble of
`gopark.testing.synctest` deadlines pass in virtual time.

Who has received a piece tells how much it took before it can be stopped: the channel for that
belongs to one write and has room. So a write that is broken off leaves nothing to the next.

Source: Go 1.27 net/pipe.go. Differs: an empty write waits for nobody, since b"" is the end of a
stream; who waits for its turn to write leaves at the deadline. Tests: tests/net/test_pipe.py
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any, Final

from gopark._poll.errors import ClosedError
from gopark._runtime.base.errors import ClosedChannelError, nocopy
from gopark._runtime.base.lockrank import Holding, Rank, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.suspend import called
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select, send
from gopark._runtime.time.timechan import Timer
from gopark._runtime.time.timefunc import after_func
from gopark.net._addr import Addr
from gopark.net._conn import Buffer, Conn

__all__ = ("pipe",)

_ADDR: Final = Addr("pipe", "pipe")

# A piece that is offered, and where its writer is told how much of it was taken.
Piece = tuple[memoryview, Chan[int]]


def pipe() -> tuple[Conn, Conn]:
    """Two connections in memory: what is written to one is read from the other.

    Nothing lies in between: a `write` returns when all of it was read.

    Example:
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     gopark.go(a.write, b"hello")
        ...     print(await b.read())
        >>> gopark.run(main)
        b'hello'

    Go: net.Pipe.
    """
    one, two = _Way(), _Way()
    return _PipeConn(one, two), _PipeConn(two, one)


class _Way:
    """One direction."""

    __slots__ = ("pieces", "turn", "writerdone")

    def __init__(self) -> None:
        self.pieces: Chan[Piece] = Chan()
        self.turn: Chan[None] = Chan(1)  # full while somebody writes
        self.writerdone: Chan[None] = Chan()  # closed with the end that writes


class _Deadline:
    """A channel that is closed once a moment has passed. Go: pipeDeadline."""

    __slots__ = ("_lock", "_timer", "past")

    def __init__(self) -> None:
        self._lock = mkmutex(Rank.SEMA)
        self._timer: Timer | None = None
        self.past: Chan[None] = Chan()

    def set(self, when: float | None) -> None:
        fired = None
        with Holding(self._lock):
            timer, self._timer = self._timer, None
            if timer is not None and not timer.stop():
                fired = self.past  # its goroutine has started, and is about to close it
            wait = 0.0 if when is None else when - monotonic()
            if when is not None and wait <= 0:
                fired = self.past
            else:
                if fired is not None or self.past._closed:
                    self.past = Chan()
                if when is not None:
                    self._timer = after_func(wait, _close, self.past)
        if fired is not None:
            _close(fired)


def _close(ch: Chan[None]) -> None:
    with suppress(ClosedChannelError):
        ch.close()


def _closed(what: str) -> ClosedError:
    return ClosedError(f"{what} pipe: use of closed connection")


class _PipeConn(Conn):
    """One end."""

    __slots__ = ("_in", "_out", "_rd", "_wd")

    def __init__(self, out: _Way, into: _Way) -> None:
        self._reader = None
        self._pump = None
        self._out = out
        self._in = into
        self._rd = _Deadline()
        self._wd = _Deadline()

    def __repr__(self) -> str:
        return f"<Conn pipe{' closed' if self._isclosed() else ''} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    @property
    def local_addr(self) -> Addr:
        return _ADDR

    remote_addr = local_addr

    def _isclosed(self) -> bool:
        return self._out.writerdone._closed

    @called("Conn.read")
    async def _read(self, n: int) -> bytes:
        mine, other, past = self._out.writerdone, self._in.writerdone, self._rd.past
        pieces, piece = self._in.pieces, None
        while piece is None:
            if mine._closed:
                raise _closed("read")
            if other._closed:
                return b""
            if past._closed:
                raise TimeoutError("read pipe: i/o timeout")
            _, piece, _ = await select(recv(pieces), recv(mine), recv(other), recv(past))
        view, taken = piece
        data = bytes(view[:n])
        taken.try_send(len(data))
        return data

    @called("Conn.write")
    async def write(self, data: Buffer) -> int:
        try:
            rest = memoryview(data).cast("B")
        except TypeError:
            raise TypeError(f"write() needs bytes, got {shown(data)}: encode text first") from None
        size, turn = len(rest), self._out.turn
        await self._hand(turn, None)
        try:
            taken: Chan[int] = Chan(1)
            while rest:
                await self._hand(self._out.pieces, (rest, taken))
                rest = rest[await taken.recv() :]
        finally:
            turn.try_recv()
        return size

    write.__doc__ = Conn.write.__doc__

    async def _hand(self, ch: Chan[Any], value: Any) -> None:
        """Send, unless something stands against it."""
        mine, other, past = self._out.writerdone, self._in.writerdone, self._wd.past
        index = 1
        while index:
            if mine._closed:
                raise _closed("write")
            if other._closed:
                raise BrokenPipeError(errno.EPIPE, "write pipe: the other end is closed")
            if past._closed:
                raise TimeoutError("write pipe: i/o timeout")
            index, _, _ = await select(send(ch, value), recv(mine), recv(other), recv(past))

    def close(self) -> None:
        _close(self._out.writerdone)
        self._endpump()

    close.__doc__ = Conn.close.__doc__

    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None:
        if self._isclosed():
            raise _closed("set deadline")
        if read:
            self._rd.set(when)
        if write:
            self._wd.set(when)
