"""errgroup: which errors count, and how a block ends, in `async def` and in plain code."""

from __future__ import annotations

import _thread
import gc
import sys
import threading
import weakref

import pytest

import gopark
from gopark import context
from gopark._runtime.sched.runq import ready
from gopark.sync import _errgroup, errgroup


class Boom(Exception):
    pass


async def fail(text: str = "boom") -> None:
    raise Boom(text)


async def until_done(ctx: context.Context) -> None:
    """Waits for the end of the context and raises its error, as most functions do."""
    await ctx.done().recv()
    raise ctx.err()


# --- which errors count -----------------------------------------------------------------------


async def test_several_errors_come_together_the_first_one_first():
    g = errgroup.Group()
    gates = [gopark.Chan() for _ in range(3)]

    async def fail_after(gate, text):
        await gate.recv()
        raise Boom(text)

    for i, gate in enumerate(gates):
        g.go(fail_after, gate, f"error {i}")
    for i in (1, 2, 0):
        gates[i].close()
        await gopark.testing.wait_all_parked()
    with pytest.raises(ExceptionGroup, match="3 functions of a group failed") as caught:
        await g.wait()
    assert [str(exc) for exc in caught.value.exceptions] == ["error 1", "error 2", "error 0"]
    assert str(context.cause(g.ctx)) == "error 1"
    with pytest.raises(ExceptionGroup) as again:
        await g.wait()
    assert repr(again.value) == repr(caught.value)
    mine, theirs = again.value.exceptions, caught.value.exceptions
    assert all(a is not b for a, b in zip(mine, theirs, strict=True))


async def test_what_the_group_has_caused_does_not_count():
    async def reraise(ctx):
        await ctx.done().recv()
        raise context.cause(ctx)

    async def canceled(ctx):
        await ctx.done().recv()
        raise context.Canceled

    async def below(ctx):
        with context.with_timeout(ctx, 3600) as child:
            await until_done(child)

    g = errgroup.Group()
    tasks = [g.go(fn, g.ctx) for fn in (until_done, reraise, canceled, below)]
    await gopark.testing.wait_all_parked()
    g.go(fail)
    with pytest.raises(Boom):
        await g.wait()
    for task in tasks:  # each knows its own all the same
        with pytest.raises((Boom, context.Canceled)):
            task.result()


async def test_an_error_of_its_own_counts_after_the_first():
    async def rude(ctx):
        try:
            await until_done(ctx)
        except context.Canceled:
            raise OSError("could not clean up") from None

    g = errgroup.Group()
    g.go(rude, g.ctx)
    await gopark.testing.wait_all_parked()
    g.go(fail)
    with pytest.raises(ExceptionGroup) as caught:
        await g.wait()
    assert [type(exc) for exc in caught.value.exceptions] == [Boom, OSError]


async def test_the_end_of_the_parent_is_the_first_error():
    parent, cancel = context.with_cancel(context.background())
    g = errgroup.Group(parent)
    for _ in range(3):
        g.go(until_done, g.ctx)
    cancel()
    with pytest.raises(context.Canceled) as caught:
        await g.wait()
    assert caught.value == g.ctx.err()


async def test_canceled_without_a_cancel_counts():
    async def odd():
        raise context.Canceled("of something else")

    g = errgroup.Group()
    g.go(odd)
    with pytest.raises(context.Canceled, match="of something else"):
        await g.wait()


async def test_a_deadline_of_the_parent_counts_once():
    with context.with_timeout(context.background(), 0.001) as parent:
        g = errgroup.Group(parent)
        for _ in range(3):
            g.go(until_done, g.ctx)
        with pytest.raises(context.DeadlineExceeded):
            await g.wait()


# --- the block --------------------------------------------------------------------------------


async def test_no_goroutine_outlives_the_block(procs):
    before = gopark.runtime.num_goroutine()
    done = []

    async def work(g, n, depth):
        await gopark.gosched()
        if depth:
            g.go(work, g, n, depth - 1)  # a function of the group may start more
        done.append((n, depth))

    async with errgroup.Group() as g:
        for n in range(10):
            g.go(work, g, n, 3)
    assert sorted(done) == [(n, depth) for n in range(10) for depth in range(4)]
    with pytest.raises(RuntimeError, match="the block of <errgroup"):
        g.go(work, g, 0, 0)
    with pytest.raises(RuntimeError, match="the block of <errgroup"):
        g.try_go(work, g, 0, 0)
    await gopark.testing.wait_all_parked()
    assert gopark.runtime.num_goroutine() == before


