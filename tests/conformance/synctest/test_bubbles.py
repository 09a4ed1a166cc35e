"""What a bubble is: its clock, `wait`, deadlocks, timers (Go: internal/synctest)."""

from __future__ import annotations

import gc
import time as pytime
import weakref

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.context import background, with_cancel
from gopark.sync import Cond, Mutex
from gopark.testing import synctest
from gopark.time import Timer, after_func, monotonic, now, sleep, tick

EPOCH = 946_684_800


@pytest.mark.go("internal/synctest", "TestNow")
@pytest.mark.go("testing/synctest", "TestNow")
def test_now():
    seen = []

    async def main():
        seen.append(now())
        gopark.go(lambda: seen.append(now()))
        await sleep(1)
        seen.append(now())

    synctest.test(main)
    assert seen == [EPOCH, EPOCH, EPOCH + 1]


@pytest.mark.go("internal/synctest", "TestMonotonicClock")
def test_monotonic_clock():
    """The clocks inside and outside have nothing to do with each other, and each goes on."""
    before, wall = monotonic(), now()
    inside = synctest.test(_hour)
    assert inside == (0.0, 3600.0)
    assert 0 <= monotonic() - before < 60
    assert abs(now() - wall) < 60
    assert abs(monotonic() - pytime.monotonic()) < 60
    assert abs(now() - pytime.time()) < 60


async def _hour():
    start = monotonic()
    await sleep(3600)
    return start, monotonic()


@pytest.mark.go("internal/synctest", "TestRunEmpty")
@pytest.mark.go("testing/synctest", "TestSuccess")
def test_run_empty():
    async def main():
        pass

    assert synctest.test(main) is None
    assert synctest.test(lambda: "plain") == "plain"


@pytest.mark.go("internal/synctest", "TestSimpleWait")
def test_simple_wait():
    synctest.test(synctest.wait)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestGoroutineWait")
def test_goroutine_wait():
    ran = []

    async def main():
        gopark.go(ran.append, 1)
        await synctest.wait()
        return len(ran)

    assert synctest.test(main) == 1


async def chain(length):
    """Goroutines that hand a counter on, each started by the one before it."""
    done, ch = [], Chan()

    async def link():
        count = await ch.recv()
        if not count:
            done.append(True)
        else:
            gopark.go(link)
            await ch.send(count[:-1])

    gopark.go(link)
    await ch.send(bytearray(length))
    await synctest.wait()
    assert done == [True]


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestWait")
def test_wait():
    synctest.test(chain, 100)


@pytest.mark.go("internal/synctest", "TestMallocs")
def test_mallocs():
    for _ in range(20):
        synctest.test(chain, 30)


@pytest.mark.go("internal/synctest", "TestTimerReadBeforeDeadline")
def test_timer_read_before_deadline():
    async def main():
        await Timer(5).c.recv()
        return monotonic()

    assert synctest.test(main) == 5


@pytest.mark.go("internal/synctest", "TestTimerReadAfterDeadline")
def test_timer_read_after_deadline():
    async def main():
        timer = Timer(1)
        await sleep(2)
        return await timer.c.recv()

    assert synctest.test(main) == 1


@pytest.mark.go("internal/synctest", "TestTimerReset")
def test_timer_reset():
    async def main():
        timer, got = Timer(1), []
        got.append(await timer.c.recv())
        timer.reset(2)
        got.append(await timer.c.recv())
        timer.reset(3)
        await sleep(1)
        timer.reset(3)
        got.append(await timer.c.recv())
        return got

    assert synctest.test(main) == [1, 3, 7]


@pytest.mark.go("internal/synctest", "TestTimeAfter")
def test_time_after():
    async def main():
        at = []

        async def later():
            await sleep(1)
            at.append(monotonic())

        async def first():
            at.append(monotonic())
            gopark.go(later)

        after_func(1, first)
        await sleep(3)
        await synctest.wait()
        return at

    assert synctest.test(main) == [1, 2]


@pytest.mark.go("internal/synctest", "TestTimerAfterBubbleExit")
async def test_timer_after_bubble_exit():
    ran = []
    synctest.test(lambda: after_func(0.001, ran.append, 1))
    await sleep(0.005)
    assert ran == []


@pytest.mark.go("internal/synctest", "TestTimerFromOutsideBubble")
async def test_timer_from_outside_bubble():
    start = monotonic()
    timer = Timer(0.01)
    synctest.test(timer.c.recv)
    assert timer.stop() is False
    assert monotonic() - start >= 0.01


@pytest.mark.go("internal/synctest", "TestTimerNondeterminism")
def test_timer_nondeterminism():
    async def main():
        seen = set()
        for _ in range(1000):
            first, second = Timer(1e-9), Timer(1e-9)
            seen.add((await select(recv(first.c), recv(second.c)))[0])
            if len(seen) == 2:
                return
            await synctest.wait()
        pytest.fail(f"always {seen}")

    synctest.test(main)


