"""`go` and `run`: a task starts goroutines."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import gopark
import gopark.asyncio as ga
from gopark import context

var = contextvars.ContextVar("var", default="nothing")


def intask(fn):
    """A test whose body is a task."""

    async def test():
        await ga.call(fn())

    test.__name__ = fn.__name__
    return test


async def double(x):
    await gopark.time.sleep(0)
    await gopark.gosched()
    return 2 * x


async def heeds(ended):
    ctx = context.current()
    await ctx.done().recv_ok()
    await gopark.gosched()
    ended.append(True)
    raise ctx.err()


@intask
async def test_a_future_of_the_result():
    future = ga.go(double, 21)
    assert isinstance(future, asyncio.Future)
    assert await future == 42


@intask
async def test_a_plain_function_has_a_thread():
    me = threading.get_ident()

    def plain(x, *, y):
        return threading.get_ident() == me, x + y

    assert (await ga.go(plain, 1, y=2))[1] == 3


@intask
async def test_what_it_raises():
    def fails():
        raise ValueError("mine")

    async def afails():
        raise ValueError("mine")

    for fn in (fails, afails):
        with pytest.raises(ValueError, match="mine"):
            await ga.go(fn)


@intask
async def test_a_goroutine_that_stops_iteration():
    def stops():
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await ga.go(stops)


@intask
async def test_a_goroutine_that_exits_has_no_result():
    async def leaves():
        gopark.goexit()

    for fn in (leaves, gopark.goexit):
        with pytest.raises(RuntimeError, match="goexit"):
            await ga.go(fn)


@intask
async def test_to_cancel_ends_the_context_and_waits_for_the_goroutine():
    ended = []
    task = asyncio.create_task(asyncio.wait_for(ga.go(heeds, ended), None))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


@intask
async def test_a_timeout_ends_it():
    ended = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await ga.go(heeds, ended)
    assert ended == [True]


@intask
async def test_one_that_does_not_look_is_waited_for_and_then_cancelled():
    ended = gopark.Chan(1)

    async def deaf():
        await gopark.time.sleep(0.01)
        await ended.send(True)
        return "a result"

    future = ga.go(deaf)
    assert future.cancel()
    assert not future.done()
    with pytest.raises(asyncio.CancelledError):
        await future
    assert ended.try_recv()[1]


@intask
async def test_an_error_of_its_own_after_the_cancel_is_told():
    async def fails():
        await context.current().done().recv_ok()
        raise ValueError("as it cleaned up")

    future = ga.go(fails)
    future.cancel()
    with pytest.raises(ValueError, match="cleaned up"):
        await future


@intask
async def test_a_future_that_is_done_cannot_be_cancelled():
    future = ga.go(double, 1)
    await future
    assert not future.cancel()
    assert future.result() == 2


@intask
async def test_the_goroutine_has_a_copy_of_the_tasks_variables():
    async def look():
        seen = var.get()
        var.set("the goroutine's")
        return seen

    var.set("the task's")
    assert await ga.go(look) == "the task's"
    assert var.get() == "the task's"


@intask
async def test_its_context_is_a_child_of_the_tasks():
    async def look():
        return context.current().value("user")

    with context.use(context.with_value(context.background(), "user", "ada")):
        assert await ga.go(look) == "ada"


@intask
async def test_there_and_back_again():
    async def back(n):
        await asyncio.sleep(0)
        return n if n == 0 else await ga.go(there, n - 1)

    async def there(n):
        return await ga.call(back(n))

    assert await ga.go(there, 20) == 0


@intask
async def test_a_task_group_of_goroutines():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.wait_for(ga.go(double, n), 60)) for n in range(50)]
    assert [task.result() for task in tasks] == [2 * n for n in range(50)]


@intask
async def test_mistakes_are_told_where_it_is_called():
    with pytest.raises(TypeError, match="cannot be called so"):
        ga.go(lambda x: x)
    with pytest.raises(TypeError):
        ga.go(None)
    with pytest.raises(TypeError, match="pass the function"):
        ga.go(double(1))


async def test_without_a_loop_there_is_no_future():
    with pytest.raises(RuntimeError, match=r"gopark\.go"):
        ga.go(double, 1)
    with pytest.raises(RuntimeError, match="no event loop runs here"):
        await ga.run(double, 1)
    ch = gopark.Chan()
    with pytest.raises(RuntimeError, match="no event loop runs here"):
        await ga.wait(ch.recv())


# --- run: inside of somebody else's loop -----------------------------------------------------


def test_a_program_inside_of_a_loop_of_others():
    async def main(x):
        ch = gopark.Chan()
        gopark.go(ch.send, 2 * x)
        return await ch.recv()

    assert asyncio.run(ga.run(main, 21)) == 42


def test_what_goroutines_call_there_goes_to_that_loop():
    async def where():
        return asyncio.get_running_loop()

    async def main():
        return await ga.call(where())

    async def theirs():
        return await ga.run(main) is asyncio.get_running_loop()

    assert asyncio.run(theirs())
    assert asyncio.run(theirs())  # and to the next one, in another loop


def test_a_task_that_is_cancelled_there_ends_the_goroutine():
    ended = []

    async def theirs():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ga.run(heeds, ended)

    asyncio.run(theirs())
    assert ended == [True]


def test_a_plain_main_there():
    async def theirs():
        return await ga.run(lambda: 5)

    assert asyncio.run(theirs()) == 5


@pytest.mark.parametrize(
    "makes", [lambda: asyncio.sleep(1), lambda: asyncio.Queue().get()], ids=["sleep", "queue"]
)
@pytest.mark.parametrize("by", ["go", "wait"])
async def test_what_needs_a_loop_and_has_none_says_where_it_belongs(makes, by):
    async def needs():
        await makes()

    async def task():
        await (ga.go(needs) if by == "go" else ga.wait(needs()))

    with pytest.raises((RuntimeError, AttributeError)) as info:
        await ga.call(task())
    assert any("gopark.asyncio.call(coro)" in note for note in info.value.__notes__)
