"""The head of an answer, as bytes: status lines, header lines, what is set on each.

What an application gives is checked before it is sent: a line break in a value would let who
chose the value write headers of his own. The names are learned once, each as the bytes that stand
before its values. The values are checked together: by the line breaks in what was put together.

Source: RFC 9110, RFC 9112. Tests: tests/http/test_answers.py
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from gopark._runtime.base.printstring import shown

__all__ = (
    *("CONNECTION", "DATE", "LENGTH", "NAMES", "ORDINARY", "SERVER", "TRANSFER"),
    *("checkvalues", "datebytes", "known", "phrase", "refusal", "statusline"),
)

# What a name means to the server.
ORDINARY: Final = 0
LENGTH: Final = 1
TRANSFER: Final = 2
CONNECTION: Final = 3
DATE: Final = 4
SERVER: Final = 5

_MEANING: Final = {
    b"content-length": LENGTH,
    b"transfer-encoding": TRANSFER,
    b"connection": CONNECTION,
    b"date": DATE,
    b"server": SERVER,
}
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MOST: Final = 2000  # names that are remembered: an application that makes them up fills no memory
NAMES: dict[bytes, tuple[bytes, int]] = {}
_lines: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}".encode() for status in HTTPStatus
}


def phrase(status: int) -> str:
    """The usual words for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def statusline(status: int) -> bytes:
    """The first line of an answer, without its end."""
    line = _lines.get(status)
    if line is not None:
        return line
    if not isinstance(status, int) or not 100 <= status <= 999:
        raise ValueError(
            f"the status of an answer is a number from 100 to 999, got {shown(status)}"
        )
    line = _lines[status] = f"HTTP/1.1 {status} {phrase(status)}".encode()
    return line


def known(name: bytes) -> tuple[bytes, int]:
    """What stands before a value of that name, with the line break before it; what it means.

    Raises:
        TypeError: it is not bytes.
        ValueError: it is no name of a header.
    """
    found = NAMES.get(name)
    if found is not None:
        return found
    if not isinstance(name, bytes):
        raise TypeError(f"the name of a header is bytes, got {shown(name)}: encode it")
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"no name of a header: {shown(name)}")
    found = b"\r\n" + name + b": ", _MEANING.get(name.lower(), ORDINARY)
    if len(NAMES) < _MOST:
        NAMES[name] = found
    return found


def checkvalues(block: bytes, lines: int) -> None:
    """Raise unless the headers, joined, are so many lines and no more."""
    if block.count(b"\n") != lines or block.count(b"\r") != lines or b"\0" in block:
        raise ValueError("a header's value has a line break or a NUL in it, and is not sent")


def datebytes(now: float) -> bytes:
    """The moment as `Date` has it."""
    return formatdate(now, usegmt=True).encode()


def refusal(status: int, text: str, *more: bytes) -> bytes:
    """A whole answer, after which the connection is closed."""
    body = f"{status} {phrase(status)}: {text}\n".encode()
    return b"".join(
        (
            statusline(status),
            b"\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ",
            str(len(body)).encode(),
            *more,
            b"\r\nconnection: close\r\n\r\n",
            body,
        )
    )
