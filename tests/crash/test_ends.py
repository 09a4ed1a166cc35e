"""The end of the interpreter with goroutines left, sys.exit, and the children of a fork.

Goroutines that are left wait an hour in these programs, so one that is waited for shows.
"""

import os

import pytest

from harness import Ended, run, run_python

OK = Ended("OK\n", "", 0)


@pytest.mark.parametrize("name", ["ExitWithGoroutines", "ExitNoRun"])
def test_the_interpreter_exits_silently_with_goroutines_left(name):
    assert run("testprog", name) == OK


def test_goroutines_that_are_left_run_their_finally_blocks():
    assert run("testprog", "ExitFinally") == Ended("closed\nclosed\n", "", 0)


@pytest.mark.parametrize(
    ("name", "stderr", "status"),
    [
        ("SysExitInGoroutine", "", 5),
        ("SysExitInPlainGoroutine", "a reason\n", 1),
        ("SysExitInMain", "", 6),
        ("SysExitNoRun", "", 7),
    ],
)
def test_sys_exit_in_any_goroutine_ends_the_program_with_its_status(name, stderr, status):
    """Go: os.Exit."""
    assert run("testprog", name) == Ended("", stderr, status)


def test_functions_registered_for_the_exit_may_run_a_program():
    assert run("testprog", "AtexitRuns") == Ended("from atexit\n", "", 0)


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@fork
@pytest.mark.parametrize("procs", ["1", "8"])
@pytest.mark.parametrize("name", ["ForkInGoroutine", "ForkAfterRun", "ForkInThread"])
def test_the_child_of_a_fork_has_a_fresh_runtime(name, procs):
    ended = run("testprog", name, env={"GOMAXPROCS": procs})
    assert ended == Ended("child: main is goroutine 1\nOK\n", "", 0)


@fork
def test_a_child_that_comes_back_to_the_scheduler_of_its_parent_is_told():
    ended = run("testprog", "ForkComesBack")
    assert ended.stdout == "child ended with 1\n"
    assert "RuntimeError: a forked child came back to run()" in ended.stderr
    assert ended.status == 0


RAISES = """
import os, warnings
import gopark

warnings.simplefilter("ignore")

def fork():
    pid = os.fork()
    if not pid:
        raise ValueError("of the child")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

async def afork():
    await gopark.gosched()
    return fork()

async def main():
    ends = gopark.Chan(1)
    gopark.go(lambda: ends.try_send(fork()))
    print("go", await ends.recv())
    gopark.go(lambda: gopark.block(gopark.gosched()) or ends.try_send(fork()))
    print("block", await ends.recv())
    print("main", await afork())

gopark.run(main)
"""


PARKS = """
import os, warnings
import gopark

warnings.simplefilter("ignore")

async def main():
    ends = gopark.Chan(1)

    def fork():
        pid = os.fork()
        if pid:
            ends.try_send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return pid

    async def parks():
        if not fork():
            await gopark.Chan().recv()

    gopark.runtime.lock_os_thread()  # others run on other threads
    gopark.go(parks)
    print("ended with", await ends.recv())

gopark.run(main)
"""


@fork
def test_a_child_that_parks_in_its_parents_goroutine_is_told_whatever_its_thread():
    """On a thread of ours it ended with status 0, in silence."""
    ended = run_python(["-c", PARKS], env={"GOMAXPROCS": "8"})
    assert ended.stdout == "ended with 1\n"
    assert "RuntimeError: a forked child came back to " in ended.stderr
    assert ended.status == 0


@fork
@pytest.mark.parametrize("procs", ["1", "8"])
def test_what_a_goroutine_in_the_child_of_a_fork_raises_is_told_whatever_its_thread(procs):
    """On a thread of ours it was lost, with status 0, or the child waited for the main thread."""
    ended = run_python(["-c", RAISES], env={"GOMAXPROCS": procs})
    assert ended.stdout == "go 1\nblock 1\nmain 1\n"
    assert ended.stderr.count("ValueError: of the child") == 3
    assert ended.stderr.count("RuntimeError: a forked child came back to ") == 3
    assert ended.status == 0
