"""Keeper: one process keeps a `local:` queue, and the others talk to it.

It has the ledger, the journal, and a peer for each who has opened the queue. Everything that
peers say is done under one lock, a chunk at a time:

    1. what they say changes the ledger, which writes to the journal's buffer
    2. senders that wait are let in, values that wait are given to peers that have asked for some
    3. the journal is written
    4. after the lock: peers are told
So nobody hears of what is not in the file. A value from this process (`put`) is written at once,
and given out by a goroutine, with those that have come by its turn.

A peer asks for so many values (`credit`); those that have some left stand in `_hungry`, and each
has its turn. When a peer has gone, what it had is for others at once, and its lease is over.

Locks: `_lock`, below those of channels; under it no peer is told. Source: none.
Tests: tests/workqueue/test_keeper.py
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final

from gopark._runtime.base.lockrank import Holding, Mutex, lockslow
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.time.timechan import after
from gopark._runtime.time.timesleep import gosched
from gopark.workqueue import _wire as wire
from gopark.workqueue._journal import Journal
from gopark.workqueue._ledger import CLOSED, FULL, INF, STORED, Job, Ledger
from gopark.workqueue._settings import Settings, Wanted

__all__ = ("BAD", "NO", "YES", "Keeper", "Peer")

# Codes of replies beside those of `Ledger.put`.
YES: Final = 0
NO: Final = 16  # what it was about has gone, or is another's
BAD: Final = 17  # a request that cannot be

_PAGE: Final = 16 << 20  # bytes of dead letters in one reply


class Peer(ABC):
    """One who has opened the queue. What it is told is put down, and goes out with `flush`."""

    __slots__ = ("credit", "dirty", "ended", "silent")

    def __init__(self) -> None:
        self.credit = 0  # so many values it wants yet
        self.dirty = False  # it is to be flushed
        self.ended = False  # it was told that all is done
        self.silent = False  # it has lost a lease, and has said nothing since: it gets no more

    @abstractmethod
    def reply(self, req: int, code: int, body: bytes = b"") -> None: ...

    @abstractmethod
    def acked(self, seqs: list[int], unknown: list[int]) -> None: ...

    @abstractmethod
    def item(self, job: Job) -> None: ...

    @abstractmethod
    def end(self) -> None: ...

    @abstractmethod
    def flush(self) -> None:
        """Have it go out. Called without the lock."""

    @abstractmethod
    def hangup(self, why: OSError | None) -> None:
        """There is no keeper here any more; why, if that is nobody's wish."""


