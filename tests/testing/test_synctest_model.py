"""Random programs in bubbles, several at a time: each event at the moment that a sum says."""

from __future__ import annotations

import itertools
import random
import time

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.sync import Cond, Mutex, WaitGroup
from gopark.testing import synctest
from gopark.time import Timer, after, after_func, monotonic, sleep

SECONDS = 0.5  # for each number of Ps
AT_ONCE = 3


async def by_after(duration):
    await after(duration).recv()


async def by_after_func(duration):
    passed = Chan()
    after_func(duration, passed.close)
    await select(recv(passed), recv(Chan()))


async def by_timer(duration):
    timer, never = Timer(duration), Chan(1)
    await select(recv(never), recv(timer.c))


async def by_plain(duration):
    passed = Chan()

    def plain():
        gopark.block(sleep(duration))
        passed.close()

    gopark.go(plain)
    await passed.recv()


WAYS = [sleep, by_after, by_after_func, by_timer, by_plain]


class Program:
    """Goroutines that wait in many ways, take one lock, and tell another what they did."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.plans = [
            [(rng.choice(WAYS), rng.randrange(1, 32) / 8) for _ in range(rng.randrange(1, 7))]
            for _ in range(rng.randrange(2, 10))
        ]
        self.events = [[] for _ in self.plans]
        self.capacity = rng.randrange(3)

    def expected(self):
        return [[*itertools.accumulate(wait for _, wait in plan)] for plan in self.plans]

    async def goroutine(self, i, lock, told):
        for way, duration in self.plans[i]:
            await way(duration)
            async with lock:
                self.events[i].append(monotonic())
            await told.send(i)

    async def main(self):
        lock, cond, told = Mutex(), Cond(Mutex()), Chan(self.capacity)

        async def hears():
            async for _ in told:
                async with cond.locker:
                    cond.broadcast()

        async def waits():
            async with cond.locker:
                await cond.wait()

        async with WaitGroup() as others:
            others.go(hears)
            others.go(waits)
            async with WaitGroup() as wg:
                for i in range(len(self.plans)):
                    wg.go(self.goroutine, i, lock, told)
            await synctest.wait()
            told.close()
        return monotonic()


def test_random_programs(procs, run):
    seed = random.randrange(1 << 30)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        programs = [Program(seed + n) for n in range(AT_ONCE)]

        async def main(programs=programs):
            async with WaitGroup() as wg:
                for program in programs:
                    wg.go(synctest.test, program.main)

        try:
            run(main)
        except BaseException:
            pytest.fail(f"seed {seed} on {procs} Ps")
        for n, program in enumerate(programs):
            assert program.events == program.expected(), f"seed {seed + n} on {procs} Ps"
        seed += AT_ONCE
