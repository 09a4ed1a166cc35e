"""`loop.add_signal_handler` on a loop that is run by a goroutine: by way of `gopark.signal`.

asyncio's own wants the wake-up descriptor of signals, and the main thread. The first is the
runtime's while a program runs, the second is where the loop's goroutine may not be.

Source: CPython's asyncio/unix_events.py. Tests: tests/asyncio/test_signals.py
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from asyncio import events
from collections.abc import Callable
from contextvars import Context
from typing import Any

from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.newproc import go
from gopark.signal import notify, stop

__all__ = ("Signals",)

_ROOM = 16  # signals of one number that may come before the goroutine has handed them on


class Signals:
    """What the loop does differently."""

    _signal_handlers: dict[int, Any]
    _check_closed: Callable[[], None]
    _check_signal: Callable[[int], None]
    _handle_signal: Callable[[int], None]

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        if inspect.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        if sig in (signal.SIGKILL, signal.SIGSTOP):
            raise RuntimeError(f"sig {sig} cannot be caught")
        loop: Any = self
        handle = events.Handle(callback, args, loop, None)
        channels = self._channels()
        if sig not in channels:
            ch = Chan[signal.Signals](_ROOM)
            notify(ch, sig)
            channels[sig] = ch
            Context().run(go, _listen, loop, ch)
        self._signal_handlers[sig] = handle

    def remove_signal_handler(self, sig: int) -> bool:
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        ch = self._channels().pop(sig)
        stop(ch)
        ch.close()
        return True

    def _channels(self) -> dict[int, Chan[signal.Signals]]:
        channels: dict[int, Chan[signal.Signals]] = self.__dict__.setdefault("gopark_signals", {})
        return channels


async def _listen(loop: asyncio.AbstractEventLoop, ch: Chan[signal.Signals]) -> None:
    async for sig in ch:
        loop._handle_signal(sig)  # type: ignore[attr-defined]
