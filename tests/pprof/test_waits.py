"""The profiles `block` and `mutex`."""

from __future__ import annotations

import io
import time

import pytest

import gopark
from gopark import Chan, metrics, pprof, trace
from gopark._runtime.base.hooks import wakes
from gopark._runtime.prof import metrics as measured
from gopark._runtime.prof import mprof
from gopark._runtime.sched import sema
from gopark.runtime import set_block_profile_rate, set_mutex_profile_fraction
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup
from gopark.testing import wait_all_parked
from protoreader import read

PLAIN = sema.Sema.dequeue, vars(mprof.G)["waitsince"]


@pytest.fixture(autouse=True)
def off():
    """Whatever a test records is its own, and nothing is recorded after it.

    An earlier test may have read metrics, which are counted from then on.
    """
    measured._stop()
    for buckets in (mprof._blocks, mprof._mutexes):
        buckets.records()
        buckets.sums.clear()
    yield
    set_block_profile_rate(0)
    set_mutex_profile_fraction(0)


def of(name):
    file = io.BytesIO()
    pprof.lookup(name).write_to(file)
    return read(file.getvalue())


def text(name):
    file = io.StringIO()
    pprof.lookup(name).write_to(file, 1)
    return file.getvalue()


async def ends_after(seconds, wake):
    """Wake the others once they have waited for a while."""
    await wait_all_parked()
    time.sleep(seconds)  # what is measured is time
    wake()


@pytest.mark.go("runtime/pprof", "TestBlockProfile")
@pytest.mark.usefixtures("procs")
async def test_block_profile():
    """Each kind of wait shows the call, its time and how often."""
    ch, mu, rw, wg = Chan(), Mutex(), RWMutex(), WaitGroup()
    cond = Cond(Mutex())
    full, closing = Chan(), Chan()
    done = Chan(10)

    async def receives():
        await ch.recv()

    async def sends():
        await full.send(1)

    async def selects():
        await gopark.select(gopark.recv(closing), gopark.recv(Chan()))

    async def locks():
        async with mu:
            pass

    async def reads():
        async with rw.reader():
            pass

    async def waits():
        await wg.wait()

    async def signalled():
        async with cond.locker:
            await cond.wait()

    def plain():
        with mu:
            pass

    kinds = [receives, sends, selects, locks, reads, waits, signalled, plain]
    set_block_profile_rate(1)
    wg.add(1)

    async def runs(fn):
        if fn is plain:
            fn()
        else:
            await fn()
        await done.send(None)

    async with mu, rw:
        for fn in kinds:
            gopark.go(runs, fn)
        await wait_all_parked()
        time.sleep(0.02)
        ch.try_send(1)
        full.try_recv()
        closing.close()
        wg.done()
        cond.signal()
    for _ in kinds:
        await done.recv()
    profile = of("block")
    assert profile.kinds == [("contentions", "count"), ("delay", "nanoseconds")]
    tops = {s.stack[1].rpartition(".")[2]: s for s in profile.samples if "<" not in s.stack[0]}
    called = {
        "receives": "gopark.Chan.recv",
        "sends": "gopark.Chan.send",
        "selects": "gopark.select",
        "locks": "gopark.sync.Mutex.lock",
        "reads": "gopark.sync.RWMutex.rlock",
        "waits": "gopark.sync.WaitGroup.wait",
        "signalled": "gopark.sync.Cond.wait",
        "plain": "gopark.sync.Mutex.lock",
    }
    for name, call in called.items():
        sample = tops[name]
        assert sample.stack[0] == call
        assert sample.stack[2].endswith(".runs")
        assert sample.values[0] >= 1
        assert sample.values[1] >= 20_000_000, name


async def test_waiting_begins_when_the_goroutine_parks_and_not_with_its_step():
    """The loop's own clock is as old as its last look; it would count what came before."""
    ch, came = Chan(), []

    async def computes_and_waits():
        time.sleep(0.05)
        came.append(time.monotonic())
        await ch.recv()

    set_block_profile_rate(1)
    gopark.go(computes_and_waits)
    await wait_all_parked()
    ch.try_send(1)
    await gopark.gosched()
    sample = next(s for s in of("block").samples if "computes" in s.stack[1])
    assert sample.values[1] <= (time.monotonic() - came[0]) * 1e9


async def test_a_sleep_is_no_wait_for_others():
    set_block_profile_rate(1)
    await gopark.time.sleep(0.002)
    assert of("block").samples == []


