"""Conn: a stream with two ends, whatever is under it, and what all of them have in common.

What was read too much by `read_full` or `read_until` lies in `_reader`, made when one of them is
first called; `read` hands that out first. It does not have its connection, but what that reads
from (`_apart`) or a weak reference: else the two were a cycle, and one that is dropped would stay
open until a collection. With a weak one the caller's coroutine has the connection (`_keeping`).

Source: Go 1.27 net/net.go (Conn). Tests: tests/net/test_fd.py
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from math import isnan
from typing import Any, BinaryIO

from gopark._poll.closes import Closes
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.suspend import called
from gopark._runtime.base.timenow import FAR, calendar, ofcalendar
from gopark._runtime.time.timechan import seconds
from gopark.net._addr import Addr
from gopark.net._bufio import LIMIT, Reader
from gopark.net._copy import sendfile
from gopark.net._incoming import Incoming, drained, first, incoming

__all__ = ("Buffer", "Conn", "Reads", "checkn", "deadline", "duration")

Buffer = bytes | bytearray | memoryview
Reads = Callable[..., Coroutine[Any, Any, bytes]]


def deadline(who: str, when: float | None) -> float | None:
    """A moment on the clock of `gopark.time.monotonic()`, or none.

    Raises:
        TypeError: it is neither a number nor None.
        ValueError: it is NaN, or a moment of the calendar.
    """
    if when is None or (type(when) is float and 0.0 <= when < FAR):
        return when
    if not isinstance(when, float):
        when = seconds(who, when, "moment")
    if isnan(when):
        raise ValueError(f"{who}: the moment is not a number: got {shown(when)}")
    if when == float("inf"):
        return None
    if ofcalendar(when):
        raise ValueError(
            f"{who}: {shown(when)} is a moment of time.time(), decades ahead on the clock that "
            "this goes by: write gopark.time.monotonic() + seconds, or None for no deadline"
        )
    return max(when, -1.0)  # in the past, for any clock


def duration(who: str, value: float, what: str) -> float:
    """A number of seconds, which are not to be waited for from 1970 on.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN, infinite, or a moment of the calendar.
    """
    value = seconds(who, value, what)
    if calendar(value):
        raise ValueError(
            f"{who}: the {what} is a number of seconds from now on, and {shown(value)} is a moment "
            "of time.time(): give the seconds alone"
        )
    return value


class Conn(Closes, ABC):
    """A stream of bytes in both directions: what `dial`, `accept`, `pipe` and `tls` give.

    Any number of goroutines may use it. Two that read have their turns, as have two that write, so
    what one `write` sends lies in one piece. In plain functions use `gopark.block(conn.read())`.
    It is closed at the end of `with conn:`.

    Example:
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     gopark.go(a.write, b"hello")
        ...     with a, b:
        ...         print(await b.read())
        >>> gopark.run(main)
        b'hello'

    Go: net.Conn.
    """

    __slots__ = ("__weakref__", "_pump", "_reader")

    _apart = False  # what `_source` gives works without this object
    _reader: Reader | None
    _pump: Incoming[bytes] | None  # what `chunks` has given

    # --- what is under it says ---------------------------------------------------------------

    @abstractmethod
    def _read(self, n: int) -> Coroutine[Any, Any, bytes]:
        """Up to `n` bytes from the other end."""

    @abstractmethod
    def write(self, data: Buffer) -> Coroutine[Any, Any, int]:
        """Send all of it.

        Args:
            data: Bytes, or any buffer of them.
        Returns:
            How many bytes that is.
        Raises:
            ClosedError: the connection was closed on this side.
            TimeoutError: the write deadline has passed; some of it may have been sent.
            OSError: the other side has gone.
            TypeError: `data` is no buffer of bytes.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"hello")
            ...     print(await b.read())
            >>> gopark.run(main)
            b'hello'

        Go: Conn.Write.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it. Who waits on it, here, gets a ClosedError. A second close does nothing.

        Example:
            >>> a, b = gopark.net.pipe()
            >>> a.close()

        Go: Conn.Close.
        """

    @property
    @abstractmethod
    def local_addr(self) -> Addr:
        """This end. Go: Conn.LocalAddr."""

    @property
    @abstractmethod
    def remote_addr(self) -> Addr:
        """The other end. Go: Conn.RemoteAddr."""

    @abstractmethod
    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None: ...

    def _isclosed(self) -> bool:
        """It was closed on this side."""
        return False

    def _trywrite(self, data: Buffer) -> int:
        """How much of it could be sent without waiting: for a last word, from who may not wait."""
        return 0

    def _discard(self) -> None:
        """Drop what has arrived, without waiting. Who closes a socket over it resets it."""

    # --- reading -----------------------------------------------------------------------------

    def read(self, n: int = 65536) -> Coroutine[Any, Any, bytes]:
        """Up to `n` bytes, as soon as there are some; b"" at the end of the stream.

        Args:
            n: At most so many bytes.
        Raises:
            ClosedError: the connection was closed on this side.
            TimeoutError: the read deadline has passed. The connection can be used again.
            OSError: the connection is broken.
            TypeError: `n` is no integer.
            ValueError: `n` is not positive.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"hello")
            ...     print(await b.read(4), await b.read(4))
            >>> gopark.run(main)
            b'hell' b'o'

        Go: Conn.Read.
        """
        if n.__class__ is not int or n < 1:
            checkn("read", n)
        reader = self._reader
        if reader is not None and reader.buffered and not self._isclosed():
            return reader.read(n)
        return self._read(n)

    @property
    def _buffered(self) -> Reader:
        reader = self._reader
        if reader is None:
            reader = first(self, "_reader", Reader(_Unbuffered(self._source())))
        return reader

    def _source(self) -> Callable[[int], Coroutine[Any, Any, bytes]]:
        """What the reader reads from."""
        ref = weakref.ref(self)

        def read(n: int) -> Coroutine[Any, Any, bytes]:
            conn = ref()
            assert conn is not None  # `_keeping` has it
            return conn._read(n)

        return read

    @called("Conn.read")
    async def _keeping(self, read: Reads, *args: Any) -> bytes:
        return await read(*args)

    def read_full(self, n: int) -> Coroutine[Any, Any, bytes]:
        """Exactly `n` bytes; b"" if the stream ends before the first.

        Args:
            n: How many.
        Raises:
            UnexpectedEOFError: it ends after that; the error has what there was.
            OSError: as for `read`. What came before can be read yet.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"abcd")
            ...     print(await b.read_full(3))
            >>> gopark.run(main)
            b'abc'

        Go: io.ReadFull.
        """
        reader = self._buffered
        if self._isclosed():
            return self._read(1)  # which raises
        return reader.read_full(n) if self._apart else self._keeping(reader.read_full, n)

    def read_until(self, sep: bytes = b"\n", limit: int = LIMIT) -> Coroutine[Any, Any, bytes]:
        """Up to the separator, which is part of it; b"" if the stream ends before the first byte.

        Args:
            sep: What ends it.
            limit: At most so many bytes, the separator among them.
        Raises:
            UnexpectedEOFError: the stream ends without it; the error has what there was.
            TooLongError: there is none within the limit. Nothing is lost: it can still be read.
            OSError: as for `read`. What came before can be read yet.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"one\\ntwo\\n")
            ...     print(await b.read_until(), await b.read_until())
            >>> gopark.run(main)
            b'one\\n' b'two\\n'

        Go: Reader.ReadBytes.
        """
        reader = self._buffered
        if self._isclosed():
            return self._read(1)  # which raises
        if self._apart:
            return reader.read_until(sep, limit)
        return self._keeping(reader.read_until, sep, limit)

    # --- for select, and in bulk ---------------------------------------------------------------

    def chunks(self) -> Incoming[bytes]:
        """What comes in, as a channel: for `select`, and for `async for`.

        A goroutine of its own reads ahead by one chunk. The channel is closed at the end of the
        stream, and when the connection is closed; chunks that it has are received before that.
        From the first call on leave reading to it; each call gives the same channel.

        Returns:
            A channel to receive from. After its end `err()` tells what broke the connection, if
            something did, a deadline that passed among that.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"hello")
            ...     timeout = gopark.time.after(60)
            ...     print(await gopark.select(gopark.recv(b.chunks()), gopark.recv(timeout)))
            ...     b.close()
            >>> gopark.run(main)
            (0, b'hello', True)

        Go: none; a goroutine that reads and sends.
        """
        pump = getattr(self, "_pump", None)
        return incoming(self, "_pump", self._chunk) if pump is None else pump

    async def _chunk(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    def _endpump(self) -> None:
        """It was closed: each `close` calls this at its end."""
        pump = getattr(self, "_pump", None)
        if pump is not None:
            drained(pump)

    def sendfile(
        self, file: BinaryIO, offset: int = 0, count: int | None = None
    ) -> Coroutine[Any, Any, int]:
        """Send a file, or a part of it; over a socket the system does so by itself (sendfile(2)).

        Args:
            file: Opened for reading in binary mode. Its position is after what was sent, then.
            offset: Where to begin, in bytes.
            count: How many bytes at most; None: up to the file's end.
        Returns:
            How many bytes were sent.
        Raises:
            ClosedError: the connection was closed on this side.
            TimeoutError: the write deadline has passed. The file's position tells how far it came.
            OSError: the other side has gone, or the file cannot be read.
            TypeError: `file` is no binary file, or a number none.
            ValueError: a number is negative.
        Example:
            >>> import io
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.sendfile, io.BytesIO(b"hello"), 1)
            ...     print(await b.read())
            >>> gopark.run(main)
            b'ello'

        Go: TCPConn.ReadFrom of an os.File.
        """
        return sendfile(self, file, offset, count)

    # --- deadlines ---------------------------------------------------------------------------

    def set_deadline(self, when: float | None) -> None:
        """By when reads and writes have to be done; those that wait then get a TimeoutError.

        It holds until another is set, and the connection can be used again after that.

        Args:
            when: Seconds on the clock of `gopark.time.monotonic()`; in the past: at once. None and
                infinity are no deadline.
        Raises:
            ClosedError: the connection was closed on this side.
            TypeError: `when` is neither a number nor None.
            ValueError: it is NaN, or a moment of `time.time()`, which would be decades ahead.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     a.set_deadline(gopark.time.monotonic() + 0.01)
            ...     try:
            ...         await a.read()
            ...     except TimeoutError as exc:
            ...         print(exc)
            >>> gopark.run(main)
            read pipe: i/o timeout

        Go: Conn.SetDeadline.
        """
        self._setdeadline(deadline("set_deadline", when), True, True)

    def set_read_deadline(self, when: float | None) -> None:
        """As `set_deadline`, with the same arguments and errors, for reads alone.

        Example:
            >>> a, b = gopark.net.pipe()
            >>> a.set_read_deadline(None)

        Go: Conn.SetReadDeadline.
        """
        self._setdeadline(deadline("set_read_deadline", when), True, False)

    def set_write_deadline(self, when: float | None) -> None:
        """As `set_deadline`, with the same arguments and errors, for writes alone.

        Example:
            >>> a, b = gopark.net.pipe()
            >>> a.set_write_deadline(None)

        Go: Conn.SetWriteDeadline.
        """
        self._setdeadline(deadline("set_write_deadline", when), False, True)


class _Unbuffered:
    """What a connection's own Reader reads from: it is not to find itself there."""

    __slots__ = ("_from",)

    def __init__(self, read: Callable[[int], Coroutine[Any, Any, bytes]]) -> None:
        self._from = read

    def read(self, n: int = 65536, /) -> Coroutine[Any, Any, bytes]:
        return self._from(n)


def checkn(who: str, n: object) -> None:
    """Raise unless one can read so many bytes."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"{who}() needs a number of bytes, got {shown(n)}")
    if n < 1:
        raise ValueError(f"{who}: n must be at least 1, got {shown(n)}")
