"""Panic reports of whole programs, in the words of Python's exceptions.

`panic(v)` is `raise`, `recover()` is `except`, a deferred function is a `finally` block. The value
of a panic is an exception, which prints as its type and its text. An exception of main goes to the
caller of `run`, so these programs fail in a goroutine.

Go: runtime/crash_test.go, panic_test.go. Chains that no test of Go has: tests/runtime.
"""

import functools
import re

import pytest

from gopark._runtime.base.runtime2 import FREETHREADED
from harness import TESTDATA, Ended, run

FILE = str(TESTDATA / "testprog" / "panic.py")


@functools.cache
def prog(name: str) -> Ended:
    """What the program leaves; two rows about one program run it once."""
    return run("testprog", name)


def shape(report: str) -> str:
    """A report without line numbers and the number of the goroutine that failed."""
    report = re.sub(rf"\t{re.escape(FILE)}:\d+\n", "\tFILE\n", report)
    return re.sub(r"^goroutine \d+ \[running", "goroutine N [running", report, flags=re.M)


def panicked(name: str, stdout: str, value: str) -> None:
    """The program ends with this report: the panics, and the stack of who failed, alone."""
    ended = prog(name)
    assert ended.status == 2
    assert ended.stdout == stdout
    assert ended.stderr.startswith(f"{value}\n\ngoroutine ")
    assert ended.stderr.count("\ngoroutine ") == 1


def fatal(name: str, value: str) -> None:
    """The program ends with this report, whose first lines may come out of a panic."""
    ended = prog(name)
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"{value}\n\ngoroutine ")


# --- chains ------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestRecursivePanic")
@pytest.mark.go("runtime/testdata/testprog", "RecursivePanic")
def test_recursive_panic():
    panicked("RecursivePanic", "wrap: bad\n", "panic: RuntimeError: again")


@pytest.mark.go("runtime", "TestRecursivePanic2")
@pytest.mark.go("runtime/testdata/testprog", "RecursivePanic2")
def test_recursive_panic2():
    stdout = "first panic\nsecond panic\n"
    panicked("RecursivePanic2", stdout, "panic: RuntimeError: third panic")


@pytest.mark.go("runtime", "TestRecursivePanic3")
@pytest.mark.go("runtime/testdata/testprog", "RecursivePanic3")
def test_recursive_panic3():
    panicked("RecursivePanic3", "", "panic: RuntimeError: first panic")


@pytest.mark.go("runtime", "TestRecursivePanic4")
@pytest.mark.go("runtime/testdata/testprog", "RecursivePanic4")
def test_recursive_panic4():
    value = "panic: RuntimeError: first panic [recovered]\n\tpanic: RuntimeError: second panic"
    panicked("RecursivePanic4", "", value)


@pytest.mark.go("runtime", "TestRecursivePanic5")
@pytest.mark.go("runtime/testdata/testprog", "RecursivePanic5")
def test_recursive_panic5():
    stdout = "first panic\nsecond panic\n"
    panicked("RecursivePanic5", stdout, "panic: RuntimeError: third panic")


@pytest.mark.go("runtime", "TestRepanickedPanic")
@pytest.mark.go("runtime/testdata/testprog", "RepanickedPanic")
def test_repanicked_panic():
    panicked("RepanickedPanic", "", "panic: RuntimeError: message [recovered, repanicked]")


@pytest.mark.go("runtime", "TestRepanickedMiddlePanic")
@pytest.mark.go("runtime/testdata/testprog", "RepanickedMiddlePanic")
def test_repanicked_middle_panic():
    value = (
        "panic: RuntimeError: inner [recovered]\n"
        "\tpanic: RuntimeError: middle [recovered, repanicked]\n"
        "\tpanic: RuntimeError: outer"
    )
    panicked("RepanickedMiddlePanic", "", value)


@pytest.mark.go("runtime", "TestRepanickedPanicSandwich")
@pytest.mark.go("runtime/testdata/testprog", "RepanickedPanicSandwich")
def test_repanicked_panic_sandwich():
    value = (
        "panic: RuntimeError: outer [recovered]\n"
        "\tpanic: RuntimeError: inner [recovered]\n"
        "\tpanic: RuntimeError: outer"
    )
    panicked("RepanickedPanicSandwich", "", value)


@pytest.mark.go("runtime", "TestDoublePanicWithSameValue")
@pytest.mark.go("runtime/testdata/testprog", "DoublePanicWithSameValue")
def test_double_panic_with_same_value():
    panicked("DoublePanicWithSameValue", "", "panic: RuntimeError: message")


