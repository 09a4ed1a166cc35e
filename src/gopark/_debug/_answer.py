"""An answer to a request, the refusal of one, and what a request may say.

What is no parameter is refused (400), and not taken for the default: a number that is none, is
empty or is not finite, and whatever is said twice.

Source: none. Tests: tests/debug/test_serve.py
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

__all__ = ("TEXT", "Answer", "Gone", "Refused", "Wait", "number", "parameters", "seconds")

TEXT: Final = "text/plain; charset=utf-8"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_FIELDS: Final = 32  # parameters of a request
_LONGEST: Final = 1000  # characters of one
_SECONDS: Final = re.compile(r"([0-9]+([.][0-9]*)?|[.][0-9]+)(e[+-]?[0-9]+)?")
_SHOWN: Final = 40  # of them in an answer

# Let so many seconds pass; raise Gone once there is nobody left to be answered.
Wait = Callable[[float], None]


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


class Gone(Exception):
    """Who has asked does not wait for the answer any more."""


def parameters(query: str) -> dict[str, str]:
    """What stands behind the question mark."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise Refused(400, f"a request has at most {_FIELDS} parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Refused(400, f"{_short(name)} is given twice; give it once")
        if len(name) > _LONGEST or len(value) > _LONGEST:
            raise Refused(400, f"{_short(name)} is longer than {_LONGEST:,} characters")
        found[name] = value
    return found


def number(
    query: Mapping[str, str], name: str, default: int, most: int = 2**53, least: int = 0
) -> int:
    """A number among the parameters of a request."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not text.isascii() or len(text) > 16:
        raise Refused(400, f"{name} must be a number of at most 16 digits, not {_short(text)}")
    return max(least, min(int(text), most))


def seconds(query: Mapping[str, str], default: float, most: float) -> float:
    """How long something shall take. Differs from Go, where junk is as if it were not there."""
    text = query.get("seconds")
    if text is None:
        return default
    value = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not 0 < value <= most:
        bounds = f"above 0 and at most {most:,}"
        raise Refused(400, f"seconds must be a number {bounds}, not {_short(text)}")
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
