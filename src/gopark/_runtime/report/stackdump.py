"""The stacks of all threads where their frames may not be read: on free-threaded builds.

A frame must not be looked at while its thread runs it, and nothing in Python stops a thread. The
interpreter does, for `faulthandler.dump_traceback`, from 3.13.2 on: it stops all threads, writes
their stacks, a hundred frames of a hundred threads at most, and lets them go on. So that is what
is read here. It says file, line and the bare name of a function; the rest is looked up
afterwards, in the source of the file and among the modules that are loaded.

Source: none in Go, which stops a thread by a signal. Tests: tests/pprof/test_cpu.py
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import sys
import tempfile
from collections.abc import Container, Iterator
from types import CodeType
from typing import Any, Final, NamedTuple

from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.report.symtab import Frame, pathof

__all__ = ("Dump", "Names", "Raw", "available")

_THREAD: Final = re.compile(r"(?:Current t|T)hread 0x([0-9a-f]+)")
_FRAME: Final = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


class Raw(NamedTuple):
    """A frame as it was written."""

    file: str
    line: int
    name: str


def available() -> bool:
    """The stacks of running threads can be read, one way or the other."""
    return not FREETHREADED or sys.version_info >= (3, 13, 2)


class Dump:
    """Takes dumps; it owns the file that they pass through."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`

    def take(self, wanted: Container[int]) -> dict[int, list[Raw]]:
        """The stacks of these threads by identifier, innermost frame first."""
        fd = self._file.fileno()
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
        faulthandler.dump_traceback(file=fd, all_threads=True)
        size = os.lseek(fd, 0, os.SEEK_CUR)
        return parsed(os.pread(fd, size, 0).decode("ascii", "replace"), wanted)

    def close(self) -> None:
        self._file.close()


def parsed(text: str, wanted: Container[int]) -> dict[int, list[Raw]]:
    stacks: dict[int, list[Raw]] = {}
    frames: list[Raw] | None = None
    for line in text.splitlines():
        if m := _THREAD.match(line):
            ident = int(m[1], 16)
            frames = stacks.setdefault(ident, []) if ident in wanted else None
        elif frames is not None and (m := _FRAME.fullmatch(line)):
            frames.append(Raw(_unescaped(m[1]), int(m[2]), _unescaped(m[3])))
    return stacks


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1] or m[2] or m[3], 16)), text)


class Names:
    """Finds out what functions are called in full, by file, line and bare name."""

    def __init__(self) -> None:
        self._codes: dict[str, list[CodeType]] = {}  # by file: all that is defined in it
        self._frames: dict[Raw, Frame] = {}
        self._modules = {
            os.path.abspath(file): name
            for name, module in list(sys.modules.items())
            if isinstance(file := getattr(module, "__file__", None), str) and name != "__mp_main__"
        }
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        if main is not None:
            self._modules[os.path.abspath(main)] = "main"

    def frame(self, raw: Raw) -> Frame:
        found = self._frames.get(raw)
        if found is None:
            path = pathof(raw.file)
            module = self._modules.get(path) or os.path.splitext(os.path.basename(path))[0]
            name = self.qualname(raw).replace(".<locals>", "")
            found = self._frames[raw] = (f"{module}.{name}", path, raw.line)
        return found

    def qualname(self, raw: Raw) -> str:
        """The innermost function of that name whose lines these are."""
        best: CodeType | None = None
        for code in self._defined(raw.file):
            if code.co_name == raw.name and code.co_firstlineno <= raw.line:
                last = max(line or 0 for _, _, line in code.co_lines())
                if raw.line <= last and (best is None or code.co_firstlineno > best.co_firstlineno):
                    best = code
        return raw.name if best is None else best.co_qualname

    def function(self, raw: Raw) -> Any:
        """The function itself, where it can be reached by its name."""
        name = self._modules.get(pathof(raw.file), "")
        value: Any = sys.modules.get(name)
        for attr in self.qualname(raw).split("."):
            value = getattr(value, attr, None)
        return value

    def _defined(self, file: str) -> list[CodeType]:
        codes = self._codes.get(file)
        if codes is None:
            try:
                source = "".join(linecache.getlines(file))
                codes = [*_inside(compile(source, file, "exec", dont_inherit=True))]
            except (SyntaxError, ValueError):
                codes = []
            self._codes[file] = codes
        return codes


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _inside(const)
