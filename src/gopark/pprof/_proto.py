"""pprof's own format: `profile.proto`, compressed.

The schema needs varints, strings and messages in messages, and a profile is written once, from
start to end. That is the encoder below, a hundred lines; protobuf's library would be a dependency
of some megabytes, with a compiler for its schemas.

A message is its fields one after the other, each a key (number of the field and kind of what
follows) and a value. A string is its place in a table that comes along.

Locks: none; a `Builder` is its maker's.
Source: Go 1.27 runtime/pprof/proto.go, protobuf.go; the schema is
github.com/google/pprof/proto/profile.proto. Tests: tests/pprof/test_proto.py
"""

from __future__ import annotations

import itertools
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from gopark._runtime.prof.proflabel import Labels
from gopark._runtime.report.symtab import Frame

__all__ = ("Builder", "Message", "addressof", "entryof")

_GZIP: Final = 31  # has zlib put gzip's header and trailer round it

# Fields of Profile; those of the messages in it are where they are written.
_SAMPLE_TYPE: Final = 1
_SAMPLE: Final = 2
_MAPPING: Final = 3
_LOCATION: Final = 4
_FUNCTION: Final = 5
_STRING_TABLE: Final = 6
_TIME_NANOS: Final = 9
_DURATION_NANOS: Final = 10
_PERIOD_TYPE: Final = 11
_PERIOD: Final = 12

_VARINT: Final = 0
_BYTES: Final = 2


class Message:
    """A message as it is written; `data` is what it takes."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def number(self, field: int, value: int) -> None:
        """A number; one that is 0 need not be written."""
        if value:
            self._varint(field << 3 | _VARINT)
            self._varint(value)

    def numbers(self, field: int, values: Iterable[int]) -> None:
        """Numbers, packed: zeros count here."""
        packed = Message()
        for value in values:
            packed._varint(value)
        self.blob(field, packed.data)

    def blob(self, field: int, data: bytes | bytearray) -> None:
        """A string, or a message."""
        self._varint(field << 3 | _BYTES)
        self._varint(len(data))
        self.data += data

    def _varint(self, value: int) -> None:
        """Seven bits a byte, the lowest first; a negative number as its 64 bits."""
        value &= 0xFFFF_FFFF_FFFF_FFFF
        while value > 0x7F:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)


class Builder:
    """A profile that is put together sample by sample.

    Args:
        kinds: The type and the unit of each value of a sample.
        period: What one sample stands for, as type and unit.
        every: How many of that unit.
    """

    def __init__(
        self, kinds: Sequence[tuple[str, str]], period: tuple[str, str], every: int
    ) -> None:
        self._profile = Message()
        self._strings: dict[str, int] = {"": 0}
        self._locations: dict[Frame, int] = {}
        self._functions: dict[tuple[str, str], int] = {}
        self._began = time.time_ns()
        for kind in kinds:
            self._profile.blob(_SAMPLE_TYPE, self._valuetype(kind))
        self._profile.blob(_PERIOD_TYPE, self._valuetype(period))
        self._profile.number(_PERIOD, every)
        self._map()

    def sample(self, values: Iterable[int], stack: Iterable[Frame], labels: Labels = ()) -> None:
        """What was met at a stack, innermost frame first, under these labels."""
        message = Message()
        message.numbers(1, [self._location(frame) for frame in stack])
        message.numbers(2, values)
        for key, value in labels:
            label = Message()
            label.number(1, self._string(key))
            label.number(2, self._string(value))
            message.blob(3, label.data)
        self._profile.blob(_SAMPLE, message.data)

    def finish(self, began: int = 0, lasted: int = 0) -> bytes:
        """The whole profile. When it began and how long it took, in nanoseconds."""
        profile = self._profile
        profile.number(_TIME_NANOS, began or self._began)
        profile.number(_DURATION_NANOS, lasted)
        for string in self._strings:
            profile.blob(_STRING_TABLE, _utf8(string))
        return zlib.compress(profile.data, level=1, wbits=_GZIP)

    def _valuetype(self, kind: tuple[str, str]) -> bytearray:
        message = Message()
        message.number(1, self._string(kind[0]))
        message.number(2, self._string(kind[1]))
        return message.data

    def _map(self) -> None:
        """The one mapping: it says that all names are known, so that no reader looks for them."""
        message = Message()
        message.number(1, 1)
        message.number(5, self._string(sys.argv[0] if sys.argv and sys.argv[0] else "python"))
        for flag in (7, 8, 9):  # has_functions, has_filenames, has_line_numbers
            message.number(flag, 1)
        self._profile.blob(_MAPPING, message.data)

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _location(self, frame: Frame) -> int:
        number = self._locations.get(frame)
        if number is None:
            number = self._locations[frame] = len(self._locations) + 1
            line = Message()
            line.number(1, self._function(frame))
            line.number(2, frame[2])
            message = Message()
            message.number(1, number)
            message.number(2, 1)
            message.number(3, addressof(frame))
            message.blob(4, line.data)
            self._profile.blob(_LOCATION, message.data)
        return number

    def _function(self, frame: Frame) -> int:
        name, file, _ = frame
        number = self._functions.get((name, file))
        if number is None:
            number = self._functions[name, file] = len(self._functions) + 1
            message = Message()
            message.number(1, number)
            message.number(2, self._string(name))
            message.number(3, self._string(name))
            message.number(4, self._string(file))
            self._profile.blob(_FUNCTION, message.data)
        return number


def _utf8(text: str) -> bytes:
    """Readers refuse what is no UTF-8, as halves of surrogate pairs are not."""
    return text.encode(errors="backslashreplace")


# Python's functions have no addresses, but readers tell locations apart by them, and Go's text
# shows them. So each function is given a place, the same for the life of the process.
_BASE: Final = 0x400000
_ROOM: Final = 0x10000  # lines
_places: Final = itertools.count(_BASE, _ROOM)
_entries: Final[dict[tuple[str, str], int]] = {}


def entryof(frame: Frame) -> int:
    """The address of a function."""
    key = frame[:2]
    entry = _entries.get(key)
    if entry is None:  # Relies on: setdefault of a dict being atomic
        entry = _entries.setdefault(key, next(_places))
    return entry


def addressof(frame: Frame) -> int:
    """The address of a line."""
    return entryof(frame) + frame[2] % _ROOM
