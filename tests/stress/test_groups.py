"""Trees of errgroups that share a semaphore and single flights, with errors anywhere in them.

What no tree may break: a function of a group runs once, to its end, before the block of its group
ends; a block without an error has all results, one with errors raises these and no others; the
units of the semaphore are all there at the end, and never are too many held.
"""

from __future__ import annotations

import os
import random
import time
from random import Random

import pytest

import gopark
from gopark import context
from gopark.sync import Mutex, errgroup, semaphore, singleflight

SECONDS = float(os.environ.get("GOPARK_STRESS_SECONDS", "2")) / 6
SEED = os.environ.get("GOPARK_STRESS_SEED")
UNITS = 4


class Boom(Exception):
    pass


class Forest:
    """One random tree, and what it has in common."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.sem = semaphore.Weighted(UNITS)
        self.flights = singleflight.Group()
        self.mu = Mutex()
        self.held = self.begun = self.ended = 0
        self.failing = rng.choice((0.0, 0.0, 0.02, 0.2))

    async def count(self, *, held: int = 0, begun: int = 0, ended: int = 0) -> None:
        async with self.mu:
            self.held += held
            self.begun += begun
            self.ended += ended
            assert 0 <= self.held <= UNITS

    async def node(self, depth: int) -> int:
        """Returns how many leaves are below."""
        await self.count(begun=1)
        try:
            if self.rng.random() < self.failing:
                raise Boom
            if depth and self.rng.random() < 0.7:
                return await self.inner(depth - 1)
            await self.leaf()
            return 1
        finally:
            await self.count(ended=1)

    def plain(self, depth: int) -> int:
        return gopark.block(self.node(depth))

    async def leaf(self) -> None:
        what = self.rng.randrange(4)
        if what == 0:
            n = self.rng.randrange(1, UNITS + 1)
            async with self.sem.held(n, context.current()):
                await self.count(held=n)
                await gopark.gosched()
                await self.count(held=-n)
        elif what == 1:
            key = self.rng.randrange(3)
            assert (await self.flights.do(key, self.load, key))[0] == key
        elif what == 2:
            await gopark.gosched()

    async def load(self, key: int) -> int:
        for _ in range(key):
            await gopark.gosched()
        return key

    async def inner(self, depth: int) -> int:
        g = errgroup.Group(limit=self.rng.choice((None, None, 1, 2, 3)))
        tasks: list[errgroup.Task[int]] = []
        try:
            async with g:
                for _ in range(self.rng.randrange(6)):
                    fn = self.plain if self.rng.random() < 0.1 else self.node
                    tasks.append(g.go(fn, depth))
                    if self.rng.random() < 0.2:
                        await tasks[-1].started()
                    if self.rng.random() < self.failing / 5:
                        raise Boom
        except* (Boom, context.Canceled):
            assert g.ctx.err() is not None
            raise
        finally:
            assert not [task for task in tasks if "running" in repr(task) or "queued" in repr(task)]
        return sum(task.result() for task in tasks)


async def tree(rng: Random) -> None:
    forest = Forest(rng)
    before = gopark.runtime.num_goroutine()
    parent, cancel = context.with_cancel(context.background())
    with context.use(parent):
        try:
            async with errgroup.Group() as g:
                top = g.go(forest.node, 4)
                if rng.random() < 0.3:
                    for _ in range(rng.randrange(20)):
                        await gopark.gosched()
                    cancel()
        except* (Boom, context.Canceled):
            assert forest.failing or parent.err()
        else:
            assert top.result() >= 0
    assert forest.begun == forest.ended
    assert forest.sem.try_acquire(UNITS), forest.sem
    assert forest.held == 0
    while (
        gopark.runtime.num_goroutine() > before
    ):  # a call of a single flight may be on its way out
        await gopark.gosched()


def test_no_tree_of_groups_breaks_a_law(procs, run):
    deadline = time.monotonic() + SECONDS
    ran = 0
    while time.monotonic() < deadline or not ran:
        seed = random.randrange(1 << 32) if SEED is None else int(SEED)
        try:
            run(tree, Random(seed))
        except BaseException as exc:
            exc.add_note(f"reproduce with GOPARK_STRESS_SEED={seed}")
            print(f"GOPARK_STRESS_SEED={seed}")
            raise
        ran += 1


@pytest.mark.parametrize("turns", [0, 1, 5, 30])
def test_a_program_ends_in_the_middle_of_a_tree(run, turns):
    """Main returns, and nothing hangs, is left, or is printed."""

    async def main() -> None:
        forest = Forest(Random(turns))
        forest.failing = 0
        gopark.go(forest.node, 5)
        for _ in range(turns):
            await gopark.gosched()

    for _ in range(3):
        run(main)
