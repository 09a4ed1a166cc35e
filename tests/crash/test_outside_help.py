"""A program is not dead while somebody outside may wake it."""

import signal

import pytest

from harness import Ended, run, start

ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"


@pytest.mark.parametrize("name", ["FirstCallbackExport", "FirstCallback"])
def test_a_program_that_waits_for_its_first_callback_gets_it(name):
    assert run("testprogcgo", name, libs=["thread"]) == Ended("7\n", "", 0)


def test_a_program_that_waits_for_a_callback_that_never_comes_is_left_alone():
    child = start("testprogcgo", "WaitsForCallback")
    child.expect("waiting")
    child.interrupt()  # the only end it has
    ended = child.end()
    assert ended.status == -signal.SIGINT
    assert "deadlock" not in ended.stderr


def test_a_thread_of_the_user_may_wake_the_program():
    assert run("testprog", "ThreadWakesMain") == Ended("OK\n", "", 0)


@pytest.mark.parametrize(
    ("name", "stdout"),
    [
        ("ThreadEndsThenDeadlock", "thread ends\n"),
        ("ThreadEndsThenDeadlockPlain", "thread ends\n"),
        ("CallbackFreed", "freed\n"),
        ("CallbackFreedByThread", "freed\n"),
        ("StrictDespiteThread", ""),
        ("StrictDespiteCallback", ""),
    ],
)
def test_a_deadlock_is_found_as_soon_as_no_help_can_come(name, stdout):
    """What was printed shows that it was not found before."""
    ended = run("testprog", name)
    assert ended.stdout == stdout
    assert ended.stderr.startswith(ASLEEP + "\ngoroutine 1 [chan receive]:\n")
    assert ended.status == 2
