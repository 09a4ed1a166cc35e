"""Bubbles, beyond what Go's tests say of them (tests/conformance/synctest)."""

from __future__ import annotations

import functools
import gc
import itertools
import random
import re
import signal
import threading
import time as pytime

import pytest

import gopark
from gopark import Chan, recv, select
from gopark._runtime.base.runtime2 import GWAITING, G, allgs, getg
from gopark._runtime.bubble.bubble import Bubble, BubbleG
from gopark.context import background, with_timeout
from gopark.sync import Mutex, Once, WaitGroup, errgroup, semaphore, singleflight
from gopark.testing import leak, synctest, wait_all_parked
from gopark.time import Ticker, Timer, after, after_func, monotonic, sleep
from harness import run as runprog

# --- calling it -------------------------------------------------------------------------------


async def add(a, b=0):
    await sleep(1)
    return a + b


def plain_add(a, b=0):
    gopark.block(sleep(1))
    return a + b


@pytest.mark.parametrize("fn", [add, plain_add])
def test_it_returns_what_the_function_returns(fn):
    assert synctest.test(fn, 1, b=2) == 3


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("fn", [add, plain_add])
async def test_from_goroutines_of_both_kinds(fn):
    got = Chan()

    def plain():
        gopark.block(got.send(synctest.test(fn, 1)))

    async def coroutine():
        await got.send(synctest.test(fn, 2))

    gopark.go(plain)
    gopark.go(coroutine)
    assert synctest.test(fn, 0) == 0
    assert sorted([await got.recv(), await got.recv()]) == [1, 2]


@pytest.mark.outside_help
async def test_from_a_thread_of_pythons():
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(synctest.test(add, 1)))
    thread.start()
    gopark.cgo.call(thread.join)
    assert got == [1]


def test_a_decorated_async_def():
    assert synctest.test(lambda: add(1, 2)) == 3


def test_an_exception_passes_through_and_says_what_is_left():
    async def main():
        gopark.go(sleep, 1)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        synctest.test(main)
    (note,) = caught.value.__notes__
    assert "main bubble goroutine has exited but blocked goroutines remain" in note
    assert "[sleep (durable), synctest bubble " in note


def test_an_exception_alone_has_no_note():
    def main():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        synctest.test(main)
    assert not hasattr(caught.value, "__notes__")


def test_mistakes():
    coro = add(1)
    with pytest.raises(TypeError, match="was given a coroutine object"):
        synctest.test(coro)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot be called so"):
        synctest.test(plain_add)
    with pytest.raises(RuntimeError, match="goroutine is not in a bubble"):
        gopark.run(synctest.wait)
    with pytest.raises(RuntimeError, match="goroutine is not in a bubble"):
        gopark.run(synctest.sleep, 1e6)  # at once
    with pytest.raises(RuntimeError, match="called from within a synctest bubble"):
        synctest.test(synctest.test, add, 1)


def test_goexit_of_main_ends_the_test():
    assert synctest.test(gopark.goexit) is None


def test_a_fresh_bubble_after_each_test():
    assert [synctest.test(_now_and_later) for _ in range(3)] == [(0.0, 1.0)] * 3


async def _now_and_later():
    start = monotonic()
    await sleep(1)
    return start, monotonic()


# --- wait -------------------------------------------------------------------------------------


def test_one_wait_at_a_time():
    async def main():
        errors = []

        async def second():
            try:
                await synctest.wait()
            except RuntimeError as exc:
                errors.append(str(exc))

        gopark.go(second)
        await synctest.wait()
        await synctest.wait()
        return errors

    assert synctest.test(main) == ["synctest.wait: wait already in progress"]


def test_wait_and_sleep_from_plain_code():
    def main():
        ran: list[float] = []
        after_func(5, lambda: ran.append(monotonic()))
        gopark.block(synctest.wait())
        assert ran == []
        gopark.block(synctest.sleep(5))
        assert ran == [5]

    synctest.test(main)


def test_wait_does_not_move_the_clock():
    async def main():
        gopark.go(sleep, 10)
        await synctest.wait()
        at = monotonic()
        await sleep(10)
        await synctest.wait()
        return at

    assert synctest.test(main) == 0


