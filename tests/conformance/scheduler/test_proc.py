"""The scheduler from inside: run queues, goroutines at the same time, deep stacks.

With the GIL goroutines on several threads run by turns; that they run at the same time shows in
that each gets on while the others spin.

Go: runtime/proc_test.go, stack_test.go.
"""

from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref
from collections import Counter
from math import gcd

import pytest

import gopark
from gopark import Chan, gosched
from gopark._runtime.base import runtime2
from gopark._runtime.base.runtime2 import G, Sched
from gopark._runtime.sched import runq
from gopark.testing import wait_all_parked

GIVE_UP = 300.0  # seconds; more than any machine needs


@pytest.fixture
def gomaxprocs():
    """`gomaxprocs(n)` for this test."""
    before = gopark.runtime.gomaxprocs()
    yield gopark.runtime.gomaxprocs
    gopark.runtime.gomaxprocs(before)


class Word:
    """A word that goroutines spin on."""

    def __init__(self) -> None:
        self.value = 0

    def await_value(self, value: int) -> None:
        """Spin, without giving way, until it is this."""
        deadline = time.monotonic() + GIVE_UP
        while self.value != value:
            assert time.monotonic() < deadline, f"still {self.value}, want {value}"

    def hand_over(self, p: int, procs: int, done: Chan) -> None:
        """What one of the goroutines does: three times, wait for its turn, and pass it on."""
        for i in range(3):
            self.await_value(procs * i + p)
            self.value += 1
        done.try_send(p)


# --- run queues --------------------------------------------------------------------------


@pytest.fixture
def sched():
    sched = Sched(2)
    sched.pidle.clear()  # nobody is to be woken for what is put on a queue
    sched.npidle = 0
    return sched


def owner(sched: Sched, p: runtime2.P) -> runtime2.M:
    m = runtime2.M(sched)
    m.p = p
    return m


def fresh(n: int) -> list[G]:
    return [G(next(runtime2.goids)) for _ in range(n)]


@pytest.mark.go("runtime", "TestSchedLocalQueue")
def test_sched_local_queue(sched):
    p = sched.allp[0]
    m = owner(sched, p)
    gs = fresh(64)
    for n in range(len(gs)):
        assert p.empty()
        assert runq.runqhead(p) is None
        for g in gs[:n]:
            runq.runqput(m, p, g)
        for g in gs[:n]:
            assert not p.empty()
            assert runq.runqhead(p) is g
        assert p.empty()
        assert runq.runqhead(p) is None


