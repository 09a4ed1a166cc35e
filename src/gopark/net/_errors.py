"""Errors of `gopark.net` that Python has no name for.

Source: Go 1.27 io/io.go, bufio/bufio.go, bufio/scan.go. Tests: tests/net/test_bufio.py
"""

from __future__ import annotations

__all__ = ("TooLongError", "UnexpectedEOFError")


class UnexpectedEOFError(EOFError):
    """The stream ended in the midst of what was to be read.

    Attributes:
        partial: What there was of it.
    Example:
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     gopark.go(a.write, b"ab")
        ...     ...

    Go: io.ErrUnexpectedEOF.
    """

    def __init__(self, text: str, partial: bytes) -> None:
        super().__init__(text)
        self.partial = partial

    def __reduce__(self) -> tuple[type, tuple[str, bytes]]:
        return type(self), (self.args[0], self.partial)


class TooLongError(ValueError):
    """What was to be read up to a separator is longer than allowed; it can still be read.

    Go: bufio.ErrTooLong.
    """
