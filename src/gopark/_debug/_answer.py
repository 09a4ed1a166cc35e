"""An answer to a request, and the refusal of one.

Source: none. Tests: tests/debug/test_serve.py
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ("TEXT", "Answer", "Refused", "number")

TEXT: Final = "text/plain; charset=utf-8"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Answer(NamedTuple):
    """What is sent back."""

    body: str | bytes
    kind: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = _NONE


class Refused(Exception):
    """The request cannot be served; the text says what to do instead."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def number(
    query: Mapping[str, str], name: str, default: int, most: int = 2**53, least: int = 0
) -> int:
    """A number among the parameters of a request."""
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not text.isascii() or len(text) > 16:
        raise Refused(400, f"{name} must be a number, not {text!r}")
    return max(least, min(int(text), most))
