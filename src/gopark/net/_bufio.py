"""Reader: lines, records and exact counts from a stream, with each byte copied once where possible.

Invariant: `_data[_at:]` is what was read from the stream and not handed out. A piece that lies in
one chunk is cut out of it, which is its only copy; what lies in several is joined once.

One goroutine at a time, as in Go.

Source: Go 1.27 bufio/bufio.go, io/io.go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

from collections.abc import Coroutine
from inspect import isawaitable
from io import IOBase
from socket import socket as Socket
from types import CoroutineType
from typing import Any, Final, Protocol

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark.net._errors import TooLongError, UnexpectedEOFError

__all__ = ("LIMIT", "Readable", "Reader", "awaited", "checkcount", "checkstream")

SIZE = 65536  # bytes asked of the stream at once
LIMIT = 65536  # bytes of a line


class Readable(Protocol):
    """What a Reader, and `copy`, read from: a `Conn`, or anything with such a `read`.

    Example:
        >>> class Zeros:
        ...     async def read(self, n=1):
        ...         return b"0" * n
        >>> async def main():
        ...     print(await gopark.net.Reader(Zeros()).read_full(3))
        >>> gopark.run(main)
        b'000'

    Go: io.Reader.
    """

    def read(self, n: int = ..., /) -> Coroutine[Any, Any, bytes]:
        """Up to `n` bytes, none at the end.

        Example:
            >>> a, b = gopark.net.pipe()
            >>> gopark.block(gopark.net.Reader(a).read(0))
            Traceback (most recent call last):
            ...
            ValueError: read: n must be at least 1, got 0

        Go: Reader.Read.
        """


def checkcount(who: str, what: str, n: object, least: int = 0) -> None:
    """Raise unless it is a number of bytes."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"{who}() needs a number of bytes as {what}, got {shown(n)}")
    if n < least:
        raise ValueError(f"{who}: {what} must be at least {least}, got {shown(n)}")


# What to do with a file, whose methods do their work where they are called.
_WRAP: Final = {
    "read": "wrap it in an async def read(self, n), or send it with Conn.sendfile",
    "write": "wrap it in an async def write(self, data)",
}


def checkstream(who: str, verb: str, form: str, stream: object) -> None:
    """Raise unless it is a stream that can be read, or written.

    Raises:
        TypeError: it has no such method, or is a file.
    """
    has = callable(getattr(stream, verb, None))
    if has and not isinstance(stream, IOBase):
        return
    hint = f": that of a file is not awaited: {_WRAP[verb]}" if has else ""
    if isinstance(stream, Socket):
        hint = ": see gopark.net.from_socket"
    raise TypeError(f"{who}() needs a stream with a {form}, got {shown(stream)}{hint}")


def awaited(verb: str, stream: object, given: Any) -> Any:
    """What such a method gave, which is to be awaited: a coroutine, from a Conn.

    Raises:
        TypeError: it is a result.
    """
    if given.__class__ is CoroutineType or isawaitable(given):
        return given
    raise TypeError(f"{verb}() of {shown(stream)} is no async def: {_WRAP[verb]}")