async def test_off_costs_nothing_and_keeps_what_was_recorded():
    ch = Chan()
    set_block_profile_rate(1)
    set_mutex_profile_fraction(1)
    assert wakes.heard
    gopark.go(ch.send, 1)
    await ch.recv()
    gopark.go(ch.send, 1)
    await gopark.gosched()
    await ch.recv()
    before = of("block").samples
    assert before
    set_block_profile_rate(0)
    set_mutex_profile_fraction(0)
    now = sema.Sema.dequeue, vars(mprof.G)["waitsince"]
    assert now == PLAIN
    assert wakes.heard == []
    gopark.go(ch.recv)
    await gopark.gosched()
    await ch.send(1)
    assert of("block").samples == before


@pytest.mark.go("runtime/pprof", "TestBlockProfileBias")
def test_block_profile_bias():
    """Many short waits and few long ones of the same total come out the same."""
    rate, total = 0.001, 20.0

    def recorded(delay):
        samples = [mprof.sample(delay, rate) for _ in range(round(total / delay))]
        kept = [s for s in samples if s is not None]
        return sum(s[0] for s in kept), sum(s[1] for s in kept), len(kept)

    short, long = recorded(0.0001), recorded(0.01)
    assert short[2] < 0.2 * total / 0.0001  # the profile is a sample of them
    assert abs(short[1] - total) < 0.1 * total
    assert abs(short[0] - total / 0.0001) < 0.1 * total / 0.0001
    assert long == pytest.approx((2000, total, 2000))


@pytest.mark.go("runtime/pprof", "TestMutexProfile")
@pytest.mark.usefixtures("procs")
async def test_mutex_profile():
    """Who unlocks is charged for the time of all who wait."""
    mu, done = Mutex(), Chan(10)

    async def locks():
        async with mu:
            pass
        await done.send(None)

    async def holds():
        async with mu:
            for _ in range(4):
                gopark.go(locks)
            await wait_all_parked()
            time.sleep(0.03)
        await done.send(None)

    set_mutex_profile_fraction(1)
    await holds()
    for _ in range(5):
        await done.recv()
    profile = of("mutex")
    (mine,) = (s for s in profile.samples if s.stack[1].endswith(".holds"))
    others = [s for s in profile.samples if s.stack[1].endswith(".locks")]
    assert mine.stack[0] == "gopark.sync.Mutex.unlock"
    assert mine.values[0] == 1
    assert mine.values[1] >= 4 * 30_000_000
    assert sum(s.values[1] for s in others) < mine.values[1]
    assert text("mutex").startswith("--- mutex:\ncycles/second=1000000000\nsampling period=1\n")


@pytest.mark.go("runtime/pprof", "TestMutexProfileRateAdjust")
async def test_mutex_profile_rate_adjust():
    """Turned off, the profile keeps what it has, and nothing is added."""
    mu, done = Mutex(), Chan()

    async def locks():
        async with mu:
            pass
        await done.send(None)

    async def contend():
        async with mu:
            gopark.go(locks)
            await wait_all_parked()
        await done.recv()

    set_mutex_profile_fraction(1)
    await contend()
    before = of("mutex").samples
    assert before
    set_mutex_profile_fraction(0)
    await contend()
    assert of("mutex").samples == before


@pytest.mark.go("runtime/pprof", "TestMutexBlockFullAggregation")
async def test_mutex_block_full_aggregation():
    """However often, each stack is in a profile once."""
    mu, wg = Mutex(), WaitGroup()
    set_mutex_profile_fraction(1)
    set_block_profile_rate(1)

    async def locks(n):
        for _ in range(n):
            async with mu:
                await gopark.gosched()
        wg.done()

    wg.add(5)
    async with mu:
        for _ in range(5):
            gopark.go(locks, 40)
        await wait_all_parked()
    await wg.wait()
    for name in ("block", "mutex"):
        heads = [line for line in text(name).splitlines() if " @ " in line]
        stacks = [line.partition(" @")[2] for line in heads]
        assert stacks
        assert len(set(stacks)) == len(stacks)
    assert sum(s.values[0] for s in of("mutex").samples) >= 5


async def lock_a(mu):
    await lock_b(mu)


async def lock_b(mu):
    await lock_c(mu)


async def lock_c(mu):
    await mu.lock()


def unlock_d(mu):
    unlock_e(mu)


def unlock_e(mu):
    unlock_f(mu)


def unlock_f(mu):
    mu.unlock()


@pytest.mark.go("runtime/pprof", "TestBlockMutexProfileInlineExpansion")
async def test_block_mutex_profile_inline_expansion():
    """All callers are in the stack, of the lock and of the unlock."""
    mu, done = Mutex(), Chan()
    set_mutex_profile_fraction(1)
    set_block_profile_rate(1)

    async def locks():
        await lock_a(mu)
        await done.send(None)

    await mu.lock()
    gopark.go(locks)
    await wait_all_parked()
    unlock_d(mu)
    await done.recv()
    mu.unlock()
    stacks = {name: [s.stack for s in of(name).samples] for name in ("block", "mutex")}
    called = ["lock_c", "lock_b", "lock_a"], ["unlock_f", "unlock_e", "unlock_d"]
    tops = "gopark.sync.Mutex.lock", "gopark.sync.Mutex.unlock"
    for name, top, functions in zip(("block", "mutex"), tops, called, strict=True):
        wanted = (top, *(f"{__name__}.{function}" for function in functions))
        assert wanted in [stack[:4] for stack in stacks[name]]


