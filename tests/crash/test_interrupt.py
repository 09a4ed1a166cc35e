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


def test_a_ctrl_c_just_before_all_goroutines_sleep_is_no_deadlock(child):
    """Main is on another thread than run's, mostly: the one that was woken by the signal."""
    ended = child(
        """
import os, signal
import gopark

async def main():
    signals = gopark.Chan(1)
    gopark.signal.notify(signals, signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    await signals.recv()
    gopark.signal.stop(signals)
    os.kill(os.getpid(), signal.SIGINT)
    await gopark.Chan().recv()

for _ in range(20):
    try:
        gopark.run(main)
    except KeyboardInterrupt:
        print("interrupted")
"""
    )
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert ended.stdout == "interrupted\n" * 20