@pytest.mark.go("runtime", "TestDoublePanic")
@pytest.mark.go("runtime/testdata/testprog", "DoublePanic")
def test_double_panic():
    panicked("DoublePanic", "", "panic: panic.Collects: XXX\n\tpanic: panic.Collects: YYY")


# --- values ------------------------------------------------------------------------------


@pytest.mark.go("runtime/testdata/testprog", "StringPanic")
def test_string_panic():
    panicked("StringPanic", "", "panic: RuntimeError: important multi-line\n\tstring message")


@pytest.mark.go("runtime/testdata/testprog", "stringconcat")
def test_stringconcat():
    digits = "".join(str(n % 10) for n in range(4096))
    panicked("stringconcat", "", f"panic: RuntimeError: {digits}")


@pytest.mark.go("runtime/testdata/testprog", "NilPanic")
def test_nil_panic():
    """`raise None` is an error by itself."""
    panicked("NilPanic", "", "panic: TypeError: exceptions must derive from BaseException")


@pytest.mark.go("runtime", "TestPanicDeadlockGosched")
def test_panic_deadlock_gosched():
    panicked("GoschedInPanic", "", "panic: panic.ErrorThatGosched: errorThatGosched")


@pytest.mark.go("runtime/testdata/testprog", "GoschedInPanic")
def test_gosched_in_panic():
    """And the goroutine that yielded in its report is the one that is shown."""
    panicked("GoschedInPanic", "", "panic: panic.ErrorThatGosched: errorThatGosched")
    assert "\npanic.gosched_in_panic(...)\n" in prog("GoschedInPanic").stderr


@pytest.mark.go("runtime", "TestPanicDeadlockSyscall")
def test_panic_deadlock_syscall():
    panicked("SyscallInPanic", "1\n2\n", "panic: panic.ErrorThatPrints: 3")


@pytest.mark.go("runtime/testdata/testprog", "SyscallInPanic")
def test_syscall_in_panic():
    assert prog("SyscallInPanic").stdout == "1\n2\n"


PRINTING = "fatal error: panic while printing panic value: "
PANIC_WHILE_PANICKING = {
    "ErrorPanic": PRINTING + "important multi-line\n\terror message",
    "StringerPanic": PRINTING + "important multi-line\n\tstringer message",
    "DoubleErrorPanic": PRINTING + "type panic.ExampleError",
    "DoubleStringerPanic": PRINTING + "type panic.ExampleStringerError",
    "CircularPanic": PRINTING + "type panic.ExampleCircleEndError",
}


@pytest.mark.go("runtime", "TestPanicWhilePanicking")
@pytest.mark.parametrize("name", PANIC_WHILE_PANICKING)
def test_panic_while_panicking(name):
    fatal(name, PANIC_WHILE_PANICKING[name])


@pytest.mark.go("runtime/testdata/testprog", "ErrorPanic")
def test_error_panic():
    fatal("ErrorPanic", PANIC_WHILE_PANICKING["ErrorPanic"])


@pytest.mark.go("runtime/testdata/testprog", "StringerPanic")
def test_stringer_panic():
    """The text of an exception is that of its argument."""
    fatal("StringerPanic", PANIC_WHILE_PANICKING["StringerPanic"])


@pytest.mark.go("runtime/testdata/testprog", "DoubleErrorPanic")
def test_double_error_panic():
    fatal("DoubleErrorPanic", PANIC_WHILE_PANICKING["DoubleErrorPanic"])


@pytest.mark.go("runtime/testdata/testprog", "DoubleStringerPanic")
def test_double_stringer_panic():
    fatal("DoubleStringerPanic", PANIC_WHILE_PANICKING["DoubleStringerPanic"])


@pytest.mark.go("runtime/testdata/testprog", "CircularPanic")
def test_circular_panic():
    fatal("CircularPanic", PANIC_WHILE_PANICKING["CircularPanic"])


@pytest.mark.go("runtime", "TestPanicLoop")
@pytest.mark.go("runtime/testdata/testprog", "PanicLoop")
def test_panic_loop():
    fatal("PanicLoop", PRINTING + "double error")


# --- fatal errors ------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestGoNil")
@pytest.mark.go("runtime/testdata/testprog", "GoNil")
def test_go_nil():
    """An error in Go's words, and fatal only if nobody looks after it: differences.md says why."""
    ended = prog("GoNil")
    assert (ended.stdout, ended.status) == ("alive\n", 1)
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.splitlines()[-1] == (
        "TypeError: go of nil func value: go() needs a function, got None; pass the function and "
        "its arguments, not its result: go(f, x), not go(f(x))"
    )