class Reader:
    """Reads lines, records and exact counts from a stream, and keeps what it has read too much.

    Args:
        stream: A `Conn`, or anything with an `async def read(n)` that gives b"" at the end.
        size: Bytes to ask the stream for at once.
    Raises:
        TypeError: `stream` has no `read`, or one that is not awaited, as a file's; or `size` is no
            integer.
        ValueError: `size` is not positive.
    Example:
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     async def client():
        ...         await a.write(b"GET / HTTP/1.0\\r\\n\\r\\nbody")
        ...         a.close()
        ...     gopark.go(client)
        ...     r = gopark.net.Reader(b)
        ...     async for line in r:
        ...         print(line)
        >>> gopark.run(main)
        b'GET / HTTP/1.0'
        b''
        b'body'

    Go: bufio.Reader.
    """

    __slots__ = ("_at", "_data", "_size", "_stream")
    __reduce_ex__ = nocopy

    def __init__(self, stream: Readable, size: int = SIZE) -> None:
        checkstream("Reader", "read", "read(n)", stream)
        checkcount("Reader", "size", size, 1)
        self._stream = stream
        self._size = size
        self._data = b""
        self._at = 0

    @property
    def buffered(self) -> int:
        """How many bytes can be read without asking the stream. Go: Reader.Buffered."""
        return len(self._data) - self._at

    async def _fill(self, n: int = 0) -> bytes:
        """A fresh chunk, of `n` bytes or more, which is not in the buffer yet; none at the end."""
        stream = self._stream
        return bytes(await awaited("read", stream, stream.read(max(n, self._size))))

    def _cut(self, end: int) -> bytes:
        """Hand out the buffer up to there."""
        data, at = self._data, self._at
        if end == len(data):
            self._data, self._at = b"", 0
            return data[at:] if at else data
        self._at = end
        return data[at:end]

    async def read(self, n: int = SIZE) -> bytes:
        """Up to `n` bytes, as soon as there are some; b"" at the end.

        Args:
            n: At most so many bytes.
        Raises:
            OSError: the stream's.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"abc")
            ...     r = gopark.net.Reader(b)
            ...     print(await r.read(2), await r.read(2))
            >>> gopark.run(main)
            b'ab' b'c'

        Go: Reader.Read.
        """
        checkcount("read", "n", n, 1)
        if self._at < len(self._data):
            return self._cut(min(self._at + n, len(self._data)))
        if n >= self._size:
            return await self._fill(n)
        self._data, self._at = await self._fill(), 0
        return self._cut(min(n, len(self._data)))

    async def peek(self, n: int) -> bytes:
        """The next `n` bytes, which stay to be read; fewer only at the end.

        Args:
            n: How many.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"abc")
            ...     r = gopark.net.Reader(b)
            ...     print(await r.peek(1), await r.read_full(3))
            >>> gopark.run(main)
            b'a' b'abc'

        Go: Reader.Peek.
        """
        checkcount("peek", "n", n)
        while self.buffered < n:
            more = await self._fill()
            if not more:
                break
            self._data, self._at = self._data[self._at :] + more, 0
        return self._data[self._at : self._at + n]

    async def read_full(self, n: int) -> bytes:
        """Exactly `n` bytes; b"" if the stream ends before the first.

        Args:
            n: How many.
        Raises:
            UnexpectedEOFError: it ends after that; the error has what there was.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"abcd")
            ...     r = gopark.net.Reader(b)
            ...     print(await r.read_full(2), await r.read_full(2))
            >>> gopark.run(main)
            b'ab' b'cd'

        Go: io.ReadFull.
        """
        checkcount("read_full", "n", n)
        have = self.buffered
        if have >= n:
            return self._cut(self._at + n)
        parts = [self._cut(len(self._data))] if have else []
        while have < n:
            try:
                more = await self._fill(n - have)
            except BaseException:
                self._data, self._at = b"".join(parts), 0  # to be read by who comes next
                raise
            if not more:
                break
            parts.append(more)
            have += len(more)
        if have > n:
            last = parts.pop()
            keep = len(last) - (have - n)
            parts.append(last[:keep])
            self._data, self._at = last, keep
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if 0 < len(data) < n:
            raise UnexpectedEOFError(f"read_full: {len(data)} of {n} bytes, then the end", data)
        return data

    async def read_until(self, sep: bytes = b"\n", limit: int = LIMIT) -> bytes:
        """Up to the separator, which is part of it; b"" if the stream ends before the first byte.

        Args:
            sep: What ends it.
            limit: At most so many bytes, the separator among them.
        Raises:
            UnexpectedEOFError: the stream ends without it; the error has what there was.
            TooLongError: there is none within the limit. Nothing is lost: it can still be read.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"key=value;")
            ...     r = gopark.net.Reader(b)
            ...     print(await r.read_until(b"="), await r.read_until(b";"))
            >>> gopark.run(main)
            b'key=' b'value;'

        Go: Reader.ReadSlice, Reader.ReadBytes.
        """
        if not isinstance(sep, bytes | bytearray | memoryview) or not len(sep):
            raise TypeError(f"read_until() needs bytes as separator, like b'\\n', got {shown(sep)}")
        checkcount("read_until", "limit", limit, len(sep))
        start = self._at
        while (found := self._data.find(sep, start, self._at + limit)) < 0:
            if self.buffered >= limit:
                raise TooLongError(f"read_until: no {shown(bytes(sep))} within {limit} bytes")
            more = await self._fill()
            if not more:
                data = self._cut(len(self._data))
                if data:
                    raise UnexpectedEOFError(
                        f"read_until: the stream ended after {len(data)} bytes, "
                        f"without {shown(bytes(sep))}",
                        data,
                    )
                return b""
            rest = self.buffered
            self._data = self._data[self._at :] + more if rest else more
            self._at = 0
            start = max(0, rest - len(sep) + 1)
        return self._cut(found + len(sep))

    async def read_line(self, limit: int = LIMIT) -> bytes | None:
        """A line without its end, `\\n` or `\\r\\n`; None at the end of the stream.

        What comes after the last line end is a line, if it is not empty.

        Args:
            limit: At most so many bytes, the line's end among them.
        Raises:
            TooLongError: the line is longer. Nothing is lost: it can still be read.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(a.write, b"one\\r\\ntwo\\n")
            ...     r = gopark.net.Reader(b)
            ...     print(await r.read_line(), await r.read_line())
            >>> gopark.run(main)
            b'one' b'two'

        Go: bufio.ScanLines.
        """
        try:
            line = await self.read_until(b"\n", limit)
        except UnexpectedEOFError as exc:
            return exc.partial.removesuffix(b"\r")
        if not line:
            return None
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        line = await self.read_line()
        if line is None:
            raise StopAsyncIteration
        return line

    async def read_all(self, limit: int = -1) -> bytes:
        """All there is up to the end of the stream.

        Args:
            limit: At most so many bytes; a negative number is no limit.
        Raises:
            TooLongError: there is more. Nothing is lost: it can still be read.
        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     async def client():
            ...         await a.write(b"all of it")
            ...         a.close()
            ...     gopark.go(client)
            ...     print(await gopark.net.Reader(b).read_all())
            >>> gopark.run(main)
            b'all of it'

        Go: io.ReadAll, io.LimitReader.
        """
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise TypeError(f"read_all() needs a number of bytes as limit, got {shown(limit)}")
        parts = [self._cut(len(self._data))]
        have = len(parts[0])
        try:
            while (limit < 0 or have <= limit) and (more := await self._fill()):
                parts.append(more)
                have += len(more)
        except BaseException:
            self._data, self._at = b"".join(parts), 0
            raise
        data = b"".join(parts)
        if 0 <= limit < have:
            self._data, self._at = data, 0
            raise TooLongError(f"read_all: there are more than {limit} bytes")
        return data
