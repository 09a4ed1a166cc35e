"""How many Ps there are, by default and after a change."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import deque

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base import runtime2
from gopark._runtime.base.runtime2 import P, goids, tls
from gopark._runtime.sched import gomaxprocs as module
from gopark._runtime.sched.newproc import newg
from gopark._runtime.sched.runq import spread
from gopark.testing import wait_all_parked

PRINT = "import gopark; print(gopark.runtime.gomaxprocs())"


@pytest.fixture
def restored():
    before = gopark.runtime.gomaxprocs()
    yield
    gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("restored")
def test_gomaxprocs_returns_the_number_before_and_zero_only_asks():
    """Go: runtime.GOMAXPROCS(0)."""
    gopark.runtime.gomaxprocs(3)
    assert gopark.runtime.gomaxprocs() == 3
    assert gopark.runtime.gomaxprocs(5) == 3
    assert gopark.runtime.gomaxprocs(0) == 5
    assert gopark.runtime.gomaxprocs(-1) == 5
    assert gopark.runtime.gomaxprocs() == 5


@pytest.mark.parametrize("wrong", [1.0, "2", None, True])
def test_a_number_that_is_no_integer_is_refused(wrong):
    with pytest.raises(TypeError, match="integer"):
        gopark.runtime.gomaxprocs(wrong)


def test_too_many_are_refused():
    before = gopark.runtime.gomaxprocs()
    with pytest.raises(ValueError, match="at most 1024"):
        gopark.runtime.gomaxprocs(1025)
    assert gopark.runtime.gomaxprocs() == before


def test_the_default_is_one_under_the_gil_else_the_usable_cpus(child):
    result = child(PRINT, GOMAXPROCS="")
    free = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()
    expected = 1
    if free:
        expected = module.default()
    assert int(result.stdout) == expected


@pytest.mark.parametrize(("text", "procs"), [("3", 3), ("1024", 1024)])
def test_the_environment_variable_wins(child, text, procs):
    """Go: GOMAXPROCS."""
    assert int(child(PRINT, GOMAXPROCS=text).stdout) == procs


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "99999", " "])
def test_an_environment_variable_that_makes_no_sense_is_ignored(child, text):
    assert child(PRINT, GOMAXPROCS=text).stdout == child(PRINT, GOMAXPROCS="").stdout


def test_num_cpu_counts_the_cpus_of_this_process():
    """Go: TestNumCPU, affinity counted."""
    assert gopark.runtime.num_cpu() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cpus", "quota", "procs"),
    [(8, None, 8), (8, 3, 3), (8, 2.1, 3), (8, 0.5, 2), (2, 16, 2), (1, None, 1), (1, 2, 1)],
)
def test_without_the_gil_the_default_is_affinity_or_quota_whichever_is_less(
    monkeypatch, cpus, quota, procs
):
    """Go: the default of GOMAXPROCS since 1.25."""
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setattr(module, "cpulimit", lambda root: quota)
    assert module.default() == procs


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_pinned_to_one_cpu_has_one(child):
    result = child(
        "import os\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "import gopark\n"
        "print(gopark.runtime.num_cpu(), gopark.runtime.gomaxprocs())\n",
        GOMAXPROCS="",
    )
    assert result.stdout == "1 1\n", result.stderr


@pytest.mark.usefixtures("restored")
async def test_a_change_takes_effect_in_a_running_program_and_loses_nobody():
    """Go: TestGomaxprocs, procresize."""
    done, stop = Chan(), []
    sched = runtime2.getg().m.sched

    async def worker():
        while not stop:
            await gopark.gosched()
        await done.send(None)

    for _ in range(20):
        gopark.go(worker)
    for n in (4, 1, 8, 2, 1, 16, 3):
        gopark.runtime.gomaxprocs(n)
        assert len(sched.allp) == n
        for _ in range(30):
            await gopark.gosched()
    stop.append(True)
    for _ in range(20):
        await done.recv()
    assert gopark.runtime.num_goroutine() <= 21


@pytest.mark.usefixtures("restored")
async def test_the_goroutine_that_shrinks_its_own_p_away_goes_on():
    gopark.runtime.gomaxprocs(8)
    done = Chan()

    async def shrinker():
        gopark.runtime.gomaxprocs(1)
        await gopark.gosched()
        await done.send("went on")

    for _ in range(8):
        gopark.go(gopark.gosched)
    gopark.go(shrinker)
    assert await done.recv() == "went on"


def test_a_goroutine_in_hand_while_its_p_goes_away_is_not_left_on_it(run, wait_until):
    """What a plain function readies is moved to where others take it, and just then..."""

    def main():
        ch, m = gopark.Chan(1), tls.m

        class Next(deque):
            def pop(self):
                m.p = p.m = None  # as procresize has it, which finds the queues empty
                return super().pop()

        p = P(7, m.sched)
        p.runnext = Next([newg(next(goids), None, ch.try_send, (1,), {}, sys._getframe())])
        before, m.p, p.m = m.p, p, m
        try:
            spread(m, p)
        finally:
            m.p = before
        assert wait_until(lambda: len(ch) == 1)

    run(main)


@pytest.mark.usefixtures("restored")
async def test_changes_up_and_down_while_thousands_run_lose_nobody_and_nothing():
    """Every value that was sent is received once, and every goroutine ends."""
    random.seed(5)
    senders, each = 2000, 3
    ch, over, done = Chan(16), [], Chan(senders)

    async def sender(n):
        for k in range(each):
            await ch.send(each * n + k)
            await gopark.gosched()
        done.try_send(n)

    async def changer():
        while not over:
            gopark.runtime.gomaxprocs(random.choice([1, 2, 3, 8, 16]))
            for _ in range(random.randrange(20)):
                await gopark.gosched()

    gopark.go(changer)
    for n in range(senders):
        gopark.go(sender, n)
    got = [await ch.recv() for _ in range(each * senders)]
    ended = [await done.recv() for _ in range(senders)]
    over.append(True)
    await wait_all_parked()
    assert sorted(got) == list(range(each * senders))
    assert sorted(ended) == list(range(senders))
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.usefixtures("restored")
async def test_changes_while_goroutines_block_and_compute_lose_nobody():
    """Ps are taken by sysmon and by the change, each from the other's hands."""
    done, over = Chan(60), []

    def blocks(n):
        for _ in range(3):
            time.sleep(0.003)
            gopark.block(gopark.gosched())
        done.try_send(n)

    async def computes(n):
        for _ in range(3):
            end = time.thread_time() + 0.012
            while time.thread_time() < end:
                pass
            await gopark.gosched()
        done.try_send(n)

    async def changer():
        while not over:
            for n in (4, 1, 8, 2):
                gopark.runtime.gomaxprocs(n)
                await gopark.time.sleep(0.004)

    gopark.go(changer)
    for n in range(0, 60, 2):
        gopark.go(blocks, n)
        gopark.go(computes, n + 1)
    assert sorted([await done.recv() for _ in range(60)]) == list(range(60))
    over.append(True)
    await wait_all_parked()


