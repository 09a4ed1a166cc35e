"""Channels, to the letter of Go's rules."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

import gopark
from gopark import Chan, ClosedChannelError, NotOnGError, block, recv, select, send
from gopark._runtime.base.runtime2 import GRUNNING, tls
from gopark._runtime.sched import lockedm
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.usefixtures("procs")


class Thing:
    """Something a weak reference can watch."""


# --- rendezvous and buffers -------------------------------------------------------------------


async def test_a_send_on_an_unbuffered_channel_waits_for_its_receiver():
    """Go: a send on an unbuffered channel completes only with a receive."""
    ch, done = Chan(), []

    async def sender():
        await ch.send("value")
        done.append("sent")

    gopark.go(sender)
    await wait_all_parked()
    assert done == []
    assert "[chan send]" in gopark.runtime.stack(all=True)
    assert await ch.recv() == "value"
    await wait_all_parked()
    assert done == ["sent"]


async def test_a_receive_on_an_empty_channel_waits_for_its_sender():
    ch, got = Chan(), []

    async def receiver():
        got.append(await ch.recv())

    gopark.go(receiver)
    await wait_all_parked()
    assert got == []
    assert "[chan receive]" in gopark.runtime.stack(all=True)
    await ch.send(1)
    await wait_all_parked()
    assert got == [1]


@pytest.mark.parametrize("capacity", [1, 2, 7])
async def test_a_buffer_takes_exactly_its_capacity_without_a_receiver(capacity):
    """Go: TestChan (chan_test.go), buffered channels do not block before they are full."""
    ch = Chan(capacity)
    assert ch.cap == capacity
    for n in range(capacity):
        assert len(ch) == n
        await ch.send(n)
    assert len(ch) == capacity
    assert ch.try_send("one too many") is False

    sent = []

    async def sender():
        await ch.send(capacity)
        sent.append(True)

    gopark.go(sender)
    await wait_all_parked()
    assert not sent
    assert [await ch.recv() for _ in range(capacity + 1)] == list(range(capacity + 1))
    await wait_all_parked()
    assert sent
    assert len(ch) == 0


async def test_the_waiting_senders_value_enters_the_buffer_as_room_appears():
    ch = Chan(1)
    await ch.send("first")
    gopark.go(ch.send, "second")
    await wait_all_parked()
    assert await ch.recv() == "first"
    assert len(ch) == 1  # at once, not when the sender gets to run
    assert ch.try_recv() == ("second", True, True)


@pytest.mark.parametrize("capacity", [0, 1, 3])
async def test_values_arrive_in_the_order_one_goroutine_sent_them(capacity):
    """Go: TestPseudoRandomSend's channels and the language's memory model: FIFO."""
    ch = Chan(capacity)

    async def sender():
        for n in range(200):
            await ch.send(n)
        ch.close()

    gopark.go(sender)
    assert [v async for v in ch] == list(range(200))


async def test_waiting_receivers_are_served_first_come_first_served():
    ch, order = Chan(), Chan(10)

    async def receiver(name):
        value = await ch.recv()
        await order.send((name, value))

    for name in range(5):
        gopark.go(receiver, name)
        await wait_all_parked()
    for value in range(5):
        await ch.send(value)
    assert sorted([await order.recv() for _ in range(5)]) == [(n, n) for n in range(5)]


async def test_waiting_senders_are_served_first_come_first_served():
    ch = Chan()
    for value in range(5):
        gopark.go(ch.send, value)
        await wait_all_parked()
    assert [await ch.recv() for _ in range(5)] == list(range(5))


async def test_a_value_goes_straight_to_the_waiting_receiver_and_nobody_can_snatch_it():
    """Go: send hands the value to the dequeued sudog, never through the buffer."""
    ch, got = Chan(1), []

    async def receiver():
        got.append(await ch.recv())

    gopark.go(receiver)
    await wait_all_parked()
    assert ch.try_send("for the one who waits")
    assert len(ch) == 0
    assert ch.try_recv() == (None, False, False)
    await wait_all_parked()
    assert got == ["for the one who waits"]


async def test_none_and_falsy_values_travel_like_all_others():
    ch = Chan(4)
    for value in (None, 0, "", False):
        await ch.send(value)
    ch.close()
    assert [await ch.recv_ok() for _ in range(5)] == [
        (None, True),
        (0, True),
        ("", True),
        (False, True),
        (None, False),
    ]


async def test_a_channel_of_channels_carries_replies():
    requests = Chan()

    async def server():
        async for value, reply in requests:
            await reply.send(value * 2)

    gopark.go(server)
    for n in range(10):
        reply = Chan()
        await requests.send((n, reply))
        assert await reply.recv() == 2 * n
    requests.close()


async def test_prime_sieve():
    """Go: test/chan/sieve1.go."""

    async def generate(ch):
        n = 2
        while True:
            await ch.send(n)
            n += 1

    async def filtered(source, sink, prime):
        while True:
            n = await source.recv()
            if n % prime:
                await sink.send(n)

    ch, primes = Chan(), []
    gopark.go(generate, ch)
    for _ in range(15):
        prime = await ch.recv()
        primes.append(prime)
        following = Chan()
        gopark.go(filtered, ch, following, prime)
        ch = following
    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]


# --- close ------------------------------------------------------------------------------------


async def test_close_wakes_every_waiting_receiver():
    """Go: closechan (chan.go) releases all receivers, and each sees the end."""
    jobs, ends = Chan(), Chan(10)

    async def receiver():
        await ends.send(await jobs.recv_ok())

    for _ in range(10):
        gopark.go(receiver)
    await wait_all_parked()
    jobs.close()
    assert [await ends.recv() for _ in range(10)] == [(None, False)] * 10


@pytest.mark.parametrize("capacity", [0, 2])
async def test_close_wakes_every_waiting_sender_with_the_error(capacity):
    """Go: a sender blocked on a channel that is closed panics."""
    ch, errors = Chan(capacity), Chan(10)
    for n in range(capacity):
        await ch.send(n)

    async def sender():
        try:
            await ch.send("late")
        except ClosedChannelError as exc:
            await errors.send(str(exc))

    for _ in range(5):
        gopark.go(sender)
    await wait_all_parked()
    ch.close()
    assert [await errors.recv() for _ in range(5)] == ["send on closed channel"] * 5
    assert [v async for v in ch] == list(range(capacity))


async def test_a_closed_channel_gives_what_it_holds_and_then_the_end_for_ever():
    ch = Chan(3)
    for n in range(3):
        await ch.send(n)
    ch.close()
    assert [await ch.recv_ok() for _ in range(3)] == [(0, True), (1, True), (2, True)]
    for _ in range(3):
        assert await ch.recv_ok() == (None, False)
        assert await ch.recv() is None
        assert ch.try_recv() == (None, False, True)


async def test_send_on_a_closed_channel_is_an_error_with_gos_words():
    ch = Chan(1)
    ch.close()
    with pytest.raises(ClosedChannelError) as caught:
        await ch.send(1)
    assert str(caught.value) == "send on closed channel"
    with pytest.raises(ClosedChannelError) as caught:
        ch.try_send(1)
    assert str(caught.value) == "send on closed channel"


async def test_a_second_close_is_an_error_with_gos_words():
    ch = Chan()
    ch.close()
    with pytest.raises(ClosedChannelError) as caught:
        ch.close()
    assert str(caught.value) == "close of closed channel"
    assert ch.try_recv() == (None, False, True)  # the failed close has harmed nothing


async def test_a_failed_send_leaves_the_channel_usable():
    ch = Chan(2)
    await ch.send("kept")
    ch.close()
    for _ in range(3):
        with pytest.raises(ClosedChannelError):
            await ch.send("refused")
    assert [v async for v in ch] == ["kept"]


async def test_close_from_inside_a_loop_over_the_channel_ends_it():
    ch = Chan(5)
    for n in range(3):
        await ch.send(n)
    seen = []
    async for value in ch:
        seen.append(value)
        if value == 1:
            ch.close()
    assert seen == [0, 1, 2]


# --- without waiting --------------------------------------------------------------------------


async def test_try_send_and_try_recv_never_wait():
    """Go: TestNonblockRecvRace's operations: select with one case and a default."""
    ch = Chan()
    assert ch.try_send(1) is False
    assert ch.try_recv() == (None, False, False)
    gopark.go(ch.send, "waiting")
    await wait_all_parked()
    assert ch.try_recv() == ("waiting", True, True)
    got = []

    async def receiver():
        got.append(await ch.recv())

    gopark.go(receiver)
    await wait_all_parked()
    assert ch.try_send("taken") is True
    await wait_all_parked()
    assert got == ["taken"]


