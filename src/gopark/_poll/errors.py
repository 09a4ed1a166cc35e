"""The error of who uses what is closed.

Source: Go 1.27 net/net.go (ErrClosed), internal/poll/fd.go. Tests: tests/net/test_fd.py
"""

from __future__ import annotations

import errno

__all__ = ("ClosedError",)


class ClosedError(OSError):
    """The connection, or the listener, was closed on this side: before, or while this waited.

    Example:
        >>> try:
        ...     raise gopark.net.ClosedError("read tcp: use of closed connection")
        ... except OSError as exc:
        ...     print(exc)
        read tcp: use of closed connection

    Go: net.ErrClosed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.errno = errno.EBADF
