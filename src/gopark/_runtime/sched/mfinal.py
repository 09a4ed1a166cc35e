"""Async generators that nobody finished: closed by a goroutine of their own.

Python asks the event loop of the thread to finish an async generator that is collected
before its end. Each M sets the two hooks when it starts; `run` sets them on its thread and
puts back what was there. A generator collected while the program runs is closed by a
goroutine started for it; one that is left when main returns is closed then, as goroutines are:
what its `finally` blocks wait for has a moment (cleanup.py).

Source: none in Go (runtime/mfinal.go runs finalizers the same way).
Tests: tests/runtime/test_mfinal.py
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from typing import Any, Final

from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import G, goids
from gopark._runtime.report.traceback import calling, transparent
from gopark._runtime.sched.newproc import newg
from gopark._runtime.sched.startm import mysched, wakep

__all__ = ("closeleft", "closers", "closes", "minit", "resethooks", "sethooks", "weakrefs")


async def _nothing() -> AsyncGenerator[None, None]:
    yield


_sample = _nothing().aclose()
_sample.close()
_ACLOSE: Final = type(_sample)

_left: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
_late: list[AsyncGenerator[Any, Any]] = []  # collected in the end of a program


def minit() -> None:
    """Set up a thread of ours."""
    sethooks()


def sethooks() -> Any:
    """Set the hooks on this thread; returns what was set before."""
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=_left.add, finalizer=_finalize)
    return before


def resethooks(before: Any) -> None:
    """Put back what `sethooks` returned."""
    sys.set_asyncgen_hooks(*before)


def _finalize(agen: AsyncGenerator[Any, Any]) -> None:
    """The collector is about to free `agen`; runs on any thread, between any two lines."""
    sched = mysched()
    if sched.ended and sched.cleanup is not None:
        _late.append(agen)  # there is a time for it: see cleanup.py
        return
    if sched.ended or sched.main is None:
        closer = agen.aclose()
        _step(closer)
        _cease(closer)
        return
    # Not through `go`: the collector may run inside the scheduler, with one of its locks
    # taken by this very thread. The queue takes a G at any moment; who holds Sched.lock may
    # have looked at the queue already, and be about to sleep.
    g = newg(next(goids), agen.aclose(), agen.aclose, (), {}, None)
    sched.runq.append(g)
    if sched.lock.acquire(False):
        sched.lock.release()
        wakep(sched)
    else:
        hooks.later(wakep, sched)


def weakrefs() -> list[weakref.ref[AsyncGenerator[Any, Any]]]:
    """By which this module knows those that are left."""
    return list(_left.data.copy())  # type: ignore[attr-defined]


def closers(every: bool) -> list[G]:
    """A goroutine for each that nobody uses any more, or for all that are left. It may wait.

    The caller steps it.
    """
    found = [_late.pop() for _ in _late.copy()]
    found += _left if every else ()
    return [newg(next(goids), agen.aclose(), agen.aclose, (), {}, None) for agen in found]


def closes(g: G) -> bool:
    """It is such a goroutine, or one of `_finalize`."""
    return type(g.coro) is _ACLOSE


def closeleft(each: Callable[[Callable[[], None], Callable[[], None]], None]) -> None:
    """The program has ended, and the time for cleanup is up: one more step for what is left.

    `each` calls the step and, once it has undone a wait that begins there, what ends that wait.
    """
    # Threads that compute on may add some meanwhile.
    left = [agen for ref in weakrefs() if (agen := ref()) is not None]
    for agen in [*left, *_late]:
        closer = agen.aclose()
        each(partial(_stepleft, closer), partial(_ceaseleft, closer))
    _left.clear()
    _late.clear()


def _step(closer: Coroutine[Any, Any, None]) -> None:
    try:
        closer.send(None)
    except BaseException:
        pass  # it is finished, or it raises: nobody is there who could be told


def _cease(closer: Coroutine[Any, Any, None]) -> None:
    try:
        closer.close()
    except BaseException:
        pass  # its own, or that it goes on


# The same where nothing is held: what its `finally` blocks do is not amid the runtime.


def _stepleft(closer: Coroutine[Any, Any, None]) -> None:
    _step(closer)


def _ceaseleft(closer: Coroutine[Any, Any, None]) -> None:
    _cease(closer)


transparent.update((_step.__code__, _cease.__code__))
calling.update((_stepleft.__code__, _ceaseleft.__code__))
hooks.minit = minit
