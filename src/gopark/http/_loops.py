"""The event loops of an application of asyncio's, where there is more than the program's.

`Loops`: so many. A request has one that no other is on, as long as there are as many.

`Growing`: requests run on the program's loop, as everywhere in asyncio, until a task blocks it:

    a loop is stuck    a task has been in one step of its for two looks, TICK apart
    while it is        requests that it has not begun, and those that come, begin on a spare one
    its path           begins on a spare one at once, until it has answered without that
Spare loops are made as they are needed, MOST at most, each for one request at a time; those that
nobody has used for SPARE seconds are closed. Requests that a stuck loop has begun wait for it.

A request that waits to begin may be in the queues of two loops: the one that comes to it first
takes its `unbegun`, and the other finds none.

Locks: `_Made._lock`, a leaf. Of deques and sets what is used is atomic.
Source: none; Go's sysmon (retake) for when a loop counts as stuck. Tests: tests/http/test_loops.py
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, Final

from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.sysmon import hostcodes
from gopark._runtime.time.timefunc import after_func
from gopark._runtime.time.timesleep import sleep
from gopark.asyncio import call, new_event_loop
from gopark.asyncio._call import Call
from gopark.asyncio._host import athome, bridge, home
from gopark.asyncio._loop import Waits
from gopark.http._exchange import Exchange
from gopark.http._onloop import cancelledin, run
from gopark.http._sleepers import Sleepers

__all__ = ("MOST", "Growing", "Loops", "where")

MOST: Final = 256  # spare loops of a server
TICK: Final = 0.004  # seconds between two looks
SPARE: Final = 30.0  # seconds
_IDLE: Final = 250  # looks at nothing, before there are none


class _Made:
    """Loops that are made as they are needed, `most` at most."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._lock: Final = threading.Lock()
        self._all: list[Any] = []  # guarded by `_lock`, as is the next
        self._ends = False

    def _another(self) -> Any:
        """One more; None: there may be none."""
        with self._lock:
            if len(self._all) >= self._most or self._ends:
                return None
            try:
                loop = new_event_loop()
            except OSError:  # no descriptor is left: those that there are have to do
                return None
            self._all.append(loop)
        Variables().run(go, _steps, loop)
        return loop

    async def end(self) -> None:
        """Cancel what is left on them, and close them."""
        with self._lock:
            self._ends = True
        while self._all:
            await _ended(self._all.pop())


class Loops(_Made):
    """So many loops; the last that became free is the next to be used."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._free: deque[Any] = deque()
        self._turn = 0

    async def run(self, app: Any, exchange: Exchange) -> None:
        """As `run`, on a loop that no other request is on, if there is one."""
        try:
            loop = self._free.pop()
        except IndexError:
            loop = self._another()
        alone = loop is not None
        token = home.set(loop or self._shared())
        try:
            await run(app, exchange)
        finally:
            home.reset(token)
            if alone:
                self._free.append(loop)

    def _shared(self) -> Any:
        """One that others are on; once the server has ended, the program's."""
        loops = self._all.copy()
        if not loops:
            return bridge()
        self._turn = (self._turn + 1) % len(loops)
        return loops[self._turn]


class _Request(Call):
    """One that may begin on another loop than the one it was given to."""

    __slots__ = ("moved", "path", "pool", "spare", "stuck", "unbegun")

    posts = True

    def __init__(self, pool: Growing, host: Any, coro: Any, path: str) -> None:
        super().__init__(host, coro, copy_context())
        self.pool = pool
        self.path = path
        self.spare: Any = None  # the loop that is its own
        self.moved = False  # it waits on a second loop too
        self.stuck = False  # its loop was, in a step of its
        self.unbegun: deque[None] = deque((None,))

    def _run(self) -> None:
        self.begin(self.host)

    def begin(self, host: Any) -> None:
        """In a step of that loop."""
        try:
            self.unbegun.pop()
        except IndexError:
            return
        pool = self.pool
        pool.waiting.discard(self)
        self.host = host
        variables = self.variables
        if host is not pool.first and variables is not None:
            variables.run(athome, host)
        pool.begins[host] = self
        if self.path in pool.sleepers:
            pool.sleepers.begin()
        try:
            super()._run()
            if not Call.posts and self.task is not None:
                self._steps(host.loop)
        finally:
            pool.begins.pop(host, None)

    def _steps(self, loop: Any) -> None:
        """Before 3.12 the first step comes in the next round: there it could not be moved."""
        ready = getattr(loop, "_ready", None)
        if not ready:
            return
        handle = ready.pop()
        if getattr(handle._callback, "__self__", None) is self.task:
            handle._run()
        else:
            ready.append(handle)

    def dropped(self) -> None:
        try:
            self.unbegun.pop()
        except IndexError:
            return
        self.pool.waiting.discard(self)
        super().dropped()

    def _cancel(self) -> None:
        host = self.host
        if self.task is not None and asyncio._get_running_loop() is not host.loop:
            self.cancel()  # it has begun on another than the one that was told
        else:
            super()._cancel()


