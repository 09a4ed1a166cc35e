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
from collections.abc import Callable
from itertools import compress, starmap
from operator import attrgetter, eq, itemgetter
from types import CodeType, FrameType
from typing import Any, Final

from gopark._runtime.base.frames import nocollection
from gopark._runtime.base.runtime2 import (
    DONE,
    GRUNNING,
    GSYSCALL,
    G,
    M,
    currentframes,
)
from gopark._runtime.c import cgocall
from gopark._runtime.report.traceback import (
    awaitlink,
    boundary,
    callback_entry,
    hidden,
    transparent,
)
from gopark._runtime.sched import lockedm, newproc, proc
from gopark._runtime.sched.runq import ready

__all__ = (
    "Flight",
    "Throwing",
    "interrupt",
    "interruptible",
    "throwin",
    "thrown",
    "trap",
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
        newproc.Wrapped.send.__code__,
        newproc.Wrapped.throw.__code__,
    )
)  # and rt0._keep

_setasyncexc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_setasyncexc.argtypes = (ctypes.c_ulong, ctypes.py_object)


def interruptible(frame: FrameType | None, g: G | None, at: int | None = None) -> bool:
    """An exception may be raised in `frame`, at instruction `at`: the user's code is innermost."""
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
        elif innermost:
            at = frame.f_lasti if at is None else at
            if (
                _entering(frame, at)
                or _leaving(frame.f_code.co_code, at)
                or _jumping(frame.f_code, at)
            ):
                return False
        innermost = False
        frame = frame.f_back
    _jumps[0] = 0
    return True


def _entering(frame: FrameType, at: int) -> bool:
    """At the call of `__enter__`, which may have taken a lock: the block that gives it back begins
    at the next instruction. Up to 3.13 Python looks for no signal there (python/cpython#148874)."""
    code = frame.f_code.co_code
    return _LOAD_SPECIAL >= 0 and at >= 2 and code[at - 2] == _LOAD_SPECIAL


_LOAD_SPECIAL: Final = opcode.opmap.get("LOAD_SPECIAL", -1)


def _leaving(code: bytes, at: int) -> bool:
    """At the call of `__aexit__`: what is to be awaited next is made, and has not yet begun."""
    after = at + 2
    while code[after : after + 1] == _CACHE:
        after += 2
    return code[after : after + 2] == _AEXIT


_CACHE: Final = bytes((opcode.opmap["CACHE"],))
_AEXIT: Final = bytes((opcode.opmap["GET_AWAITABLE"], 2))


def _jumping(code: CodeType, at: int) -> bool:
    """At the jump back of a loop, which CPython 3.13 puts outside the `try` around that loop.

    What is raised there passes by `except` and `finally`. Other instructions are preferred; a loop
    may have none where Python looks for signals, so this is so a number of times only.
    """
    if code.co_code[at] != _JUMP_BACKWARD or at not in _ends(code.co_exceptiontable):
        return False
    _jumps[0] += 1
    return _jumps[0] <= _MANYJUMPS


def _ends(table: bytes) -> set[int]:
    """Where `try` blocks end: the table's entries are start, length, target, depth, six bits in
    each byte and a seventh that says whether there are more (CPython, exception_handling.md)."""
    numbers: list[int] = []
    more = False
    for byte in table:
        if more:
            numbers[-1] = numbers[-1] << 6 | byte & 63
        else:
            numbers.append(byte & 63)
        more = bool(byte & 64)
    return {2 * (start + length) for start, length in zip(numbers[::4], numbers[1::4], strict=True)}


_JUMP_BACKWARD: Final = opcode.opmap["JUMP_BACKWARD"]
_MANYJUMPS: Final = 50
_jumps: Final = [0]  # in a row


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
        g.step = Throwing(g, exc)


def thrown(g: G) -> bool:
    """It is about to be woken by an exception, `throwin`'s."""
    pinned = g.lockedm
    return isinstance(g.step, Throwing) if pinned is None else pinned.exc is not None


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
    trapped = _Trap(g, take)
    # A Throwing may be taken just now by the M that runs `g`: stepped again it would raise again.
    if g.coro is not None and type(trapped.step) not in (_Trap, Throwing):
        g.step = trapped


def yields(g: G) -> bool:
    """A runnable G that the caller owns has given way, and nobody has woken it with anything."""
    if g.lockedm is not None:
        return g.waitreason is lockedm.YIELDS
    inner: Any = g.coro
    while (below := awaitlink(inner)[1]) is not None:
        inner = below
    return getattr(inner, "cr_code", None) in lockedm.yieldcodes


class Throwing:
    """One step of a coroutine that raises at its await; then its own `step` is back."""

    __slots__ = ("exc", "g")

    def __init__(self, g: G, exc: BaseException) -> None:
        self.g = g
        self.exc = exc

    def __iter__(self) -> Throwing:
        return self

    def __next__(self) -> object:
        coro = self.g.coro
        assert coro is not None
        self.g.step = coro.__await__()
        return coro.throw(self.exc)


transparent.add(Throwing.__next__.__code__)  # main runs on below it until its next wait


class _Unnoticed:
    """A first base: neither the class behind it nor its metaclass is told of one more subclass."""

    __slots__ = ()

    def __init_subclass__(cls) -> None: ...


Flight = dict[type[BaseException], BaseException]  # not empty until the exception is raised


def interrupt(m: M, g: G, exc: BaseException) -> Flight | None:
    """Raise it at the next line of that thread, if `g` is at a safe point there; None: it is not.

    A second one that is sent before the first has been raised would take its place.

    An asynchronous exception is given as a class: one whose instance is `exc`. What stands for its
    constructor is C, so that no line of Python runs where it is raised.
    """
    frame = next(iter(currentframes((m.ident,)).get(m.ident, ())), None)
    if frame is None:
        return None
    at = frame.f_lasti
    if not interruptible(frame, g, at):
        return None
    flight: Flight = {}
    kind = type(exc)
    made = {"__new__": staticmethod(flight.pop)}
    carrier = type.__new__(type(kind), kind.__name__, (_Unnoticed, kind), made)
    flight[carrier] = exc
    return flight if _setthere(m, g, frame, at, carrier) else None


def _setthere(m: M, g: G, frame: FrameType, at: int, carrier: type[BaseException]) -> bool:
    """Look whether `g` is where it was seen, and set the exception: one call in C.

    Between two such calls the interpreter may give the GIL to that thread; it goes on then, and
    would be met amid the runtime.
    Relies on: C that calls nothing of Python's keeps the GIL, once no collection begins in it.
    """
    seen = zip(
        map(itemgetter(m.ident), starmap(sys._current_frames, ((),))),
        map(_lasti, (frame,)),
        map(_curg, (m,)),
        map(_status, (g,)),
        strict=False,  # a strict one looks whether another follows
    )
    there = map(eq, seen, ((frame, at, g, GRUNNING),))
    send = map(_setasyncexc, compress((m.ident,), there), (carrier,))
    with nocollection():
        try:
            return next(send, 0) == 1
        except KeyError:  # the thread has ended
            return False


_lasti, _curg, _status = attrgetter("f_lasti"), attrgetter("curg"), attrgetter("status")

transparent.add(_Trap.__next__.__code__)  # the user's code runs below it until its next wait