def test_channels_work_without_waiting_where_no_goroutine_runs():
    ch = Chan(1)
    assert ch.try_send("a")
    assert not ch.try_send("b")
    assert ch.try_recv() == ("a", True, True)
    ch.close()
    assert ch.try_recv() == (None, False, True)


# --- loops ------------------------------------------------------------------------------------


async def test_async_for_reads_until_the_channel_is_closed_and_empty():
    """Go: for v := range ch."""
    ch = Chan(2)

    async def sender():
        for n in range(10):
            await ch.send(n)
        ch.close()

    gopark.go(sender)
    assert [v async for v in ch] == list(range(10))
    assert [v async for v in ch] == []


async def test_for_in_a_plain_goroutine_reads_until_the_channel_is_closed():
    ch, result = Chan(2), Chan(1)

    def reader():
        result.try_send(list(ch))

    gopark.go(reader)
    for n in range(10):
        await ch.send(n)
    ch.close()
    assert await result.recv() == list(range(10))


async def test_leaving_a_loop_early_loses_no_value():
    ch = Chan(5)
    for n in range(5):
        await ch.send(n)
    async for value in ch:
        if value == 1:
            break
    assert [ch.try_recv()[0] for _ in range(3)] == [2, 3, 4]


# --- the constructor, len, repr ---------------------------------------------------------------