class Keeper:
    """Keeps one queue."""

    def __init__(
        self, ledger: Ledger, journal: Journal | None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.ledger = ledger
        self.peers: set[Peer] = set()
        self.stopped = False
        self._journal = journal
        self._clock = clock
        self._lock: Mutex = Mutex((None,))
        self._hungry: deque[Peer] = deque()
        self._senders: deque[tuple[Peer, int, bytes, str]] = deque()
        self._dirty: list[Peer] = []
        self._wakeat = INF
        self._nudge: Chan[None] = Chan(1)
        self._fresh: Chan[None] = Chan(1)
        self._unfed = False  # something is put, and `feed` knows of it

    @property
    def settings(self) -> Settings:
        return self.ledger.settings

    # --- peers come and go ------------------------------------------------------------------------

    def attach(self, peer: Peer, name: str, asked: Wanted, reopen: bool) -> Settings:
        """Somebody opens the queue.

        Raises:
            Mismatch: with other settings.
            ConnectionError: it is not kept here any more.
        """
        with Holding(self._lock):
            if self.stopped:
                raise ConnectionAbortedError("the keeper of the queue has left")
            settings = self.settings.merged(name, asked)
            self.peers.add(peer)
            if reopen and self.ledger.closed:
                self.ledger.close(False)
                for one in self.peers:
                    one.ended = False
            self._settle(self._clock())
        self._flush()
        return settings

    def detach(self, peer: Peer) -> None:
        """Somebody has gone: what was leased to it is for others."""
        with Holding(self._lock):
            if peer not in self.peers:
                return
            self.peers.discard(peer)
            peer.credit = 0
            if peer in self._hungry:
                self._hungry.remove(peer)
            self._senders = deque(one for one in self._senders if one[0] is not peer)
            now = self._clock()
            if not self.stopped and self.ledger.drop(peer, now):
                self._settle(now)
        self._flush()

    def stop(self) -> None:
        """Keep it no more. Peers are cut off, and find another keeper, or become one."""
        with Holding(self._lock):
            if self.stopped:
                return
            self.stopped = True
            peers = list(self.peers)
            self.peers.clear()
            self._hungry.clear()
            self._senders.clear()
        self._nudge.try_send(None)
        self._fresh.try_send(None)
        for peer in peers:
            peer.hangup(None)

    @property
    def spent(self) -> bool:
        """Nothing in it has to outlive its keeper."""
        ledger = self.ledger
        ledger.forget(self._clock())
        return not (ledger.undone or ledger.dead or ledger.ids)

    # --- what they say ----------------------------------------------------------------------------

    def do(self, peer: Peer, said: Iterable[tuple[int, bytes]]) -> None:
        """Do what a peer says: operations and what belongs to them.

        Raises:
            ValueError: it is none that a peer may say.
        """
        with Holding(self._lock):
            if self.stopped:
                return
            now = self._clock()
            self._heard(peer)
            try:
                for op, body in said:
                    does = _DOES.get(op)
                    if does is None:
                        raise ValueError(f"there is no operation {op}: another version of gopark?")
                    does(self, peer, body, now)
            finally:
                self._settle(now)
        self._flush()

    def _heard(self, peer: Peer) -> None:
        if peer.silent:
            peer.silent = False
            if peer.credit:
                self._hungry.append(peer)

    def _reply(self, peer: Peer, req: int, code: int, body: bytes = b"") -> None:
        peer.reply(req, code, body)
        if not peer.dirty:
            peer.dirty = True
            self._dirty.append(peer)

    def put(self, peer: Peer, req: int, payload: bytes, id: str) -> int:
        """A value from this process. If it is FULL there comes a reply, else there comes none.

        Args:
            req: Of the reply; 0: if it is FULL, let it be.
        """
        lock = self._lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        try:
            if self.stopped:
                return FULL
            code = FULL if self._senders else self.ledger.put(payload, id, self._clock())
            if code == FULL and req:
                self._senders.append((peer, req, payload, id))
            elif code == STORED and not self._written():
                return FULL
            if self._unfed or code != STORED or not self._hungry:
                return code
            self._unfed = True
        finally:
            lock.append(None)
        self._fresh.try_send(None)
        return code

    async def feed(self) -> None:
        """The goroutine that gives out what was put."""
        while not self.stopped:
            await self._fresh.recv()
            await gosched()
            with Holding(self._lock):
                if self.stopped:
                    return
                self._settle(self._clock())
            self._flush()

    def ack(self, peer: Peer, seq: int) -> int:
        """A peer in this process: it is done. YES, NO, or BAD if none is heard here any more."""
        with Holding(self._lock):
            if self.stopped:
                return BAD
            self._heard(peer)
            code = YES if self.ledger.ack(seq) else NO
            self._settle(self._clock())
            if self.stopped:
                code = BAD
        self._flush()
        return code

    def _send(self, peer: Peer, body: bytes, now: float) -> None:
        req, payload, id = wire.split_send(body)
        code = FULL
        if not self._senders or self.ledger.closed:
            code = self.ledger.put(payload, id, now)
        if code == FULL:
            self._senders.append((peer, req, payload, id))
        else:
            self._reply(peer, req, code)

    def _cancel(self, peer: Peer, body: bytes, now: float) -> None:
        req = wire.split_number(body)
        for one in self._senders:
            if one[0] is peer and one[1] == req:
                self._senders.remove(one)
                return

    def _pull(self, peer: Peer, body: bytes, now: float) -> None:
        n = wire.split_number(body)
        if not n:
            if peer.credit:  # and it is not silent, for it speaks
                self._hungry.remove(peer)
            peer.credit = 0
            return
        if not peer.credit:
            self._hungry.append(peer)
        peer.credit += n

    def _acks(self, peer: Peer, body: bytes, now: float) -> None:
        ack = self.ledger.ack
        known: list[int] = []
        unknown: list[int] = []
        for seq in wire.split_acks(body):
            (known if ack(seq) else unknown).append(seq)
        peer.acked(known, unknown)
        if not peer.dirty:
            peer.dirty = True
            self._dirty.append(peer)

    def _again(self, peer: Peer, body: bytes, now: float) -> None:
        req, seq, tries, delay, untried = wire.split_again(body)
        done = self.ledger.again(seq, tries, delay, untried, now)
        self._reply(peer, req, YES if done else NO)

    def _bury(self, peer: Peer, body: bytes, now: float) -> None:
        req, seq, tries, why = wire.split_bury(body)
        self._reply(peer, req, YES if self.ledger.bury(seq, tries, why) else NO)

    def _touch(self, peer: Peer, body: bytes, now: float) -> None:
        for seq, tries in wire.split_touch(body):
            self.ledger.touch(seq, tries, peer, now)

    def _close(self, peer: Peer, body: bytes, now: float) -> None:
        req, _ = wire.split_asking(body)
        self.ledger.close()
        while self._senders:
            other, number, _, _ = self._senders.popleft()
            self._reply(other, number, CLOSED)
        self._reply(peer, req, YES)

    def _ask(self, peer: Peer, body: bytes, now: float) -> None:
        """What those want who look after the queue."""
        req, text = wire.split_asking(body)
        asked = json.loads(text)
        ledger = self.ledger
        what = asked["what"]
        if what == "stats":
            self._reply(peer, req, YES, json.dumps(self._stats()).encode())
        elif what == "letters":
            jobs = ledger.letters(asked["after"], asked["most"])
            found = ((job.seq, job.tries, job.why, job.payload) for job in jobs)
            self._reply(peer, req, YES, wire.write_letters(found, _PAGE))
        elif what == "requeue":
            self._reply(peer, req, YES if ledger.requeue(asked["seq"]) else NO)
        elif what == "discard":
            self._reply(peer, req, YES if ledger.discard(asked["seq"]) else NO)
        elif what == "purge":
            self._reply(peer, req, YES, b"%d" % ledger.purge(asked["dead"]))
        else:
            self._reply(peer, req, BAD)

    def _stats(self) -> dict[str, Any]:
        ledger = self.ledger
        return {
            **asdict(ledger.settings),
            "waiting": len(ledger.waiting) + len(ledger.delayed),
            "leased": len(ledger.leased),
            "dead": len(ledger.dead),
            "closed": ledger.closed,
            "peers": len(self.peers),
            "blocked": len(self._senders),
        }

    # --- what follows from it ---------------------------------------------------------------------

    def _settle(self, now: float) -> None:
        """After each change, with the lock held."""
        ledger = self.ledger
        self._unfed = False
        if self._senders:
            self._admit(now)
        if self._hungry and ledger.waiting:
            self._feed(now)
        if ledger.closed and ledger.done:
            self._end()
        if not self._written():
            return
        if self._journal is not None:
            try:
                self._journal.compact(ledger, now)
            except OSError as exc:
                self._broken(exc)
                return
        if ledger.due() < self._wakeat:
            self._nudge.try_send(None)

    def _written(self) -> bool:
        """What the ledger was told is in the journal; False: that is broken."""
        if self._journal is not None:
            try:
                self._journal.flush()
            except OSError as exc:
                self._broken(exc)
                return False
        return True

    def _admit(self, now: float) -> None:
        while self._senders and (self.ledger.closed or not self.ledger.full):
            peer, req, payload, id = self._senders.popleft()
            self._reply(peer, req, self.ledger.put(payload, id, now))

    def _feed(self, now: float) -> None:
        hungry, ledger = self._hungry, self.ledger
        while hungry and (job := ledger.take(hungry[0], now)) is not None:
            peer = hungry.popleft()
            peer.credit -= 1
            if peer.credit:
                hungry.append(peer)
            peer.item(job)
            if not peer.dirty:
                peer.dirty = True
                self._dirty.append(peer)

    def _end(self) -> None:
        for peer in self.peers:
            if not peer.ended:
                peer.ended = True
                peer.end()
                if not peer.dirty:
                    peer.dirty = True
                    self._dirty.append(peer)

    def _flush(self) -> None:
        """Tell those who are to be told. Without the lock."""
        while self._dirty:
            try:
                peer = self._dirty.pop()
            except IndexError:
                return
            peer.dirty = False
            peer.flush()

    def _broken(self, why: OSError) -> None:
        """The journal cannot be written: what is not in it is not so, and nobody hears of it."""
        self.stopped = True
        self._dirty.clear()
        for peer in self.peers:
            peer.hangup(why)

    async def tick(self) -> None:
        """The goroutine that takes back what was leased for too long."""
        while not self.stopped:
            due = self.look()
            if due == INF:
                await self._nudge.recv()
            else:
                await select(recv(self._nudge), recv(after(max(0.0, due - self._clock()))))

    def look(self) -> float:
        """Take back what was leased until now. When that is to be done again, at the latest."""
        with Holding(self._lock):
            if self.stopped:
                return INF
            now = self._clock()
            losers: list[Peer | None] = []
            if self.ledger.expire(now, losers):
                self._silence(losers)
                self._settle(now)
            due = self._wakeat = self.ledger.due()
        self._flush()
        return due

    def _silence(self, losers: list[Peer | None]) -> None:
        """They may be stopped, and what they were given next would wait for another lease."""
        for peer in losers:
            if peer is not None and not peer.silent and peer in self.peers:
                peer.silent = True
                if peer.credit:
                    self._hungry.remove(peer)


_DOES: Final[dict[int, Callable[[Keeper, Peer, bytes, float], None]]] = {
    wire.SEND: Keeper._send,
    wire.CANCEL: Keeper._cancel,
    wire.PULL: Keeper._pull,
    wire.ACKS: Keeper._acks,
    wire.AGAIN: Keeper._again,
    wire.BURY: Keeper._bury,
    wire.TOUCH: Keeper._touch,
    wire.CLOSE: Keeper._close,
    wire.ASK: Keeper._ask,
}
