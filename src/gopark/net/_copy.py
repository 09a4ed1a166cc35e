"""From one stream to another, and from a file to a stream.

A regular file cannot be waited for, so it is read where it stands; if that takes long sysmon gives
the P away, as for any call into C.

Source: Go 1.27 io/io.go (Copy, CopyN), net/sendfile.go. Tests: tests/net/test_copy.py
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Coroutine
from io import FileIO
from typing import Any, BinaryIO, Final, Protocol

from gopark._poll.fd import FD
from gopark._runtime.base.printstring import shown
from gopark._runtime.c.cgocall import call
from gopark.net._bufio import Readable, awaited, checkcount, checkstream

__all__ = ("CHUNK", "Writable", "checkpart", "copy", "regular", "sendfd", "sendfile")

CHUNK: Final = 65536  # bytes at once
_MOST: Final = 1 << 30  # the same for the system
# The system does not do it: for this file system, or for no file at all.
_CANNOT: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class Writable(Protocol):
    """What `copy` writes to: a `Conn`, or anything with such a `write`.

    Example:
        >>> class Printer:
        ...     async def write(self, data):
        ...         print(data)
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     gopark.go(a.write, b"hello")
        ...     await gopark.net.copy(Printer(), b, 5)
        >>> gopark.run(main)
        b'hello'

    Go: io.Writer.
    """

    def write(self, data: bytes, /) -> Coroutine[Any, Any, Any]:
        """Send all of it.

        Example:
            >>> async def main():
            ...     a, b = gopark.net.pipe()
            ...     gopark.go(b.read)
            ...     print(await a.write(b"hello"))
            >>> gopark.run(main)
            5

        Go: Writer.Write.
        """


async def copy(dst: Writable, src: Readable, limit: int = -1) -> int:
    """Write to one what is read from the other, until the end of it.

    Neither is closed, nor the way of `dst` after the end: for that see `SocketConn.close_write`.

    Args:
        dst: A `Conn`, or anything with an `async def write(data)`.
        src: A `Conn`, a `Reader`, or anything with an `async def read(n)`; b"" is the end.
        limit: At most so many bytes, and none more are read; a negative number is no limit.
    Returns:
        How many bytes.
    Raises:
        OSError: that of the side that broke; what had been read has been written, but for the last
            piece.
        TypeError: `dst` has no `write`, `src` no `read`, or one that is not awaited, as a file has;
            or `limit` is no integer.
    Example:
        >>> async def main():
        ...     (a, b), (c, d) = gopark.net.pipe(), gopark.net.pipe()
        ...     async def client():
        ...         await a.write(b"through and out")
        ...         a.close()
        ...     gopark.go(client)
        ...     gopark.go(gopark.net.copy, c, b)
        ...     print(await d.read())
        >>> gopark.run(main)
        b'through and out'

    Go: io.Copy, io.CopyN.
    """
    checkstream("copy", "write", "write(data) first", dst)
    checkstream("copy", "read", "read(n) second", src)
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"copy() needs a number of bytes as limit, got {shown(limit)}")
    done = 0
    while done != limit:
        piece = src.read(CHUNK if limit < 0 else min(CHUNK, limit - done))
        data = await awaited("read", src, piece)
        if not data:
            break
        await awaited("write", dst, dst.write(data))
        done += len(data)
    return done


# --- files ------------------------------------------------------------------------------------


def checkpart(file: Any, offset: int, count: int | None) -> None:
    """Raise unless it is a binary file, and a part of it."""
    checkcount("sendfile", "offset", offset)
    if count is not None:
        checkcount("sendfile", "count", count)
    mode = getattr(file, "mode", None)
    if not callable(getattr(file, "read", None)) or (isinstance(mode, str) and "b" not in mode):
        raise TypeError(f"sendfile() needs a file opened in binary mode, got {shown(file)}")


def regular(file: Any) -> int | None:
    """The descriptor of a regular file; None: it is something else.

    By its class: what unpacks while it is read has the descriptor of what is packed.
    """
    if not isinstance(getattr(file, "raw", file), FileIO):
        return None
    fd: int = file.fileno()
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return None
    if file.writable():
        file.flush()
    return fd


async def sendfd(fd: FD, file: BinaryIO, source: int, offset: int, count: int | None) -> int | None:
    """By sendfile(2), for a regular file; None: not from such a file. Go: poll.SendFile."""
    at, end = offset, sys.maxsize if count is None else offset + count
    await fd.turn("sendfile", True)
    try:
        while at < end:
            if fd.wbad:
                fd.refused("sendfile", True)
            try:
                n = os.sendfile(fd.fd, source, at, min(end - at, _MOST))
            except BlockingIOError:
                await fd.wait("sendfile", True)
                continue
            except OSError as exc:
                if at == offset and exc.errno in _CANNOT:
                    return None
                raise fd.failed("sendfile", exc) from None
            if not n:
                break
            at += n
    finally:
        fd.release(True)
        file.seek(at)
    return at - offset


async def sendfile(dst: Writable, file: BinaryIO, offset: int, count: int | None) -> int:
    """For what the system does not send by itself: read and write."""
    checkpart(file, offset, count)
    file.seek(offset)
    done = 0
    try:
        while count is None or done < count:
            data = call(file.read, CHUNK if count is None else min(CHUNK, count - done))
            if not data:
                break
            if not isinstance(data, bytes):
                raise TypeError(f"sendfile() needs a file opened in binary mode, got {shown(file)}")
            await dst.write(data)
            done += len(data)
    finally:
        file.seek(offset + done)
    return done
