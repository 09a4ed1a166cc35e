"""select, as Go's own tests pin it down (runtime/chan_test.go)."""

from __future__ import annotations

import gc
import math
from collections import Counter

import pytest

import gopark
from gopark import Chan, recv, select, send
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.usefixtures("procs")


@pytest.mark.go("runtime", "TestNonblockSelectRace")
async def test_nonblock_select_race():
    """A select acts on the state of its channels at one moment, not over a stretch of time.

    From the helper's start on one of the two channels holds a value at any moment.
    """
    done = Chan(1)
    for _ in range(300):
        c1, c2 = Chan(1), Chan(1)
        await c1.send(1)

        async def helper(c1=c1, c2=c2):
            index, _, _ = await select(recv(c1), recv(c2), default=True)
            await done.send(index)

        gopark.go(helper)
        await c2.send(1)
        c1.try_recv()
        assert await done.recv() in (0, 1)


@pytest.mark.go("runtime", "TestNonblockSelectRace2")
async def test_nonblock_select_race2():
    """The same, with a close in the place of the second value."""
    done = Chan(1)
    for _ in range(300):
        c1, c2 = Chan(1), Chan()
        await c1.send(1)

        async def helper(c1=c1, c2=c2):
            index, _, _ = await select(recv(c1), recv(c2), default=True)
            await done.send(index)

        gopark.go(helper)
        c2.close()
        c1.try_recv()
        assert await done.recv() in (0, 1)


@pytest.mark.go("runtime", "TestSelfSelect")
@pytest.mark.parametrize("capacity", [0, 10])
async def test_self_select(capacity):
    ch, done = Chan(capacity), Chan()

    async def both(me):
        for i in range(200):
            cases = [send(ch, me), recv(ch)]
            swapped = me == 1 and i % 2 == 1
            index, value, _ = await select(*(cases[::-1] if swapped else cases))
            received = index == (0 if swapped else 1)
            if received and capacity == 0:
                assert value == 1 - me  # never one's own
        await done.send(None)

    gopark.go(both, 0)
    gopark.go(both, 1)
    for _ in range(2):
        await done.recv()


@pytest.mark.go("runtime", "TestSelectStress")
async def test_select_stress():
    """Plain operations and four-way selects on the same channels; each moves exactly its share."""
    n = 250
    channels = [Chan(), Chan(), Chan(2), Chan(3)]
    done, received = Chan(), Chan(8 * n)

    async def sender(k):
        for _ in range(n):
            await channels[k].send(k)
        await done.send(None)

    async def receiver(k):
        for _ in range(n):
            await received.send(await channels[k].recv())
        await done.send(None)

    async def selecting(order, case):
        """Each channel n times; one that had its share is switched off by None."""
        left = [n] * 4
        for _ in range(4 * n):
            index, value, ok = await select(
                *(case(channels[k] if left[k] else None, k) for k in order)
            )
            left[order[index]] -= 1
            if ok:
                await received.send(value)
        assert left == [0] * 4
        await done.send(None)

    for k in range(4):
        gopark.go(sender, k)
        gopark.go(receiver, k)
    gopark.go(selecting, [3, 2, 0, 1], send)
    gopark.go(selecting, [0, 1, 2, 3], lambda ch, _: recv(ch))
    for _ in range(10):
        await done.recv()
    got = Counter(received.try_recv()[0] for _ in range(len(received)))
    assert got == Counter(dict.fromkeys(range(4), 2 * n))
    assert [len(ch) for ch in channels] == [0] * 4


@pytest.mark.go("runtime", "TestSelectFairness")
async def test_select_fairness():
    """Of two cases that are always ready each is taken half the time, wherever they stand."""
    trials = 2000
    one, two = Chan(trials + 1), Chan(trials + 1)
    for _ in range(trials + 1):
        await one.send(1)
        await two.send(2)
    never, never_either, out, done = Chan(), Chan(), Chan(), Chan()

    async def worker():
        while True:
            _, value, _ = await select(recv(never), recv(never_either), recv(one), recv(two))
            index, _, _ = await select(send(out, value), recv(done))
            if index == 1:
                return

    gopark.go(worker)
    count = Counter([await out.recv() for _ in range(trials)])
    done.close()
    assert set(count) == {1, 2}
    assert abs(count[1] - trials / 2) <= 10 * math.sqrt(trials / 4), count


@pytest.mark.go("runtime", "TestChanSendInterface")
async def test_chan_send_interface():
    """Values of any type, the same object twice included, in selects that give up."""

    class Thing:
        pass

    thing = Thing()
    ch = Chan(1)
    await ch.send(thing)
    assert await select(send(ch, thing), default=True) == (-1, None, False)
    assert await select(send(ch, thing), send(ch, Thing()), default=True) == (-1, None, False)
    assert await ch.recv() is thing
    assert (await select(send(ch, thing), send(ch, thing), default=True))[0] in (0, 1)
    assert await ch.recv() is thing
    assert len(ch) == 0


@pytest.mark.go("runtime", "TestPseudoRandomSend")
@pytest.mark.parametrize("capacity", [0, 100])
async def test_pseudo_random_send(capacity):
    """Two sends on one channel: both values arrive, each more than a tenth of the time."""
    n = 100
    ch, bits, done = Chan(capacity), [], Chan()

    async def reader():
        for _ in range(n):
            await gopark.gosched()
            bits.append(await ch.recv())
        done.close()

    gopark.go(reader)
    for _ in range(n):
        await select(send(ch, 1), send(ch, 0))
    await done.recv()
    count = Counter(bits)
    assert count[0] > n / 10
    assert count[1] > n / 10
    assert count[0] + count[1] == n


@pytest.mark.go("runtime", "TestChanSendSelectBarrier")
async def test_chan_send_select_barrier():
    """What each of many goroutines makes just before it sends it in a select arrives whole."""
    ch, never, done = Chan(), Chan(), Chan()
    goroutines, each = 60, 20

    async def sender(who):
        for n in range(each):
            fresh = [bytearray(f"{who}:{n}", "ascii") for _ in range(4)]
            assert (await select(send(ch, (who, n, fresh)), recv(never)))[0] == 0
        await done.send(None)

    async def receiver():
        for i in range(goroutines * each):
            _, (who, n, fresh), ok = await select(recv(ch), recv(never))
            assert ok
            assert [bytes(b) for b in fresh] == [b"%d:%d" % (who, n)] * 4
            if i % 100 == 0:
                gc.collect()
        await done.send(None)

    gopark.go(receiver)
    for who in range(goroutines):
        gopark.go(sender, who)
    for _ in range(goroutines + 1):
        await done.recv()


@pytest.mark.go("runtime", "TestSelectDuplicateChannel")
async def test_select_duplicate_channel():
    """A goroutine twice in one queue leaves it altogether when another case wins."""
    c, d, e, got = Chan(), Chan(), Chan(), Chan(1)

    async def twice():
        assert await select(recv(c), recv(c), recv(d)) == (2, 7, True)
        await e.send(9)

    async def once():
        await got.send(await c.recv())

    gopark.go(twice)
    await wait_all_parked()  # it is first in c's queue
    gopark.go(once)
    await wait_all_parked()
    await d.send(7)
    assert await e.recv() == 9
    assert c.try_send(8)  # for the one that is left
    assert await got.recv() == 8
    assert c.try_send("nobody") is False
