"""C threads that call in, seen from outside. Go: runtime/crash_cgo_test.go."""

import platform
import sys

import pytest

from harness import Ended, run

OK = Ended("OK\n", "", 0)

gated = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="late callbacks are held off on 64-bit x86 Linux only",
)


def cgo(name: str, *libs: str, **options) -> Ended:
    return run("testprogcgo", name, libs=libs or ["thread"], **options)


# --- counts and Ms -----------------------------------------------------------------------


def test_a_c_thread_is_counted_and_dumped_only_while_it_is_inside():
    """Go: TestCgoNumGoroutine."""
    assert cgo("NumGoroutine") == OK


def test_a_c_thread_is_counted_where_nobody_called_run():
    assert cgo("NumGoroutineNoRun") == OK


def test_a_cffi_callback_counts_as_one_of_ctypes_does():
    """The seed's program in cffi's ABI mode, with `ffi.callback`."""
    pytest.importorskip("cffi", reason="cffi is not installed")
    assert cgo("NumGoroutineCffiABI") == OK


def test_a_cffi_def_extern_counts_as_one_of_ctypes_does():
    """The seed's program in cffi's API mode, with an extension module built for it."""
    assert cgo("NumGoroutineCffiAPI", cffi="testcffi") == OK


def test_a_c_thread_has_one_m_as_long_as_it_lives():
    """Go: TestEnsureBindM."""
    assert cgo("EnsureBindM") == OK


def test_the_m_of_an_ended_c_thread_goes_to_the_next_one():
    """Go: TestEnsureDropM."""
    assert cgo("EnsureDropM") == OK


# --- inside a callback -------------------------------------------------------------------


def test_nothing_of_a_callback_is_held_when_it_is_over():
    """Go: TestCgoCallbackGC."""
    assert cgo("CgoCallbackGC") == OK


def test_a_callback_inside_a_callback_is_the_same_goroutine():
    assert cgo("NestedCallback") == OK


def test_an_async_callback_uses_channels_on_the_c_thread():
    assert cgo("AsyncCallback") == OK


def test_a_callback_selects_with_a_timeout_while_main_is_in_c():
    assert cgo("CallbackSelectTimeout") == OK


# --- signals, threads --------------------------------------------------------------------


def test_a_signal_during_the_first_callback_of_a_thread_does_not_hang_it():
    """Go: TestNeedmDeadlock."""
    assert cgo("NeedmDeadlock", "needmdeadlock") == OK


def test_interrupted_system_calls_are_finished():
    """Go: TestEINTR."""
    assert cgo("EINTR") == OK


def test_a_locked_goroutine_that_ends_takes_its_thread_but_not_main():
    """Go: TestCgoLockOSThreadExit, LockOSThreadMain."""
    assert cgo("LockOSThreadMain", env={"GOMAXPROCS": "1"}) == OK


@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_the_thread_of_a_goroutine_that_ended_locked_is_gone(procs):
    """Go: TestCgoLockOSThreadExit, LockOSThreadAlt."""
    assert cgo("LockOSThreadAlt", env={"GOMAXPROCS": procs}) == OK


# --- panics ------------------------------------------------------------------------------


def test_a_panic_on_a_c_thread_ends_the_process_with_its_report():
    """Go: TestCgoExternalThreadPanic."""
    ended = cgo("CgoExternalThreadPanic")
    assert ended.status == 2
    lines = ended.stderr.splitlines()
    assert lines[:2] == ["panic: RuntimeError: BOOM", ""]
    assert lines[2].startswith("goroutine ")
    assert lines[2].endswith(" [running, locked to thread]:")
    assert lines[3] == "panic.boom(...)"
    assert len(lines) == 5, "no runtime frames, no creator, no Python traceback"


def test_a_panic_on_a_c_thread_without_run_ends_the_process():
    ended = cgo("PanicNoRun")
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("panic: RuntimeError: BOOM\n\ngoroutine ")


def test_a_panic_whose_text_needs_c_is_printed():
    """Go: TestCgoPanicDeadlock."""
    ended = cgo("CgoPanicDeadlock", "errortext")
    assert ended.status == 2
    assert ended.stderr.startswith("panic: panic.CgoError: cgo error\n\ngoroutine ")


def test_goexit_on_a_c_thread_is_fatal():
    """Go: TestCgoToGoCallGoexit."""
    ended = cgo("CgoToGoCallGoexit")
    message = "runtime.Goexit called in a thread that was not created by the Go runtime"
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"fatal error: {message}\n")


def test_sys_exit_on_a_c_thread_ends_the_program_with_its_status():
    """Go: os.Exit in an exported function."""
    assert cgo("CallbackSysExit") == Ended("", "", 3)


# --- ends --------------------------------------------------------------------------------


def assert_quiet_end(ended: Ended) -> None:
    """What was printed, status 0, and on stderr the one report that a late call may cause."""
    assert ended.stdout == "OK\n"
    assert ended.status == 0, ended.stderr
    assert len(ended.stderr.splitlines()) <= 1, ended.stderr
    if ended.stderr:
        assert "came in while the interpreter exits" in ended.stderr


@gated
@pytest.mark.parametrize("name", ["DestructorCallback", "DestructorCallbackUsed"])
def test_a_library_destructor_may_call_back(name):
    """Go: TestDestructorCallback."""
    assert_quiet_end(cgo(name, "destructor", "thread"))


def test_a_callback_that_waits_when_main_returns_gives_the_thread_back_to_c():
    assert cgo("ParkedCallbackAtEnd") == OK


def test_callbacks_that_wait_when_the_process_ends_do_not_hold_it():
    assert_quiet_end(cgo("ParkedCallbackAtExit"))


def test_a_c_thread_may_call_after_the_end_of_run():
    assert_quiet_end(cgo("CallsAfterRun"))


@gated
@pytest.mark.parametrize("name", ["CallsWhileExiting", "CallsWhileExitingNoRun"])
@pytest.mark.parametrize("attempt", range(3))
def test_c_threads_that_call_while_the_interpreter_exits_do_no_harm(name, attempt):
    assert_quiet_end(cgo(name))
