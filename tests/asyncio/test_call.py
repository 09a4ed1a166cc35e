"""`call`: a goroutine has a coroutine run as a task."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import traceback

import pytest

import gopark
import gopark.asyncio as ga
from gopark import context

var = contextvars.ContextVar("var", default="nothing")


async def double(x):
    await asyncio.sleep(0)
    return 2 * x


async def forever(ended=None, began=lambda: None):
    try:
        began()
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            await asyncio.sleep(0.001)
            ended.append(True)


@pytest.mark.usefixtures("procs")
async def test_it_returns_what_the_coroutine_does():
    assert await ga.call(double(21)) == 42


@pytest.mark.usefixtures("procs")
async def test_what_the_coroutine_raises_passes_through_with_its_frames():
    async def fails():
        await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        await ga.call(fails())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fails"
    assert "_ended" not in names


@pytest.mark.usefixtures("procs")
async def test_many_goroutines_call_at_once():
    got = gopark.Chan()

    async def one(n):
        for k in range(20):
            assert await ga.call(double(k)) == 2 * k
        await got.send(await ga.call(double(n)))

    for n in range(50):
        gopark.go(one, n)
    assert sorted([await got.recv() for _ in range(50)]) == [2 * n for n in range(50)]


async def test_all_run_on_one_loop_each_as_a_task():
    async def where():
        return asyncio.get_running_loop(), asyncio.current_task()

    (a, task), (b, other) = await ga.call(where()), await ga.call(where())
    assert a is b
    assert task is not other
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.mark.usefixtures("procs")
async def test_plain_code_calls_by_block():
    got = gopark.Chan()

    def plain():
        gopark.block(got.send(gopark.block(ga.call(double(4)))))

    gopark.go(plain)
    assert await got.recv() == 8


async def test_other_awaitables_are_awaited_in_a_task():
    class Custom:
        def __await__(self):
            return double(3).__await__()

    assert await ga.call(Custom()) == 6

    async def task():
        return asyncio.create_task(double(5))

    assert await ga.call(await ga.call(task())) == 10


# --- the context -----------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_the_context_ends_the_task_is_cancelled_and_its_end_waited_for():
    ended = []
    ctx, cancel = context.with_cancel(context.background())
    with pytest.raises(context.Canceled):
        await ga.call(forever(ended, cancel), ctx)
    assert ended == [True]


async def test_the_deadline_of_the_context_passes():
    with context.with_timeout(context.background(), 0.001) as ctx:
        with pytest.raises(context.DeadlineExceeded):
            await ga.call(forever(), ctx)


async def test_a_task_that_swallows_the_cancel_gives_its_result():
    ctx, cancel = context.with_cancel(context.background())

    async def stubborn():
        try:
            await forever(None, cancel)
        except asyncio.CancelledError:
            return "all the same"

    assert await ga.call(stubborn(), ctx) == "all the same"


async def test_a_context_that_is_over_begins_nothing():
    began = []

    async def begins():
        began.append(True)

    ctx, cancel = context.with_cancel(context.background())
    cancel()
    with pytest.raises(context.Canceled):
        await ga.call(begins(), ctx)
    assert began == []


async def test_a_context_that_does_not_end_leaves_nothing_behind():
    before = gopark.runtime.num_goroutine()
    ctx, cancel = context.with_cancel(context.background())
    await ga.call(double(1), ctx)
    before = gopark.runtime.num_goroutine()
    for n in range(10):
        assert await ga.call(double(n), ctx) == 2 * n
    assert gopark.runtime.num_goroutine() == before
    cancel()


async def test_a_timeout_around_it_ends_the_wait_and_cancels_the_task():
    ended = []
    with pytest.raises(TimeoutError):
        with gopark.timeout(0.05):
            await ga.call(forever(ended))

    async def all_ended():
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)

    await ga.call(all_ended())
    assert ended in ([True], [])  # empty: it had not begun


@pytest.mark.usefixtures("procs")
async def test_others_cancel_the_task_and_the_goroutine_gets_that_untranslated():
    async def suicidal():
        asyncio.current_task().cancel("by itself")
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError) as caught:
        await ga.call(suicidal())
    assert caught.value.args == ("by itself",)
    with context.with_cancel(context.background()) as ctx:
        with pytest.raises(asyncio.CancelledError):
            await ga.call(suicidal(), ctx)


# --- context variables -----------------------------------------------------------------------


async def test_the_task_has_a_copy_of_the_goroutines_variables():
    async def look():
        seen = var.get()
        var.set("the task's")
        return seen

    var.set("the goroutine's")
    assert await ga.call(look()) == "the goroutine's"
    assert var.get() == "the goroutine's"


# --- factories -------------------------------------------------------------------------------


async def test_a_task_factory_makes_the_tasks():
    made = []

    def factory(loop, coro, **kwargs):
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **kwargs)

    ga.start().set_task_factory(factory)
    assert await ga.call(double(2)) == 4
    assert "double" in made


if sys.version_info >= (3, 12):

    async def test_eager_tasks():
        ga.start().set_task_factory(asyncio.eager_task_factory)

        async def outer():
            return await asyncio.create_task(double(1)) + await asyncio.create_task(double(2))

        assert await ga.call(outer()) == 6


async def test_a_task_factory_that_fails_fails_the_call():
    loop = ga.start()

    def factory(loop, coro, **kwargs):
        raise ZeroDivisionError

    loop.set_task_factory(factory)
    with pytest.raises(ZeroDivisionError):
        await ga.call(double(1))
    loop.set_task_factory(None)
    assert await ga.call(double(1)) == 2


# --- mistakes --------------------------------------------------------------------------------


async def test_a_call_in_a_task_of_the_same_loop_says_what_to_do():
    async def inside():
        await ga.call(double(1))

    with pytest.raises(RuntimeError, match="await the coroutine itself"):
        await ga.call(inside())


@pytest.mark.parametrize("what", [5, None, double, print])
async def test_what_is_no_coroutine_is_refused(what):
    with pytest.raises(TypeError, match=r"call\(\) needs a coroutine"):
        await ga.call(what)


async def test_what_is_no_context_is_refused_and_nothing_begins():
    with pytest.raises(TypeError, match="context"):
        await ga.call(double(1), 5)


async def test_an_asyncio_future_awaited_in_a_goroutine_is_an_error_that_names_call():
    loop = ga.start()
    future = loop.create_future()
    with pytest.raises(TypeError, match=r"gopark\.asyncio\.call"):
        await future
    loop.call_soon_threadsafe(future.set_result, 7)
    assert await ga.call(future) == 7  # it has not been harmed


async def test_what_gopark_waits_for_awaited_in_a_task_is_an_error_that_names_wait():
    ch = gopark.Chan()

    async def task():
        await ch.recv()

    with pytest.raises(gopark.NotOnGError, match=r"gopark\.asyncio\.wait"):
        await ga.call(task())
    assert ch.try_send(1) is False  # nobody is left in its queue


def test_a_loop_that_is_looked_for_outside_of_call_has_a_note_that_names_call():
    """`asyncio.sleep` looks for a loop before it yields anything: the error is Python's own."""

    async def main():
        await asyncio.sleep(0.01)

    def plain():
        asyncio.get_running_loop()

    for fn in (main, plain):
        with pytest.raises(RuntimeError, match="no running event loop") as caught:
            gopark.run(fn)
        assert ["gopark.asyncio.call(coro)" in note for note in caught.value.__notes__] == [True]


def test_so_has_the_report_of_another_goroutine(capfd):
    async def lost():
        await asyncio.sleep(0.01)

    async def main():
        gopark.go(lost)
        await gopark.Chan().recv()

    with pytest.raises(gopark.FatalError):
        gopark.run(main)
    assert "gopark.asyncio.call(coro)" in capfd.readouterr().err
