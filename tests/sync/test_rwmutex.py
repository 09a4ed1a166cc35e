"""RWMutex: who comes in when, and waiters that do not come back."""

from __future__ import annotations

import threading

import pytest

import gopark
from gopark import FatalError
from gopark.sync import RWMutex, WaitGroup
from gopark.testing import wait_all_parked


async def read(rw, order, name):
    async with rw.reader():
        order.append(name)


async def write(rw, order, name):
    async with rw:
        order.append(name)


async def test_a_writer_that_waits_keeps_new_readers_out():
    rw, order = RWMutex(), []
    await rw.rlock()
    gopark.go(write, rw, order, "writer")
    await wait_all_parked()
    assert not rw.try_rlock()
    gopark.go(read, rw, order, "reader")
    await wait_all_parked()
    assert order == []
    rw.runlock()
    await wait_all_parked()
    assert order == ["writer", "reader"]


async def test_readers_that_waited_come_in_before_the_next_writer():
    rw, order = RWMutex(), []
    await rw.lock()
    gopark.go(write, rw, order, "writer")
    await wait_all_parked()
    for _ in range(2):
        gopark.go(read, rw, order, "reader")
        await wait_all_parked()
    rw.unlock()
    await wait_all_parked()
    assert order == ["reader", "reader", "writer"]
    assert rw.try_lock()


def test_readers_that_come_and_go_do_not_starve_a_writer(run, procs):
    async def main():
        rw, over = RWMutex(), []

        async def reader():
            while not over:
                async with rw.reader():
                    await gopark.gosched()

        async with WaitGroup() as wg:
            for _ in range(4):
                wg.go(reader)
            for _ in range(20):
                async with rw:  # among readers of whom one is always inside
                    await gopark.gosched()
            over.append(True)

    run(main)


async def test_dumps_say_what_each_waits_for():
    """As in Go: the second writer waits for the mutex of the writers."""
    rw, order = RWMutex(), []
    await rw.rlock()
    for fn in (write, read, write):
        gopark.go(fn, rw, order, "")
        await wait_all_parked()
    dump = gopark.runtime.stack(all=True)
    assert "[sync.RWMutex.Lock]" in dump
    assert "[sync.RWMutex.RLock]" in dump
    assert "[sync.Mutex.Lock]" in dump
    rw.runlock()


async def test_its_repr_says_who_is_inside():
    rw = RWMutex()
    assert "unlocked" in repr(rw)
    async with rw.reader(), rw.reader():
        assert "2 reading" in repr(rw)
        assert "2 reading" in repr(rw.reader())
    async with rw:
        assert "writing" in repr(rw)


def test_to_unlock_for_writing_while_a_writer_waits_for_readers_is_fatal(run, capsys):
    async def main():
        rw = RWMutex()
        await rw.rlock()
        gopark.go(rw.lock)
        await wait_all_parked()
        rw.unlock()

    with pytest.raises(FatalError, match="sync: Unlock of unlocked RWMutex"):
        run(main)
    assert "goroutine 1 [running]" in capsys.readouterr().err


@pytest.mark.outside_help
async def test_threads_that_gopark_did_not_make_may_read_and_write():
    rw, order = RWMutex(), []

    def foreign(how, name):
        with how:
            order.append(name)

    await rw.lock()
    threads = [
        threading.Thread(target=foreign, args=(rw, "write")),
        threading.Thread(target=foreign, args=(rw.reader(), "read")),
    ]
    for thread in threads:
        thread.start()
    while gopark.runtime.num_goroutine() < 3:
        await gopark.gosched()
    await wait_all_parked()
    assert order == []
    rw.unlock()
    while len(order) < 2:
        await gopark.gosched()
    assert sorted(order) == ["read", "write"]
    for thread in threads:
        thread.join()


# --- waiters that do not come back ------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("held", ["rlock", "lock"])
@pytest.mark.parametrize("given_back", [False, True], ids=["waiting", "has just got it"])
def test_after_the_end_of_a_program_the_lock_can_be_used_again(plain, held, given_back):
    rw = RWMutex()

    async def waiter(locker):
        async with locker:
            await gopark.select()

    def plain_waiter(locker):
        with locker:
            gopark.block(gopark.select())

    async def main():
        await getattr(rw, held)()
        for locker in (rw, rw.reader(), rw, rw.reader()):
            gopark.go(plain_waiter if plain else waiter, locker)
            await wait_all_parked()
        if held == "lock":
            rw.unlock()
        else:
            rw.runlock()
        if not given_back:
            await wait_all_parked()

    gopark.run(main)
    assert rw.try_lock(), rw
    rw.unlock()
    assert rw.try_rlock()
    rw.runlock()


async def test_a_reader_that_is_interrupted_as_it_comes_in_leaves_again(interrupted):
    rw, order = RWMutex(), []

    def reader():
        with rw.reader():
            order.append("not interrupted")

    await rw.lock()
    interrupt = await interrupted(reader, order)
    interrupt(rw.unlock)
    await wait_all_parked()
    assert order == ["interrupted"]
    assert rw.try_lock()


async def test_a_writer_that_is_interrupted_as_it_comes_in_leaves_again(interrupted):
    rw, order = RWMutex(), []

    def writer():
        with rw:
            order.append("not interrupted")

    await rw.rlock()
    interrupt = await interrupted(writer, order)
    gopark.go(read, rw, order, "reader")
    gopark.go(write, rw, order, "writer")
    await wait_all_parked()
    interrupt(rw.runlock)
    await wait_all_parked()
    assert order == ["interrupted", "reader", "writer"]
    assert rw.try_lock()


async def test_waiting_where_another_loop_runs_leaves_nothing_behind():
    import asyncio

    rw = RWMutex()
    failed = gopark.Chan(2)

    def other_loop(lock):
        async def main():
            await lock()

        try:
            asyncio.run(main())
        except gopark.NotOnGError as error:
            gopark.block(failed.send(error))

    await rw.rlock()
    gopark.go(other_loop, rw.lock)
    await failed.recv()
    assert rw.try_rlock()
    rw.runlock()
    rw.runlock()
    await rw.lock()
    gopark.go(other_loop, rw.rlock)
    await failed.recv()
    rw.unlock()
    assert rw.try_lock()