async def test_one_that_slips_in_as_the_last_has_ended_is_waited_for(monkeypatch):
    """Somebody adds a function after the block's waiter was woken, and before it runs."""
    ended = []

    async def late():
        await gopark.gosched()
        ended.append("late")

    def ready_after_a_newcomer(g):
        monkeypatch.undo()
        group.go(late)
        ready(g)

    monkeypatch.setattr(_errgroup, "ready", ready_after_a_newcomer)
    async with errgroup.Group() as group:
        group.go(gopark.gosched)
    assert ended == ["late"]


async def test_a_body_that_raises_cancels_and_waits():
    ended = []

    async def work(ctx):
        try:
            await until_done(ctx)
        finally:
            await gopark.gosched()
            ended.append(context.cause(ctx))

    boom = Boom("the body")

    async def body():
        async with errgroup.Group() as g:
            g.go(work, g.ctx)
            await gopark.testing.wait_all_parked()
            raise boom

    with pytest.raises(Boom) as caught:
        await body()
    assert caught.value is boom
    assert boom.__context__ is None
    assert ended == [boom]


async def test_errors_of_body_and_functions_come_together():
    async def rude(ctx):
        await ctx.done().recv()
        raise OSError("could not clean up")

    async def body():
        async with errgroup.Group() as g:
            g.go(rude, g.ctx)
            await gopark.testing.wait_all_parked()
            raise Boom("the body")

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    assert [type(exc) for exc in caught.value.exceptions] == [Boom, OSError]
    assert caught.value.__context__ is None


async def test_a_body_that_was_cancelled_by_a_function_gives_way_to_its_error():
    async def body():
        async with errgroup.Group() as g:
            g.go(fail)
            await until_done(g.ctx)

    with pytest.raises(Boom, match="boom") as caught:
        await body()
    assert caught.value.__context__ is None


async def test_the_current_context_is_the_groups():
    outer = context.with_value(context.background(), "user", "ada")
    with context.use(outer):
        async with errgroup.Group() as g:
            assert context.current() is g.ctx
            task = g.go(context.current)
        assert context.current() is outer
        assert task.result() is g.ctx
        assert g.ctx.value("user") == "ada"


async def test_a_group_inside_a_group_is_cancelled_with_it():
    async def inner():
        async with errgroup.Group() as g:
            g.go(until_done, g.ctx)

    g = errgroup.Group()
    task = g.go(inner)
    await gopark.testing.wait_all_parked()
    g.go(fail)
    with pytest.raises(Boom):
        await g.wait()
    with pytest.raises(context.Canceled):
        task.result()


async def test_the_context_ends_with_the_block_and_the_parent_forgets_it():
    parent, cancel = context.with_cancel(context.background())
    async with errgroup.Group(parent) as g:
        g.go(gopark.gosched)
    assert isinstance(g.ctx.err(), context.Canceled)
    assert parent.err() is None
    gone = weakref.ref(g.ctx)
    del g
    gc.collect()
    assert gone() is None
    cancel()


async def test_a_block_is_entered_once():
    async with errgroup.Group() as g:
        pass
    with pytest.raises(RuntimeError, match="has had its block"):
        async with g:
            pass


async def test_goexit_in_the_body_waits_for_the_functions():
    log = []
    done = gopark.Chan()

    async def body():
        try:
            async with errgroup.Group() as g:

                async def work():
                    await g.ctx.done().recv()
                    log.append("work")
                    raise Boom("late")

                g.go(work)
                gopark.goexit()
        finally:
            log.append("body")
            done.close()

    gopark.go(body)
    await done.recv()
    assert log == ["work", "body"]


def test_errors_are_told_with_a_ctrl_c_of_the_body(run):
    async def main():
        async with errgroup.Group() as g:
            g.go(fail)
            await g.ctx.done().recv()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(main)
    assert caught.value.__notes__ == ["a function of the group has failed: Boom('boom')"]


def test_main_returns_while_a_group_waits(run):
    """The end of the program ends the wait; nothing hangs and nothing is printed."""

    async def body():
        async with errgroup.Group() as g:
            g.go(gopark.Chan().recv)

    def plain_body():
        with errgroup.Group(limit=1) as g:
            g.go(gopark.Chan().recv)
            g.go(gopark.Chan().recv)

    async def main():
        gopark.go(body)
        gopark.go(plain_body)
        await gopark.testing.wait_all_parked()

    run(main)


