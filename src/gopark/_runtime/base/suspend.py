"""Operations: functions that wait, as coroutines which yield to the scheduler themselves.

What a user awaits is a coroutine of the operation itself, and the loop of proc.py gets what that
yields; no `async def` stands in between.

Invariant: an operation has one waiter. While a goroutine waits in it, whoever awaits it too, or
gives it to `block`, gets a RuntimeError at once, as Python has it for every `async def`.

Tests: tests/runtime/test_suspend.py
"""

from __future__ import annotations

import inspect
import opcode
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, FunctionType
from typing import Any, Final, ParamSpec, TypeVar

from gopark._runtime.base.runtime2 import Command

__all__ = ("called", "suspends", "unawaited")

A = ParamSpec("A")
R = TypeVar("R")


def suspends(fn: Callable[A, Generator[Command, None, R]]) -> Callable[A, Coroutine[Any, Any, R]]:
    """Decorator: a generator function that yields Commands becomes an `async def`.

    An `async def` can hand a Command to the loop only by awaiting an object that yields it.
    That costs an iterator and two more steps through C: 50 ns of each wait, a fifth of what
    `gosched` takes and 6 % of a channel's round trip (3.11, 3.13), and 72 bytes per parked
    goroutine. What a call makes is decided by the flags of the code alone, and all else is the
    same for both: a coroutine that may also `yield`, and that warns if it is never awaited.

    One operation, one waiter. Python refuses to await a coroutine that awaits something already,
    but one that stands at a `yield` it resumes, whoever comes: a second goroutine would take the
    wake-up of the first. So each `yield` is marked as the inner end of an `await`, which is a
    number in the instruction and in the one after it. There Python takes what lies below on the
    stack of the frame for what is awaited (the second from above since 3.15), and asks it for a
    `throw`, a `close` and frames. `_ = None is (None is (yield PARK))` leaves a None there, which
    has none of them; it is the one form in which such a function may yield, and nothing is compared
    in the end.

    Relies on: this meaning of the two instructions, in 3.11 to 3.15. Elsewhere, and where they
    are not as expected, an `async def` awaits the generator, which takes longer.
    """
    code = _awaiting(fn.__code__)
    if code is None:
        return _wrapped(fn)
    flags = code.co_flags & ~inspect.CO_GENERATOR | inspect.CO_COROUTINE
    code = code.replace(co_flags=flags)
    made: Any = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    made.__kwdefaults__ = fn.__kwdefaults__
    return _named(made, fn)  # type: ignore[no-any-return]


_KNOWN: Final = sys.implementation.name == "cpython" and sys.version_info < (3, 16)


def _awaiting(code: CodeType, known: bool = _KNOWN) -> CodeType | None:
    """The same with each `yield` marked as the end of an `await`; None where that is not known."""
    if not known:
        return None
    raw = bytearray(code.co_code)
    # Where the instructions are; `dis` would say more of each, and take a fifth of our import.
    places = [place for place in range(0, len(raw), 2) if raw[place] != _CACHE]
    for n, at in enumerate(places):
        if raw[at] != _YIELD_VALUE or raw[places[n - 1]] == _SEND:
            continue  # the yield of a `yield from` is marked already
        below = places[n - 3 : n - 1]
        if not all(_loads_none(code, raw[place], raw[place + 1]) for place in below):
            raise TypeError(f"{code.co_qualname}: yield as in None is (None is (yield PARK))")
        then = places[n + 1]
        if raw[then] != _RESUME or raw[then + 1] & _AFTER != _AFTERYIELD:
            return None
        raw[then + 1] += _AFTERAWAIT - _AFTERYIELD
        if sys.version_info >= (3, 13):
            if raw[at + 1] != 0:
                return None
            raw[at + 1] = 1
        _unwound(code, raw, places[n + 2 :])
    return code.replace(co_code=bytes(raw))


