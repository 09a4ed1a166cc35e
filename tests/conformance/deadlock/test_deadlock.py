"""Programs in which everybody waits. Go: runtime/crash_test.go, testprog/deadlock.go."""

from __future__ import annotations

import re

import pytest

from harness import TESTDATA, Ended, run

ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"
PROGRAMS = TESTDATA / "testprog"


def prog(name: str, **options) -> Ended:
    """Run it; line numbers, which change with each edit of the program, are left out."""
    ended = run("testprog", name, **options)
    report = re.sub(rf"\t{re.escape(str(PROGRAMS))}/(\S+):\d+\n", r"\t\1\n", ended.stderr)
    return ended._replace(stderr=report)


@pytest.mark.go("runtime", "TestSimpleDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "SimpleDeadlock")
def test_simple_deadlock():
    assert prog("SimpleDeadlock") == Ended(
        "",
        f"{ASLEEP}\ngoroutine 1 [select (no cases)]:\n"
        "deadlock.simple_deadlock(...)\n\tdeadlock.py\n",
        2,
    )


@pytest.mark.go("runtime", "TestInitDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "InitDeadlock")
def test_init_deadlock():
    """Python's init is a module's first import; the machinery of importing does not show."""
    assert prog("InitDeadlock") == Ended(
        "",
        f"{ASLEEP}\ngoroutine 1 [select (no cases), locked to thread]:\n"
        "initdeadlock.waits.<module>(...)\n\tinitdeadlock/waits.py\n"
        "deadlock.init_deadlock.main(...)\n\tdeadlock.py\n",
        2,
    )


@pytest.mark.go("runtime", "TestLockedDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "LockedDeadlock")
def test_locked_deadlock():
    assert prog("LockedDeadlock") == Ended(
        "",
        f"{ASLEEP}\ngoroutine 1 [select (no cases), locked to thread]:\n"
        "deadlock.locked_deadlock(...)\n\tdeadlock.py\n",
        2,
    )


@pytest.mark.go("runtime", "TestLockedDeadlock2")
@pytest.mark.go("runtime/testdata/testprog", "LockedDeadlock2")
@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_locked_deadlock2(procs):
    ended = prog("LockedDeadlock2", env={"GOMAXPROCS": procs})
    second = re.search(r"^goroutine ([0-9]+) .*locked", ended.stderr, re.M)
    assert second is not None
    assert second[1] != "1"
    assert ended == Ended(
        "",
        f"{ASLEEP}\ngoroutine 1 [select (no cases)]:\n"
        "deadlock.locked_deadlock_2(...)\n\tdeadlock.py\n\n"
        f"goroutine {second[1]} [select (no cases), locked to thread]:\n"
        "deadlock.locked_deadlock_2.locked(...)\n\tdeadlock.py\n"
        "created by deadlock.locked_deadlock_2 in goroutine 1\n\tdeadlock.py\n",
        2,
    )
