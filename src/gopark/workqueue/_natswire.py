"""A connection to NATS, for goroutines: requests with replies, on the client `nats-py`.

The client is asyncio's, and runs on the program's loop (`gopark.asyncio`). A goroutine does not
cross over for each message: it puts what it has to say into `_out`, and a task there says all that
has come together. Replies come on one subscription, by number.

A request that has no reply within its time, or whose connection breaks, ends with SILENCE, and
whoever made it says it again: all that is asked here can be asked twice.

Locks: none; `_out` and `_pending` are changed in atomic steps.
Relies on: append and popleft of a deque, set and pop of a dict are atomic.
Source: none. Tests: tests/workqueue/test_nats.py
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from weakref import WeakSet

import gopark.asyncio as ga
from gopark._oneshot import OneShot
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.time.timesleep import sleep
from gopark.context import Context, after_func
from gopark.workqueue._errors import Unavailable
from gopark.workqueue._settings import without_secrets

__all__ = ("ELECTION", "SILENCE", "NatsWire", "Reply", "status_of")

SILENCE: Final = -1
ELECTION: Final = 503  # an error's code: a cluster has no leader just now
NO_RESPONDERS: Final = 503
_TIME: Final = 2.0  # seconds until a request is said again
_SWEEP: Final = 0.25
_CONNECT: Final = 10.0  # seconds

Reply = tuple[int, bytes]  # a status (0: none), and what it says
_Said = tuple[str, bytes, str, dict[str, str] | None]


def status_of(msg: Any) -> int:
    """The status of a message without content; 0 of one that has some."""
    headers = msg.headers
    if not headers:
        return 0
    try:
        return int(headers.get("Status", 0))
    except ValueError:
        return 0


class NatsWire:
    """One connection, which the client makes anew when it breaks."""

    def __init__(self, url: str, servers: list[str], options: Mapping[str, Any]) -> None:
        self.url = without_secrets(url)
        self.queue = ""  # whose it is
        self.limit = 1 << 20
        self.closed = False
        self._servers = servers
        self._options = options
        self._nc: Any = None
        self._guard: asyncio.Task[None]
        self._loop: asyncio.AbstractEventLoop
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._pending: dict[int, tuple[OneShot, float]] = {}
        self._out: deque[_Said] = deque()
        self._awake = False  # the task that says it is running, or about to
        self._sweeping = False
        self._error = ""
        self._forked = False
        self.reconnected: Callable[[], None] = lambda: None
        self.when_forked: Callable[[Exception], None] = lambda exc: None
        _wires.add(self)

    # --- the connection ---------------------------------------------------------------------------

    async def connect(self) -> None:
        """From a goroutine.

        Raises:
            Unavailable: there is no client, or no server.
        """
        try:
            nats: Any = importlib.import_module("nats")
        except ImportError as exc:
            raise Unavailable(
                f"{self.url}: queues on NATS need the package nats-py: pip install 'gopark[nats]'"
            ) from exc
        try:
            await ga.call(asyncio.wait_for(self._connect(nats), _CONNECT))
        except Unavailable:
            raise
        except Exception as exc:
            why = self._error or str(exc) or "no answer"
            raise Unavailable(f"{self.url}: cannot connect to a server of NATS: {why}") from exc

    async def _connect(self, nats: Any) -> None:
        self._loop = asyncio.get_running_loop()
        nc = await nats.connect(
            **{
                "servers": self._servers,
                "name": "gopark.workqueue",
                "max_reconnect_attempts": -1,
                "reconnect_time_wait": 0.1,
                "error_cb": self._errored,
                "reconnected_cb": self._reconnected,
                **self._options,
            }
        )
        self._nc = nc
        self.limit = min(nc.max_payload, 1 << 20)
        self._inbox = nc.new_inbox()
        await nc.subscribe(self._inbox + ".*", cb=self._replied)
        self._guard = self._loop.create_task(self._stay())

    async def _stay(self) -> None:
        """Closes the connection when the program ends: what it asked for is not for it any more."""
        try:
            await asyncio.Event().wait()
        finally:
            if not self._nc.is_closed:
                await self._nc.close()

    async def _errored(self, exc: Exception) -> None:
        if self._error and isinstance(exc, ConnectionError | TimeoutError | EOFError):
            return  # what was refused says more than that it hangs up
        self._error = str(exc) or type(exc).__name__

    async def _reconnected(self) -> None:
        """What had no reply yet has none to come."""
        self._error = ""
        for req in list(self._pending):
            self._finish(req, (SILENCE, b""))
        self.reconnected()

    async def subscribe(self, subject: str, heard: Callable[[Any], None]) -> None:
        """Have `heard(msg)` called, in the loop, for each message there."""

        async def callback(msg: Any) -> None:
            heard(msg)

        self._mine()
        await ga.call(self._nc.subscribe(subject, cb=callback))

    def inbox(self) -> str:
        return str(self._nc.new_inbox())

    def forked(self) -> None:
        """In the child of a fork: the connection is the parent's, and so is the loop it is on."""
        self._forked = True
        self._pending.clear()
        self._out.clear()
        self.when_forked(self._notmine())

    def _notmine(self) -> RuntimeError:
        return RuntimeError(
            f"queue {shown(self.queue)} was opened by the process that this one was forked from: "
            "open it anew"
        )

    def _mine(self) -> None:
        if self._forked:
            raise self._notmine()

    async def close(self) -> None:
        self.closed = True
        if self._forked:
            return
        for req in list(self._pending):
            self._finish(req, (SILENCE, b""))
        await ga.call(self._closing())

    async def _closing(self) -> None:
        await self._say()
        await self._nc.close()
        self._guard.cancel()

    # --- from goroutines --------------------------------------------------------------------------

    def publish(
        self, subject: str, data: bytes, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Say something, and wait for nothing."""
        self._mine()
        self._out.append((subject, data, reply, headers))
        if not self._awake:
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                pass  # the loop is closed: the program ends

    async def request(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        ctx: Context | None = None,
        time: float = _TIME,
    ) -> Reply:
        """Say something, and wait for its reply, or SILENCE."""
        if self.closed:
            raise RuntimeError("the queue was left")
        self._mine()
        one = OneShot("workqueue")
        req = next(self._numbers)
        self._pending[req] = one, monotonic() + time
        self.publish(subject, data, f"{self._inbox}.{req}", headers)
        if ctx is None:
            try:
                return await one.wait()  # type: ignore[no-any-return]
            finally:
                self._pending.pop(req, None)
        stop = after_func(ctx, partial(_over, one, ctx))
        try:
            return await one.wait()  # type: ignore[no-any-return]
        finally:
            stop()
            self._pending.pop(req, None)

    async def api(self, what: str, body: object = None) -> dict[str, Any]:
        """A request to JetStream's API, said until it is answered, for ten seconds.

        Returns:
            The answer; `error` in it if there was one.
        Raises:
            Unavailable: nobody answers.
        """
        data = b"" if body is None else json.dumps(body).encode()
        until = monotonic() + _CONNECT
        while True:
            status, answer = await self.request(f"$JS.API.{what}", data, time=5.0)
            if not status:
                found: dict[str, Any] = json.loads(answer)
                if found.get("error", {}).get("code") != ELECTION or monotonic() > until:
                    return found
            elif self.closed or monotonic() > until:
                raise self.unavailable("it has no JetStream (nats-server -js)", status)
            await sleep(0.05)

    async def streams(self) -> list[str]:
        """The names of all that the server has."""
        found: list[str] = []
        total = 1
        while len(found) < total:
            answer = await self.api("STREAM.NAMES", {"offset": len(found)})
            total = answer.get("total", 0)
            streams = answer.get("streams") or []
            if not streams:
                break
            found += streams
        return found

    def unavailable(self, why: str, status: int = NO_RESPONDERS) -> Unavailable:
        if status == SILENCE:
            why = self._error or "the server does not answer"
        return Unavailable(f"{self.url}: {why}")

    # --- in the loop ------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._loop.create_task(self._say())

    async def _say(self) -> None:
        out, publish = self._out, self._nc.publish
        while True:
            while out:
                subject, data, reply, headers = out.popleft()
                try:
                    await publish(subject, data, reply=reply, headers=headers)
                except Exception as exc:  # the connection is closed, or its buffer full
                    self._error = str(exc) or type(exc).__name__
            self._awake = False
            if not out:  # who appends looks at `_awake` after that
                break
            self._awake = True
        if self._pending and not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP, self._sweep)

    async def _replied(self, msg: Any) -> None:
        try:
            req = int(msg.subject.rpartition(".")[2])
        except ValueError:
            return
        self._finish(req, (status_of(msg), msg.data))

    def _finish(self, req: int, reply: Reply) -> None:
        entry = self._pending.pop(req, None)
        if entry is not None:
            entry[0].finish(reply)

    def _sweep(self) -> None:
        """End those that wait for too long."""
        now = monotonic()
        for req, (_, until) in list(self._pending.items()):
            if until <= now:
                self._finish(req, (SILENCE, b""))
        if self._pending:
            self._loop.call_later(_SWEEP, self._sweep)
        else:
            self._sweeping = False


async def _over(one: OneShot, ctx: Context) -> None:
    one.finish(None, ctx.err())


_wires: Final[WeakSet[NatsWire]] = WeakSet()


def _afterfork() -> None:
    for wire in list(_wires):
        wire.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)
