"""What Go's own tests pin down, row by row, and which test of ours holds each row.

`conformance/go-tests.tsv` lists the rows: package, test, kind, behaviour, portable (`yes`,
`adapt`, `no`), area. A test holds a row by a mark; several rows, several marks:

    @pytest.mark.go("sync", "TestMutex")
    def test_mutex(): ...

The test is named after Go's, if it holds several after one of them: `test_` and the snake case
of the name without its `Test`; a variant is told apart by `__` and a word. A row that Python
gives no meaning has a line in `conformance/reasons/AREA.tsv` instead: package, test, reason.

    python tests/gorows.py             how far each area is
    python tests/gorows.py sync        what is missing in one
    make conformance                   runs them all and writes docs/conformance.md
"""

from __future__ import annotations

import ast
import csv
import functools
import pathlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

TESTS = pathlib.Path(__file__).resolve().parent
FOLDER = TESTS / "conformance"
PAGE = TESTS.parent / "docs" / "conformance.md"

AREAS = (
    "scheduler", "chan", "select", "cgo", "traceback", "deadlock", "panic", "goexit",
    "lockosthread", "timers", "sync", "context", "signal", "synctest", "pprof", "trace", "metrics",
    "netpoll", "net", "exec",
)  # fmt: skip


class Row(NamedTuple):
    """One behaviour that a test of Go pins down."""

    package: str
    test: str
    kind: str
    behaviour: str
    portable: str
    area: str

    @property
    def key(self) -> tuple[str, str]:
        return self.package, self.test


class Held(NamedTuple):
    """A test of ours that holds a row."""

    file: str
    function: str


def _read(file: pathlib.Path) -> Iterator[list[str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        yield from csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


@functools.cache
def rows() -> list[Row]:
    """All rows, those of areas that are not covered yet included."""
    return [Row(*fields) for fields in list(_read(FOLDER / "go-tests.tsv"))[1:]]


def covered(row: Row) -> bool:
    """This row is to be accounted for."""
    return row.area in AREAS


@functools.cache
def reasons() -> dict[tuple[str, str], str]:
    """Why a row is not held, by package and test."""
    found = {}
    for file in sorted((FOLDER / "reasons").glob("*.tsv")):
        for package, test, reason in _read(file):
            assert (package, test) not in found, f"{file.name}: {package} {test} stands twice"
            found[package, test] = reason
    return found


@functools.cache  # it parses every test
def held() -> dict[tuple[str, str], list[Held]]:
    """The tests that are marked with each row, as their source says."""
    found = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for key in _marks(node):
                    place = Held(str(file.relative_to(TESTS.parent)), node.name)
                    found[key].append(place)
    return dict(found)


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.go":
            package, test = (ast.literal_eval(arg) for arg in decorator.args)
            yield package, test


def snake(name: str) -> str:
    """TestRWMutexTryLock -> rw_mutex_try_lock"""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"_+", "_", name).lower()


def names(row: Row) -> set[str]:
    """The function names that count as named after this row; some rows stand for several tests."""
    text = re.sub(r"\(.*?\)", "", row.test).replace("*", "")
    return {"test_" + snake(n.strip().removeprefix("Test")).strip("_") for n in text.split("/")}


def named_after(function: str, row: Row) -> bool:
    base = function.partition("__")[0]
    return base in names(row)


# --- the page ---------------------------------------------------------------------------------

_HEAD = """# Conformance

What Go's own tests pin down, and whether gopark holds it. A row is a test or a test program of
Go 1.27, listed in `tests/conformance/go-tests.tsv` with the behaviour that it pins.

- **held**: a test of the same name, written anew from the behaviour, passes.
- **adapted**: the same, for a behaviour that Python has in another form (a panic is an exception,
  `recover` is `except`, C comes through ctypes and cffi).
- otherwise there is the reason why Python gives the row no meaning.

This page is written by `make conformance` from a run of the tests; a test compares it with the
sources, so that no row can go in silence. Programs that print the same in both languages are
beside it, in `tests/conformance/go` and `tests/conformance/py`.
"""


def status(row: Row, tests: Mapping[tuple[str, str], object]) -> str:
    if row.key in tests:
        return "held" if row.portable == "yes" else "adapted"
    return "no meaning"


def page() -> str:
    """docs/conformance.md, from the marks, the rows and the reasons."""
    tests, why = held(), reasons()
    all_rows = rows()
    kept = [row for row in all_rows if covered(row)]
    parts = [_HEAD, _summary(kept, tests), _left_out(all_rows)]
    for area in AREAS:
        parts.append(f"\n## {area}\n\n| package | test in Go | status | where, or why not |")
        parts.append("| --- | --- | --- | --- |")
        for row in (r for r in kept if r.area == area):
            where = _where(tests[row.key]) if row.key in tests else why.get(row.key, "MISSING")
            test = row.test.replace("*", r"\*").replace("|", r"\|")
            parts.append(f"| {row.package} | {test} | {status(row, tests)} | {where} |")
    return "\n".join(parts) + "\n"


def _where(places: Iterable[Held]) -> str:
    first = next(iter(places))
    return f"`{first.file.removeprefix('tests/')}` `{first.function}`"


def _summary(kept: list[Row], tests: Mapping[tuple[str, str], object]) -> str:
    lines = ["| area | rows | held | adapted | no meaning |", "| --- | ---: | ---: | ---: | ---: |"]
    total: Counter[str] = Counter()
    for area in AREAS:
        count = Counter(status(row, tests) for row in kept if row.area == area)
        total += count
        lines.append(_counts(area, count))
    return "\n".join([*lines, _counts("all", total)])


def _counts(name: str, count: Counter[str]) -> str:
    return (
        f"| {name} | {sum(count.values())} | {count['held']} | {count['adapted']} "
        f"| {count['no meaning']} |"
    )


def _left_out(all_rows: list[Row]) -> str:
    count = Counter(row.area for row in all_rows if not covered(row))
    areas = ", ".join(f"{area} ({n})" for area, n in sorted(count.items()))
    return f"\nRows that no part of gopark covers yet: {areas}."


def missing(area: str) -> list[Row]:
    """Rows of an area that have neither a test nor a reason."""
    tests, why = held(), reasons()
    return [
        row
        for row in rows()
        if covered(row) and row.area == area and row.key not in tests and row.key not in why
    ]


if __name__ == "__main__":
    for area in sys.argv[1:] or AREAS:
        left = missing(area)
        print(f"{area}: {len(left)} rows without a test or a reason")
        if sys.argv[1:]:
            for row in left:
                print(f"  {row.portable:5} {row.package} | {row.test} | {row.behaviour}")
