"""Scopes and tasks of asyncio: a scope ends waits of goroutines, and is refused to tasks."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

import gopark
import gopark.asyncio as ga
from gopark import context
from gopark.sync import errgroup


async def on_the_programs(task):
    await ga.call(task())


async def on_one_of_ours(task):
    await gopark.spawn(plain, task, ga.new_event_loop)


async def on_asyncios(task):
    await gopark.spawn(plain, task, asyncio.new_event_loop)


async def on_a_thread(task):
    ga.start(factory=asyncio.new_event_loop)
    await ga.call(task())


def plain(task, factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(task())


HERE = (on_the_programs, on_one_of_ours, on_asyncios)
goroutines = pytest.mark.parametrize("on", HERE, ids=lambda fn: fn.__name__)
loops = pytest.mark.parametrize(
    "on",
    [*HERE, pytest.param(on_a_thread, marks=pytest.mark.outside_help)],
    ids=lambda fn: fn.__name__,
)


@contextlib.contextmanager
def limit():
    with gopark.timeout(0.001):
        yield


@loops
@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: gopark.timeout(0.001), "use asyncio.timeout there"),
        (lambda: context.scope(context.background()), "use asyncio.timeout or task.cancel()"),
        (context.shield, "use asyncio.shield there"),
        (lambda: errgroup.Group(cancel=True), "use asyncio.TaskGroup there"),
        (limit, "use asyncio.timeout there"),
    ],
    ids=["timeout", "scope", "shield", "group", "contextmanager"],
)
async def test_a_task_is_refused_one_and_told_what_to_use(on, make, remedy):
    async def task():
        with pytest.raises(gopark.NotOnGError, match=re.escape(remedy)) as info, make():
            await asyncio.sleep(60)
        assert "gopark.asyncio.go(fn)" in str(info.value)
        if make is not limit:
            with pytest.raises(gopark.NotOnGError, match=re.escape(remedy)):
                async with make():
                    await asyncio.sleep(60)
        await asyncio.sleep(0.002)  # and the loop goes on
        assert context.current() is context.background()

    await on(task)


@loops
async def test_nor_is_what_it_awaits(on):
    async def inner():
        with gopark.timeout(0.001):
            await asyncio.sleep(60)

    async def rows():
        with gopark.timeout(0.001):
            yield await asyncio.sleep(60)

    async def task():
        with pytest.raises(gopark.NotOnGError, match=r"asyncio\.timeout"):
            await inner()
        with pytest.raises(gopark.NotOnGError, match=r"asyncio\.timeout"):
            await asyncio.create_task(inner())
        with pytest.raises(gopark.NotOnGError, match=r"asyncio\.timeout"):
            await anext(rows())
        async with contextlib.AsyncExitStack() as stack:
            with pytest.raises(gopark.NotOnGError, match=r"asyncio\.timeout"):
                await stack.enter_async_context(gopark.timeout(1))
            with pytest.raises(gopark.NotOnGError, match=r"asyncio\.timeout"):
                stack.enter_context(gopark.timeout(1))

    await on(task)


@goroutines
async def test_a_plain_function_of_a_task_has_its_own(on):
    def waits():
        with pytest.raises(TimeoutError), gopark.timeout(0.001):
            gopark.block(gopark.Chan().recv())

    async def stepped_by_block():
        with pytest.raises(TimeoutError), gopark.timeout(0.001):
            await gopark.Chan().recv()

    async def task():
        waits()
        gopark.block(stepped_by_block())
        await asyncio.sleep(0.001)
        waits()
        asyncio.get_running_loop().call_soon(waits)
        await asyncio.sleep(0)

    await on(task)


@pytest.mark.parametrize("on", [on_the_programs, on_one_of_ours], ids=lambda fn: fn.__name__)
@pytest.mark.parametrize("seconds", [0, 0.001, 60])
async def test_one_that_is_kept_open_past_a_wait_ends_nothing_of_the_loop(on, seconds):
    heard = []

    def enter():
        t = gopark.timeout(seconds)
        t.__enter__()
        return t

    async def task():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
        t = enter()
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match=r"kept open as that waited: use asyncio\.timeout"):
            t.__exit__(None, None, None)
        await asyncio.sleep(0.01)

    await on(task)
    assert len(heard) == 1
    assert f"timeout({float(seconds)})" in heard[0]
    assert "ends none of its waits: use asyncio.timeout" in heard[0]


async def test_one_around_the_loop_ends_it():
    def plainly():
        with pytest.raises(TimeoutError), gopark.timeout(0.01):
            plain(lambda: asyncio.sleep(60), ga.new_event_loop)

    await gopark.spawn(plainly)


@loops
async def test_goroutines_that_a_task_starts_have_theirs(on):
    async def goroutine():
        with pytest.raises(TimeoutError), gopark.timeout(0.001):
            await gopark.Chan().recv()
        with pytest.raises(TimeoutError), gopark.timeout(0.001):
            await ga.call(asyncio.sleep(60))
        return "in time"

    async def task():
        assert await ga.go(goroutine) == "in time"
        assert await ga.wait(goroutine()) == "in time"
        assert await ga.run(goroutine) == "in time"

    await on(task)


def test_where_no_gopark_runs_the_remedy_is_asyncios():
    async def task():
        with gopark.timeout(1):
            pass

    with pytest.raises(gopark.NotOnGError, match=r"no goroutine runs.*use asyncio\.timeout there"):
        asyncio.run(task())
    with pytest.raises(gopark.NotOnGError, match=r"gopark\.go or gopark\.run has started"):
        gopark.timeout(1).__enter__()