# --- what is durable, and what is not ---------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_mutex_is_not():
    """Somebody outside has it; until that one unlocks, no hour passes."""
    mutex, inside = Mutex(), Chan()
    await mutex.lock()

    async def locks(at):
        await mutex.lock()
        at.append(monotonic())

    async def main():
        at: list[float] = []
        gopark.go(locks, at)
        inside.close()
        await sleep(3600)
        return at

    async def unlocks():
        await inside.recv()
        await sleep(0.002)
        mutex.unlock()

    # The channel is from outside, so it may be closed from inside.
    gopark.go(unlocks)
    assert synctest.test(main) == [0]


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("blocks", [pytime.sleep, lambda s: gopark.cgo.call(pytime.sleep, s)])
def test_a_thread_that_blocks_is_not(blocks):
    async def main():
        at: list[float] = []

        def goes_on():
            blocks(0.005)
            at.append(monotonic())

        gopark.go(goes_on)
        await sleep(3600)
        return at

    assert synctest.test(main) == [0]


def test_none_channels_are():
    async def main():
        gopark.go(select, recv(None))
        await synctest.wait()

    with pytest.raises(synctest.BubbleDeadlockError) as caught:
        synctest.test(main)
    assert "[select (durable), synctest bubble " in caught.value.stacks


@pytest.mark.usefixtures("procs")
def test_groups_semaphores_flights():
    async def fetch(n):
        await sleep(n)
        return n

    async def main():
        async with errgroup.Group(limit=2) as g:
            tasks = [g.go(fetch, n) for n in (1, 2, 3, 4)]
        assert [task.result() for task in tasks] == [1, 2, 3, 4]
        assert monotonic() == 6
        sem, wg = semaphore.Weighted(1), WaitGroup()

        async def holds():
            await sem.acquire()
            await sleep(1)
            sem.release()

        for _ in range(3):
            wg.go(holds)
        await wg.wait()
        assert monotonic() == 9
        flight, results = singleflight.Group(), []

        async def asks():
            results.append((await flight.do("key", fetch, 1))[0])

        for _ in range(3):
            wg.go(asks)
        await wg.wait()
        assert (results, monotonic()) == ([1, 1, 1], 10)
        once = Once()
        await once.do(fetch, 1)
        assert monotonic() == 11

    synctest.test(main)


# --- the clock --------------------------------------------------------------------------------


def test_an_hour_of_ticks_in_no_time():
    async def main():
        ticker, ticks = Ticker(1), []
        for _ in range(3600):
            ticks.append(await ticker.c.recv())
        return ticks

    began = pytime.monotonic()
    assert synctest.test(main) == [*range(1, 3601)]
    assert pytime.monotonic() - began < 600


def test_timeouts():
    async def main():
        never = Chan()
        assert (await select(recv(never), recv(after(5))))[:2] == (1, 5.0)
        with with_timeout(background(), 7) as ctx:
            assert ctx.deadline() == 12
            year = re.search(r"\.WithDeadline\((\d+)-", repr(ctx))
            assert year is not None
            assert year[1] in ("1999", "2000")
            assert (await select(recv(never), recv(ctx.done())))[0] == 1
            assert str(ctx.err()) == "context deadline exceeded"
        return monotonic()

    assert synctest.test(main) == 12


async def test_a_timer_from_outside_goes_by_the_clock_outside():
    timer, ran = Timer(3600), []
    other = after_func(3600, ran.append, True)

    async def main():
        await sleep(7200)
        assert timer.c.try_recv() == (None, False, False)
        assert timer.reset(0.001)
        assert other.reset(0.001)
        await timer.c.recv()
        assert monotonic() == 7200

    synctest.test(main)
    while not ran:
        await sleep(0.001)


@pytest.mark.usefixtures("procs")
def test_many_sleepers_each_wake_at_their_time():
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    plans = [[rng.randrange(1, 64) / 8 for _ in range(10)] for _ in range(40)]

    async def sleeper(plan, woken):
        for duration in plan:
            await sleep(duration)
            woken.append(monotonic())

    def plain_sleeper(plan, woken):
        for duration in plan:
            gopark.block(after(duration).recv())
            woken.append(monotonic())

    async def main():
        woken: list[list[float]] = [[] for _ in plans]
        async with WaitGroup() as wg:
            for i, plan in enumerate(plans):
                wg.go(plain_sleeper if i % 10 == 0 else sleeper, plan, woken[i])
        return woken

    expected = [[sum(plan[: n + 1]) for n in range(len(plan))] for plan in plans]
    assert synctest.test(main) == expected, f"seed {seed}"


