"""Text from outside in a line of a report: what could forge a line or steer a terminal is escaped.

A dump and a report are read by line: a header begins a goroutine, a tab a file. Names of functions
and files, messages of exceptions and labels are the user's, or come from whoever talks to the
program. So nothing of them may end a line, or reach a terminal as a command:

  escaped   the control characters (C0, DEL, C1, among them ESC), U+2028 and U+2029, what turns the
            direction of writing around, and halves of surrogate pairs
  kept      all else that can be printed, of any script

Source: Go 1.27 runtime/print.go (printindented), which indents and escapes nothing.
Tests: tests/runtime/test_printstring.py
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ("indented", "lines", "oneline", "shown")

_C: Final = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_ANY: Final = re.compile(f"[\x00-\x1f{_C}]")
_INLINE: Final = re.compile(f"[\x00-\x08\x0b-\x1f{_C}]")  # all but tab and line feed
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    number = ord(char)
    return _NAMED.get(char) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def oneline(text: str) -> str:
    """On one line, with escapes for what would break it."""
    return text if text.isprintable() else _ANY.sub(_escape, text)


def lines(text: str) -> str:
    """Its lines and tabs as they are, the rest escaped."""
    return text if text.isprintable() else _INLINE.sub(_escape, text)


def shown(value: object) -> str:
    """`repr(value)` for the message of an error, which is to be told whatever that does."""
    try:
        return repr(value)
    except Exception:
        if isinstance(value, int):  # Python writes none of more than 4,300 digits
            return f"an integer of {value.bit_length():,} bits"
        return object.__repr__(value)


def indented(text: str) -> str:
    """Of several lines all but the first begin with a tab, so that none looks like a header."""
    return lines(text).replace("\n", "\n\t")
