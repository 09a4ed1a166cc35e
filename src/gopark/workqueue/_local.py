"""The backend of `local:` URLs: a keeper in this process, or a connection to one in another.

A request is a frame with a number, and stands in `_pending` until its reply has come. When the
keeper is lost (its process died, or left) the way to the next one is looked for: connect, or else
take the place and be the keeper. Then all that is pending is said anew, and what is held is
touched, so that its leases go on. A SEND whose reply was lost may so be stored twice, unless it
has an id.

What is acknowledged has its number for a request's, and stands in `_acking`: many are said, and
confirmed, in one frame.

    a request                                   the keeper is lost, `_again`
    1. with the lock: puts itself there,        1. with the lock: sets the way, and copies
       and reads which way there is                `_pending`
    2. goes that way                            2. says all of it
Either the request sees the new way, or it is in the copy.

Locks: `_lock`, a leaf. Source: none. Tests: tests/workqueue/test_local.py, test_takeover.py
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from random import random
from typing import Any, Final
from weakref import WeakSet

from gopark import net
from gopark._oneshot import OneShot
from gopark._runtime.base.errors import ClosedChannelError
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.sched.newproc import go
from gopark._runtime.time.timesleep import sleep
from gopark.context import Context, after_func
from gopark.context._with import checked
from gopark.sync._again import mine
from gopark.workqueue import _wire as wire
from gopark.workqueue._backend import KEPT, MAKE, THERE, Backend, RawLetter, Sink, Stats, Token
from gopark.workqueue._errors import Mismatch, Unavailable
from gopark.workqueue._keeper import BAD, YES, Keeper, Peer
from gopark.workqueue._ledger import CLOSED, FULL, Job
from gopark.workqueue._leftovers import clear_local
from gopark.workqueue._localfiles import Place, directory
from gopark.workqueue._localkeeper import VERSION, LocalKeeper, keeper_at, kept, leave_keeper, tidy
from gopark.workqueue._outgoing import Outgoing
from gopark.workqueue._settings import Settings, Wanted

__all__ = ("Local", "open_local")

LIMIT: Final = 1 << 20  # bytes of a value, as nats-server has it
PATIENCE: Final = 10.0  # seconds without a keeper, nor a way to be it

Reply = tuple[int, bytes]


async def open_local(
    url: str, name: str, asked: Wanted, reopen: bool, sink: Sink, how: str
) -> Local:
    """Open a queue.

    Raises:
        Mismatch, Unavailable
    """
    local = Local(Place(url, directory(url), name), sink, how)
    await local._connect(asked, reopen)
    return local


class _Way(ABC):
    """How to say something to the keeper."""

    @abstractmethod
    def say(self, frame: bytes) -> None: ...

    @abstractmethod
    def ack(self, seq: int) -> None:
        """It is done; the answer goes to `Local.acked`."""

    @abstractmethod
    async def leave(self) -> None: ...


class Local(Backend):
    """A queue, as one of those who have opened it sees it."""

    limit = LIMIT

    def __init__(self, place: Place, sink: Sink, how: str) -> None:
        self.settings = Settings()
        self.over = False
        self._how = how
        self._place = place
        self._sink = sink
        self._lock: Mutex = Mutex((None,))
        self._way: _Way | None = None
        self._pending: dict[int, tuple[OneShot, bytes]] = {}
        self._acking: dict[int, tuple[OneShot, ...]] = {}
        self._last = 0
        self._wanted = 0  # credit that the keeper was given and has not used
        self._left = False
        self._failed: Exception | None = None
        self._forked = False
        _opened.add(self)

    # --- the way to the keeper --------------------------------------------------------------------

    async def _connect(self, asked: Wanted, reopen: bool = False) -> None:
        """Find the keeper, or become it."""
        until = monotonic() + PATIENCE
        pause = 0.001
        while True:
            try:
                way = await self._reach(asked, reopen)
            except (OSError, EOFError) as exc:
                if isinstance(exc, Unavailable):
                    raise
                if monotonic() > until:
                    raise Unavailable(
                        f"queue {shown(self._place.name)}: who keeps it at {self._place.sock} "
                        f"does not answer: {exc or 'it hangs up'}"
                    ) from exc
                await sleep(pause * (0.5 + random()))
                pause = min(2 * pause, 0.1)
            else:
                self._begin(way)
                return

    async def _reach(self, asked: Wanted, reopen: bool) -> _Way:
        place = self._place
        keeper = kept(place)
        if keeper is None:
            try:
                conn = await net.dial("unix", place.sock)
            except (FileNotFoundError, ConnectionRefusedError) as exc:
                self._may()
                keeper = keeper_at(place, asked)
                if keeper is None:
                    raise ConnectionRefusedError("it is about to be") from exc
            else:
                return await self._greet(conn, asked, reopen)
        direct = _Direct(self, keeper)
        try:
            self.settings = keeper.attach(direct, place.name, asked, reopen)
        except BaseException:
            await leave_keeper(keeper)
            raise
        return direct

    def _may(self) -> None:
        """Nobody keeps it, and this process may do so."""
        place = self._place
        if self._how == KEPT or (self._how == THERE and not os.path.exists(place.log)):
            raise Unavailable(f"{place.url}: there is no queue {shown(place.name)}")

    async def _greet(self, conn: net.SocketConn, asked: Wanted, reopen: bool) -> _Way:
        try:
            conn.set_read_deadline(monotonic() + PATIENCE)
            hello = json.dumps({"version": VERSION, "asked": asked, "reopen": reopen})
            await conn.write(wire.frame(wire.HELLO, hello.encode()))
            frames = wire.Frames()
            said: list[tuple[int, bytes]] = []
            while not said:
                data = await conn.read()
                if not data:
                    raise EOFError
                said = list(frames.feed(data))
            answer = json.loads(said[0][1])
            if "mismatch" in answer:
                raise Mismatch(answer["mismatch"])
            self.settings = Settings(**answer)
            conn.set_read_deadline(None)
        except BaseException:
            conn.close()
            raise
        return _Remote(self, conn, frames, said[1:])

    def _begin(self, way: _Way) -> None:
        with Holding(self._lock):
            self._way = way
            pending = [frame for _, (_, frame) in sorted(self._pending.items())]
            acking = list(self._acking)
            wanted = self._wanted
        if isinstance(way, _Remote):
            way.start()
        held = self._sink.tokens()
        if held:
            way.say(wire.touch(held))
        for frame in pending:
            way.say(frame)
        for seq in acking:
            way.ack(seq)
        if wanted:
            way.say(wire.pull(wanted))

    def lost(self, way: _Way, why: OSError | None = None) -> None:
        """That way leads nowhere any more."""
        with Holding(self._lock):
            if self._way is not way or self._left:
                return
            self._way = None
        go(self._again, way, why)

    async def _again(self, way: _Way, why: OSError | None) -> None:
        try:
            await way.leave()
            if why is not None:
                raise Unavailable(
                    f"queue {shown(self._place.name)}: {self._place.log} cannot be written: "
                    f"{why.strerror or why}"
                ) from why
            if self._how == THERE:
                self._how = MAKE
            await self._connect({})
        except (Unavailable, Mismatch) as exc:
            self._fail(exc)
        else:
            if self._left and (way_ := self._way) is not None:
                await way_.leave()

    def _fail(self, exc: Exception) -> None:
        with Holding(self._lock):
            self._failed = exc
            waiting = self._waiting()
        for one in waiting:
            one.finish(None, mine(exc))
        self._sink.failed(exc)

    def _waiting(self) -> list[OneShot]:
        """Those who wait for an answer, which none of them gets. Lock held."""
        waiting = [one for one, _ in self._pending.values()]
        waiting += [one for ones in self._acking.values() for one in ones]
        self._pending.clear()
        self._acking.clear()
        return waiting

    # --- what comes from it -----------------------------------------------------------------------

    def replied(self, req: int, code: int, body: bytes) -> None:
        entry = self._pending.pop(req, None)
        if entry is not None:
            entry[0].finish((code, body))

    def acked(self, seqs: Iterable[int], done: bool) -> None:
        for seq in seqs:
            for one in self._acking.pop(seq, ()):
                one.finish(done)

    def items(self, found: Iterable[tuple[int, int, bytes]]) -> None:
        values = [((seq, tries), tries, payload) for seq, tries, payload in found]
        with Holding(self._lock):
            self._wanted -= len(values)
        self._sink.arrived(values)

    def ended(self) -> None:
        self.over = True
        self._sink.ended()

    # --- requests ---------------------------------------------------------------------------------

    async def _request(
        self, make: Callable[..., bytes], *args: Any, ctx: Context | None = None
    ) -> Reply:
        one = OneShot("workqueue")
        with Holding(self._lock):
            if self._failed is not None:
                raise mine(self._failed)
            req = self._last = self._last % 0xFFFFFFFF + 1
            frame = make(req, *args)
            self._pending[req] = one, frame
            way = self._way
        return await self._said(req, one, way, frame, ctx)

    async def _said(
        self, req: int, one: OneShot, way: _Way | None, frame: bytes | None, ctx: Context | None
    ) -> Reply:
        stop = None
        try:
            if way is not None and frame is not None:
                way.say(frame)
            if ctx is not None:
                stop = after_func(ctx, partial(_over, one, ctx))
            return await one.wait()  # type: ignore[no-any-return]
        except BaseException:
            if self._pending.pop(req, None) is not None and (way := self._way) is not None:
                way.say(wire.cancel(req))
            raise
        finally:
            if stop is not None:
                stop()

    async def send(self, payload: bytes, id: str, ctx: Context | None) -> None:
        if ctx is not None:
            checked("send", ctx)
            if (err := ctx.err()) is not None:
                raise err
        if self._forked and self._failed is not None:
            raise mine(self._failed)
        way = self._way
        if type(way) is not _Direct:
            code, _ = await self._request(wire.send, payload, id.encode(), ctx=ctx)
        elif self._failed is not None or (code := way.keeper.put(way, 0, payload, id)) == FULL:
            code = await self._senddirect(way.keeper, way, payload, id, ctx)
        if not code:
            return
        if code == CLOSED:
            raise ClosedChannelError(
                f"queue {shown(self._place.name)} was closed: nobody sends to it any more. "
                "open(..., reopen=True) begins it anew"
            )

    async def _senddirect(
        self, keeper: Keeper, way: _Direct, payload: bytes, id: str, ctx: Context | None
    ) -> int:
        """To the keeper in this process, which had no room for it."""
        one = OneShot("workqueue send")
        with Holding(self._lock):
            if self._failed is not None:
                raise mine(self._failed)
            req = self._last = self._last % 0xFFFFFFFF + 1
            frame = wire.send(req, payload, id.encode())
            self._pending[req] = one, frame
        code = keeper.put(way, req, payload, id)
        if code != FULL:
            self._pending.pop(req, None)
            return code
        return (await self._said(req, one, way, None, ctx))[0]

    def want(self, n: int) -> None:
        with Holding(self._lock):
            self._wanted = self._wanted + n if n else 0
            way = self._way
        if way is not None:
            way.say(wire.pull(n))

    async def ack(self, token: Token) -> bool:
        seq: int = token[0]
        way = self._way
        if type(way) is _Direct and (code := way.keeper.ack(way, seq)) != BAD:
            return code == YES
        one = OneShot("workqueue ack")
        with Holding(self._lock):
            if self._failed is not None:
                raise mine(self._failed)
            self._acking[seq] = one, *self._acking.get(seq, ())
            way = self._way
        if way is not None:
            way.ack(seq)
        return await one.wait()  # type: ignore[no-any-return]

    async def again(self, token: Token, delay: float, untried: bool) -> bool:
        return (await self._request(wire.again, *token, delay, untried))[0] == YES

    async def bury(self, token: Token, why: str) -> bool:
        return (await self._request(wire.bury, *token, why))[0] == YES

    def touch(self, tokens: Iterable[Token]) -> None:
        way = self._way
        if way is not None:
            way.say(wire.touch(list(tokens)))

    async def close(self) -> None:
        await self._request(partial(wire.asking, wire.CLOSE))

    def forked(self) -> None:
        """In the child of a fork: the way to the keeper is the parent's, and so is what it wants.

        A keeper in this process would take what is sent for stored, and nobody would ever see it.
        """
        self._lock = Mutex((None,))  # whoever held it
        self._forked = True
        self._way = None
        self._pending.clear()
        self._failed = RuntimeError(
            f"queue {shown(self._place.name)} was opened by the process that this one was forked "
            "from: open it anew"
        )
        self._sink.forked(self._failed)

    async def leave(self) -> None:
        if self._forked:
            return
        with Holding(self._lock):
            self._left = True
            way, self._way = self._way, None
            waiting = self._waiting()
            self._failed = self._failed or RuntimeError("the queue was left")
        for one in waiting:
            one.finish(None, mine(self._failed))
        if way is not None:
            await way.leave()
        if type(way) is not _Direct:
            tidy(self._place)

    async def destroy(self) -> None:
        await self.purge(False)
        await self.purge(True)
        await self.leave()

    async def clear(self, queue: str, quiet: float) -> None:
        clear_local(self._place, queue, quiet)

    # --- looking after it -------------------------------------------------------------------------

    async def _ask(self, what: str, **more: Any) -> Reply:
        body = json.dumps({"what": what, **more}).encode()
        return await self._request(lambda req: wire.asking(wire.ASK, req, body))

    async def stats(self) -> Stats:
        _, body = await self._ask("stats")
        said = json.loads(body)
        return Stats(**{key: said[key] for key in Stats.__slots__})

    async def letters(self, after: int, most: int) -> list[RawLetter]:
        _, body = await self._ask("letters", after=after, most=most)
        return [RawLetter(*letter) for letter in wire.split_letters(body)]

    async def requeue(self, seq: int) -> bool:
        return (await self._ask("requeue", seq=seq))[0] == YES

    async def discard(self, seq: int) -> bool:
        return (await self._ask("discard", seq=seq))[0] == YES

    async def purge(self, dead: bool) -> int:
        return int((await self._ask("purge", dead=dead))[1])


_opened: Final[WeakSet[Local]] = WeakSet()


def _afterfork() -> None:
    for local in list(_opened):
        local.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)


async def _over(one: OneShot, ctx: Context) -> None:
    one.finish(None, ctx.err())


class _Direct(Peer, _Way):
    """To a keeper in this process, which has this as its peer."""

    def __init__(self, local: Local, keeper: LocalKeeper) -> None:
        super().__init__()
        self.keeper = keeper
        self._local = local
        self._out: list[Callable[[], None]] = []  # guarded by the keeper's lock

    def say(self, frame: bytes) -> None:
        self.keeper.do(self, ((frame[4], frame[5:]),))

    async def leave(self) -> None:
        self.keeper.detach(self)
        await leave_keeper(self.keeper)

    def ack(self, seq: int) -> None:
        code = self.keeper.ack(self, seq)
        if code != BAD:
            self._local.acked((seq,), code == YES)

    def acked(self, seqs: list[int], unknown: list[int]) -> None:
        self._out.append(partial(self._local.acked, seqs, True))
        self._out.append(partial(self._local.acked, unknown, False))

    def reply(self, req: int, code: int, body: bytes = b"") -> None:
        self._out.append(partial(self._local.replied, req, code, body))

    def item(self, job: Job) -> None:
        self._out.append(partial(self._local.items, ((job.seq, job.tries, job.payload),)))

    def end(self) -> None:
        self._out.append(self._local.ended)

    def flush(self) -> None:
        with Holding(self.keeper._lock):
            out, self._out = self._out, []
        for tell in out:
            tell()

    def hangup(self, why: OSError | None) -> None:
        if why is not None:
            self._out.clear()
        self._local.lost(self, why)


class _Remote(_Way):
    """To a keeper in another process."""

    def __init__(
        self,
        local: Local,
        conn: net.SocketConn,
        frames: wire.Frames,
        said: list[tuple[int, bytes]],
    ) -> None:
        self._local = local
        self._conn = conn
        self._frames = frames
        self._said = said
        self._out: list[bytes] = []
        self._acks: list[int] = []
        self._lock: Mutex = Mutex((None,))
        self._outgoing = Outgoing(conn, self._taken)

    def start(self) -> None:
        go(self._read)
        go(self._outgoing.run)

    def say(self, frame: bytes) -> None:
        with Holding(self._lock):
            self._out.append(frame)
        self._outgoing.flush()

    def ack(self, seq: int) -> None:
        with Holding(self._lock):
            self._acks.append(seq)
            first = len(self._acks) == 1
        if first:
            self._outgoing.flush()

    def _taken(self) -> bytes:
        """All that is to be said, for its Outgoing."""
        with Holding(self._lock):
            out, self._out = self._out, []
            acks, self._acks = self._acks, []
        if acks:
            out.append(wire.acks(acks))
        return b"".join(out)

    async def leave(self) -> None:
        self._outgoing.end()

    async def _read(self) -> None:
        conn, frames, local = self._conn, self._frames, self._local
        try:
            for op, body in self._said:
                _hear(local, op, body)
            while data := await conn.read():
                for op, body in frames.feed(data):
                    _hear(local, op, body)
        except (OSError, ValueError):
            pass
        finally:
            conn.close()
            local.lost(self)


def _hear(local: Local, op: int, body: bytes) -> None:
    if op == wire.REPLY:
        local.replied(*wire.split_reply(body))
    elif op == wire.ACKED:
        known, unknown = wire.split_acked(body)
        local.acked(known, True)
        local.acked(unknown, False)
    elif op == wire.ITEMS:
        local.items(wire.split_items(body))
    elif op == wire.END:
        local.ended()
