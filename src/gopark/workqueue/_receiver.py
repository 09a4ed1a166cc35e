"""Receiver: what one who receives has of a queue, from its arrival until it is settled.

    arrived ──> in the channel ──> taken ──> settled: acked, given back, dead
                     └─ `leave` gives it back, untried

All of it is in `_held`, and its leases are renewed together, three times in each. What was taken
more than `max_time` ago is not renewed any more: a handler that hangs loses it to another. What
lies there untaken for so long is given back, for all who could take it hang.

The channel has room for all that was asked for: so many are wanted more as were taken. What cannot
be decoded, or has had all its tries (whoever had the last of them has died), goes to the dead and
never to a handler.

`_held` is touched by single operations of a dict alone, which need no lock.

Locks: `_lock`, a leaf, for what happens once. Source: none. Tests: tests/workqueue/test_queue.py
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.errors import ProgramEnded, nocopy
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.recvonly import RecvOnly, put, shut
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.scope.scope import shelter
from gopark._runtime.time.timechan import after, seconds
from gopark._util import string
from gopark.workqueue._backend import Backend, Token
from gopark.workqueue._codec import Codec

__all__ = ("Delivery", "Receiver")

T = TypeVar("T")

LOST: Final = "whoever had it has died, or was too slow, on each try"
_PARTS: Final = 3  # so often a lease is renewed before it is over
_ROOM: Final = sys.maxsize // 8


class Deliveries(RecvOnly["Delivery[T]"]):
    """What `q.C` is."""

    __slots__ = ()

    what = "the channel of a work queue"
    instead = "values are sent to the queue by q.send(v)"


class Delivery(Generic[T]):
    """A value that was received, and is to be settled: by `async with`, or by one of its methods.

    `async with d as value:` acknowledges it at the end of the block, confirmed by who keeps the
    queue; if the block raises, the value is given back, to be tried again, and on its last try goes
    to `q.dead`. The exception passes through.

    Attributes:
        value: What was sent.
        tries: The how manieth try this is, from 1 on.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("delivery-example") as q:
        ...         await q.send("hello")
        ...         await q.close()
        ...         async for d in q:
        ...             async with d as value:
        ...                 print(value, d.tries)
        >>> gopark.run(main)
        hello 1

    Go: none; jetstream.Msg of its client.
    """

    __slots__ = ("_arrived", "_receiver", "_settled", "_since", "_token", "tries", "value")
    __reduce_ex__ = nocopy

    def __init__(
        self, receiver: Receiver, token: Token, tries: int, value: T, arrived: float
    ) -> None:
        self.value = value
        self.tries = tries
        self._receiver = receiver
        self._token = token
        self._arrived = arrived
        self._since = -1.0  # when it was taken
        self._settled = False

    def __repr__(self) -> str:
        state = "settled" if self._settled else f"try {self.tries}"
        return f"<Delivery {self.value!r} {state}>"

    def _take(self) -> None:
        if self._since < 0:
            self._since = monotonic()
            self._receiver.taken()

    async def __aenter__(self) -> T:
        if self._since < 0:
            self._take()
        return self.value

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._settled:
            return
        if exc is None:
            with shelter():
                await self.ack()
        elif isinstance(exc, GeneratorExit | ProgramEnded):
            self._forget()  # the goroutine is ended, and may not wait: the lease ends by itself
        else:
            with shelter():
                await self._failed(0.0, f"{type(exc).__name__}: {exc}")

    async def ack(self) -> None:
        """It is done: whoever keeps the queue has confirmed so when this returns.

        Raises:
            Unavailable: nobody can confirm it. It may be done again.
            RuntimeError: it is settled already.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("ack-example") as q:
            ...         await q.send("hello")
            ...         d = await q.C.recv()
            ...         await d.ack()
            ...         print(d)
            >>> gopark.run(main)
            <Delivery 'hello' settled>

        Go: Msg.DoubleAck.
        """
        self._settle()
        await self._receiver.backend.ack(self._token)

    async def again(self, delay: float = 0.0) -> None:
        """Give it back, for another try, by whoever; after the last one it goes to `q.dead`.

        Args:
            delay: Seconds until then, at least.
        Raises:
            Unavailable: nobody takes it back; its lease ends in time.
            RuntimeError: it is settled already.
            ValueError: `delay` is negative, or not finite.
            TypeError: `delay` is no number.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("again-example") as q:
            ...         await q.send("hello")
            ...         await (await q.C.recv()).again(0.01)
            ...         d = await q.C.recv()
            ...         print(d)
            ...         await d.ack()
            >>> gopark.run(main)
            <Delivery 'hello' try 2>

        Go: Msg.NakWithDelay.
        """
        delay = seconds("again", delay, "delay")
        if delay < 0:
            raise ValueError(f"again: the delay cannot be negative, got {shown(delay)}")
        await self._failed(delay, "given back")

    async def drop(self, why: str = "dropped") -> None:
        """Give it up: it is not tried again, and goes to `q.dead`.

        Args:
            why: What the dead letter says.
        Raises:
            Unavailable: nobody takes it; its lease ends in time.
            RuntimeError: it is settled already.
            TypeError: `why` is no string.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("drop-example") as q:
            ...         await q.send("hello")
            ...         await (await q.C.recv()).drop("no use")
            ...         async for letter in q.dead:
            ...             print(letter.value, letter.why)
            ...             await letter.drop()
            >>> gopark.run(main)
            hello no use

        Go: Msg.TermWithReason.
        """
        string("Delivery.drop", "why", why)
        self._settle()
        await self._receiver.backend.bury(self._token, why)

    async def _failed(self, delay: float, why: str) -> None:
        self._settle()
        receiver = self._receiver
        if self.tries >= receiver.tries:
            await receiver.backend.bury(self._token, why)
        else:
            await receiver.backend.again(self._token, delay, False)

    def _settle(self) -> None:
        if self._settled:
            raise RuntimeError(f"{shown(self)} is settled already: once by ack, again or drop")
        if self._since < 0:
            self._take()
        self._settled = True
        self._receiver._held.pop(self._token, None)

    def _forget(self) -> None:
        self._settled = True
        self._receiver.forget(self._token)


class Receiver:
    """A Sink: hands out what arrives, and keeps its leases."""

    def __init__(self, prefetch: int, max_time: float) -> None:
        self.backend: Backend  # as are the two below, set when the queue is open
        self.codec: Codec
        self.tries = 0
        self.err: Exception | None = None
        self.last_words: Callable[[Any, str], Awaitable[None]] | None = None  # who waits for it
        self.ch: Deliveries[Any] = Deliveries(_ROOM)
        self._prefetch = prefetch
        self._max_time = max_time
        self._lock: Mutex = Mutex((None,))
        self._held: dict[Token, Delivery[Any]] = {}
        self._half = (prefetch + 1) // 2  # were taken: so many more are wanted
        self._takes = count(1)
        self._begun = False
        self._stopped = False  # nothing is handed out any more
        self._over: Chan[None] = Chan()

    def opened(self, backend: Backend, codec: Codec) -> None:
        self.backend, self.codec = backend, codec
        self.tries = backend.settings.tries

    def begin(self) -> None:
        """Somebody wants to receive."""
        with Holding(self._lock):
            if self._begun or self._stopped:
                return
            self._begun = True
        self.backend.want(self._prefetch)
        go(self._renew)

    # --- a Sink -----------------------------------------------------------------------------------

    def arrived(self, values: Iterable[tuple[Token, int, bytes]]) -> None:
        decode, held, most, ch = self.codec.decode, self._held, self.tries, self.ch
        now = monotonic()
        for token, tries, payload in values:
            try:
                value = decode(payload)
            except Exception as exc:
                go(self._bury, token, None, f"cannot be decoded: {type(exc).__name__}: {exc}")
                continue
            if tries > most:
                go(self._bury, token, value, LOST)
                continue
            held[token] = one = Delivery(self, token, tries, value, now)
            if not self._stopped:  # else `give_back` finds it in `_held`
                put(ch, one)

    async def _bury(self, token: Token, value: Any, why: str) -> None:
        try:
            if self.last_words is not None:
                await self.last_words(value, why)
            await self.backend.bury(token, why)
        except (OSError, RuntimeError):
            return  # it comes to somebody else
        self.backend.want(1)

    def ended(self) -> None:
        shut(self.ch)

    def failed(self, exc: Exception) -> None:
        self.err = exc
        shut(self.ch)
        self.stop()

    def forked(self, exc: Exception) -> None:
        self._lock = Mutex((None,))  # as with the channel's: whoever held it
        self._held.clear()
        self.err = exc
        self._stopped = True
        self.ch = Deliveries(_ROOM)
        shut(self.ch)

    def tokens(self) -> list[Token]:
        """What is held, and not for too long."""
        late = monotonic() - self._max_time
        for token, one in list(self._held.items()):
            if 0 <= one._since < late:
                self.forget(token)
        return list(self._held)

    # --- deliveries say ---------------------------------------------------------------------------

    def taken(self) -> None:
        if not next(self._takes) % self._half:
            self.backend.want(self._half)

    def forget(self, token: Token) -> None:
        self._held.pop(token, None)

    # --- leases, and the end ----------------------------------------------------------------------

    async def _renew(self) -> None:
        period = self.backend.settings.lease / _PARTS
        while (await select(recv(self._over), recv(after(period))))[0]:
            await self._return_old()
            tokens = self.tokens()
            if tokens:
                self.backend.touch(tokens)

    async def _return_old(self) -> None:
        """What nobody here takes is for others. It is the first in the channel, if there is one."""
        late = monotonic() - self._max_time
        while True:
            with Holding(self.ch._lock):
                buf = self.ch._buf
                if not buf or buf[0]._arrived > late:
                    return
                old = buf.popleft()
            await self._return(old)

    async def _return(self, one: Delivery[Any]) -> None:
        one._settled = True
        self.forget(one._token)
        try:
            await self.backend.again(one._token, 0.0, True)
        except (OSError, RuntimeError):
            pass  # its lease ends by itself
        self.backend.want(1)

    def stop(self) -> None:
        try:
            self._over.close()
        except Exception:
            pass  # it was before

    async def give_back(self) -> None:
        """What nobody has taken is for others, untried."""
        with Holding(self._lock):
            if not self._begun or self._stopped:
                return
            self._stopped = True
        self.stop()
        shut(self.ch)
        self.backend.want(0)
        while True:  # what was on its way arrives before the first of these is answered
            left = [one for one in list(self._held.values()) if one._since < 0]
            for one in left:
                self.forget(one._token)
                one._settled = True
            if not left:
                return
            for one in reversed(left):
                await self.backend.again(one._token, 0.0, True)
