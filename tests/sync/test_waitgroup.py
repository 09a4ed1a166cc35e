"""WaitGroup: what counts as done, blocks, misuse, and what a dump shows of its goroutines."""

from __future__ import annotations

import functools
import re

import pytest

import gopark
from gopark._runtime.base.runtime2 import allgs, codeof
from gopark.sync import WaitGroup
from gopark.testing import wait_all_parked


async def test_wait_returns_at_once_where_nothing_counts():
    await WaitGroup().wait()


async def test_everybody_who_waits_goes_on():
    wg, order = WaitGroup(), []

    async def waiter(n):
        await wg.wait()
        order.append(n)

    wg.add(2)
    for n in range(3):
        gopark.go(waiter, n)
        await wait_all_parked()
    wg.done()
    await wait_all_parked()
    assert order == []
    wg.done()
    await wait_all_parked()
    assert sorted(order) == [0, 1, 2]


async def test_a_block_waits_at_its_end():
    done = []

    async def worker(n):
        await gopark.gosched()
        done.append(n)

    async with WaitGroup() as wg:
        for n in range(3):
            wg.go(worker, n)
    assert sorted(done) == [0, 1, 2]


async def test_a_block_that_raises_waits_all_the_same():
    done = []

    async def worker():
        await gopark.gosched()
        done.append(1)

    async def block():
        async with WaitGroup() as wg:
            wg.go(worker)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await block()
    assert done == [1]


def test_a_plain_block_waits_too(run):
    done = []

    async def worker(n):
        await gopark.gosched()
        done.append(n)

    def main():
        with WaitGroup() as wg:
            wg.go(worker, 1)
            wg.go(done.append, 2)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run(main)
    assert sorted(done) == [1, 2]


async def test_arguments_are_passed_on_and_a_decorated_coroutine_is_run(procs):
    got = []

    async def worker(a, *, b):
        await gopark.gosched()
        got.append((a, b))

    @functools.wraps(worker)
    def decorated(*args, **kwargs):
        return worker(*args, **kwargs)

    def plain(a, *, b):
        got.append((a, b))

    async with WaitGroup() as wg:
        wg.go(worker, 1, b=2)
        wg.go(plain, 3, b=4)
        wg.go(functools.partial(worker, 5), b=6)
        wg.go(lambda: decorated(7, b=8))
    assert sorted(got) == [(1, 2), (3, 4), (5, 6), (7, 8)]


@pytest.mark.parametrize(
    ("fn", "args", "message"),
    [
        (None, (), "nil func value"),
        (lambda: None, (1,), "cannot be called so"),
        (3, (), "needs a function"),
    ],
)
async def test_what_cannot_be_started_is_an_error_and_does_not_count(fn, args, message):
    wg = WaitGroup()
    with pytest.raises((TypeError, gopark.FatalError), match=message):
        wg.go(fn, *args)
    assert repr(wg).startswith("<WaitGroup 0 at")


async def test_goexit_counts_as_done(procs):
    async def leaves():
        gopark.goexit()

    def leaves_plainly():
        gopark.goexit()

    async with WaitGroup() as wg:
        wg.go(leaves)
        wg.go(leaves_plainly)


async def test_a_goroutine_that_is_locked_to_its_thread_counts(procs):
    async def locked():
        gopark.runtime.lock_os_thread()
        await gopark.gosched()
        gopark.runtime.unlock_os_thread()
        await gopark.gosched()

    async with WaitGroup() as wg:
        wg.go(locked)


async def test_the_counter_stays_what_it_was_after_the_mistake():
    wg = WaitGroup()
    with pytest.raises(RuntimeError, match="negative WaitGroup counter"):
        wg.add(-1)
    await wg.wait()


@pytest.mark.parametrize("delta", [1.0, "1", None])
def test_delta_is_an_integer(delta):
    with pytest.raises(TypeError, match="delta must be an integer"):
        WaitGroup().add(delta)


async def test_to_use_it_again_before_wait_has_returned_is_an_error():
    wg, errors = WaitGroup(), []

    async def waiter():
        try:
            await wg.wait()
        except RuntimeError as error:
            errors.append(str(error))

    wg.add(1)
    gopark.go(waiter)
    await wait_all_parked()
    wg.done()  # the waiter is woken, and has not run yet
    wg.add(1)
    await wait_all_parked()
    assert errors == ["sync: WaitGroup is reused before previous Wait has returned"]


async def test_a_dump_shows_the_users_frames_and_where_it_was_started(procs):
    wg, ch = WaitGroup(), gopark.Chan()

    async def coroutine():
        await ch.recv()

    def plain():
        gopark.block(ch.recv())

    wg.go(coroutine)
    wg.go(plain)
    gopark.go(wg.wait)
    await wait_all_parked()
    dump = gopark.runtime.stack(all=True)
    where = r"created by \S+test_a_dump\w+ in goroutine 1\n\t\S+test_waitgroup\.py:\d+\n"
    name = r"\S+test_a_dump\w+"
    for fn in ("coroutine", "plain"):
        assert re.search(
            rf"\[chan receive\]:\n{name}\.{fn}\(\.\.\.\)\n\t\S+test_waitgroup\.py:\d+\n{where}",
            dump,
        )
    assert "[sync.WaitGroup.Wait]" in dump
    ch.close()
    await wg.wait()


async def test_a_dump_shows_one_that_runs_nothing_but_our_function():
    wg, ch = WaitGroup(), gopark.Chan()
    wg.go(ch.recv)
    await wait_all_parked()
    assert "[chan receive]:\ngopark.Chan.recv(...)\n" in gopark.runtime.stack(all=True)
    ch.close()
    await wg.wait()


async def test_the_runtime_knows_its_goroutines_by_the_users_code():
    """Or one that computes would have sysmon hold back all that were started so."""
    wg, ch = WaitGroup(), gopark.Chan()

    async def coroutine():
        await ch.recv()

    def plain():
        gopark.block(ch.recv())

    wg.go(coroutine)
    wg.go(plain)
    await wait_all_parked()
    codes = {codeof(g) for g in allgs}
    assert {coroutine.__code__, plain.__code__} <= codes
    ch.close()
    await wg.wait()


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("begun", [False, True])
def test_the_end_of_a_program_leaves_nothing_waiting(recwarn, plain, begun):
    wg = WaitGroup()

    async def coroutine():
        await gopark.select()

    def plainly():
        gopark.block(gopark.select())

    async def main():
        for _ in range(3):
            wg.go(plainly if plain else coroutine)
        gopark.go(wg.wait)
        if begun:
            await wait_all_parked()

    gopark.run(main)
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_what_never_began_when_its_program_ended_is_done(recwarn, plain):
    """Who waits in the next program, or on a thread of its own, would wait for ever."""
    wg, ran = WaitGroup(), []

    async def coroutine():
        ran.append(1)

    def plainly():
        ran.append(1)

    async def main():
        for _ in range(3):
            wg.go(plainly if plain else coroutine)

    before = gopark.runtime.gomaxprocs(1)  # on another one they may begin
    try:
        gopark.run(main)
    finally:
        gopark.runtime.gomaxprocs(before)
    gopark.run(wg.wait)
    assert ran == []
    assert [str(w.message) for w in recwarn] == []


def test_waiting_on_a_thread_of_ones_own():
    wg, done = WaitGroup(), []
    wg.go(done.append, 1)
    gopark.block(wg.wait())
    assert done == [1]