def test_go_nil__in_a_goroutine_is_a_panic_of_that():
    ended = prog("GoNilInGoroutine")
    want = "goroutine N [running]:\npanic.go_nil_in_goroutine.nil(...)\n\tFILE\n"
    assert ended.status == 2
    assert ended.stderr.startswith("panic: TypeError: go of nil func value: go() needs a function")
    assert want in shape(ended.stderr)


@pytest.mark.go("runtime/testdata/testprog", "panicDeferFatal")
def test_panic_defer_fatal():
    """A fatal error strikes in a `finally` block that an exception has led to."""
    fatal(
        "panicDeferFatal",
        "panic: ZeroDivisionError: nothing to divide by\n"
        "\tfatal error: sync: unlock of unlocked mutex",
    )


@pytest.mark.go("runtime/testdata/testprog", "panicDoublieDeferFatal")
def test_panic_doublie_defer_fatal():
    fatal(
        "panicDoublieDeferFatal",
        "panic: ZeroDivisionError: nothing to divide by [recovered, repanicked]\n"
        "\tfatal error: sync: unlock of unlocked mutex",
    )


@pytest.mark.go("runtime", "TestRuntimePanic")
def test_runtime_panic():
    """What goes wrong in gopark itself is not to be caught, and names the function it was in."""
    ended = prog("RuntimePanic")
    assert ended.status == 2
    assert ended.stdout == ""
    first = r"fatal error: Throw: schedule: goroutine \d+ is waiting, not runnable\n"
    assert re.match(first, ended.stderr)
    assert "in badrunnable\n" in ended.stderr


@pytest.mark.go("runtime", "TestStackOverflow")
@pytest.mark.go("runtime/testdata/testprog", "StackOverflow")
def test_stack_overflow():
    """Python's limit is one of depth, and its error can be caught; the middle is left out."""
    ended = prog("StackOverflow")
    assert ended.status == 2
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("panic: RecursionError: maximum recursion depth exceeded")
    assert re.fullmatch(r"\.\.\.\d+ frames elided\.\.\.", lines[3 + 2 * 50])
    assert lines.count("panic.stack_overflow.deeper(...)") == 99
    assert lines.count("panic.stack_overflow(...)") == 1


# --- who ends first ----------------------------------------------------------------------


@pytest.mark.go("runtime", "TestPanicRace")
@pytest.mark.go("runtime/testdata/testprog", "PanicRace")
@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_panic_race(procs):
    # Without the GIL main cannot see what others do that run at the same moment: as in Go, the
    # report is lost at times then, and never ten times in a row.
    tries = 10 if FREETHREADED and procs != "1" else 1
    ended = [run("testprog", "PanicRace", env={"GOMAXPROCS": procs}) for _ in range(tries)]
    assert ("", 2) in {(e.stdout, e.status) for e in ended}
    assert {shape(e.stderr) for e in ended if e.status} == {
        "panic: RuntimeError: crash\n\ngoroutine N [running]:\n"
        "panic.panic_race.crash(...)\n\tFILE\n"
        "created by panic.panic_race in goroutine 1\n\tFILE\n"
    }


@pytest.mark.skipif(FREETHREADED, reason="the frames of another thread may not be read")
@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_panic_race__plain(procs):
    ended = run("testprog", "PlainPanicRace", env={"GOMAXPROCS": procs})
    assert ended.status == 2
    assert ended.stderr.startswith("panic: RuntimeError: crash\n\ngoroutine ")


def test_panic_race__others_are_not_waited_for():
    assert prog("NoPanicRace") == Ended("OK\n", "", 0)


@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_panic_race__while_the_report_is_made(procs):
    ended = run("testprog", "PanicRaceInReport", env={"GOMAXPROCS": procs})
    assert ended.status == 2
    assert shape(ended.stderr) == (
        "panic: panic.panic_race_in_report.Crash: crash\n\ngoroutine N [running]:\n"
        "panic.panic_race_in_report.crash(...)\n\tFILE\n"
        "created by panic.panic_race_in_report in goroutine 1\n\tFILE\n"
    )


THREADS = "main", "new-thread", "second-new-thread", "main-again"
RECOVERED = "".join(f"{name}: recovered done\n" for name in THREADS)


@pytest.mark.go("runtime", "TestCrashHandler")
def test_crash_handler():
    """Exceptions are caught on main, on two threads that goroutines are locked to, and again."""
    assert prog("Crash") == Ended(RECOVERED, "", 0)


@pytest.mark.go("runtime/testdata/testprog", "Crash")
def test_crash():
    assert run("testprog", "Crash", env={"GOMAXPROCS": "8"}) == Ended(RECOVERED, "", 0)
