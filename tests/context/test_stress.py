"""Trees of contexts that grow while they are cancelled, by goroutines and by threads at once."""

from __future__ import annotations

import gc
import random
import threading
import weakref

import pytest

import gopark
from gopark import Chan, context, go, gosched
from gopark.context import Canceled, DeadlineExceeded, background, cause
from gopark.testing import wait_all_parked

pytestmark = pytest.mark.usefixtures("procs")

ROUNDS = 5
GROWERS = 6
SIZE = 40


class Tree:
    """What all work on. Appending to the list is all that they agree on."""

    def __init__(self, seed):
        self.rand = random.Random(seed)
        self.root, self.cancel = context.with_cancel(background())
        self.nodes = [(self.root, None, self.cancel)]
        self.stops = []  # (stop, calls) of each after_func

    def grow(self):
        """One context more, below any other."""
        parent, _, _ = self.rand.choice(self.nodes)
        kind = self.rand.randrange(5)
        if kind == 0:
            pair = context.with_timeout(parent, self.rand.random() / 500)
        elif kind == 1:
            pair = context.with_value(parent, "key", len(self.nodes)), None
        elif kind == 2:
            calls = []
            self.stops.append((context.after_func(parent, calls.append, "called"), calls))
            return
        else:
            pair = context.with_cancel(parent)
        pair[0].done()
        self.nodes.append((pair[0], parent, pair[1]))

    def prune(self):
        ctx, _, cancel = self.rand.choice(self.nodes)
        if cancel is not None and ctx is not self.root:
            cancel()
            assert ctx.err() is not None
            assert ctx.done().try_recv()[2]


def check(tree):
    """All have ended, and each with the end of its parent unless it had one of its own."""
    for ctx, parent, _ in tree.nodes:
        assert isinstance(ctx.err(), (Canceled, DeadlineExceeded))
        assert ctx.done().try_recv() == (None, False, True)
        assert cause(ctx) == ctx.err()
        if parent is not None and context.with_cancel(parent)[0].err() != parent.err():
            raise AssertionError(f"{ctx} is not a child of {parent}")


async def hurry(tree):
    """Goroutines of both kinds and a thread of Python's grow and prune it until it has ended."""
    over = Chan(GROWERS + 2)

    async def worker():
        for _ in range(SIZE):
            tree.grow()
            await gosched()
            tree.prune()
        await over.send(None)

    def plain():
        for _ in range(SIZE):
            tree.grow()
            tree.prune()
        gopark.block(over.send(None))

    for _ in range(GROWERS):
        go(worker)
    go(plain)
    thread = threading.Thread(target=plain)
    thread.start()
    for n in range(GROWERS + 2):
        if n == GROWERS // 2:
            tree.cancel()  # in the middle of it: what comes now is born dead
        await over.recv()
    gopark.cgo.call(thread.join)
    await wait_all_parked()


@pytest.mark.outside_help
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_trees_that_grow_while_they_are_cancelled(seed):
    tree = Tree(seed)
    await hurry(tree)
    check(tree)
    assert [calls for stop, calls in tree.stops if stop() or calls != ["called"]] == []
    root, watched = tree.root, [weakref.ref(ctx) for ctx, _, _ in tree.nodes[1:]]
    assert len(watched) > SIZE
    del tree
    gc.collect()
    assert [ref() for ref in watched if ref() is not None] == []
    assert root.err() is not None


@pytest.mark.parametrize("asked", [True, False])
async def test_many_cancel_one_and_one_of_them_wins(asked):
    for _ in range(20):
        ctx, cancel = context.with_cancel_cause(background())
        child = context.with_cancel(ctx)[0]
        if asked:
            ctx.done()
        causes = [ValueError(n) for n in range(8)]
        seen = Chan(8)

        async def canceller(why, cancel=cancel, child=child, ctx=ctx, seen=seen):
            await gosched()
            cancel(why)
            await seen.send((cause(ctx), ctx.err(), ctx.done().try_recv()[2]))

        for why in causes:
            go(canceller, why)
        outcomes = {await seen.recv() for _ in causes}
        assert len(outcomes) == 1
        ((why, err, closed),) = outcomes
        assert why in causes
        assert closed
        assert child.err() == err == ctx.err()
        assert cause(child) is why


async def test_children_are_born_while_the_parent_ends():
    """None of them is forgotten."""
    for _ in range(30):
        parent, cancel = context.with_cancel(background())
        born = Chan(4)

        async def mother(parent=parent, born=born):
            children = []
            for _ in range(5):
                children.append(context.with_cancel(parent)[0])
                children.append(context.with_timeout(parent, 3600)[0])
                await gosched()
            await born.send(children)

        for _ in range(4):
            go(mother)
        await gosched()
        go(cancel)  # plain: on a thread of its own
        children = [child for _ in range(4) for child in await born.recv()]
        await parent.done().recv()
        for child in children:
            await child.done().recv()
            assert child.err() == parent.err()
