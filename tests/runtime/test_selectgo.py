"""select: exactly one of several channel operations."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections import Counter

import pytest

import gopark
from gopark import Chan, ClosedChannelError, NotOnGError, recv, select, send
from gopark._runtime.base.runtime2 import getg
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.usefixtures("procs")


class Thing:
    """Something a weak reference can watch."""


def queued(waitq):
    """How many entries a wait queue holds, those included that wait to be swept out."""
    return len(getattr(waitq, "q", waitq))


async def test_the_ready_case_is_taken():
    a, b = Chan(1), Chan(1)
    await b.send("b")
    assert await select(recv(a), recv(b)) == (1, "b", True)
    assert len(b) == 0


async def test_a_send_case_that_has_room_is_taken():
    full, room = Chan(1), Chan(1)
    await full.send("x")
    assert await select(send(full, "y"), send(room, "z")) == (1, None, False)
    assert room.try_recv() == ("z", True, True)
    assert full.try_recv() == ("x", True, True)


async def test_only_one_case_acts_though_all_are_ready():
    channels = [Chan(1) for _ in range(8)]
    for ch in channels:
        await ch.send("v")
    index, value, ok = await select(*map(recv, channels))
    assert (value, ok) == ("v", True)
    assert [len(ch) for ch in channels] == [0 if i == index else 1 for i in range(8)]


async def test_default_is_taken_only_if_no_case_is_ready():
    ch = Chan(1)
    assert await select(recv(ch), default=True) == (-1, None, False)
    assert await select(send(ch, 1), default=True) == (0, None, False)
    assert await select(send(ch, 2), default=True) == (-1, None, False)
    assert await select(recv(ch), default=True) == (0, 1, True)
    assert await select(default=True) == (-1, None, False)


async def test_a_none_channel_is_never_ready():
    """Go: TestSelectNil-like rule, a nil channel never fires."""
    ch = Chan(1)
    assert await select(recv(None), send(None, 1), default=True) == (-1, None, False)
    await ch.send("v")
    for _ in range(20):
        assert await select(recv(None), send(None, 1), recv(ch), default=True) == (2, "v", True)
        await ch.send("v")


async def test_the_index_counts_none_channels():
    ch = Chan(1)
    await ch.send(1)
    assert (await select(recv(None), recv(None), recv(ch)))[0] == 2


async def test_the_choice_among_ready_cases_is_random_and_fair():
    """Go: TestSelectFairness, TestPseudoRandomSend."""
    channels = [Chan(1) for _ in range(4)]
    hits: Counter[int] = Counter()
    rounds = 4000
    for ch in channels:
        await ch.send(None)
    for _ in range(rounds):
        index, _, _ = await select(*map(recv, channels))
        hits[index] += 1
        await channels[index].send(None)
    expected = rounds / 4  # standard deviation 27: ten of them either way
    assert all(expected - 270 < hits[i] < expected + 270 for i in range(4)), hits


async def test_random_bits_of_a_select_over_two_sends_have_no_pattern():
    """Go: TestPseudoRandomSend: neither all 0 nor all 1 nor strictly alternating."""
    ch, bits = Chan(), []

    async def reader():
        for _ in range(100):
            bits.append(await ch.recv())
        done.close()

    done = Chan()
    gopark.go(reader)
    for _ in range(100):
        await select(send(ch, 0), send(ch, 1))
    await done.recv()
    assert 20 < sum(bits) < 80
    assert 20 < sum(a != b for a, b in itertools.pairwise(bits)) < 80


# --- waiting ----------------------------------------------------------------------------------


async def test_a_select_waits_with_reason_select_and_is_woken_by_a_sender():
    a, b, got = Chan(), Chan(), Chan(1)

    async def waiter():
        await got.send(await select(recv(a), recv(b)))

    gopark.go(waiter)
    await wait_all_parked()
    assert "[select]" in gopark.runtime.stack(all=True)
    await b.send("b")
    assert await got.recv() == (1, "b", True)


async def test_a_select_that_waits_to_send_is_woken_by_a_receiver():
    a, b, got = Chan(), Chan(), Chan(1)

    async def waiter():
        await got.send(await select(send(a, "to a"), send(b, "to b")))

    gopark.go(waiter)
    await wait_all_parked()
    assert await a.recv() == "to a"
    assert await got.recv() == (0, None, False)
    assert b.try_recv() == (None, False, False)  # the other case is withdrawn


async def test_after_one_case_went_the_others_are_withdrawn():
    channels = [Chan() for _ in range(5)]
    done = Chan()

    async def waiter():
        await select(*map(recv, channels))
        done.close()

    gopark.go(waiter)
    await wait_all_parked()
    await channels[3].send("v")
    await done.recv()
    assert [ch.try_send("nobody") for ch in channels] == [False] * 5
    assert [queued(ch._recvq) for ch in channels] == [0] * 5


async def test_close_wakes_a_select_that_receives():
    a, b, got = Chan(), Chan(), Chan(1)

    async def waiter():
        await got.send(await select(recv(a), recv(b)))

    gopark.go(waiter)
    await wait_all_parked()
    a.close()
    assert await got.recv() == (0, None, False)


async def test_close_wakes_a_select_that_sends_with_the_error():
    a, b, got = Chan(), Chan(), Chan(1)

    async def waiter():
        try:
            await select(recv(a), send(b, 1))
        except ClosedChannelError as exc:
            await got.send(str(exc))

    gopark.go(waiter)
    await wait_all_parked()
    b.close()
    assert await got.recv() == "send on closed channel"
    assert a.try_send("nobody") is False


async def test_a_send_case_on_a_closed_channel_is_an_error_and_frees_all_locks():
    a, closed = Chan(), Chan()
    closed.close()
    with pytest.raises(ClosedChannelError, match=r"^send on closed channel$"):
        await select(recv(a), send(closed, 1))
    with pytest.raises(ClosedChannelError):
        await select(send(closed, 1), default=True)
    assert a.try_recv() == (None, False, False)
    assert closed.try_recv() == (None, False, True)


async def test_a_closed_channel_is_always_ready_to_receive():
    ch = Chan()
    ch.close()
    assert await select(recv(ch)) == (0, None, False)
    assert await select(recv(ch), default=True) == (0, None, False)


async def test_a_select_may_wait_on_both_ends_of_one_channel():
    """Go: chan.go's invariant about a select that both sends and receives on one channel."""
    ch, got = Chan(), Chan(2)

    async def both(name):
        await got.send((name, await select(send(ch, name), recv(ch))))

    gopark.go(both, "one")
    await wait_all_parked()  # it must not meet itself
    assert len(got) == 0
    gopark.go(both, "two")
    results = dict([await got.recv(), await got.recv()])
    sender = next(name for name, (index, _, _) in results.items() if index == 0)
    receiver = "two" if sender == "one" else "one"
    assert results[receiver] == (1, sender, True)
    assert results[sender] == (0, None, False)


