"""`kill -QUIT` of a program that hangs, in whatever way: every goroutine, and status 2."""

from __future__ import annotations

import os
import signal

import pytest

from dumps import goroutines
from gopark._runtime.base.runtime2 import FREETHREADED
from harness import Ended, run, start

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no SIGQUIT here")


def quitted(name: str, libs: tuple[str, ...] = ("stuck",), **env: str) -> Ended:
    """A program that says `ready` and hangs, after a SIGQUIT."""
    child = start("testprogcgo", name, libs=libs, env=env)
    child.expect("ready")
    os.kill(child.pid, signal.SIGQUIT)
    return child.end()


@pytest.mark.parametrize(
    ("name", "main", "function"),
    [
        ("StuckSpin", "running", "stuck_spin"),
        ("StuckSleep", "running", "stuck_sleep"),
        ("StuckCall", "syscall", "stuck_call"),
        ("StuckNotify", "running", "stuck_notify"),
        ("StuckLock", "running", "stuck_lock"),
    ],
)
def test_main_in_c_that_does_not_come_back(name, main, function):
    ended = quitted(name)
    assert (ended.stdout, ended.status) == ("ready\n", 2), ended
    head, _, dump = ended.stderr.partition("\n\n")
    assert head == "SIGQUIT: quit"
    first, *others = goroutines(dump)
    assert (first.goid, first.what) == (1, main)
    if not (FREETHREADED and main == "running"):
        assert first.functions[0] == function
    assert [g.what for g in others if g.functions == ["waits"]] == ["chan receive"] * 2


def test_every_m_busy_and_main_catching_everything():
    ended = quitted("StuckBusy")
    assert ended.status == 2
    dump = goroutines(ended.stderr.partition("\n\n")[2])
    assert sorted(g.what for g in dump) == ["chan receive"] * 2 + ["running"] * 2


def test_main_holding_the_lock_of_a_stdout_that_takes_no_more():
    ended = quitted("StuckStdout", ())
    assert ended.status == 2
    assert ended.stderr.startswith("SIGQUIT: quit\n\ngoroutine 1 [running]:\n")


def test_a_report_that_hangs_is_ended_by_faulthandler_and_one_that_fails_says_so():
    ended = quitted("StuckReport", REPORT="hangs")
    assert ended.status == 1
    assert ended.stderr.startswith("Timeout (0:00:00.2")
    assert "in stuck_report" in ended.stderr
    ended = quitted("StuckReport", REPORT="fails")
    head = "SIGQUIT: quit\n\nno goroutine can be shown: OSError('no')\n"
    assert ended == Ended("ready\n", head, 2)


def test_a_wake_up_descriptor_of_the_programs_own_leaves_the_second_way():
    ended = quitted("StuckWakeup", ())
    assert ended.status == 2
    assert ended.stderr.startswith("SIGQUIT: quit\n\ngoroutine 1 [running]:\n")


def test_who_had_a_wake_up_descriptor_before_run_keeps_hearing_of_signals():
    assert run("testprogcgo", "WakeupForwarded") == Ended("True\nTrue\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_sigquit_for_the_child_of_a_fork_is_not_the_parents():
    ended = run("testprogcgo", "StuckFork")
    assert ended == Ended(f"child ended by {int(signal.SIGQUIT)}\n", "", 0)


@pytest.mark.parametrize(
    ("level", "stacks", "own", "status"),
    [
        ("none", 0, False, 2),
        ("single", 3, False, 2),
        ("all", 3, False, 2),
        ("system", 3, True, 2),
        ("crash", 3, True, -signal.SIGABRT),
    ],
)
def test_gotraceback_says_how_much_is_shown(level, stacks, own, status):
    ended = quitted("StuckCall", GOTRACEBACK=level)
    report = ended.stderr.partition("Fatal Python error")[0]
    assert report.startswith("SIGQUIT: quit\n")
    assert report.count("goroutine ") - report.count("in goroutine ") == stacks
    assert ("/gopark/_runtime/" in report) is own
    assert ended.status == status


def test_c_that_keeps_the_interpreter_to_itself_is_shown_by_sigabrt():
    """Nothing in Python can run; faulthandler, in C, still knows who is where."""
    child = start("testprogcgo", "HoldsGIL", libs=("stuck",))
    child.expect("ready")
    os.kill(child.pid, signal.SIGABRT)
    ended = child.end()
    assert ended.status == -signal.SIGABRT
    assert "in holds_gil" in ended.stderr
