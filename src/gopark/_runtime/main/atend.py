"""What main waits for when it is done, as a part of itself: a hosted event loop.

What has an order of its own in which it ends comes before goroutines are told that all is over.
A program that has died, by a fatal error or a goexit of main, waits for nothing.

Source: none. Tests: tests/asyncio/test_shutdown.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from gopark._runtime.base.errors import FatalError, Goexit, ProgramEnded
from gopark._runtime.base.runtime2 import Sched
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import drive

__all__ = ("afterend", "atend", "ends", "settle", "settling")

# Set by gopark.asyncio.
atend: Final[list[Callable[[Sched], Coroutine[Any, Any, None]]]] = []
# The same for a program that has ended, in whatever way, once its goroutines have; not to wait.
afterend: Final[list[Callable[[Sched], None]]] = []


def ends(sched: Sched, exc: BaseException) -> bool:
    """Main ends with this, and the program with it: it has not ended already."""
    return not (sched.ended or isinstance(exc, (Goexit, ProgramEnded, GeneratorExit, FatalError)))


async def settle(sched: Sched) -> None:
    """In main's goroutine."""
    for wait in atend:
        await wait(sched)


def settling(sched: Sched, call: Callable[..., Any], *args: Any) -> Any:
    """A plain main, and what it waits for then."""
    try:
        result = call(*args)
    except BaseException as exc:
        if atend and ends(sched, exc):
            drive(settle(sched))
        raise
    if atend:
        drive(settle(sched))
    return result


transparent.add(settling.__code__)
