"""Where a trace is written to: a path, a text file or a binary one.

A file that is made here is its user's alone (0600), for a trace names functions, files and what the
program says of its tasks. A path may be in a folder where others may write, `/tmp` as a rule, and
they may have been there first. So no link is followed, a file is taken over only if it is this
user's and has no second name, and what is in it is not touched before that is known. The links in
`/dev` are the system's: `/dev/stdout` is meant.

Locks: none. Source: none in Go, which has io.Writer. Tests: tests/trace/test_out.py
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
from collections.abc import Callable
from typing import IO, Any, Final

from gopark._runtime.base.printstring import shown
from gopark._util import flush

__all__ = ("File", "Out", "checkfile", "create")

File = str | os.PathLike[str] | IO[bytes] | IO[str]

_NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)


def create(path: str) -> IO[bytes]:
    """Open for writing, empty, a file that nobody else may read.

    Raises:
        OSError: the path is a link, or another's file, or one with a second name; or as `open`.
    """
    if os.name != "posix":
        return open(path, "wb")
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    if os.path.dirname(path) != "/dev":
        flags |= _NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EMLINK) and os.path.islink(path):
            raise _refused(exc.errno, path, "a link, which is not followed") from None
        raise
    try:
        _takeover(fd, path)
        return os.fdopen(fd, "wb")
    except BaseException:
        os.close(fd)
        raise


def _takeover(fd: int, path: str) -> None:
    """Make what was there already ours alone, and empty; pipes and devices stay as they are."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or os.path.dirname(path) == "/dev":
        return
    if status.st_uid != os.geteuid():
        raise _refused(errno.EPERM, path, f"the file of another user ({status.st_uid})")
    if status.st_nlink > 1:
        raise _refused(errno.EPERM, path, "one of several names of a file (a hard link)")
    if stat.S_IMODE(status.st_mode) & 0o077:
        os.fchmod(fd, 0o600)
    os.ftruncate(fd, 0)


def _refused(number: int, path: str, what: str) -> OSError:
    return OSError(number, f"this is {what}; remove it, or give another path", path)


def checkfile(who: str, file: object) -> None:
    if not isinstance(file, str | os.PathLike) and not callable(getattr(file, "write", None)):
        raise TypeError(f"{who}() needs a path or an open file, got {shown(file)}")


class Out:
    """Opened at once, so that a wrong path is an error where it was given; counts the bytes."""

    def __init__(self, who: str, file: File) -> None:
        checkfile(who, file)
        self.path = os.fspath(file) if isinstance(file, str | os.PathLike) else None
        self.count = 0
        self._made: IO[bytes] | None = None
        if self.path is not None:
            self._made = create(self.path)
            compressed = self.path.endswith(".gz")
            self.file: Any = (
                gzip.GzipFile(fileobj=self._made, mode="wb") if compressed else self._made
            )
        else:
            self.file = file
        self.text = isinstance(self.file, io.TextIOBase)

    def put(self, text: str) -> None:
        data = text.encode()
        self.count += len(data)
        self.file.write(text if self.text else data)

    def finish(self, write: Callable[[], None]) -> None:
        """Write, and close what was opened here; an error says which file it is about."""
        try:
            try:
                write()
            finally:
                self._close()
        except OSError as exc:
            if exc.filename is None:
                exc.filename = self.path
            raise

    def _close(self) -> None:
        if self._made is None:
            flush(self.file)  # whoever opened it may look into it now
            return
        try:
            self.file.close()  # what is in its buffer is written now, or cannot be
        finally:
            self._made.close()
