"""Run queues: the local ones, the global one, and who takes how much from whom."""

from __future__ import annotations

from collections import Counter

import pytest

from gopark._runtime.base import runtime2
from gopark._runtime.base.errors import Throw
from gopark._runtime.base.runtime2 import G, P, Sched
from gopark._runtime.sched import runq


def fresh_g():
    return G(next(runtime2.goids))


def test_runqput_puts_a_g_next_and_moves_the_one_that_was_to_the_tail():
    """Go: runqput with next=true."""
    sched = Sched(1)
    sched.pidle.clear()
    sched.npidle = 0
    (p,) = sched.allp
    m = runtime2.M(sched)
    m.p = p
    first, second, third = fresh_g(), fresh_g(), fresh_g()
    for g in (first, second, third):
        runq.runqput(m, p, g)
    assert list(p.runnext) == [third]
    assert list(p.runq) == [first, second]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 64])
def test_runqsteal_takes_half_of_a_queue_rounded_up_oldest_first(n):
    """Go: TestRunqSteal, runqgrab takes n - n/2."""
    sched = Sched(2)
    thief, victim = sched.allp
    gs = [fresh_g() for _ in range(n)]
    victim.runq.extend(gs)
    got = runq.runqsteal(thief, victim)
    taken = n - n // 2
    assert got is gs[0]
    assert list(thief.runq) == gs[1:taken]
    assert list(victim.runq) == gs[taken:]


def test_runqsteal_of_an_empty_queue_takes_nothing():
    sched = Sched(2)
    thief, victim = sched.allp
    assert runq.runqsteal(thief, victim) is None
    assert thief.empty()


def test_globrunqget_takes_a_fair_share():
    """Go: globrunqget takes sched.runqsize/gomaxprocs + 1."""
    sched = Sched(4)
    gs = [fresh_g() for _ in range(40)]
    sched.runq.extend(gs)
    p = sched.allp[0]
    assert runq.globrunqget(sched, p) is gs[0]
    assert list(p.runq) == gs[1:11]
    assert list(sched.runq) == gs[11:]
    assert runq.globrunqget(sched, p) is gs[11]  # a queue that has work gets one only
    assert len(p.runq) == 10
    sched.runq.clear()
    assert runq.globrunqget(sched, p) is None


def test_globrunqget_brings_a_short_queue_up_to_its_share():
    """Or one that gives way there again and again has a slice of turns for each G it takes."""
    sched = Sched(1)
    gs = [fresh_g() for _ in range(1000)]
    sched.runq.extend(gs)
    p = sched.allp[0]
    yielding = fresh_g()
    p.runq.append(yielding)
    assert runq.globrunqget(sched, p) is gs[0]
    assert list(p.runq) == [yielding, *gs[1:127]]


def test_runqshare_takes_half_of_a_long_queue_and_leaves_short_ones_alone():
    sched = Sched(3)
    p, short, long = sched.allp
    short.runq.extend(fresh_g() for _ in range(32))
    runq.runqshare(p)
    assert p.empty()
    gs = [fresh_g() for _ in range(101)]
    long.runq.extend(gs)
    runq.runqshare(p)
    assert list(p.runq) == gs[:51]
    assert list(long.runq) == gs[51:]
    assert len(short.runq) == 32


def test_globrunqget_fills_at_most_half_a_local_queue():
    sched = Sched(1)
    sched.runq.extend(fresh_g() for _ in range(1000))
    p = sched.allp[0]
    runq.globrunqget(sched, p)
    assert len(p.runq) < 128


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 8, 12])
def test_stealorder_visits_every_p_once(n):
    """Go: TestStealOrder, randomOrder."""
    sched = Sched(n)
    starts = Counter()
    for _ in range(200):
        order = runq.stealorder(sched)
        assert sorted(p.pid for p in order) == list(range(n))
        starts[order[0].pid] += 1
    if n > 1:
        assert len(starts) > 1


def test_a_p_is_empty_without_runnext_and_queue():
    p = P(0, Sched(1))
    assert p.empty()
    p.runnext.append(fresh_g())
    assert not p.empty()


def test_ready_of_a_g_that_does_not_wait_is_a_fatal_error():
    g = fresh_g()
    with pytest.raises(Throw, match="is idle, not waiting"):
        runq.ready(g)
