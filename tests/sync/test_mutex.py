"""Mutex: exclusion, order, the two modes, and waiters that do not come back."""

from __future__ import annotations

import copy
import pickle
import threading
from collections import deque

import pytest

import gopark
from gopark import sync
from gopark.sync import Mutex, WaitGroup, _mutex
from gopark.testing import wait_all_parked


async def test_it_is_taken_once_at_a_time():
    mu = Mutex()
    await mu.lock()
    assert not mu.try_lock()
    mu.unlock()
    assert mu.try_lock()
    mu.unlock()


async def test_who_waits_comes_in_the_order_of_arrival():
    mu, order = Mutex(), []

    async def waiter(n):
        async with mu:
            order.append(n)

    await mu.lock()
    for n in range(5):
        gopark.go(waiter, n)
        await wait_all_parked()
    mu.unlock()
    await wait_all_parked()
    assert order == [0, 1, 2, 3, 4]


def plain_increment(mu, box, times):
    for _ in range(times):
        with mu:
            before = box[0]
            gopark.block(gopark.gosched())
            box[0] = before + 1


async def increment(mu, box, times):
    for n in range(times):
        if n % 3 == 0 and mu.try_lock():
            pass
        else:
            await mu.lock()
        before = box[0]
        await gopark.gosched()
        box[0] = before + 1
        mu.unlock()


async def increment_with(mu, box, times):
    for _ in range(times):
        async with mu:
            before = box[0]
            await gopark.gosched()
            box[0] = before + 1


@pytest.mark.parametrize("starves", [_mutex.STARVES, -1.0], ids=["normal", "starvation"])
def test_nobody_else_is_inside(run, procs, monkeypatch, starves):
    """In starvation mode (forced by a threshold that everybody exceeds) as in the normal one."""
    monkeypatch.setattr(_mutex, "STARVES", starves)

    async def main():
        mu, box = Mutex(), [0]
        async with WaitGroup() as wg:
            for _ in range(4):
                wg.go(increment, mu, box, 60)
                wg.go(increment_with, mu, box, 60)
            for _ in range(2):
                wg.go(plain_increment, mu, box, 30)
        assert box == [4 * 120 + 2 * 30]
        assert mu.try_lock()

    run(main)


async def test_an_unlock_between_the_first_try_and_the_queue_is_not_lost():
    class Late(deque):
        """Somebody unlocks just after the first try has failed, and sees nobody wait."""

        def pop(self):
            try:
                return super().pop()
            except IndexError:
                self.append(None)
                raise

    mu = Mutex()
    mu._token = Late(maxlen=1)
    await mu.lock()  # or a deadlock
    assert not mu._sema.waiters
    mu.unlock()


async def test_in_normal_mode_a_newcomer_may_overtake_one_that_was_woken():
    mu, order = Mutex(), []

    async def waiter():
        async with mu:
            order.append("waiter")

    await mu.lock()
    gopark.go(waiter)
    await wait_all_parked()
    mu.unlock()
    await mu.lock()  # the waiter has been woken, and has not run yet
    order.append("newcomer")
    mu.unlock()
    await wait_all_parked()
    assert order == ["newcomer", "waiter"]


async def test_who_lost_goes_back_to_the_front(monkeypatch):
    mu, order = Mutex(), []
    monkeypatch.setattr(_mutex, "STARVES", 1000.0)

    async def waiter(n):
        async with mu:
            order.append(n)

    await mu.lock()
    for n in range(3):
        gopark.go(waiter, n)
        await wait_all_parked()
    for _ in range(5):
        mu.unlock()
        assert mu.try_lock()
        await wait_all_parked()  # waiter 0 has tried, and lost
    assert order == []
    mu.unlock()
    await wait_all_parked()
    assert order == [0, 1, 2]


async def test_one_that_has_lost_after_a_millisecond_is_handed_the_mutex(monkeypatch):
    monkeypatch.setattr(_mutex, "STARVES", -1.0)  # any wait is too long
    mu, order = Mutex(), []

    async def waiter(n):
        async with mu:
            order.append(n)

    await mu.lock()
    gopark.go(waiter, "first")
    await wait_all_parked()
    gopark.go(waiter, "second")
    await wait_all_parked()
    mu.unlock()
    assert mu.try_lock()  # the first was woken and will lose
    await wait_all_parked()
    mu.unlock()  # and is handed the mutex now
    assert not mu.try_lock()
    gopark.go(waiter, "newcomer")
    await wait_all_parked()
    assert order == ["first", "second", "newcomer"]
    assert mu.try_lock()  # the last one has ended the mode


async def test_the_mode_ends_with_a_waiter_that_did_not_wait_long(monkeypatch):
    monkeypatch.setattr(_mutex, "STARVES", -1.0)
    mu, order = Mutex(), []

    async def waiter(n):
        await mu.lock()
        order.append(n)

    await mu.lock()
    for n in range(4):
        gopark.go(waiter, n)
        await wait_all_parked()
    mu.unlock()
    assert mu.try_lock()
    await wait_all_parked()
    monkeypatch.setattr(_mutex, "STARVES", 1000.0)  # waiters from here on: a short wait
    mu.unlock()
    await wait_all_parked()
    assert order == [0]  # it starved itself, so the mode goes on
    mu.unlock()
    await wait_all_parked()
    assert order == [0, 1]  # this one did not: normal mode from here
    mu.unlock()
    assert mu.try_lock()  # so a newcomer may overtake again
    for _ in range(3):
        mu.unlock()
        await wait_all_parked()
    assert order == [0, 1, 2, 3]


