"""The timer heap, looked at directly and through goroutines."""

from __future__ import annotations

import random
import weakref
from time import monotonic

import pytest

import gopark
from gopark import Chan
from gopark._runtime.sched.timer import NEVER, Timer, Timers
from gopark.testing import wait_all_parked


class Thing:
    """Something a weak reference can watch."""


def timers():
    return Timers(lambda: None)


def test_timers_run_in_order_of_their_time_and_then_of_their_start():
    """Go: TestTimersHeap's promise; equal times in the order they were added."""
    heap, ran = timers(), []
    whens = [3.0, 1.0, 2.0, 1.0, 3.0, 2.0]
    for i, when in enumerate(whens):
        Timer(heap, when, ran.append, i).start()
    assert heap.when == 1.0
    heap.run(0.5)
    assert ran == []
    heap.run(2.0)
    assert ran == [1, 3, 2, 5]
    assert heap.when == 3.0
    heap.run(10.0)
    assert ran == [1, 3, 2, 5, 0, 4]
    assert heap.when is NEVER
    assert not heap


def test_stop_tells_whether_it_kept_the_timer_from_running():
    """Go: Timer.Stop."""
    heap, ran = timers(), []
    timer = Timer(heap, 1.0, ran.append, "ran")
    timer.start()
    assert timer.stop() is True
    assert timer.stop() is False
    heap.run(2.0)
    assert ran == []
    timer = Timer(heap, 1.0, ran.append, "ran")
    timer.start()
    heap.run(2.0)
    assert timer.stop() is False
    assert ran == ["ran"]


def test_a_stopped_timer_keeps_nothing_alive():
    heap, thing = timers(), Thing()
    ref = weakref.ref(thing)
    Timer(heap, 1.0, len, None).start()
    timer = Timer(heap, 2.0, len, thing)
    timer.start()
    del thing
    assert ref() is not None
    timer.stop()
    assert ref() is None


def test_the_adder_of_the_earliest_timer_tells_the_scheduler():
    woken = []
    heap = Timers(lambda: woken.append(heap.when))
    for when in (5.0, 6.0, 4.0, 4.5):
        Timer(heap, when, len, None).start()
    assert woken == [5.0, 4.0]


def test_many_started_and_stopped_timers_leave_no_pile():
    """Invariant T3: the dead entries are never the many for long."""
    heap = timers()
    keep = Timer(heap, 1.0, len, None)
    keep.start()
    for n in range(5000):
        timer = Timer(heap, 10.0 + n, len, None)
        timer.start()
        timer.stop()
        assert len(heap) <= 200
    assert heap.when == 1.0


def test_a_timer_can_be_started_again_at_any_time():
    """Invariant T2: an entry of before is dead, and does not run it."""
    heap, ran = timers(), []
    timer = Timer(heap, 1.0, ran.append, "first")
    timer.start()
    assert heap.modify(timer, 3.0, "later")[0] is True
    assert heap.when == 3.0
    heap.run(2.0)
    assert ran == []
    assert heap.modify(timer, 2.5, "earlier") == (True, True)
    heap.run(10.0)
    assert ran == ["earlier"]
    assert heap.modify(timer, 11.0, "again") == (False, True)
    heap.run(11.0)
    assert ran == ["earlier", "again"]
    assert not heap
    assert len(heap) == 0


def test_a_timer_may_start_itself_again_as_it_runs():
    heap, ran = timers(), []

    def runs(n):
        ran.append(n)
        if n < 3:
            heap.modify(timer, float(n + 1), n + 1)

    timer = Timer(heap, 1.0, runs, 1)
    timer.start()
    for now in (1.0, 2.0, 3.0, 4.0):
        heap.run(now)
    assert ran == [1, 2, 3]


def test_restarting_one_timer_leaves_no_pile():
    """Invariant T3, for dead entries of one timer that goes on."""
    heap = timers()
    timer = Timer(heap, 10.0, len, None)
    timer.start()
    for n in range(5000):
        heap.modify(timer, 10.0 + n % 7, None)
        assert len(heap) <= 200
    assert heap.when == timer.when


@pytest.mark.parametrize("seed", range(4))
def test_random_starts_stops_and_runs_agree_with_a_model(seed):
    rng = random.Random(seed)
    heap, ran = timers(), []
    model: dict[int, float] = {}
    made: list[Timer] = []
    now = 0.0
    for _ in range(2000):
        what = rng.random()
        when = now + rng.random() * 10
        key = rng.randrange(len(made)) if made else 0
        if what < 0.3 or not made:
            key = len(made)
            made.append(Timer(heap, when, ran.append, key))
            made[-1].start()
            model[key] = when
        elif what < 0.5:
            assert made[key].stop() is (model.pop(key, None) is not None)
        elif what < 0.8:
            assert heap.modify(made[key], when, key)[0] is (key in model)
            model[key] = when
        else:
            now += rng.random()
            heap.run(now)
            due = sorted((when, key) for key, when in model.items() if when <= now)
            assert ran == [key for _, key in due]
            for key in ran:
                del model[key]
            ran.clear()
        assert heap.when == min(model.values(), default=NEVER)
        assert len(heap) <= 2 * len(model) + 300


# --- through goroutines -----------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_sleepers_wake_in_order_of_their_durations():
    woken = Chan(5)

    async def sleeper(n):
        await gopark.time.sleep(0.01 * n)
        await woken.send(n)

    for n in (3, 1, 5, 2, 4):
        gopark.go(sleeper, n)
    if gopark.runtime.gomaxprocs() == 1:
        assert [await woken.recv() for _ in range(5)] == [1, 2, 3, 4, 5]
    else:
        assert sorted([await woken.recv() for _ in range(5)]) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("procs")
async def test_nobody_wakes_before_its_time():
    async def sleeper(seconds):
        start = monotonic()
        await gopark.time.sleep(seconds)
        await slept.send(monotonic() - start - seconds)

    slept = Chan()
    for n in range(50):
        gopark.go(sleeper, 0.0005 * n)
    assert min([await slept.recv() for _ in range(50)]) >= 0


@pytest.mark.usefixtures("procs")
async def test_an_earlier_timer_added_while_all_sleep_is_not_late():
    woken = Chan()

    async def late():
        await gopark.time.sleep(1000)

    gopark.go(late)
    await wait_all_parked()

    def adds_an_earlier_one():  # from a thread, while every M sleeps until the late one
        gopark.block(gopark.time.sleep(0.001))
        gopark.block(woken.send("woken"))

    gopark.go(adds_an_earlier_one)
    assert await woken.recv() == "woken"


@pytest.mark.usefixtures("procs")
async def test_timers_fire_while_goroutines_keep_the_ps_busy():
    stop, woken = [], Chan(1)

    async def busy():
        while not stop:
            await gopark.gosched()

    async def sleeper():
        await gopark.time.sleep(0.002)
        woken.try_send(True)
        stop.append(True)

    for _ in range(10):
        gopark.go(busy)
    gopark.go(sleeper)
    assert await woken.recv()


async def test_ten_thousand_sleepers():
    done = Chan()

    async def sleeper(n):
        await gopark.time.sleep(0.01 + (n % 7) / 1000)
        await done.send(None)

    for n in range(10_000):
        gopark.go(sleeper, n)
    for _ in range(10_000):
        await done.recv()
