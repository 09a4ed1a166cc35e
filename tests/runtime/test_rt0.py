"""`run`: what it returns and raises, and that nothing goes on once main is done."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base import runtime2
from gopark.testing import wait_all_parked


class Thing:
    """Something a weak reference can watch."""


# --- results ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
def test_run_returns_what_main_returns(run):
    async def main(a, b=2, *, c):
        await gopark.gosched()
        return a, b, c

    assert run(main, 1, c=3) == (1, 2, 3)
    assert run(lambda a, b: a + b, 1, b=2) == 3
    assert run(functools.partial(main, 1, c=3), 5) == (1, 5, 3)


def test_run_passes_mains_exception_through_unchanged(run):
    error = KeyError("mine")

    async def main():
        await gopark.gosched()
        raise error

    def plain():
        raise error

    for fn in (main, plain):
        with pytest.raises(KeyError) as caught:
            run(fn)
        assert caught.value is error
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt(), BaseException("base")])
def test_run_passes_every_kind_of_exception_through(run, exc):
    async def main():
        raise exc

    with pytest.raises(type(exc)) as caught:
        run(main)
    assert caught.value is exc


def test_stop_iteration_out_of_a_plain_main_passes_through(run):
    def main():
        raise StopIteration("mine")

    with pytest.raises(StopIteration) as caught:
        run(main)
    assert caught.value.value == "mine"


def test_a_plain_main_runs_on_the_calling_thread_and_may_block(run):
    def main():
        ch = Chan()
        gopark.go(ch.send, threading.get_ident())
        return gopark.block(ch.recv()), threading.get_ident()

    assert run(main) == (threading.get_ident(),) * 2


def test_a_decorated_async_main_runs(run):
    async def main():
        await gopark.gosched()
        return "result"

    assert run(lambda: main()) == "result"


@pytest.mark.usefixtures("procs")
def test_main_is_goroutine_1_in_every_run(run):
    async def main():
        gopark.go(gopark.gosched)
        await gopark.gosched()
        return runtime2.getg().goid

    assert [run(main) for _ in range(3)] == [1, 1, 1]


def test_run_keeps_nothing_of_its_main(run):
    thing = Thing()
    ref = weakref.ref(thing)

    async def main(thing):
        await gopark.gosched()
        return thing

    assert run(main, thing) is thing
    del thing
    gc.collect()
    assert ref() is None


def test_runs_follow_each_other_on_any_thread(run):
    results = []

    async def main():
        ch = Chan()
        gopark.go(ch.send, threading.get_ident())
        results.append(await ch.recv())

    run(main)
    thread = threading.Thread(target=run, args=(main,))
    thread.start()
    thread.join()
    run(main)
    assert len(results) == 3


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_run_inside_a_goroutine_is_refused_with_what_to_do():
    async def inner():
        pass

    with pytest.raises(RuntimeError, match="inside a goroutine; call the function itself"):
        gopark.run(inner)
    out = Chan(1)

    def plain():
        try:
            gopark.run(inner)
        except RuntimeError as exc:
            out.try_send(str(exc))

    gopark.go(plain)
    assert "inside a goroutine" in await out.recv()


async def test_run_in_another_thread_while_one_is_active_is_refused():
    errors = []

    async def inner():
        pass

    def thread():
        try:
            gopark.run(inner)
        except RuntimeError as exc:
            errors.append(str(exc))

    t = threading.Thread(target=thread)
    t.start()
    gopark.cgo.call(t.join)
    assert errors == ["run() is active in another thread; a process has one main goroutine"]


def test_a_refused_run_leaves_the_next_one_working(run):
    with pytest.raises(TypeError):
        gopark.run(None)
    with pytest.raises(TypeError, match="coroutine object"):
        gopark.run(asyncio.sleep(0))

    async def main():
        return 1

    assert run(main) == 1


# --- the end ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
def test_when_main_returns_nothing_else_goes_on(run):
    """Go: program exit does not wait for other goroutines."""
    log = []

    async def forever():
        while True:
            log.append(1)
            await gopark.gosched()

    def plain_forever():
        ch = Chan(1)
        while True:
            gopark.block(ch.send(1))
            gopark.block(ch.recv())
            log.append(2)
            gopark.block(gopark.gosched())

    async def main():
        for _ in range(3):
            gopark.go(forever)
        gopark.go(plain_forever)
        for _ in range(20):
            await gopark.gosched()

    run(main)
    before = len(log)
    event = threading.Event()
    event.wait(0.01)
    assert len(log) == before
    assert gopark.runtime.num_goroutine() == 0


@pytest.mark.usefixtures("procs")
def test_finally_blocks_of_goroutines_that_are_left_run(run):
    log = []

    async def parked(n):
        try:
            await Chan().recv()
        finally:
            log.append(n)

    began = []

    async def runnable():
        began.append(True)
        try:
            while True:
                await gopark.gosched()
        finally:
            log.append("runnable")

    async def main():
        for n in range(5):
            gopark.go(parked, n)
        await wait_all_parked()
        gopark.go(runnable)
        while not began:  # one that never began has no finally block to run
            await gopark.gosched()

    run(main)
    assert sorted(log, key=str) == [0, 1, 2, 3, 4, "runnable"]


def test_a_finally_block_that_waits_does_not_hold_the_end_up(run):
    log = []

    async def stubborn():
        try:
            await Chan().recv()
        finally:
            log.append("before")
            await Chan().recv()
            log.append("after")

    async def main():
        gopark.go(stubborn)
        await wait_all_parked()
        return "done"

    assert run(main) == "done"
    assert log == ["before"]


def test_a_goroutine_that_ignores_its_end_does_not_hold_it_up(run):
    async def stubborn():
        while True:
            try:
                await Chan().recv()
            except GeneratorExit:
                pass

    async def main():
        gopark.go(stubborn)
        await wait_all_parked()
        return "done"

    assert run(main) == "done"


def test_goroutines_that_never_began_are_dropped_without_a_warning(run):
    async def never(thing):
        pass

    thing = Thing()
    ref = weakref.ref(thing)

    async def main(thing):
        for _ in range(10):
            gopark.go(never, thing)

    run(main, thing)
    del thing
    gc.collect()
    assert ref() is None


def test_a_channel_outlives_its_program(run):
    ch = Chan(1)

    async def sender():
        await ch.send("value")

    async def receiver():
        return await ch.recv()

    run(sender)
    assert run(receiver) == "value"


def test_a_goroutine_parked_at_the_end_has_left_its_channel(run):
    ch = Chan()

    async def main():
        gopark.go(ch.recv)
        gopark.go(lambda: gopark.block(ch.recv()))
        gopark.go(lambda: gopark.select(gopark.recv(ch), gopark.recv(Chan())))
        await wait_all_parked()

    run(main)
    assert ch.try_send("for a dead one") is False


def test_a_timer_of_a_program_that_has_ended_fires_for_nobody(run):
    async def main():
        gopark.go(gopark.time.sleep, 0.005)
        await wait_all_parked()

    async def second():
        await gopark.time.sleep(0.02)

    run(main)
    run(second)


def test_a_goroutine_in_c_when_main_returns_starts_nothing_afterwards(run):
    """It gets ProgramEnded, from the call or from `go`, so nothing is lost in silence."""
    gate, ended, outcome = threading.Event(), threading.Event(), []
    inside = threading.Event()

    def in_c():
        inside.set()
        gate.wait(120)

    async def child():
        outcome.append("ran")

    def late():
        try:
            gopark.cgo.call(in_c)
            gopark.go(child)
        except gopark.ProgramEnded:
            outcome.append("refused")
            raise
        finally:
            ended.set()

    async def main():
        gopark.go(late)
        gopark.cgo.call(inside.wait, 30)

    run(main)
    gate.set()
    assert ended.wait(120)
    assert outcome == ["refused"]


# --- the runtime without run ------------------------------------------------------------------


def test_goroutines_started_before_run_go_on_in_it(run):
    """The runtime starts at first use; `run` is its main goroutine."""
    ch = Chan()
    gopark.go(ch.send, "early")

    async def main():
        return await ch.recv()

    assert run(main, outside_help=True) == "early"


def test_the_runtime_works_again_after_run_without_run(run):
    async def main():
        return 1

    assert run(main) == 1
    ch = Chan()
    gopark.go(ch.send, 2)
    assert gopark.block(ch.recv()) == 2
    assert run(main) == 1


def test_run_ends_soon_with_200_000_goroutines_parked_on_one_channel(child):
    """Taking them off the queue one by one must not cost a search each: that took minutes."""
    program = """
import gopark

async def main():
    ch = gopark.Chan()
    for _ in range(200_000):
        gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()

gopark.run(main)
print("ended", gopark.runtime.num_goroutine())
"""
    assert child(program).stdout == "ended 0\n"
