"""The end of a process with goroutines left, and the child of a fork. gopark's own."""

import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable

import gopark
from registry import register


@register("ExitWithGoroutines", run=False)
def exit_with_goroutines() -> None:
    """Main returns while others wait, sleep, compute and sit in C, each kind of goroutine."""
    ch = gopark.Chan()
    started = threading.Semaphore(0)

    def in_time_sleep() -> None:
        started.release()
        time.sleep(3600)

    def in_c() -> None:
        started.release()
        gopark.cgo.call(time.sleep, 3600)

    def computes() -> None:
        started.release()
        while True:
            time.sleep(0)

    def blocks() -> None:
        started.release()
        gopark.block(ch.recv())

    async def waits() -> None:
        started.release()
        await ch.recv()

    async def main() -> None:
        gopark.runtime.gomaxprocs(8)  # those that sit on their P must not keep it from us
        for fn in in_time_sleep, in_c, computes, blocks, waits:
            gopark.go(fn)
        gopark.go(gopark.time.sleep, 3600)
        gopark.time.after(3600)
        for _ in range(5):
            gopark.cgo.call(started.acquire)

    gopark.run(main)
    print("OK")


@register("ExitNoRun", run=False)
def exit_no_run() -> None:
    """The runtime started at first use; the main thread falls off its end."""
    ch = gopark.Chan()
    started = gopark.Chan()

    async def waits() -> None:
        await started.send(True)
        await ch.recv()

    gopark.go(waits)
    gopark.go(gopark.time.sleep, 3600)
    gopark.block(started.recv())
    threading.Thread(target=lambda: gopark.block(ch.recv()), daemon=True).start()
    print("OK")


@register("ExitFinally")
async def exit_finally() -> None:
    """Coroutines that are left are closed: their `finally` blocks run, before `run` returns."""
    ch = gopark.Chan()

    async def waits() -> None:
        try:
            await ch.recv()
        finally:
            sys.stdout.write("closed\n")

    def blocks() -> None:
        try:
            gopark.block(ch.recv())
        finally:
            sys.stdout.write("closed\n")

    gopark.go(waits)
    gopark.go(blocks)
    await gopark.testing.wait_all_parked()


@register("SysExitInGoroutine")
async def sys_exit_in_goroutine() -> None:
    async def leaves() -> None:
        sys.exit(5)

    gopark.go(leaves)
    await gopark.select()


@register("SysExitInPlainGoroutine")
def sys_exit_in_plain_goroutine() -> None:
    gopark.go(sys.exit, "a reason")
    gopark.block(gopark.select())


@register("SysExitInMain")
async def sys_exit_in_main() -> None:
    gopark.go(gopark.Chan().recv)
    sys.exit(6)


@register("SysExitNoRun", run=False)
def sys_exit_no_run() -> None:
    gopark.go(sys.exit, 7)
    while True:
        time.sleep(1)


@register("AtexitRuns")
def atexit_runs() -> None:
    """What was registered for the exit runs, and may use a program of its own."""
    import atexit

    async def main() -> str:
        ch = gopark.Chan()
        gopark.go(ch.send, "from atexit")
        return await ch.recv()

    atexit.register(lambda: print(gopark.run(main)))


# --- fork --------------------------------------------------------------------------------


def in_child(fn: Callable[[], None]) -> int:
    """Run `fn` in a forked child; its exit status is 0 if it returned."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: there are threads; so there are
        pid = os.fork()
    if pid == 0:
        try:
            fn()
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def fresh() -> None:
    """A child has no goroutine, and a runtime that works."""
    assert gopark.runtime.num_goroutine() == 0
    assert gopark.runtime.stack(all=True) == ""

    async def echo(a: gopark.Chan, b: gopark.Chan) -> None:
        await b.send(await a.recv())

    def plain(a: gopark.Chan, b: gopark.Chan) -> None:
        gopark.block(b.send(gopark.block(a.recv())))

    async def main() -> None:
        for fn in echo, plain:
            a, b = gopark.Chan(), gopark.Chan()
            gopark.go(fn, a, b)
            await a.send(fn.__name__)
            assert await b.recv() == fn.__name__
        await gopark.time.sleep(0.001)
        await gopark.testing.wait_all_parked()
        print("child: main is goroutine", gopark.runtime.stack().split()[1])

    gopark.run(main)


@register("ForkInGoroutine")
async def fork_in_goroutine() -> None:
    """Forked in main while other goroutines wait, of both kinds, and a timer is set."""
    ch = gopark.Chan()

    def blocks() -> None:
        gopark.block(ch.recv())

    gopark.go(ch.recv)
    gopark.go(blocks)
    gopark.time.after(3600)
    await gopark.testing.wait_all_parked()
    assert in_child(fresh) == 0
    assert gopark.runtime.num_goroutine() == 3  # the parent has them all
    print("OK")


@register("ForkAfterRun", run=False)
def fork_after_run() -> None:
    gopark.run(gopark.gosched)
    assert in_child(fresh) == 0
    gopark.run(gopark.gosched)
    print("OK")


@register("ForkInThread", run=False)
def fork_in_thread() -> None:
    """Forked on a thread of the user's, that has used gopark, while `run` is active."""
    status = []

    def thread(done: gopark.Chan) -> None:
        gopark.block(gopark.gosched())
        status.append(in_child(fresh))
        done.close()

    async def main() -> None:
        done = gopark.Chan()
        worker = threading.Thread(target=thread, args=(done,))
        worker.start()
        await done.recv()
        worker.join()

    gopark.run(main)
    assert status == [0]
    print("OK")


@register("ForkComesBack")
async def fork_comes_back() -> None:
    """A child that comes back to the scheduler of its parent is told so by its `run`."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        await gopark.Chan().recv()
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status))
