"""Incoming: a channel of what comes in, for `select`. It costs a goroutine, once it is asked for.

The goroutine waits for one thing, and then for somebody who takes it. So it is ahead by one, which
is not to be lost when the source is closed, nor is the goroutine to wait for ever then: `drained`
gives the channel room for all that comes, and what the goroutine has in hand is received before
the channel's end.

Who asks for such a channel, or for the Reader of a connection, may do so on two threads at once:
`first` has both get the same.

Locks: that of the channel; `_owners`, while what was made is given to its owner. Source: none.
Tests: tests/net/test_incoming.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gopark._poll.errors import ClosedError
from gopark._runtime.base.lockrank import Holding, Rank, lasting, mkmutex
from gopark._runtime.chan.chan import Chan, wake
from gopark._runtime.chan.recvonly import RecvOnly, shut
from gopark._runtime.sched.newproc import go

__all__ = ("Incoming", "drained", "first", "incoming")

T = TypeVar("T")

_ROOM: Final = sys.maxsize // 8
_owners: Final = lasting(mkmutex(Rank.NETPOLL))


class Incoming(RecvOnly[T]):
    """A channel of what comes in, to receive from: what `chunks` and `conns` give.

    It is closed when its connection, or listener, is, and at the end of the stream. What came in
    before is received first.

    Example:
        >>> async def main():
        ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        ...         with await gopark.net.dial("tcp", ln.addr):
        ...             index, conn, ok = await gopark.select(gopark.recv(ln.conns()))
        ...             print(index, ok, conn.local_addr == ln.addr)
        ...             conn.close()
        >>> gopark.run(main)
        0 True True

    Go: none; `<-chan` of what a goroutine reads.
    """

    __slots__ = ("_err",)

    what = "a channel of what comes in"
    instead = "what comes in is sent by gopark.net, and ends with the connection"

    def __init__(self) -> None:
        super().__init__()
        self._err: Exception | None = None

    def err(self) -> Exception | None:
        """Why it has ended: None if by a close, or the stream's end, or if it has not.

        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     a.close()
            ...     chunks = b.chunks()
            ...     print([chunk async for chunk in chunks], chunks.err())
            >>> gopark.run(main)
            [] None

        Go: bufio.Scanner.Err.
        """
        return self._err


def first(owner: object, slot: str, made: T) -> T:
    """What the owner has there; if it has nothing, `made` from now on."""
    with Holding(_owners):
        there: T | None = getattr(owner, slot, None)
        if there is None:
            setattr(owner, slot, made)
    return made if there is None else there


def incoming(owner: object, slot: str, pull: Callable[[], Coroutine[Any, Any, T]]) -> Incoming[T]:
    """The owner's channel of what `pull` gives, begun if it has none."""
    made: Incoming[T] = Incoming()
    there = first(owner, slot, made)
    if there is made:
        go(_pump, made, pull)
    return there


async def _pump(ch: Incoming[T], pull: Callable[[], Coroutine[Any, Any, T]]) -> None:
    """Send what `pull` gives until it raises."""
    try:
        while True:
            await Chan.send(ch, await pull())
    except (ClosedError, StopAsyncIteration):
        pass
    except (OSError, EOFError) as exc:
        ch._err = exc
    finally:
        shut(ch)


def drained(ch: Incoming[Any]) -> None:
    """The source is closed: who has something in hand can send it, whether or not it is taken."""
    with Holding(ch._lock):
        ch.cap = _ROOM
        entry = ch.dequeue(ch._sendq)
        if entry is not None:
            ch._buf.append(entry.elem)
            entry.elem = None
    if entry is not None:
        wake(entry)