def _loads_none(code: CodeType, op: int, arg: int) -> bool:
    if op == _LOAD_CONST:
        return code.co_consts[arg] is None
    # The constants that all code shares, which None is one of since 3.15.
    shared: list[object] = getattr(opcode, "_common_constants", [])
    return op == _LOAD_COMMON and arg < len(shared) and shared[arg] is None


_CACHE: Final = opcode.opmap.get("CACHE", 0)
_YIELD_VALUE: Final = opcode.opmap["YIELD_VALUE"]
_SEND: Final = opcode.opmap["SEND"]
_RESUME: Final = opcode.opmap["RESUME"]
_LOAD_CONST: Final = opcode.opmap["LOAD_CONST"]
_LOAD_COMMON: Final = opcode.opmap.get("LOAD_COMMON_CONSTANT", -1)
_RETURN_CONST: Final = opcode.opmap.get("RETURN_CONST", -1)
_RETURN_VALUE: Final = opcode.opmap["RETURN_VALUE"]
_STORE_FAST: Final = opcode.opmap["STORE_FAST"]
_POP_TOP: Final = opcode.opmap["POP_TOP"]
_IS_OP: Final = opcode.opmap["IS_OP"]
_AFTER: Final = 3  # the bits of RESUME's number that tell after what: below, two values of them
_AFTERYIELD: Final = 1
_AFTERAWAIT: Final = 3


def _unwound(code: CodeType, raw: bytearray, after: list[int]) -> None:
    """Behind a `yield`: what was put below is dropped, not compared, 1 % of what `gosched` takes.

    Of the three values one None is left, for `_`. Where the function would return None next, it
    returns that one, another 1 %.
    """
    if any(raw[place] != _IS_OP for place in after[:2]):
        return
    for place in after[:2]:
        raw[place : place + 2] = _POP_TOP, 0
    store, last, end = after[2:5]
    op, arg = raw[last], raw[last + 1]
    if op == _RETURN_CONST:
        returns = code.co_consts[arg] is None
    else:
        returns = _loads_none(code, op, arg) and raw[end] == _RETURN_VALUE
    if returns and raw[store] == _STORE_FAST:
        raw[store : store + 2] = _RETURN_VALUE, 0


def _wrapped(fn: Callable[A, Generator[Command, None, R]]) -> Callable[A, Coroutine[Any, Any, R]]:
    """`suspends` for an interpreter that it does not know."""
    inner: Any = types.coroutine(fn)

    async def made(*args: A.args, **kwargs: A.kwargs) -> R:
        return await inner(*args, **kwargs)  # type: ignore[no-any-return]

    made.__signature__ = inspect.signature(fn)  # type: ignore[attr-defined]
    return _named(made, fn)  # type: ignore[no-any-return]


def _named(made: Any, fn: Callable[..., Any]) -> Any:
    made.__name__ = fn.__name__
    made.__qualname__, made.__module__, made.__doc__ = fn.__qualname__, fn.__module__, fn.__doc__
    made.__annotations__ = dict(fn.__annotations__)
    result = made.__annotations__["return"]
    made.__annotations__["return"] = result.removeprefix("Generator[Command, None, ")[:-1]
    return made


def called(name: str) -> Callable[[Callable[A, R]], Callable[A, R]]:
    """Decorator: dumps and warnings call it so, as he knows it to whom its coroutine is handed."""

    def rename(fn: Callable[A, R]) -> Callable[A, R]:
        of: Any = fn
        code = of.__code__.replace(co_qualname=name, co_name=name.rpartition(".")[2])
        made: Any = FunctionType(code, of.__globals__, code.co_name, None, of.__closure__)
        made.__defaults__, made.__kwdefaults__ = of.__defaults__, of.__kwdefaults__
        made.__qualname__, made.__module__, made.__doc__ = name, of.__module__, of.__doc__
        made.__annotations__ = of.__annotations__
        return made  # type: ignore[no-any-return]

    return rename


def unawaited(coro: Coroutine[Any, Any, Any]) -> None:
    """Raise as `await` does if somebody awaits this coroutine: for who steps it himself."""
    if getattr(coro, "cr_suspended", False):
        raise RuntimeError("coroutine is being awaited already")
