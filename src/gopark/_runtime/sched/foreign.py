"""What a goroutine awaited that is not ours, and a wait of ours that a task of asyncio was handed:
the errors, which name what to do instead.

Source: none. Tests: tests/runtime/test_lockedm.py, tests/asyncio/test_call.py
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import G, M, Sched, itemsof, tls
from gopark._runtime.sched.startm import mprogram

__all__ = (
    "foreigncommand",
    "noloop",
    "notawaitable",
    "notong",
    "strayed",
    "told",
    "undone",
)


def foreigncommand(command: Any) -> BaseException:
    """The error for a coroutine that yielded something that is not ours."""
    if hasattr(command, "_asyncio_future_blocking"):
        command._asyncio_future_blocking = False  # nobody has begun to await it
        return TypeError(
            f"a goroutine awaited {shown(command)}, which belongs to an asyncio loop: "
            "await gopark.asyncio.call(coro), and have a coroutine await it there"
        )
    what = "a bare yield" if command is None else shown(command)
    return TypeError(
        f"a goroutine awaited {what}, which belongs to another event loop (asyncio, trio, ...); "
        "use gopark's own sleep, channels and locks; what belongs to asyncio runs in "
        "await gopark.asyncio.call(coro)"
    )


def notawaitable(thing: object) -> TypeError:
    """The error for what `block` cannot wait for; an `async def` has not been called."""
    what = "call it, block(f(x))" if inspect.iscoroutinefunction(thing) else "block(ch.recv())"
    return TypeError(f"block() needs an awaitable, got {shown(thing)}: {what}")


def noloop(exc: BaseException) -> None:
    """Say what to do about asyncio's own "no running event loop", if it is that.

    `asyncio.sleep(1)`, `create_task` and most clients look for a loop before they yield anything,
    so the error is Python's; queues and locks of asyncio's ask None for a future. It is seen at a
    goroutine's end; who catches it before has it bare.
    """
    asked = isinstance(exc, AttributeError) and exc.obj is None and exc.name == "create_future"
    if asked or (type(exc) is RuntimeError and exc.args == ("no running event loop",)):
        note = (
            "a goroutine is on no event loop: what belongs to asyncio runs in "
            "await gopark.asyncio.call(coro)"
        )
        if note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)


def notong() -> NotOnGError:
    """The error for a wait of ours that somebody else was handed."""
    return NotOnGError(
        "a gopark operation had to wait where no goroutine runs it (under another event loop?): "
        "use gopark.go, or gopark.block in a thread; in a task await gopark.asyncio.wait(...)"
    )


class _Undone:
    """A wait that was, and what had been handed over to it."""

    __slots__ = ("elem", "g", "success", "waiter", "woken")

    def __init__(self, g: G, waiter: object, woken: bool) -> None:
        self.g = g
        self.waiter = waiter
        self.woken = woken
        self.elem = g.elem
        self.success = g.success


def strayed(letgo: Callable[[Sched, M, G], bool]) -> None:
    """A task of asyncio has been handed PARK: undo the wait at once.

    Its loop runs others before it tells the coroutine so. They would find the lock held that a
    wait holds until its G is parked, for ever if they run on this thread, or begin waits of theirs.
    """
    m = tls.m
    g = None if m is None else m.curg
    if m is not None and g is not None and g.waiting is not None and m.waitunlockf is not None:
        status, waiter = g.status, g.waiting
        woken = letgo(mprogram(m), m, g)
        undone.append(_Undone(g, waiter, woken))
        g.elem, g.success = None, True
        g.status = status


# Waits that were undone so, until their coroutines are told, the oldest first: somebody may have
# been quicker. What is closed by another goroutine is not told, so there is an end to it.
undone: Final[deque[_Undone]] = deque(maxlen=10_000)


def told(g: G, waiter: object, exc: BaseException, takes: bool) -> bool:
    """What has come to such a coroutine; True: it `takes` what somebody else was quicker with."""
    for one in itemsof(undone):
        if one.g is g and one.waiter is waiter:
            undone.remove(one)
            if one.woken and takes:
                g.elem, g.success = one.elem, one.success
                return True
            if isinstance(exc, GeneratorExit):
                return False
            raise notong() from exc
    return False
