"""How functions and files are called in dumps, profiles and reports.

A function's name is that of its module, a dot, and its qualified name without `<locals>`, as Go
writes a package's; a file is a whole path. Both come from outside, so both are escaped: no name
ends a line, begins a header or passes for a goroutine's creator (printstring.py).

Source: Go 1.27 runtime/symtab.go (funcname, funcline).
Tests: tests/runtime/test_traceback.py
"""

from __future__ import annotations

import os
import sys
from types import CodeType, CoroutineType
from typing import Any, Final

from gopark._runtime.base.printstring import oneline
from gopark._runtime.base.runtime2 import framein

__all__ = ("Frame", "frameof", "funcname", "moduleof", "pathof", "publicname", "qualified")

_paths: Final[dict[str, str]] = {}

Frame = tuple[str, str, int]  # function, file, line


def frameof(code: CodeType, names: dict[str, Any], line: int | None) -> Frame:
    return funcname(code, names), pathof(code.co_filename), line or code.co_firstlineno


def pathof(file: str) -> str:
    """The whole path of a source file; finding it takes as long as all else of a frame."""
    path = _paths.get(file)
    if path is None:
        path = oneline(file if file.startswith("<") else os.path.abspath(file))
        _paths[file] = path
    return path


def funcname(code: CodeType, names: dict[str, Any]) -> str:
    return qualified(names.get("__name__", ""), code.co_qualname)


def qualified(module: object, name: str) -> str:
    """A function's name with that of its module; it can neither end the line nor pass for more."""
    if module == "__main__":
        module = "main"
    name = oneline(name.replace(".<locals>", ""))
    if " in goroutine " in name:
        name = name.replace(" in goroutine ", "\\x20in goroutine ")
    module = oneline(str(module))
    if " " in module:  # or it might begin a header
        module = module.replace(" ", "\\x20")
    return f"{module}.{name}" if module else name


def moduleof(code: CodeType, fn: Any) -> str:
    """The module of what has no globals; empty if unknown.

    A coroutine has them in its frame, and has none of that once it has ended: its goroutine is seen
    so for a moment, and while it panics.
    """
    frame = framein(fn, "cr_frame") if type(fn) is CoroutineType else getattr(fn, "cr_frame", None)
    if frame is not None:
        return str(frame.f_globals.get("__name__", ""))
    if (module := getattr(fn, "__module__", None)) is not None:
        return str(module)
    for name, known in sys.modules.copy().items():
        if getattr(known, "__file__", None) == code.co_filename:
            return name
    return ""


def publicname(code: CodeType) -> str:
    """How the user knows a function of ours; empty for what is none of his.

    What Go has as a statement (`go`, `select`, a channel's operations) is not named: its stacks
    show the line of the user alone.
    """
    first, *rest = code.co_qualname.split(".")
    for name, module in sys.modules.copy().items():  # others may import meanwhile
        if name.startswith("gopark.") and "._" not in name:
            for public in vars(module).get("__all__", ()):
                value = getattr(module, public)
                if getattr(value, "__name__", "") == first:
                    for attr in rest:
                        value = getattr(value, attr, None)
                    if getattr(value, "__code__", None) is code:
                        return ".".join((name, public, *rest))
    return ""
