"""Tasks beside goroutines in a dump."""

from __future__ import annotations

import asyncio

import pytest

import gopark
import gopark.asyncio as ga
from gopark._runtime.base.runtime2 import FREETHREADED


async def stuck(release):
    await release.wait()


async def held(fn):
    """While tasks wait, `fn()` is called by main."""
    made = gopark.Chan(1)

    async def outer():
        release = asyncio.Event()
        inner = asyncio.create_task(stuck(release), name="inner")
        made.try_send((release, asyncio.get_running_loop()))
        await inner

    async def caller():
        asyncio_ = ga.call(outer())
        await asyncio_
        await made.send(None)

    gopark.go(caller)
    release, loop = await made.recv()
    await gopark.testing.wait_all_parked()
    try:
        return fn()
    finally:
        loop.call_soon_threadsafe(release.set)
        await made.recv()


async def test_a_dump_of_all_shows_them_and_who_awaits_whom():
    text = await held(lambda: gopark.runtime.stack(all=True))
    goroutines, _, tasks = text.partition("\nasyncio task ")
    assert "[asyncio call]" in goroutines
    assert 'asyncio task "inner" [waiting], awaited by task "Task-' in text
    assert '[awaits task "inner"], awaited by goroutine ' in text
    if not FREETHREADED:
        assert "stuck(...)\n\t" in tasks
        assert "outer(...)\n\t" in tasks


async def test_a_dump_of_one_does_not():
    assert "asyncio task" not in await held(gopark.runtime.stack)


async def test_a_name_can_forge_no_line():
    made = gopark.Chan(1)

    async def outer():
        one = asyncio.create_task(asyncio.sleep(600), name='x"\n\ngoroutine 99 [running]:\n')
        await asyncio.sleep(0)
        made.try_send(gopark.runtime.stack(all=True))
        one.cancel()

    await ga.call(outer())
    text = await made.recv()
    assert "\ngoroutine 99" not in text
    assert "\\n" in text


async def test_a_goroutine_is_named_by_the_task_that_awaits_it():
    made, ch = gopark.Chan(1), gopark.Chan()

    async def goroutine():
        await ch.recv()

    async def task():
        await ga.go(goroutine)

    async def caller():
        await ga.call(task())
        await made.send(None)

    gopark.go(caller)
    await gopark.testing.wait_all_parked()
    text = gopark.runtime.stack(all=True)
    number = text.split("[awaits goroutine ")[1].split("]")[0]
    assert f"goroutine {number} [chan receive]:" in text
    assert "created by" in text.split(f"goroutine {number} [")[1]
    await ch.send(None)
    await made.recv()


@pytest.mark.usefixtures("procs")
async def test_while_they_run_a_dump_can_be_taken():
    stop = []

    async def busy():
        while not stop:
            await asyncio.sleep(0)

    done = gopark.Chan()

    async def caller():
        await ga.call(busy())
        await done.send(None)

    gopark.go(caller)
    for _ in range(50):
        gopark.runtime.stack(all=True)
        await gopark.gosched()
    stop.append(True)
    await done.recv()
