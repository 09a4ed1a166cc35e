"""Pool, as Go's own tests pin it down (sync/pool_test.go, example_pool_test.go)."""

from __future__ import annotations

import gc
import io
from collections import Counter

import pytest

import gopark
from gopark.sync import Pool, WaitGroup


@pytest.fixture
def no_collection():
    """The collector may drop what is in a pool, and is not to do so here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.go("sync", "TestPoolNew")
@pytest.mark.usefixtures("no_collection")
def test_pool_new():
    made = []

    def new():
        made.append(1)
        return len(made)

    pool = Pool(new)
    assert [pool.get(), pool.get()] == [1, 2]
    pool.put(42)
    assert pool.get() == 42
    assert pool.get() == 3


@pytest.mark.go("sync", "TestPoolStress")
def test_pool_stress(run, procs):
    async def worker(pool):
        for n in range(500):
            value = pool.get()
            assert value in (None, "mine"), "not what was put"
            pool.put("mine")
            if n % 50 == 0:
                await gopark.gosched()

    async def main():
        pool = Pool()
        pool.put("mine")
        async with WaitGroup() as wg:
            for _ in range(10):
                wg.go(worker, pool)

    run(main)


@pytest.mark.go("sync", "TestPoolDequeue")
@pytest.mark.go("sync", "TestPoolChain")
@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_pool_chain(run, procs, plain):
    """What is put comes out exactly once, whoever is quicker."""
    n = 2000

    async def main():
        pool, taken, over = Pool(), Counter(), gopark.Chan()
        counts = [Counter() for _ in range(10)]

        async def thief(count):
            while not over.try_recv()[2] or pool._stock:
                if (value := pool.get()) is not None:
                    count[value] += 1
                else:
                    await gopark.gosched()

        async def producer():
            for value in range(n):
                pool.put(value)
                if value % 10 == 0 and (stolen := pool.get()) is not None:
                    counts[0][stolen] += 1
                if value % 50 == 0:
                    await gopark.gosched()
            over.close()

        async with WaitGroup() as wg:
            for count in counts[1:]:
                if plain:
                    wg.go(lambda count=count: gopark.block(thief(count)))
                else:
                    wg.go(thief, count)
            wg.go(producer)
        for count in counts:
            taken += count
        assert taken == Counter(range(n))

    run(main)


@pytest.mark.go("sync", "ExamplePool")
def test_example_pool():
    buffers, out = Pool(io.StringIO), io.StringIO()

    def log(when, key, value):
        buffer = buffers.get()
        buffer.seek(0)
        buffer.truncate()
        buffer.write(f"{when} {key}={value}")
        out.write(buffer.getvalue())
        buffers.put(buffer)

    log("2006-01-02T15:04:05Z", "path", "/search?q=flowers")
    assert out.getvalue() == "2006-01-02T15:04:05Z path=/search?q=flowers"
