"""`sys.monitoring` as it is used to raise in user code on another thread."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading

import pytest

from conftest import wait_until
from gopark._runtime.signal.codewatch import CodeWatch, needed
from gopark._runtime.signal.preempt import interruptible

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="no build without a GIL, and other bytecode"
)


class Stop(Exception):
    pass


def ours() -> list[int]:
    return [tool for tool in range(6) if sys.monitoring.get_tool(tool) == "gopark"]


def test_only_a_build_without_a_gil_needs_it():
    assert needed() is not getattr(sys, "_is_gil_enabled", lambda: True)()


def loops():
    while True: sum(range(10))  # fmt: skip  # noqa: E701


def turns():
    while True:
        pass


def stays():
    while True: pass  # fmt: skip  # noqa: E701


def calls(n=200):
    return n and calls(n - 1) + calls(n - 1)


@pytest.mark.parametrize("computes", [loops, turns, stays, calls])
def test_what_look_raises_is_raised_where_somebody_computes(computes):
    caught, started, stop = [], threading.Event(), Stop()
    once = [stop]

    def body():
        try:
            started.set()
            computes()
        except Stop as exc:
            caught.append(exc)

    def look(frame):
        if threading.get_ident() == thread.ident and frame.f_code is computes.__code__ and once:
            raise once.pop()

    thread = threading.Thread(target=body)
    thread.start()
    started.wait()
    watch = CodeWatch(look)
    watch.on()
    assert wait_until(lambda: caught == [stop])
    watch.off()
    assert ours() == []
    thread.join()


# --- in code that has something to lose: see each of them ------------------------------------


class Wait:
    """An awaitable that gives way once, and fails then if it is to."""

    def __init__(self, error=None):
        self.error = error

    def __await__(self):
        yield
        if self.error:
            raise self.error


class Locked:
    """As gopark's Mutex: an `async with` that gives way."""

    def __init__(self, lock):
        self.lock = lock

    async def __aenter__(self):
        await Wait()
        self.lock.acquire()

    async def __aexit__(self, *exc):
        self.lock.release()
        await Wait()


nothing = threading.get_ident  # a call of C, as any


def enters(lock, error):
    with lock:
        nothing()
        nothing()
    nothing()


def leaves(lock, error):
    for _ in range(3):
        with lock:
            nothing()
            if error:
                continue
            break
    with lock, contextlib.nullcontext():
        return (
            nothing(),
            nothing(),
        )


def fails(lock, error):
    try:
        with lock:
            nothing()
            raise error
    finally:
        nothing()


def passes(lock, error):
    def inner():
        raise error

    def middle():
        try:
            inner()
        except KeyError:
            nothing()
        except (
            TypeError,
            OSError,
        ):
            nothing()

    with lock:
        middle()


async def waits(lock, error):
    await Wait()
    try:
        await Wait()
        await Wait(
            error,
        )
        nothing()
    finally:
        nothing()
        await Wait()


async def iterates(lock, error):
    async def values():
        yield 1
        await Wait()
        yield 2
        raise error

    async for _ in values():
        nothing()


async def deep(lock, error):
    async def inner():
        await Wait()
        await Wait(error)

    async def middle():
        while True:
            nothing()
            await inner()

    await middle()


async def locks(lock, error):
    async with Locked(lock):
        nothing()
        await Wait()
    nothing()
    async with (
        Locked(lock),
        contextlib.nullcontext(),
    ):
        await Wait(error)
    nothing()


def chain(exc):
    while exc is not None:
        yield exc
        exc = exc.__context__


def outcome(body, lock, error):
    """What it ends with."""
    try:
        coro = body(lock, error)
        while asyncio.iscoroutine(coro):
            coro.send(None)
    except (Stop, ValueError, StopIteration) as exc:
        return exc


@pytest.mark.parametrize("body", [enters, leaves, fails, passes, waits, iterates, deep, locks])
def test_nowhere_is_another_exception_replaced_or_a_lock_left_held(body):
    """At the nth place in that body, for each n, one is raised, if gopark raises there."""

    def look(frame):
        nonlocal places
        if frame.f_code.co_qualname.startswith(body.__name__) and interruptible(frame, None):
            places += 1
            if places == nth:
                raise stop

    nth, places = 0, 0
    watch = CodeWatch(look)
    while nth <= places:
        nth += 1
        places, lock, error, stop = 0, threading.Lock(), ValueError(), Stop()
        watch.on()
        try:
            ended = [*chain(outcome(body, lock, error))]
        finally:
            watch.off()
        assert not lock.locked(), nth
        assert (stop in ended) is (nth <= places), nth
        assert error in ended or error.__traceback__ is None, nth  # it had been raised
    assert nth > 3
