"""semaphore.Weighted: units, first come first served, and waits that a context ends."""

from __future__ import annotations

import _thread
import copy
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gopark
from gopark import context
from gopark.sync import WaitGroup, semaphore


def units(sem: semaphore.Weighted) -> int:
    """How many can be had right now; none is while somebody waits."""
    n = 0
    while sem.try_acquire(1):
        n += 1
    if n:
        sem.release(n)
    return n


# --- x/sync's own tests -----------------------------------------------------------------------


async def test_weighted(procs):
    """Many goroutines acquire and release at random; no more is held than there is."""
    n, loops = 4, 60
    sem = semaphore.Weighted(n)
    held, mu = 0, gopark.sync.Mutex()

    async def hammer(weight):
        nonlocal held
        for _ in range(loops):
            await sem.acquire(weight)
            async with mu:
                held += weight
                assert held <= n
            await gopark.gosched()
            async with mu:
                held -= weight
            sem.release(weight)

    async with WaitGroup() as wg:
        for i in range(n):
            wg.go(hammer, i + 1)
    assert units(sem) == n


async def test_weighted_panic():
    sem = semaphore.Weighted(1)
    with pytest.raises(RuntimeError, match=r"^semaphore: released more than held"):
        sem.release(1)
    assert units(sem) == 1


async def test_weighted_try_acquire():
    sem = semaphore.Weighted(2)
    await sem.acquire(1)
    tries = [sem.try_acquire(1), sem.try_acquire(1)]
    sem.release(2)
    tries.append(sem.try_acquire(1))
    await sem.acquire(1)
    tries.append(sem.try_acquire(1))
    assert tries == [True, False, True, False]


async def test_weighted_acquire():
    """A wait that its context ends leaves the units to others."""
    sem = semaphore.Weighted(2)

    async def try_acquire(n, patience):
        with context.with_timeout(context.background(), patience) as ctx:
            try:
                await sem.acquire(n, ctx)
            except context.DeadlineExceeded:
                return False
            return True

    await sem.acquire(1)
    tries = [await try_acquire(1, 60), await try_acquire(1, 0.005)]
    sem.release(2)
    tries.append(await try_acquire(1, 60))
    await sem.acquire(1)
    tries.append(await try_acquire(1, 0.005))
    assert tries == [True, False, True, False]


async def test_weighted_doesnt_block_if_too_big():
    """One who wants more than there is waits alone: others get what is free."""
    n = 2
    sem = semaphore.Weighted(n)
    ctx, cancel = context.with_cancel(context.background())
    ended = gopark.Chan()

    async def greedy():
        try:
            await sem.acquire(n + 1, ctx)
        except context.Canceled as err:
            await ended.send(err)

    gopark.go(greedy)
    await gopark.testing.wait_all_parked()

    async def modest():
        for _ in range(n * 10):
            await sem.acquire(1)
            await gopark.gosched()
            sem.release(1)

    async with WaitGroup() as wg:
        for _ in range(n * 3):
            wg.go(modest)
    cancel()
    assert await ended.recv() == ctx.err()
    assert units(sem) == n


async def test_large_acquire_doesnt_starve(procs):
    """While small ones come and go without end, a large one gets its turn."""
    n = 8
    sem = semaphore.Weighted(n)
    running = True

    async def small():
        await sem.acquire(1)
        while running:
            await gopark.gosched()
            sem.release(1)
            await sem.acquire(1)
        sem.release(1)

    async with WaitGroup() as wg:
        for _ in range(n):
            wg.go(small)
        await sem.acquire(n)
        running = False
        sem.release(n)


async def test_alloc_cancel_doesnt_starve():
    """When the first in the queue gives up, the one behind it is served."""
    sem = semaphore.Weighted(10)
    await sem.acquire(1)
    ctx, cancel = context.with_cancel(context.background())
    ended = gopark.Chan()

    async def large():
        try:
            await sem.acquire(10, ctx)
        except context.Canceled:
            await ended.send("gave up")

    gopark.go(large)
    await gopark.testing.wait_all_parked()
    assert not sem.try_acquire(1)  # it waits behind

    async def behind():
        await sem.acquire(1)
        await ended.send("served")

    gopark.go(behind)
    await gopark.testing.wait_all_parked()
    cancel()
    assert {await ended.recv(), await ended.recv()} == {"gave up", "served"}


