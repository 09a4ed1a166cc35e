"""Once, once_func and its kin: re-entrance, errors, colours, the end of a program."""

from __future__ import annotations

import gc
import inspect
import signal
import traceback
import weakref

import pytest

import gopark
from gopark import DeadlockError
from gopark.sync import Once, WaitGroup, once_func, once_value, once_values
from gopark.testing import wait_all_parked


async def test_who_comes_while_it_runs_waits_for_its_end(procs):
    once, go_on, order = Once(), gopark.Chan(), []

    async def setup():
        await go_on.recv()
        order.append("set up")

    async def caller(name):
        await once.do(setup)
        order.append(name)

    async with WaitGroup() as wg:
        for n in range(3):
            wg.go(caller, n)
        await wait_all_parked()
        assert order == []
        go_on.close()
    assert order[0] == "set up"
    assert sorted(order[1:]) == [0, 1, 2]


async def test_arguments_are_passed_on_and_the_result_is_dropped():
    once, got = Once(), []
    assert await once.do(got.append, 1) is None
    assert await once.do(got.append, 2) is None
    assert got == [1]
    assert "done" in repr(once)


def test_plain_code_blocks(run):
    once, got = Once(), []

    async def coroutine():
        got.append(1)

    def main():
        gopark.block(once.do(coroutine))
        gopark.block(once.do(coroutine))

    run(main)
    assert got == [1]


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_a_function_that_calls_do_of_its_own_once_is_a_deadlock(run, capsys, plain):
    once = Once()

    async def again():
        await once.do(print)

    async def main():
        await once.do((lambda: gopark.block(again())) if plain else again)

    with pytest.raises(DeadlockError):
        run(main)
    assert "goroutine 1 [sync.Mutex.Lock]:\n" in capsys.readouterr().err


def test_what_the_end_of_a_program_cuts_short_is_not_done(run):
    once, got, calls = Once(), [], []

    @once_value
    def value():
        calls.append(1)
        if len(calls) == 1:
            gopark.block(gopark.select())
        return "value"

    async def forever():
        await gopark.select()

    async def main():
        gopark.go(once.do, forever)
        gopark.go(lambda: value())
        await wait_all_parked()

    run(main)
    run(once.do, got.append, 1)
    assert got == [1]
    assert value() == "value"


def test_what_ctrl_c_breaks_off_is_not_done(run):
    """It is no outcome of the function, to be raised for whoever calls it ever after."""
    calls = []

    def load():
        calls.append(None)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return "loaded"

    value = once_value(load)
    with pytest.raises(KeyboardInterrupt):
        run(value)
    assert run(value) == "loaded"
    assert run(value) == "loaded"
    assert len(calls) == 2


async def test_what_cannot_be_called_so_is_not_done():
    once, got = Once(), []

    def needs(value):
        got.append(value)

    with pytest.raises(TypeError, match=r"Once\.do: .*needs\(value\) cannot be called so"):
        await once.do(needs)
    await once.do(needs, 1)
    assert got == [1]
    for wrap in (once_func, once_value, once_values):
        with pytest.raises(TypeError, match=r"needs\(value\) cannot be called so"):
            wrap(needs)


@pytest.mark.parametrize("fn", [None, 3, "text"])
async def test_what_is_no_function_is_an_error(fn):
    with pytest.raises((TypeError, gopark.FatalError)):
        await Once().do(fn)
    for wrap in (once_func, once_value, once_values):
        with pytest.raises((TypeError, gopark.FatalError)):
            wrap(fn)


# --- once_func, once_value, once_values -------------------------------------------------------


def test_the_wrapped_function_keeps_its_colour_name_and_text():
    @once_value
    async def coroutine() -> int:
        """Text."""
        return 1

    @once_value
    def plain() -> int:
        """Text."""
        return 1

    assert inspect.iscoroutinefunction(coroutine)
    assert not inspect.iscoroutinefunction(plain)
    for fn, name in ((coroutine, "coroutine"), (plain, "plain")):
        assert (fn.__name__, fn.__doc__, fn.__module__) == (name, "Text.", __name__)


def test_plain_ones_wait_for_each_other_on_threads(run, procs):
    go_on, calls = gopark.Chan(), []

    @once_value
    def value():
        calls.append(1)
        gopark.block(go_on.recv())
        return "value"

    got = []

    async def main():
        async with WaitGroup() as wg:
            for _ in range(3):
                wg.go(lambda: got.append(value()))
            await wait_all_parked()
            go_on.close()

    run(main)
    assert calls == [1]
    assert got == ["value"] * 3


def test_an_exception_that_is_raised_again_does_not_grow():
    @once_func
    def fails():
        raise ValueError("x")

    def depth():
        try:
            fails()
        except ValueError as error:
            return len(traceback.extract_tb(error.__traceback__))

    depth()
    assert len({depth() for _ in range(5)}) == 1


@pytest.mark.parametrize("wrap", [once_func, once_value, once_values])
def test_the_function_is_let_go_once_it_has_been_called(wrap):
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)

    def fn(big=big):
        return 1, 2

    called = wrap(fn)
    del big, fn
    assert gone() is not None
    called()
    gc.collect()
    assert gone() is None
    called()
