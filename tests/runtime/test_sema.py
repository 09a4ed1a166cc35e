"""The queue that everything in gopark.sync waits on: who is on it, and how one leaves it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import gopark
from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.lockrank import Holding
from gopark._runtime.base.runtime2 import GWAITING, PARK, Command, allgs
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import WOKEN, Sema, ongoroutine
from gopark.testing import wait_all_parked


@suspends
def park(sema: Sema, order: list[object], name: str, front: bool) -> Generator[Command, None, None]:
    g = ongoroutine("park", "nothing")
    sema.lock.pop()
    sema.enqueue(g, front)
    sema.park(g, "testing")
    _ = None is (None is (yield PARK))
    order.append((name, g.elem))
    g.elem = None


def wake(sema):
    with Holding(sema.lock):
        g = sema.dequeue(WOKEN)
    if g is not None:
        ready(g)
    return g


async def test_first_come_first_served_unless_put_at_the_front(procs):
    sema, order = Sema(), []
    assert wake(sema) is None
    for name, front in [("a", False), ("b", False), ("c", True)]:
        gopark.go(park, sema, order, name, front)
        await wait_all_parked()
    while wake(sema) is not None:
        await wait_all_parked()
    assert order == [("c", WOKEN), ("a", WOKEN), ("b", WOKEN)]


async def test_who_waits_says_for_what_and_can_be_looked_at():
    sema = Sema()
    gopark.go(park, sema, [], "a", False)
    await wait_all_parked()
    assert "[testing]" in gopark.runtime.stack(all=True)
    (g,) = (g for g in allgs if g.status is GWAITING)
    assert sema.frozen(g, lambda g: [g]) == [g]
    wake(sema)
    assert sema.frozen(g, lambda g: [g]) == []


async def test_one_that_is_taken_off_from_outside_is_nobody_elses():
    sema = Sema()
    gopark.go(park, sema, [], "a", False)
    await wait_all_parked()
    (g,) = (g for g in allgs if g.status is GWAITING)
    assert sema.unwait(g)
    assert not sema.unwait(g)
    assert wake(sema) is None
    ready(g)


def test_semas_may_share_a_lock():
    one = Sema()
    two = Sema(one.lock)
    with Holding(one.lock):
        assert not two.lock


def test_where_no_goroutine_runs_the_error_says_what_to_do():
    with pytest.raises(NotOnGError, match=r"lock has to wait.*use gopark\.block"):
        ongoroutine("lock", "gopark.block(mu.lock())")