async def test_weighted_acquire_canceled():
    """What is done before the call ends it, even if the units are free."""
    sem = semaphore.Weighted(2)
    ctx, cancel = context.with_cancel(context.background())
    await sem.acquire(1)
    ended = gopark.Chan()

    async def wait():
        try:
            await sem.acquire(2, ctx)
        except context.Canceled as err:
            await ended.send(err)

    gopark.go(wait)
    await gopark.testing.wait_all_parked()
    cancel()
    sem.release(1)
    assert await ended.recv() == ctx.err()
    assert units(sem) == 2
    for n in (0, 1, 3):
        with pytest.raises(context.Canceled):
            await sem.acquire(n, ctx)
    assert units(sem) == 2


# --- order ------------------------------------------------------------------------------------


async def test_first_come_first_served_whatever_the_weight():
    sem = semaphore.Weighted(4)
    await sem.acquire(4)
    order = []

    async def user(n):
        await sem.acquire(n)
        order.append(n)
        await gopark.gosched()
        sem.release(n)

    weights = [4, 3, 2, 4, 3, 2]  # no two fit in together
    for n in weights:
        gopark.go(user, n)
        await gopark.testing.wait_all_parked()
    sem.release(4)
    await sem.acquire(4)
    assert order == weights


async def test_a_cancel_and_a_release_at_once_lose_no_unit(procs):
    """Whichever of the two the waiter has seen, the units are all there afterwards."""
    outcomes = {True: 0, False: 0}
    for i in range(60):
        sem = semaphore.Weighted(1)
        await sem.acquire()
        ctx, cancel = context.with_cancel(context.background())

        async def wait(sem=sem, ctx=ctx):
            try:
                await sem.acquire(1, ctx)
            except context.Canceled:
                return False
            sem.release()
            return True

        async with gopark.sync.errgroup.Group() as g:
            task = g.go(wait)
            await gopark.gosched()
            for step in (cancel, sem.release) if i % 2 else (sem.release, cancel):
                step()
        outcomes[task.result()] += 1
        assert units(sem) == 1
    if procs == 1:  # where the waiter runs after both, it is done that counts
        assert outcomes == {True: 0, False: 60}


# --- ends that nobody asked for ---------------------------------------------------------------


def test_main_returns_while_others_wait(run):
    async def main():
        sem = semaphore.Weighted(1)
        await sem.acquire()

        def plain():
            with sem:
                raise AssertionError("not reached")

        gopark.go(sem.acquire)
        gopark.go(plain)
        await gopark.testing.wait_all_parked()
        return sem

    sem = run(main)
    assert sem.try_acquire() is False
    sem.release()
    assert units(sem) == 1


def test_a_wait_that_is_interrupted_leaves_its_place(run):
    """Ctrl-C in main, while it is first in the queue: the next one is served."""
    served = []

    async def main():
        sem = semaphore.Weighted(2)
        await sem.acquire(1)

        async def next_one():
            await sem.acquire(1)
            served.append("next")

        async def interrupt():
            await gopark.testing.wait_all_parked()
            gopark.go(next_one)
            await gopark.testing.wait_all_parked()
            assert served == []
            _thread.interrupt_main()

        gopark.go(interrupt)
        try:
            await sem.acquire(2)
        except KeyboardInterrupt:
            await gopark.testing.wait_all_parked()
            assert served == ["next"]
            raise

    with pytest.raises(KeyboardInterrupt):
        run(main, outside_help=True)
    assert served == ["next"]


# --- blocks and plain code --------------------------------------------------------------------


async def test_blocks_give_back_whatever_happens():
    sem = semaphore.Weighted(5)

    async def fail():
        async with sem, sem.held(3):
            assert units(sem) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert units(sem) == 5
    ctx, cancel = context.with_cancel(context.background())
    cancel()
    with pytest.raises(context.Canceled):
        async with sem.held(1, ctx):
            raise AssertionError("not reached")
    assert units(sem) == 5


def test_plain_code(run, procs):
    def main():
        sem = semaphore.Weighted(2)
        most = active = 0
        mu = gopark.sync.Mutex()

        def work(n):
            nonlocal most, active
            with sem.held(n):
                with mu:
                    active += n
                    most = max(most, active)
                gopark.block(gopark.gosched())
                with mu:
                    active -= n
            with sem:
                pass

        with WaitGroup() as wg:
            for i in range(10):
                wg.go(work, 1 + i % 2)
        assert units(sem) == 2
        return most

    assert run(main) == 2