async def test_many_selects_on_both_ends_pair_off_two_by_two():
    ch, got = Chan(), Chan(100)

    async def both(name):
        await got.send((name, await select(send(ch, name), recv(ch))))

    for name in range(100):
        gopark.go(both, name)
    results = dict([await got.recv() for _ in range(100)])
    received = [(name, value) for name, (index, value, _) in results.items() if index == 1]
    assert len(received) == 50
    assert {value for _, value in received} | {name for name, _ in received} == set(range(100))


async def test_one_channel_may_stand_in_several_cases():
    """Go: TestSelectDuplicateChannel."""
    ch, other, got = Chan(), Chan(), Chan(1)

    async def waiter():
        await got.send(await select(recv(ch), recv(other), recv(ch)))

    gopark.go(waiter)
    await wait_all_parked()
    await ch.send("v")
    index, value, ok = await got.recv()
    assert index in (0, 2)
    assert (value, ok) == ("v", True)
    assert ch.try_send("nobody") is False


async def test_select_with_no_cases_waits_for_ever_with_its_own_reason():
    async def forever():
        await select()

    gopark.go(forever)
    await wait_all_parked()
    assert "[select (no cases)]" in gopark.runtime.stack(all=True)


async def test_select_of_none_channels_only_waits_for_ever():
    async def forever():
        await select(recv(None), send(None, 1))

    gopark.go(forever)
    await wait_all_parked()
    assert "[select" in gopark.runtime.stack(all=True)
    assert gopark.runtime.num_goroutine() == 2


