"""Panic reports, and how they end a program. Rows of Go's own tests: tests/conformance/panic."""

import re

import pytest

from harness import TESTDATA, Ended, run

FILE = str(TESTDATA / "testprog" / "panic.py")


def prog(name: str, **options) -> Ended:
    return run("testprog", name, **options)


def shape(report: str) -> str:
    """A report without line numbers and the number of the goroutine that failed."""
    report = re.sub(rf"\t{re.escape(FILE)}:\d+\n", "\tFILE\n", report)
    return re.sub(r"^goroutine \d+ \[running", "goroutine N [running", report, flags=re.M)


@pytest.mark.parametrize(
    ("name", "function", "inner"),
    [("Panic", "panic", "panic.deeper(...)\n\tFILE\n"), ("PlainPanic", "plain_panic", "")],
)
def test_an_exception_nobody_caught_in_a_goroutine_ends_the_program(name, function, inner):
    """The whole form: value, blank line, the goroutine that failed and no other, its creator."""
    ended = prog(name)
    want = (
        "panic: ValueError: oops\n\ngoroutine N [running]:\n"
        f"{inner}panic.{function}(...)\n\tFILE\n"
        "created by panic.register_goroutine.decorate.main in goroutine 1\n\tFILE\n"
    )
    assert ended._replace(stderr=shape(ended.stderr)) == Ended("", want, 2)


def test_an_exception_that_was_declared_not_to_matter_does_not_show():
    ended = prog("FromNone")
    assert (ended.stdout, ended.status) == ("", 2)
    assert ended.stderr.startswith("panic: RuntimeError: shown\n\ngoroutine ")
    assert ended.stderr.count("\ngoroutine ") == 1


@pytest.mark.parametrize("procs", ["1", "8"])
def test_of_several_panics_at_once_one_is_reported(procs):
    ended = prog("PanicsAtOnce", env={"GOMAXPROCS": procs})
    assert ended.status == 2
    assert len(re.findall(r"^panic: RuntimeError: panic \d$", ended.stderr, re.M)) == 1
    assert ended.stderr.count("\ngoroutine ") == 1


def test_a_panic_can_be_caught_around_run():
    ended = prog("PanicCaught")
    assert ended.status == 0
    assert ended.stdout == "panic: KeyError: 'who'\n"
    assert ended.stderr.startswith("panic: KeyError: 'who'\n\ngoroutine ")


def test_an_exception_of_main_passes_through_run_unchanged():
    assert prog("MainException") == Ended("coroutine\nplain\n", "", 0)


def test_an_exception_of_main_that_nobody_catches_is_pythons_own_end():
    ended = prog("MainExceptionUncaught")
    assert ended.status == 1
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.endswith("KeyError: 'mine'\n")
    assert "panic:" not in ended.stderr
