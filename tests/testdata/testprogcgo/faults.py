"""Faults in C, and signals whose handlers belong to C.

Python leaves both alone, and so does gopark: what faults in C dies by that signal, with the
report of faulthandler, and what C handles is C's.

Go: testprogcgo (sigpanic.go, segv.go, sigthrow.go, sigfwd.go, catchpanic.go), testcarchive.
"""

import faulthandler
import os
import signal
import sys
import threading
from ctypes import CDLL, CFUNCTYPE, c_int

import gopark
from registry import library, register, threads_run

prototype = CFUNCTYPE(c_int, c_int)


def reports_itself() -> None:
    """The report is of the thread that faults: others run on meanwhile, and the walk through their
    frames may fault itself, before it has come to this one."""
    faulthandler.enable(all_threads=False)
    threads_run()


@register("TracebackSigpanic")
def traceback_sigpanic() -> None:
    reports_itself()
    gopark.cgo.call(library("faults").null_write)


@register("Abort")
def abort() -> None:
    reports_itself()
    gopark.cgo.call(CDLL(None).abort)


@register("CgoExternalThreadSignal")
async def cgo_external_thread_signal() -> None:
    threads_run()
    library("faults").fault_on_thread()


def spins_in_c() -> None:
    do_nothing = library("faults").do_nothing
    while True:
        gopark.cgo.call(do_nothing)


@register("SegvInCgo")
async def segv_in_cgo() -> None:
    gopark.go(spins_in_c)
    reports_itself()
    os.kill(os.getpid(), signal.SIGSEGV)
    gopark.cgo.call(library("faults").pause_in_c)


@register("TgkillSegvInCgo")
async def tgkill_segv_in_cgo() -> None:
    gopark.go(spins_in_c)
    reports_itself()
    signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
    gopark.cgo.call(library("faults").pause_in_c)


@register("WaitsInC")
async def waits_in_c() -> None:
    gopark.go(gopark.time.sleep, 3600)
    threads_run()
    print("in C", flush=True)
    gopark.cgo.call(library("faults").pause_in_c)


@register("WaitsInPython")
async def waits_in_python() -> None:
    gopark.go(gopark.time.sleep, 3600)
    gopark.go(lambda: gopark.block(gopark.time.sleep(3600)))
    await gopark.testing.wait_all_parked()
    threads_run()
    print("waiting", flush=True)
    await gopark.time.sleep(3600)


@register("BrokenPipe")
def broken_pipe() -> None:
    """SIGPIPE as C knows it; Python ignores it from the start."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    gopark.cgo.call(library("faults").write_broken_pipe)


def recovers() -> str:
    try:
        return None.field  # type: ignore[attr-defined]
    except AttributeError:
        return "recovered"


@register("CgoSigfwd", run=False)
def cgo_sigfwd() -> None:
    """C's handler is there before the runtime is."""
    lib = library("faults")
    lib.install_ok(signal.SIGSEGV)

    async def main() -> None:
        assert recovers() == "recovered"
        gopark.cgo.call(lib.null_write)

    gopark.run(main)


@register("EarlySignalHandler", run=False)
def early_signal_handler() -> None:
    """Handlers of C from before work while goroutines run, on every thread."""
    lib = library("faults")
    lib.install_count(signal.SIGIO)
    lib.install_jump(signal.SIGSEGV)
    lib.install_jump(signal.SIGBUS)

    async def locked() -> None:
        gopark.runtime.lock_os_thread()
        await gopark.select()

    async def main() -> None:
        for _ in range(4):
            gopark.go(locked)
        gopark.cgo.call(lib.raise_on_thread, signal.SIGIO)
        os.kill(os.getpid(), signal.SIGIO)
        while lib.counted() < 2:
            await gopark.gosched()
        assert recovers() == "recovered"
        assert gopark.cgo.call(lib.fault_and_jump) == signal.SIGSEGV
        assert recovers() == "recovered"
        assert lib.counted() == 2
        print("OK")

    gopark.run(main)


def catch_me(early: bool) -> None:
    lib = library("faults")
    if early:
        lib.install_ok(signal.SIGABRT)

    async def fails() -> None:
        if not early:
            lib.install_ok(signal.SIGABRT)
        raise ValueError("catch me")

    async def main() -> None:
        gopark.go(fails)
        await gopark.select()

    gopark.run(main)


@register("CgoCatchPanicEarly", run=False)
def cgo_catch_panic_early() -> None:
    catch_me(True)


@register("CgoCatchPanicLate", run=False)
def cgo_catch_panic_late() -> None:
    catch_me(False)


# --- exec, set-id ------------------------------------------------------------------------


@register("Exec")
async def exec_while_threads_start() -> None:
    """The process becomes another while threads begin; that one does the same, some times."""
    left = int(os.environ.setdefault("TESTPROG_EXECS", "3"))
    if left == 0:
        print("OK")
        return
    os.environ["TESTPROG_EXECS"] = str(left - 1)
    gopark.runtime.gomaxprocs(4)

    def computes() -> None:
        while True:
            sum(range(100))

    for _ in range(6):
        gopark.go(computes)
    os.execv(sys.executable, [sys.executable, *sys.argv])


def ids(field: str) -> set[str]:
    """What the kernel says of every thread of this process."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/status") as file:
                lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        except OSError:
            continue  # it has just ended
        found.add(" ".join(lines[field].split()))
    return found


@register("SetIds")
async def set_ids() -> None:
    """What is set in one goroutine holds for all threads: ours, Python's and C's."""
    ch, done, lib = gopark.Chan(), gopark.Chan(), library("thread")
    callback = gopark.cgo.export(prototype)(lambda n: gopark.block(ch.recv()) or 0)
    for _ in range(3):
        lib.start_thread(callback, 0, 1)
    for _ in range(3):
        gopark.go(lambda: gopark.block(ch.recv()))
    while gopark.runtime.num_goroutine() < 7:
        await gopark.gosched()
    await gopark.testing.wait_all_parked()

    def sets() -> None:
        for call, field, want in (
            (lambda: os.setegid(1), "Gid", "0 1 0 1"),
            (lambda: os.setegid(0), "Gid", "0 0 0 0"),
            (lambda: os.setgroups([0, 1, 2, 3]), "Groups", "0 1 2 3"),
            (lambda: os.setgroups([0]), "Groups", "0"),
            (lambda: os.setresgid(0, 102, 101), "Gid", "0 102 101 102"),
            (lambda: os.setresgid(0, 0, 0), "Gid", "0 0 0 0"),
            (lambda: os.setresuid(0, 2, 1), "Uid", "0 2 1 2"),
            (lambda: os.setresuid(0, 0, 0), "Uid", "0 0 0 0"),
        ):
            gopark.cgo.call(call)
            assert ids(field) == {want}, (field, want, ids(field))
        done.close()

    gopark.go(sets)
    await done.recv()
    ch.close()
    print("OK")