@pytest.mark.parametrize("ends", ["recv", "send"])
async def test_a_loop_of_selects_on_a_rare_channel_does_not_grow_its_queue(ends):
    """Go: TestSelectStackAdjust's worry in another form: losers leave their queues."""
    rare, busy = Chan(), Chan()
    rounds = 2000

    async def feeder():
        for n in range(rounds):
            await busy.send(n)

    gopark.go(feeder)
    longest = 0
    for _ in range(rounds):
        case = recv(rare) if ends == "recv" else send(rare, "x")
        index, _, _ = await select(case, recv(busy))
        assert index == 1
        longest = max(longest, queued(rare._recvq), queued(rare._sendq))
    assert longest <= 64


async def test_many_selects_on_a_rare_channel_do_not_grow_its_queue():
    rare = Chan()
    workers, rounds = 100, 30
    ticks = [Chan() for _ in range(workers)]
    done = Chan(workers)

    async def worker(tick):
        while True:
            index, _, ok = await select(recv(rare), recv(tick))
            if not ok:
                await done.send(index)
                return

    for tick in ticks:
        gopark.go(worker, tick)
    longest = 0
    for _ in range(rounds):
        for tick in ticks:
            await tick.send(None)
            longest = max(longest, queued(rare._recvq))
    assert longest <= 3 * workers + 64
    await wait_all_parked()
    rare.close()
    assert [await done.recv() for _ in range(workers)] == [0] * workers


async def test_a_select_that_loses_keeps_its_place_for_nobody_else():
    """A withdrawn receiver in the middle of the queue must not swallow a value."""
    ch, other = Chan(), Chan()
    got = Chan(3)

    async def plain():
        await got.send(await ch.recv())

    async def selecting():
        await select(recv(ch), recv(other))

    for waiter in (plain, selecting, plain):
        gopark.go(waiter)
        await wait_all_parked()
    await other.send(None)
    await wait_all_parked()
    await ch.send(1)
    await ch.send(2)
    assert {await got.recv(), await got.recv()} == {1, 2}
    assert ch.try_send(3) is False


# --- races ------------------------------------------------------------------------------------


async def test_selects_over_the_same_channels_in_any_order_do_not_deadlock():
    """Go: TestMultiConsumer's hazard: lock order."""
    a, b, done = Chan(), Chan(), Chan()
    rounds = 300

    async def one():
        for _ in range(rounds):
            await select(send(a, 1), send(b, 1))
        await done.send(None)

    async def other():
        for _ in range(rounds):
            await select(recv(b), recv(a))
        await done.send(None)

    for _ in range(3):
        gopark.go(one)
        gopark.go(other)
    for _ in range(6):
        await done.recv()


async def test_no_value_is_lost_or_doubled_when_selects_and_close_race():
    for seed in range(30):
        a, b, stop = Chan(), Chan(seed % 3), Chan()
        sent, got = Chan(200), Chan(200)

        async def sender(base, a=a, b=b, stop=stop, sent=sent):
            for n in range(20):
                index, _, _ = await select(send(a, base + n), send(b, base + n), recv(stop))
                if index == 2:
                    break
                await sent.send(base + n)
            await sent.send(None)

        async def receiver(a=a, b=b, got=got):
            open_channels = [a, b]
            while open_channels != [None, None]:
                index, value, ok = await select(*map(recv, open_channels))
                if ok:
                    await got.send(value)
                else:
                    open_channels[index] = None
            await got.send(None)

        for k in range(4):
            gopark.go(sender, 100 * k)
        for _ in range(3):
            gopark.go(receiver)
        for _ in range(seed):
            await gopark.gosched()
        stop.close()
        values, ended = [], 0
        while ended < 4:
            value = await sent.recv()
            ended += value is None
            values += [] if value is None else [value]
        a.close()
        b.close()
        received, ended = [], 0
        while ended < 3:
            value = await got.recv()
            ended += value is None
            received += [] if value is None else [value]
        assert sorted(received) == sorted(values)


async def test_close_and_a_waiting_select_race_to_one_outcome():
    for _ in range(100):
        ch, stop, result = Chan(), Chan(), Chan(1)

        async def waiter(ch=ch, stop=stop, result=result):
            await result.send(await select(recv(ch), recv(stop)))

        gopark.go(waiter)
        gopark.go(ch.close)
        gopark.go(stop.close)
        index, value, ok = await result.recv()
        assert index in (0, 1)
        assert (value, ok) == (None, False)


