"""Goroutines locked to their threads. Go: runtime/proc_test.go, testprog/lockosthread.go."""

from __future__ import annotations

import os
import threading

import pytest

import gopark
from gopark import Chan
from harness import Ended, run

kinds = pytest.mark.parametrize("kind", ["coroutine", "plain"])


def start(kind, main, *args):
    """Start it as this kind of goroutine."""
    gopark.go(main, *args) if kind == "coroutine" else gopark.go(lambda: gopark.block(main(*args)))


@kinds
@pytest.mark.go("runtime", "TestYieldLockedProgress")
@pytest.mark.usefixtures("procs")
async def test_yield_locked_progress(kind):
    """One that only polls and yields lets a sleeper wake and talk to it."""
    c, cack = Chan(), Chan()

    async def polls():
        gopark.runtime.lock_os_thread()
        while (await gopark.select(gopark.recv(c), default=True))[0] != 0:
            await gopark.gosched()
        await cack.send("seen")

    start(kind, polls)
    await gopark.time.sleep(0.005)
    await c.send(None)
    assert await cack.recv() == "seen"


@kinds
@pytest.mark.go("runtime", "TestYieldLocked")
@pytest.mark.usefixtures("procs")
async def test_yield_locked(kind):
    """It yields, sleeps and ends without unlocking, and who waits for it goes on."""
    c = Chan()

    async def yields():
        gopark.runtime.lock_os_thread()
        here = threading.get_ident()
        for _ in range(5):
            await gopark.gosched()
            await gopark.time.sleep(0.0005)
        await c.send(threading.get_ident() == here)

    start(kind, yields)
    assert await c.recv() is True
    gopark.go(c.send, "the program goes on")
    assert await c.recv() == "the program goes on"


@kinds
@pytest.mark.go("runtime", "TestBlockLocked")
@pytest.mark.usefixtures("procs")
async def test_block_locked(kind):
    c = Chan()

    async def sends():
        gopark.runtime.lock_os_thread()
        for n in range(10):
            await c.send(n)
        gopark.runtime.unlock_os_thread()

    start(kind, sends)
    assert [await c.recv() for _ in range(10)] == list(range(10))


@kinds
@pytest.mark.go("runtime", "TestLockOSThreadVgetrandom")
@pytest.mark.go("runtime/testdata/testprog", "LockOSThreadVgetrandom")
async def test_lock_os_thread_vgetrandom(kind):
    """Many that lock, fetch random bytes and end: each takes its thread along."""
    out = Chan(200)

    async def fetches():
        gopark.runtime.lock_os_thread()
        out.try_send((len(os.urandom(8)), threading.get_native_id()))

    threads = set()
    for _ in range(5):
        for _ in range(20):
            start(kind, fetches)
        for _ in range(20):
            size, thread = await out.recv()
            assert size == 8
            threads.add(thread)
    assert len(threads) == 100, "a thread has run two goroutines that ended locked"


@pytest.mark.go("runtime", "TestLockOSThreadTemplateThreadRace")
@pytest.mark.go("runtime/testdata/testprog", "LockOSThreadTemplateThreadRace")
@pytest.mark.parametrize("procs", [4], indirect=True)
async def test_lock_os_thread_template_thread_race(procs):
    """Two lock at the same moment, while the number of Ps changes and all stacks are read."""
    for _ in range(10):
        out, ready, stop = Chan(), [], []

        async def shakes(stop=stop, out=out):
            while not stop:
                gopark.runtime.gomaxprocs(procs - 1)
                gopark.runtime.stack(all=True)
                gopark.runtime.gomaxprocs(procs)
                await gopark.gosched()
            await out.send(None)

        async def locks(ready=ready, out=out):
            ready.append(None)
            while len(ready) < 2:
                await gopark.gosched()
            gopark.go(gopark.gosched)
            gopark.runtime.lock_os_thread()
            await gopark.gosched()
            await out.send(None)

        gopark.go(shakes)
        gopark.go(locks)
        gopark.go(locks)
        await out.recv()
        await out.recv()
        stop.append(None)
        await out.recv()


@pytest.mark.go("runtime", "TestMexitSTW")
@pytest.mark.go("runtime/testdata/testprog", "mexitSTW")
@pytest.mark.parametrize("procs", [4], indirect=True)
async def test_mexit_stw(procs):
    """Threads end all the time, others are busy, and the Ps come and go."""
    stop, out = [], Chan()

    async def busy():
        await out.send(None)
        n = 0
        while not stop:
            n += 1
            if n % 100 == 0:
                await gopark.gosched()
        await out.send(None)

    async def ends_locked():
        gopark.runtime.lock_os_thread()

    for _ in range(2):
        gopark.go(busy)
        await out.recv()
    for _ in range(40):
        gopark.go(ends_locked)
        gopark.runtime.gomaxprocs(2)
        await gopark.gosched()
        gopark.runtime.gomaxprocs(procs)
        await gopark.gosched()
    stop.append(None)
    for _ in range(2):
        await out.recv()
    await gopark.testing.wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.go("runtime/debug", "TestSetMaxThreadsOvf")
def test_set_max_threads_ovf():
    """More than fits into 31 bits, and the limit before it comes back."""
    before = gopark.runtime.set_max_threads(1 << 31)
    assert gopark.runtime.set_max_threads(before) == 1 << 31


@pytest.mark.go("runtime", "TestThreadExhaustion")
@pytest.mark.go("runtime/testdata/testprog", "ThreadExhaustion")
def test_thread_exhaustion():
    ended = run("testprog", "ThreadExhaustion")
    want = (
        "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion\n\ngoroutine 1 ["
    )
    assert ended.stderr.startswith(want)
    assert ended.stdout == ""
    assert ended.status == 2


# --- what a thread hands down -----------------------------------------------------------------


@pytest.mark.go("runtime", "TestLockOSThreadAvoidsStatePropagation")
@pytest.mark.go("runtime/testdata/testprog", "LockOSThreadAvoidsStatePropagation")
@pytest.mark.parametrize("procs", ["1", "2", "8"])
def test_lock_os_thread_avoids_state_propagation(procs):
    ended = run("testprog", "LockOSThreadAvoidsStatePropagation", env={"GOMAXPROCS": procs})
    assert ended in [Ended("OK\n", "", 0), Ended("unshare not permitted\n", "", 0)]
