"""Keepers and receivers in virtual time: many workers, hours of leases, in a moment.

The ledger, the keeper and the receivers are those of `local:` queues; only the socket between them
is not there. Laws that hold at each look: nothing is without an owner for longer than a lease, what
is done or dead does not come back, and a queue never holds more than its cap.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

import gopark
from gopark._runtime.base.lockrank import Holding
from gopark.testing import synctest
from gopark.workqueue import _wire as wire
from gopark.workqueue._keeper import Keeper, Peer
from gopark.workqueue._ledger import FULL, STORED, Job, Ledger
from gopark.workqueue._settings import Settings
from queuesim import simulate

WORKERS = int(os.environ.get("GOPARK_STRESS_WORKERS", "200"))
JOBS = int(os.environ.get("GOPARK_STRESS_JOBS", "2000"))


class Link(Peer):
    """A peer that is told by a channel."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.items: gopark.Chan[tuple[int, int, bytes]] = gopark.Chan(10_000)
        self.replies: gopark.Chan[tuple[int, int]] = gopark.Chan(10_000)
        self.acks: gopark.Chan[tuple[int, bool]] = gopark.Chan(10_000)
        self.out: list[Any] = []
        keeper.attach(self, "q", {}, False)

    def reply(self, req: int, code: int, body: bytes = b"") -> None:
        self.out.append(partial(self.replies.try_send, (req, code)))

    def acked(self, seqs: list[int], unknown: list[int]) -> None:
        for known in (True, False):
            for seq in seqs if known else unknown:
                self.out.append(partial(self.acks.try_send, (seq, known)))

    def item(self, job: Job) -> None:
        self.out.append(partial(self.items.try_send, (job.seq, job.tries, job.payload)))

    def end(self) -> None:
        self.out.append(self.items.close)

    def flush(self) -> None:
        with Holding(self.keeper._lock):
            out, self.out = self.out, []
        for tell in out:
            tell()

    def hangup(self, why: OSError | None) -> None:
        pass

    def say(self, frame: bytes) -> None:
        self.keeper.do(self, [(frame[4], frame[5:])])


class Model:
    """What is known of each job, beside the ledger."""

    def __init__(self, keeper: Keeper, rng: random.Random) -> None:
        self.keeper = keeper
        self.rng = rng
        self.sent = 0
        self.done: Counter[int] = Counter()
        self.dead: set[int] = set()
        self.most = 0

    def look(self) -> None:
        ledger = self.keeper.ledger
        with Holding(self.keeper._lock):
            now = gopark.time.monotonic()
            for job in ledger.leased.values():
                assert now - ledger.settings.lease <= job.until <= now + ledger.settings.lease
            self.most = max(self.most, ledger.undone)
        assert self.most <= ledger.settings.cap

    async def worker(self) -> None:
        """Lives for a while, and is followed by another: some die, stop, hang, or fail."""
        rng = self.rng
        while not self.keeper.ledger.done:
            link = Link(self.keeper)
            link.say(wire.pull(1))
            if await self.life(link, rng):
                return
            self.keeper.detach(link)
            await gopark.time.sleep(rng.random() * 5)

    async def life(self, link: Link, rng: random.Random) -> bool:
        while True:
            got, ok = await link.items.recv_ok()
            if not ok or got is None:
                return True
            seq, tries, payload = got
            n = int(payload)
            assert n not in self.dead, "what is dead comes back to nobody"
            fate = rng.random()
            if fate < 0.02:
                return False  # it dies, and the keeper sees that
            if fate < 0.04:
                await gopark.time.sleep(100)  # it stops for longer than its lease
            else:
                await gopark.time.sleep(rng.random() * 20)
            if fate > 0.98:
                self.dead.add(n)
                link.say(wire.bury(1, seq, tries, "no good"))
                if (await link.replies.recv()) != (1, 0):
                    self.dead.discard(n)  # the lease was lost: it is another's
            elif fate > 0.94:
                link.say(wire.again(1, seq, tries, rng.random() * 30, False))
                await link.replies.recv()
            else:
                self.done[n] += 1
                link.say(wire.acks([seq]))
                assert ((await link.acks.recv()) or (0, 0))[0] == seq
            link.say(wire.pull(1))
            self.look()

    async def sender(self, jobs: int) -> None:
        link = Link(self.keeper)
        for n in range(jobs):
            code = self.keeper.put(link, n, b"%d" % n, "")
            if code == FULL:
                req, code = await link.replies.recv() or (0, 0)
                assert req == n
            assert code == STORED
            self.sent += 1
        link.say(wire.asking(wire.CLOSE, 1))
        self.keeper.detach(link)


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_die_stop_and_fail_lose_nothing(seed):
    def bubble() -> None:
        rng = random.Random(seed)
        settings = Settings(cap=500, lease=30.0, tries=10_000)
        keeper = Keeper(Ledger(settings), None)
        model = Model(keeper, rng)

        async def main() -> None:
            gopark.go(keeper.tick)
            gopark.go(keeper.feed)
            workers = [gopark.spawn(model.worker) for _ in range(WORKERS)]
            await model.sender(JOBS)
            await gopark.gather(*workers)
            keeper.stop()

        gopark.block(main())
        assert model.sent == JOBS
        assert set(model.done) | model.dead == set(range(JOBS)), "lost"
        assert {int(job.payload) for job in keeper.ledger.dead.values()} == model.dead
        assert model.most == min(500, JOBS), "the sender ran up to the limit, and waited there"

    synctest.test(bubble)


@pytest.mark.parametrize("seed", range(3))
def test_the_laws_hold_in_a_small_simulation(seed):
    """`python tests/queuesim.py` is the large one."""
    world = simulate(jobs=5000, workers=100, seed=seed, cap=300)
    assert world.sent == 5000
    assert world.counts["deaths"] > 0
    assert world.counts["late"] > 0, "a lease was lost"
    assert world.most == 300, "the sender ran up to the limit"