async def test_the_mode_ends_with_the_last_in_the_queue(monkeypatch):
    monkeypatch.setattr(_mutex, "STARVES", -1.0)
    mu, order = Mutex(), []

    async def waiter(n):
        await mu.lock()
        order.append(n)

    await mu.lock()
    gopark.go(waiter, 0)
    await wait_all_parked()
    mu.unlock()
    assert mu.try_lock()
    await wait_all_parked()
    mu.unlock()  # handed to the only one that waits
    await wait_all_parked()
    gopark.go(waiter, 1)
    await wait_all_parked()
    mu.unlock()
    assert mu.try_lock()  # in normal mode again: this one is not handed it
    mu.unlock()
    await wait_all_parked()
    assert order == [0, 1]


async def test_another_goroutine_may_unlock():
    mu = Mutex()
    await mu.lock()
    gopark.go(mu.unlock)
    await mu.lock()
    mu.unlock()


@pytest.mark.outside_help
async def test_a_thread_that_gopark_did_not_make_may_wait_for_it():
    mu, order = Mutex(), []
    inside, end = gopark.Chan(), threading.Event()

    def foreign():
        order.append("foreign waits")
        with mu:
            order.append("foreign inside")
            gopark.block(inside.send(None))
            end.wait()

    await mu.lock()
    thread = threading.Thread(target=foreign)
    thread.start()
    while "sync.Mutex.Lock" not in gopark.runtime.stack(all=True):
        await gopark.gosched()
    order.append("unlocked")
    mu.unlock()
    await inside.recv()
    assert not mu.try_lock()
    end.set()
    await mu.lock()
    assert order == ["foreign waits", "unlocked", "foreign inside"]
    thread.join()


def test_a_mutex_is_free_to_take_where_no_program_runs():
    mu = Mutex()
    with mu:
        assert not mu.try_lock()
    gopark.block(mu.lock())
    mu.unlock()


def test_an_exception_in_the_block_unlocks_and_passes_through():
    mu = Mutex()
    with pytest.raises(ValueError, match="mine"), mu:
        raise ValueError("mine")

    async def main():
        async with mu:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        gopark.run(main)
    assert mu.try_lock()


@pytest.mark.parametrize("kind", [Mutex, sync.RWMutex, WaitGroup, sync.Once])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_refuses_to_be_copied(kind, how):
    with pytest.raises(TypeError, match=rf"sync\.{kind.__name__} must not be copied"):
        how(kind())


async def test_its_repr_says_whether_it_is_locked():
    mu = Mutex()
    assert repr(mu).startswith("<Mutex unlocked at 0x")
    async with mu:
        assert repr(mu).startswith("<Mutex locked at 0x")


# --- waiters that do not come back ------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("handed", [False, True], ids=["woken", "handed"])
@pytest.mark.parametrize("gets_it", [False, True], ids=["waiting", "gets it"])
def test_after_the_end_of_a_program_the_mutex_can_be_used_again(
    monkeypatch, plain, handed, gets_it
):
    """A waiter that the end of the program unwinds leaves no lock taken and no entry behind."""
    monkeypatch.setattr(_mutex, "STARVES", -1.0 if handed else 1000.0)
    mu = Mutex()

    async def waiter():
        async with mu:
            await gopark.select()

    def plain_waiter():
        with mu:
            gopark.block(gopark.select())

    async def main():
        await mu.lock()
        for _ in range(3):
            gopark.go(plain_waiter if plain else waiter)
        await wait_all_parked()
        if handed:
            mu.unlock()
            assert mu.try_lock()
            await wait_all_parked()  # the first has lost, and starves
        mu.unlock()
        if gets_it:
            await wait_all_parked()

    gopark.run(main)
    assert mu.try_lock()
    mu.unlock()

    async def again():
        async with WaitGroup() as wg:
            for _ in range(3):
                wg.go(increment, mu, [0], 3)

    gopark.run(again)
    assert mu.try_lock()


@pytest.mark.parametrize("handed", [False, True], ids=["woken", "handed"])
async def test_one_that_is_interrupted_after_it_was_woken_passes_that_on(
    monkeypatch, handed, interrupted
):
    monkeypatch.setattr(_mutex, "STARVES", -1.0 if handed else 1000.0)
    mu, order = Mutex(), []

    async def waiter():
        async with mu:
            order.append("next")

    def lock():
        with mu:
            order.append("not interrupted")

    await mu.lock()
    interrupt = await interrupted(lock, order)
    gopark.go(waiter)
    await wait_all_parked()
    if handed:
        mu.unlock()
        assert mu.try_lock()
        await wait_all_parked()  # the first has lost, and starves
    interrupt(mu.unlock)
    await wait_all_parked()
    assert order == ["interrupted", "next"]
    assert mu.try_lock()


async def test_waiting_where_another_loop_runs_is_an_error_that_leaves_nothing_behind():
    import asyncio

    mu = Mutex()
    await mu.lock()
    failed = gopark.Chan(1)

    def other_loop():
        try:
            asyncio.run(lock())
        except gopark.NotOnGError as error:
            gopark.block(failed.send(str(error)))

    async def lock():
        await mu.lock()

    gopark.go(other_loop)
    assert "gopark" in await failed.recv()
    mu.unlock()
    assert mu.try_lock()
