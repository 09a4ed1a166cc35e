"""Queue: what `open` gives.

Source: none. Tests: tests/workqueue/test_queue.py
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched import startm
from gopark._runtime.time.timechan import seconds
from gopark._util import integer, string
from gopark.context import Context, shield
from gopark.sync._again import mine
from gopark.workqueue._backend import MAKE, Backend, RawLetter, Stats
from gopark.workqueue._codec import Codec, codec_named, encoded, raw
from gopark.workqueue._errors import Mismatch, TooBig
from gopark.workqueue._receiver import Delivery, Receiver
from gopark.workqueue._settings import Wanted, checkname, wanted, without_secrets

__all__ = ("DeadLetters", "Letter", "Queue", "open", "opened")

T = TypeVar("T")

_IDBYTES: Final = 255
_PAGE: Final = 100


async def open(
    name: str,
    url: str = "local:",
    *,
    cap: int | None = None,
    lease: float | None = None,
    tries: int | None = None,
    codec: Codec | None = None,
    max_time: float = 600.0,
    prefetch: int = 4,
    reopen: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Queue[Any]:
    """Open a work queue, which is made if it is not there.

    What is not said is as the queue has it; for one that is made here, what the list below says.

    Args:
        name: 1 to 64 letters, digits, - and _.
        url: `local:` for processes of this user on this machine, `local:/a/directory` to have it
            there; `nats://host:4222`, with more hosts of a cluster after commas, for a server of
            NATS with JetStream, `tls://` the same over TLS.
        cap: So many values may be undone; a sender waits while there are (1024).
        lease: Seconds a receiver has a value without a sign of life, before another gets it (30).
        tries: How often a value is tried before it goes to `q.dead` (5).
        codec: How values become bytes (`workqueue.json`).
        max_time: Seconds for which the lease of one value is renewed while its handler runs.
        prefetch: So many values lie ready here, beside those that are being worked on.
        reopen: If the queue was closed, begin it anew.
        options: For a server of NATS, what `nats.connect` takes beside the servers: `tls`,
            `user_credentials`, `nkeys_seed`, ...
    Raises:
        Mismatch: the queue has other settings.
        Unavailable: whoever keeps it, or would, cannot be reached.
        TypeError: an argument is of the wrong kind.
        ValueError: an argument cannot be.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("open-example") as q:
        ...         await q.send({"n": 1})
        ...         await q.close()
        ...         async for d in q:
        ...             async with d as value:
        ...                 print(value)
        >>> gopark.run(main)
        {'n': 1}

    Go: none.
    """
    asked = wanted(cap, lease, tries, None if codec is None else _codecname(codec))
    return await opened(name, url, asked, codec, max_time, prefetch, reopen, options or {}, MAKE)


async def opened(
    name: str,
    url: str,
    asked: Wanted,
    codec: Codec | None,
    max_time: float,
    prefetch: int,
    reopen: bool,
    options: Mapping[str, Any],
    how: str,
) -> Queue[Any]:
    """As `open`, which has checked what is asked."""
    checkname("open", name)
    string("open", "url", url)
    integer("open", "prefetch", prefetch)
    if not 1 <= prefetch <= 100_000:
        raise ValueError(f"open: prefetch must be from 1 to 100,000, got {shown(prefetch)}")
    max_time = seconds("open", max_time, "max_time")
    if max_time <= 0:
        raise ValueError(f"open: max_time must be more than 0 seconds, got {shown(max_time)}")
    receiver = Receiver(prefetch, max_time)
    backend: Backend
    if url.startswith("local:"):
        from gopark.workqueue._local import open_local

        backend = await open_local(url, name, asked, reopen, receiver, how)
    elif url.startswith(("nats://", "tls://")):
        from gopark.workqueue._nats import open_nats

        backend = await open_nats(url, name, asked, reopen, receiver, options, how)
    else:
        raise ValueError(
            f"open: a URL is local: or nats://host:port, got {shown(without_secrets(url))}"
        )
    receiver.opened(backend, codec or raw)
    if codec is None:
        codec = codec_named(backend.settings.codec)
        if codec is None:
            await backend.leave()
            raise Mismatch(
                f"queue {shown(name)} has the codec {shown(backend.settings.codec)}, which is not "
                "chosen by its name alone: open(..., codec=...)"
            )
    receiver.opened(backend, codec)
    return Queue(name, url, options, backend, receiver, codec)


def _codecname(codec: Any) -> str:
    if not (isinstance(getattr(codec, "name", None), str) and hasattr(codec, "decode")):
        raise TypeError(
            f"open() needs a codec, with name, encode and decode, got {shown(codec)}: "
            "codec=gopark.workqueue.json"
        )
    return codec.name  # type: ignore[no-any-return]


class Queue(Generic[T]):
    """A work queue: what is sent comes to one receiver, at least once, whoever dies meanwhile.

    Any number of goroutines, processes and machines may have it open, to send, to receive, or both.
    `async with q:` leaves it at the end.

    Attributes:
        name, url: As they were given to `open`.
        cap, lease, tries, codec: The settings of the queue.
        dead: What has failed for good, or was dropped.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("queue-example") as q:
        ...         for n in range(3):
        ...             await q.send(n)
        ...         await q.close()
        ...         async for d in q:
        ...             async with d as value:
        ...                 print(value)
        >>> gopark.run(main)
        0
        1
        2

    Go: none.
    """

    __slots__ = ("_backend", "_options", "_owner", "_receiver", "codec", "name", "url")
    __reduce_ex__ = nocopy

    def __init__(
        self,
        name: str,
        url: str,
        options: Mapping[str, Any],
        backend: Backend,
        receiver: Receiver,
        codec: Codec,
    ) -> None:
        self._owner = startm.current()  # the program that is to leave it; None: it was left
        self._options = options
        self.name = name
        self.url = url
        self.codec = codec
        self._backend = backend
        self._receiver = receiver

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if (program := self._owner) is not None and not program.ended:
            warn(
                f"queue {self.name!r} was not left: async with await workqueue.open(...) as q",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"<Queue {self.name!r} at {without_secrets(self.url)}>"

    @property
    def cap(self) -> int:
        """So many values may be undone. Go: none."""
        return self._backend.settings.cap

    @property
    def lease(self) -> float:
        """Seconds of a lease. Go: none."""
        return self._backend.settings.lease

    @property
    def tries(self) -> int:
        """How often a value is tried. Go: none."""
        return self._backend.settings.tries

    # --- sending ----------------------------------------------------------------------------------

    async def send(self, value: T, ctx: Context | None = None, *, id: str | None = None) -> None:
        """Send a value: it is stored when this returns. Waits while `cap` values are undone.

        If it is left before it returns, by `ctx` or a scope, or raises Unavailable, the value may
        be in the queue or not; sent again with the same `id` it is there once.

        Args:
            value: What the queue's codec can write.
            ctx: If it ends first, its error is raised.
            id: A value with the id of one that was sent within the last two minutes is dropped.
        Raises:
            ClosedChannelError: the queue was closed.
            TooBig: the value is more than a megabyte, or than the server takes.
            NotEncodable: the codec cannot write it.
            Unavailable: whoever keeps the queue cannot be reached.
            Canceled: `ctx` was cancelled.
            DeadlineExceeded: the time of `ctx` is over.
            TypeError: `id` is no string.
            ValueError: `id` is empty, or too long, or has control characters.
        Example:
            >>> import uuid
            >>> async def main():
            ...     async with await gopark.workqueue.open("send-example") as q:
            ...         order = str(uuid.uuid4())
            ...         await q.send("once", id=order)
            ...         await q.send("once", id=order)
            ...         print((await q.stats()).waiting, await q.purge())
            >>> gopark.run(main)
            1 1

        Go: none; `ch <- v`.
        """
        if id is not None:
            _checkid(id)
        data = encoded(self.codec, value)
        backend = self._backend
        if len(data) > backend.limit:
            raise TooBig(
                f"a value of {len(data):,} bytes; queue {shown(self.name)} takes at most "
                f"{backend.limit:,}: send a name of where it is"
            )
        await backend.send(data, id or "", ctx)

    # --- receiving --------------------------------------------------------------------------------

    @property
    def C(self) -> Chan[Delivery[T]]:
        """The channel that values are received from, as Deliveries; it is closed with the queue.

        For `select`, and for `await q.C.recv()`; values come from its first use on. When it is
        closed because of an error, `async for` raises that.

        Go: none; `<-chan`.
        """
        self._receiver.begin()
        return self._receiver.ch

    def __aiter__(self) -> AsyncIterator[Delivery[T]]:
        self._receiver.begin()
        return _Taking(self._receiver)

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Nobody sends any more, from anywhere; receivers end when all that was sent is done.

        A second close does nothing.

        Raises:
            Unavailable: whoever keeps the queue cannot be reached.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("close-example") as q:
            ...         await q.close()
            ...         print([d async for d in q])
            >>> gopark.run(main)
            []

        Go: none; `close(ch)`.
        """
        await self._backend.close()

    async def leave(self) -> None:
        """Let go of the queue here; what lies ready and nobody has begun is for others.

        What is being worked on should be settled before. A second call does nothing.

        Example:
            >>> async def main():
            ...     q = await gopark.workqueue.open("leave-example")
            ...     await q.leave()
            >>> gopark.run(main)

        Go: none.
        """
        self._owner = None
        with shield():
            try:
                await self._receiver.give_back()
            except (OSError, RuntimeError):
                pass  # the leases end by themselves
            await self._backend.leave()

    async def _destroy(self) -> None:
        """Leave it, and have nothing of it stay."""
        self._owner = None
        await self._backend.destroy()

    async def __aenter__(self) -> Queue[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None or isinstance(exc, Exception):
            await self.leave()

    # --- looking after it -------------------------------------------------------------------------

    @property
    def dead(self) -> DeadLetters[T]:
        """What has failed for good, or was dropped. Go: none."""
        return DeadLetters(self)

    async def stats(self) -> Stats:
        """How many values wait, are leased, are dead.

        Raises:
            Unavailable: whoever keeps the queue cannot be reached.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("stats-example") as q:
            ...         print((await q.stats()).cap)
            >>> gopark.run(main)
            1024

        Go: none.
        """
        return await self._backend.stats()

    async def purge(self, *, dead: bool = False) -> int:
        """Forget all values that are not done, those that somebody works on among them.

        Args:
            dead: Forget the dead ones instead.
        Returns:
            How many that were.
        Raises:
            Unavailable: whoever keeps the queue cannot be reached.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("purge-example") as q:
            ...         await q.send(1)
            ...         print(await q.purge())
            >>> gopark.run(main)
            1

        Go: none.
        """
        return await self._backend.purge(bool(dead))


class _Taking(Generic[T]):
    """The iterator of a Queue."""

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def __aiter__(self) -> AsyncIterator[Delivery[T]]:
        return self

    async def __anext__(self) -> Delivery[T]:
        d, ok = await self._receiver.ch.recv_ok()
        if not ok:
            if (err := self._receiver.err) is not None:
                raise mine(err)
            raise StopAsyncIteration
        assert d is not None
        d._take()
        return d


def _checkid(id: object) -> None:
    string("send", "id", id)
    assert isinstance(id, str)
    if not id or len(id.encode(errors="replace")) > _IDBYTES or not id.isprintable():
        raise ValueError(
            f"send: an id is 1 to {_IDBYTES} bytes that can be printed, got {shown(id)}"
        )


class Letter(Generic[T]):
    """A value that has failed for good, or was dropped.

    Attributes:
        payload: The value as bytes, as it was sent.
        tries: How often it was tried.
        why: What the last try has come to.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("letter-example", tries=1) as q:
        ...         await q.send("bad")
        ...         try:
        ...             async with await q.C.recv() as value:
        ...                 raise ValueError("no good")
        ...         except ValueError:
        ...             pass
        ...         async for letter in q.dead:
        ...             print(letter.value, letter.tries, letter.why)
        ...             await letter.drop()
        >>> gopark.run(main)
        bad 1 ValueError: no good

    Go: none.
    """

    __slots__ = ("_queue", "_seq", "payload", "tries", "why")
    __reduce_ex__ = nocopy

    def __init__(self, queue: Queue[T], letter: RawLetter) -> None:
        self._queue = queue
        self._seq = letter.seq
        self.payload = letter.payload
        self.tries = letter.tries
        self.why = letter.why

    def __repr__(self) -> str:
        return f"<Letter {self._seq} {self.why!r}>"

    @property
    def value(self) -> T:
        """What was sent; raises what the codec raises if it cannot be read. Go: none."""
        return self._queue.codec.decode(self.payload)  # type: ignore[no-any-return]

    async def requeue(self) -> bool:
        """Have it tried again, as if it had been sent now.

        Returns:
            False if it is not there any more.
        Raises:
            Unavailable: whoever keeps the queue cannot be reached.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("requeue-example") as q:
            ...         await q.send("hello")
            ...         await (await q.C.recv()).drop()
            ...         async for letter in q.dead:
            ...             await letter.requeue()
            ...         async with await q.C.recv() as value:
            ...             print(value)
            >>> gopark.run(main)
            hello

        Go: none.
        """
        return await self._queue._backend.requeue(self._seq)

    async def drop(self) -> bool:
        """Forget it.

        Returns:
            False if it is not there any more.
        Raises:
            Unavailable: whoever keeps the queue cannot be reached.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("forget-example") as q:
            ...         await q.send("hello")
            ...         await (await q.C.recv()).drop()
            ...         print([await letter.drop() async for letter in q.dead])
            >>> gopark.run(main)
            [True]

        Go: none.
        """
        return await self._queue._backend.discard(self._seq)


class DeadLetters(Generic[T]):
    """What has failed for good: `async for letter in q.dead`, the oldest first.

    Each loop goes through those that are there; none is taken away by looking.

    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("dead-example") as q:
        ...         print([letter async for letter in q.dead])
        >>> gopark.run(main)
        []

    Go: none.
    """

    __slots__ = ("_queue",)
    __reduce_ex__ = nocopy

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue

    async def __aiter__(self) -> AsyncIterator[Letter[T]]:
        after = 0
        while page := await self._queue._backend.letters(after, _PAGE):
            for letter in page:
                after = letter.seq
                yield Letter(self._queue, letter)
