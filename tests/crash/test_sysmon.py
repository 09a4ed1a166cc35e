"""Ends, reports, Ctrl-C and forks around goroutines that block or compute without their P."""

import os
import re

import pytest

from harness import Ended, run, start

procs = pytest.mark.parametrize("procs", ["1", "2"])


@procs
@pytest.mark.parametrize("name", ["DeadlockAfterBlocking", "DeadlockAfterComputing"])
def test_a_deadlock_is_reported_once_nobody_blocks_or_computes_any_more(name, procs):
    """And no sooner: whoever does may still wake the others. sysmon's thread is no help."""
    ended = run("testprog", name, env={"GOMAXPROCS": procs})
    assert ended.stdout == "back\nback\n"
    assert ended.stderr.startswith(
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n"
    )
    assert ended.stderr.count("goroutine ") == 1
    assert ended.status == 2


@procs
@pytest.mark.parametrize("name", ["PanicAfterBlocking", "PanicAfterComputing"])
def test_a_panic_without_a_p_is_reported_like_any_other(name, procs):
    ended = run("testprog", name, env={"GOMAXPROCS": procs})
    assert ended.stderr.startswith("panic: ValueError: late\n\ngoroutine 2 [running]:\nsysmon.")
    assert ".fails(...)\n" in ended.stderr
    assert (ended.stdout, ended.status) == ("", 2)


@procs
def test_a_panic_ends_the_process_though_others_block_and_compute(procs):
    ended = run("testprog", "PanicBesideBlocked", env={"GOMAXPROCS": procs})
    assert re.match(r"panic: ValueError: beside\n\ngoroutine 6 \[running\]:\n", ended.stderr)
    assert (ended.stdout, ended.status) == ("", 2)


@procs
@pytest.mark.parametrize("name", ["SysExitBesideBlocked", "SysExitAfterBlocking"])
def test_sys_exit_ends_the_program_with_its_status(name, procs):
    assert run("testprog", name, env={"GOMAXPROCS": procs}) == Ended("", "", 5)


@procs
@pytest.mark.parametrize(
    "name", ["GoexitAfterBlocking", "MainReturnsBesideBlocked", "ExitBesideBlocked"]
)
def test_a_program_ends_quietly_though_others_block_and_compute(name, procs):
    assert run("testprog", name, env={"GOMAXPROCS": procs}) == Ended("OK\n", "", 0)


@procs
def test_an_exception_of_main_that_has_lost_its_p_passes_through(procs):
    ended = run("testprog", "MainRaisesAfterBlocking", env={"GOMAXPROCS": procs})
    assert ended == Ended("'async'\n'plain'\n", "", 0)


@pytest.mark.parametrize(
    "name",
    [
        "InterruptMainThatBlocksWithoutP",
        "InterruptMainThatComputesWithoutP",
        "InterruptWhileTheMainThreadBlocks",
        "InterruptWhileTheMainThreadComputes",
    ],
)
def test_ctrl_c_is_one_keyboard_interrupt_in_main_whoever_has_the_p(name):
    child = start("testprog", name, env={"GOMAXPROCS": "1"})
    child.expect("ready")
    child.interrupt()
    assert child.end() == Ended("ready\ninterrupted 1\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(("name", "generations"), [("ForkAwake", 1), ("ForkAsleep", 2)])
def test_the_child_of_a_fork_has_a_sysmon_of_its_own(name, generations):
    ended = run("testprog", name, env={"GOMAXPROCS": "1"})
    each = "child: main is goroutine 1\nchild: others went on\n"
    assert ended == Ended(each * generations, "", 0)


@procs
@pytest.mark.parametrize(
    ("name", "limit"), [("TooManyThreads", 20), ("MaxThreadsBelowTheirNumber", 5)]
)
def test_a_program_with_more_threads_than_allowed_dies_in_gos_words(name, limit, procs):
    """Go: checkmcount; debug.SetMaxThreads. Real Go is asked in tests/conformance."""
    ended = run("testprog", name, env={"GOMAXPROCS": procs})
    assert ended.stderr.startswith(
        f"runtime: program exceeds {limit}-thread limit\nfatal error: thread exhaustion\n"
    )
    assert (ended.stdout, ended.status) == ("", 2)
