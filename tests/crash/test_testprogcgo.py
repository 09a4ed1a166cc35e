"""C threads that call in, seen from outside. Go: runtime/crash_cgo_test.go."""

import platform
import sys

import pytest

from harness import TESTDATA, Ended, run, run_python

OK = Ended("OK\n", "", 0)

gated = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="late callbacks are held off on 64-bit x86 Linux only",
)


def cgo(name: str, *libs: str, **options) -> Ended:
    return run("testprogcgo", name, libs=libs or ["thread"], **options)


# --- counts and Ms -----------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoNumGoroutine")
@pytest.mark.go("runtime/testdata/testprogcgo", "NumGoroutine")
def test_cgo_num_goroutine():
    """A C thread is counted and dumped only while it is inside."""
    assert cgo("NumGoroutine") == OK


@pytest.mark.go("runtime", "TestCgoNumGoroutine")
def test_cgo_num_goroutine__no_run():
    """The same where nobody called `run`."""
    assert cgo("NumGoroutineNoRun") == OK


@pytest.mark.go("runtime", "TestCgoNumGoroutine")
def test_cgo_num_goroutine__cffi_abi():
    """The seed's program in cffi's ABI mode, with `ffi.callback`."""
    pytest.importorskip("cffi", reason="cffi is not installed")
    assert cgo("NumGoroutineCffiABI") == OK


@pytest.mark.go("runtime", "TestCgoNumGoroutine")
def test_cgo_num_goroutine__cffi_api():
    """The seed's program in cffi's API mode, with an extension module built for it."""
    assert cgo("NumGoroutineCffiAPI", cffi="testcffi") == OK


@pytest.mark.go("runtime", "TestEnsureBindM")
@pytest.mark.go("runtime/testdata/testprogcgo", "EnsureBindM")
def test_ensure_bind_m():
    """A C thread has one M as long as it lives."""
    assert cgo("EnsureBindM") == OK


@pytest.mark.go("runtime", "TestEnsureDropM")
@pytest.mark.go("runtime/testdata/testprogcgo", "EnsureDropM")
def test_ensure_drop_m():
    """The M of a C thread that has ended goes to the next one."""
    assert cgo("EnsureDropM") == OK


# --- inside a callback -------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoCallbackGC")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoCallbackGC")
def test_cgo_callback_gc():
    """Nothing of a callback is held when it is over, and no extra M is in use."""
    assert cgo("CgoCallbackGC") == OK


def test_a_callback_inside_a_callback_is_the_same_goroutine():
    assert cgo("NestedCallback") == OK


def test_an_async_callback_uses_channels_on_the_c_thread():
    assert cgo("AsyncCallback") == OK


def test_a_callback_selects_with_a_timeout_while_main_is_in_c():
    assert cgo("CallbackSelectTimeout") == OK


# --- signals, threads --------------------------------------------------------------------


@pytest.mark.go("runtime", "TestNeedmDeadlock")
@pytest.mark.go("runtime/testdata/testprogcgo", "NeedmDeadlock")
def test_needm_deadlock():
    """A signal during the first callback of a thread does not hang it."""
    assert cgo("NeedmDeadlock", "needmdeadlock") == OK


@pytest.mark.go("runtime", "TestEINTR")
@pytest.mark.go("runtime/testdata/testprogcgo", "EINTR")
def test_eintr():
    """Interrupted system calls are finished."""
    assert cgo("EINTR") == OK


@pytest.mark.go("runtime/testdata/testprogcgo", "Block")
def test_block():
    """What the program above starts as a child; its input here is closed from the beginning."""
    assert cgo("Block") == Ended("", "", 0)


@pytest.mark.go("runtime/testdata/testprogcgo", "main (dispatcher)")
def test_main():
    main = str(TESTDATA / "testprogcgo" / "main.py")
    assert run_python([main]) == Ended("", f"usage: {main} name-of-program\n", 0)
    assert run_python([main, "Nobody"]) == Ended("", "unknown function: Nobody\n", 0)


@pytest.mark.go("runtime", "TestCgoLockOSThreadExit")
@pytest.mark.go("runtime/testdata/testprogcgo", "LockOSThreadMain")
@pytest.mark.go("runtime", "TestLockOSThreadExit")
@pytest.mark.go("runtime/testdata/testprog", "LockOSThreadMain")
def test_lock_os_thread_main():
    """A locked goroutine that ends takes its thread, and main moves to another."""
    assert cgo("LockOSThreadMain", env={"GOMAXPROCS": "1"}) == OK


@pytest.mark.go("runtime", "TestCgoLockOSThreadExit")
@pytest.mark.go("runtime/testdata/testprogcgo", "LockOSThreadAlt")
@pytest.mark.go("runtime", "TestLockOSThreadExit")
@pytest.mark.go("runtime/testdata/testprog", "LockOSThreadAlt")
@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_lock_os_thread_alt(procs):
    """The thread of a goroutine that ended locked is gone."""
    assert cgo("LockOSThreadAlt", env={"GOMAXPROCS": procs}) == OK


# --- panics ------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoExternalThreadPanic")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoExternalThreadPanic")
def test_cgo_external_thread_panic():
    """A panic on a C thread ends the process with its report."""
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


@pytest.mark.go("runtime", "TestCgoPanicDeadlock")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoPanicDeadlock")
def test_cgo_panic_deadlock():
    """A panic whose text needs C is printed."""
    ended = cgo("CgoPanicDeadlock", "errortext")
    assert ended.status == 2
    assert ended.stderr.startswith("panic: panic.CgoError: cgo error\n\ngoroutine ")


@pytest.mark.go("runtime", "TestCgoToGoCallGoexit")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoToGoCallGoexit")
def test_cgo_to_go_call_goexit():
    """A goroutine on a C thread cannot end before its caller."""
    ended = cgo("CgoToGoCallGoexit")
    message = "runtime.Goexit called in a thread that was not created by the Go runtime"
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"fatal error: {message}\n\ngoroutine ")
    assert "[running, locked to thread]:\n" in ended.stderr


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


@pytest.mark.go("runtime", "TestDestructorCallback")
@pytest.mark.go("runtime/testdata/testprogcgo", "DestructorCallback")
@gated
@pytest.mark.parametrize("name", ["DestructorCallback", "DestructorCallbackUsed"])
def test_destructor_callback(name):
    """A destructor of a library may call back at the very end."""
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


@pytest.mark.parametrize("name", ["JoinedAtExit", "JoinedAtExitUnwrapped", "JoinedAtExitLocked"])
def test_a_library_that_joins_its_thread_at_exit_gets_it_back(name):
    """Its callback waits for what will never be: it is told that the program has ended."""
    assert_quiet_end(cgo(name))


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3),
    reason="no new thread as Python exits: gh-113964, mended in 3.12.3",
)
def test_callbacks_that_wait_at_exit_are_served_as_long_as_somebody_does():
    assert_quiet_end(cgo("ServedAtExit"))