@pytest.mark.usefixtures("procs")
def test_a_pipeline_takes_as_long_as_its_slowest_stage():
    """Values are handed on at once, whoever runs where; only sleeps take time."""

    async def stage(duration, source, sink):
        async for value in source:
            await sleep(duration)
            await sink.send(value + 1)
        sink.close()

    async def main():
        chans = [Chan() for _ in range(5)]
        for i, (source, sink) in enumerate(itertools.pairwise(chans)):
            gopark.go(stage, 1 if i == 2 else 0.25, source, sink)

        async def feeds():
            for n in range(20):
                await chans[0].send(n)
            chans[0].close()

        gopark.go(feeds)
        got = [value async for value in chans[-1]]
        return got, monotonic()

    assert synctest.test(main) == ([n + 4 for n in range(20)], 20.75)


# --- dumps and reports ------------------------------------------------------------------------


async def test_a_dump_tells_bubbles_apart():
    go_on = Chan()

    async def main():
        gopark.go(Chan().recv)
        await go_on.recv()
        gopark.go(sleep, 1)
        await synctest.wait()
        return gopark.runtime.stack(all=True)

    async def sends():
        await wait_all_parked()
        await go_on.send(None)

    gopark.go(sends)
    with pytest.raises(synctest.BubbleDeadlockError):
        synctest.test(_keep(main, dumps := []))
    headers = [line for line in dumps[0].splitlines() if line.startswith("goroutine ")]
    reasons = sorted(line.partition("[")[2].partition(", synctest")[0] for line in headers)
    assert {"synctest.Run (durable)", "chan receive (durable)", "sleep (durable)"} < {*reasons}
    assert "goroutine 1 [synctest.Run (durable), synctest bubble " in dumps[0]
    assert "running" in reasons


def _keep(fn, into):
    async def main():
        into.append(await fn())

    return main


def test_a_deadlock_in_a_goroutine_shows_those_of_the_bubble():
    ended = runprog("testprog", "Synctest/deadlock")
    assert ended.status == 2
    text, _, stacks = ended.stderr.partition("\n\n")
    what = "deadlock: all goroutines in bubble are blocked"
    assert text == f"panic: gopark.testing.synctest.BubbleDeadlockError: {what}"
    headers = [line for line in stacks.splitlines() if line.startswith("goroutine ")]
    assert [line.partition("[")[2] for line in headers] == [
        "running]:",
        "chan receive (durable), synctest bubble 1]:",
        "chan receive (durable), synctest bubble 1]:",
    ]
    assert "synctest.stuck(...)" in stacks


# --- ends -------------------------------------------------------------------------------------


def test_the_end_of_the_program_ends_a_bubble():
    closed = []

    async def inside():
        try:
            await Chan().recv()
        finally:
            closed.append(True)

    def inside_plain():
        try:
            gopark.block(Chan().recv())
        finally:
            closed.append(True)

    async def bubble(lock):
        gopark.go(inside)
        gopark.go(inside_plain)
        await lock.lock()  # not durable: it goes on for ever

    async def main():
        lock = Mutex()
        await lock.lock()
        gopark.go(synctest.test, bubble, lock)
        await wait_all_parked()

    gopark.run(main)
    assert closed == [True, True]


def test_ctrl_c_comes_out_of_test():
    lock = Mutex()

    async def bubble():
        await lock.lock()
        signal.raise_signal(signal.SIGINT)
        await lock.lock()

    with pytest.raises(KeyboardInterrupt):
        synctest.test(bubble)


async def test_a_goroutine_outside_is_none_of_the_bubbles():
    """The Gs of those that have ended are used again."""
    kinds = set()

    async def notes():
        kinds.add(type(getg()))

    async def main():
        for _ in range(50):
            gopark.go(notes)
        await synctest.wait()

    synctest.test(main)
    assert kinds == {BubbleG}
    kinds.clear()
    async with WaitGroup() as wg:
        for _ in range(100):
            wg.go(notes)
    assert kinds == {G}
    assert monotonic() > 0


