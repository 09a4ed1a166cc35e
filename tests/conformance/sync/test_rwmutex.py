"""RWMutex, as Go's own tests pin it down (sync/rwmutex_test.go, runtime/rwmutex_test.go)."""

from __future__ import annotations

import pytest

import gopark
from gopark.sync import RWMutex, WaitGroup
from gopark.sync.atomic import Int32
from gopark.testing import wait_all_parked


@pytest.fixture
def at_procs():
    """`at_procs(n)` sets GOMAXPROCS for the rest of the test."""
    before = gopark.runtime.gomaxprocs(0)
    yield gopark.runtime.gomaxprocs
    gopark.runtime.gomaxprocs(before)


READERS = [(1, 4), (3, 4), (4, 2)]  # so many readers on so many Ps


@pytest.mark.go("sync", "TestParallelReaders")
@pytest.mark.parametrize(("readers", "procs"), READERS)
def test_parallel_readers(run, at_procs, readers, procs):
    at_procs(procs)

    async def reader(rw, locked, unlock):
        await rw.rlock()
        await locked.send(True)
        await unlock.recv()
        rw.runlock()

    async def main():
        rw, locked, unlock = RWMutex(), gopark.Chan(), gopark.Chan()
        async with WaitGroup() as wg:
            for _ in range(readers):
                wg.go(reader, rw, locked, unlock)
            for _ in range(readers):
                await locked.recv()
            assert not rw.try_lock()
            for _ in range(readers):
                await unlock.send(True)
        assert rw.try_lock()

    run(main)


@pytest.mark.go("runtime", "TestParallelRWMutexReaders")
@pytest.mark.parametrize(("readers", "procs"), READERS)
def test_parallel_rw_mutex_readers(run, at_procs, readers, procs):
    """The runtime's own lock, of threads: here the same one, in plain goroutines."""
    at_procs(procs)

    def reader(rw, locked, unlock):
        with rw.reader():
            gopark.block(locked.send(True))
            gopark.block(unlock.recv())

    async def main():
        rw, locked, unlock = RWMutex(), gopark.Chan(), gopark.Chan()
        async with WaitGroup() as wg:
            for _ in range(readers):
                wg.go(reader, rw, locked, unlock)
            for _ in range(readers):
                await locked.recv()
            unlock.close()
        assert rw.try_lock()

    run(main)


@pytest.mark.go("sync", "TestRWMutex")
async def test_rw_mutex__try():
    rw = RWMutex()
    await rw.lock()
    assert not rw.try_lock()
    assert not rw.try_rlock()
    rw.unlock()
    assert rw.try_lock()
    rw.unlock()
    assert rw.try_rlock()
    assert rw.try_rlock()
    assert not rw.try_lock()
    rw.runlock()
    rw.runlock()
    assert rw.try_lock()


async def _reader(rw, times, activity):
    for _ in range(times):
        await rw.rlock()
        n = activity.add(1)
        assert 1 <= n < 10000
        await gopark.gosched()
        activity.add(-1)
        rw.runlock()


async def _writer(rw, times, activity):
    for _ in range(times):
        await rw.lock()
        assert activity.add(10000) == 10000
        await gopark.gosched()
        activity.add(-10000)
        rw.unlock()


def _plain_reader(rw, times, activity):
    for _ in range(times):
        with rw.reader():
            n = activity.add(1)
            assert 1 <= n < 10000
            gopark.block(gopark.gosched())
            activity.add(-1)


def _plain_writer(rw, times, activity):
    for _ in range(times):
        with rw:
            assert activity.add(10000) == 10000
            gopark.block(gopark.gosched())
            activity.add(-10000)


MIXES = [
    (1, 1), (1, 3), (1, 10), (4, 1), (4, 3), (4, 10), (10, 1), (10, 3), (10, 10), (10, 5),
]  # fmt: skip


async def _hammer(reader, writer, readers, times):
    rw, activity = RWMutex(), Int32()
    async with WaitGroup() as wg:
        wg.go(writer, rw, times, activity)
        for n in range(readers):
            wg.go(reader, rw, times, activity)
            if n == readers // 2:
                wg.go(writer, rw, times, activity)
    assert activity.load() == 0
    assert rw.try_lock()


@pytest.mark.go("sync", "TestRWMutex")
@pytest.mark.parametrize(("procs", "readers"), MIXES)
def test_rw_mutex(run, at_procs, procs, readers):
    at_procs(procs)
    run(_hammer, _reader, _writer, readers, 60)


@pytest.mark.go("runtime", "TestRWMutex")
@pytest.mark.parametrize(("procs", "readers"), MIXES)
def test_rw_mutex__threads(run, at_procs, procs, readers):
    at_procs(procs)
    run(_hammer, _plain_reader, _plain_writer, readers, 10)


@pytest.mark.go("sync", "TestRLocker")
async def test_r_locker(procs):
    rw = RWMutex()
    reader = rw.reader()
    wlocked, rlocked = gopark.Chan(1), gopark.Chan(1)

    async def other():
        for _ in range(10):
            await reader.lock()
            await reader.lock()
            await rlocked.send(True)
            await rw.lock()
            await wlocked.send(True)

    gopark.go(other)
    for _ in range(10):
        await rlocked.recv()
        reader.unlock()
        await wait_all_parked()
        assert len(wlocked) == 0, "the reader did not lock"
        reader.unlock()
        await wlocked.recv()
        await wait_all_parked()
        assert len(rlocked) == 0, "the reader did not wait for the writer"
        rw.unlock()
