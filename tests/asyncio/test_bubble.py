"""A loop is outside of bubbles: it keeps real time, and what is in a bubble waits for it."""

from __future__ import annotations

import asyncio
import time

import pytest

import gopark
import gopark.asyncio as ga
from gopark.testing import synctest


async def slow():
    await asyncio.sleep(0.02)
    return "slept"


@pytest.mark.parametrize("before", [False, True])
def test_a_call_in_a_bubble_takes_real_time_and_no_virtual_one(run, before):
    took = []

    async def inside():
        began, now = time.monotonic(), gopark.time.monotonic()
        took.append(await ga.call(slow()))
        took.append(time.monotonic() - began >= 0.02)
        took.append(gopark.time.monotonic() - now)

    async def main():
        if before:
            await ga.call(asyncio.sleep(0))
        synctest.test(inside)
        assert await ga.call(slow()) == "slept"  # the loop has not ended with the bubble

    run(main)
    assert took == ["slept", True, 0.0]


def test_what_a_task_starts_is_outside_as_well(run):
    async def goroutine():
        began = time.monotonic()
        await gopark.time.sleep(0.02)
        return time.monotonic() - began >= 0.02

    async def task():
        return await ga.go(goroutine)

    got = []

    async def inside():
        got.append(await ga.call(task()))

    run(lambda: synctest.test(inside))
    assert got == [True]


def test_a_loop_of_plain_code_in_a_bubble_keeps_real_time(run):
    got = []

    def inside():
        with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
            got.append(runner.run(slow()))

    run(lambda: synctest.test(inside))
    assert got == ["slept"]


def test_a_virtual_deadline_does_not_pass_while_a_call_waits(run):
    got = []

    async def inside():
        with gopark.timeout(3600):
            got.append(await ga.call(slow()))

    run(lambda: synctest.test(inside))
    assert got == ["slept"]


def test_a_channel_of_a_bubble_is_not_for_tasks(run, capfd):
    async def inside():
        ch = gopark.Chan(1)

        async def task():
            await ga.wait(ch.recv())

        await ga.call(task())

    with pytest.raises(gopark.FatalError, match="receive on synctest channel from outside bubble"):
        run(lambda: synctest.test(inside))
    capfd.readouterr()
