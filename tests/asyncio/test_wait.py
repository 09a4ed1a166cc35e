"""`wait` and `aiter`: what a task waits for is neither lost nor doubled."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

import gopark
import gopark.asyncio as ga
from gopark import sync


async def call(fn, *args):
    return await ga.call(fn(*args))


@pytest.mark.usefixtures("procs")
async def test_all_that_a_goroutine_can_wait_for():
    ch, closed = gopark.Chan(1), gopark.Chan()
    closed.close()
    mu, wg = sync.Mutex(), sync.WaitGroup()

    async def task():
        await ga.wait(ch.send(1))
        assert await ga.wait(ch.recv()) == 1
        assert await ga.wait(closed.recv_ok()) == (None, False)
        assert (await ga.wait(gopark.select(gopark.recv(closed))))[0] == 0
        await ga.wait(gopark.time.sleep(0.001))
        await ga.wait(gopark.gosched())
        await ga.wait(mu.lock())
        mu.unlock()
        await ga.wait(wg.wait())

        async def several():
            await gopark.time.sleep(0.001)
            await ch.send(2)
            return await ch.recv()

        assert await ga.wait(several()) == 2

    await call(task)


@pytest.mark.usefixtures("procs")
async def test_a_value_that_comes_later():
    ch = gopark.Chan()

    async def task():
        return [await ga.wait(ch.recv()) for _ in range(20)]

    async def feed():
        for n in range(20):
            await ch.send(n)

    gopark.go(feed)
    assert await call(task) == list(range(20))


async def test_what_it_raises():
    ch = gopark.Chan()
    ch.close()

    async def task():
        with pytest.raises(gopark.ClosedChannelError):
            await ga.wait(ch.send(1))

    await call(task)


@pytest.mark.usefixtures("procs")
async def test_one_that_is_cancelled_is_off_the_queue():
    ch = gopark.Chan()

    async def task():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ga.wait(ch.recv())

    await call(task)
    assert ch.try_send("to nobody") is False


async def test_one_that_is_cancelled_before_it_began():
    ch = gopark.Chan()

    async def inner():
        await ga.wait(ch.recv())

    async def task():
        one = asyncio.create_task(inner())
        await asyncio.sleep(0)  # it has begun, and its goroutine has not
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one

    await call(task)
    assert ch.try_send("to nobody") is False


async def test_a_value_that_was_handed_over_before_the_cancel_is_returned():
    ch = gopark.Chan()

    async def inner():
        return await ga.wait(ch.recv())

    async def task():
        one = asyncio.create_task(inner())
        while not ch._recvq:
            await asyncio.sleep(0)
        assert ch.try_send("kept")
        one.cancel()
        assert await one == "kept"

    await call(task)


async def test_a_value_that_has_come_to_the_future_as_the_cancel_comes_is_returned():
    ch = gopark.Chan(1)
    await ch.send("kept")

    async def goroutine():
        return await ch.recv()

    async def inner():
        return await ga.wait(goroutine())

    async def task():
        one = asyncio.create_task(inner())
        await asyncio.sleep(0)
        while not one._fut_waiter.done():  # the loop is not left: nothing is taken from `_ready`
            await asyncio.sleep(0)
            if one.done():
                break
        one.cancel()
        assert await one == "kept"

    await call(task)


@pytest.mark.usefixtures("procs")
async def test_cleanup_after_a_cancel_may_wait():
    ch, cleaned = gopark.Chan(), []

    async def several():
        try:
            await ch.recv()
        finally:
            await gopark.time.sleep(0.001)
            cleaned.append(True)

    async def inner():
        await ga.wait(several())

    async def task():
        one = asyncio.create_task(inner())
        while not ch._recvq:
            await asyncio.sleep(0)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one

    await call(task)
    assert cleaned == [True]


@pytest.mark.usefixtures("procs")
async def test_one_that_computes_is_cancelled_at_its_next_wait():
    ch, computing = gopark.Chan(), threading.Event()

    async def several():
        computing.set()
        while computing.is_set():
            await gopark.gosched()
        await ch.recv()

    async def task():
        one = asyncio.create_task(asyncio.wait_for(ga.wait(several()), None))
        while not computing.is_set():
            await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        computing.clear()
        with pytest.raises(asyncio.CancelledError):
            await one

    await call(task)


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cap", [0, 3])
async def test_no_value_is_lost_or_doubled_whenever_the_cancels_come(seed, cap):
    rng = random.Random(seed)
    ch = gopark.Chan(cap)
    number, got = 300, []

    async def feed():
        for n in range(number):
            await ch.send(n)
            if rng.random() < 0.3:
                await gopark.gosched()
        ch.close()

    async def receiver():
        while True:
            value, ok = await ga.wait(ch.recv_ok())
            if not ok:
                return
            got.append(value)
            if rng.random() < 0.2:
                await asyncio.sleep(0)

    async def task():
        tasks = [asyncio.create_task(receiver()) for _ in range(4)]
        while not ch._closed or ch._buf:
            one = rng.choice(tasks[-4:])  # one that was handed a value goes on in spite of it
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            one.cancel()
            tasks.append(asyncio.create_task(receiver()))
        await asyncio.gather(*tasks, return_exceptions=True)

    gopark.go(feed)
    await call(task)
    assert sorted(got) == list(range(number))


@pytest.mark.usefixtures("procs")
async def test_no_lock_is_left_held_whenever_the_cancels_come():
    mu, rng = sync.Mutex(), random.Random(1)
    inside = []

    async def holder():
        await ga.wait(mu.lock())
        try:
            inside.append(None)
            assert len(inside) == 1
            await asyncio.sleep(0)
        finally:
            inside.pop()
            mu.unlock()

    async def task():
        for _ in range(60):
            tasks = [asyncio.create_task(holder()) for _ in range(4)]
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            for one in rng.sample(tasks, 2):
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await ga.wait(mu.lock())
        mu.unlock()

    await call(task)


async def test_it_takes_no_threads_and_so_cannot_starve():
    """`asyncio.to_thread(gopark.block, ...)` has one for each, of a pool that may be full."""
    chans = [gopark.Chan() for _ in range(300)]

    async def task():
        before = threading.active_count()
        waits = [asyncio.create_task(asyncio.wait_for(ga.wait(ch.recv()), None)) for ch in chans]
        while not all(ch._recvq for ch in chans):
            await asyncio.sleep(0)
        assert threading.active_count() - before < 10
        for n, ch in reversed(list(enumerate(chans))):  # the last one first
            assert ch.try_send(n)
        return await asyncio.gather(*waits)

    assert await call(task) == list(range(300))


# --- aiter -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_loop_over_a_channel():
    ch = gopark.Chan(2)

    async def feed():
        for n in range(50):
            await ch.send(n)
        ch.close()

    async def task():
        return [n async for n in ga.aiter(ch)]

    gopark.go(feed)
    assert await call(task) == list(range(50))


async def test_a_loop_over_a_closed_channel_ends_at_once():
    ch = gopark.Chan()
    ch.close()

    async def task():
        return [n async for n in ga.aiter(ch)]

    assert await call(task) == []


async def test_a_loop_over_something_else():
    with pytest.raises(TypeError, match="needs a channel"):
        ga.aiter([1, 2])


@pytest.mark.parametrize("what", [5, None, [1]])
async def test_what_cannot_be_awaited_is_refused(what):
    async def task():
        with pytest.raises(TypeError, match=r"wait\(\) needs an awaitable"):
            await ga.wait(what)

    await call(task)


@pytest.mark.parametrize("theirs", [False, True])
def test_tasks_that_await_operations_straight_are_all_told_and_leave_nothing_locked(run, theirs):
    """asyncio tells a task so a turn later, and other tasks begin waits of theirs before that."""

    async def task(a, b):
        found = await asyncio.gather(
            *(a.recv(), a.recv(), b.recv(), b.send(1)),
            gopark.select(gopark.recv(a), gopark.recv(b)),
            gopark.time.sleep(60),
            return_exceptions=True,
        )
        assert not a.try_send(1)
        assert not b.try_send(1)
        return found, await asyncio.gather(ga.wait(a.recv()), ga.wait(a.send("sent")))

    async def main():
        a, b, got = gopark.Chan(), gopark.Chan(), gopark.Chan(1)
        if theirs:
            gopark.go(lambda: got.try_send(asyncio.run(task(a, b))))
        else:
            got.try_send(await ga.call(task(a, b)))
        return await got.recv()

    told, exchanged = run(main)
    assert [type(one) for one in told] == [gopark.NotOnGError] * 6
    assert "await gopark.asyncio.wait(...)" in str(told[0])
    assert exchanged == ["sent", None]
