"""A thousand workers and ten million jobs in virtual time: python tests/queuesim.py

The keeper and the ledger are those of `local:` queues; clock, workers and sender are here, as
events on a heap. Workers die and come again, stop for longer than a lease, give back, drop, and do
what was taken from them meanwhile. The laws, broken by an AssertionError with the seed:

    owner   at each moment a job that is leased has an owner, whose lease ends within one lease and
            is not over; nothing waits while a worker wants it
    end     what is done, or dead, comes to nobody again
    bound   the queue never holds more than its cap, nor the sender more than one value
    lost    in the end each job that was sent is done or dead

With --seconds it stops sending in time, and the laws hold for what was sent.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

from gopark.workqueue import _wire as wire
from gopark.workqueue._keeper import NO, Keeper, Peer
from gopark.workqueue._ledger import FULL, STORED, Job, Ledger
from gopark.workqueue._settings import Settings

LEASE = 30.0
SENT, DONE, DEAD = 1, 2, 3


class Worker(Peer):
    """One job at a time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.told: list[Job] = []
        self.code = -1
        world.keeper.attach(self, "q", {}, False)
        self.pull()

    def pull(self) -> None:
        self.say(wire.pull(1))

    def say(self, frame: bytes) -> None:
        self.world.keeper.do(self, ((frame[4], frame[5:]),))

    def reply(self, req: int, code: int, body: bytes = b"") -> None:
        self.code = code

    def acked(self, seqs: list[int], unknown: list[int]) -> None:
        self.code = NO if unknown else 0

    def item(self, job: Job) -> None:
        self.told.append(job)

    def end(self) -> None:
        pass

    def hangup(self, why: OSError | None) -> None:
        pass

    def flush(self) -> None:
        told, self.told = self.told, []
        for job in told:
            self.world.began(self, job.seq, job.tries)


class World:
    """All of it."""

    def __init__(self, jobs: int, workers: int, cap: int, seed: int, until: float) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.jobs = jobs
        self.until = until  # by the clock on the wall
        self.keeper = Keeper(Ledger(Settings(cap, LEASE, 10_000)), None, lambda: self.now)
        self.state = bytearray(jobs + 1)
        self.counts: Counter[str] = Counter()
        self.most = 0
        self.sent = 0
        self.number = 0
        self.events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        for _ in range(workers):
            self.later(self.rng.random(), Worker, self)

    def later(self, seconds: float, do: Callable[..., object], *args: object) -> None:
        self.number += 1
        heapq.heappush(self.events, (self.now + seconds, self.number, do, args))  # type: ignore[misc, arg-type]

    # --- a job, in the hands of a worker ----------------------------------------------------------

    def began(self, worker: Worker, seq: int, tries: int) -> None:
        assert self.state[seq] == SENT, f"job {seq} has come to somebody and is over"
        fate = self.rng.random()
        if fate < 0.002:
            self.later(fate * 1000, self.dies, worker)
            return
        slow = 4 * LEASE if fate < 0.004 else 10.0
        self.later(slow * (0.5 + self.rng.random()), self.ends, worker, seq, tries, fate)

    def dies(self, worker: Worker) -> None:
        self.counts["deaths"] += 1
        self.keeper.detach(worker)
        self.later(5 * self.rng.random(), Worker, self)

    def ends(self, worker: Worker, seq: int, tries: int, fate: float) -> None:
        if fate > 0.998:
            worker.say(wire.bury(1, seq, tries, "no good"))
            if worker.code != NO:
                self.state[seq] = DEAD
        elif fate > 0.99:
            self.counts["given back"] += 1
            worker.say(wire.again(1, seq, tries, 30 * self.rng.random(), False))
        else:
            self.counts["done"] += 1
            if self.state[seq] == SENT:
                self.state[seq] = DONE
                worker.say(wire.acks((seq,)))
                assert worker.code != NO, f"job {seq} was not done, and is not known"
            else:  # its lease was lost, and another has done it meanwhile
                self.counts["late"] += 1
                worker.say(wire.acks((seq,)))
                assert worker.code == NO, f"job {seq} was over, and is done again"
        worker.pull()

    # --- the sender, and time ---------------------------------------------------------------------

    def send(self, sender: Peer) -> None:
        """As many as there is room for."""
        put, state = self.keeper.put, self.state
        while self.sent < self.jobs:
            if not self.sent % 1000 and time.monotonic() > self.until:
                self.jobs = self.sent
            state[self.sent + 1] = SENT  # given out as it is stored, or later
            code = put(sender, 0, b"x", "")
            if code == FULL:
                state[self.sent + 1] = 0
                return
            assert code == STORED
            self.sent += 1

    def run(self) -> None:
        keeper, ledger = self.keeper, self.keeper.ledger
        sender = Worker.__new__(Worker)
        Peer.__init__(sender)
        due, looked = 0.0, 0
        self.send(sender)
        while self.sent < self.jobs or ledger.undone:
            if not self.events or due < self.events[0][0]:
                self.now = due
            else:
                self.now, _, do, args = heapq.heappop(self.events)
                do(*args)
            if ledger.due() <= self.now or keeper._unfed:
                if keeper._unfed:
                    keeper.do(sender, ())  # the turn of the goroutine that gives out
                keeper.look()
            self.send(sender)
            due = ledger.due()
            looked += 1
            self.check(looked % 10_000 == 0)
        assert self.state.count(SENT) == 0, "lost"

    def check(self, whole: bool) -> None:
        ledger = self.keeper.ledger
        undone = ledger.undone
        self.most = max(self.most, undone)
        assert undone <= ledger.settings.cap
        assert not (ledger.waiting and self.keeper._hungry) or self.keeper._unfed
        if whole:
            for job in ledger.leased.values():
                assert self.now < job.until <= self.now + LEASE
                assert self.state[job.seq] == SENT


def simulate(jobs: int, workers: int, seed: int, seconds: float = 1e9, cap: int = 5000) -> World:
    world = World(jobs, workers, cap, seed, time.monotonic() + seconds)
    world.run()
    return world


def main() -> None:
    """Run it, and say what has come of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    world = simulate(options.jobs, options.workers, options.seed, options.seconds)
    counts = ", ".join(f"{n:,} {what}" for what, n in sorted(world.counts.items()))
    print(
        f"{options.workers:,} workers, {world.sent:,} jobs in {world.now / 3600:,.1f} hours of "
        f"virtual time, {time.monotonic() - began:,.0f} s: lost 0, "
        f"{world.state.count(DEAD):,} dead, {counts}; at most {world.most:,} in the queue"
    )


if __name__ == "__main__":
    sys.exit(main())