class _Ticket(Waits):
    """A request in the queue of a second loop: as a Handle."""

    __slots__ = ("_host", "_one")

    _cancelled: Final = False

    def __init__(self, one: _Request, host: Any) -> None:
        self._one = one
        self._host = host

    @property
    def _callback(self) -> Any:
        return self._one._callback  # what asyncio's debug mode names

    def _run(self) -> None:
        self._one.begin(self._host)

    def dropped(self) -> None:
        pass  # the first loop has it as well


class Growing(_Made):
    """The program's loop, and spare ones for when it is stuck."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__(most)
        self.first: Any = None  # the program's
        self.waiting: set[_Request] = set()  # that have not begun
        self.begins: dict[Any, _Request] = {}  # by the loop that is in its first step
        self._live: set[_Request] = set()
        self._stuck: frozenset[Any] = frozenset()
        self.sleepers: Final = Sleepers()  # the paths whose handlers block
        self._free: deque[tuple[Any, float]] = deque()  # with when it became free
        self._on = False

    async def run(self, app: Any, exchange: Exchange) -> None:
        """As `run`, on the program's loop, or on a spare one."""
        first = self.first
        if first is None:
            first = self.first = bridge()
        path = exchange.scope["path"]
        coro = app(exchange.scope, exchange.receive, exchange.send)
        spare = self._spare() if first in self._stuck or path in self.sleepers else None
        one = _Request(self, spare or first, coro, path)
        one.spare = spare
        self.waiting.add(one)
        self._live.add(one)
        if not self._on:
            self._on = True
            Variables().run(go, self._watch)  # not within the request's
        try:
            await one.wait()
        except asyncio.CancelledError as exc:
            cancelledin(exchange, exc)
        finally:
            self.waiting.discard(one)
            self._live.discard(one)
            if one.spare is not None:
                self._free.append((one.spare, monotonic()))
                if not one.stuck:
                    self.sleepers.discard(path)

    def _spare(self) -> Any:
        """A loop that no request is on; None: there are as many as there may be."""
        try:
            return self._free.pop()[0]
        except IndexError:
            return self._another()

    # --- who is stuck -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """While requests come: which loops do not get on, and what of theirs others may begin."""
        seen: dict[Any, tuple[int, Any]] = {}
        idle = 0
        while not self._ends:
            await sleep(TICK)
            now = {host: where(host) for host in {one.host for one in self._live.copy()}}
            now |= {host: where(host) for host in self._stuck if host not in now}
            stuck = frozenset(
                host for host, here in now.items() if here[1] is not None and here == seen.get(host)
            )
            seen = now
            for host in stuck - self._stuck:
                self._blames(host, now[host][1])
            self._stuck = stuck
            self._moves()
            idle = 0 if stuck or self.waiting else idle + 1
            if idle >= _IDLE:
                self._on = False
                if not self.waiting:  # one that came before this was stored has seen it running
                    break
                self._on = True
        if self._free and not self._ends:
            after_func(SPARE, self._shrinks)

    def _blames(self, host: Any, task: Any) -> None:
        """Remember the path whose handler it is that blocks, to begin it elsewhere."""
        one = self.begins.get(host)
        if one is None:
            one = next((one for one in self._live.copy() if one.task is task), None)
        if one is not None:
            one.stuck = True
            self.sleepers.learn(one.path)

    def _moves(self) -> None:
        """What a stuck loop has not begun may begin on a spare one."""
        for one in self.waiting.copy():
            if one.host in self._stuck and not one.moved:
                loop = self._spare()
                if loop is None:
                    return
                one.moved = True
                before, one.spare = one.spare, loop
                if before is not None:
                    self._free.appendleft((before, monotonic()))  # the last to be used again
                try:
                    loop.post(_Ticket(one, loop))
                except RuntimeError:
                    return  # closed just now: the server has ended, and its loops with it

    async def _shrinks(self) -> None:
        """Close those that nobody has used."""
        for _ in range(len(self._free)):
            try:
                loop, since = self._free.popleft()
            except IndexError:
                return
            if monotonic() - since < SPARE or asyncio.all_tasks(loop):
                self._free.append((loop, since))  # what a request has left behind goes on
            else:
                with self._lock:
                    if loop not in self._all:
                        continue  # it ends with all others
                    self._all.remove(loop)
                await _ended(loop)


def where(host: Any) -> tuple[int, Any]:
    """How far a loop has come, and which task it steps; (0, None): it is between two."""
    try:
        task = asyncio.current_task(host.loop)
    except RuntimeError:
        task = None
    return getattr(host, "gopark_rounds", 0), task


async def _steps(loop: Any) -> None:
    """The goroutine of a loop."""
    await loop.steps()


async def _ended(loop: Any) -> None:
    token = home.set(loop)
    try:
        await call(_cancelled())
    except ProgramEnded:
        raise
    finally:
        home.reset(token)
    await loop.halt()


async def _cancelled() -> None:
    """In a task: end the others of its loop."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


hostcodes.add(_steps.__code__)
