"""Where a trace is written to: a path, a text file or a binary one.

Locks: none. Source: none in Go, which has io.Writer. Tests: tests/trace/test_trace.py
"""

from __future__ import annotations

import gzip
import io
import os
from typing import IO, Any

from gopark._util import flush

__all__ = ("File", "Out", "checkfile")

File = str | os.PathLike[str] | IO[bytes] | IO[str]


def checkfile(who: str, file: object) -> None:
    if not isinstance(file, str | os.PathLike) and not callable(getattr(file, "write", None)):
        raise TypeError(f"{who}() needs a path or an open file, got {file!r}")


class Out:
    """Opened at once, so that a wrong path is an error where it was given; counts the bytes."""

    def __init__(self, who: str, file: File) -> None:
        checkfile(who, file)
        self.ours = isinstance(file, str | os.PathLike)
        self.count = 0
        if isinstance(file, str | os.PathLike):
            path = os.fspath(file)
            self.file: Any = gzip.open(path, "wb") if path.endswith(".gz") else open(path, "wb")  # noqa: SIM115
        else:
            self.file = file
        self.text = isinstance(self.file, io.TextIOBase)

    def put(self, text: str) -> None:
        data = text.encode()
        self.count += len(data)
        self.file.write(text if self.text else data)

    def close(self) -> None:
        if self.ours:
            self.file.close()
        else:
            flush(self.file)  # whoever opened it may look into it now
