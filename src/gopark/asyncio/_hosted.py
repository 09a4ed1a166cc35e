"""Hosted: a loop that is not ours, reached from goroutines by `call_soon_threadsafe`.

One that gopark runs has a thread of its own; that of somebody else is where it is. What comes in a
burst wakes the loop once.

Relies on: append and popleft of a deque are atomic.
Source: none. Tests: tests/asyncio/test_hosted.py
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import go

__all__ = ("Hosted",)

_known: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hosted] = weakref.WeakKeyDictionary()
_lock = lasting(threading.Lock())


class Hosted:
    """How goroutines reach a loop that is not ours."""

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        self._queue: deque[Any] = deque()
        self._asked: deque[None] = deque((None,))  # the token is there: nobody has woken the loop
        self._ended = Chan[None]()
        if factory is None:
            return
        self.loop = factory()
        if not isinstance(self.loop, asyncio.AbstractEventLoop):
            raise TypeError(
                f"gopark.asyncio.start() needs what makes an event loop, and got {shown(self.loop)}"
            )
        _known[self.loop] = self

    def begin(self) -> None:
        """Run it, on a thread of its own."""
        threading.Thread(target=self._main, name="gopark-asyncio", daemon=True).start()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Hosted:
        """That of a loop of somebody else's."""
        with _lock:
            one = _known.get(loop)
            if one is None:
                one = cls(None)
                one._loop = weakref.ref(loop)
                _known[loop] = one
            return one

    @classmethod
    def known(cls) -> list[asyncio.AbstractEventLoop]:
        """The loops of others that goroutines reach."""
        with _lock:
            return list(_known)

    def __getattr__(self, name: str) -> Any:
        if name != "loop":
            raise AttributeError(name)
        loop = self._loop()
        if loop is None:
            raise RuntimeError("Event loop is closed")
        return loop

    _loop: Callable[[], asyncio.AbstractEventLoop | None]

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as exc:
            go(_raise, exc)  # it ends the program, as in any goroutine
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
            self._ended.close()

    def post(self, one: Any) -> None:
        """Have it called by the loop; `one` is as a Handle of asyncio's."""
        self._queue.append(one)
        try:
            self._asked.pop()
        except IndexError:
            return  # it comes, and has not yet looked
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            self._asked.append(None)
            self._queue.clear()
            raise

    def _drain(self) -> None:
        self._asked.append(None)  # before the look at the queue
        for _ in range(len(self._queue)):
            try:
                one = self._queue.popleft()
            except IndexError:
                return
            one._run()

    async def halt(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        await self._ended.recv_ok()


async def _raise(exc: BaseException) -> None:
    raise exc


transparent.update(fn.__code__ for fn in (Hosted.__init__, Hosted._main, Hosted._drain))
