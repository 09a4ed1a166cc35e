"""The parent's end of a child's pipe: a descriptor in the poller, read or written.

Each end is a file description of its own, so that ours does not wait makes no difference to the
child's, which does.

Source: Go 1.27 os/pipe_unix.go, os/file_unix.go. Tests: tests/exec/test_cmd.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from io import FileIO
from typing import Any, TypeVar

from gopark._poll.closes import Closes
from gopark._poll.errors import ClosedError
from gopark._poll.fd import FD, Buffer
from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.suspend import called
from gopark.net._conn import checkn, deadline

__all__ = ("PipeReader", "PipeWriter", "readend", "writeend")

E = TypeVar("E", bound="_Pipe")


class _PipeFD(FD):
    """One end of a pipe in the poller."""

    __slots__ = ()

    read = called("PipeReader.read")(FD.read)
    write = called("PipeWriter.write")(FD.write)

    def closed(self, what: str) -> ClosedError:
        return ClosedError(f"{what} {self.name}: use of closed pipe")


def _cannot(what: str, name: str) -> Callable[[Any], Any]:
    def refuse(_: object) -> Any:
        raise OSError(f"{name} is not there to {what}")

    return refuse


class _Pipe(Closes):
    """What both ends have in common."""

    __slots__ = ("__weakref__", "_fd")

    def __init__(self, fd: FD) -> None:
        self._fd = fd

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._fd.name}{' closed' if self._fd.closing else ''}>"

    __reduce_ex__ = nocopy

    def fileno(self) -> int:
        """The number of the descriptor; -1 once it is closed.

        Example:
            >>> cmd = gopark.exec.command("true")
            >>> with cmd.stdout_pipe() as pipe:
            ...     pipe.fileno() > 2
            True

        Go: File.Fd.
        """
        return -1 if self._fd.closing else self._fd.fd

    def close(self) -> None:
        """Close it. Who waits on it, here, gets a ClosedError. A second close does nothing.

        Example:
            >>> gopark.exec.command("true").stdout_pipe().close()

        Go: File.Close.
        """
        if not self._fd.closing:
            with suppress(ClosedError):
                self._fd.close()

    def set_deadline(self, when: float | None) -> None:
        """By when what waits has to be done; it gets a TimeoutError then. Holds until the next.

        Args:
            when: Seconds on the clock of `gopark.time.monotonic()`; in the past: at once. None, or
                infinity: no deadline.
        Raises:
            TypeError: `when` is neither a number nor None.
            ValueError: it is NaN.
            ClosedError: the pipe is closed.
        Example:
            >>> with gopark.exec.command("true").stdout_pipe() as pipe:
            ...     pipe.set_deadline(None)

        Go: File.SetDeadline.
        """
        when = deadline("set_deadline", when)
        if self._fd.closing:
            raise self._fd.closed("set deadline")
        self._fd.setdeadline(when, True, True)


class PipeReader(_Pipe):
    """Reads what a child writes. For lines and exact counts put a `gopark.net.Reader` on it.

    Example:
        >>> async def main():
        ...     cmd = gopark.exec.command("echo", "hello")
        ...     out = cmd.stdout_pipe()
        ...     await cmd.start()
        ...     print(await out.read(), await out.read())
        ...     await cmd.wait()
        >>> gopark.run(main)
        b'hello\\n' b''

    Go: os.File, of StdoutPipe.
    """

    __slots__ = ()

    def read(self, n: int = 65536) -> Coroutine[Any, Any, bytes]:
        """Up to `n` bytes, as soon as there are some; b"" once all who write have closed it.

        Args:
            n: At most so many bytes.
        Raises:
            ClosedError: it was closed on this side.
            TimeoutError: the deadline has passed. The pipe can be used again.
            TypeError: `n` is no integer.
            ValueError: `n` is not positive.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("echo", "hello")
            ...     with cmd.stdout_pipe() as out:
            ...         await cmd.start()
            ...         print(await out.read(4))
            ...         await cmd.wait()
            >>> gopark.run(main)
            b'hell'

        Go: File.Read.
        """
        checkn("read", n)
        return self._fd.read(n)


class PipeWriter(_Pipe):
    """Writes what a child reads. Close it, or the child waits for more for ever.

    Example:
        >>> async def main():
        ...     cmd = gopark.exec.command("cat")
        ...     cmd.stdout = out = bytearray()
        ...     with cmd.stdin_pipe() as pipe:
        ...         await cmd.start()
        ...         await pipe.write(b"hello")
        ...     await cmd.wait()
        ...     print(bytes(out))
        >>> gopark.run(main)
        b'hello'

    Go: os.File, of StdinPipe.
    """

    __slots__ = ()

    def write(self, data: Buffer) -> Coroutine[Any, Any, int]:
        """Write all of it.

        Args:
            data: Bytes, or any buffer of them.
        Returns:
            How many bytes that is.
        Raises:
            BrokenPipeError: nobody reads any more.
            ClosedError: it was closed on this side.
            TimeoutError: the deadline has passed; some of it may have been written.
            TypeError: `data` is no buffer of bytes.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("cat")
            ...     with cmd.stdin_pipe() as pipe:
            ...         await cmd.start()
            ...         print(await pipe.write(b"hello"))
            ...     await cmd.wait()
            >>> gopark.run(main)
            5

        Go: File.Write.
        """
        return self._fd.write(data)


def _opened(fd: int, name: str, mode: str) -> FD:
    """Into the poller; if that cannot be, the descriptor is closed."""
    raw = FileIO(fd, mode)
    try:
        os.set_blocking(fd, False)
        if mode == "r":
            return _PipeFD(raw, lambda n: os.read(fd, n), _cannot("write", name), name)
        return _PipeFD(raw, _cannot("read", name), lambda data: os.write(fd, data), name)
    except BaseException:
        raw.close()
        raise


def readend(name: str) -> tuple[PipeReader, FileIO]:
    """A pipe that the parent reads: its end, and the child's."""
    r, w = os.pipe()
    return _ends(PipeReader, r, "r", FileIO(w, "w"), name)


def writeend(name: str) -> tuple[PipeWriter, FileIO]:
    """A pipe that the parent writes: its end, and the child's."""
    r, w = os.pipe()
    return _ends(PipeWriter, w, "w", FileIO(r, "r"), name)


def _ends(
    kind: Callable[[FD], E], fd: int, mode: str, child: FileIO, name: str
) -> tuple[E, FileIO]:
    try:
        return kind(_opened(fd, name, mode)), child
    except BaseException:
        child.close()
        raise
