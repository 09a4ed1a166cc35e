"""Loops that are not ours: on a thread of their own, and those of somebody else."""

from __future__ import annotations

import asyncio
import threading

import pytest

import gopark
import gopark.asyncio as ga
from gopark import context

pytestmark = pytest.mark.outside_help


async def where():
    return threading.current_thread().name


async def test_another_loop_has_a_thread_of_its_own():
    loop = ga.start(factory=asyncio.new_event_loop)
    assert await ga.call(where()) == "gopark-asyncio"
    assert loop.is_running()


@pytest.mark.usefixtures("procs")
async def test_the_rules_are_the_same_there():
    ga.start(factory=asyncio.new_event_loop)
    ch = gopark.Chan()

    async def goroutine(x):
        return await ga.call(asyncio.sleep(0, x))

    async def task():
        assert await ga.go(goroutine, 5) == 5
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ga.wait(ch.recv())
        assert ch.try_send(1) is False
        gopark.go(ch.send, 7)
        return await ga.wait(ch.recv())

    assert await ga.call(task()) == 7
    with context.with_timeout(context.background(), 0.001) as ctx:
        with pytest.raises(context.DeadlineExceeded):
            await ga.call(asyncio.sleep(600), ctx)
    got = gopark.Chan()

    async def one(n):
        await got.send(await ga.call(asyncio.sleep(0, n)))

    for n in range(100):
        gopark.go(one, n)
    assert sorted([await got.recv() for _ in range(100)]) == list(range(100))


def test_it_ends_as_ours_does(run):
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def begin():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    async def main():
        ga.start(factory=asyncio.new_event_loop)
        return await ga.call(begin())

    task = run(main, outside_help=True)
    assert ended == [True]
    assert task.get_loop().is_closed()
    assert not [t for t in threading.enumerate() if t.name == "gopark-asyncio"]


async def test_a_program_has_one_loop():
    ga.start()
    with pytest.raises(RuntimeError, match="has a loop already"):
        ga.start()


async def test_a_factory_that_makes_no_loop():
    with pytest.raises(TypeError, match="needs what makes an event loop"):
        ga.start(factory=object)
    assert await ga.call(asyncio.sleep(0, 1)) == 1


def test_sys_exit_there_ends_the_program(run):
    async def leaves():
        raise SystemExit(4)

    async def main():
        ga.start(factory=asyncio.new_event_loop).set_exception_handler(lambda *_: None)
        await ga.call(leaves())

    with pytest.raises(SystemExit) as caught:
        run(main, outside_help=True)
    assert caught.value.code == 4


def test_a_loop_of_others_that_is_closed(run):
    async def grab():
        async def inner():
            return ga._host.home.get()

        return await ga.go(inner)

    asyncio.run(grab())

    async def main():
        return await ga.call(asyncio.sleep(0, 1))

    assert run(main) == 1


# --- a loop that is closed meanwhile -----------------------------------------------------------


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, ga.new_event_loop])
def test_who_waits_for_a_task_of_a_loop_that_is_closed_is_told(factory):
    got = []
    done = threading.Event()

    async def goroutine():
        try:
            await ga.call(asyncio.Event().wait())
        except RuntimeError as exc:
            got.append(str(exc))
        done.set()

    async def theirs():
        future = ga.go(goroutine)
        while len(asyncio.all_tasks()) < 2:
            await asyncio.sleep(0.001)
        return future

    loop = factory()
    future = loop.run_until_complete(theirs())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    loop.close()
    assert done.wait(30)
    assert got == ["Event loop is closed"]
    del future


def test_who_comes_after_its_end_goes_to_the_programs_loop(run):
    late, got = gopark.Chan(), []

    async def goroutine():
        gopark.go(after)

    async def after():
        await late.recv()
        got.append(await ga.call(asyncio.sleep(0, "slept")))
        await late.send(None)

    async def theirs():
        await ga.go(goroutine)

    async def main():
        await gopark.spawn(lambda: asyncio.run(theirs()))
        await late.send(None)
        await late.recv()

    run(main)
    assert got == ["slept"]
