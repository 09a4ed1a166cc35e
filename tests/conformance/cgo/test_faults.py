"""What faults in C, and signals that C handles itself. Go: crash_cgo_test.go, carchive_test.go.

Go turns a fault into a report of its own and ends with status 2. Python leaves faults to the
system and the report to faulthandler; gopark must not be in the way of either.
"""

from __future__ import annotations

import os
import signal
import sys

import pytest

from harness import Ended, run, start

OK = Ended("OK\n", "", 0)
FREE_THREADED = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def faults(name: str, **options) -> Ended:
    return run("testprogcgo", name, libs=["faults"], **options)


def assert_died(ended: Ended, signum: int, report: str, function: str | None) -> None:
    """By this signal, with faulthandler's report, which names who called C, and with no other."""
    assert ended.status == -signum
    assert ended.stderr.startswith(f"Fatal Python error: {report}\n")
    if function is not None:
        assert f" in {function}\n" in ended.stderr
    for word in "runtime: ", "fatal error: ", "panic: ", "goroutine ":
        assert word not in ended.stderr


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoTracebackSigpanic")
@pytest.mark.go("runtime/testdata/testprogcgo", "TracebackSigpanic")
def test_traceback_sigpanic():
    ended = faults("TracebackSigpanic")
    assert_died(ended, signal.SIGSEGV, "Segmentation fault", "traceback_sigpanic")


@pytest.mark.go("runtime", "TestAbortInCgo")
@pytest.mark.go("runtime/testdata/testprogcgo", "Abort")
def test_abort():
    assert_died(faults("Abort"), signal.SIGABRT, "Aborted", "abort")


@pytest.mark.go("runtime", "TestSegv")
@pytest.mark.go("runtime/testdata/testprogcgo", "SegvInCgo")
def test_segv_in_cgo():
    assert_died(faults("SegvInCgo"), signal.SIGSEGV, "Segmentation fault", "segv_in_cgo")


@pytest.mark.go("runtime", "TestSegv")
@pytest.mark.go("runtime/testdata/testprogcgo", "TgkillSegvInCgo")
def test_tgkill_segv_in_cgo():
    ended = faults("TgkillSegvInCgo")
    assert_died(ended, signal.SIGSEGV, "Segmentation fault", "tgkill_segv_in_cgo")


@pytest.mark.go("runtime", "TestCgoExternalThreadSignal")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoExternalThreadSignal")
def test_cgo_external_thread_signal():
    ended = faults("CgoExternalThreadSignal")
    # The thread is none of Python's. Under a GIL the report is of who holds that; else of nobody.
    caller = None if FREE_THREADED else "cgo_external_thread_signal"
    assert_died(ended, signal.SIGSEGV, "Segmentation fault", caller)


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestSignalForwarding")
def test_signal_forwarding():
    """SIGPIPE where nobody ignores it; for a fault see above."""
    assert faults("BrokenPipe") == Ended("", "", -signal.SIGPIPE)


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestSignalForwardingExternal")
def test_signal_forwarding_external():
    child = start("testprogcgo", "WaitsInC", libs=["faults"])
    child.expect("in C")
    os.kill(child.pid, signal.SIGSEGV)
    assert_died(child.end(), signal.SIGSEGV, "Segmentation fault", "waits_in_c")


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestSignalForwardingGo")
def test_signal_forwarding_go():
    """All threads are shown; a dump of goroutines takes Python code, which must not run here."""
    child = start("testprogcgo", "WaitsInPython")
    child.expect("waiting")
    os.kill(child.pid, signal.SIGSEGV)
    assert_died(child.end(), signal.SIGSEGV, "Segmentation fault", "run")


# --- handlers of C ----------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoSigfwd")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoSigfwd")
def test_cgo_sigfwd():
    assert faults("CgoSigfwd") == OK


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestEarlySignalHandler")
@pytest.mark.parametrize("procs", ["1", "8"])
def test_early_signal_handler(procs):
    assert faults("EarlySignalHandler", env={"GOMAXPROCS": procs}) == OK


@pytest.mark.go("cmd/cgo/internal/testcshared", "TestSignalHandlers")
def test_signal_handlers():
    """One that needs much stack, and one that leaves a fault by a jump; loaded before `run`."""
    assert faults("EarlySignalHandler") == OK


@pytest.mark.go("runtime", "TestCatchPanic")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoCatchPanic")
@pytest.mark.parametrize("name", ["CgoCatchPanicEarly", "CgoCatchPanicLate"])
def test_catch_panic(name):
    ended = faults(name, env={"GOTRACEBACK": "crash"})
    assert ended.stdout == "OK\n"
    assert ended.status == 0
    assert ended.stderr.startswith("panic: ValueError: catch me\n\ngoroutine ")


@pytest.mark.go("runtime/testdata/testprogcgo", "CgoCatchPanic")
def test_cgo_catch_panic():
    """Without GOTRACEBACK=crash no signal is raised that C could catch."""
    ended = faults("CgoCatchPanicEarly")
    assert ended.stdout == ""
    assert ended.status == 2
    assert ended.stderr.startswith("panic: ValueError: catch me\n\ngoroutine ")


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestOsSignal")
def test_os_signal():
    assert faults("OsSignal") == OK


@pytest.mark.go("cmd/cgo/internal/testcshared", "TestSignalHandlersWithNotify")
@pytest.mark.parametrize("procs", ["2", "8"])
def test_signal_handlers_with_notify(procs):
    assert faults("OsSignal", env={"GOMAXPROCS": procs}) == OK


# --- masks, processes, ids --------------------------------------------------------------------


@linux
@pytest.mark.go("runtime", "TestCgoExecSignalMask")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoExecSignalMask")
@pytest.mark.parametrize("procs", ["1", "8"])
def test_cgo_exec_signal_mask(procs):
    ended = run("testprogcgo", "CgoExecSignalMask", libs=["cgotest"], env={"GOMAXPROCS": procs})
    assert ended == OK


@linux
def test_what_a_callback_starts_does_not_inherit_the_signal_mask_of_its_thread():
    assert faults("BlockedByC") == OK


@pytest.mark.go("cmd/cgo/internal/test", "TestSigprocmask")
@pytest.mark.parametrize("procs", ["1", "8"])
def test_sigprocmask(procs):
    ended = run("testprogcgo", "Sigprocmask", libs=["cgotest"], env={"GOMAXPROCS": procs})
    assert ended == OK


@pytest.mark.go("cmd/cgo/internal/test", "Test18146")
def test_18146():
    """exec while threads are being made, four times in a row."""
    assert run("testprogcgo", "Exec") == OK


@linux
@pytest.mark.go("cmd/cgo/internal/test", "Test1435")
@pytest.mark.skipif(os.getuid() != 0, reason="only root may change its ids")
def test_1435():
    assert run("testprogcgo", "SetIds", libs=["thread"]) == OK
