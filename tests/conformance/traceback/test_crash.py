"""Crash reports and what they show. Go: runtime/crash_test.go, runtime/debug/stack_test.go.

Main's own exception is the caller's of `run`, so what crashes here is a goroutine.
"""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from dumps import Frame, goroutines
from harness import TESTDATA, Ended, run, start

PROGRAMS = TESTDATA / "testprog"
ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"
FREE_THREADED = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


def prog(name: str, **env: str) -> Ended:
    return run("testprog", name, env=env)


def stacks(report: str) -> str:
    """What follows the first empty line."""
    return report.partition("\n\n")[2]


# --- who is there ------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestMainGoroutineID")
@pytest.mark.go("runtime/testdata/testprog", "MainGoroutineID")
def test_main_goroutine_id():
    ended = prog("MainGoroutineID")
    (main,) = goroutines(ended.stdout)
    assert (main.goid, main.what, main.functions) == (1, "running", ["main_goroutine_id"])
    assert ended[1:] == ("", 0)


@pytest.mark.go("runtime", "TestMainGoroutineID")
def test_main_goroutine_id__in_a_report():
    report = prog("TracebackLevel", GOTRACEBACK="all", CRASH="1").stderr
    failed, main, waits = goroutines(stacks(report))
    assert (main.goid, main.functions) == (1, ["traceback_level"])
    assert failed.creator == "created by stacks.traceback_level in goroutine 1"
    assert len({failed.goid, main.goid, waits.goid}) == 3


@pytest.mark.go("runtime", "TestNoHelperGoroutines")
@pytest.mark.go("runtime/testdata/testprog", "NoHelperGoroutines")
def test_no_helper_goroutines():
    """Timers, finalisers and what else the runtime keeps busy do not show."""
    ended = prog("NoHelperGoroutines")
    count, _, dump = ended.stdout.partition("\n")
    assert count == "1"
    assert [g.goid for g in goroutines(dump)] == [1]
    assert ended[1:] == ("", 0)


# --- what a report shows -----------------------------------------------------------------------


@pytest.mark.go("runtime", "TestPanicTraceback")
@pytest.mark.go("runtime/testdata/testprog", "PanicTraceback")
def test_panic_traceback():
    """The values, oldest first, and what handled each on top of what failed."""
    ended = prog("PanicTraceback")
    assert ended.status == 2
    assert ended.stderr.partition("\n\n")[0].splitlines() == [
        "panic: RuntimeError: hello",
        "\tpanic: RuntimeError: panic pt2",
        "\tpanic: RuntimeError: panic pt1",
    ]
    (failed,) = goroutines(stacks(ended.stderr))
    want = ["pt1", "panic", "pt2", "panic", "pt2", "pt1", "panic_traceback"]
    assert failed.functions == want
    lines = (PROGRAMS / "panic.py").read_text().splitlines()
    said = [lines[f.line - 1].strip() for f in failed.frames if f.function != "panic"]
    assert said == [
        'raise RuntimeError("panic pt1")',
        'raise RuntimeError("panic pt2")',
        'raise RuntimeError("hello")',
        "pt2()",
        "pt1()",
    ]


@pytest.mark.go("runtime", "TestTracebackRuntimeFunction")
def test_traceback_runtime_function():
    """gopark's own frames do not show, except the function of its that was called and failed."""
    (failed,) = goroutines(stacks(prog("TracebackRuntimeFunction").stderr))
    assert [f.function for f in failed.frames] == [
        "gopark.runtime.set_max_threads",
        "stacks.asks_for_too_much",
    ]
    assert failed.frames[0].file.endswith("/gomaxprocs.py")


@pytest.mark.go("runtime", "TestTracebackRuntimeMethod")
def test_traceback_runtime_method():
    (failed,) = goroutines(stacks(prog("TracebackRuntimeMethod").stderr))
    assert [f.function for f in failed.frames] == [
        "gopark.time.Timer.reset",
        "stacks.traceback_runtime_method.resets",
    ]


@pytest.mark.go("runtime", "TestTracebackSystem")
@pytest.mark.parametrize("crash", ["panic", "trap"])
def test_traceback_system(crash):
    """At level `system` a monitor finds each line of the user's, and the runtime's around them."""
    ended = prog("TracebackSystem", CRASH=crash)
    assert ended.status == 2
    failed = goroutines(stacks(ended.stderr))[0]
    source = (PROGRAMS / "stacks.py").read_text().splitlines()
    user = [f for f in failed.frames if not f.function.startswith("gopark.")]
    said = [(f.function, source[f.line - 1].strip()) for f in user]
    inner = {
        "panic": [("stacks.child5", 'raise ValueError("oops")'), ("stacks.child3", "child5()")],
        "trap": [("stacks.trap", "nothing.field = 42"), ("stacks.child3", "trap(None)")],
    }[crash]
    assert said == [
        *inner,
        ("stacks.child2", "child3()"),
        ("stacks.child1", "await child2()"),
    ]
    assert {f.file for f in user} == {str(PROGRAMS / "stacks.py")}
    assert failed.frames[-1].function == "gopark._runtime.sched.proc.schedule"


LEVELS = {
    # level: (goroutines of a panic, of a deadlock, frames of gopark)
    "none": (0, 0, False),
    "single": (1, 2, False),
    "all": (3, 2, False),
    "system": (3, 2, True),
}


