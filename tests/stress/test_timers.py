"""Many goroutines and threads start, stop and await the same timers, and the account is right.

Each start ends in exactly one way: its value is received (its function runs), or one stop or
reset says that it has kept it from that. So

    starts == values received + times that stop or reset returned True

holds for every timer once it is stopped and all have ended, whoever raced with whom.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, sleep

SEED = os.environ.get("GOPARK_STRESS_SEED")


@pytest.fixture(params=[2, 8])
def procs(request):
    before = gopark.runtime.gomaxprocs(request.param)
    yield request.param
    gopark.runtime.gomaxprocs(before)


class Account:
    """One timer, what was done to it, and what came of it. Counted per goroutine, then added."""

    def __init__(self, func):
        self.ran = Chan(100_000)
        self.timer = after_func(0.0003, self.run) if func else Timer(0.0003)
        self.counts = [Counter(starts=1)]

    async def run(self):
        await self.ran.send(None)

    async def controls(self, rng):
        mine = Counter()
        for _ in range(60):
            what = rng.randrange(6)
            if what == 0:
                mine["kept"] += self.timer.stop()
            elif what < 4:
                mine["kept"] += self.timer.reset(rng.choice([-1, 0, 0.0001, 0.0005, 3600]))
                mine["starts"] += 1
            else:
                await sleep(rng.choice([0, 0.0001, 0.0004]))
        self.counts.append(mine)

    async def receives(self, rng, stop):
        mine, c = Counter(), self.timer.c
        index = 0
        while index != 1:
            index, _, _ = await select(recv(c), recv(stop), default=rng.random() < 0.2)
            if index < 0:
                index, _, _ = await select(recv(c), recv(stop), recv(after(0.0002)))
            mine["received"] += index == 0
        self.counts.append(mine)

    def check(self):
        total = sum(self.counts, Counter(kept=self.timer.stop(), received=len(self.ran)))
        assert total["starts"] == total["received"] + total["kept"], total
        assert total["received"]
        assert total["kept"]


def start(kind, fn, *args):
    """Start it as a goroutine of that kind, or on a thread of Python's."""
    if kind == "coroutine":
        gopark.go(fn, *args)
        return None
    if kind == "plain":
        gopark.go(lambda: gopark.block(fn(*args)))
        return None
    thread = threading.Thread(target=lambda: gopark.block(fn(*args)))
    thread.start()
    return thread


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_each_start_of_a_timer_ends_in_one_way():
    seed = random.randrange(2**32) if SEED is None else int(SEED)
    print(f"GOPARK_STRESS_SEED={seed}")
    rng = random.Random(seed)
    for _ in range(10):
        await hustle(rng)


async def hustle(rng):
    accounts = [Account(func=n % 2) for n in range(6)]
    stop, done, threads, controllers = Chan(), Chan(1000), [], 0

    async def controls(account, other):
        await account.controls(other)
        await done.send(None)

    for account in accounts:
        for n in range(4):
            kinds = rng.choices(["coroutine", "plain", "thread"], [2, 1, 1], k=2)
            other = random.Random(rng.getrandbits(64))
            threads.append(start(kinds[0], controls, account, other))
            controllers += 1
            if account.timer.c is not None and n < 3:
                threads.append(start(kinds[1], account.receives, other, stop))
    for _ in range(controllers):
        await done.recv()
    for account in accounts:  # those that are far away are counted as kept
        account.counts.append(Counter(kept=account.timer.stop()))
    stop.close()
    for thread in threads:
        if thread is not None:
            gopark.cgo.call(thread.join)
    await wait_all_parked()
    for account in accounts:
        account.check()


@pytest.mark.usefixtures("procs")
async def test_tickers_shared_by_many_give_each_tick_to_one():
    seed = random.randrange(2**32) if SEED is None else int(SEED)
    print(f"GOPARK_STRESS_SEED={seed}")
    rng = random.Random(seed)
    ticker, stop, got = Ticker(0.0001), Chan(), Chan(20)

    async def takes():
        mine = []
        while (taken := await select(recv(ticker.c), recv(stop), recv(after(0.001))))[0] != 1:
            if taken[0] == 0:
                mine.append(taken[1])
        await got.send(mine)

    for n in range(10):
        start("plain" if n % 3 == 0 else "coroutine", takes)
    for _ in range(100):
        await sleep(rng.random() / 1000)
        what = rng.randrange(4)
        if what == 0:
            ticker.stop()
        elif what == 1:
            ticker.reset(rng.choice([1e-9, 0.0001, 0.0003]))
    ticker.reset(1e-5)
    await sleep(0.002)
    stop.close()
    ticks = [tick for _ in range(10) for tick in await got.recv()]
    assert len(set(ticks)) == len(ticks)
    assert len(ticks) > 10
