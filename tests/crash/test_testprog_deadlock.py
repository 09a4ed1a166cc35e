"""Deadlock and goexit reports, byte for byte. Go: runtime/crash_test.go."""

import re

import pytest

from harness import TESTDATA, Ended, run

ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"
FILE = str(TESTDATA / "testprog" / "deadlock.py")


def prog(name: str, **options) -> Ended:
    return run("testprog", name, **options)


def shape(report: str) -> str:
    """A report without what changes with each edit of the program: line numbers."""
    return re.sub(rf"\t{re.escape(FILE)}:\d+\n", "\tFILE\n", report)


# --- deadlock ----------------------------------------------------------------------------


def test_a_plain_main_that_waits_for_ever_is_a_deadlock():
    ended = prog("PlainDeadlock")
    stack = "\ngoroutine 1 [chan receive]:\ndeadlock.plain_deadlock(...)\n\tFILE\n"
    assert ended._replace(stderr=shape(ended.stderr)) == Ended("", ASLEEP + stack, 2)


@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_a_deadlock_report_lists_every_goroutine_with_its_own_reason(procs):
    ended = prog("MixedDeadlock", env={"GOMAXPROCS": procs})
    assert ended.status == 2
    stacks = ended.stderr.removeprefix(ASLEEP + "\n").split("\n\n")
    reasons = sorted(re.match(r"goroutine \d+ (.*):", stack)[1] for stack in stacks)
    assert reasons == ["[chan receive]", "[chan send]", "[select]"]
    functions = sorted(stack.splitlines()[1] for stack in stacks)
    assert functions == [
        "deadlock.mixed_deadlock(...)",
        "deadlock.mixed_deadlock.plain(...)",
        "deadlock.mixed_deadlock.sender(...)",
    ]


def test_a_sleeper_keeps_the_program_alive_until_it_is_done():
    ended = prog("DeadlockAfterSleep")
    assert ended.stdout == "slept\n"
    assert ended.stderr.startswith(ASLEEP)
    assert ended.status == 2


def test_a_deadlock_can_be_caught_and_another_program_run():
    ended = prog("DeadlockCaught")
    assert ended.stdout == ASLEEP + "alive\n"
    assert ended.stderr.startswith(ASLEEP)
    assert ended.status == 0