# --- set_max_threads --------------------------------------------------------------------------


@pytest.fixture
def threads_restored():
    before = gopark.runtime.set_max_threads(10_000)
    yield before
    gopark.runtime.set_max_threads(before)


def test_set_max_threads_returns_the_limit_before_which_is_10000_at_first(threads_restored):
    """Go: debug.SetMaxThreads."""
    assert threads_restored == 10_000
    assert gopark.runtime.set_max_threads(500) == 10_000
    assert gopark.runtime.set_max_threads(700) == 500


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("wrong", [1.0, "2", None, True])
def test_a_limit_that_is_no_integer_is_refused(wrong):
    with pytest.raises(TypeError, match="set_max_threads: n must be an integer"):
        gopark.runtime.set_max_threads(wrong)
    assert gopark.runtime.set_max_threads(10_000) == 10_000


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("wrong", [0, -1])
def test_a_limit_that_lets_nobody_live_is_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        gopark.runtime.set_max_threads(wrong)
    assert gopark.runtime.set_max_threads(10_000) == 10_000


@pytest.mark.usefixtures("threads_restored")
async def test_a_program_within_its_limit_notices_nothing():
    """As many threads as may be; see tests/crash for one more."""
    gate = Chan()
    gopark.runtime.set_max_threads(40)
    for _ in range(20):
        gopark.go(lambda: gopark.block(gate.recv()))
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 21
    gate.close()
    await wait_all_parked()
