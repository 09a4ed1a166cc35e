"""What the primitives of this package share."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from gopark._runtime.base.errors import ProgramEnded, nocopy
from gopark._runtime.base.runtime2 import GOSCHED, Point
from gopark._runtime.sched.newproc import checkcall
from gopark._runtime.twin import native

__all__ = ("PROGRAMENDS", "checked", "nocopy", "nothing", "yielding")

# What unwinds a goroutine when its program has ended; in Go there is nothing after that.
PROGRAMENDS: Final = (GeneratorExit, ProgramEnded)

# To await it does nothing, or lets others run first. No coroutine is made for that.
nothing: Final[Awaitable[None]] = Point() if native is None else native.Nothing()  # type: ignore[assignment]
yielding: Final[Awaitable[None]] = Point([GOSCHED])  # type: ignore[assignment]

if native is not None:
    native.install(nothing=nothing, yielding=yielding)


def checked(who: str, fn: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError unless `fn` can be called so."""
    checkcall(who, fn, args, kwargs)
