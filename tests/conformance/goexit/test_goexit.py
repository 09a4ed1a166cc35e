"""goexit: what unwinds, what it does to a panic, and programs that main has left.

A deferred function is a `finally` block or a callback of an ExitStack; `recover()` is
`except Exception`. Go: runtime/crash_test.go, callers_test.go, stack_test.go.
"""

import functools
import re
import sys

import pytest

import gopark
from gopark import Chan
from harness import TESTDATA, Ended
from harness import run as run_program

NO_GOROUTINES = "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"
ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"
FILE = str(TESTDATA / "testprog" / "goexit.py")


@functools.cache
def prog(name: str) -> Ended:
    """What the program leaves; two rows about one program run it once."""
    return run_program("testprog", name)


# --- programs that main has left ---------------------------------------------------------


@pytest.mark.go("runtime", "TestGoexitDeadlock")
@pytest.mark.go("runtime/testdata/testprog", "GoexitDeadlock")
def test_goexit_deadlock():
    """The message alone, without a stack."""
    assert prog("GoexitDeadlock") == Ended("", NO_GOROUTINES, 2)


def test_goexit_deadlock__plain():
    assert prog("GoexitPlainMain") == Ended("worked\n", NO_GOROUTINES, 2)


def test_goexit_deadlock__others_are_asleep():
    ended = prog("GoexitOthersWait")
    assert ended.status == 2
    assert ended.stderr.startswith(ASLEEP + "\ngoroutine ")
    assert ended.stderr.count("[chan receive]:") == 1
    assert "goroutine 1 [" not in ended.stderr


@pytest.mark.go("runtime", "TestGoexitCrash")
def test_goexit_crash():
    ended = prog("GoexitExit")
    assert (ended.stdout, ended.status) == ("finalised\n", 2)
    assert ended.stderr.endswith("\n" + NO_GOROUTINES)


@pytest.mark.go("runtime/testdata/testprog", "GoexitExit")
def test_goexit_exit():
    assert prog("GoexitExit").stderr == "t1\nt2\nt3\nt4\n" + NO_GOROUTINES


# --- goexit and panics -------------------------------------------------------------------


@pytest.mark.go("runtime", "TestGoexitInPanic")
@pytest.mark.go("runtime/testdata/testprog", "GoexitInPanic")
def test_goexit_in_panic():
    assert prog("GoexitInPanic") == Ended("", NO_GOROUTINES, 2)


@pytest.mark.go("runtime", "TestPanicAfterGoexit")
@pytest.mark.go("runtime/testdata/testprog", "PanicAfterGoexit")
def test_panic_after_goexit():
    """The trace shows the cleanup that failed, then goexit, then who called that."""
    ended = prog("PanicAfterGoexit")
    report = re.sub(r"\t(\S+):\d+\n", lambda m: "\tFILE\n" if m[1] == FILE else "", ended.stderr)
    assert re.sub(r"^goroutine \d+", "goroutine N", report, flags=re.M) == (
        "panic: RuntimeError: hello\n\ngoroutine N [running]:\n"
        "goexit.hello(...)\n\tFILE\n"
        "goexit.panic_after_goexit.leave(...)\n\tFILE\n"
        "gopark.goexit(...)\n"
        "goexit.panic_after_goexit.leave(...)\n\tFILE\n"
        "created by goexit.panic_after_goexit in goroutine 1\n\tFILE\n"
    )
    assert (ended.stdout, ended.status) == ("", 2)


def test_panic_after_goexit__of_main_goes_to_the_caller_of_run(run, capsys):
    async def main():
        try:
            gopark.goexit()
        finally:
            raise RuntimeError("hello")

    with pytest.raises(RuntimeError, match="hello"):
        run(main)
    assert capsys.readouterr().err == ""


@pytest.mark.go("runtime", "TestRecoveredPanicAfterGoexit")
@pytest.mark.go("runtime/testdata/testprog", "RecoveredPanicAfterGoexit")
def test_recovered_panic_after_goexit():
    assert prog("RecoveredPanicAfterGoexit") == Ended("recovered hello\n", NO_GOROUTINES, 2)


@pytest.mark.go("runtime", "TestRecoverBeforePanicAfterGoexit")
@pytest.mark.go("runtime/testdata/testprog", "RecoverBeforePanicAfterGoexit")
def test_recover_before_panic_after_goexit():
    assert prog("RecoverBeforePanicAfterGoexit") == Ended("recovered hello\n", NO_GOROUTINES, 2)


@pytest.mark.go("runtime", "TestRecoverBeforePanicAfterGoexit2")
@pytest.mark.go("runtime/testdata/testprog", "RecoverBeforePanicAfterGoexit2")
def test_recover_before_panic_after_goexit2():
    assert prog("RecoverBeforePanicAfterGoexit2") == Ended("recovered hello\n", NO_GOROUTINES, 2)


def test_recover_before_panic_after_goexit2__frames_away():
    assert prog("RecoverFramesAwayAfterGoexit") == Ended("recovered hello\n", NO_GOROUTINES, 2)


# --- what runs on the way out ------------------------------------------------------------


@pytest.mark.go("runtime", "TestGoexitDefer")
@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("plain", [False, True])
async def test_goexit_defer(plain):
    """Cleanups run, the last one first, and there is no panic for them to recover."""
    log, done = [], Chan()

    def cleanup(n):
        recovered = isinstance(sys.exc_info()[1], Exception)
        log.append((n, recovered))

    async def leaves():
        try:
            try:
                gopark.goexit()
            except Exception as error:
                log.append(error)
            finally:
                await gopark.gosched()
                cleanup(1)
            log.append("went on")
        finally:
            cleanup(2)
            done.close()

    gopark.go((lambda: gopark.block(leaves())) if plain else leaves)
    await done.recv()
    await gopark.testing.wait_all_parked()
    assert log == [(1, False), (2, False)]
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.go("runtime", "TestDeferPtrsGoexit")
@pytest.mark.usefixtures("procs")
async def test_defer_ptrs_goexit():
    """Under 1 to 100 frames; the cleanup has the variables it was made with."""

    async def deep(depth):
        if depth:
            await deep(depth - 1)
        gopark.goexit()

    for depth in range(1, 100, 7):
        done = Chan(1)

        async def leaves(done=done, depth=depth):
            y = 0
            big = (depth,) * 128
            try:
                try:
                    await deep(depth)
                finally:
                    await gopark.gosched()
                    y = 42
            finally:
                done.try_send((y, big[127]))

        gopark.go(leaves)
        assert await done.recv() == (42, depth)
