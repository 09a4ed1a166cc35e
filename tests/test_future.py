"""Futures of executors, which goroutines wait for."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

import gopark
from gopark import context, future
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.outside_help


async def test_a_result_that_is_there_needs_no_wait():
    fut: Future[int] = Future()
    fut.set_result(1)
    assert await future.wait(fut) == 1


async def test_a_result_from_another_thread_ends_the_wait():
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        fut = pool.submit(lambda: go_on.wait() and "done")
        task = gopark.spawn(future.wait, fut)
        await wait_all_parked()
        go_on.set()
        assert await task == "done"


async def test_a_result_from_another_process():
    with ProcessPoolExecutor(1) as pool:
        assert await future.wait(pool.submit(pow, 2, 10)) == 1024


async def test_an_exception_passes_through_as_it_is():
    fut: Future[int] = Future()
    error = ValueError("bad")
    task = gopark.spawn(future.wait, fut)
    await wait_all_parked()
    fut.set_exception(error)
    with pytest.raises(ValueError, match="bad"):
        await task


async def test_one_that_is_cancelled_says_so():
    fut: Future[int] = Future()
    task = gopark.spawn(future.wait, fut)
    await wait_all_parked()
    fut.cancel()
    with pytest.raises(CancelledError):
        await task


async def test_many_goroutines_wait_for_one():
    fut: Future[int] = Future()
    tasks = [gopark.spawn(future.wait, fut) for _ in range(10)]
    await wait_all_parked()
    fut.set_result(7)
    assert [await task for task in tasks] == [7] * 10


async def test_a_context_ends_the_wait_and_leaves_the_future():
    fut: Future[int] = Future()
    ctx, cancel = context.with_cancel(context.background())
    task = gopark.spawn(future.wait, fut, ctx)
    await wait_all_parked()
    cancel()
    with pytest.raises(context.Canceled):
        await task
    assert not fut.done()
    with pytest.raises(context.Canceled):
        await future.wait(fut, ctx)
    fut.set_result(1)
    assert await future.wait(fut, ctx) == 1, "a result that is there is not lost"


async def test_a_scope_ends_the_wait():
    fut: Future[int] = Future()
    with pytest.raises(TimeoutError), gopark.timeout(0.001):
        await future.wait(fut)
    fut.set_result(1)


def test_plain_code_waits_by_block():
    with ThreadPoolExecutor(1) as pool:
        assert gopark.block(future.wait(pool.submit(pow, 2, 3))) == 8


async def test_a_future_that_is_only_like_one_will_do():
    class Like:
        fns: Any = ()

        def done(self):
            return False

        def add_done_callback(self, fn):
            fn(self)

        def result(self):
            return "mine"

    assert await future.wait(Like()) == "mine"


@pytest.mark.parametrize("other", [None, 3, "x", object()])
async def test_what_is_no_future_is_refused(other: Any):
    with pytest.raises(TypeError, match="needs a future with done"):
        await future.wait(other)


async def test_a_future_of_asyncio_is_refused_with_the_way_to_wait_for_it():
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(TypeError, match=r"gopark\.asyncio\.call"):
            await future.wait(loop.create_future())
    finally:
        loop.close()


async def test_results_that_come_while_it_begins_to_wait_are_not_lost():
    """A thousand races of a pool's threads with goroutines that park."""
    with ThreadPoolExecutor(4) as pool:

        async def one(n: int) -> int:
            return await future.wait(pool.submit(int, n))

        tasks = [gopark.spawn(one, n) for n in range(1000)]
        assert [await task for task in tasks] == list(range(1000))