@pytest.mark.go("runtime/pprof", "TestProfilerStackDepth")
async def test_profiler_stack_depth():
    """Profiles keep the 128 innermost frames."""
    mu, done = Mutex(), Chan()
    set_mutex_profile_fraction(1)
    set_block_profile_rate(1)

    async def deep(n, fn):
        await (deep(n - 1, fn) if n else fn())

    async def unlocks():
        await done.recv()
        mu.unlock()

    async def locks():
        await mu.lock()
        await done.send(None)

    await mu.lock()
    gopark.go(deep, 150, unlocks)
    gopark.go(deep, 150, locks)
    await wait_all_parked()
    for name, tops in (
        ("goroutine", {"unlocks", "locks"}),
        ("mutex", {"unlocks"}),
        ("block", {"unlocks", "locks"}),
    ):
        if name == "mutex":
            await done.send(None)
            await done.recv()
        deeps = [s.stack for s in of(name).samples if s.stack[-1].endswith(".deep")]
        assert {stack[1].rpartition(".")[2] for stack in deeps} == tops
        assert {len(stack) for stack in deeps} == {129}  # the call on top is ours


async def test_readers_and_writers_are_told_apart():
    rw, done = RWMutex(), Chan(4)

    async def writes():
        async with rw:
            await done.send(None)

    async def reads():
        async with rw.reader():
            await done.send(None)

    set_mutex_profile_fraction(1)

    async def lets_writer_in():
        async with rw.reader():
            gopark.go(writes)
            await wait_all_parked()

    async def lets_reader_in():
        async with rw:
            gopark.go(reads)
            await wait_all_parked()

    await lets_writer_in()
    await done.recv()
    await lets_reader_in()
    await done.recv()
    tops = {s.stack[1].rpartition(".")[2]: s.stack[0] for s in of("mutex").samples}
    assert tops == {
        "lets_writer_in": "gopark.sync.RWMutex.runlock",
        "lets_reader_in": "gopark.sync.RWMutex.unlock",
    }


def test_rates_are_integers_and_the_fraction_can_be_asked_for():
    with pytest.raises(TypeError, match=r"needs an integer, got 0\.5"):
        set_block_profile_rate(0.5)
    with pytest.raises(TypeError, match="needs an integer, got None"):
        set_mutex_profile_fraction(None)
    assert set_mutex_profile_fraction(7) == 0
    assert set_mutex_profile_fraction(-1) == 7
    assert set_mutex_profile_fraction(0) == 7


def test_the_text_of_waits_begins_as_gos():
    assert text("block") == "--- contention:\ncycles/second=1000000000\n"


async def test_waits_are_recorded_after_a_trace_beside_metrics():
    """All three put something in the place of `ready`, and take it away in any order."""
    metrics.read([metrics.Sample("/sched/latencies:seconds")])
    trace.start(io.StringIO())
    trace.stop()
    set_block_profile_rate(1)
    ch = Chan()
    gopark.go(ends_after, 0, lambda: ch.try_send(None))
    await ch.recv()
    assert "test_waits_are_recorded_after_a_trace_beside_metrics" in text("block")
    set_block_profile_rate(0)
    measured._stop()
    assert wakes.heard == []


async def test_a_fraction_may_be_any_number():
    """It is never met, but a lock can be given back."""
    set_mutex_profile_fraction(10**400)
    mu = gopark.sync.Mutex()
    async with mu:
        gopark.go(mu.lock)
        await gopark.testing.wait_all_parked()
    await gopark.testing.wait_all_parked()
    assert "locked" in repr(mu)
    assert "unlocked" not in repr(mu)


def test_what_a_finaliser_counts_while_others_are_sorted_is_not_lost():
    buckets, left = mprof._Buckets(), [2000]

    class Comes(str):
        """Stands for whatever comes in amid it."""

        def __hash__(self):
            while left:
                for _ in range(left.pop()):
                    buckets.add((), "late", 1.0, 0.0)
            return 0

    for _ in range(3):
        buckets.add((), Comes("first"), 1.0, 0.0)
    buckets.records()
    assert {"".join(record.reason): record.times for record in buckets.records()} == {
        "first": 3,
        "late": 2000,
    }
