"""Tickers and timer channels, as Go's own tests pin them down (time/tick_test.go)."""

from __future__ import annotations

import gc
from time import monotonic

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, sleep, tick

FAR = 3600.0

impossible = (None, False, False)


async def collecting(stop):
    while not stop.try_recv()[2]:
        gc.collect(0)
        await sleep(1e-9)
    await stop.send(None)  # or the end of main would strike in what the collector calls


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("period", [1e-9, 1e-4])
@pytest.mark.go("time", "TestTickerStress")
async def test_ticker_stress(period):
    stop = Chan()
    gopark.go(collecting, stop)
    ticker = Ticker(period)
    ticks = [await ticker.c.recv() for _ in range(100)]
    assert ticks == sorted(set(ticks))
    ticker.stop()
    await stop.send(None)
    await stop.recv()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestTickerConcurrentStress")
async def test_ticker_concurrent_stress():
    stop, done = Chan(), Chan(10)
    gopark.go(collecting, stop)
    ticker = Ticker(1e-9)

    async def takes():
        await done.send([await ticker.c.recv() for _ in range(100)])

    for _ in range(10):
        gopark.go(takes)
    ticks = [t for _ in range(10) for t in await done.recv()]
    assert len(set(ticks)) == 1000  # no tick went to two
    ticker.stop()
    await stop.send(None)
    await stop.recv()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestTicker")
async def test_ticker():
    for delta in (0.004, 0.02, 0.1):
        ticker = Ticker(delta)
        start = monotonic()
        for _ in range(3):
            await ticker.c.recv()
        ticker.reset(2 * delta)
        for _ in range(3):
            await ticker.c.recv()
        ticker.stop()
        took, target = monotonic() - start, 9 * delta
        await sleep(2 * delta)
        assert ticker.c.try_recv() == impossible, "ticker did not shut down"
        assert took >= target
        if took <= target * 1.3:
            return
    raise AssertionError(f"took {took}, expected {target}")


class HandMade(Ticker):
    def __init__(self, c):
        if c is not None:
            self.c = c


@pytest.mark.go("time", "TestTickerStopWithDirectInitialization")
def test_ticker_stop_with_direct_initialization():
    HandMade(None).stop()
    with pytest.raises(RuntimeError, match="called on uninitialized Ticker"):
        HandMade(None).reset(1)


@pytest.mark.go("time", "TestManualTicker")
def test_manual_ticker():
    c = Chan()
    HandMade(c).stop()
    assert c.try_recv() == impossible
    c.close()


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestTeardown")
async def test_teardown():
    for _ in range(3):
        ticker = Ticker(0.005)
        assert await ticker.c.recv()
        ticker.stop()


@pytest.mark.go("time", "TestTick")
def test_tick():
    assert tick(-1) is None


@pytest.mark.go("time", "TestNewTickerLtZeroDuration")
def test_new_ticker_lt_zero_duration():
    with pytest.raises(ValueError, match=r"^non-positive interval for NewTicker$"):
        Ticker(-1)


@pytest.mark.go("time", "TestTickerResetLtZeroDuration")
async def test_ticker_reset_lt_zero_duration():
    ticker = Ticker(0.001)
    with pytest.raises(ValueError, match=r"^non-positive interval for Ticker\.Reset$"):
        ticker.reset(0)
    assert await ticker.c.recv()  # and goes on as before


@pytest.mark.usefixtures("procs")
@pytest.mark.go("time", "TestLongAdjustTimers")
async def test_long_adjust_timers():
    """A queue between two channels, each message with a timeout, over a heap full of sleepers."""
    slept = Chan(5000)

    async def sleeper():
        await sleep(1e-5)
        slept.try_send(None)

    for _ in range(5000):
        gopark.go(sleeper)
    done, inq, outq = Chan(), Chan(), Chan()
    watchdog = after_func(60, done.close)

    async def queue():
        q = []
        while True:
            send = gopark.send(outq if q else None, q[0] if q else None)
            index, value, ok = await select(send, recv(inq), recv(done))
            if index == 0:
                q.pop(0)
            elif index == 1 and ok:
                q.append(value)
            else:
                return outq.close()

    gopark.go(queue)
    for i in range(100):
        for n in range(20):
            await inq.send((i, n))
        for n in range(20):
            index, value, _ = await select(recv(outq), recv(after(5)), recv(done))
            assert (index, value) == (0, (i, n))
    inq.close()
    assert await outq.recv_ok() == (None, False)
    assert watchdog.stop()
    for _ in range(5000):
        await slept.recv()