def test_on_a_thread_that_gopark_did_not_make():
    sem = semaphore.Weighted(1)
    assert sem.try_acquire()
    got = []

    def use():
        with sem:
            got.append("held")

    thread = threading.Thread(target=use)
    thread.start()
    sem.release()
    thread.join()
    assert got == ["held"]
    assert units(sem) == 1


def test_who_waits_shows_as_in_a_select(run, capfd):
    async def main():
        sem = semaphore.Weighted(1)
        await sem.acquire()
        await sem.acquire()

    with pytest.raises(gopark.DeadlockError):
        run(main)
    assert "goroutine 1 [select]:" in capfd.readouterr().err


# --- misuse -----------------------------------------------------------------------------------


def test_a_weight_is_an_integer_that_is_not_negative(run):
    for bad in (1.0, "1", True, None):
        with pytest.raises(TypeError, match="must be an integer"):
            semaphore.Weighted(bad)
    with pytest.raises(ValueError, match="size must not be negative, got -1"):
        semaphore.Weighted(-1)

    async def main():
        sem = semaphore.Weighted(1)
        for call in (sem.try_acquire, sem.release, sem.held, sem.acquire):
            with pytest.raises(ValueError, match="weight must not be negative"):
                await call(-1)
            with pytest.raises(TypeError, match="weight must be an integer"):
                await call(0.5)

    run(main)


def test_a_semaphore_cannot_be_copied():
    with pytest.raises(TypeError, match="must not be copied"):
        copy.copy(semaphore.Weighted(1))


async def test_repr():
    sem = semaphore.Weighted(3)
    await sem.acquire(2)
    assert repr(sem).startswith("<Weighted 2/3 at 0x")
    gopark.go(sem.acquire, 2)
    await gopark.testing.wait_all_parked()
    assert repr(sem).startswith("<Weighted 2/3 1 waiting at 0x")
    sem.release(2)


# --- against a model --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(["acquire", "try", "release", "cancel"]), st.integers(0, 6)),
        max_size=30,
    ),
)
def test_it_grants_what_a_simple_model_grants(size, steps):
    """The model: a number, and a list of who waits."""

    async def main():
        sem = semaphore.Weighted(size)
        granted: list[int] = []  # the numbers of acquires that have returned
        model: list[int] = []
        free, queue, cancels = size, [], {}

        async def acquire(i, n, ctx):
            try:
                await sem.acquire(n, ctx)
            except context.Canceled:
                return
            granted.append(i)

        def serve():
            nonlocal free
            while queue and queue[0][1] <= free:
                i, n = queue.pop(0)
                free -= n
                model.append(i)

        for i, (what, n) in enumerate(steps):
            if what == "acquire":
                ctx, cancels[i] = context.with_cancel(context.background())
                gopark.go(acquire, i, n, ctx)
                if n <= size:
                    queue.append((i, n))
            elif what == "try":
                fits = not queue and n <= free
                assert sem.try_acquire(n) is fits
                free -= n if fits else 0
            elif what == "release":
                if n <= size - free:
                    sem.release(n)
                    free += n
                else:
                    with pytest.raises(RuntimeError):
                        sem.release(n)
            elif cancels:
                i = list(cancels)[n % len(cancels)]
                cancels.pop(i)()
                queue[:] = [entry for entry in queue if entry[0] != i]
            serve()
            await gopark.testing.wait_all_parked()
            assert sorted(granted) == sorted(model)  # who of several runs first is open
        for cancel in cancels.values():
            cancel()
        await gopark.testing.wait_all_parked()

    gopark.run(main)


async def test_in_a_hurry(procs):
    """Weights, timeouts and cancels at random: never too much held, and nothing lost."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    size = 6
    sem = semaphore.Weighted(size)
    mu = gopark.sync.Mutex()
    held = 0

    async def end(cancel, patience):
        for _ in range(patience):
            await gopark.gosched()
        cancel()

    async def user(n, patience):
        nonlocal held
        ctx, cancel = context.with_cancel(context.background())
        if patience is not None:
            gopark.go(end, cancel, patience)
        try:
            async with sem.held(n, ctx):
                async with mu:
                    held += n
                    assert held <= size, seed
                await gopark.gosched()
                async with mu:
                    held -= n
        except context.Canceled:
            pass
        cancel()

    async with WaitGroup() as wg:
        for _ in range(300):
            n = rng.randrange(1, size + 2)
            wg.go(user, n, rng.randrange(100) if n > size or rng.random() < 0.3 else None)
    assert held == 0
    assert units(sem) == size, seed