@pytest.mark.go("internal/synctest", "TestSleepNondeterminism")
def test_sleep_nondeterminism():
    async def sleeper(n, woken):
        await sleep(1e-9)
        woken.append(n)

    async def main():
        seen = set()
        for _ in range(1000):
            woken: list[int] = []
            gopark.go(sleeper, 1, woken)
            gopark.go(sleeper, 2, woken)
            await sleep(1e-9)
            await synctest.wait()
            assert sorted(woken) == [1, 2]
            seen.add(woken[0])
            if len(seen) == 2:
                return
        pytest.fail(f"always {seen}")

    synctest.test(main)


@pytest.mark.go("internal/synctest", "TestTimerRunsImmediately")
def test_timer_runs_immediately():
    async def main():
        return Timer(0).c.try_recv()

    assert synctest.test(main) == (0.0, True, True)


@pytest.mark.go("internal/synctest", "TestTimerRanInPast")
def test_timer_ran_in_past():
    async def main():
        timer = Timer(1)
        await sleep(2)
        return timer.c.try_recv()

    assert synctest.test(main) == (1.0, True, True)


@pytest.mark.go("internal/synctest", "TestAfterFuncRunsImmediately")
def test_after_func_runs_immediately():
    async def main():
        ran: list[int] = []
        after_func(0, ran.append, 1)
        while not ran:
            await gopark.gosched()
        return monotonic()

    assert synctest.test(main) == 0


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestTimerResetZeroDoNotHang")
def test_timer_reset_zero_do_not_hang():
    async def main():
        timer, received = Timer(0), []
        ctx, cancel = with_cancel(background())

        async def receives():
            while (await select(recv(ctx.done()), recv(timer.c)))[0]:
                received.append(monotonic())

        gopark.go(receives)
        await synctest.wait()
        timer.reset(0)
        await synctest.wait()
        cancel()
        await synctest.wait()
        return received

    assert synctest.test(main) == [0, 0]


# --- deadlocks --------------------------------------------------------------------------------


def headers(err):
    return [line for line in err.stacks.splitlines() if line.startswith("goroutine ")]


@pytest.mark.go("internal/synctest", "TestDeadlockRoot")
def test_deadlock_root():
    with pytest.raises(synctest.BubbleDeadlockError) as caught:
        synctest.test(select)
    assert str(caught.value) == "deadlock: all goroutines in bubble are blocked"
    (header,) = headers(caught.value)
    assert "[select (no cases) (durable), synctest bubble " in header


@pytest.mark.go("internal/synctest", "TestDeadlockChild")
def test_deadlock_child():
    with pytest.raises(synctest.BubbleDeadlockError) as caught:
        synctest.test(gopark.go, select)
    text = "deadlock: main bubble goroutine has exited but blocked goroutines remain"
    assert str(caught.value) == text
    assert len(headers(caught.value)) == 1


@pytest.mark.go("internal/synctest", "TestDeadlockTicker")
def test_deadlock_ticker():
    ticked = []

    async def child():
        async for at in tick(1):
            ticked.append(at)

    with pytest.raises(synctest.BubbleDeadlockError, match="main bubble goroutine has exited"):
        synctest.test(gopark.go, child)
    assert ticked == []


# --- Cond, iterators, weak references ---------------------------------------------------------


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestCond")
def test_cond():
    async def main():
        cond, at = Cond(Mutex()), []

        async def signals():
            await sleep(0.25)
            async with cond.locker:
                cond.signal()
            await sleep(0.25)
            async with cond.locker:
                cond.broadcast()

        async def waits():
            async with cond.locker:
                await cond.wait()
            at.append(monotonic())

        gopark.go(signals)
        await waits()
        gopark.go(waits)
        await waits()
        await synctest.wait()
        return at

    assert synctest.test(main) == [0.25, 0.5, 0.5]


async def _times():
    while True:
        yield monotonic()
        await sleep(1)


@pytest.mark.go("internal/synctest", "TestIteratorPush")
@pytest.mark.go("internal/synctest", "TestIteratorPull")
def test_iterator_pull():
    """Python's asynchronous iterators: an `async for`, and one that is asked step by step."""

    async def main():
        got: list[float] = []

        async def loops():
            async for at in _times():
                got.append(at)
                if len(got) == 3:
                    break

        gopark.go(loops)
        await sleep(5)
        await synctest.wait()
        steps = _times()
        asked = [await anext(steps) for _ in range(3)]
        await steps.aclose()
        return got, asked

    assert synctest.test(main) == ([0, 1, 2], [5, 6, 7])


@pytest.mark.go("internal/synctest", "TestWeak")
def test_weak():
    class Thing:
        pass

    async def main():
        refs = []
        for _ in range(5):
            gc.collect()
            refs.append(weakref.ref(Thing()))
            ch = Chan(1)
            refs.append(weakref.ref(ch))
            del ch
        await sleep(1)
        gc.collect()
        return [ref() for ref in refs]

    assert synctest.test(main) == [None] * 10