@pytest.mark.go("runtime", "TestSchedLocalQueueSteal")
def test_sched_local_queue_steal(sched):
    victim, thief = sched.allp
    m = owner(sched, victim)
    gs = fresh(64)
    for n in range(len(gs)):
        for g in gs[:n]:
            runq.runqput(m, victim, g)
        stolen = []
        if (first := runq.runqsteal(thief, victim)) is not None:
            stolen.append(first)
        while (g := runq.runqhead(thief)) is not None:
            stolen.append(g)
        left = []
        while (g := runq.runqhead(victim)) is not None:
            left.append(g)
        queued = max(0, n - 1)  # what is in the next slot is the victim's
        assert len(stolen) in (queued // 2, queued // 2 + 1)
        assert stolen + left == gs[:n]


@pytest.mark.go("runtime", "TestSchedLocalQueueEmpty")
def test_sched_local_queue_empty(sched):
    """One goroutine sits in the slot or on the queue while others come and go beside it.

    Between the two places it is in the hands of who moves it, and who looks for idle Ps after that.
    """
    p = sched.allp[0]
    m = owner(sched, p)
    still, other = fresh(2)
    seen = []
    looked = 0
    for in_slot in (True, False):
        (p.runnext if in_slot else p.runq).append(still)
        over = []

        def look(over=over):
            nonlocal looked
            while not over:
                seen.append(p.empty())
                looked += 1

        watcher = threading.Thread(target=look)
        watcher.start()
        while looked < 2000:
            if in_slot:
                p.runq.append(other)
                assert p.runq.popleft() is other
            else:
                runq.runqput(m, p, other)
                assert p.runnext.pop() is other
        over.append(True)
        watcher.join()
        assert runq.runqhead(p) is still
        assert p.empty()
        looked = 0
    assert not any(seen)


@pytest.mark.go("runtime", "TestStealOrder")
@pytest.mark.parametrize("procs", range(1, 65, 7))
def test_steal_order(procs):
    """From every start, by every step that is coprime with the number of Ps, each P once."""
    sched = Sched(procs)
    steps = [step for step in range(1, procs + 1) if gcd(step, procs) == 1]

    class Chosen:
        """In the place of the program's random numbers."""

        def __init__(self, start: int, step: int) -> None:
            self.start, self.step = start, step

        def randrange(self, n: int) -> int:
            assert n == procs
            return self.start

        def choice(self, choices: list[int]) -> int:
            assert choices == steps
            return self.step

    for start, step in itertools.product(range(procs), steps):
        sched.random = Chosen(start, step)
        order = [p.pid for p in runq.stealorder(sched)]
        assert order[0] == start
        assert sorted(order) == list(range(procs))
        assert {(b - a) % procs for a, b in itertools.pairwise(order)} <= {step % procs}


# --- stops and starts --------------------------------------------------------------------


@pytest.mark.go("runtime", "TestStopTheWorldDeadlock")
async def test_stop_the_world_deadlock(gomaxprocs):
    """Collections, changes of GOMAXPROCS, and goroutines that start one another without end."""
    gomaxprocs(3)
    done, stop, started = Chan(2), [], []

    async def perpetuum_mobile():
        started.append(None)
        if not stop:
            gopark.go(perpetuum_mobile)

    async def collects():
        for _ in range(20):
            gc.collect(0)
            await gosched()
        await done.send("collected")

    async def changes():
        n, deadline = 0, time.monotonic() + GIVE_UP
        while n < 200 or len(started) < 200:
            gomaxprocs(1 + n % 3)
            await gosched()
            n += 1
            assert time.monotonic() < deadline, f"{len(started)} started in {n} rounds"
        await done.send("changed")

    gopark.go(collects)
    gopark.go(changes)
    gopark.go(perpetuum_mobile)
    assert {await done.recv(), await done.recv()} == {"collected", "changed"}
    stop.append(True)
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.go("runtime", "TestYieldProgress")
@pytest.mark.usefixtures("procs")
async def test_yield_progress():
    """One that polls and yields lets a sleeper wake up, and hears of it."""
    c, cack, polls = Chan(), Chan(), Counter()

    async def polling():
        while True:
            index, value, _ = await gopark.select(gopark.recv(c), default=True)
            if index == 0:
                await cack.send(value)
                return
            polls[index] += 1
            await gosched()

    gopark.go(polling)
    while polls[-1] < 10:
        await gopark.time.sleep(0.001)
    await c.send("awake")
    assert await cack.recv() == "awake"


# --- at the same time --------------------------------------------------------------------


@pytest.mark.go("runtime", "TestGoroutineParallelism")
@pytest.mark.parametrize("plain", [False, True])
async def test_goroutine_parallelism(gomaxprocs, plain):
    procs = 4
    gomaxprocs(procs)
    word, done = Word(), Chan(procs)

    async def hand_over(*args):
        word.hand_over(*args)

    for p in range(procs):
        gopark.go(word.hand_over if plain else hand_over, p, procs, done)
    assert sorted([await done.recv() for _ in range(procs)]) == list(range(procs))
    assert word.value == 3 * procs


@pytest.mark.go("runtime", "TestGoroutineParallelism2")
@pytest.mark.parametrize(("load", "poller"), [(True, False), (False, True), (True, True)])
async def test_goroutine_parallelism2(gomaxprocs, load, poller):
    """Started in a nested fashion, among threads that fall asleep, and with a timer to wait for."""
    procs = 4
    gomaxprocs(procs)
    if load:
        met, arrived = Chan(), itertools.count(1)
        all_there = Word()

        async def meets():
            if next(arrived) == procs:
                all_there.value = 1
                await met.send(None)
            else:
                all_there.await_value(1)

        for _ in range(procs):
            gopark.go(meets)
        await met.recv()
    timer = gopark.time.after_func(3600, gc.collect) if poller else None
    word, done = Word(), Chan(procs)

    async def hand_over(p):
        word.hand_over(p, procs, done)

    async def starts(p):
        for p2 in range(2):
            gopark.go(hand_over, 2 * p + p2)

    for p in range(procs // 2):
        gopark.go(starts, p)
    assert sorted([await done.recv() for _ in range(procs)]) == list(range(procs))
    assert timer is None or timer.stop()


# --- goroutines that do not give way -----------------------------------------------------


@pytest.mark.go("runtime", "TestPreemption")
@pytest.mark.usefixtures("procs")
async def test_preemption():
    """Two spin until the other has set a flag; with one P that takes sysmon."""
    word, done = Word(), Chan(2)

    async def spins(g):
        for _ in range(5):
            word.await_value(g)
            word.value = 1 - g
        await done.send(g)

    for g in range(2):
        gopark.go(spins, g)
    assert {await done.recv(), await done.recv()} == {0, 1}


@pytest.mark.go("runtime", "TestPreemptionGC")
@pytest.mark.usefixtures("procs")
async def test_preemption_gc():
    """What looks at everything is not held up by goroutines that are busy calling functions."""
    stop, turns = [], Counter()

    def nothing():
        pass

    async def busy(n):
        while not stop:
            nothing()
            turns[n] += 1

    for n in range(3):
        gopark.go(busy, n)
    while len(turns) < 3:
        await gosched()
    for _ in range(3):
        gc.collect(0)
        assert gopark.runtime.stack(all=True).count("goroutine ") >= 4
    stop.append(True)
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.go("runtime", "TestPreemptionAfterSyscall")
@pytest.mark.parametrize("microseconds", [10, 100, 1000])
async def test_preemption_after_syscall(gomaxprocs, microseconds):
    """Eight that do nothing but short system calls, never to give way, all have their turns.

    So has the one that tells them to stop, with two Ps among nine, and all of them hear of it.
    """
    gomaxprocs(2)
    over, stop, turns = Chan(8), [], Counter()

    async def calls(n):
        deadline = time.monotonic() + GIVE_UP
        while not stop:
            time.sleep(microseconds / 1e6)
            turns[n] += 1
            assert time.monotonic() < deadline, turns
        await over.send(n)

    for n in range(8):
        gopark.go(calls, n)
    while len(turns) < 8 or min(turns.values()) < 3:
        await gosched()
    stop.append(True)
    assert {await over.recv() for _ in range(8)} == set(range(8))


@pytest.mark.go("runtime", "TestPingPongHog")
async def test_ping_pong_hog(gomaxprocs):
    """A slice is a number of steps here: a pair that wakes each other gets as many as any other.

    What a step costs is its own affair, up to the 10 ms after which sysmon takes the P.
    """
    gomaxprocs(1)
    counts, stop = Counter(), []
    hogs, lights = Chan(), Chan()

    async def half(name, work, wake):
        while True:
            await wake.recv()
            counts[name] += 1
            for _ in range(work):
                pass
            if stop:
                wake.close()
                return
            await wake.send(None)

    async def pair(name, work, wake):
        try:
            await half(name, work, wake)
        except gopark.ClosedChannelError:
            pass

    for name, work, wake in (("hog", 2000, hogs), ("light", 2, lights)):
        gopark.go(pair, name, work, wake)
        gopark.go(pair, name, work, wake)
    await hogs.send(None)
    await lights.send(None)
    while sum(counts.values()) < 3000:
        await gosched()
    stop.append(True)
    await wait_all_parked()
    assert max(counts.values()) <= 20 * min(counts["hog"], counts["light"]), counts


# --- deep stacks -------------------------------------------------------------------------


def deep(n: int) -> int:
    return 0 if n == 0 else 1 + deep(n - 1)


@pytest.mark.go("runtime", "TestStackGrowth")
async def test_stack_growth():
    """In a plain goroutine, in one that is locked to its thread, in a coroutine and a finaliser."""
    depth, done = 400, Chan(4)

    def plain():
        done.try_send(("plain", deep(depth)))

    async def locked():
        gopark.runtime.lock_os_thread()
        done.try_send(("locked", deep(depth)))

    async def awaits(n):
        return 0 if n == 0 else 1 + await awaits(n - 1)

    async def coroutine():
        done.try_send(("coroutine", await awaits(depth)))

    class Thing:
        pass

    async def collects():
        thing = Thing()
        thing.itself = thing
        weakref.finalize(thing, lambda: done.try_send(("finaliser", deep(depth))))
        del thing
        gc.collect()

    for fn in plain, locked, coroutine, collects:
        gopark.go(fn)
    got = {await done.recv() for _ in range(4)}
    assert got == {(name, depth) for name in ("plain", "locked", "coroutine", "finaliser")}


@pytest.mark.go("runtime", "TestStackGrowthCallback")
@pytest.mark.parametrize("plain", [False, True])
async def test_stack_growth_callback(plain):
    """Channels, a dict and the start of a goroutine work under any number of frames."""

    async def operations():
        ch, done = Chan(1), Chan()
        await ch.send(1)
        numbers = {n: n for n in range(10)}
        gopark.go(done.send, numbers)
        return (await ch.recv(), len(await done.recv()))

    async def down(n):
        return await down(n - 1) if n else await operations()

    def plain_down(n):
        return plain_down(n - 1) if n else gopark.block(operations())

    out = Chan()

    def sends(n):
        gopark.block(out.send(plain_down(n)))

    for n in range(0, 300, 23):
        if plain:
            gopark.go(sends, n)
            assert await out.recv() == (1, 10)
        else:
            assert await down(n) == (1, 10)


@pytest.mark.go("runtime", "TestVersion")
def test_version():
    assert gopark.__version__
    assert gopark.__version__.splitlines() == [gopark.__version__]
