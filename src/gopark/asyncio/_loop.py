"""Loop: asyncio's own selector loop, whose steps are run by a goroutine.

One step is a few rounds of `_run_once`, as it is: timers, what the selector has found, callbacks.
What asyncio keeps by thread, the running loop, the hooks of async generators, how far coroutines
are traced, is set for the length of a step and put back after it: between two steps the thread runs
other goroutines, and the next may be on another thread.

A callback from outside goes to the loop's queue (`post`, `call_soon_threadsafe`), and its goroutine
is made ready; there is no self-pipe.

Relies on, in asyncio of 3.11 to 3.15: `_run_once`, `_ready` (a deque of what has `_cancelled` and
`_run`, which may be replaced while it is empty), `_scheduled` (a heap of what has `_when`),
`_stopping`, `_thread_id`, `_write_to_self`.
Source: CPython's asyncio/base_events.py, selector_events.py. Tests: tests/asyncio/test_loop.py
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import getg, tls
from gopark._runtime.chan.chan import Chan
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import block
from gopark._runtime.scope.intask import leftopen, taskremedy
from gopark._runtime.scope.scope import scopeof
from gopark._runtime.time.timesleep import gosched
from gopark.asyncio._park import Berth, Selector
from gopark.asyncio._signals import Signals

__all__ = ("Loop", "Post", "Ready", "Waits", "doors")

_ROUNDS: Final = (None,) * 8  # of the loop, before it gives way
_Base: Any = asyncio.SelectorEventLoop
_running: Final = events._get_running_loop
_setrunning: Final[Any] = events._set_running_loop
_loops: Final[weakref.WeakSet[Loop]] = weakref.WeakSet()


class Post:
    """A function for a loop to call: a Handle without a context and what belongs to that."""

    __slots__ = ("_callback", "args")

    _cancelled: Final = False

    def __init__(self, fn: Callable[..., object], *args: Any) -> None:
        self._callback = fn
        self.args = args

    def _run(self) -> None:
        self._callback(*self.args)


class _Doors:
    """Set by modules above."""

    made: Callable[[Loop], None]  # _traced.py: it may be that the program is traced
    dies: Callable[[Loop], None]  # _host.py: it is to be closed, and what tasks it has to be left
    lost: Callable[[Any], None]  # _call.py: it is closed, and who waits for a task of it waits on


doors: Final = _Doors()


class Waits:
    """What a loop may be closed without having called: it is told so."""

    __slots__ = ()

    def dropped(self) -> None:
        raise NotImplementedError


class Ready(deque[Any]):
    """What a loop is to run next: a deque that may become another one, while it is traced."""

    __slots__ = ()


class Loop(Signals, _Base):  # type: ignore[misc]
    """An asyncio loop that is run by a goroutine."""

    _ready: Ready
    _stopping: bool
    _thread_id: int | None

    def __init__(self) -> None:
        selector = Selector()
        super().__init__(selector)
        self._ready = Ready()
        self.gopark_selector = selector
        self.gopark_berth = Berth(selector, self._ready)
        self.gopark_ended: Chan[None] | None = None
        self.gopark_over = False  # no call begins any more
        self.gopark_rounds = 0  # so many are over: who looks twice sees whether it gets on
        self._lead: deque[None] = deque((None,))
        self.gopark_program = False  # its end is main's, and no task's
        _loops.add(self)
        doors.made(self)

    @staticmethod
    def running() -> list[Loop]:
        """Those that are not closed."""
        return [loop for loop in _loops.copy() if not loop._closed]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """As a Hosted has it."""
        return self

    def _make_self_pipe(self) -> None:
        self._ssock = self._csock = None
        self._internal_fds += 1  # the berth's, in its place

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1

    def _write_to_self(self) -> None:
        if _running() is not self:  # else it looks at its queue before it sleeps
            self.gopark_berth.wake()

    def post(self, one: Any) -> None:
        """Have it called in a step; `one` is as a Handle."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        self._ready.append(one)
        if self._closed:  # meanwhile: whether `close` has seen it or not
            if isinstance(one, Waits):
                one.dropped()
        elif _running() is not self:
            self.gopark_berth.wake()

    def goon(self) -> None:
        """Run what comes next, in the round of who calls, which was the last in it."""
        try:
            handle = self._ready.popleft()
        except IndexError:
            return
        if not handle._cancelled:
            handle._run()

    def quiet(self) -> bool:
        """A task may be made outside of a step: nobody has a say in that."""
        no = self._debug or self._closed or self.gopark_over or self._task_factory is not None
        return not no

    def leads(self) -> bool:
        """Whoever asks first ends the loop in order: main that is done, or a task that raises
        SystemExit."""
        try:
            self._lead.pop()
        except IndexError:
            return False
        return True

    def led(self) -> bool:
        return not self._lead

    # --- steps ------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """In plain code: on this thread, which is free for others while the loop has no work."""
        self._check_closed()
        self._check_running()
        block(self.steps())

    async def steps(self) -> None:
        """Run until `stop`; the goroutine of the loop."""
        self._check_closed()
        berth, selector = self.gopark_berth, self.gopark_selector
        ready = self._ready
        self._thread_id = get_ident()
        g = getg()
        assert g is not None
        g.scope = scope = scopeof(g)
        try:
            while True:
                self._step()
                if g.scope is not scope:
                    self._keptopen(leftopen(g, scope))
                if self._stopping:
                    if not self.gopark_program or self.gopark_ended is not None:
                        return
                    self._goeson()
                if ready or selector.look():
                    await gosched()
                    continue
                m = tls.m
                if m is not None and (p := m.p) is not None and (p.runnext or p.runq):
                    await gosched()  # they may have something for it, as whom a task has started
                    if ready:
                        continue
                scheduled = self._scheduled
                await berth.sleep(scheduled[0]._when if scheduled else None)
        finally:
            self._stopping = False
            self._thread_id = None
            if self.gopark_ended is not None:
                self.gopark_ended.close()

    def _keptopen(self, scopes: list[Any]) -> None:
        """Who has entered them waits now, by asyncio: they would end waits of this goroutine."""
        for scope in scopes:
            self.call_exception_handler(
                {
                    "message": f"{shown(scope)} is kept open by code of asyncio's as it waits, and "
                    f"ends none of its waits: {taskremedy(scope)}"
                }
            )

    def _goeson(self) -> None:
        """A task has called `stop`: all others on it, and who calls, would wait for ever."""
        self._stopping = False
        self.call_exception_handler(
            {
                "message": "loop.stop() was called on the program's event loop, which goes on: "
                "it ends when main returns"
            }
        )

    def _step(self) -> None:
        self._thread_id = get_ident()
        before = _running()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
        _setrunning(self)
        if self._debug:
            self._set_coroutine_origin_tracking(True)
        ready = self._ready
        try:
            for _ in _ROUNDS:
                due = self._scheduled and self._scheduled[0]._when <= self.time()
                if due or self._debug or not self.gopark_selector.skips():
                    self._run_once()
                else:  # the same, where neither a timer nor a descriptor has anything to say
                    for _ in range(len(ready)):
                        handle = ready.popleft()
                        if not handle._cancelled:
                            handle._run()
                self.gopark_rounds += 1
                if not ready or self._stopping:
                    break
        finally:
            if self._coroutine_origin_tracking_enabled:
                self._set_coroutine_origin_tracking(False)
            _setrunning(before)
            sys.set_asyncgen_hooks(*hooks)

    # --- the end ----------------------------------------------------------------------------

    async def halt(self) -> None:
        """From a goroutine: have `steps` return, wait for that, and close."""
        ended = Chan[None]()
        self.gopark_ended = ended
        self.post(Post(self.stop))
        await ended.recv_ok()
        doors.dies(self)

    def close(self) -> None:
        if not self._closed and not self.is_running():
            self.gopark_berth.leave()
        left = []
        if not self.is_running():
            with suppress(IndexError):
                while True:
                    left.append(self._ready.popleft())
        super().close()
        for one in left:
            if isinstance(one, Waits):
                one.dropped()
        doors.lost(self)


# What runs in a step is the user's, and nothing is held below it.
transparent.update(
    fn.__code__
    for fn in (Loop.run_forever, Loop.steps, Loop._step, Loop.goon, Loop.close, Post._run)
)
