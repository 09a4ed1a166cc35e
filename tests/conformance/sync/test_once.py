"""Once and what is built on it, as Go's own tests pin them down.

Go: sync/once_test.go, oncefunc_test.go, example_test.go.
"""

from __future__ import annotations

import traceback

import pytest

import gopark
from gopark.sync import Once, WaitGroup, once_func, once_value, once_values
from gopark.testing import wait_all_parked


@pytest.mark.go("sync", "TestOnce")
async def test_once(procs):
    once, ran = Once(), []

    async def setup():
        await gopark.gosched()
        ran.append(1)

    async def caller():
        await once.do(setup)
        assert ran == [1], "do returned before the function had run"

    async with WaitGroup() as wg:
        for _ in range(10):
            wg.go(caller)
    assert ran == [1]


@pytest.mark.go("sync", "TestOncePanic")
async def test_once_panic():
    once = Once()

    def failed():
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        await once.do(failed)
    await once.do(pytest.fail, "Once.do called twice")


# --- once_func, once_value, once_values -------------------------------------------------------


@pytest.mark.go("sync", "TestOnceFunc")
async def test_once_func(procs):
    calls = []

    @once_func
    def plain():
        calls.append("plain")
        return "dropped"

    @once_func
    async def coroutine():
        await gopark.gosched()
        calls.append("coroutine")
        return "dropped"

    async with WaitGroup() as wg:
        for _ in range(5):
            wg.go(plain)
            wg.go(coroutine)
    assert sorted(calls) == ["coroutine", "plain"]
    assert plain() is None
    assert await coroutine() is None


@pytest.mark.go("sync", "TestOnceValue")
async def test_once_value():
    calls = []

    @once_value
    def value():
        calls.append(1)
        return len(calls)

    @once_value
    async def coroutine():
        calls.append(1)
        return len(calls)

    assert [value() for _ in range(3)] == [1, 1, 1]
    assert [await coroutine() for _ in range(3)] == [2, 2, 2]


@pytest.mark.go("sync", "TestOnceValues")
async def test_once_values():
    calls = []

    @once_values
    def values():
        calls.append(1)
        return len(calls), len(calls) + 1

    @once_values
    async def coroutine():
        calls.append(1)
        return len(calls), len(calls) + 1

    assert [values() for _ in range(3)] == [(1, 2)] * 3
    assert [await coroutine() for _ in range(3)] == [(2, 3)] * 3


WRAPPERS = {"once_func": once_func, "once_value": once_value, "once_values": once_values}


async def _raises_again(wrap, error):
    """Plain and async: each call raises the same instance, and the function ran once."""
    calls = []

    @wrap
    def plain():
        calls.append("plain")
        raise error

    @wrap
    async def coroutine():
        calls.append("coroutine")
        raise error

    for first in (True, False):
        with pytest.raises(type(error)) as raised:
            plain()
        assert (raised.value is error) is first
        assert raised.value.args == error.args
    for first in (True, False):
        with pytest.raises(type(error)) as raised:
            await coroutine()
        assert (raised.value is error) is first
        assert raised.value.args == error.args
    assert calls == ["plain", "coroutine"]


@pytest.mark.go("sync", "TestOnceFuncPanic")
async def test_once_func_panic():
    await _raises_again(once_func, ValueError("x"))


@pytest.mark.go("sync", "TestOnceValuePanic")
async def test_once_value_panic():
    await _raises_again(once_value, ValueError("x"))


@pytest.mark.go("sync", "TestOnceValuesPanic")
async def test_once_values_panic():
    await _raises_again(once_values, ValueError("x"))


@pytest.mark.go("sync", "TestOnceFuncPanicNil")
async def test_once_func_panic_nil():
    """An exception that says nothing, and whose truth is False."""

    class Nothing(Exception):
        def __bool__(self):
            return False

    await _raises_again(once_func, Nothing())


@pytest.mark.go("sync", "TestOnceFuncGoexit")
async def test_once_func_goexit(procs):
    calls, unwound = [], []

    @once_func
    def leaves():
        calls.append(1)
        gopark.goexit()

    async def caller():
        try:
            leaves()
        finally:
            unwound.append(1)

    for _ in range(2):
        gopark.go(caller)
        await wait_all_parked()
    assert calls == [1]
    assert unwound == [1, 1]


@pytest.mark.go("sync", "TestOnceFuncPanicTraceback")
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
async def test_once_func_panic_traceback(wrap):
    @wrap
    def fails():
        raise ValueError("x")

    for first in (True, False, False):  # later calls say it in a note, and keep no frames
        try:
            fails()
        except ValueError:
            text = traceback.format_exc()
            dump = gopark.debug.stack()
        assert "in fails\n" in text
        assert (".fails(...)" in dump) is first


# --- examples ---------------------------------------------------------------------------------


@pytest.mark.go("sync", "ExampleOnce")
def test_example_once(run, capsys):
    async def main():
        once = Once()
        async with WaitGroup() as wg:
            for _ in range(10):
                wg.go(once.do, print, "Only once")

    run(main)
    assert capsys.readouterr().out == "Only once\n"


@pytest.mark.go("sync", "ExampleOnceValue")
def test_example_once_value(run, capsys):
    @once_value
    def once():
        total = sum(range(1000))
        print("Computed once:", total)
        return total

    async def caller():
        assert once() == 499500

    async def main():
        async with WaitGroup() as wg:
            for _ in range(10):
                wg.go(caller)

    run(main)
    assert capsys.readouterr().out == "Computed once: 499500\n"


@pytest.mark.go("sync", "ExampleOnceValues")
def test_example_once_values(run, capsys):
    @once_values
    async def once():
        print("Reading file once")
        try:
            with open(__file__) as file:
                return file.read(), None
        except OSError as error:
            return "", error

    async def caller():
        text, error = await once()
        assert error is None
        assert "Reading file once" in text

    async def main():
        async with WaitGroup() as wg:
            for _ in range(10):
                wg.go(caller)

    run(main)
    assert capsys.readouterr().out == "Reading file once\n"
