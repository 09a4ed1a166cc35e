"""Reads pprof's format, for tests of what is in a profile; written apart from what writes it."""

from __future__ import annotations

import gzip
from collections import defaultdict
from typing import Any, NamedTuple

__all__ = ("Profile", "Sample", "read")


class Sample(NamedTuple):
    stack: tuple[str, ...]  # functions, innermost first
    values: tuple[int, ...]
    labels: dict[str, str]


class Profile(NamedTuple):
    kinds: list[tuple[str, str]]
    samples: list[Sample]
    period_type: tuple[str, str]
    period: int
    duration: int

    def total(self, function: str = "", value: int = -1) -> int:
        """The sum of a value over the samples that have a function of that ending."""
        return sum(
            s.values[value] for s in self.samples if any(f.endswith(function) for f in s.stack)
        )


def read(data: bytes) -> Profile:
    fields = _message(gzip.decompress(data))
    strings = [s.decode() for s in fields[6]]

    def kind(raw: bytes) -> tuple[str, str]:
        message = _message(raw)
        return strings[message[1][0]], strings[message[2][0]]

    functions = {m[1][0]: strings[m[2][0]] for m in map(_message, fields[5])}
    locations = {m[1][0]: functions[_message(m[4][0])[1][0]] for m in map(_message, fields[4])}
    samples = []
    for message in map(_message, fields[2]):
        labels = [_message(raw) for raw in message[3]]
        samples.append(
            Sample(
                tuple(locations[i] for i in _packed(message[1][0])),
                tuple(_packed(message[2][0])),
                {strings[m[1][0]]: strings[m[2][0]] for m in labels},
            )
        )
    duration = fields[10][0] if fields[10] else 0
    kinds = [kind(raw) for raw in fields[1]]
    return Profile(kinds, samples, kind(fields[11][0]), fields[12][0], duration)


def _message(data: bytes) -> defaultdict[int, list[Any]]:
    fields: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 2:
            fields[key >> 3].append(data[at : at + value])
            at += value
        else:
            assert key & 7 == 0, f"field {key >> 3} is of kind {key & 7}"
            fields[key >> 3].append(value)
    assert at == len(data)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values
