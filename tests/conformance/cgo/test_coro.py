"""Iterators and callbacks from C. Go: testprogcgo/coro.go.

A pull-iterator of Go has a goroutine and a thread of its own under C's frames; a generator of
Python is part of the goroutine that advances it.
"""

from __future__ import annotations

import pytest

import gopark
from gopark import cgo


async def simple():
    for _ in range(3):
        await gopark.gosched()
        yield 5


async def nested():
    async for value in simple():
        await gopark.gosched()
        yield value


@pytest.fixture
def from_c(binding):
    """Call a function, or a coroutine function, from C."""
    return lambda fn: binding.call("call_many", fn, 1)


@pytest.fixture
def calls_back(from_c):
    """An iterator that goes to C and back between two values."""

    async def calls_back():
        for _ in range(3):
            from_c(lambda _: gopark.block(gopark.gosched()))
            yield 5

    return calls_back


async def exhaust(values):
    return [value async for value in values()]


async def stop_early(values):
    iterator = values()
    first = await anext(iterator)
    await iterator.aclose()
    return [first]


def in_callback(from_c, driver, values):
    """Make the iterator and use it, all in one callback."""
    found = []

    async def callback(_):
        found.extend(await driver(values))

    from_c(callback)
    return found


@pytest.mark.go("runtime", "TestCoroCgoCallback")
@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoCallback")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_callback(from_c):
    assert in_callback(from_c, exhaust, simple) == [5, 5, 5]


@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoIterCallback")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_iter_callback(calls_back):
    assert await exhaust(calls_back) == [5, 5, 5]


@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoCallbackIterNested")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_callback_iter_nested(from_c):
    assert in_callback(from_c, exhaust, nested) == [5, 5, 5]


@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoCallbackIterCallback")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_callback_iter_callback(from_c, calls_back):
    assert in_callback(from_c, exhaust, calls_back) == [5, 5, 5]


@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoStopCallback")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_stop_callback(from_c):
    assert in_callback(from_c, stop_early, simple) == [5]


@pytest.mark.go("runtime/testdata/testprogcgo", "CoroCgoStopCallbackIterNested")
@pytest.mark.usefixtures("procs")
async def test_coro_cgo_stop_callback_iter_nested(from_c):
    assert in_callback(from_c, stop_early, nested) == [5]


@pytest.mark.usefixtures("procs")
async def test_an_iterator_made_before_a_callback_goes_on_in_it(from_c):
    """Where Go's program dies."""
    iterator, found = simple(), []
    found.append(await anext(iterator))

    async def callback(_):
        found.extend([value async for value in iterator])

    from_c(callback)
    assert found == [5, 5, 5]


@pytest.mark.outside_help
async def test_an_iterator_may_be_used_up_on_a_thread_of_c(unary, lib):
    iterator, found = nested(), []
    found.append(await anext(iterator))

    async def callback(_):
        found.extend([value async for value in iterator])

    cgo.call(lib.call_on_threads, unary(callback), 1, 1)
    assert found == [5, 5, 5]