@pytest.mark.parametrize("capacity", [-1, -(10**30)])
def test_a_negative_capacity_is_refused_with_gos_words(capacity):
    with pytest.raises(ValueError, match="makechan: size out of range"):
        Chan(capacity)


@pytest.mark.parametrize("capacity", [1.0, "1", None, True, False, [1], float("nan")])
def test_a_capacity_that_is_no_integer_is_refused(capacity):
    with pytest.raises(TypeError, match="integer"):
        Chan(capacity)


def test_a_channel_is_true_even_when_empty():
    """`if ch` asks for a channel or None, not for values."""
    assert Chan()
    assert Chan(3)
    ch = Chan()
    ch.close()
    assert ch


def test_repr_shows_fill_capacity_and_closed():
    ch = Chan(3)
    ch.try_send(1)
    assert repr(ch).startswith("<Chan 1/3 at 0x")
    ch.close()
    assert repr(ch).startswith("<Chan 1/3 closed at 0x")


def test_a_channel_takes_a_type_in_brackets():
    assert Chan[int](2).cap == 2


def test_capacity_is_keyword_or_positional():
    assert Chan(capacity=2).cap == Chan(2).cap == 2


# --- many waiters -----------------------------------------------------------------------------


async def test_a_thousand_receivers_get_a_thousand_values_once_each():
    ch, got = Chan(), Chan(1000)

    async def receiver():
        await got.send(await ch.recv())

    for _ in range(1000):
        gopark.go(receiver)
    for n in range(1000):
        await ch.send(n)
    assert sorted([await got.recv() for _ in range(1000)]) == list(range(1000))


