"""Checks for leaks count tasks, and not the loop's own goroutine."""

from __future__ import annotations

import asyncio

import pytest

import gopark
import gopark.asyncio as ga
from gopark.testing import leak


async def begin(keep):
    keep.append(asyncio.create_task(asyncio.Event().wait(), name="left behind"))
    await asyncio.sleep(0)


async def end(keep):
    keep[0].cancel()
    await asyncio.wait(keep)


async def test_the_loop_is_no_leak():
    await ga.call(asyncio.sleep(0))
    await leak.verify_none()


async def test_a_task_is_one():
    keep = []
    await ga.call(begin(keep))
    with pytest.raises(leak.LeakError, match='asyncio task "left behind"') as caught:
        await leak.verify_none(leak.max_retry(1))
    assert len(caught.value.stacks) == 1
    await ga.call(end(keep))
    await leak.verify_none()


async def test_a_task_that_was_there_before_is_none():
    keep = []
    await ga.call(begin(keep))
    await leak.verify_none(leak.ignore_current(), leak.max_retry(1))
    await ga.call(end(keep))


async def test_a_task_that_waits_for_the_check_is_none():
    async def task():
        await ga.wait(leak.verify_none(leak.max_retry(1), leak.ignore_current()))

    await ga.call(task())


async def test_a_goroutine_that_a_task_waits_for_is_one():
    ch = gopark.Chan()

    async def task():
        await ga.go(ch.recv)

    done = gopark.Chan()

    async def caller():
        await ga.call(task())
        await done.send(None)

    gopark.go(caller)
    await gopark.testing.wait_all_parked()
    with pytest.raises(leak.LeakError) as caught:
        await leak.verify_none(leak.max_retry(1))
    assert len(caught.value.stacks) == 3  # both goroutines, and the task
    await ch.send(None)
    await done.recv()
