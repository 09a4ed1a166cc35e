"""What the programs share.

A program is an `async def` that runs on main, starts goroutines, and returns: who is parked
then, and cannot be reached any more, has leaked. With `fixed` it is the repaired twin, in
which the same happens in the same order, and nobody is left.

Where the mistake needs its moment, a goroutine waits at a channel of the program (a gate) until
all others are parked. So what leaks leaks each time. At each of these moments, and while it is
still at its gate, a twin has the leak finder look at what it must not be misled by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark.debug import leaks
from gopark.testing import wait_all_parked

Program = Callable[[bool], Awaitable[None]]

_leaves: dict[Program, list[str]] = {}


def leaves(*names: str) -> Callable[[Program], Program]:
    """Decorator: the program leaves these goroutines: `Type.function [wait reason]`."""

    def decorate(program: Program) -> Program:
        _leaves[program] = sorted(names)
        return program

    return decorate


def leaves_of(program: Program) -> list[str]:
    return _leaves[program]


def programs() -> list[Program]:
    """All that have been imported."""
    return list(_leaves)


async def settled(fixed: bool) -> None:
    """All others are parked; in a repaired program none of them for ever."""
    await wait_all_parked()
    if fixed:
        assert [str(leak) for leak in leaks()] == []
