"""gopark.time: sleep, timers and tickers, as a user sees them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
import re
import threading
from decimal import Decimal
from fractions import Fraction
from functools import partial
from time import monotonic

import pytest

import gopark
from gopark import NotOnGError, recv, select
from gopark.testing import synctest, wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, sleep, tick

BAD = [math.nan, math.inf, -math.inf]
WRONG = ["1", None, True, [1], 1j]


@pytest.mark.usefixtures("procs")
async def test_sleep_waits_at_least_that_long():
    """Go: TestSleep."""
    start = monotonic()
    await sleep(0.02)
    assert monotonic() - start >= 0.02


@pytest.mark.parametrize("duration", [0, 0.0, -1, -0.5])
async def test_zero_and_less_is_no_wait_and_gives_way_to_nobody(duration):
    """Go: Sleep returns immediately for a negative or zero duration."""
    ran = []

    async def other():
        ran.append(True)

    before = gopark.runtime.gomaxprocs(1)
    gopark.go(other)
    await sleep(duration)
    assert ran == []
    gopark.runtime.gomaxprocs(before)
    await wait_all_parked()


@pytest.mark.parametrize("duration", [1e-3, Fraction(1, 1000), Decimal("0.001")])
async def test_every_kind_of_number_is_a_duration(duration):
    await sleep(duration)
    assert (await after(duration).recv_ok())[1]


@pytest.mark.parametrize("duration", BAD)
async def test_a_duration_that_is_not_finite_is_refused(duration):
    with pytest.raises(ValueError, match="sleep: the duration must be finite"):
        await sleep(duration)
    with pytest.raises(ValueError, match="after: the duration must be finite"):
        after(duration)


@pytest.mark.parametrize("duration", WRONG)
async def test_a_duration_that_is_no_number_is_refused(duration):
    with pytest.raises(TypeError, match="sleep: the duration must be a number of seconds"):
        await sleep(duration)
    with pytest.raises(TypeError, match="after: the duration must be a number of seconds"):
        after(duration)


@pytest.mark.usefixtures("procs")
async def test_after_sends_the_time_once():
    """Go: TestAfter."""
    start = monotonic()
    ch = after(0.01)
    value, ok = await ch.recv_ok()
    assert ok
    assert start + 0.01 <= value <= monotonic()
    assert ch.try_recv() == (None, False, False)


async def test_after_sends_nothing_before_its_time():
    assert after(3600).try_recv() == (None, False, False)


async def test_after_zero_fires_at_the_next_chance():
    assert (await select(recv(after(0)), recv(after(-1))))[0] in (0, 1)


async def test_many_afters_fire_in_order():
    """Go: TestAfterQueuing, which tries again with longer times as well: on a busy machine."""
    slots = [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0]
    out = gopark.Chan(len(slots))

    async def wait(slot, unit):
        await after(slot * unit).recv()
        await out.send(slot)

    before = gopark.runtime.gomaxprocs(1)
    for unit in (0.005, 0.05, 0.5):
        for slot in slots:
            gopark.go(wait, slot, unit)
        if (came := [await out.recv() for _ in slots]) == sorted(slots):
            break
    assert came == sorted(slots)
    gopark.runtime.gomaxprocs(before)


async def test_a_sleeping_goroutine_shows_as_sleep():
    gopark.go(sleep, 1000)
    await wait_all_parked()
    assert "[sleep]" in gopark.runtime.stack(all=True)


async def test_an_abandoned_after_disturbs_nobody():
    for _ in range(1000):
        after(0.001)
    await sleep(0.005)


def test_sleep_under_another_loop_is_an_error_that_names_the_remedy():
    async def main():
        await sleep(-1)  # needs no wait
        with pytest.raises(NotOnGError, match="goroutine"):
            await sleep(1)

    asyncio.run(main())


def test_after_works_in_plain_code_without_run():
    assert gopark.block(after(0.001).recv()) is not None


# --- Timer ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_timer_sends_the_time_it_was_due_once():
    start = monotonic()
    timer = Timer(0.005)
    value = await timer.c.recv()
    assert start + 0.005 <= value <= monotonic()
    assert timer.stop() is False
    assert timer.c.try_recv() == (None, False, False)


def test_timers_work_in_plain_code_and_on_any_thread():
    def work():
        timer = Timer(0.001)
        assert gopark.block(timer.c.recv()) is not None
        ticker = Ticker(0.001)
        assert len([value for value, _ in zip(ticker.c, range(3), strict=False)]) == 3
        done = gopark.Chan(1)
        after_func(0.001, done.send, 1)
        ended.append(gopark.block(done.recv()))

    ended = []
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [1, 1]


def test_a_timer_needs_no_goroutine_to_be_looked_at():
    timer = Timer(0)
    assert timer.c.try_recv()[1:] == (True, True)
    assert timer.c.try_recv()[1:] == (False, False)
    assert timer.reset(3600) is False
    assert timer.stop() is True


@pytest.mark.parametrize("make", [lambda: Timer(0).c, lambda: Ticker(1e-9).c])
async def test_a_timer_channel_shows_no_buffer(make):
    c = make()
    assert (len(c), c.cap, bool(c)) == (0, 0, True)
    assert c.try_recv()[2]
    assert "timer" in repr(c) or "ticker" in repr(c)


async def test_only_the_clock_sends_on_a_timer_channel():
    """In Go the compiler refuses it."""
    timer = Timer(3600)
    with pytest.raises(TypeError, match="only be received from"):
        await timer.c.send(1.0)
    with pytest.raises(TypeError, match="only be received from"):
        timer.c.try_send(1.0)
    with pytest.raises(TypeError, match="only be received from"):
        timer.c.close()
    with pytest.raises(TypeError, match="only be received from"):
        await select(gopark.send(timer.c, 1.0), default=True)
    assert timer.stop() is True  # no lock was left taken


async def test_several_wait_for_one_timer_and_one_gets_it():
    timer, got, stop = Timer(0.001), gopark.Chan(3), gopark.Chan()

    async def waits():
        await got.send(await select(recv(timer.c), recv(stop)))

    for _ in range(3):
        gopark.go(waits)
    await wait_all_parked()
    assert (await got.recv())[0] == 0
    await wait_all_parked()
    assert len(got) == 0
    timer.reset(0)
    assert (await got.recv())[0] == 0
    stop.close()
    assert (await got.recv())[0] == 1


async def test_reset_moves_a_timer_while_others_wait_for_it():
    timer, got = Timer(3600), gopark.Chan(1)

    async def waits():
        await got.send(await timer.c.recv_ok())

    gopark.go(waits)
    await wait_all_parked()
    assert timer.reset(1800) is True
    await wait_all_parked()
    assert len(got) == 0
    assert timer.reset(0.001) is True
    assert (await got.recv())[1]


# --- Ticker and tick --------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_ticker_ticks_at_its_times():
    start = monotonic()
    ticker = Ticker(0.002)
    ticks = [await ticker.c.recv() for _ in range(5)]
    ticker.stop()
    assert monotonic() - start >= 0.01
    assert ticks == sorted(set(ticks))
    # Late they may be on a busy machine, early never: each is of a time of the ticker's.
    assert all(t - start >= 0.002 * n for n, t in enumerate(ticks, 1))
    assert ticker.c.try_recv() == (None, False, False)


def test_a_ticker_keeps_to_its_times_though_somebody_was_late_once():
    async def main():
        ticker = Ticker(2)
        ticks = [await ticker.c.recv()]
        await gopark.time.sleep(5)
        ticks += [await ticker.c.recv() for _ in range(3)]
        ticker.stop()
        return ticks

    assert synctest.test(main) == [2, 4, 8, 10]


async def test_tick_without_a_period_is_no_channel():
    assert tick(0) is None
    assert tick(-1) is None
    assert await select(recv(tick(0)), default=True) == (-1, None, False)


@pytest.mark.parametrize("period", [0, -1, -0.5, 0.0])
def test_an_interval_that_is_not_positive_is_refused(period):
    ticker = Ticker(1)
    with pytest.raises(ValueError, match=r"^non-positive interval for NewTicker$"):
        Ticker(period)
    with pytest.raises(ValueError, match=r"^non-positive interval for Ticker\.Reset$"):
        ticker.reset(period)


@pytest.mark.parametrize("value", BAD)
def test_what_is_not_finite_is_refused_by_all(value):
    for who, what, call in calls():
        with pytest.raises(ValueError, match=f"^{who}: the {what} must be finite, got {value}"):
            call(value)
    with pytest.raises(ValueError, match="more than a float can hold"):
        after(10**400)


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_number_is_refused_by_all(value):
    for who, what, call in calls():
        with pytest.raises(TypeError, match=f"^{who}: the {what} must be a number of seconds"):
            call(value)


def calls():
    yield "Timer", "duration", Timer
    yield r"Timer\.reset", "duration", Timer(1).reset
    yield "Ticker", "period", Ticker
    yield r"Ticker\.reset", "period", Ticker(1).reset
    yield "tick", "duration", tick
    yield "after_func", "duration", lambda d: after_func(d, print)
    timer = after_func(3600, print)
    yield r"Timer\.reset", "duration", timer.reset
    timer.stop()


# --- after_func -------------------------------------------------------------------------------


class Device:
    """Something with methods."""

    def __init__(self):
        self.calls = gopark.Chan(10)

    async def later(self, n, *, times=1):
        for _ in range(times):
            await self.calls.send(n)

    def plainly(self, n):
        self.calls.try_send(n)


@pytest.mark.usefixtures("procs")
async def test_after_func_calls_functions_of_every_kind():
    device = Device()
    after_func(0.001, device.later, 1, times=2)
    after_func(0.001, device.plainly, 2)
    after_func(0.001, device.calls.send, 3)
    after_func(0.001, partial(device.later, 4))
    after_func(0.001, lambda: device.calls.try_send(5))
    assert sorted([await device.calls.recv() for _ in range(6)]) == [1, 1, 2, 3, 4, 5]


async def test_after_func_has_no_channel_and_can_be_stopped_and_reset():
    ran = gopark.Chan(3)
    timer = after_func(3600, ran.send, "ran")
    assert timer.c is None
    assert isinstance(timer, Timer)
    assert timer.stop() is True
    assert timer.stop() is False
    assert timer.reset(3600) is False
    assert timer.reset(0) is True
    assert await ran.recv() == "ran"
    assert timer.stop() is False
    assert timer.reset(0) is False
    assert await ran.recv() == "ran"


async def test_after_func_is_not_lost_when_nobody_keeps_it():
    ran = gopark.Chan(1)
    after_func(0.001, ran.send, "ran")
    gc.collect()
    assert await ran.recv() == "ran"


def double(a, b):
    return a + b


@pytest.mark.parametrize(
    ("fn", "args", "match"),
    [
        (None, (), "nil func"),
        (3, (), r"after_func\(\) needs a function, got 3"),
        (double, (1,), r"after_func: double\(a, b\) cannot be called so"),
        (Device().plainly, (), "missing a required argument: 'n'"),
        (Device().later, (1, 2), "too many positional"),
        (partial(double, 1), (), "missing a required argument: 'b'"),
        pytest.param(
            "".__repr__,
            (1,),
            "too many positional",
            marks=pytest.mark.skipif(
                not "".__repr__.__text_signature__, reason="a Python built without docstrings"
            ),
        ),
    ],
)
async def test_a_call_that_cannot_be_made_is_refused_at_once(fn, args, match):
    with pytest.raises(TypeError, match=match):
        after_func(3600, fn, *args).stop()


async def test_after_func_runs_in_a_copy_of_its_callers_context():
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    seen = gopark.Chan(4)

    async def looks():
        await seen.send(var.get())
        var.set("its own")
        await seen.send(var.get())

    var.set("callers")
    timer = after_func(0.001, looks)
    var.set("later")
    assert [await seen.recv() for _ in range(2)] == ["callers", "its own"]
    timer.reset(0)
    assert [await seen.recv() for _ in range(2)] == ["callers", "its own"]
    assert var.get() == "later"


async def test_the_goroutine_of_after_func_prints_as_gos_does():
    dump = gopark.Chan(1)

    def prints():
        dump.try_send(gopark.runtime.stack())

    after_func(0.001, prints)
    text = await dump.recv()
    assert re.fullmatch(
        r"goroutine \d+ \[running\]:\n"
        r"(?:tests\.)?test_time\.test_the_goroutine\w+\.prints\(\.\.\.\)\n\t\S+test_time\.py:\d+\n"
        r"created by time\.goFunc\n\t\S+timefunc\.py:\d+\n",
        text,
    )


@pytest.mark.parametrize("seconds", [1e10, 1e15, 1e18, 1e300, 1.7e308])
async def test_a_wait_that_is_practically_for_ever_is_one(seconds):
    gopark.go(sleep, seconds)
    timer, ticker, called = Timer(seconds), Ticker(seconds), after_func(seconds, print)
    await gopark.testing.wait_all_parked()
    assert "[sleep]" in gopark.runtime.stack(all=True)
    for ch in (timer.c, ticker.c, after(seconds), tick(seconds)):
        assert ch.try_recv() == (None, False, False)
    assert timer.reset(seconds)
    assert timer.stop()
    assert called.reset(seconds)
    assert called.stop()
    ticker.stop()


@pytest.mark.parametrize("seconds", [1e10, 1e18, 1e300])
def test_a_bubble_goes_as_far(seconds):
    async def main():
        await sleep(seconds)
        assert gopark.time.monotonic() == seconds
        assert gopark.time.now() >= seconds
        ctx, cancel = gopark.context.with_timeout(gopark.context.background(), seconds)
        await ctx.done().recv()
        assert str(ctx)
        cancel()

    gopark.testing.synctest.test(main)
