"""Dumps by their strict grammar: what Go prints, and what readers of Go's dumps insist on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ("Frame", "Goroutine", "functions", "goroutines", "lineof")

_HEADER = re.compile(
    r"goroutine (\d+) \[([a-zA-Z0-9 ()._:]+)(?:, (\d+) minutes)?(, locked to thread)?\]:"
)
_FUNCTION = re.compile(r"[\w.<>]+\(\.\.\.\)")
_FILE = re.compile(r"\t([^\t:]+):(\d+)")
_CREATED = re.compile(r"created by [\w.<>]+( in goroutine \d+)?")
_ELIDED = re.compile(r"\.\.\.\d+ frames elided\.\.\.")


class Frame(NamedTuple):
    """A function and where it is."""

    function: str  # with its module
    file: str
    line: int


class Goroutine(NamedTuple):
    """One goroutine of a dump."""

    goid: int
    what: str
    minutes: str | None
    locked: bool
    functions: list[str]  # the last part of the names, innermost first; a line of elided frames
    creator: str | None
    frames: list[Frame]


def goroutines(text: str) -> list[Goroutine]:
    """A dump, part by part; fails where it is not well formed."""
    assert text.endswith("\n")
    blocks = text[:-1].split("\n\n")
    # What stands behind the goroutines: readers skip it.
    blocks = [block for block in blocks if not block.startswith("in scopes (innermost first):\n")]
    return [_goroutine(block.split("\n")) for block in blocks]


def _goroutine(lines: list[str]) -> Goroutine:
    match = _HEADER.fullmatch(lines[0])
    assert match, lines[0]
    names: list[str] = []
    frames: list[Frame] = []
    creator, rest = None, lines[1:]
    while rest:
        assert creator is None, "created by is last"
        if rest[0].startswith("\tgoroutine running on other thread"):
            rest = rest[1:]
            continue
        if rest[0].startswith("..."):
            assert _ELIDED.fullmatch(rest[0])
            names.append(rest[0])
            rest = rest[1:]
            continue
        place = _FILE.fullmatch(rest[1])
        assert place, rest[1]
        if _CREATED.fullmatch(rest[0]):
            creator = rest[0]
        else:
            assert _FUNCTION.fullmatch(rest[0]), rest[0]
            function = rest[0].removesuffix("(...)")
            names.append(function.rpartition(".")[2])
            frames.append(Frame(function, place[1], int(place[2])))
        rest = rest[2:]
    goid, what, minutes, locked = match.groups()
    return Goroutine(int(goid), what, minutes, bool(locked), names, creator, frames)


def functions(text: str) -> list[str]:
    """The last part of the functions' names of a stack, innermost first."""
    return goroutines(text)[0].functions


def lineof(fn: Callable[..., Any], marker: str) -> int:
    """The line of a function that carries a marker comment."""
    lines, first = inspect.getsourcelines(fn)
    return first + next(i for i, line in enumerate(lines) if marker in line)
