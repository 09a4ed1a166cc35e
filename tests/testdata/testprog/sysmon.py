"""Goroutines that block their thread or compute, unmarked, around what only a child can show.

`ready` is printed by a goroutine that needed the P of the one that blocks: so sysmon has
taken it by then. Blocking waits are an hour long: one that is waited for shows.
"""

import sys
import threading
import time

from ends import fresh, in_child

import gopark
from registry import register

noticed: list[BaseException] = []  # by a goroutine that is not main


def blocks(seconds: float = 3600.0) -> None:
    try:
        time.sleep(seconds)
    except gopark.ProgramEnded:
        raise  # the thread that called `run` is brought home once the program has ended
    except BaseException as error:
        noticed.append(error)
        raise


def computes(seconds: float = 3600.0) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


async def blocks_async() -> None:
    blocks()


async def computes_async() -> None:
    computes()


async def beside_blocked() -> None:
    """All that can go wrong goes on beside this: one of each kind, none of which comes back."""
    for fn in blocks, computes, blocks_async, computes_async:
        gopark.go(fn)
    for _ in range(20):
        await gopark.gosched()  # needs the P of each of them


# --- deadlocks ---------------------------------------------------------------------------


def register_no_deadlock(name: str, busy: object) -> None:
    async def main() -> None:
        async def comes_back_async() -> None:
            busy(0.3)  # type: ignore[operator]
            print("back", flush=True)

        def comes_back() -> None:
            busy(0.2)  # type: ignore[operator]
            print("back", flush=True)

        gopark.go(comes_back_async)
        gopark.go(comes_back)
        await gopark.Chan().recv()

    register(name)(main)


register_no_deadlock("DeadlockAfterBlocking", blocks)
register_no_deadlock("DeadlockAfterComputing", computes)


# --- ends --------------------------------------------------------------------------------


@register("PanicAfterBlocking")
async def panic_after_blocking() -> None:
    async def fails() -> None:
        blocks(0.1)
        raise ValueError("late")

    gopark.go(fails)
    while True:
        await gopark.gosched()


@register("PanicAfterComputing")
def panic_after_computing() -> None:
    def fails() -> None:
        computes(0.1)
        raise ValueError("late")

    gopark.go(fails)
    while True:
        gopark.block(gopark.gosched())


@register("PanicBesideBlocked")
async def panic_beside_blocked() -> None:
    async def fails() -> None:
        raise ValueError("beside")

    await beside_blocked()
    gopark.go(fails)
    await gopark.Chan().recv()


@register("SysExitBesideBlocked")
async def sys_exit_beside_blocked() -> None:
    await beside_blocked()
    gopark.go(sys.exit, 5)
    await gopark.Chan().recv()


@register("SysExitAfterBlocking")
async def sys_exit_after_blocking() -> None:
    async def leaves() -> None:
        blocks(0.1)
        sys.exit(5)

    gopark.go(leaves)
    while True:
        await gopark.gosched()


@register("GoexitAfterBlocking")
async def goexit_after_blocking() -> None:
    ended = gopark.Chan()

    async def ends() -> None:
        try:
            blocks(0.05)
            gopark.goexit()
        finally:
            ended.close()

    gopark.go(ends)
    for _ in range(20):
        await gopark.gosched()
    await ended.recv()
    print("OK")


@register("MainRaisesAfterBlocking", run=False)
def main_raises_after_blocking() -> None:
    async def async_main() -> None:
        gopark.go(gopark.gosched)
        blocks(0.05)
        raise KeyError("async")

    def plain_main() -> None:
        gopark.go(gopark.gosched)
        computes(0.05)
        raise KeyError("plain")

    for main in async_main, plain_main:
        try:
            gopark.run(main)
        except KeyError as error:
            print(error)


@register("MainReturnsBesideBlocked", run=False)
def main_returns_beside_blocked() -> None:
    """Twice: what is left of the first program is no hindrance to the second."""
    for _ in range(2):
        gopark.run(beside_blocked)
    print("OK")


@register("ExitBesideBlocked", run=False)
def exit_beside_blocked() -> None:
    """The runtime started at first use, and nobody ends it."""
    done = gopark.Chan()

    async def starts() -> None:
        await beside_blocked()
        done.close()

    gopark.go(starts)
    gopark.block(done.recv())
    print("OK")


# --- Ctrl-C ------------------------------------------------------------------------------


async def say_ready() -> None:
    print("ready", flush=True)


@register("InterruptMainThatBlocksWithoutP")
async def interrupt_main_that_blocks() -> None:
    gopark.go(say_ready)
    try:
        time.sleep(3600)
    except KeyboardInterrupt:
        await gopark.gosched()
        print("interrupted 1")


@register("InterruptMainThatComputesWithoutP")
def interrupt_main_that_computes() -> None:
    gopark.go(say_ready)
    try:
        computes()
    except KeyboardInterrupt:
        gopark.block(gopark.gosched())
        print("interrupted 1")


@register("InterruptWhileTheMainThreadBlocks")
async def interrupt_while_the_main_thread_blocks() -> None:
    """Another goroutine blocks the thread that called `run`, and main waits elsewhere."""
    await main_elsewhere(blocks_async)


@register("InterruptWhileTheMainThreadComputes")
async def interrupt_while_the_main_thread_computes() -> None:
    await main_elsewhere(computes_async)


async def main_elsewhere(busy: object) -> None:
    gopark.runtime.gomaxprocs(1)
    gopark.go(busy)
    while threading.current_thread() is threading.main_thread():
        await gopark.gosched()
    gopark.go(say_ready)
    count = 0
    try:
        await gopark.Chan().recv()
    except KeyboardInterrupt:
        count += 1
    for _ in range(10):
        await gopark.time.sleep(0.001)
    assert not noticed, noticed
    print("interrupted", count)


# --- fork --------------------------------------------------------------------------------


def blocking_works() -> None:
    """A child has a sysmon of its own.

    Plain functions only: to bring `run`'s thread home from a coroutine that does not come back
    takes a signal, and CPython 3.13 loses those in the child of a thread's fork.
    """
    fresh()

    async def main() -> None:
        gopark.runtime.gomaxprocs(1)
        gopark.go(blocks)
        gopark.go(computes)
        for _ in range(20):
            await gopark.gosched()
        print("child: others went on")

    gopark.run(main)


@register("ForkAwake")
async def fork_awake() -> None:
    """Forked while sysmon watches."""
    await beside_blocked()
    assert in_child(blocking_works) == 0


@register("ForkAsleep", run=False)
def fork_asleep() -> None:
    """Forked when sysmon sleeps, as the program has ended; a second generation too."""
    from gopark._runtime.sched.startm import sysmonwait

    def sleeps() -> None:
        deadline = time.monotonic() + 200
        while not sysmonwait.on:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    gopark.run(gopark.gosched)
    sleeps()

    def first() -> None:
        blocking_works()
        sleeps()
        assert in_child(blocking_works) == 0

    assert in_child(first) == 0


# --- set_max_threads ---------------------------------------------------------------------


@register("TooManyThreads")
async def too_many_threads() -> None:
    gopark.runtime.set_max_threads(20)
    for _ in range(40):
        gopark.go(time.sleep, 3600)
    for _ in range(100):
        await gopark.time.sleep(0.01)
    await gopark.Chan().recv()


@register("MaxThreadsBelowTheirNumber")
async def max_threads_below_their_number() -> None:
    for _ in range(10):
        gopark.go(time.sleep, 3600)
    while len(threading.enumerate()) < 10:
        await gopark.time.sleep(0.001)
    gopark.runtime.set_max_threads(5)
    print("not reached")
