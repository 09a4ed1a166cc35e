"""The error of who uses what is closed, and those of the system with the name of what failed.

Source: Go 1.27 net/net.go (ErrClosed), internal/poll/fd.go. Tests: tests/net/test_fd.py
"""

from __future__ import annotations

import errno

__all__ = ("ClosedError", "named")


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


def named(exc: OSError, text: str) -> OSError:
    """The same error, of the same class, which names what was tried."""
    if exc.errno is None or exc.strerror is None:
        exc.add_note(text)
        return exc
    return OSError(exc.errno, f"{text}: {exc.strerror}").with_traceback(exc.__traceback__)