def test_a_group_that_outlives_its_program_is_empty(run):
    async def main():
        g = errgroup.Group(limit=2)
        started = gopark.Chan()

        async def work():
            await started.send(True)
            await gopark.Chan().recv()

        tasks = [g.go(work) for _ in range(5)]
        for _ in range(2):
            await started.recv()
        await gopark.testing.wait_all_parked()
        return g, tasks

    g, tasks = run(main)
    assert repr(g).startswith("<errgroup.Group 0 running, limit 2 at")
    for task in tasks:
        with pytest.raises(RuntimeError, match="has no result"):
            task.result()
    run(g.wait)


def test_sys_exit_in_a_function_ends_the_program(run):
    async def leave():
        sys.exit(3)

    async def main():
        async with errgroup.Group() as g:
            g.go(leave)

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 3


# --- plain code -------------------------------------------------------------------------------


def test_plain_code(run, procs):
    def work(n):
        gopark.block(gopark.gosched())
        return n * n

    def main():
        with errgroup.Group(limit=3) as g:
            assert context.current() is g.ctx
            tasks = [g.go(work, n) for n in range(10)]
        assert context.current() is context.background()
        return [t.result() for t in tasks]

    assert run(main) == [n * n for n in range(10)]


def test_on_a_thread_that_gopark_did_not_make():
    results = []

    def main():
        with errgroup.Group() as g:
            task = g.go(lambda: 42)
        assert context.current() is context.background()
        results.append(task.result())
        try:
            with errgroup.Group() as g:
                g.go(fail, "here")
        except Boom as exc:
            results.append(str(exc))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert results == [42, "here"]


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_a_thread_waits_for_functions_whose_program_ends_before_they_begin(plain):
    started, over, tasks = threading.Event(), threading.Event(), []

    async def coroutine():
        await gopark.gosched()

    def plainly():
        pass

    def block():
        with errgroup.Group() as g:
            tasks.extend(g.go(plainly if plain else coroutine) for _ in range(3))
            started.set()
            over.wait()

    def main():
        thread.start()
        started.wait()

    thread = threading.Thread(target=block, daemon=True)
    gopark.run(main)
    over.set()
    thread.join(60)
    assert not thread.is_alive()
    assert all(str(task).endswith(("left>", "returned>")) for task in tasks)


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_at_the_end_of_a_block_cancels_and_waits_on(run):
    log = []

    async def work(ctx):
        gopark.go(interrupt)
        try:
            await until_done(ctx)
        finally:
            await gopark.gosched()
            log.append("the function has ended")

    async def interrupt():
        await gopark.testing.wait_all_parked()
        _thread.interrupt_main()

    async def main():
        try:
            async with errgroup.Group() as g:
                g.go(work, g.ctx)
        finally:
            log.append("the block has ended")

    with pytest.raises(KeyboardInterrupt):
        run(main, outside_help=True)
    assert log == ["the function has ended", "the block has ended"]


def test_a_second_ctrl_c_breaks_off_the_wait(run):
    log = []

    async def stubborn(ctx):
        await ctx.done().recv()  # since the first one
        await gopark.testing.wait_all_parked()
        _thread.interrupt_main()
        await gopark.Chan().recv()

    async def interrupt():
        await gopark.testing.wait_all_parked()
        _thread.interrupt_main()

    async def main():
        try:
            async with errgroup.Group() as g:
                g.go(stubborn, g.ctx)
                gopark.go(interrupt)
        finally:
            log.append("the block has ended")

    with pytest.raises(KeyboardInterrupt):
        run(main, outside_help=True)
    assert log == ["the block has ended"]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_after_ctrl_c_nothing_that_is_queued_begins(run, plain, inside):
    """In the block's body, and at its end."""
    log, tasks = [], []

    async def work(n, ctx):
        log.append(n)
        await ctx.done().recv()

    async def interrupt():
        await gopark.testing.wait_all_parked()
        _thread.interrupt_main()

    def fill(g):
        gopark.go(interrupt)
        tasks.extend(g.go(work, n, g.ctx) for n in range(9))
        gopark.go(tasks[8].started)

    async def main():
        async with errgroup.Group(limit=2) as g:
            fill(g)
            if inside:
                await tasks[5].started()

    def plainly():
        with errgroup.Group(limit=2) as g:
            fill(g)
            if inside:
                gopark.block(tasks[5].started())

    with pytest.raises(KeyboardInterrupt):
        run(plainly if plain else main, outside_help=True)
    assert sorted(log) == [0, 1]
    with pytest.raises(RuntimeError, match="Ctrl-C"):
        tasks[8].result()
