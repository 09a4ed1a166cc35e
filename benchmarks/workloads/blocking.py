"""100 tasks that each call `time.sleep(0.1)`, as a user writes it who knows nothing better.

The call stands for whatever blocks a thread: a database driver, a file on a slow disk, DNS.
One thread runs the tasks. The figure is the time until all have ended, in seconds: 0.1 if
nothing holds up anything, 10 if one waits for the other.

Plain: gopark, asyncio, uvloop, trio, TonIO, pyroutine-rt: the call, in the task. gevent: the
  same with its monkey patches in place, as its documentation asks for, so that `time.sleep`
  is gevent's own.
"own wrapper" is what each documents for calls that block: `asyncio.to_thread`,
  `trio.to_thread.run_sync`, gevent's thread pool, `spawn_blocking`, `run_blocking`, each with
  the number of threads it has by default.
"in C": the call is the C library's `usleep`, through ctypes, which no patch reaches. Go has
  only this row: `time.Sleep` is not a call that blocks there, so it calls `usleep` through cgo.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from typing import Any

import gopark as gp
from benchmarks.golang import on_go
from benchmarks.measure import Measure, Sample, Stopwatch
from benchmarks.peers import need, on_asyncio, on_gopark, on_pyroutine, on_tonio, on_trio

TITLE = "100 calls of time.sleep(0.1), unmarked"
UNIT = "s"
N = 100
QUICK = 4
GROUP = "blocking"
MAIN = ("",)

_SECONDS = 0.1


def _plain() -> None:
    time.sleep(_SECONDS)


def _in_c() -> Callable[[], object]:
    usleep = ctypes.CDLL(None).usleep
    usleep.argtypes = (ctypes.c_uint,)
    return lambda: usleep(int(_SECONDS * 1e6))


async def _run_gopark(n: int, call: Callable[[], object]) -> Sample:
    async def task(done: gp.Chan[None]) -> None:
        call()
        await done.send(None)

    done = gp.Chan[None](n)
    with Stopwatch() as watch:
        for _ in range(n):
            gp.go(task, done)
        for _ in range(n):
            await done.recv()
    return watch.sample(1, 1)


async def _gopark(n: int) -> Sample:
    return await _run_gopark(n, _plain)


async def _gopark_in_c(n: int) -> Sample:
    return await _run_gopark(n, _in_c())


async def _asyncio(n: int) -> Sample:
    async def task() -> None:
        _plain()

    with Stopwatch() as watch:
        for each in [asyncio.create_task(task()) for _ in range(n)]:
            await each
    return watch.sample(1, 1)


async def _asyncio_wrapped(n: int) -> Sample:
    with Stopwatch() as watch:
        await asyncio.gather(*[asyncio.to_thread(_plain) for _ in range(n)])
    return watch.sample(1, 1)


async def _trio(trio: Any, n: int) -> Sample:
    async def task() -> None:
        _plain()

    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for _ in range(n):
                nursery.start_soon(task)
    return watch.sample(1, 1)


async def _trio_wrapped(trio: Any, n: int) -> Sample:
    with Stopwatch() as watch:
        async with trio.open_nursery() as nursery:
            for _ in range(n):
                nursery.start_soon(trio.to_thread.run_sync, _plain)
    return watch.sample(1, 1)


def _run_gevent(n: int, call: Callable[[], object]) -> Sample:
    gevent = need("gevent")
    with Stopwatch() as watch:
        gevent.joinall([gevent.spawn(call) for _ in range(n)])
    return watch.sample(1, 1)


def _gevent(n: int) -> Sample:
    need("gevent.monkey").patch_time()
    return _run_gevent(n, _plain)


def _gevent_in_c(n: int) -> Sample:
    return _run_gevent(n, _in_c())


def _gevent_wrapped(n: int) -> Sample:
    gevent = need("gevent")
    pool = gevent.get_hub().threadpool
    with Stopwatch() as watch:
        gevent.joinall([pool.spawn(_plain) for _ in range(n)])
    return watch.sample(1, 1)


async def _tonio(tonio: Any, n: int) -> Sample:
    async def task() -> None:
        _plain()

    with Stopwatch() as watch:
        await tonio.spawn.without_results(*[task() for _ in range(n)])
    return watch.sample(1, 1)


async def _tonio_wrapped(tonio: Any, n: int) -> Sample:
    with Stopwatch() as watch:
        await tonio.spawn.without_results(*[tonio.spawn_blocking(_plain) for _ in range(n)])
    return watch.sample(1, 1)


def _pyroutine(pyroutine: Any, n: int) -> Sample:
    with Stopwatch() as watch:
        for task in [pyroutine.spawn(_plain) for _ in range(n)]:
            task.join()
    return watch.sample(1, 1)


def _pyroutine_wrapped(pyroutine: Any, n: int) -> Sample:
    run_blocking = pyroutine.run_blocking
    with Stopwatch() as watch:
        for task in [pyroutine.spawn(run_blocking, _plain) for _ in range(n)]:
            task.join()
    return watch.sample(1, 1)


SIDES: dict[str, Measure] = {
    "gopark": on_gopark(_gopark),
    **on_asyncio(_asyncio),
    "trio": on_trio(_trio),
    "gevent": _gevent,
    "TonIO": on_tonio(_tonio),
    "pyroutine-rt": on_pyroutine(_pyroutine),
    "asyncio, own wrapper": on_asyncio(_asyncio_wrapped)["asyncio"],
    "uvloop, own wrapper": on_asyncio(_asyncio_wrapped)["uvloop"],
    "trio, own wrapper": on_trio(_trio_wrapped),
    "gevent, own wrapper": _gevent_wrapped,
    "TonIO, own wrapper": on_tonio(_tonio_wrapped),
    "pyroutine-rt, own wrapper": on_pyroutine(_pyroutine_wrapped),
    "gopark, in C": on_gopark(_gopark_in_c),
    "gevent, in C": _gevent_in_c,
    "Go, in C": on_go("blocking", 1, cgo=True),
}
