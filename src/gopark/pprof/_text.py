"""Profiles as text, in the form of Go's `debug=1`.

Source: Go 1.27 runtime/pprof/pprof.go (printCountProfile, printStackRecord), text/tabwriter.
Tests: tests/pprof/test_profiles.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from gopark._runtime.prof.proflabel import Labels
from gopark._runtime.report.symtab import Frame
from gopark.pprof._proto import addressof, entryof

__all__ = ("counted", "keyof", "labeltext", "timed")

Stack = tuple[Frame, ...]

_TAB: Final = 8
_CYCLES: Final = 1_000_000_000  # a second has so many of what delays are counted in
_ESCAPES: Final = dict(zip('\a\b\f\n\r\t\v\\"', ("\\" + c for c in 'abfnrtv\\"'), strict=True))


def counted(name: str, total: int, groups: Iterable[tuple[int, str, Stack]]) -> str:
    """A profile that counts: of each group its count, its key and its stack."""
    lines = [f"{name} profile: total {total}"]
    for count, key, stack in groups:
        lines.append(f"{count} {key}")
        lines += [*_record(stack, False), ""]
    return "\n".join(lines) + "\n"


def timed(name: str, fraction: int | None, records: Iterable[tuple[int, int, Stack]]) -> str:
    """A profile of waits: each record has nanoseconds, a count and a stack."""
    lines = [f"--- {name}:", f"cycles/second={_CYCLES}"]
    if fraction is not None:
        lines.append(f"sampling period={fraction}")
    for delay, count, stack in records:
        lines.append(f"{delay} {count} {keyof(stack)}")
        lines += [*_record(stack, True), ""]
    return "\n".join(lines) + "\n"


def keyof(stack: Stack, labels: Labels = ()) -> str:
    """What tells two groups apart: the addresses, each behind the call as in Go, and labels."""
    key = "".join(["@", *(f" {addressof(frame) + 1:#x}" for frame in stack)])
    return f"{key}\n# labels: {labeltext(labels)}" if labels else key


def labeltext(labels: Labels) -> str:
    """Labels as Go prints a set of them."""
    return f"{{{', '.join(f'{_quoted(key)}:{_quoted(value)}' for key, value in labels)}}}"


def _record(stack: Stack, all: bool) -> list[str]:
    """A line for each frame; those of the runtime at the start do not show, unless all are."""
    show = all
    rows = []
    for frame in stack:
        name, file, line = frame
        show = show or not _isruntime(name)
        if show:
            address, offset = addressof(frame), addressof(frame) - entryof(frame)
            rows.append(["#", f"{address:#x}", f"{name}+{offset:#x}", f"{file}:{line}"])
    return _record(stack, True) if stack and not show else _aligned(rows)


def _isruntime(name: str) -> bool:
    """A function of gopark itself, not of a module in it: what Go has in its runtime."""
    package, _, rest = name.partition(".")
    return package == "gopark" and f"gopark.{rest.partition('.')[0]}" not in sys.modules


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells under each other, by tabs."""
    columns = list(zip(*rows, strict=True))[:-1]
    widths = [(max(map(len, column)) // _TAB + 1) * _TAB for column in columns]
    return [
        "".join(
            cell + "\t" * -(-(width - len(cell)) // _TAB)
            for cell, width in zip(row[:-1], widths, strict=True)
        )
        + row[-1]
        for row in rows
    ]


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    number = ord(char)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
