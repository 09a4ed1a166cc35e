"""What the child programs share: a registry, so that one file holds a family of programs.

`python main.py Name` imports every family of its folder and runs the program registered
under that name. A program is the main goroutine, unless it registers with `run=False`: then
it calls `gopark.run` by itself, or never.
"""

import ctypes
import importlib
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import gopark

F = TypeVar("F", bound=Callable[[], object])

_programs: dict[str, tuple[Callable[[], object], bool]] = {}


def register(name: str, *, run: bool = True) -> Callable[[F], F]:
    """Decorator: `main.py name` runs this function."""

    def decorate(fn: F) -> F:
        assert name not in _programs, name
        _programs[name] = (fn, run)
        return fn

    return decorate


def library(name: str) -> ctypes.CDLL:
    """The C library that the harness built from `name.c`."""
    return ctypes.CDLL(os.path.join(os.environ["TESTPROG_LIBS"], f"{name}.so"))


def threads_run() -> None:
    """From CPython 3.14 on a report ends at the first thread that was made and has not begun."""
    gopark.cgo.call(ctypes.CDLL(None).getpid)  # which has sysmon made
    tasks = "/proc/self/task"
    while os.path.isdir(tasks) and len(sys._current_frames()) < len(os.listdir(tasks)):
        time.sleep(0.001)


def main(folder: pathlib.Path) -> None:
    """Run the program named on the command line. A wrong one is no failure, as in Go."""
    if len(sys.argv) < 2:
        print(f"usage: {sys.argv[0]} name-of-program", file=sys.stderr)
        return
    for file in sorted(folder.glob("*.py")):
        if file.stem != "main":
            importlib.import_module(file.stem)
    name = sys.argv[1]
    if name not in _programs:
        print(f"unknown function: {name}", file=sys.stderr)
        return
    fn, run = _programs[name]
    if run:
        gopark.run(fn)
    else:
        fn()