async def test_fan_in_from_many_senders_of_both_kinds_loses_nothing():
    """Go: TestChanSendBarrier's shape: many senders, one receiver."""
    ch = Chan(3)

    async def sender(base):
        for n in range(100):
            await ch.send(base + n)

    def plain_sender(base):
        for n in range(100):
            gopark.block(ch.send(base + n))

    for k in range(5):
        gopark.go(sender, k * 100)
        gopark.go(plain_sender, (k + 5) * 100)
    got = [await ch.recv() for _ in range(1000)]
    assert sorted(got) == list(range(1000))
    for k in range(10):
        assert [v for v in got if v // 100 == k] == list(range(k * 100, k * 100 + 100))


# --- what a channel keeps alive ---------------------------------------------------------------


async def test_a_received_value_is_kept_by_nobody():
    ch = Chan()
    thing = Thing()
    ref = weakref.ref(thing)
    gopark.go(ch.send, thing)
    del thing
    received = await ch.recv()
    assert ref() is received
    del received
    await wait_all_parked()
    gc.collect()
    assert ref() is None


async def test_a_receiver_that_was_handed_a_value_keeps_it_no_longer_than_its_variable():
    ch, seen = Chan(), Chan(1)

    async def receiver():
        thing = await ch.recv()
        ref = weakref.ref(thing)
        del thing
        await seen.send(ref)
        await Chan().recv()  # parked for good: its G must hold nothing of the first wait

    gopark.go(receiver)
    await wait_all_parked()
    await ch.send(Thing())
    ref = await seen.recv()
    await wait_all_parked()
    gc.collect()
    assert ref() is None


async def test_a_forgotten_channel_goes_with_its_values():
    ch = Chan(2)
    thing = Thing()
    ref = weakref.ref(thing)
    await ch.send(thing)
    del ch, thing
    gc.collect()
    assert ref() is None


# --- where no goroutine runs ------------------------------------------------------------------


def test_waiting_under_asyncio_is_an_error_that_names_the_remedy_and_harms_nothing():
    ch, full = Chan(), Chan(1)
    full.try_send("first")

    async def main():
        with pytest.raises(NotOnGError, match=r"gopark\.block"):
            await ch.recv()
        with pytest.raises(NotOnGError, match=r"gopark\.block"):
            await ch.recv_ok()
        with pytest.raises(NotOnGError, match="try_send"):
            await ch.send("nobody there")
        with pytest.raises(NotOnGError):
            await full.send("second")
        with pytest.raises(NotOnGError):
            async for _ in ch:
                pass

    asyncio.run(main())
    assert ch.try_send("lost") is False  # no receiver was left in the queue
    assert ch.try_recv() == (None, False, False)
    assert full.try_recv() == ("first", True, True)
    assert full.try_recv() == (None, False, False)
    ch.close()


def test_what_need_not_wait_works_under_asyncio():
    async def main():
        ch = Chan(1)
        await ch.send("a")
        value = await ch.recv()
        ch.close()
        return value, [v async for v in ch]

    assert asyncio.run(main()) == ("a", [])


async def test_waiting_under_asyncio_inside_a_goroutine_is_an_error_and_harms_nothing():
    """asyncio.run in a plain goroutine: the wait belongs to no scheduler of ours."""
    ch, result = Chan(), Chan(1)

    async def under_asyncio():
        await ch.recv()

    def plain():
        try:
            asyncio.run(under_asyncio())
        except NotOnGError as exc:
            result.try_send(str(exc))

    gopark.go(plain)
    text = await result.recv()
    assert "gopark.block" in text
    assert ch.try_send("nobody waits") is False
    gopark.go(ch.send, "works")
    assert await ch.recv() == "works"


@pytest.mark.outside_help
async def test_a_python_thread_and_a_goroutine_talk_over_a_channel():
    there, back = Chan(), Chan()

    def thread():
        for value in there:
            gopark.block(back.send(value + 1))
        back.close()

    t = threading.Thread(target=thread)
    t.start()
    for n in range(20):
        await there.send(n)
        assert await back.recv() == n + 1
    there.close()
    assert await back.recv_ok() == (None, False)
    gopark.cgo.call(t.join)


@pytest.mark.outside_help
async def test_a_wait_under_another_loop_may_be_met_as_it_is_undone():
    """The lock is free before the receiver is off the queue: a sender may be quicker."""
    ch, sent, outcome = Chan(), [], Chan(1)

    def sender():
        sent.append(ch.try_send("met"))

    def plain():
        m = tls.m
        coro = ch.recv()
        coro.send(None)  # as a loop that is not ours
        unlockf = m.waitunlockf

        def met(_):
            unlockf(None)
            thread = threading.Thread(target=sender)
            thread.start()
            thread.join()

        m.waitunlockf = met
        with pytest.raises(StopIteration) as done:
            coro.throw(RuntimeError("bad yield"))
        outcome.try_send((m.curg.status, done.value.value))

    gopark.go(plain)
    assert await outcome.recv() == (GRUNNING, "met")
    assert sent == [True]
    gopark.go(ch.send, "next")
    assert await ch.recv() == "next"


@pytest.mark.parametrize(
    ("wait", "partner", "result"),
    [
        (lambda ch: ch.recv(), lambda ch: ch.try_send("v"), "v"),
        (lambda ch: ch.recv(), lambda ch: ch.close(), None),
        (lambda ch: ch.recv_ok(), lambda ch: ch.try_send("v"), ("v", True)),
        (lambda ch: ch.recv_ok(), lambda ch: ch.close(), (None, False)),
        (lambda ch: ch.send("v"), lambda ch: ch.try_recv(), None),
        (lambda ch: select(recv(ch)), lambda ch: ch.try_send("v"), (0, "v", True)),
        (lambda ch: select(send(ch, "v")), lambda ch: ch.try_recv(), (0, None, False)),
    ],
)
async def test_what_comes_before_a_wait_under_asyncio_is_undone_is_not_lost(
    monkeypatch, wait, partner, result
):
    ch = Chan()
    undo, came = lockedm._takeoff, []

    def late(sched, g):
        if not came:
            came.append(partner(ch))
        return undo(sched, g)

    async def under_asyncio():
        return await wait(ch)

    monkeypatch.setattr(lockedm, "_takeoff", late)
    done = Chan()

    def foreign():
        block(done.send(asyncio.run(under_asyncio())))

    gopark.go(foreign)
    assert await done.recv() == result
    assert came[0] in (True, ("v", True, True), None)


async def test_a_close_that_comes_before_a_send_under_asyncio_is_undone_is_told(monkeypatch):
    ch, told = Chan(), Chan()
    undo = lockedm._takeoff

    def late(sched, g):
        if not ch._closed:
            ch.close()
        return undo(sched, g)

    async def under_asyncio():
        with pytest.raises(ClosedChannelError):
            await ch.send("v")

    monkeypatch.setattr(lockedm, "_takeoff", late)

    def foreign():
        asyncio.run(under_asyncio())
        told.close()

    gopark.go(foreign)
    await told.recv()
