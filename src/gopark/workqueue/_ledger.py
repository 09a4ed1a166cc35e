"""Ledger: the lease protocol of a queue, without clock, lock or descriptor.

A job is in one place at a time:

    waiting ──take──> leased ──ack──> gone
       ^                │ └──bury──> dead ──requeue──> waiting
       └──again, expire─┘            └──discard──> gone
    (`again` with a delay: by way of `delayed`)

Invariants, between two calls:
  L1  waiting + leased + delayed == undone, and put() stores nothing while undone >= cap
  L2  a leased job has an owner whose lease ends within `lease` of its last take or touch
  L3  `leased` is in the order in which leases end: each is as long as the others
  L4  a job that is gone comes back to nobody, and a dead one only by requeue
  L5  an id is known for WINDOW seconds after its put, and nothing is stored under it meanwhile

A lease is named by the job and its try: who has lost it cannot give back what is another's now.
Who acknowledges late is heard all the same, for the work is done.

Each call that changes what has to outlive the keeper is written to `log`, if there is one.

Source: none; JetStream's consumers have the same rules. Tests: tests/workqueue/test_ledger.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, Protocol

from gopark.workqueue._settings import WINDOW, Settings

__all__ = ("CLOSED", "DUPLICATE", "FULL", "STORED", "Job", "Ledger", "Log")

STORED: Final = 0
FULL: Final = 1
CLOSED: Final = 2
DUPLICATE: Final = 3

INF: Final = float("inf")


class Job:
    """A value that was sent, and what has become of it so far."""

    __slots__ = ("holder", "id", "payload", "seq", "tries", "until", "why")

    def __init__(self, seq: int, payload: bytes, id: str = "", tries: int = 0) -> None:
        self.seq = seq
        self.payload = payload
        self.id = id
        self.tries = tries  # how often it was taken
        self.until = 0.0  # when the lease, or the delay, is over
        self.holder: Any = None
        self.why = ""  # it is dead


class Log(Protocol):
    """What a keeper writes down."""

    def put(self, job: Job) -> None: ...
    def taken(self, seq: int, tries: int) -> None: ...
    def gone(self, seq: int) -> None: ...
    def dead(self, seq: int, why: str) -> None: ...
    def requeued(self, seq: int) -> None: ...
    def closed(self, closed: bool) -> None: ...


class Ledger:
    """The jobs of one queue."""

    def __init__(self, settings: Settings, log: Log | None = None) -> None:
        self.settings = settings
        self.log = log
        self.closed = False
        self.seq = 0
        self.waiting: deque[Job] = deque()
        self.leased: dict[int, Job] = {}
        self.delayed: dict[int, Job] = {}
        self.dead: dict[int, Job] = {}
        self.ids: dict[str, float] = {}  # in the order of their time
        self._due: list[tuple[float, int]] = []  # a heap of `delayed`; some may be so no more

    # --- looking --------------------------------------------------------------------------------

    @property
    def undone(self) -> int:
        return len(self.waiting) + len(self.leased) + len(self.delayed)

    @property
    def full(self) -> bool:
        return self.undone >= self.settings.cap

    @property
    def done(self) -> bool:
        """It is closed, and nothing is left to do."""
        return self.closed and not self.undone

    def due(self) -> float:
        """When `expire` has something to do next."""
        first = next(iter(self.leased.values())).until if self.leased else INF
        return min(first, self._due[0][0]) if self._due else first

    # --- senders --------------------------------------------------------------------------------

    def put(self, payload: bytes, id: str, now: float) -> int:
        """Store a value: STORED, or why not."""
        if self.closed:
            return CLOSED
        if id and self._known(id, now):
            return DUPLICATE
        if len(self.waiting) + len(self.leased) + len(self.delayed) >= self.settings.cap:
            return FULL
        self.seq += 1
        job = Job(self.seq, payload, id)
        if id:
            self.ids[id] = now
        if self.log is not None:
            self.log.put(job)
        self.waiting.append(job)
        return STORED

    def _known(self, id: str, now: float) -> bool:
        self.forget(now)
        return id in self.ids

    def forget(self, now: float) -> None:
        """Drop the ids whose time is over."""
        ids = self.ids
        while ids:
            first = next(iter(ids))
            if ids[first] > now - WINDOW:
                return
            del ids[first]

    def close(self, closed: bool = True) -> None:
        if self.closed != closed:
            self.closed = closed
            if self.log is not None:
                self.log.closed(closed)

    # --- receivers ------------------------------------------------------------------------------

    def take(self, holder: Any, now: float) -> Job | None:
        """Lease the next job to the holder."""
        if not self.waiting:
            return None
        job = self.waiting.popleft()
        job.tries += 1
        job.holder = holder
        job.until = now + self.settings.lease
        self.leased[job.seq] = job
        if self.log is not None:
            self.log.taken(job.seq, job.tries)
        return job

    def touch(self, seq: int, tries: int, holder: Any, now: float) -> bool:
        """Renew the lease; False if it is lost."""
        job = self.leased.get(seq)
        if job is None or job.tries != tries:
            return False
        job.holder = holder
        self._renew(job, now)
        return True

    def _renew(self, job: Job, now: float) -> None:
        del self.leased[job.seq]  # to stand last: L3
        job.until = now + self.settings.lease
        self.leased[job.seq] = job

    def ack(self, seq: int) -> bool:
        """It is done, whoever has the lease now. False if it was before."""
        job = self._removed(seq)
        if job is None:
            return False
        if self.log is not None:
            self.log.gone(seq)
        return True

    def _removed(self, seq: int) -> Job | None:
        job = self.leased.pop(seq, None) or self.delayed.pop(seq, None)
        if job is None:
            for job in self.waiting:  # its lease was lost, and it is about to be taken again
                if job.seq == seq:
                    self.waiting.remove(job)
                    return job
            return None
        return job

    def again(self, seq: int, tries: int, delay: float, untried: bool, now: float) -> bool:
        """Give it back, to be taken again; False if the lease is another's.

        Args:
            untried: It was not begun: this does not count as a try.
        """
        job = self.leased.get(seq)
        if job is None or job.tries != tries:
            return False
        del self.leased[seq]
        if untried:
            job.tries -= 1
            if self.log is not None:
                self.log.taken(seq, job.tries)
        self._back(job, now, delay)
        return True

    def _back(self, job: Job, now: float, delay: float = 0.0) -> None:
        job.holder = None
        if delay > 0:
            job.until = now + delay
            self.delayed[job.seq] = job
            heappush(self._due, (job.until, job.seq))
        else:
            self.waiting.appendleft(job)  # it has waited longer than the others

    def bury(self, seq: int, tries: int, why: str) -> bool:
        """It is not to be tried any more; False if the lease is another's, or it is gone."""
        job = self.leased.get(seq)
        if job is None or job.tries != tries:
            return False
        del self.leased[seq]
        job.holder = None
        job.why = why
        self.dead[seq] = job
        if self.log is not None:
            self.log.dead(seq, why)
        return True

    def drop(self, holder: Any, now: float) -> int:
        """The holder has gone: what it had is for others. How many jobs that were."""
        held = [job for job in self.leased.values() if job.holder is holder]
        for job in reversed(held):
            del self.leased[job.seq]
            self._back(job, now)
        return len(held)

    def expire(self, now: float, losers: list[Any] | None = None) -> int:
        """Take back what was leased, or delayed, until now. How many jobs that were.

        Args:
            losers: Those who have lost a lease are added to it.
        """
        back = []
        for job in self.leased.values():
            if job.until > now:
                break  # L3
            back.append(job)
        for job in reversed(back):
            if losers is not None:
                losers.append(job.holder)
            del self.leased[job.seq]
            self._back(job, now)
        n = len(back)
        while self._due and self._due[0][0] <= now:
            _, seq = heappop(self._due)
            late = self.delayed.get(seq)
            if late is not None and late.until <= now:
                del self.delayed[seq]
                self._back(late, now)
                n += 1
        return n

    # --- who looks after it -----------------------------------------------------------------------

    def letters(self, after: int, most: int) -> Iterator[Job]:
        """Dead ones in the order of their sending, those after a number."""
        return islice((self.dead[seq] for seq in sorted(self.dead) if seq > after), most)

    def requeue(self, seq: int) -> bool:
        """A dead one is to be tried again, from the first try on."""
        job = self.dead.pop(seq, None)
        if job is None:
            return False
        job.tries, job.why = 0, ""
        self.waiting.append(job)
        if self.log is not None:
            self.log.requeued(seq)
        return True

    def discard(self, seq: int) -> bool:
        """A dead one is to be forgotten."""
        if self.dead.pop(seq, None) is None:
            return False
        if self.log is not None:
            self.log.gone(seq)
        return True

    def purge(self, dead: bool = False) -> int:
        """Forget all that is not done, or all that is dead. How many jobs that were."""
        if dead:
            seqs = list(self.dead)
            self.dead.clear()
        else:
            seqs = [job.seq for job in (*self.waiting, *self.leased.values())] + [*self.delayed]
            self.waiting.clear()
            self.leased.clear()
            self.delayed.clear()
            self._due.clear()
        if self.log is not None:
            for seq in seqs:
                self.log.gone(seq)
        return len(seqs)
