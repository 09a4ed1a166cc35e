"""Programs that hang, each in another way; they print `ready` before they do."""

import ctypes
import fcntl
import io
import os
import signal
import sys
import termios
import threading
import time
import warnings

import gopark
from registry import library, register, threads_run


async def waits() -> None:
    await gopark.Chan().recv()


async def others() -> None:
    for _ in range(2):
        gopark.go(waits)
    await gopark.testing.wait_all_parked()


def ready() -> None:
    print("ready", flush=True)


@register("StuckSpin")
async def stuck_spin() -> None:
    """Main computes in C, which has given the GIL back; the signal leaves it cold."""
    await others()
    library("stuck").spin()


@register("StuckSleep")
def stuck_sleep() -> None:
    gopark.block(others())
    library("stuck").sleep_on()


@register("StuckCall")
async def stuck_call() -> None:
    await others()
    gopark.cgo.call(library("stuck").sleep_on)


@register("StuckNotify")
async def stuck_notify() -> None:
    """The pipe of `gopark.signal` stands in front."""
    quits = gopark.Chan(1)
    gopark.signal.notify(quits, signal.SIGUSR1)
    await others()
    library("stuck").sleep_on()


@register("StuckBusy")
async def stuck_busy() -> None:
    """Every M computes in Python, main too, and main catches whatever is raised in it."""
    gopark.runtime.gomaxprocs(2)
    await others()

    running = threading.Event()

    def forever() -> None:
        running.set()
        while True:
            pass

    gopark.go(forever)
    gopark.cgo.call(running.wait)
    ready()
    while True:
        try:
            forever()
        except BaseException:
            pass


@register("StuckStdout")
async def stuck_stdout() -> None:
    """Main holds the lock of stdout for ever: the pipe behind it is full."""
    await others()
    r, w = os.pipe()
    full = fcntl.fcntl(w, fcntl.F_GETPIPE_SZ)

    def watch() -> None:
        while int.from_bytes(fcntl.ioctl(r, termios.FIONREAD, bytes(4)), sys.byteorder) < full:
            time.sleep(0.001)
        os.write(1, b"ready\n")

    threading.Thread(target=watch, daemon=True).start()
    sys.stdout = open(w, "w")  # noqa: SIM115 - it stays open for as long as there is a process
    sys.stdout.write("x" * (2 * (full + io.DEFAULT_BUFFER_SIZE)))  # the pipe is behind a buffer


@register("StuckLock")
async def stuck_lock() -> None:
    """A report is under way and does not come to its end."""
    from gopark._runtime.sched import panic

    await others()
    taken = threading.Event()

    def holds() -> None:
        with panic.panicking():
            taken.set()
            while True:
                time.sleep(1000)

    threading.Thread(target=holds, daemon=True).start()
    taken.wait()
    library("stuck").sleep_on()


@register("StuckReport")
async def stuck_report() -> None:
    """The report itself hangs, or fails."""
    from gopark._runtime.signal import sigquit

    def hangs() -> str:
        while True:
            time.sleep(1000)

    def fails() -> str:
        raise OSError("no")

    sigquit._PATIENCE = 0.2  # type: ignore[misc]
    sigquit.tracebackothers = hangs if os.environ["REPORT"] == "hangs" else fails
    library("stuck").sleep_on()


@register("StuckFork", run=False)
def stuck_fork() -> None:
    """The child of a fork gets a SIGQUIT; only the parent's goroutines are the parent's."""

    async def main() -> None:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            while True:
                time.sleep(1000)
        os.kill(pid, signal.SIGQUIT)
        _, status = os.waitpid(pid, 0)
        print("child ended by", os.WTERMSIG(status) if os.WIFSIGNALED(status) else status)

    warnings.simplefilter("ignore")  # of a fork where there are threads
    gopark.run(main)


@register("StuckWakeup")
async def stuck_wakeup() -> None:
    """The program has set a wake-up descriptor of its own meanwhile; main comes back from C."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    signal.set_wakeup_fd(w)
    await others()
    ready()
    libc = ctypes.CDLL(None)
    while r:
        libc.usleep(1000)


@register("WakeupForwarded", run=False)
def wakeup_forwarded() -> None:
    """Who had set a descriptor before `run` gets what comes meanwhile, and has it back."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    signal.set_wakeup_fd(w)
    signal.signal(signal.SIGUSR1, lambda *_: None)

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        print(gopark.cgo.call(os.read, r, 1) == bytes((signal.SIGUSR1,)))

    gopark.run(main)
    print(signal.set_wakeup_fd(-1) == w)


@register("HoldsGIL")
async def holds_gil() -> None:
    """C that never gives the interpreter back."""
    await others()
    threads_run()
    folder = os.environ["TESTPROG_LIBS"]
    ctypes.PyDLL(os.path.join(folder, "stuck.so")).spin()
