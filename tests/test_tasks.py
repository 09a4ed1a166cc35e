"""Tasks: a goroutine with a result, that can be awaited and cancelled; gather, as_completed."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

import gopark
from gopark import Chan, ScopeEnded, context, recv, select
from gopark.sync import errgroup
from gopark.testing import wait_all_parked

SOON = 0.005


async def square(n, after=0.0):
    await gopark.time.sleep(after)
    return n * n


async def failing(exc, after=0.0):
    await gopark.time.sleep(after)
    raise exc


async def for_ever():
    await Chan().recv()


# --- results ----------------------------------------------------


async def test_awaiting_a_task_gives_what_its_function_returns():
    assert await gopark.spawn(square, 7) == 49
    assert await gopark.spawn(len, "plain") == 5
    assert await gopark.spawn(lambda *, n: n, n=3) == 3


async def test_a_plain_function_that_returns_a_coroutine_goes_on_as_that():
    assert await gopark.spawn(lambda: square(3, SOON)) == 9
    task = gopark.spawn(lambda: for_ever())
    await wait_all_parked()
    task.cancel()
    with pytest.raises(context.Canceled):
        await task


async def test_each_who_awaits_it_gets_the_exception_as_a_copy_with_its_frames():
    task = gopark.spawn(failing, ValueError("bad"))
    caught = []
    for _ in range(2):
        with pytest.raises(ValueError, match="bad") as info:
            await task
        caught.append(info.value)
        assert "failing" in [entry.name for entry in info.traceback]
    assert caught[0] is not caught[1]
    assert str(task.exception()) == "bad"
    assert repr(task) == "<Task failing raised>"


async def test_before_its_end_it_says_how_to_wait():
    task = gopark.spawn(for_ever)
    assert not task.done
    for ask in (task.result, task.exception):
        with pytest.raises(RuntimeError, match=r"<Task for_ever running> has no .* `await task`"):
            ask()
    task.cancel()
    with pytest.raises(context.Canceled):
        await task
    assert task.done


async def test_several_wait_for_one():
    task, out = gopark.spawn(square, 3, SOON), Chan(3)

    async def waits():
        await out.send(await task)

    for _ in range(2):
        gopark.go(waits)
    gopark.go(lambda: gopark.block(out.send(gopark.block(waited(task)))))
    assert [await out.recv() for _ in range(3)] == [9, 9, 9]


async def waited(task):
    return await task


async def test_its_end_can_be_selected():
    task = gopark.spawn(square, 3, SOON)
    never = Chan()
    assert await select(recv(never), recv(task.ended())) == (1, None, False)
    assert task.result() == 9
    with pytest.raises(TypeError, match="cannot close the channel of a task"):
        task.ended().close()


async def test_goexit_leaves_it_without_a_result():
    task = gopark.spawn(gopark.goexit)
    with pytest.raises(RuntimeError, match=r"<Task goexit left> has no result: goexit, or"):
        await task
    assert task.done
    assert not task.cancelled


async def test_it_must_not_await_itself():
    found = []

    async def me():
        await found[0]

    found.append(gopark.spawn(me))
    with pytest.raises(RuntimeError, match=r"<Task .*me running> awaits itself"):
        await found[0]


def test_an_exception_that_nobody_asks_for_is_printed_as_ignored(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(args.exc_value))

    async def main():
        gopark.spawn(failing, ValueError("lost"))
        asked = gopark.spawn(failing, ValueError("asked for"))
        await wait_all_parked()
        assert str(asked.exception()) == "asked for"

    gopark.run(main)
    gc.collect()
    assert ["nobody has asked for its exception" in str(exc) for exc in seen] == [True]
    assert str(seen[0].__cause__) == "lost"
    assert "It was ValueError('lost'), raised at " in str(seen[0])  # the hook prints no causes


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((None,), r"spawn\(\) needs a function, got None"),
        ((5,), r"spawn\(\) needs a function, got 5"),
        ((square,), "square.*missing a required|missing 1 required"),
    ],
)
def test_what_cannot_be_started_is_refused(args, message):
    with pytest.raises(TypeError, match=message):
        gopark.spawn(*args)


def test_a_coroutine_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"spawn\(square, x\), not spawn\(square\(x\)\)"):
        gopark.spawn(square(3))


# --- cancel ----------------------------------------------------


@pytest.mark.parametrize("plain", [False, True])
async def test_cancel_ends_it_at_its_wait_by_level(plain):
    seen = []

    def waits():
        for _ in range(3):
            try:
                gopark.block(Chan().recv())
            except ScopeEnded:
                seen.append("ended")
        with context.shield():
            gopark.block(gopark.time.sleep(SOON))
        seen.append("cleaned up")
        gopark.block(Chan().recv())

    async def coro():
        for _ in range(3):
            try:
                await Chan().recv()
            except ScopeEnded:
                seen.append("ended")
        async with context.shield():
            await gopark.time.sleep(SOON)
        seen.append("cleaned up")
        await Chan().recv()

    task = gopark.spawn(waits if plain else coro)
    await wait_all_parked()
    why = OSError("no more")
    assert task.cancel(why)
    assert task.cancel(ValueError("the first counts"))
    with pytest.raises(context.Canceled, match="was cancelled") as caught:
        await task
    assert caught.value.__cause__ is why
    assert seen == ["ended"] * 3 + ["cleaned up"]
    assert task.cancelled
    assert not task.cancel(), "it had ended"


async def test_one_that_was_cancelled_before_it_began_ends_at_its_first_wait():
    order = []

    async def begins():
        order.append("began")
        await gopark.gosched()
        order.append("went on")

    task = gopark.spawn(begins)
    task.cancel()
    with pytest.raises(context.Canceled):
        await task
    assert order == ["began"]


async def test_one_that_does_not_wait_has_a_result_all_the_same():
    task = gopark.spawn(len, "abc")
    task.cancel()
    assert await task == 3
    assert not task.cancelled


async def test_what_it_raises_while_it_cleans_up_is_its_exception():
    async def cleans():
        try:
            await Chan().recv()
        finally:
            raise OSError("in cleanup")

    task = gopark.spawn(cleans)
    await wait_all_parked()
    task.cancel()
    with pytest.raises(OSError, match="in cleanup"):
        await task


async def test_a_timeout_around_the_await_leaves_the_task_alone():
    task = gopark.spawn(square, 3, 4 * SOON)
    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        await task
    assert await task == 9


async def test_cancel_passes_through_the_timeouts_inside():
    async def inside():
        with gopark.timeout(60):
            await Chan().recv()

    task = gopark.spawn(inside)
    await wait_all_parked()
    task.cancel()
    with pytest.raises(context.Canceled):
        await task


async def test_a_cause_that_is_no_exception_is_refused():
    task = gopark.spawn(square, 3)
    with pytest.raises(TypeError, match="cancel: the cause must be an exception or None, got 'x'"):
        task.cancel("x")
    assert await task == 9


def test_asyncio_sets_the_example():
    """The same program with both: what is raised where, and what the awaiter gets."""
    told = []

    def program(sleep, ended, spawn, cancelled):
        async def work():
            try:
                await sleep(60)
            except ended:
                told.append("inside")
                raise
            finally:
                told.append("finally")

        async def main():
            task = spawn(work)
            await sleep(0.001)
            task.cancel()
            try:
                await task
            except cancelled:
                told.append("outside")

        return main

    asyncio.run(
        program(
            asyncio.sleep,
            asyncio.CancelledError,
            lambda fn: asyncio.create_task(fn()),
            asyncio.CancelledError,
        )()
    )
    theirs = told.copy()
    told.clear()
    gopark.run(program(gopark.time.sleep, ScopeEnded, gopark.spawn, context.Canceled))
    assert told == theirs == ["inside", "finally", "outside"]


# --- gather ----------------------------------------------------


async def test_gather_gives_the_results_in_the_order_of_its_arguments():
    results = await gopark.gather(
        square(2, 2 * SOON), gopark.spawn(square, 3), square(4), Chan(1).send(0)
    )
    assert results == (4, 9, 16, None)
    assert await gopark.gather() == ()


async def test_the_first_that_fails_ends_those_that_gather_has_started():
    ended = []

    async def slow():
        try:
            await Chan().recv()
        finally:
            with context.shield():
                await gopark.time.sleep(SOON)
            ended.append("slow")

    outside = gopark.spawn(square, 5, 4 * SOON)
    with pytest.raises(ValueError, match="bad"):
        await gopark.gather(slow(), failing(ValueError("bad"), SOON), outside, slow())
    assert ended == ["slow", "slow"], "it has waited for them"
    assert await outside == 25, "it was not gather's to end"


async def test_a_timeout_around_gather_ends_them_as_well():
    ended = []

    async def slow():
        try:
            await Chan().recv()
        finally:
            ended.append("slow")

    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        await gopark.gather(slow(), slow())
    assert ended == ["slow", "slow"]


async def test_what_cannot_be_awaited_is_refused_and_nothing_is_started():
    began = []

    async def begins():
        began.append(1)

    coro = begins()
    with pytest.raises(TypeError, match=r"gather\(\) needs tasks or awaitables, got 5: gather\("):
        await gopark.gather(coro, 5)
    coro.close()
    await gopark.gosched()
    assert not began


# --- as_completed ----------------------------------------------------


async def test_they_come_as_they_end():
    tasks = [gopark.spawn(square, n, n * 2 * SOON) for n in (3, 1, 2)]
    assert [task.result() async for task in gopark.as_completed(tasks)] == [1, 4, 9]


async def test_those_that_have_ended_come_as_well_and_none_are_none():
    task = gopark.spawn(square, 3)
    await task
    assert [one async for one in gopark.as_completed([task, task])] == [task, task]
    assert [one async for one in gopark.as_completed([])] == []


async def test_in_plain_code_and_in_a_select():
    def plain():
        return [task.result() for task in gopark.as_completed([gopark.spawn(square, 3)])]

    assert await gopark.spawn(plain) == [9]
    ch = gopark.as_completed([gopark.spawn(square, 2)])
    index, task, ok = await select(recv(ch))
    assert (index, task.result(), ok) == (0, 4, True)
    assert await ch.recv_ok() == (None, False)


def test_what_is_no_task_is_refused():
    with pytest.raises(TypeError, match=r"as_completed\(\) needs tasks, got 5: start it with gop"):
        gopark.as_completed([5])


# --- groups ----------------------------------------------------


async def test_what_a_group_gives_is_a_task():
    async with errgroup.Group() as g:
        task = g.go(square, 3, SOON)
        assert isinstance(task, gopark.Task)
        assert await task == 9
        other = g.go(for_ever)
        await wait_all_parked()
        assert other.cancel()
    assert other.cancelled
    with pytest.raises(context.Canceled):
        other.result()
    assert g.ctx.err() is not None


async def test_without_being_asked_a_group_tells_its_functions_by_the_context_alone():
    ended = []

    async def slow():
        await gopark.time.sleep(4 * SOON)
        ended.append("slow")

    with pytest.raises(ValueError, match="bad"):
        async with errgroup.Group() as g:
            g.go(slow)
            g.go(failing, ValueError("bad"), SOON)
    assert ended == ["slow"]


@pytest.mark.parametrize("plain", [False, True])
async def test_when_asked_it_ends_the_waits_of_its_functions_and_of_its_block(plain):
    def waits():
        gopark.block(Chan().recv())

    with pytest.raises(ValueError, match="bad"):
        async with errgroup.Group(cancel=True) as g:
            task = g.go(waits if plain else for_ever)
            g.go(failing, ValueError("bad"), SOON)
            await Chan().recv()
            pytest.fail("the block went on")
    assert task.cancelled
    await gopark.gosched()  # and nothing ends after it

    def block():
        with errgroup.Group(cancel=True) as g:
            g.go(failing, ValueError("bad"), SOON)
            gopark.block(Chan().recv())

    with pytest.raises(ValueError, match="bad"):
        await gopark.spawn(block)


async def test_the_end_of_the_parent_ends_them_too():
    with context.with_cancel(context.background()) as ctx:
        gopark.time.after_func(SOON, ctx.cancel)
        with pytest.raises(context.Canceled):
            async with errgroup.Group(ctx, cancel=True) as g:
                task = g.go(for_ever)
                await Chan().recv()
        assert task.cancelled


async def test_those_that_come_to_a_turn_after_it_end_at_their_first_wait():
    began = []

    async def late():
        began.append(1)
        await Chan().recv()

    with pytest.raises(ValueError, match="bad"):
        async with errgroup.Group(limit=1, cancel=True) as g:
            g.go(failing, ValueError("bad"))
            tasks = [g.go(late) for _ in range(3)]
    assert began == [1, 1, 1]
    assert all(task.cancelled for task in tasks)


async def test_a_timeout_around_such_a_group_ends_all_of_it_at_once():
    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        async with errgroup.Group(cancel=True) as g:
            tasks = [g.go(for_ever) for _ in range(3)]
    assert all(task.cancelled for task in tasks)


async def test_one_whose_wait_was_ended_may_wait_on_its_thread_then():
    """What is thrown in passes frames of ours: the code that catches it is no finaliser."""

    async def waits():
        try:
            with gopark.timeout(0.001):
                await gopark.Chan().recv()
        except TimeoutError:
            pass
        gopark.block(gopark.time.sleep(0.001))
        return "slept"

    assert await gopark.spawn(waits) == "slept"
