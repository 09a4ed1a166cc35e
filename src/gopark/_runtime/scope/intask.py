"""Scopes in code that asyncio runs: whose waits are not those of a goroutine.

A scope ends the waits of the goroutine that enters it. In a task of asyncio that goroutine is the
one which runs the loop, if there is one at all: the scope would end none of the task's waits, and,
if the loop is run by a goroutine, those of the loop. So a coroutine that asyncio steps is refused.
A plain function that a task calls may enter one: it is left before the task waits, and `block` in
it is a wait of the goroutine below. So may a coroutine that `block` steps in a task.

What gets by, entered in a plain function and left open, the loop takes off before it goes on
(`leftopen`).

Source: none. Tests: tests/asyncio/test_scopes.py
"""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import Any, Final

from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import G

__all__ = ("checktask", "leftopen", "taskremedy")

_COROUTINE: Final = (
    inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
)
# What stands between a scope and the code that enters it.
_BETWEEN: Final = (
    "gopark._runtime.scope.",
    "gopark._runtime.base.bothwith",
    "gopark.context._scope",
    "gopark.sync._errgroup",
    "contextlib",
)
_ASYNCIO: Final = ("asyncio", "gopark.asyncio")  # the packages that step tasks


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _bytask(frame: FrameType | None) -> bool:
    """A coroutine enters it, and asyncio steps that."""
    while frame is not None and (
        _module(frame).startswith(_BETWEEN) or frame.f_code.co_flags & inspect.CO_GENERATOR
    ):
        frame = frame.f_back
    if frame is None or not frame.f_code.co_flags & _COROUTINE:
        return False
    while frame is not None:
        name = _module(frame)
        if name.startswith("gopark._runtime."):
            return False  # `block`, or a program of its own
        if name.startswith(_ASYNCIO) and not frame.f_code.co_flags & _COROUTINE:
            return True
        frame = frame.f_back
    return True


def taskremedy(scope: Any) -> str:
    """What to do instead, in a task."""
    instead = scope._asyncios
    return (
        f"use {instead} there, around gopark.asyncio.wait(...) too, or have the block in a "
        "goroutine, await gopark.asyncio.go(fn)"
    )


def checktask(scope: Any) -> None:
    """An event loop runs on this thread: raise if it is one of its tasks that enters the scope.

    Raises:
        NotOnGError: it is.
    """
    if _bytask(sys._getframe(1)):
        raise NotOnGError(
            f"{shown(scope)} is entered in a task of asyncio, whose waits it cannot end: "
            + taskremedy(scope)
        )


def leftopen(g: G, outer: Any) -> list[Any]:
    """Take off what was entered since `outer` and is not for those who wait now."""
    from gopark._runtime.scope.scope import settle  # which needs this module

    found = []
    scope = g.scope
    while scope is not None and scope is not outer:
        scope._armed.clear()
        found.append(scope)
        scope = scope._outer
    g.scope = outer
    settle(g)
    return found
