"""Where a `local:` queue lives: a directory of the user's own, and in it per queue

    NAME.lock   held (flock) by the keeper for as long as it is one
    NAME.sock   where it listens; .HASH.sock if the name is long
    NAME.log    its journal

Invariants:
  F1  who has the lock is the only one to touch the other two
  F2  a lock counts if its file is the one of that name still: the last keeper removes it
  F3  a directory that one queue can be opened in has room for all: the name of a Group's own is
      longer, and would fail late. So the socket's name has a limit, whatever the queue's

Source: none. Tests: tests/workqueue/test_local.py
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from typing import Final
from urllib.parse import unquote

from gopark.workqueue._errors import Unavailable

__all__ = ("Place", "directory", "names")

_LONGEST: Final = 107  # bytes of a Unix socket's path
_SOCKNAME: Final = 16  # characters of its name, before `.sock`


def directory(url: str) -> str:
    """The directory that a `local:` URL means, made if it is not there.

    Raises:
        Unavailable: it is not the user's own, or cannot be made.
    """
    path = unquote(url.removeprefix("local:"))
    if not path:
        path = _usual()
    path = os.path.abspath(path)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError as exc:
        raise Unavailable(f"{url}: there is no directory {path}: {exc.strerror}") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{url}: {path} is no directory")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Unavailable(
            f"{url}: others can write in {path}, and so could take or forge values. Name a "
            "directory of your own: local:/home/me/queues"
        )
    return path


def _usual() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and os.path.isdir(base):
        return os.path.join(base, "gopark")
    return os.path.join(tempfile.gettempdir(), f"gopark-{os.geteuid()}")


def names(path: str) -> list[str]:
    """The queues that live in a directory."""
    return sorted(name[:-4] for name in os.listdir(path) if name.endswith(".log"))


def _sockname(name: str) -> str:
    """By the name alone: another process may reach the directory by another path."""
    if len(name) <= _SOCKNAME:
        return name
    # With a character that no queue's name has.
    return "." + hashlib.sha256(name.encode()).hexdigest()[: _SOCKNAME - 1]


class Place:
    """The files of one queue."""

    def __init__(self, url: str, path: str, name: str) -> None:
        self.url = url
        self.name = name
        base = os.path.join(path, name)
        self.sock = os.path.join(path, _sockname(name) + ".sock")
        self.log = base + ".log"
        self._lock = base + ".lock"
        most = _LONGEST - len("/.sock") - _SOCKNAME
        if len(os.fsencode(path)) > most:
            raise Unavailable(
                f"{url}: {path} is too long for Unix sockets in it, whose path has at most "
                f"{_LONGEST} bytes: use a directory of at most {most} bytes"
            )

    def lock(self) -> int | None:
        """The descriptor of the lock, if nobody has it.

        Raises:
            OSError: the directory cannot be used.
        """
        while True:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = os.stat(self._lock)
                mine = os.fstat(fd)
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:
                os.close(fd)
                continue
            except BaseException:
                os.close(fd)
                raise
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return fd
            os.close(fd)

    def clear(self) -> None:
        """Remove what an earlier keeper has left to connect to. Whoever calls has the lock."""
        try:
            os.unlink(self.sock)
        except FileNotFoundError:
            pass

    def remove(self) -> None:
        """Nothing is left of the queue. Whoever calls has the lock."""
        for path in (self.sock, self.log, self.log + ".new", self._lock):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
