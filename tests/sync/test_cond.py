"""Cond: its lockers, plain code, and waiters that do not come back."""

from __future__ import annotations

import copy
import pickle

import pytest

import gopark
from gopark import FatalError
from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.runtime2 import allgs
from gopark._runtime.signal.preempt import wakewith
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup
from gopark.testing import wait_all_parked

LOCKERS = {
    "mutex": Mutex,
    "rwmutex": RWMutex,
    "reader": lambda: RWMutex().reader(),
}


class Boom(Exception):
    pass


lockers = pytest.mark.parametrize("make", LOCKERS.values(), ids=LOCKERS)


async def waiter(cond, order, name):
    async with cond.locker:
        await cond.wait()
        order.append(name)


def plain_waiter(cond, order, name):
    with cond.locker:
        gopark.block(cond.wait())
        order.append(name)


@lockers
async def test_it_works_with_every_locker_in_async_and_in_plain_code(procs, make):
    cond, order = Cond(make()), []
    for n in range(4):
        gopark.go(plain_waiter if n % 2 else waiter, cond, order, n)
        await wait_all_parked()
    assert gopark.runtime.stack(all=True).count("[sync.Cond.Wait]") == 4
    cond.signal()
    await wait_all_parked()
    assert order == [0]
    cond.broadcast()
    await wait_all_parked()
    assert sorted(order) == [0, 1, 2, 3]


def test_any_locker_will_do(run):
    class Logged:
        def __init__(self):
            self.mu, self.log = Mutex(), []

        async def lock(self):
            await self.mu.lock()
            self.log.append("lock")

        def unlock(self):
            self.log.append("unlock")
            self.mu.unlock()

    async def main():
        cond = Cond(Logged())
        await cond.locker.lock()
        gopark.go(cond.signal)
        await cond.wait()
        cond.locker.unlock()
        assert cond.locker.log == ["lock", "unlock", "lock", "unlock"]

    run(main)


def test_a_queue_between_producers_and_consumers(run, procs):
    async def main():
        cond, queue, got = Cond(Mutex()), [], []

        async def produce(start):
            for n in range(start, start + 50):
                async with cond.locker:
                    while len(queue) >= 3:
                        await cond.wait()
                    queue.append(n)
                    cond.broadcast()

        async def consume():
            for _ in range(50):
                async with cond.locker:
                    while not queue:
                        await cond.wait()
                    got.append(queue.pop(0))
                    cond.broadcast()

        async with WaitGroup() as wg:
            for n in range(3):
                wg.go(produce, n * 50)
                wg.go(consume if n else lambda: gopark.block(consume()))
        assert sorted(got) == list(range(150))

    run(main)


@pytest.mark.parametrize("how", ["signal", "broadcast"])
async def test_a_signal_between_its_unlocking_and_its_sleep_is_not_lost(how):
    class Quick:
        """Somebody signals just after the waiter has unlocked."""

        mu = Mutex()

        def lock(self):
            return self.mu.lock()

        def unlock(self):
            self.mu.unlock()
            getattr(cond, how)()

    cond = Cond(Quick())
    await cond.locker.lock()
    await cond.wait()  # or a deadlock
    assert not Quick.mu.try_lock()


def test_to_wait_without_the_lock_is_fatal(run, capsys):
    async def main():
        await Cond(Mutex()).wait()

    with pytest.raises(FatalError, match="sync: unlock of unlocked mutex"):
        run(main)
    assert "test_to_wait_without_the_lock_is_fatal.main(...)" in capsys.readouterr().err


def test_one_that_fails_to_unlock_is_not_signalled(run):
    class Broken:
        async def lock(self):
            raise AssertionError("it was not unlocked")

        def unlock(self):
            raise ValueError("broken")

    async def main():
        cond = Cond(Broken())
        with pytest.raises(ValueError, match="broken"):
            await cond.wait()
        assert "0 waiting" in repr(cond)

    run(main)


def test_a_copy_made_before_it_was_used_is_one_of_its_own():
    cond = Cond(Mutex())
    copied = copy.copy(cond)
    cond.signal()
    copied.signal()
    with pytest.raises(TypeError, match=r"sync\.Cond must not be copied"):
        pickle.dumps(cond)