class TickerTimer:
    """A ticker with the results of a timer."""

    def __init__(self, period):
        self._ticker = Ticker(period)
        self.c = self._ticker.c
        self._running = True

    def stop(self):
        was, self._running = self._running, False
        self._ticker.stop()
        return was

    def reset(self, duration):
        was, self._running = self._running, True
        self._ticker.reset(duration)
        return was


NS = 1e-9  # the least that Go's durations can say
SCHED = 0.002  # time for a timer to go off


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("new_timer", [Timer, TickerTimer])
@pytest.mark.go("time", "TestChan")
async def test_chan__looked_at(new_timer):
    """Nobody waits while it fires."""
    timer = new_timer(10_000)
    c, is_ticker = timer.c, new_timer is TickerTimer
    timer.stop()
    assert c.try_recv() == impossible
    timer.reset(10_000)
    assert c.try_recv() == impossible
    timer.reset(NS)
    await sleep(SCHED)
    assert (len(c), c.cap) == (0, 0)
    assert c.try_recv()[2], "missing tick"
    await sleep(SCHED)
    timer.reset(10_000)
    assert c.try_recv() == impossible, "extra tick"

    # Stop and Reset keep values of before from being received.
    timer.reset(NS)
    await sleep(SCHED)
    assert timer.stop() is True
    assert c.try_recv() == impossible
    timer.reset(FAR)
    assert c.try_recv() == impossible
    assert timer.reset(NS) is True
    await sleep(SCHED)
    assert c.try_recv()[2]
    await sleep(SCHED)
    assert c.try_recv()[2] is is_ticker
    await sleep(SCHED)
    assert timer.reset(FAR) is is_ticker
    assert c.try_recv() == impossible


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("new_timer", [Timer, TickerTimer])
@pytest.mark.go("time", "TestChan")
async def test_chan__waited_for(new_timer):
    """A goroutine waits while it is reset far away, and then to be soon."""
    timer, done = new_timer(10_000), Chan(1)
    c, is_ticker = timer.c, new_timer is TickerTimer

    async def receives():
        await done.send(await c.recv_ok())

    gopark.go(receives)
    await wait_all_parked()
    timer.reset(20_000)
    await wait_all_parked()
    assert len(done) == 0
    timer.reset(NS)
    assert (await done.recv())[1]
    await sleep(SCHED)
    assert c.try_recv()[2] is is_ticker
    timer.stop()
    assert c.try_recv() == impossible


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("new_timer", [Timer, TickerTimer])
@pytest.mark.go("time", "TestChan")
async def test_chan__selected_by_two(new_timer):
    timer, done, stop = new_timer(10_000), Chan(2), Chan()

    async def selects():
        await done.send((await select(recv(timer.c), recv(stop)))[0])

    for _ in range(2):
        gopark.go(selects)
    await wait_all_parked()
    assert len(done) == 0
    timer.reset(SCHED)
    assert await done.recv() == 0
    timer.stop()
    stop.close()
    assert await done.recv() in ((0, 1) if new_timer is TickerTimer else (1,))

    # A stopped timer wakes nobody.
    stop = Chan()
    for _ in range(2):
        gopark.go(selects)
    await wait_all_parked()
    stop.close()
    assert [await done.recv(), await done.recv()] == [1, 1]


@pytest.mark.go("time", "TestAfterTimes")
async def test_after_times():
    start = monotonic()
    c = after(0.002)
    made = monotonic()
    await sleep(0.01)
    assert start + 0.002 <= await c.recv() <= made + 0.002


@pytest.mark.go("time", "TestTickTimes")
async def test_tick_times():
    start = monotonic()
    c = tick(0.002)
    made = monotonic()
    await sleep(0.01)
    assert start + 0.002 <= await c.recv() <= made + 0.002


@pytest.mark.go("time", "ExampleTick")
async def test_example_tick():
    seen, start = [], monotonic()
    async for now in tick(0.005):
        seen.append(now)
        if len(seen) == 3:
            break
    assert seen == sorted(set(seen))
    assert seen[2] - start >= 0.015


@pytest.mark.go("time", "ExampleNewTicker")
async def test_example_new_ticker():
    ticker, done, ticks = Ticker(0.005), Chan(), 0

    async def ends():
        await sleep(0.02)
        await done.send(True)

    gopark.go(ends)
    while (await select(recv(done), recv(ticker.c)))[0] == 1:
        ticks += 1
    ticker.stop()
    assert ticks >= 1
    assert ticker.c.try_recv() == impossible
