"""Ctrl-C: one KeyboardInterrupt in main, whatever main is doing and wherever it is.

Each program prints `ready` when it may be interrupted, and at the end how often main was.
Bystanders must not notice; one of them has a timer, so that waiting is no deadlock. None in
Go, where Ctrl-C ends the process.
"""

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import gopark
from registry import register

noticed: list[BaseException] = []  # by a goroutine that is not main


def bystanders() -> gopark.Chan:
    """A coroutine and a plain function that wait; closing the channel releases them."""
    release = gopark.Chan()

    async def waits() -> None:
        try:
            await release.recv()
        except BaseException as error:
            noticed.append(error)
            raise

    def blocks() -> None:
        try:
            gopark.block(release.recv())
        except BaseException as error:
            noticed.append(error)
            raise

    gopark.go(waits)
    gopark.go(blocks)
    gopark.go(gopark.time.sleep, 3600)
    return release


async def say_ready() -> None:
    await gopark.testing.wait_all_parked()
    print("ready", flush=True)


def say_ready_when_asleep() -> None:
    """Say it once the calling thread sleeps in C: its CPU clock has stood still for a while.

    A signal in the instant before such a call is noticed, in any Python program, only after it.
    """
    clock = time.pthread_getcpuclockid(threading.get_ident())

    def look() -> None:
        still, last = 0, -1.0
        while still < 20:
            time.sleep(0.005)
            now = time.clock_gettime(clock)
            still = still + 1 if now == last else 0
            last = now
        print("ready", flush=True)

    threading.Thread(target=look, daemon=True).start()


async def linger() -> None:
    """Some life after the interrupt, in which a second one would show."""
    for _ in range(20):
        await gopark.time.sleep(0.001)
        await gopark.gosched()


def register_async(name: str, times: int = 1) -> Callable[[Any], Any]:
    """Register a main around a coroutine function that waits to be interrupted."""

    def decorate(wait: Callable[[], Coroutine[Any, Any, None]]) -> object:
        async def main() -> None:
            release = bystanders()
            count = 0
            for _ in range(times):
                try:
                    await wait()
                except KeyboardInterrupt:
                    count += 1
            await linger()
            release.close()
            await gopark.testing.wait_all_parked()
            assert not noticed, noticed
            print("interrupted", count)

        register(name)(main)
        return wait

    return decorate


@register_async("InterruptParked")
async def parked() -> None:
    gopark.go(say_ready)
    await gopark.Chan().recv()


@register_async("InterruptTwice", times=2)
async def parked_twice() -> None:
    gopark.go(say_ready)
    await gopark.select(gopark.recv(gopark.Chan()), gopark.send(gopark.Chan(), 1))


@register_async("InterruptAsleep")
async def asleep() -> None:
    gopark.go(say_ready)
    await gopark.time.sleep(3600)


@register_async("InterruptComputing")
async def computing() -> None:
    print("ready", flush=True)
    while True:
        sum(range(100))


@register_async("InterruptTimeSleep")
async def in_time_sleep() -> None:
    say_ready_when_asleep()
    time.sleep(3600)


@register_async("InterruptInC")
async def in_c() -> None:
    say_ready_when_asleep()
    gopark.cgo.call(time.sleep, 3600)


@register_async("InterruptYielding")
async def yielding() -> None:
    """Main is in the scheduler nearly all the time."""
    print("ready", flush=True)
    while True:
        await gopark.gosched()


async def move_away() -> None:
    """Go on on another thread than the one that called `run`, which sits in C.

    In short calls: Python notices a signal that comes just before a C call when that returns.
    """
    main_thread = threading.main_thread().ident

    async def sits_in_c() -> None:
        while True:
            gopark.cgo.call(time.sleep, 0.02)

    while threading.get_ident() == main_thread:
        gopark.go(sits_in_c)
        await gopark.gosched()


@register("InterruptMovedParked")
async def moved_parked() -> None:
    await moved(lambda: gopark.Chan().recv(), say_ready=True)


@register("InterruptMovedComputing")
async def moved_computing() -> None:
    await moved(computing)


async def moved(wait: Callable[[], Coroutine[Any, Any, object]], say_ready: bool = False) -> None:
    await move_away()
    count = 0

    async def ready() -> None:
        while "goroutine 1 [chan receive]" not in gopark.runtime.stack(all=True):
            await gopark.gosched()
        print("ready", flush=True)

    release = bystanders()
    try:
        if say_ready:
            gopark.go(ready)
        await wait()
    except KeyboardInterrupt:
        count += 1
    await linger()
    assert threading.get_ident() != threading.main_thread().ident
    release.close()
    assert not noticed, noticed
    print("interrupted", count)


@register("InterruptBlocked")
def blocked() -> None:
    """A plain main in `block`."""
    release = bystanders()
    count = 0
    gopark.go(say_ready)
    try:
        gopark.block(gopark.Chan().recv())
    except KeyboardInterrupt:
        count += 1
    gopark.block(linger())
    release.close()
    gopark.block(gopark.testing.wait_all_parked())
    assert not noticed, noticed
    print("interrupted", count)


@register("InterruptUncaught")
async def uncaught() -> None:
    """Nobody catches it: Python's own end, and `finally` blocks have run."""
    bystanders()
    gopark.go(say_ready)
    try:
        await gopark.Chan().recv()
    finally:
        print("finally", flush=True)


@register("InterruptOutside", run=False)
def outside() -> None:
    """Before and after `run` Ctrl-C is Python's own."""

    async def main() -> None:
        await gopark.gosched()

    gopark.run(main)
    try:
        say_ready_when_asleep()
        time.sleep(3600)
    except KeyboardInterrupt:
        gopark.run(main)
        print("interrupted 1")
