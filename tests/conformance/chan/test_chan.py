"""Channels, as Go's own tests pin them down (runtime/chan_test.go)."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

import gopark
from gopark import Chan
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.usefixtures("procs")

CAPACITIES = (0, 1, 2, 7)


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__receive_from_an_empty_channel_waits(capacity):
    ch, received = Chan(capacity), []

    async def value():
        received.append(await ch.recv())

    async def value_ok():
        received.append(await ch.recv_ok())

    gopark.go(value)
    gopark.go(value_ok)
    await wait_all_parked()
    assert received == []
    assert ch.try_recv() == (None, False, False)
    await ch.send(0)
    await ch.send(0)
    await wait_all_parked()
    assert Counter(received) == Counter([0, (0, True)])


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__send_to_a_full_channel_waits(capacity):
    ch, sent = Chan(capacity), []
    for n in range(capacity):
        await ch.send(n)

    async def sender():
        await ch.send("last")
        sent.append(True)

    gopark.go(sender)
    await wait_all_parked()
    assert sent == []
    assert ch.try_send("no room") is False
    assert [await ch.recv() for _ in range(capacity + 1)] == [*range(capacity), "last"]
    await wait_all_parked()
    assert sent == [True]


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__a_closed_channel_gives_what_it_holds_then_the_end(capacity):
    ch = Chan(capacity)
    for n in range(capacity):
        await ch.send(n)
    ch.close()
    assert [await ch.recv() for _ in range(capacity)] == list(range(capacity))
    assert await ch.recv() is None
    assert await ch.recv_ok() == (None, False)


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__close_ends_a_wait(capacity):
    ch, done = Chan(capacity), Chan()

    async def receiver():
        await done.send(await ch.recv_ok())

    gopark.go(receiver)
    await wait_all_parked()
    ch.close()
    assert await done.recv() == (None, False)


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__first_in_first_out(capacity):
    ch = Chan(capacity)

    async def sender():
        for n in range(100):
            await ch.send(n)

    gopark.go(sender)
    assert [await ch.recv() for _ in range(100)] == list(range(100))
    gopark.go(sender)
    assert [await ch.recv_ok() for _ in range(100)] == [(n, True) for n in range(100)]


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__four_senders_and_four_receivers_lose_nothing(capacity):
    n, each = 4, 200
    ch, done = Chan(capacity), Chan()

    async def sender():
        for i in range(each):
            await ch.send(i)

    async def receiver():
        await done.send(Counter([await ch.recv() for _ in range(each)]))

    for _ in range(n):
        gopark.go(sender)
        gopark.go(receiver)
    received: Counter[int] = Counter()
    for _ in range(n):
        received += await done.recv()
    assert received == Counter(dict.fromkeys(range(each), n))


@pytest.mark.go("runtime", "TestChan")
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan__length_and_capacity(capacity):
    ch = Chan(capacity)
    assert (len(ch), ch.cap) == (0, capacity)
    for n in range(capacity):
        await ch.send(n)
        assert len(ch) == n + 1
    assert (len(ch), ch.cap) == (capacity, capacity)


@pytest.mark.go("runtime", "TestChanSendBarrier")
async def test_chan_send_barrier():
    """What each of many goroutines makes just before it sends it arrives whole."""
    ch, done = Chan(), Chan()
    goroutines, each = 60, 20

    async def sender(who):
        for n in range(each):
            fresh = [bytearray(f"{who}:{n}", "ascii") for _ in range(4)]
            await ch.send((who, n, fresh))
        await done.send(None)

    async def receiver():
        for i in range(goroutines * each):
            who, n, fresh = await ch.recv()
            assert [bytes(b) for b in fresh] == [b"%d:%d" % (who, n)] * 4
            if i % 100 == 0:
                gc.collect()
        await done.send(None)

    gopark.go(receiver)
    for who in range(goroutines):
        gopark.go(sender, who)
    for _ in range(goroutines + 1):
        await done.recv()


@pytest.mark.go("runtime", "TestNonblockRecvRace")
async def test_nonblock_recv_race():
    """The channel holds a value or is closed at every moment: there is always something."""
    for _ in range(300):
        ch, ready = Chan(1), Chan(1)
        await ch.send(1)

        async def look(ch=ch, ready=ready):
            await ready.send(ch.try_recv()[2])

        gopark.go(look)
        ch.close()
        await ch.recv()
        assert await ready.recv()


@pytest.mark.go("runtime", "TestMultiConsumer")
async def test_multi_consumer():
    workers, items = 23, 2000
    kinds = (2, 3, 7, 11, 13, 17, 19, 23, 27, 31)
    queue, results, ended = Chan(workers * 3), Chan(workers * 3), Chan()

    async def worker(w):
        async for value in queue:
            if kinds[w % len(kinds)] == value[0]:
                await gopark.gosched()  # so that they do not take turns
            await results.send(value)
        await ended.send(None)

    async def feeder():
        for i in range(items):
            await queue.send((kinds[i % len(kinds)], i))
        queue.close()
        for _ in range(workers):
            await ended.recv()
        results.close()

    for w in range(workers):
        gopark.go(worker, w)
    gopark.go(feeder)
    got = [i async for _, i in results]
    assert sorted(got) == list(range(items))
