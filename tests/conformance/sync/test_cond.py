"""Cond, as Go's own tests pin it down (sync/cond_test.go)."""

from __future__ import annotations

import copy

import pytest

import gopark
from gopark.sync import Cond, Mutex
from gopark.testing import wait_all_parked


@pytest.mark.go("sync", "TestCondSignal")
async def test_cond_signal(procs):
    mu = Mutex()
    cond = Cond(mu)
    running, awake = gopark.Chan(2), gopark.Chan(2)

    async def waiter():
        await mu.lock()
        await running.send(True)
        await cond.wait()
        await awake.send(True)
        mu.unlock()

    for _ in range(2):
        gopark.go(waiter)
    for _ in range(2):
        await running.recv()
    for _ in range(2):
        await wait_all_parked()
        assert len(awake) == 0, "not asleep"
        await mu.lock()
        cond.signal()
        mu.unlock()
        await awake.recv()
        await wait_all_parked()
        assert len(awake) == 0, "too many awake"
    cond.signal()


@pytest.mark.go("sync", "TestCondSignalGenerations")
async def test_cond_signal_generations(procs):
    mu = Mutex()
    cond = Cond(mu)
    running, awake = gopark.Chan(100), gopark.Chan(100)

    async def waiter(n):
        await mu.lock()
        await running.send(True)
        await cond.wait()
        await awake.send(n)
        mu.unlock()

    for n in range(100):
        gopark.go(waiter, n)
        if n:
            assert await awake.recv() == n - 1
        await running.recv()
        await mu.lock()
        cond.signal()
        mu.unlock()


@pytest.mark.go("sync", "TestCondBroadcast")
async def test_cond_broadcast(procs):
    mu = Mutex()
    cond = Cond(mu)
    n, leave = 20, False
    running, awake = gopark.Chan(n), gopark.Chan(n)

    async def waiter(me):
        async with mu:
            while not leave:
                await running.send(me)
                await cond.wait()
                await awake.send(me)

    for me in range(n):
        gopark.go(waiter, me)
    for turn in range(n):
        for _ in range(n):
            await running.recv()
        await mu.lock()
        leave = turn == n - 1
        mu.unlock()
        assert len(awake) == 0, "not asleep"
        await mu.lock()
        cond.broadcast()
        mu.unlock()
        assert sorted([await awake.recv() for _ in range(n)]) == list(range(n))
    await wait_all_parked()
    assert len(running) == 0, "one did not leave"
    cond.broadcast()


@pytest.mark.go("sync", "TestRace")
async def test_race(procs):
    for _ in range(30):
        await _race()


async def _race():
    x, cond, done = 0, Cond(Mutex()), gopark.Chan()

    async def first():
        nonlocal x
        await cond.locker.lock()
        x = 1
        await cond.wait()
        assert x == 2
        x = 3
        cond.signal()
        cond.locker.unlock()
        await done.send(True)

    async def second():
        nonlocal x
        await cond.locker.lock()
        while x != 1:
            cond.locker.unlock()
            await gopark.gosched()
            await cond.locker.lock()
        x = 2
        cond.signal()
        cond.locker.unlock()
        await done.send(True)

    async def third():
        await cond.locker.lock()
        while x != 3:
            if x == 2:
                await cond.wait()
                assert x == 3
                break
            cond.locker.unlock()
            await gopark.gosched()
            await cond.locker.lock()
        cond.locker.unlock()
        await done.send(True)

    for fn in (first, second, third):
        gopark.go(fn)
    for _ in range(3):
        await done.recv()


@pytest.mark.go("sync", "TestCondSignalStealing")
async def test_cond_signal_stealing(procs):
    for _ in range(60):
        mu, ch, done = Mutex(), gopark.Chan(), []
        cond = Cond(mu)

        async def waiter(mu=mu, cond=cond, ch=ch):
            await mu.lock()
            await ch.send(None)
            await cond.wait()
            mu.unlock()
            await ch.send(None)

        async def other(mu=mu, cond=cond, done=done):
            await mu.lock()
            while not done:
                await cond.wait()
            mu.unlock()

        gopark.go(waiter)
        await ch.recv()
        await mu.lock()
        mu.unlock()  # the waiter is in wait now
        gopark.go(cond.broadcast)
        gopark.go(other)
        await ch.recv()  # or a deadlock
        await mu.lock()
        done.append(True)
        mu.unlock()
        cond.broadcast()
        await wait_all_parked()


@pytest.mark.go("sync", "TestCondCopy")
def test_cond_copy():
    cond = Cond(Mutex())
    cond.signal()
    copied = copy.copy(cond)
    for use in (copied.signal, copied.broadcast):
        with pytest.raises(RuntimeError, match=r"^sync\.Cond is copied$"):
            use()
    with pytest.raises(RuntimeError, match=r"^sync\.Cond is copied$"):
        gopark.run(copied.wait)
    cond.signal()