@pytest.mark.parametrize("level", LEVELS)
def test_how_much_a_report_shows(level):
    """Go: GOTRACEBACK; what real Go shows at each level, offsets and helpers aside."""
    of_panic, of_deadlock, system = LEVELS[level]
    for env, head, count in (
        ({"CRASH": "1"}, "panic: ValueError: oops\n", of_panic),
        ({}, ASLEEP, of_deadlock),
    ):
        ended = prog("TracebackLevel", GOTRACEBACK=level, **env)
        assert (ended.stdout, ended.status) == ("", 2)
        assert ended.stderr.startswith(head)
        dump = stacks(ended.stderr)
        assert len(goroutines(dump) if dump else []) == count
        assert ("gopark._runtime." in dump) == system
        assert count or ended.stderr == head


# --- where else it goes ------------------------------------------------------------------------


@pytest.mark.go("runtime/debug", "TestSetCrashOutput")
def test_set_crash_output(tmp_path):
    """The report goes to both, what the program prints to stderr alone."""
    file = tmp_path / "crash"
    ended = prog("SetCrashOutput", CRASHOUTPUT=str(file))
    assert ended.status == 2
    report = file.read_text()
    assert report.startswith("panic: ValueError: oops\n\ngoroutine ")
    assert goroutines(stacks(report))[0].functions == ["oops"]
    assert ended.stderr == f"hello\n{report}"


@pytest.mark.go("runtime/debug", "ExampleSetCrashOutput_monitor")
@pytest.mark.parametrize("crash", [True, False])
def test_example_set_crash_output_monitor(tmp_path, crash):
    file = tmp_path / "crash"
    ended = prog("CrashMonitor", CRASHOUTPUT=str(file), **({"CRASH": "1"} if crash else {}))
    if not crash:
        assert ended == Ended("", "hello\n", 0)
        assert not file.exists()
        return
    report = file.read_text()
    assert report.startswith("panic: ValueError: oops\n\ngoroutine ")
    assert ended == Ended("", f"hello\n{report}monitor: saved crash report\n", 2)


# --- what hangs --------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestFinalizerOrCleanupDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "FinalizerDeadlock")
@pytest.mark.parametrize("look", ["panic", "stack"])
def test_finalizer_deadlock(look):
    """An async generator that is closed by a goroutine of its own: that shows, with no creator."""
    seen = _hanging("FinalizerDeadlock", look, "numbers")
    assert seen.what == "select (no cases)"
    assert seen.creator is None


@pytest.mark.go("runtime", "TestFinalizerOrCleanupDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "CleanupDeadlock")
@pytest.mark.parametrize("look", ["panic", "stack"])
def test_cleanup_deadlock(look):
    """A cleanup runs where the object was let go; the function that runs it shows as well."""
    seen = _hanging("CleanupDeadlock", look, "cleanup")
    assert seen.what == "select (no cases)"
    assert "weakref.finalize.__call__" in [f.function for f in seen.frames]


@pytest.mark.go("runtime", "TestFinalizerOrCleanupDeadlock")
@pytest.mark.parametrize("program", ["FinalizerDeadlock", "CleanupDeadlock"])
def test_finalizer_or_cleanup_deadlock(program):
    """Whichever it is, exactly one goroutine hangs in it."""
    _hanging(program, "stack", {"F": "numbers", "C": "cleanup"}[program[0]])


def _hanging(program: str, look: str, function: str):
    ended = prog(program, LOOK=look, GOTRACEBACK="all")
    dump = ended.stdout if look == "stack" else stacks(ended.stderr)
    assert ended.status == (0 if look == "stack" else 2)
    (seen,) = (g for g in goroutines(dump) if g.functions[:1] == [function])
    return seen


@pytest.mark.go("runtime", "TestCrashDumpsAllThreads")
@pytest.mark.go("runtime/testdata/testprog", "CrashDumpsAllThreads")
@pytest.mark.parametrize("level", ["single", "crash"])
def test_crash_dumps_all_threads(level):
    """SIGQUIT shows all goroutines, those that compute on threads of their own included."""
    child = start("testprog", "CrashDumpsAllThreads", env={"GOTRACEBACK": level})
    child.expect("ready")
    os.kill(child.pid, signal.SIGQUIT)
    ended = child.end()
    assert ended.status == (2 if level == "single" else -signal.SIGABRT)
    head, _, dump = ended.stderr.partition("\n\n")
    assert head == "SIGQUIT: quit"
    dump = dump.partition("Fatal Python error: Aborted")[0].rstrip("\n") + "\n"
    main, *spinning = goroutines(dump)
    assert (main.goid, main.what) == (1, "select (no cases)")
    assert [g.what for g in spinning] == ["running"] * 4
    if FREE_THREADED:
        assert dump.count("running on other thread; stack unavailable") == 4
    else:
        frames = [g.frames[0] for g in spinning]
        assert {f.function for f in frames} == {"stacks.spin"}
        assert all(isinstance(f, Frame) for f in frames)
        assert dump.count("unavailable") == 0


def test_a_handler_of_the_users_for_sigquit_stays_and_the_systems_comes_back():
    child = start("testprog", "QuitHandled")
    child.expect("ready")
    os.kill(child.pid, signal.SIGQUIT)
    assert child.end() == Ended("True\nready\nhandled\n", "", 0)


def test_the_stacks_of_a_report_are_left_out_at_level_none_whatever_the_value_says():
    """An empty line in a value is indented, as every line of it, and ends nothing."""
    ended = prog("StringPanic", GOTRACEBACK="none")
    assert ended == Ended("", "panic: RuntimeError: important multi-line\n\tstring message\n", 2)
    assert not re.search("goroutine", ended.stderr)
