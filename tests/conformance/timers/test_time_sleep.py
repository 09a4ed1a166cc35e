"""sleep, Timer, after and after_func, as Go's own tests pin them down (time/sleep_test.go).

Go's counts and durations are scaled down. Where Go tries again on a slow machine, so do we.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
from time import monotonic

import pytest

import gopark
from gopark import Chan, recv, select
from gopark._runtime.sched import startm
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, sleep

FAR = 3600.0


class TimerFunc:
    """A Timer as `after_func` makes it: the other of the two ways through the runtime."""

    def __init__(self, duration):
        self.c = Chan(1)
        self._timer = after_func(duration, self._send)
        self.stop = self._timer.stop
        self.reset = self._timer.reset

    async def _send(self):
        await self.c.send(monotonic())


both = pytest.mark.parametrize("new_timer", [Timer, TimerFunc], ids=["chan", "func"])


async def eventually(attempt, times=6):
    """Durations double until it holds; on a busy machine the short ones mean little."""
    for n in range(times):
        try:
            return await attempt(2**n)
        except AssertionError:
            if n == times - 1:
                raise


@pytest.mark.go("time", "TestSleep")
async def test_sleep():
    """A signal half way does not cut it short."""
    came = []
    before = signal.signal(signal.SIGCHLD, lambda *_: came.append(monotonic()))

    async def interrupts():
        await sleep(0.02)
        os.kill(os.getpid(), signal.SIGCHLD)

    try:
        gopark.go(interrupts)
        start = monotonic()
        await sleep(0.04)
        assert monotonic() - start >= 0.04
        assert came
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.go("time", "ExampleSleep")
async def test_example_sleep():
    start = monotonic()
    await sleep(0.1)
    assert 0.1 <= monotonic() - start < 100


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestAfterFunc")
async def test_after_func():
    """It starts itself again, ten times, though no run has come to its end."""
    left, done = [10], Chan()

    async def f():
        left[0] -= 1
        if left[0] >= 0:
            after_func(0, f)
            await sleep(FAR)
        else:
            await done.send(True)

    after_func(0, f)
    assert await done.recv()


@pytest.mark.go("time", "TestAfterFuncStarvation")
async def test_after_func_starvation():
    """On one P, beside two goroutines one of which can run at any moment."""
    before = gopark.runtime.gomaxprocs(1)
    stop, c, ended = [], Chan(1), Chan(2)

    async def sends():
        while not stop:
            await c.send(True)
        c.close()
        await ended.send(1)

    async def receives():
        async for _ in c:
            pass
        await ended.send(1)

    gopark.go(sends)
    gopark.go(receives)
    after_func(1e-6, stop.append, True)
    assert [await ended.recv() for _ in range(2)] == [1, 1]
    gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestAfter")
async def test_after():
    start = monotonic()
    end = await after(0.02).recv()
    assert monotonic() - start >= 0.02
    assert end >= start + 0.02


@pytest.mark.go("time", "TestAfterTick")
async def test_after_tick():
    async def attempt(scale):
        delta = 0.005 * scale
        start = monotonic()
        for _ in range(10):
            await after(delta).recv()
        took = monotonic() - start
        assert took >= delta * 10
        assert took <= delta * 30

    await eventually(attempt)


@both
@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestAfterStop")
async def test_after_stop(new_timer):
    async def attempt(scale):
        unit = 0.005 * scale
        after_func(2 * unit, lambda: None)
        t0 = new_timer(unit)
        c1 = Chan(1)
        t1 = after_func(3 * unit, c1.send, True)
        c2 = after(4 * unit)
        assert t0.stop()
        assert t1.stop()
        await c2.recv()
        assert t0.c.try_recv() == (None, False, False)
        assert c1.try_recv() == (None, False, False)
        assert not t0.stop()
        assert not t1.stop()

    await eventually(attempt)


@both
@pytest.mark.go("time", "TestAfterQueuing")
async def test_after_queuing(new_timer):
    slots = [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0]

    async def waits(slot, result, c):
        await result.send((slot, await c.recv()))

    async def attempt(scale):
        delta, result = 0.002 * scale, Chan(len(slots))
        start = monotonic()
        for slot in slots:
            gopark.go(waits, slot, result, new_timer(slot * delta).c)
        order = [await result.recv() for _ in slots]
        assert [slot for slot, _ in order] == sorted(slots)
        for slot, t in order:
            assert (slot - 0.5) * delta <= t - start <= (slot + 10) * delta

    await eventually(attempt)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestTimerStopStress")
async def test_timer_stop_stress():
    """Each is stopped or fires; on a busy machine it takes a longer one to be stopped in time."""

    async def worker(n, scale, fired, stopped):
        timer = after_func(0.06 * scale, fired.append, n)
        await sleep(0.02 * scale)
        if timer.stop():
            stopped.append(n)

    for scale in (2**n for n in range(10)):
        fired, stopped = [], []
        for n in range(100):
            gopark.go(worker, n, scale, fired, stopped)
        while len(fired) + len(stopped) < 100:
            await sleep(0.001)
        await sleep(0.06)  # one that had been stopped would fire by now
        assert sorted(fired + stopped) == list(range(100))
        if stopped:
            break
    assert stopped


@pytest.mark.go("time", "TestSleepZeroDeadlock")
async def test_sleep_zero_deadlock():
    before = gopark.runtime.gomaxprocs(4)
    c = Chan()

    def collects():
        for _ in range(100):
            gc.collect(0)
        gopark.block(c.send(True))

    gopark.go(collects)
    for _ in range(100):
        await sleep(0)
        tmp = Chan(1)
        await tmp.send(True)
        await tmp.recv()
    assert await c.recv()
    gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestReset")
async def test_reset():
    async def attempt(scale):
        d = 0.002 * scale
        t0 = Timer(2 * d)
        await sleep(d)
        assert t0.reset(3 * d), "resetting unfired timer returned false"
        await sleep(2 * d)
        assert not t0.c.try_recv()[2], "timer fired early"
        await sleep(2 * d)
        assert t0.c.try_recv()[2], "reset timer did not fire"
        assert not t0.reset(FAR), "resetting expired timer returned true"

    await eventually(attempt)


@pytest.mark.go("time", "TestOverflowSleep")
async def test_overflow_sleep():
    big = sys.float_info.max

    async def sleeps():
        await sleep(big)
        raise AssertionError("big sleep returned")

    gopark.go(sleeps)
    assert (await select(recv(after(big)), recv(after(0.01))))[0] == 1
    await sleep(-big)
    assert (await select(recv(after(-big)), recv(after(1))))[0] == 0


@pytest.mark.go("time", "TestIssue5745")
async def test_issue5745():
    """What goes wrong in one timer leaves no lock taken that another one needs."""
    ticker, timer = Ticker(FAR), None
    with pytest.raises(AttributeError):
        timer.stop()  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Timer(1).reset("soon")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await Timer(1).c.send(1.0)
    ticker.stop()
    assert await after(0.001).recv()


@pytest.mark.go("time", "TestOverflowPeriodRuntimeTimer")
def test_overflow_period_runtime_timer(monkeypatch):
    """The tick after next would be at infinity."""
    ticker = Ticker(sys.float_info.max)
    assert not ticker.c.try_recv()[2]
    monkeypatch.setattr(startm.getsched().timers, "clock", lambda: sys.float_info.max)
    for _ in range(3):
        assert ticker.c.try_recv() == (sys.float_info.max, True, True)
    ticker.stop()


class Uninitialized(Timer):
    def __init__(self):
        pass


@pytest.mark.go("time", "TestZeroTimerResetPanics")
def test_zero_timer_reset_panics():
    with pytest.raises(RuntimeError, match="called on uninitialized Timer"):
        Uninitialized().reset(1)


@pytest.mark.go("time", "TestZeroTimerStopPanics")
def test_zero_timer_stop_panics():
    with pytest.raises(RuntimeError, match="called on uninitialized Timer"):
        Uninitialized().stop()


def cached():
    timer = TimerFunc(FAR)

    def new_timer(duration):
        timer.reset(duration)
        return timer

    return new_timer


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize(
    "impl", [lambda: Timer, lambda: TimerFunc, cached], ids=["chan", "func", "cache"]
)
@pytest.mark.go("time", "TestZeroTimer")
async def test_zero_timer(impl):
    new_timer = impl()
    for _ in range(1000):
        start = monotonic()
        await new_timer(0).c.recv()
        assert monotonic() - start < 100
    new_timer(FAR).stop()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestTimerModifiedEarlier")
async def test_timer_modified_earlier():
    for _ in range(50):
        timer = TimerFunc(FAR)
        for _ in range(10):
            if not timer.stop():
                await timer.c.recv()
            timer.reset(-1e9)
        assert (await select(recv(timer.c), recv(after(8))))[0] == 0


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestAdjustTimers")
async def test_adjust_timers():
    """Each timer goes through a script of its own, in an order drawn at random."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    async def script():
        timer = TimerFunc(0)
        yield
        await timer.c.recv()
        for minutes in (1, 3, 2):
            yield
            assert not timer.reset(60 * minutes), "shouldn't be active"
            yield
            assert timer.stop(), "it was far away"
        yield
        assert not timer.reset(0)
        yield
        start = monotonic()
        await timer.c.recv()
        assert monotonic() - start < 30

    scripts = [script() for _ in range(100)]
    while scripts:
        n = rng.randrange(len(scripts))
        try:
            await anext(scripts[n])
        except StopAsyncIteration:
            scripts[n] = scripts[-1]
            scripts.pop()


