"""A keeper at its place: the socket that others connect to, the lock that makes it the only one.

A process has at most one keeper of a queue, for all who open the queue in it; it keeps the queue
until the last of those leaves, or the program ends. Then those in other processes find another: one
of them takes the lock, reads the journal, and goes on.

Locks: `_taking`, while a place is taken, or given back. Source: none.
Tests: tests/workqueue/test_local.py
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Final

from gopark import net
from gopark._runtime.base.lockrank import Holding, Mutex, lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import Sched
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.main.atend import atend
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.startm import current
from gopark._runtime.time.timechan import after
from gopark.workqueue import _wire as wire
from gopark.workqueue._errors import Mismatch, Unavailable
from gopark.workqueue._journal import Journal
from gopark.workqueue._keeper import Keeper, Peer
from gopark.workqueue._ledger import Job, Ledger
from gopark.workqueue._localfiles import Place
from gopark.workqueue._outgoing import Outgoing
from gopark.workqueue._settings import Settings, Wanted

__all__ = ("VERSION", "LocalKeeper", "keeper_at", "kept", "leave_keeper", "tidy")

VERSION: Final = 2
_GOODBYE: Final = 1.0  # seconds for a peer to take what it was to be told

_taking: Final = lasting(Mutex((None,)))
_keepers: Final[dict[str, LocalKeeper]] = {}  # by the path of the socket


class LocalKeeper(Keeper):
    """A keeper that others in this process and outside can reach."""

    def __init__(self, place: Place, fd: int, asked: Wanted) -> None:
        self.place = place
        self.users = 0  # how many in this process have the queue open; guarded by `_taking`
        self.sched = current()
        self._fd = fd
        place.clear()
        journal = Journal(place.log)
        try:
            ledger = journal.load(monotonic())
            if ledger is None:
                ledger = Ledger(Settings(**asked), journal)
                journal.settings(ledger.settings)
                journal.flush()
            super().__init__(ledger, journal)
            self._files = journal
            self._listener = _listen(place)
        except BaseException:
            journal.close()
            raise

    def begin(self) -> None:
        go(self._serve)
        go(self.feed)
        go(self.tick)

    async def _serve(self) -> None:
        try:
            async for conn in self._listener:
                go(_Socket(self, conn).run)
        finally:
            give_back(self)  # the program ends, else it was done before

    def shut(self) -> None:
        """Stop, and let go of the files. Called with `_taking` held."""
        if _keepers.get(self.place.sock) is not self:
            return
        if self.sched is not current():  # who has it open here is gone, and is not to come back
            self.peers = {peer for peer in self.peers if isinstance(peer, _Socket)}
        del _keepers[self.place.sock]
        alone = self.peers_outside() == 0
        self.stop()
        self._listener.close()
        self._files.close()
        if alone and self.spent:
            self.place.remove()
        os.close(self._fd)

    def peers_outside(self) -> int:
        return sum(isinstance(peer, _Socket) for peer in list(self.peers))


def _listen(place: Place) -> net.Listener:
    old = os.umask(0o177)  # from the first moment on nobody else can connect
    try:
        return net.listen("unix", place.sock)
    finally:
        os.umask(old)


def kept(place: Place) -> LocalKeeper | None:
    """The keeper of that place, if this process has it; for one user more."""
    with Holding(_taking):
        return _known(place)


def _known(place: Place) -> LocalKeeper | None:
    keeper = _keepers.get(place.sock)
    if keeper is not None and keeper.sched is not current():
        keeper.shut()  # its program has died
        return None
    if keeper is not None:
        keeper.users += 1
    return keeper


async def _end(sched: Sched) -> None:
    """The program ends, and keeps no queue any more: others may."""
    for keeper in list(_keepers.values()):
        if keeper.sched is sched:
            keeper.sched = None
            give_back(keeper)


atend.append(_end)


def keeper_at(place: Place, asked: Wanted) -> LocalKeeper | None:
    """The keeper of that place, for one user more; None if another process has it.

    Raises:
        Unavailable: the files cannot be used.
    """
    with Holding(_taking):
        keeper = _known(place)
        if keeper is not None:
            return keeper
        try:
            fd = place.lock()
            if fd is None:
                return None
            try:
                keeper = LocalKeeper(place, fd, asked)
            except BaseException:
                os.close(fd)
                raise
        except OSError as exc:
            raise Unavailable(
                f"queue {shown(place.name)} cannot be kept at {place.sock}: {exc.strerror or exc}"
            ) from exc
        keeper.users = 1
        _keepers[place.sock] = keeper
    keeper.begin()
    return keeper


async def leave_keeper(keeper: LocalKeeper) -> None:
    """One user less; the last one ends it, and peers are told what they were to be told yet."""
    with Holding(_taking):
        keeper.users -= 1
        if keeper.users > 0:
            return
        peers = [peer for peer in keeper.peers if isinstance(peer, _Socket)]
        keeper.shut()
    late = after(_GOODBYE)
    for peer in peers:
        await select(recv(peer.outgoing.gone), recv(late))
    if peers:
        tidy(keeper.place)  # they may have left in the same moment


def tidy(place: Place) -> None:
    """Remove what is left of a queue that nobody keeps, if nothing is in it."""
    with Holding(_taking):
        if place.sock in _keepers:
            return
        try:
            fd = place.lock()
            if fd is None:
                return
            try:
                if _empty(place):
                    place.remove()
            finally:
                os.close(fd)
        except OSError:
            pass


def _empty(place: Place) -> bool:
    if not os.path.exists(place.log):
        return True
    journal = Journal(place.log)
    try:
        ledger = journal.load(monotonic())
        return ledger is None or Keeper(ledger, None).spent
    finally:
        journal.close()


def give_back(keeper: LocalKeeper) -> None:
    with Holding(_taking):
        keeper.shut()


def _afterfork() -> None:
    """In the child: the parent is the keeper, and its lock is not to outlive it by us."""
    for keeper in _keepers.values():
        os.close(keeper._fd)
        os.close(keeper._listener.socket.detach())
        for peer in keeper.peers:
            if isinstance(peer, _Socket):
                peer.forked()
    _keepers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)


class _Socket(Peer):
    """A peer in another process. What it is told lies here, guarded by the keeper's lock."""

    __slots__ = ("_acked", "_conn", "_items", "_keeper", "_out", "_unknown", "outgoing")

    def __init__(self, keeper: LocalKeeper, conn: net.SocketConn) -> None:
        super().__init__()
        self._keeper = keeper
        self._conn = conn
        self._clear()
        self.outgoing = Outgoing(conn, self._taken)

    def _clear(self) -> None:
        self._out: list[bytes] = []
        self._items: list[tuple[int, int, bytes]] = []  # after all that stands in `_out`
        self._acked: list[int] = []
        self._unknown: list[int] = []

    def acked(self, seqs: list[int], unknown: list[int]) -> None:
        self._acked += seqs
        self._unknown += unknown

    def item(self, job: Job) -> None:
        self._items.append((job.seq, job.tries, job.payload))

    def reply(self, req: int, code: int, body: bytes = b"") -> None:
        self._say(wire.reply(req, code, body))

    def end(self) -> None:
        self._say(wire.frame(wire.END))

    def _say(self, frame: bytes) -> None:
        if self._items:
            self._out.append(wire.items(self._items))
            self._items = []
        self._out.append(frame)

    def _taken(self) -> bytes:
        """All that it is told, for its Outgoing."""
        with Holding(self._keeper._lock):
            out, items, acked, unknown = self._out, self._items, self._acked, self._unknown
            if not (out or items or acked or unknown):
                return b""
            self._clear()
        if acked or unknown:
            out.append(wire.acked(acked, unknown))
        if items:
            out.append(wire.items(items))
        return b"".join(out)

    def flush(self) -> None:
        self.outgoing.flush()

    def hangup(self, why: OSError | None) -> None:
        if why is not None:
            self._clear()  # it is not in the journal
        self.outgoing.end()

    def forked(self) -> None:
        """In the child of a fork: the connection is the parent's."""
        os.close(self._conn.socket.detach())

    async def run(self) -> None:
        """Reads what the peer says, until it has gone."""
        conn, keeper = self._conn, self._keeper
        try:
            frames = await self._greeted()
            go(self.outgoing.run)
            while data := await conn.read():
                keeper.do(self, frames.feed(data))
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            pass  # it has gone, or is none of ours
        finally:
            keeper.detach(self)
            self.outgoing.end()
            conn.close()

    async def _greeted(self) -> wire.Frames:
        """HELLO, and WELCOME. Until that has come nobody says more."""
        frames = wire.Frames()
        said: list[tuple[int, bytes]] = []
        while not said:
            data = await self._conn.read()
            if not data:
                raise EOFError
            said = list(frames.feed(data))
        op, body = said[0]
        hello = json.loads(body)
        if op != wire.HELLO or hello["version"] != VERSION:
            raise ValueError("another version")
        keeper = self._keeper
        try:
            answer = asdict(keeper.attach(self, keeper.place.name, hello["asked"], hello["reopen"]))
        except Mismatch as exc:
            answer = {"mismatch": str(exc)}
        await self._conn.write(wire.frame(wire.WELCOME, json.dumps(answer).encode()))
        if "mismatch" in answer:
            raise EOFError
        return frames
