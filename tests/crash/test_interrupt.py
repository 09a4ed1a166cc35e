"""Ctrl-C during `run`: one KeyboardInterrupt in main."""

import signal

import pytest

from harness import Ended, start

ONCE = Ended("ready\ninterrupted 1\n", "", 0)


@pytest.mark.parametrize(
    "name",
    [
        "InterruptParked",
        "InterruptAsleep",
        "InterruptBlocked",
        "InterruptComputing",
        "InterruptTimeSleep",
        "InterruptInC",
        "InterruptYielding",
        "InterruptMovedParked",
        "InterruptMovedComputing",
        "InterruptOutside",
    ],
)
def test_ctrl_c_is_one_keyboard_interrupt_in_main_and_no_one_else(name):
    child = start("testprog", name)
    child.expect("ready")
    child.interrupt()
    assert child.end() == ONCE


def test_each_ctrl_c_is_one_keyboard_interrupt():
    child = start("testprog", "InterruptTwice")
    for _ in range(2):
        child.expect("ready")
        child.interrupt()
    assert child.end() == Ended("ready\nready\ninterrupted 2\n", "", 0)


def test_a_keyboard_interrupt_that_nobody_catches_ends_python_as_always():
    child = start("testprog", "InterruptUncaught")
    child.expect("ready")
    child.interrupt()
    ended = child.end()
    assert ended.stdout == "ready\nfinally\n"
    assert ended.stderr.endswith("\nKeyboardInterrupt\n")
    assert ended.status == -signal.SIGINT