async def stop_result(stop):
    """Go: testStopResetResult. One that was not stopped has a value for us, or the test hangs."""
    done = Chan()

    async def races():
        for _ in range(5):
            timers = Timer(0.001), Timer(0.001)
            won = (await select(recv(timers[0].c), recv(timers[1].c)))[0]
            if not stop(timers[1 - won]):
                await timers[1 - won].c.recv()
        await done.send(None)

    for _ in range(50):
        gopark.go(races)
    for _ in range(50):
        await done.recv()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestStopResult")
async def test_stop_result():
    await stop_result(lambda timer: timer.stop())


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestResetResult")
async def test_reset_result():
    await stop_result(lambda timer: timer.reset(FAR))


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestMultiWakeupTicker")
async def test_multi_wakeup_ticker():
    ticker, done = Ticker(1e-6), Chan()

    async def waits():
        for _ in range(100):
            await select(recv(ticker.c), recv(after(0.001)))
        await done.send(None)

    for _ in range(8):
        gopark.go(waits)
    for _ in range(8):
        await done.recv()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestMultiWakeupTimer")
async def test_multi_wakeup_timer():
    timer, done = Timer(1e-9), Chan()

    async def polls():
        for _ in range(200):
            await select(recv(timer.c), default=True)
            timer.reset(1e-9)
        await done.send(None)

    for _ in range(8):
        gopark.go(polls)
    for _ in range(8):
        await done.recv()


@pytest.mark.go("time", "ExampleAfter")
async def test_example_after():
    c = Chan()

    async def handles():
        index, value, _ = await select(recv(c), recv(after(0.01)))
        return value if index == 0 else "timed out"

    assert await handles() == "timed out"
    gopark.go(c.send, "work")
    await wait_all_parked()
    assert await handles() == "work"
