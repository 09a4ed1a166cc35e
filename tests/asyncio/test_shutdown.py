"""The end of a program that has a loop: tasks, async generators, the executor, the loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import warnings

import pytest

import gopark
import gopark.asyncio as ga
from gopark.asyncio import _host, _wait


async def forever(ended, name="task"):
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        ended.append(name)


async def begin(ended, keep=None):
    task = asyncio.create_task(forever(ended))
    await asyncio.sleep(0)
    if keep is not None:
        keep.append(task)


def test_main_returns_and_tasks_are_cancelled_and_waited_for(run):
    ended, keep = [], []

    async def main():
        await ga.call(begin(ended, keep))
        return "result"

    assert run(main) == "result"
    assert ended == ["task"]
    assert keep[0].cancelled()
    assert keep[0].get_loop().is_closed()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_main_raises_and_it_is_the_same(run, error):
    ended = []

    async def main():
        await ga.call(begin(ended))
        raise error

    with pytest.raises(error):
        run(main)
    assert ended == ["task"]


def test_a_plain_main_is_no_different(run):
    ended = []

    def main():
        gopark.block(ga.call(begin(ended)))
        return 5

    assert run(main) == 5
    assert ended == ["task"]

    def fails():
        gopark.block(ga.call(begin(ended)))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        run(fails)
    assert ended == ["task"] * 2


def test_tasks_first_then_async_generators_then_the_executor_then_goroutines(run):
    ended = []
    agens = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append("async generator")

    async def task():
        await begin(ended, agens)  # kept: asyncio's loop does not
        agen = numbers()
        agens.append(agen)
        await anext(agen)
        await asyncio.to_thread(threading.current_thread)

    async def goroutine():
        try:
            await gopark.Chan().recv()
        finally:
            ended.append("goroutine")

    async def main():
        gopark.go(goroutine)
        await gopark.gosched()
        await ga.call(task())

    run(main, outside_help=True)
    assert ended == ["task", "async generator", "goroutine"]
    assert not [t for t in threading.enumerate() if t.name.startswith("asyncio_")]


def test_a_goroutine_that_a_task_waits_for_ends_with_it(run):
    ended = []

    async def goroutine():
        await gopark.context.current().done().recv_ok()
        ended.append("goroutine")

    async def waits():
        try:
            await ga.go(goroutine)
        finally:
            ended.append("task")

    async def start():
        task = asyncio.create_task(waits())
        await asyncio.sleep(0.001)
        return task

    async def main():
        return await ga.call(start())

    run(main)
    assert ended == ["goroutine", "task"]


def test_one_that_does_not_end_is_named_and_left(run, monkeypatch, capfd):
    monkeypatch.setattr(_host, "GRACE", 0.01)

    async def stubborn():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    keep = []

    async def start():
        keep.append(asyncio.create_task(stubborn(), name="the stubborn one"))
        await asyncio.sleep(0)

    async def main():
        await ga.call(start())

    run(main)
    err = capfd.readouterr().err
    assert "a task was left" in err
    assert "the stubborn one" in err


def test_what_a_task_raises_then_goes_to_the_exception_handler(run):
    seen, keep = [], []

    async def fails():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at the end")

    async def start():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: seen.append(what))
        keep.append(asyncio.create_task(fails()))
        await asyncio.sleep(0)

    async def main():
        await ga.call(start())

    run(main)
    assert str(seen[0]["exception"]) == "at the end"


def test_each_program_has_a_loop_of_its_own(run):
    async def where():
        return asyncio.get_running_loop()

    async def main():
        return await ga.call(where())

    a, b = run(main), run(main)
    assert a is not b
    assert a.is_closed()


def test_a_program_that_panics_ends_at_once(run, capfd):
    ended = []

    async def panics():
        raise ValueError("panic")

    async def main():
        await ga.call(begin(ended))
        gopark.go(panics)
        await ga.call(asyncio.sleep(600))

    with pytest.raises(gopark.FatalError):
        run(main)
    assert ended == []
    assert "panic: ValueError: panic" in capfd.readouterr().err


def test_sys_exit_in_a_task_ends_the_program(run):
    async def leaves():
        raise SystemExit(3)

    async def main():
        await ga.call(leaves())

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 3


def test_a_goroutine_that_goes_on_calling_is_no_panic_while_main_ends(run, capfd):
    async def calls():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await ga.call(asyncio.sleep(0.0001))

    async def main():
        for _ in range(8):
            gopark.go(calls)
        await gopark.time.sleep(0.02)
        return "main's result"

    for _ in range(10):
        assert run(main) == "main's result"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("waits", [asyncio.sleep, lambda s: asyncio.Event().wait()])
def test_a_goroutine_whose_call_is_cancelled_as_main_ends_is_no_panic(run, capfd, waits):
    async def calls():
        await ga.call(waits(3600))

    async def main():
        for _ in range(8):
            gopark.go(calls)
        await ga.call(asyncio.sleep(0.001))
        return "main's result"

    for _ in range(10):
        assert run(main) == "main's result"
    assert capfd.readouterr().err == ""


def test_a_program_that_dies_before_its_loop_has_begun_closes_it(run):
    async def calls():
        await ga.call(asyncio.Event().wait())

    async def main():
        gopark.go(calls)
        while gopark.runtime.num_goroutine() < 3:  # the loop's own is there, and has not run
            await gopark.gosched()
        raise SystemExit(3)

    for _ in range(20):
        with pytest.raises(SystemExit):
            run(main)
    assert gopark.runtime.stack(all=True) == ""


def test_a_wait_that_begins_after_the_end_is_not_left(run, monkeypatch, wait_until):
    """The task was amid a step, on a thread that was waited for no longer."""
    begins, over, ended = threading.Event(), threading.Event(), []
    finishstep = _wait.finishstep

    def late(*args):
        begins.set()
        assert over.wait(20)
        finishstep(*args)

    monkeypatch.setattr(_wait, "finishstep", late)

    async def waits():
        try:
            await ga.wait(gopark.Chan().recv())
        finally:
            ended.append("task")

    async def leaves():
        while not begins.is_set():
            await gopark.gosched()
        raise SystemExit(3)

    def main():  # the loop is not on its thread
        gopark.go(leaves)
        gopark.block(ga.call(waits()))

    before = gopark.runtime.gomaxprocs(2)
    try:
        with pytest.raises(SystemExit):
            run(main)
    finally:
        gopark.runtime.gomaxprocs(before)
        over.set()
    assert wait_until(lambda: gopark.runtime.num_goroutine() == 0)
    assert wait_until(lambda: ended == ["task"])


def test_a_program_that_dies_while_a_task_computes_closes_its_loop_after_that(run, wait_until):
    begins, over, loops = threading.Event(), threading.Event(), []

    async def computes():
        loops.append(asyncio.get_running_loop())
        begins.set()
        assert over.wait(20)

    async def leaves():
        while not begins.is_set():
            await gopark.gosched()
        raise SystemExit(3)

    def main():  # the loop is not on its thread
        gopark.go(leaves)
        gopark.block(ga.call(computes()))

    before = gopark.runtime.gomaxprocs(2)
    try:
        with pytest.raises(SystemExit) as caught:
            run(main)
    finally:
        gopark.runtime.gomaxprocs(before)
        over.set()
    assert caught.value.code == 3
    assert wait_until(loops[0].is_closed)
    assert wait_until(lambda: gopark.runtime.num_goroutine() == 0)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["at once", "later", "in a task of its own", "callback"])
def test_what_a_task_ends_the_program_by_is_as_for_asyncio_run(run, caplog, capfd, error, where):
    """The other tasks are cancelled and waited for, it comes out of `run`, and nobody logs it."""
    ended = []

    def callback():
        raise error

    async def raises():
        raise error

    async def leaves():
        other = asyncio.create_task(forever(ended))
        if where != "at once":
            await asyncio.sleep(0)
        if where == "callback":
            asyncio.get_running_loop().call_soon(callback)
            await other
        elif where == "in a task of its own":
            await asyncio.create_task(raises())
        raise error

    async def main():
        ga.start().set_debug(False)  # else a busy machine logs what took long
        try:
            await ga.call(asyncio.sleep(0))
            await ga.call(leaves())
        finally:
            ended.append("main")

    with pytest.raises(type(error)) as caught:
        run(main)
    assert caught.value is error
    assert ended == ["task", "main"]
    gc.collect()
    assert caplog.text == ""
    assert capfd.readouterr().err == ""


def test_a_call_that_comes_while_main_ends_is_cancelled_or_never_begun(run, capfd):
    """Its task would begin an async generator after those were closed."""
    begun, ended = [], []

    async def numbers():
        begun.append(None)
        try:
            yield await asyncio.sleep(0, 1)
        finally:
            ended.append(None)

    async def iterates():
        async for _ in numbers():
            await asyncio.sleep(0)

    async def calls():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await ga.call(iterates())

    async def main():
        for _ in range(4):
            gopark.go(calls)
        while len(begun) < 20:
            await gopark.gosched()
        return "returned"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            assert run(main) == "returned"
    assert capfd.readouterr().err == ""
    assert len(ended) == len(begun)