async def test_select_with_a_timeout():
    never = Chan()
    assert (await select(recv(never), recv(gopark.time.after(0.001))))[0] == 1


# --- misuse, memory, plain code ---------------------------------------------------------------


@pytest.mark.parametrize("make", [recv, lambda ch: send(ch, 1)])
@pytest.mark.parametrize("wrong", [1, "ch", Chan, object()])
def test_a_case_needs_a_channel_or_none(make, wrong):
    with pytest.raises(TypeError, match="needs a Chan or None"):
        make(wrong)


async def test_a_case_that_is_none_is_an_error_that_shows_the_right_form():
    ch = Chan(1)
    with pytest.raises(TypeError, match=r"case 1 is .*gopark\.recv\(ch\)"):
        await select(recv(ch), ch)
    assert ch.try_recv() == (None, False, False)


async def test_a_value_of_a_losing_send_case_is_kept_by_nobody():
    a, b, done = Chan(), Chan(), Chan()
    thing = Thing()
    ref = weakref.ref(thing)

    async def waiter(thing):
        await select(send(a, thing), recv(b))
        del thing
        await done.send(None)
        await Chan().recv()

    gopark.go(waiter, thing)
    del thing
    await wait_all_parked()
    await b.send(None)
    await done.recv()
    await wait_all_parked()
    gc.collect()
    assert ref() is None


async def test_a_select_in_a_plain_goroutine_works_through_block():
    a, b, got = Chan(), Chan(), Chan(1)

    def plain():
        got.try_send(gopark.block(select(recv(a), recv(b))))

    gopark.go(plain)
    await b.send("v")
    assert await got.recv() == (1, "v", True)


def test_a_select_that_would_wait_under_asyncio_is_an_error_and_harms_nothing():
    a, b = Chan(), Chan()

    async def main():
        with pytest.raises(NotOnGError, match=r"gopark\.block"):
            await select(recv(a), send(b, 1))
        with pytest.raises(NotOnGError):
            await select()
        return await select(recv(a), default=True)

    assert asyncio.run(main()) == (-1, None, False)
    assert a.try_send("nobody") is False
    assert b.try_recv() == (None, False, False)


async def test_a_select_under_asyncio_in_a_goroutine_is_an_error_and_harms_nothing():
    a, b, result = Chan(), Chan(), Chan(1)

    async def under_asyncio():
        await select(recv(a), send(b, 1))

    def plain():
        try:
            asyncio.run(under_asyncio())
        except NotOnGError as exc:
            result.try_send(type(exc))

    gopark.go(plain)
    assert await result.recv() is NotOnGError
    assert a.try_send("nobody") is False
    assert b.try_recv() == (None, False, False)


async def test_a_select_for_ever_under_asyncio_in_a_goroutine_is_an_error_and_leaves_no_wait():
    result = Chan(1)

    async def under_asyncio():
        await select()

    def plain():
        try:
            asyncio.run(under_asyncio())
        except (NotOnGError, RuntimeError) as exc:
            result.try_send((type(exc), getg().waiting))

    gopark.go(plain)
    assert await result.recv() == (NotOnGError, None)


@pytest.mark.parametrize("sends", [False, True], ids=["receive", "send"])
def test_a_value_is_nobodys_once_its_select_is_over(run, sends):
    """Not even that of the thread it has waited on, which may sleep from then on."""

    async def main():
        ch, never = Chan(), Chan()
        seen = []

        async def other():
            if sends:
                seen.append(weakref.ref(ch.try_recv()[0]))
            else:
                thing = Thing()
                seen.append(weakref.ref(thing))
                ch.try_send(thing)

        gopark.go(other)
        await select(send(ch, Thing()) if sends else recv(ch), recv(never))
        gc.collect()
        assert seen[0]() is None

    before = gopark.runtime.gomaxprocs(1)
    try:
        run(main)
    finally:
        gopark.runtime.gomaxprocs(before)


async def test_a_list_of_cases_is_told_to_be_unpacked():
    with pytest.raises(TypeError, match=r"select\(\*cases\)"):
        await select([recv(Chan()), recv(Chan())])
    with pytest.raises(TypeError, match=r"gopark\.send\(ch, v\)$"):
        await select([Chan()])