# --- waiters that do not come back ------------------------------------------------------------


@lockers
async def test_one_that_is_interrupted_has_the_lock_when_it_goes_on(make, interrupted):
    """The block around `wait` unlocks, so it must be locked."""
    cond, order = Cond(make()), []
    interrupt = await interrupted(lambda: plain_waiter(cond, order, "went on"), order)
    gopark.go(waiter, cond, order, "next")
    await wait_all_parked()
    interrupt(cond.signal)  # its signal goes to the next
    await wait_all_parked()
    assert order == ["interrupted", "next"]
    assert cond.locker.try_lock()


async def test_one_that_is_interrupted_as_it_locks_again_locks_all_the_same(interrupted):
    mu, order = Mutex(), []
    cond = Cond(mu)
    interrupt = await interrupted(lambda: plain_waiter(cond, order, "went on"), order)
    await mu.lock()
    cond.signal()
    await wait_all_parked()
    assert "[sync.Mutex.Lock]" in gopark.runtime.stack(all=True)
    interrupt(mu.unlock)
    await wait_all_parked()
    assert order == ["interrupted"]
    assert mu.try_lock()


@lockers
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("signalled", [False, True])
def test_the_end_of_a_program_finds_the_lock_taken_and_leaves_it_free(
    run, capsys, make, plain, signalled
):
    cond, found = Cond(make()), []

    async def waits():
        async with cond.locker:
            try:
                await cond.wait()
            finally:
                found.append(repr(cond.locker))

    def waits_plainly():
        with cond.locker:
            try:
                gopark.block(cond.wait())
            finally:
                found.append(repr(cond.locker))

    async def main():
        gopark.go(waits_plainly if plain else waits)
        await wait_all_parked()
        if signalled:
            cond.signal()

    run(main)
    assert len(found) == 1
    assert "unlocked" not in found[0]
    assert cond.locker.try_lock()
    assert "0 waiting" in repr(cond)
    assert capsys.readouterr().err == ""


async def test_waiting_where_another_loop_runs_leaves_nothing_behind():
    import asyncio

    cond, failed = Cond(Mutex()), gopark.Chan(1)

    async def wait():
        async with cond.locker:
            await cond.wait()

    def other_loop():
        try:
            asyncio.run(wait())
        except gopark.NotOnGError as error:
            gopark.block(failed.send(error))

    gopark.go(other_loop)
    await failed.recv()
    assert "0 waiting" in repr(cond)
    assert cond.locker.try_lock()


@lockers
@pytest.mark.parametrize("error", [KeyboardInterrupt, Boom])
async def test_what_is_raised_in_the_wait_for_the_lock_is_raised_with_the_lock_taken(make, error):
    """By Ctrl-C or a signal handler. The block would give back what another one holds."""
    cond, told = Cond(make()), []

    async def waits():
        async with cond.locker:
            try:
                await cond.wait()
            except error:
                told.append(holds)

    before = set(allgs)
    gopark.go(waits)
    await wait_all_parked()
    (g,) = allgs - before
    await cond.locker.lock() if make is not LOCKERS["reader"] else await cond.locker.rw.lock()
    holds = True
    cond.signal()
    await wait_all_parked()
    assert wakewith(g, error())
    await wait_all_parked()
    assert told == []
    holds = False
    cond.locker.unlock() if make is not LOCKERS["reader"] else cond.locker.rw.unlock()
    await wait_all_parked()
    assert told == [False]
    assert cond.locker.try_lock()


async def test_one_that_cannot_wait_has_its_lock_again(monkeypatch):
    """It has unlocked, and only then is told so."""
    cond = Cond(Mutex())

    def refuse(mu):
        monkeypatch.undo()
        raise AmidRuntime

    monkeypatch.setattr("gopark.sync._cond.lock", refuse)
    with pytest.raises(AmidRuntime):
        async with cond.locker:
            await cond.wait()
    assert cond.locker.try_lock()
    assert "0 waiting" in repr(cond)
