"""Every wait of gopark ends with its scope, in every kind of code: one against the other."""

from __future__ import annotations

import asyncio
import threading

import pytest

import gopark
import gopark.asyncio as ga
from gopark import context, net, sync
from gopark.sync import semaphore, singleflight


def mutex():
    mu = sync.Mutex()
    assert mu.try_lock()
    return mu.lock()


def rwmutex(read):
    mu = sync.RWMutex()
    assert mu.try_lock()
    return mu.rlock() if read else mu.lock()


def waitgroup():
    wg = sync.WaitGroup()
    wg.add(1)
    return wg.wait()


async def cond():
    mu = sync.Mutex()
    async with mu:
        try:
            await sync.Cond(mu).wait()
        finally:
            assert not mu.try_lock()  # it holds its lock again


def weighted():
    sem = semaphore.Weighted(1)
    assert sem.try_acquire(1)
    return sem.acquire(1)


async def shared():
    await singleflight.Group().do("key", gopark.Chan().recv)


async def once():
    await sync.Once().do(gopark.Chan().recv)


async def task():
    inner = gopark.spawn(gopark.Chan().recv)
    try:
        await inner
    finally:
        inner.cancel()


async def several():
    await gopark.gather(gopark.Chan().recv(), gopark.Chan().recv())


async def each():
    async for _ in gopark.Chan():
        pass


async def accept():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        await listener.accept()


async def read():
    here, there = net.pipe()
    try:
        await here.read(1)
    finally:
        here.close()
        there.close()


async def call():
    await ga.call(asyncio.Event().wait())


PARKS = {
    "recv": lambda: gopark.Chan().recv(),
    "recv_ok": lambda: gopark.Chan().recv_ok(),
    "send": lambda: gopark.Chan().send(1),
    "select": lambda: gopark.select(gopark.recv(gopark.Chan()), gopark.send(gopark.Chan(), 1)),
    "select, no cases": lambda: gopark.select(),
    "a channel that is None": lambda: gopark.select(gopark.recv(None)),
    "async for": each,
    "sleep": lambda: gopark.time.sleep(3600),
    "after": lambda: gopark.time.after(3600).recv(),
    "Mutex": mutex,
    "RWMutex.lock": lambda: rwmutex(False),
    "RWMutex.rlock": lambda: rwmutex(True),
    "WaitGroup": waitgroup,
    "Cond": cond,
    "semaphore": weighted,
    "singleflight": shared,
    "once": once,
    "task": task,
    "task.ended": lambda: gopark.spawn(gopark.time.sleep, 0.2).ended().recv(),
    "gather": several,
    "accept": accept,
    "read": read,
    "asyncio call": call,
}


class Ended:
    """What came of a wait."""

    def __init__(self):
        self.ch = gopark.Chan(1)

    def plain(self, scope, park):
        try:
            with scope():
                gopark.block(park())
        except BaseException as exc:
            self.ch.try_send(exc)
        else:
            self.ch.try_send(None)

    async def coroutine(self, scope, park):
        try:
            with scope():
                await park()
        except BaseException as exc:
            self.ch.try_send(exc)
        else:
            self.ch.try_send(None)


def begin(where, ended, scope, park):
    if where == "coroutine":
        gopark.go(ended.coroutine, scope, park)
    elif where == "plain goroutine":
        gopark.go(ended.plain, scope, park)
    elif where == "locked to its thread":

        async def locked():
            gopark.runtime.lock_os_thread()
            await ended.coroutine(scope, park)

        gopark.go(locked)
    else:

        def inblock():
            gopark.block(ended.coroutine(scope, park))

        def plain():
            ended.plain(scope, park)

        target = inblock if where == "block of a thread" else gopark.cgo.callback(plain)
        threading.Thread(target=target, daemon=True).start()


# A thread is help from outside until it has begun to wait.
PLACES = (
    *("coroutine", "plain goroutine", "locked to its thread"),
    pytest.param("block of a thread", marks=pytest.mark.outside_help),
    pytest.param("callback on a thread", marks=pytest.mark.outside_help),
)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("park", PARKS.values(), ids=PARKS.keys())
async def test_a_timeout_ends_it(where, park):
    ended = Ended()
    begin(where, ended, lambda: gopark.timeout(0.02), park)
    exc = await ended.ch.recv()
    assert type(exc) is TimeoutError, repr(exc)
    assert str(exc) == "timeout(0.02) is over"


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("park", PARKS.values(), ids=PARKS.keys())
async def test_the_end_of_a_context_ends_it(where, park):
    ended = Ended()
    with context.with_timeout(context.background(), 0.02) as ctx:
        begin(where, ended, lambda: context.scope(ctx), park)
        exc = await ended.ch.recv()
    assert type(exc) is context.DeadlineExceeded, repr(exc)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("park", PARKS.values(), ids=PARKS.keys())
async def test_it_does_not_wait_in_one_that_is_over(where, park):
    ended = Ended()
    begin(where, ended, lambda: gopark.timeout(0), park)
    exc = await ended.ch.recv()
    assert type(exc) is TimeoutError, repr(exc)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("park", PARKS.values(), ids=PARKS.keys())
async def test_who_ends_it_from_outside(where, park):
    ended = Ended()
    with context.with_cancel(context.background()) as ctx:
        begin(where, ended, lambda: context.scope(ctx), park)
        await gopark.time.sleep(0.002)  # it waits by then, as a rule; if not, it ends all the same
        ctx.cancel()
        exc = await ended.ch.recv()
    assert type(exc) is context.Canceled, repr(exc)
