"""Panic reports. Go: runtime/crash_test.go, in the words of Python's exceptions.

Go's `[recovered]` stands where an exception was being handled when the next was raised.
Python does not tell that from a `finally`, nor a caught and re-raised exception from one
that was never caught, so those forms differ from Go's.
"""

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


PANICS = {
    "RecursivePanic": ("wrap: bad\n", "panic: RuntimeError: again"),
    "RecursivePanic2": ("first panic\nsecond panic\n", "panic: RuntimeError: third panic"),
    "RecursivePanic3": ("", "panic: RuntimeError: first panic"),
    "RecursivePanic4": (
        "",
        "panic: RuntimeError: first panic [recovered]\n\tpanic: RuntimeError: second panic",
    ),
    "RecursivePanic5": ("first panic\nsecond panic\n", "panic: RuntimeError: third panic"),
    "RepanickedPanic": ("", "panic: RuntimeError: message"),
    "RepanickedMiddlePanic": (
        "",
        "panic: RuntimeError: inner [recovered]\n"
        "\tpanic: RuntimeError: middle [recovered]\n"
        "\tpanic: RuntimeError: outer",
    ),
    # Python cuts the circle of contexts: what was raised last is the end of the chain.
    "RepanickedPanicSandwich": (
        "",
        "panic: RuntimeError: inner [recovered]\n\tpanic: RuntimeError: outer",
    ),
    "DoublePanicWithSameValue": ("", "panic: RuntimeError: message"),
    "DoublePanic": ("", "panic: panic.Collects: XXX [recovered]\n\tpanic: panic.Collects: YYY"),
    "PanicTraceback": (
        "",
        "panic: RuntimeError: hello [recovered]\n"
        "\tpanic: RuntimeError: panic pt2 [recovered]\n"
        "\tpanic: RuntimeError: panic pt1",
    ),
    "FromNone": ("", "panic: RuntimeError: shown"),
    "StringPanic": ("", "panic: RuntimeError: important multi-line\n\tstring message"),
    "GoschedInPanic": ("", "panic: panic.ThatYields: yielded"),
    "SyscallInPanic": ("1\n2\n", "panic: panic.ThatPrints: 3"),
}


@pytest.mark.parametrize("name", PANICS)
def test_the_value_of_a_panic_and_what_it_came_out_of_are_printed(name):
    """Go: TestRecursivePanic*, TestRepanicked*, TestDoublePanic*, TestPanicDeadlock*."""
    stdout, value = PANICS[name]
    ended = prog(name)
    assert ended.status == 2
    assert ended.stdout == stdout
    assert ended.stderr.startswith(f"{value}\n\ngoroutine ")
    assert ended.stderr.count("\ngoroutine ") == 1


BAD_VALUES = {
    "ErrorPanic": ": important multi-line\n\terror message\n",
    "DoubleErrorPanic": ": type ThatFailsTwice\n",
    "PanicLoop": ": type Loop\n",
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_panic_while_its_value_is_printed_is_reported_and_ends_the_program(name):
    """Go: TestPanicWhilePanicking, TestPanicLoop."""
    ended = prog(name)
    assert ended.status == 2
    assert ended.stderr.startswith(
        "fatal error: panic while printing panic value" + BAD_VALUES[name]
    )


def test_the_middle_of_a_very_deep_stack_is_left_out():
    """Go: TestStackOverflow."""
    ended = prog("StackOverflow")
    assert ended.status == 2
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("panic: RecursionError: maximum recursion depth exceeded")
    assert re.fullmatch(r"\.\.\.\d+ frames elided\.\.\.", lines[3 + 2 * 50])
    assert lines.count("panic.stack_overflow.deeper(...)") == 99
    assert lines.count("panic.stack_overflow(...)") == 1


@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_main_waits_for_the_report_of_a_panic(procs):
    """Go: TestPanicRace."""
    for _ in range(3):
        ended = prog("PanicRace", env={"GOMAXPROCS": procs})
        assert ended.status == 2
        assert shape(ended.stderr) == (
            "panic: panic.panic_race.Crash: crash\n\ngoroutine N [running]:\n"
            "panic.panic_race.crash(...)\n\tFILE\n"
            "created by panic.panic_race in goroutine 1\n\tFILE\n"
        )


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
    assert "panic" not in ended.stderr.replace(FILE, "")


def test_go_of_nothing_is_an_error_at_the_go_line():
    """Go: TestGoNil, where it is fatal."""
    ended = prog("GoNil")
    assert ended.stdout.startswith("go of nil func value")
    assert ended[1:] == ("", 0)


def test_main_is_goroutine_1():
    """Go: TestMainGoroutineID."""
    ended = prog("MainGoroutineID")
    assert shape(ended.stdout) == "goroutine N [running]:\npanic.main_goroutine_id(...)\n\tFILE\n"
    assert ended.stdout.startswith("goroutine 1 ")


def test_the_runtime_shows_no_goroutine_of_its_own():
    """Go: TestNoHelperGoroutines."""
    ended = prog("NoHelperGoroutines")
    assert ended.stdout.startswith("1\ngoroutine 1 [running]:\n")
    assert ended.stdout.count("goroutine ") == 1
    assert ended[1:] == ("", 0)


@pytest.mark.parametrize("procs", ["1", "8"])
def test_exceptions_are_caught_on_locked_threads_of_all_kinds(procs):
    """Go: TestCrashHandler."""
    names = "main", "new-thread", "second-new-thread", "main-again"
    want = "".join(f"{name}: recovered done\n" for name in names)
    assert prog("Crash", env={"GOMAXPROCS": procs}) == Ended(want, "", 0)
