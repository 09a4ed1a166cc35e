"""Iterators and thread locking. Go: testprog/coro.go.

Go's pull-iterators have a goroutine of their own, so its locking can differ from that of the
goroutine that pulls, which is fatal. A generator of Python is part of the goroutine that
advances it, and so are its locks: there is nothing that could differ.
"""

from __future__ import annotations

import inspect
import threading

import pytest

import gopark


def locked():
    return "locked to thread" in gopark.runtime.stack().splitlines()[0]


async def simple():
    for _ in range(3):
        await gopark.gosched()
        yield 5


async def nested():
    async for value in simple():
        await gopark.gosched()
        yield value


async def lock():
    """Locks and unlocks between two values."""
    for _ in range(3):
        gopark.runtime.lock_os_thread()
        here = threading.get_ident()
        await gopark.gosched()
        assert locked()
        assert threading.get_ident() == here
        gopark.runtime.unlock_os_thread()
        yield 5


def plainly(values):
    """The same as an ordinary generator."""

    def plain():
        iterator = values()
        while True:
            try:
                yield gopark.block(anext(iterator))
            except StopAsyncIteration:
                return

    return plain


async def exhaust(values):
    found = []
    if inspect.isasyncgenfunction(values):
        async for value in values():
            found.append(value)
    else:
        for value in values():
            found.append(value)
    return found


async def stop_early(values):
    iterator = values()
    if inspect.isasyncgenfunction(values):
        first = await anext(iterator)
        await iterator.aclose()
    else:
        first = next(iterator)
        iterator.close()
    return [first]


async def while_locked(driver, values):
    gopark.runtime.lock_os_thread()
    here = threading.get_ident()
    found = await driver(values)
    assert locked()
    assert threading.get_ident() == here
    gopark.runtime.unlock_os_thread()
    return found


kinds = pytest.mark.parametrize("kind", [lambda values: values, plainly], ids=["async", "plain"])


async def in_a_goroutine(wanted, function, *args):
    """In another goroutine than main, which is unlocked at the end and on any thread."""
    out = gopark.Chan()

    async def body():
        found = await function(*args)
        await out.send((found, locked()))

    gopark.go(body)
    assert await out.recv() == (wanted, False)


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestCoroLockOSThread")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadIterLock")
async def test_coro_lock_os_thread_iter_lock(kind):
    await in_a_goroutine([5, 5, 5], exhaust, kind(lock))


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadLock")
async def test_coro_lock_os_thread_lock(kind):
    await in_a_goroutine([5, 5, 5], while_locked, exhaust, kind(simple))


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadLockIterNested")
async def test_coro_lock_os_thread_lock_iter_nested(kind):
    await in_a_goroutine([5, 5, 5], while_locked, exhaust, kind(nested))


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadLockIterLock")
async def test_coro_lock_os_thread_lock_iter_lock(kind):
    await in_a_goroutine([5, 5, 5], while_locked, exhaust, kind(lock))


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadStopLocked")
async def test_coro_lock_os_thread_stop_locked(kind):
    await in_a_goroutine([5], while_locked, stop_early, kind(simple))


@kinds
@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime/testdata/testprog", "CoroLockOSThreadStopLockedIterNested")
async def test_coro_lock_os_thread_stop_locked_iter_nested(kind):
    await in_a_goroutine([5], while_locked, stop_early, kind(nested))


@pytest.mark.usefixtures("procs")
async def test_a_lock_taken_in_an_iterator_is_the_goroutines():
    """Where Go's program dies: the value is given with the lock held, and the caller has it."""

    async def lock_yield():
        for _ in range(3):
            gopark.runtime.lock_os_thread()
            yield threading.get_ident()

    async def body():
        threads = []
        async for thread in lock_yield():
            await gopark.gosched()
            threads += [thread, threading.get_ident()]
        assert locked()
        for _ in range(3):
            gopark.runtime.unlock_os_thread()
        return len(set(threads))

    await in_a_goroutine(1, body)
