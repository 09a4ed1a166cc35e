"""Timers and tickers from inside: what is in the heap when, and the orders that races take.

A race is forced, not hoped for: the heap runs on a clock that the test passes to `run`, and
what a timer does when it fires late is called by hand.
"""

from __future__ import annotations

import gc
import sys
import weakref
from math import inf
from time import monotonic

import pytest

import gopark
from gopark import Chan, recv, select
from gopark._runtime.sched import startm
from gopark._runtime.time.timechan import TimerChan, fire
from gopark._runtime.twin import native
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, tick

FAR = 3600.0


def inheap():
    """How many timers of the running program are going to run."""
    timers = startm.getsched().timers
    if native is not None:
        return len(timers)  # what is stopped leaves its heap at once
    with timers.lock:
        return sum(entry[2].seq == entry[1] for entry in timers._heap + timers._old)


class Clock:
    """Stands in for the clock that timer channels look at."""

    def __init__(self, monkeypatch):
        self.now = monotonic()
        monkeypatch.setattr(startm.getsched().timers, "clock", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


# --- what is in the heap ----------------------------------------------------------------------


async def test_a_timer_is_in_the_heap_only_while_somebody_waits():
    before = inheap()
    timers = [Timer(FAR), Ticker(FAR), after(FAR), tick(FAR)]
    assert inheap() == before
    stop = Chan()

    async def waits():
        await select(recv(timers[0].c), recv(timers[1].c), recv(timers[2]), recv(stop))

    for _ in range(3):
        gopark.go(waits)
    await wait_all_parked()
    assert inheap() == before + 3
    stop.close()
    await wait_all_parked()
    assert inheap() == before


async def test_a_timer_that_is_stopped_or_reset_leaves_no_entry_of_before():
    before = inheap()
    timer, done = Timer(FAR), Chan(1)
    gopark.go(receives, timer.c, done)
    await wait_all_parked()
    timer.stop()
    assert inheap() == before
    timer.reset(FAR)
    timer.reset(FAR)
    assert inheap() == before + 1
    timer.reset(0)
    await done.recv()
    assert inheap() == before


async def receives(c, done):
    await done.send(await c.recv())


async def test_an_interrupted_wait_takes_its_timer_along():
    """A receiver that is taken off from outside, as at the end of a program."""
    before = inheap()
    timer = Timer(FAR)
    g = []

    async def waits():
        g.append(gopark._runtime.base.runtime2.getg())
        await timer.c.recv()

    gopark.go(waits)
    await wait_all_parked()
    assert inheap() == before + 1
    assert timer.c.unwait(g[0])
    assert inheap() == before
    assert not timer.c.unwait(g[0])
    g[0].elem, g[0].success = 1.0, True
    gopark._runtime.sched.runq.ready(g[0])
    await wait_all_parked()


@pytest.mark.parametrize("make", [Timer, Ticker, after, tick, lambda s: Timer(s).c])
async def test_an_unreferenced_timer_is_gone_at_once(make):
    gc.disable()  # it is not in a cycle
    try:
        timer = make(FAR)
        ref = weakref.ref(timer)
        del timer
        assert ref() is None
    finally:
        gc.enable()


def gone(ref):
    """Nothing refers to it, not even a cycle.

    Without a GIL, what the last reference is dropped to on another thread than it was made on goes
    when that thread adds up its counts, or a collection does; this one spares what is in cycles.
    """
    if gopark._runtime.signal.codewatch.needed():
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    return ref() is None


async def test_a_timer_that_was_waited_for_is_gone_at_once_too():
    before = gopark.runtime.gomaxprocs(1)  # an M keeps what parked on it last
    gc.disable()
    try:
        timer, stop = Timer(FAR), Chan()
        refs = [weakref.ref(timer), weakref.ref(timer.c)]

        async def waits(c):
            await select(recv(c), recv(stop))

        gopark.go(waits, timer.c)
        await wait_all_parked()
        del timer
        assert gone(refs[0])
        assert refs[1]() is not None  # the one that waits keeps it
        stop.close()
        await wait_all_parked()
        await gopark.time.sleep(0.001)
        assert gone(refs[1])
    finally:
        gc.enable()
        gopark.runtime.gomaxprocs(before)


def test_a_million_dropped_timeouts_leave_nothing():
    timers = startm.getsched().timers
    before, blocks = len(timers), sys.getallocatedblocks()
    for _ in range(20_000):
        after(FAR)
    assert len(timers) == before
    assert sys.getallocatedblocks() - blocks < 1000


async def test_timeouts_that_were_waited_for_leave_no_pile():
    """`select` with a long timeout, again and again."""
    timers, ch = startm.getsched().timers, Chan()

    async def answers():
        for _ in range(2000):
            await ch.send(1)

    gopark.go(answers)
    for _ in range(2000):
        assert (await select(recv(ch), recv(after(FAR))))[0] == 0
        assert len(timers) <= 200


# --- forced orders ----------------------------------------------------------------------------


def test_what_fires_late_delivers_nothing_after_stop(clock):
    c = Timer(1.0).c
    clock.now += 2
    assert c.stop() is True
    fire(c)  # an M had taken it from the heap before the stop
    assert c.try_recv() == (None, False, False)
    assert c.stop() is False


def test_what_fires_late_delivers_nothing_after_reset(clock):
    c = Timer(1.0).c
    clock.now += 2
    assert c.reset(5.0) is True
    fire(c)
    assert c.try_recv() == (None, False, False)
    due = clock.now + 5.0
    clock.now += 6
    fire(c)
    fire(c)
    assert c.try_recv() == (due, True, True)
    assert c.try_recv() == (None, False, False)
    assert c.reset(1.0) is False


@pytest.mark.parametrize("make", [Timer, Ticker])
def test_reset_takes_back_a_value_that_nobody_received(clock, make):
    timer = make(1.0)
    clock.now += 2
    fire(timer.c)
    timer.reset(1.0)
    assert timer.c.try_recv() == (None, False, False)


def test_a_tick_does_not_push_out_the_one_before(clock):
    """What is not received yet stays; what comes meanwhile is dropped."""
    c = Ticker(1.0).c
    start = clock.now
    for _ in range(3):
        clock.now += 1
        fire(c)
    assert c.try_recv() == (start + 1, True, True)
    assert c.try_recv() == (None, False, False)


def test_stop_takes_back_a_value_that_nobody_received(clock):
    """Go 1.23: no stale value after Stop, which then says that it has kept it from firing."""
    c = Timer(1.0).c
    clock.now += 2
    fire(c)
    assert c.stop() is True
    assert c.try_recv() == (None, False, False)


def test_a_timer_in_flight_whose_channel_got_a_waiter_meanwhile_serves_it(clock):
    """W1: the entry was taken off the heap, but `fire` has not run yet; a G begins to wait."""
    heap = []

    async def main():
        c, done = Timer(1.0).c, Chan(2)
        gopark.go(receives, c, done)
        await wait_all_parked()
        timer = c._timer
        assert startm.getsched().timers.delete(timer)  # as `run` does it, and fire is to come
        heap.append(timer)
        gopark.go(receives, c, done)
        await wait_all_parked()
        assert timer.seq  # the second one has armed it again
        clock.now += 2
        fire(c)
        await wait_all_parked()
        assert len(done) == 1  # first come, first served
        c.reset(0.0)
        fire(c)
        await wait_all_parked()
        assert len(done) == 2

    gopark.run(main)


def test_a_ticker_drops_ticks_and_never_drifts(clock):
    c = Ticker(10.0).c
    start = clock.now
    clock.now = start + 10.0
    assert c.try_recv() == (start + 10.0, True, True)
    assert c.try_recv() == (None, False, False)
    clock.now = start + 57.0  # at 20 one was sent, those at 30, 40 and 50 were dropped
    assert c.try_recv() == (start + 20.0, True, True)
    assert c.try_recv() == (None, False, False)
    clock.now = start + 60.0
    assert c.try_recv() == (start + 60.0, True, True)


def test_a_tick_that_was_seen_but_not_taken_does_not_make_two(clock):
    """A select looked at the channel and took another case; more ticks went by."""
    c = Ticker(10.0).c
    start = clock.now
    clock.now = start + 15.0
    assert c.maybeready(False)
    clock.now = start + 500.0
    assert c.try_recv() == (start + 10.0, True, True)
    assert c.try_recv() == (None, False, False)


@pytest.mark.parametrize("period", [1e-9, 1e-7, 0.1, 1 / 3, 0.3, 1e300])
def test_ticks_are_strictly_later_each_time(clock, period):
    """Whatever rounding does."""
    c = TimerChan(period, period)
    last = -inf
    for _ in range(2000):
        clock.now = c._when
        value, _, received = c.try_recv()
        assert received
        assert last < value
        assert value < c._when < inf
        last = value


def test_a_million_ticks_are_where_they_should_be(clock):
    c = Ticker(0.1).c
    clock.now += 99_999.95
    c.try_recv()
    assert c._when == pytest.approx(c._start + 100_000.0, abs=1e-9)


# --- programs ---------------------------------------------------------------------------------


def test_a_timer_of_a_program_that_has_ended_never_fires():
    kept, ran = [], []

    async def main():
        kept.extend((Timer(0.001), Ticker(0.001), after_func(0.001, ran.append, 1)))

    gopark.run(main)
    intime = list(ran)  # main may have taken that long

    async def next_main():
        await gopark.time.sleep(0.003)
        assert kept[0].c.try_recv() == kept[1].c.try_recv() == (None, False, False)
        assert await select(recv(kept[0].c), recv(after(0.001))) != 0
        assert ran == intime

    gopark.run(next_main)


def test_a_timer_kept_between_two_programs_can_be_reset():
    kept, ran = [], Chan(3)

    async def main():
        kept.extend((Timer(FAR), Ticker(FAR), after_func(FAR, ran.try_send, 1)))
        gopark.go(kept[0].c.recv)  # one waits as the program ends
        await wait_all_parked()

    gopark.run(main)

    async def next_main():
        timer, ticker, func = kept
        assert timer.reset(0.001) is True
        ticker.reset(0.001)
        assert func.reset(0.001) is True
        await timer.c.recv()
        await ticker.c.recv()
        await ticker.c.recv()
        await ran.recv()
        assert func.reset(0) is False
        await ran.recv()
        assert func.stop() is False

    gopark.run(next_main)


def test_a_timer_started_before_run_is_that_programs():
    timer, ran = Timer(0.001), Chan(1)
    after_func(0.001, ran.try_send, 1)

    async def main():
        await timer.c.recv()
        assert await ran.recv() == 1

    gopark.run(main)
