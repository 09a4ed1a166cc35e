"""Safe points: where a handler may be called and an exception be raised in a goroutine, and how.

Python may call a signal handler, and raise an asynchronous exception, between any two lines. Where
the innermost code is the user's, and below it are only frames of ours that call user code knowing
what they do (`transparent`), nothing of the runtime is half done: that is a safe point.

A parked goroutine is woken with an exception instead of what it waits for (`wakewith`): who does
that has taken it off its queue, and owns its wake-up. One that computes on another thread gets an
asynchronous exception there (`interrupt`), if that thread stands at a safe point.

Source: Go 1.27 runtime/preempt.go (isAsyncSafePoint). Tests: tests/runtime/test_signal_unix.py
"""

from __future__ import annotations

import ctypes
import opcode
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gopark._runtime import cgocall, lockedm, newproc, proc
from gopark._runtime.runq import ready
from gopark._runtime.runtime2 import DONE, GSYSCALL, G
from gopark._runtime.traceback import boundary, callback_entry, hidden, transparent

__all__ = (
    "Flight",
    "interrupt",
    "interruptible",
    "throwin",
    "trap",
    "undisturbed",
    "wakewith",
    "yields",
)

transparent.update(
    (
        lockedm.block.__code__,
        lockedm.drive.__code__,
        cgocall.call.__code__,
        *cgocall.callers,
        lockedm.parklocked.__code__,
        lockedm.badcommand.__code__,
        proc.UNUSUAL,
        newproc.START,
    )
)  # and rt0._keep

_LONG: Final = 1.0  # seconds
_setasyncexc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_setasyncexc.argtypes = (ctypes.c_ulong, ctypes.py_object)


def interruptible(frame: FrameType | None, g: G | None) -> bool:
    """An exception may be raised in `frame`: the user's code is innermost."""
    if frame is None or frame.f_code in boundary:
        return False
    innermost = True
    while frame is not None and frame.f_code not in boundary:
        code = frame.f_code
        if hidden(code) and code not in callback_entry:
            if code not in transparent:
                return False
            if innermost and not (
                code is cgocall.call.__code__ and (g is None or g.status is GSYSCALL)
            ):
                return False
        elif innermost and _entering(frame):
            return False
        innermost = False
        frame = frame.f_back
    return True


def _entering(frame: FrameType) -> bool:
    """At the call of `__enter__`, which may have taken a lock: the block that gives it back begins
    at the next instruction. Up to 3.13 Python looks for no signal there (python/cpython#148874)."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return _LOAD_SPECIAL >= 0 and at >= 2 and code[at - 2] == _LOAD_SPECIAL


_LOAD_SPECIAL: Final = opcode.opmap.get("LOAD_SPECIAL", -1)


def wakewith(g: G, exc: BaseException) -> bool:
    """Wake a parked G with an exception instead of what it waits for; False: somebody else has."""
    waiting = g.waiting
    if waiting is None or not waiting.unwait(g):
        return False
    throwin(g, exc)
    ready(g)
    return True


def throwin(g: G, exc: BaseException) -> None:
    """Have it raised where `g` waits or gives way, once it runs; the caller owns `g`."""
    if g.lockedm is not None:
        g.lockedm.exc = exc
    else:
        g.step = _Throw(g, exc)


class _Trap:
    """Stands for the `step` of a G for one step: if it has given way, an exception is raised there.

    Who steps owns the G, and nothing is lost: nobody has woken it with anything. One that does
    nothing but give way may never be met in its own code, nor on a queue: the moments at which
    threads change are not random.
    """

    def __init__(self, g: G, take: Callable[[], BaseException | None]) -> None:
        self.g = g
        self.step = g.step
        self.take = take

    def __iter__(self) -> _Trap:
        return self

    def __next__(self) -> object:
        g, step = self.g, self.step
        g.step = step
        assert step is not None
        if g.coro is not None and yields(g) and (exc := self.take()) is not None:
            return g.coro.throw(exc)
        return next(step, DONE)


def trap(g: G, take: Callable[[], BaseException | None]) -> None:
    """Have what `take` gives raised in `g` when it next goes on from where it gave way."""
    if g.coro is not None and type(g.step) is not _Trap:
        g.step = _Trap(g, take)


def yields(g: G) -> bool:
    """A runnable G that the caller owns has given way, and nobody has woken it with anything."""
    if g.lockedm is not None:
        return g.waitreason is lockedm.YIELDS
    inner: Any = g.coro
    while (below := getattr(inner, "cr_await", None)) is not None:
        inner = below
    return getattr(inner, "cr_code", None) in lockedm.yieldcodes


class _Throw:
    """One step of a coroutine that raises at its await; then its own `step` is back."""

    __slots__ = ("exc", "g")

    def __init__(self, g: G, exc: BaseException) -> None:
        self.g = g
        self.exc = exc

    def __iter__(self) -> _Throw:
        return self

    def __next__(self) -> object:
        coro = self.g.coro
        assert coro is not None
        self.g.step = coro.__await__()
        return coro.throw(self.exc)


transparent.add(_Throw.__next__.__code__)  # main runs on below it until its next wait


class undisturbed:
    """`with undisturbed():` no other thread goes on in the block, where there is a GIL.

    Who waits for the GIL asks for it after a switch interval. It may be as short as the program
    likes, and has passed for those that wait already; so they are left to find out about the
    longer one first.
    """

    def __enter__(self) -> None:
        self.before = sys.getswitchinterval()
        sys.setswitchinterval(_LONG)
        time.sleep(2 * self.before)

    def __exit__(self, *exc: object) -> None:
        sys.setswitchinterval(self.before)


Flight = dict[type[BaseException], BaseException]  # not empty until the exception is raised


def interrupt(ident: int, exc: BaseException) -> Flight:
    """Raise it at the next line of that thread, which the caller has seen at a safe point.

    `undisturbed`: one that has gone on meanwhile would be met amid the runtime. A second one that
    is sent before the first has been raised would take its place.

    An asynchronous exception is given as a class: one whose instance is `exc`. What stands for its
    constructor is C, so that no line of Python runs where it is raised.
    """
    flight: Flight = {}
    kind = type(exc)
    carrier = type(kind.__name__, (kind,), {"__new__": staticmethod(flight.pop)})
    flight[carrier] = exc
    _setasyncexc(ident, carrier)
    return flight


transparent.add(_Trap.__next__.__code__)  # the user's code runs below it until its next wait
