"""Errors of `gopark.net` that Python has no name for.

Source: Go 1.27 io/io.go, bufio/bufio.go, bufio/scan.go, net/net.go. Tests: tests/net/test_tcp.py,
test_lookup.py
"""

from __future__ import annotations

import socket
from typing import Any

__all__ = ("DNSError", "TooLongError", "UnexpectedEOFError")


class UnexpectedEOFError(EOFError):
    """The stream ended in the midst of what was to be read.

    Attributes:
        partial: What there was of it.
    Example:
        >>> async def main():
        ...     a, b = gopark.net.pipe()
        ...     async def client():
        ...         await a.write(b"ab")
        ...         a.close()
        ...     gopark.go(client)
        ...     try:
        ...         await b.read_full(4)
        ...     except gopark.net.UnexpectedEOFError as exc:
        ...         print(exc.partial)
        >>> gopark.run(main)
        b'ab'

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


class DNSError(socket.gaierror):
    """A name, or an address, was looked up in vain.

    It is a `socket.gaierror`, and so an OSError, with the number of `getaddrinfo` as `errno`.

    Attributes:
        name: What was looked up.
        not_found: There is no such name; else it is not known whether there is one.
        timeout: No server has answered, in time or at all: another try may succeed.
    Example:
        >>> try:
        ...     gopark.block(gopark.net.lookup_host("host..invalid"))
        ... except gopark.net.DNSError as exc:
        ...     print(exc, exc.not_found)
        lookup host..invalid: no such host True

    Go: net.DNSError.
    """

    def __init__(
        self,
        name: str,
        text: str,
        *,
        not_found: bool = False,
        timeout: bool = False,
        code: int | None = None,
    ) -> None:
        super().__init__(socket.EAI_NONAME if code is None else code, text)
        self.name = name
        self.not_found = not_found
        self.timeout = timeout

    def __str__(self) -> str:
        name = self.name if self.name.isprintable() else ascii(self.name)[1:-1]
        if len(name) > 100:
            name = f"{name[:100]}..."
        return f"lookup {name}: {self.strerror}"

    def __reduce__(self) -> Any:
        return _made, (self.name, self.strerror, self.not_found, self.timeout, self.errno)


def _made(name: str, text: str, not_found: bool, timeout: bool, code: int) -> DNSError:
    return DNSError(name, text, not_found=not_found, timeout=timeout, code=code)
