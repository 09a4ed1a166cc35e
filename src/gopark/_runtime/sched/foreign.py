"""What a goroutine awaited that is not ours: the error, which names what to do instead.

Source: none. Tests: tests/runtime/test_lockedm.py, tests/asyncio/test_call.py
"""

from __future__ import annotations

import inspect
from typing import Any

from gopark._runtime.base.printstring import shown

__all__ = ("foreigncommand", "noloop", "notawaitable")


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
    so the error is Python's. It is seen at a goroutine's end; who catches it before has it bare.
    """
    if type(exc) is RuntimeError and exc.args == ("no running event loop",):
        note = (
            "a goroutine is on no event loop: what belongs to asyncio runs in "
            "await gopark.asyncio.call(coro)"
        )
        if note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)
