"""What a goroutine awaited that is not ours: the error, which names what to do instead.

Source: none. Tests: tests/runtime/test_lockedm.py, tests/asyncio/test_call.py
"""

from __future__ import annotations

from typing import Any

from gopark._runtime.base.printstring import shown

__all__ = ("foreigncommand",)


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
