"""What lies between a child's descriptor and an object of the user's: copying, one goroutine each.

What is a file of the system is given to the child itself, and nothing is copied. Which one is, is
seen from what it is made of and not from its `fileno`: a compressed file has one as well.

Source: Go 1.27 os/exec/exec.go (writerDescriptor, childStdin, prefixSuffixSaver).
Tests: tests/exec/test_cmd.py
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark.exec._pipe import PipeReader, PipeWriter, _Pipe

__all__ = ("Tail", "descriptor", "drain", "feed", "sink", "source")

_SIZE: Final = 65536
_BYTES: Final = (bytes, bytearray, memoryview)


def descriptor(what: str, file: Any) -> int:
    """The number of a file of the system, to be given to the child; -1: it has to be copied."""
    if isinstance(file, int) and not isinstance(file, bool):
        if file < 0:
            raise ValueError(
                f"exec: {what} is {file}, which is no descriptor: None stands for the null device, "
                f"and a pipe comes from {what}_pipe()"
            )
        return file
    if isinstance(file, _Pipe):
        number = file.fileno()
        if number < 0:
            raise file._fd.closed(f"give the child as {what}")
        os.set_blocking(number, True)  # as it has to be for the child
        return number
    raw = _raw(file)
    if not isinstance(raw, io.FileIO):
        return -1
    if what != "stdin":
        file.flush()  # what was written before comes first
    return raw.fileno()


def _raw(file: Any) -> Any:
    """What is at the bottom of it."""
    if isinstance(file, io.TextIOWrapper):
        file = file.buffer
    elif not isinstance(file, io.IOBase) and isinstance(getattr(file, "file", None), io.IOBase):
        return _raw(file.file)  # tempfile's
    if isinstance(file, io.BufferedReader | io.BufferedWriter | io.BufferedRandom):
        file = file.raw
    return file


def source(stdin: Any) -> Any:
    """What is to be read for the child: bytes, or an object with a `read`.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(stdin, _BYTES):
        return stdin
    if isinstance(stdin, str | io.TextIOBase):
        raise TypeError(
            f"exec: stdin is {shown(stdin)}, which is text: encode it, or use io.BytesIO"
        )
    if callable(getattr(stdin, "read", None)):
        return stdin
    raise TypeError(
        f"exec: stdin is {shown(stdin)}: it takes bytes, a file, a descriptor, "
        "or an object with read(n)"
    )


def sink(what: str, file: Any) -> Callable[[bytes], Any]:
    """What is to be called with what the child writes.

    Raises:
        TypeError: it cannot take any.
    """
    if isinstance(file, bytearray):
        return file.extend
    if isinstance(file, io.TextIOBase):
        file = getattr(file, "buffer", file)  # sys.stdout, where a test has caught it
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"exec: {what} is {shown(file)}, which takes text: use io.BytesIO")
    write: Callable[[bytes], Any] | None = getattr(file, "write", None)
    if callable(write):
        return write
    raise TypeError(
        f"exec: {what} is {shown(file)}: it takes a file, a descriptor, a "
        "bytearray, or an object with "
        "write(data)"
    )


async def feed(stdin: Any, pipe: PipeWriter) -> None:
    """Copy to the child. That it does not read all of it is no error."""
    with pipe:
        if isinstance(stdin, _BYTES):
            await _fed(pipe, stdin)
            return
        while True:
            data = stdin.read(_SIZE)
            if isawaitable(data):
                data = await data
            if isinstance(data, str):
                raise TypeError(f"exec: stdin's read() gave text: open {shown(stdin)} for bytes")
            if not data or not await _fed(pipe, data):
                return


async def _fed(pipe: PipeWriter, data: Any) -> bool:
    try:
        await pipe.write(data)
    except BrokenPipeError:
        return False
    return True


async def drain(pipe: PipeReader, write: Callable[[bytes], Any]) -> None:
    """Copy from the child; if that fails the pipe is closed, so that the child hears of it."""
    with pipe:
        while data := await pipe.read(_SIZE):
            while True:
                n = write(data)
                if isawaitable(n):
                    n = await n
                if not isinstance(n, int) or n >= len(data):
                    break
                if n <= 0:
                    raise OSError(f"short write: {shown(write)} took nothing of {len(data)} bytes")
                data = data[n:]  # as io.RawIOBase may


class Tail:
    """Keeps the first and the last `size` bytes of what is written. Go: prefixSuffixSaver."""

    __slots__ = ("_first", "_last", "_size", "_skipped")

    def __init__(self, size: int) -> None:
        self._size = size
        self._first = bytearray()
        self._last = bytearray()
        self._skipped = 0

    def write(self, data: bytes) -> int:
        n = len(data)
        room = self._size - len(self._first)
        if room > 0:
            self._first += data[:room]
            data = data[room:]
        if data:
            self._last += data
            over = len(self._last) - self._size
            if over > 0:
                self._skipped += over
                del self._last[:over]
        return n

    def getvalue(self) -> bytes:
        if not self._skipped:
            return bytes(self._first + self._last)
        skipped = b"\n... omitting %d bytes ...\n" % self._skipped
        return bytes(self._first) + skipped + bytes(self._last)