def test_nothing_of_a_bubble_is_left():
    async def main():
        gopark.go(sleep, 1)
        timer, ch = Timer(1), Chan()
        gopark.go(ch.send, 1)
        await ch.recv()
        await timer.c.recv()

    synctest.test(main)
    gc.collect()
    before = sum(type(obj) is Bubble for obj in gc.get_objects())
    for _ in range(5):
        synctest.test(main)
    gc.collect()
    assert sum(type(obj) is Bubble for obj in gc.get_objects()) <= before


def test_a_program_that_does_not_import_it_has_no_part_of_it(child):
    ended = child(
        "import sys, gopark\n"
        "from gopark._runtime.base import runtime2\n"
        "from gopark._runtime.sched import newproc\n"
        "async def main(): await gopark.time.sleep(0.001)\n"
        "gopark.run(main)\n"
        "print([name for name in sys.modules if 'bubble' in name or 'synctest' in name])\n"
        "print(newproc._listg == runtime2.allgs.add, gopark.testing.synctest.__name__)\n"
    )
    assert ended.stdout == "[]\nTrue gopark.testing.synctest\n", ended.stderr


def test_in_debug_runs(child):
    """The invariants of the scheduler and the order of its locks hold in a bubble, too."""
    ended = child(
        "import gopark\n"
        "from gopark.testing import synctest\n"
        "from gopark.time import Ticker, sleep\n"
        "def plain(ch): gopark.block(sleep(1)); gopark.block(ch.send(1))\n"
        "async def main():\n"
        "    ch, ticker = gopark.Chan(), Ticker(0.5)\n"
        "    async with gopark.sync.WaitGroup() as wg:\n"
        "        wg.go(plain, ch)\n"
        "        wg.go(sleep, 3)\n"
        "        await gopark.select(gopark.recv(ch))\n"
        "        await ticker.c.recv()\n"
        "    await synctest.sleep(1)\n"
        "    return gopark.time.monotonic()\n"
        "print(synctest.test(main))\n",
        GOPARKDEBUG="checksched=1,lockrank=1",
        GOMAXPROCS="2",
    )
    assert (ended.stdout, ended.returncode) == ("4.0\n", 0), ended.stderr


# --- what looks at goroutines by the clock on the wall -----------------------------------------


@pytest.mark.parametrize("look", [wait_all_parked, leak.find])
def test_waiting_for_somebody_outside_moves_no_virtual_time(run, procs, look):
    async def inside(left):
        start = monotonic()
        gopark.go(sleep, 3600)
        await look()
        assert monotonic() == start
        left.set()
        await sleep(3600)

    def main():
        left = threading.Event()
        ends = pytime.monotonic() + 0.05
        gopark.go(left.wait if look is leak.find else busy_until, ends)
        synctest.test(inside, left)

    def busy_until(when):
        while pytime.monotonic() < when:
            pass

    run(main, outside_help=True)


@pytest.mark.parametrize("kind", ["cond", "recv", "select", "sleep", "waitgroup"])
def test_a_task_in_a_bubble_may_be_cancelled_from_outside(kind, run):
    made, ended = [], threading.Event()

    def inside():
        ch, wg, cond = gopark.Chan(), gopark.sync.WaitGroup(), gopark.sync.Cond(gopark.sync.Mutex())
        wg.add(1)

        async def waits():
            if kind == "cond":
                async with cond.locker:
                    await cond.wait()
            elif kind == "select":
                await gopark.select(gopark.recv(ch))
            else:
                await {"recv": ch.recv, "waitgroup": wg.wait}.get(
                    kind, functools.partial(gopark.time.sleep, 3600)
                )()

        task = gopark.spawn(waits)
        while not any(g is task._g and g.status is GWAITING for g in allgs.copy()):
            gopark.block(gopark.gosched())
        made.append(task)
        ended.wait()  # not durably blocked: the clock stands still
        gopark.block(task.ended().recv())
        made.append(task.cancelled)

    def outside():
        while not made:
            gopark.block(gopark.gosched())
        made[0].cancel()
        ended.set()

    async def main():
        gopark.go(outside)
        done = gopark.Chan()
        gopark.go(lambda: (synctest.test(inside), gopark.block(done.send(None))))
        await done.recv()

    run(main)
    assert made[1] is True
