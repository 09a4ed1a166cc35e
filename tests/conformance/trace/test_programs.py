"""What Go's tests of its tracer pin down with whole programs (package internal/trace)."""

from __future__ import annotations

import io
import itertools
import os
import random
import time

import pytest

import gopark
import traces
from gopark import context, trace

BACKGROUND = context.background()


def traced(run, main, *args, **options):
    """Run it as main while it is traced; the trace."""
    out = io.BytesIO()

    async def traced_main():
        trace.start(out)
        try:
            await main(*args)
        finally:
            trace.stop()

    run(traced_main, **options)
    return traces.read(out.getvalue())


def nested(inner: traces.Span, outer: traces.Span) -> bool:
    return outer[0] <= inner[0] <= inner[1] <= outer[1]


@pytest.mark.go("internal/trace", "TestTraceAnnotations")
def test_trace_annotations(run):
    async def main():
        ctx, task = trace.new_task(BACKGROUND, "task0")

        async def worker(done):
            with trace.region(ctx, "region0"):
                with trace.region(ctx, "region1"):
                    trace.log(ctx, "key0", "0123456789abcdef")
                await gopark.gosched()
            task.end()
            done.close()

        done = gopark.Chan()
        gopark.go(worker, done)
        await done.recv()
        pre, part = trace.new_task(ctx, "part")
        with part:
            await trace.with_region(pre, "async", gopark.gosched)
        trace.with_region(BACKGROUND, "plain", lambda: None)

    found = traced(run, main)
    (task, part) = sorted(found.tasks.items(), key=lambda item: item[1])
    assert task[1][2] == "task0"
    assert part[1][2] == "part"
    (began,) = (e for e in found.events if e["ph"] == "b" and e["id"] == part[0])
    assert began["args"]["parent"] == int(task[0])
    (goid,) = (goid for goid in found.regions if goid != 1)
    inner, outer = found.regions[goid]
    assert (inner[2], outer[2]) == ("region1", "region0")
    assert nested(inner, outer)
    assert [name for _, _, name in found.regions[1]] == ["async", "plain"]
    assert found.logs() == [("key0", "0123456789abcdef")]
    (log,) = (e for e in found.instants if e["cat"] == "log")
    assert (log["tid"], log["args"]["task"]) == (goid, int(task[0]))
    begun = {e["name"]: e["args"]["task"] for e in found.events if e["ph"] == "B"}
    assert begun == {
        "region0": int(task[0]),
        "region1": int(task[0]),
        "async": int(part[0]),
        "plain": 0,
    }


@pytest.mark.go("internal/trace", "TestTraceAnnotationsStress")
def test_trace_annotations_stress(run, procs):
    async def main():
        group = gopark.sync.WaitGroup()

        async def worker(n):
            rnd = random.Random(n)
            ctx = BACKGROUND
            tasks = []
            for i in range(50):
                if rnd.random() < 0.5:
                    ctx, task = trace.new_task(ctx, f"task{i}")
                    tasks.append(task)
                with trace.region(ctx, "outer"), trace.region(ctx, "inner"):
                    trace.log(ctx, "i", str(i))
                    await gopark.gosched()
            for task in rnd.sample(tasks, len(tasks) // 2):
                task.end()

        for n in range(10):
            group.go(worker, n)
        await group.wait()

    found = traced(run, main)
    assert sum(map(len, found.regions.values())) == 1000
    assert len(found.logs()) == 500


@pytest.mark.go("internal/trace", "TestTraceFutileWakeup")
def test_trace_futile_wakeup(run, procs):
    """Who is woken gets on: on channels and in `select` nobody waits twice for one operation."""
    ops = 50

    async def main():
        group = gopark.sync.WaitGroup()
        plain, buffered = gopark.Chan(), gopark.Chan(1)

        async def sends(ch):
            for i in range(ops):
                await ch.send(i)

        async def receives(ch):
            for _ in range(ops):
                await ch.recv()

        async def selects(ch):
            for _ in range(ops):
                await gopark.select(gopark.recv(ch), gopark.recv(gopark.Chan()))

        for fn, ch in [
            (sends, plain),
            (sends, plain),
            (receives, plain),
            (selects, plain),
            (sends, buffered),
            (sends, buffered),
            (receives, buffered),
            (selects, buffered),
        ]:
            group.go(fn, ch)
        await group.wait()

    found = traced(run, main)
    goids = {goid for by, goid, why in found.arrows if why == "go"}
    assert len(goids) == 8
    for goid in goids:
        assert len(found.waits(goid)) <= ops
    assert sum(len(found.waits(goid)) for goid in goids) > ops


@pytest.mark.go("internal/trace", "TestTraceGOMAXPROCS")
def test_trace_gomaxprocs(run):
    before = gopark.runtime.gomaxprocs(0)

    async def main():
        group = gopark.sync.WaitGroup()

        async def worker():
            for _ in range(200):
                await gopark.gosched()

        for _ in range(8):
            group.go(worker)
        for n in (1, 2, 8, 4, 1, 3, before):
            gopark.runtime.gomaxprocs(n)
            for _ in range(10):
                await gopark.gosched()
        await group.wait()

    try:
        found = traced(run, main)
    finally:
        gopark.runtime.gomaxprocs(before)
    assert len({goid for _, goid, why in found.arrows if why == "go"}) == 8
    assert "P 0" in found.procs()


@pytest.mark.go("internal/trace", "TestTraceStacks")
def test_trace_stacks(run, libc):
    """Each way a goroutine leaves its thread is in the trace. There are no stacks in ours."""
    states: dict[str, str] = {}

    async def main():
        ch, buffered = gopark.Chan(), gopark.Chan(1)
        mutex, group = gopark.sync.Mutex(), gopark.sync.WaitGroup()
        cond, cond_mutex = None, gopark.sync.Mutex()
        cond = gopark.sync.Cond(cond_mutex)
        await buffered.send(0)
        await mutex.lock()
        group.add(1)

        async def receives():
            await ch.recv()

        async def sends():
            await buffered.send(1)

        async def selects():
            await gopark.select(gopark.recv(gopark.Chan()), gopark.recv(ch))

        async def locks():
            await mutex.lock()
            mutex.unlock()

        async def waits():
            await group.wait()

        async def condition():
            await cond_mutex.lock()
            await cond.wait()
            cond_mutex.unlock()

        async def sleeps():
            await gopark.time.sleep(0.001)

        async def nothing():
            await gopark.select()

        def c():
            gopark.cgo.call(libc.usleep, 100)

        async def yields():
            await gopark.gosched()

        for fn in (receives, sends, selects, locks, waits, condition, sleeps, nothing, c, yields):
            gopark.go(fn)
            states[fn.__name__] = ""
        for _ in range(50):
            await gopark.gosched()
        await gopark.time.sleep(0.01)
        ch.close()
        await buffered.recv()
        mutex.unlock()
        group.done()
        cond.signal()
        await gopark.time.sleep(0.001)

    found = traced(run, main)
    for name in states:
        goid = found.goid(f"test_trace_stacks.main.{name}")
        states[name] = " ".join(found.waits(goid))
        assert (1, goid, "go") in found.arrows
        if name in ("receives", "sends", "selects", "locks", "waits", "condition"):
            assert (1, goid, "ready") in found.arrows, name
    assert states == {
        "receives": "chan receive",
        "sends": "chan send",
        "selects": "select",
        "locks": "sync.Mutex.Lock",
        "waits": "sync.WaitGroup.Wait",
        "condition": "sync.Cond.Wait",
        "sleeps": "sleep",
        "nothing": "select (no cases)",
        "c": "syscall",
        "yields": "",
    }


async def mixture(r, w, libc, seconds=0.0):
    """Channels, pipes, C, locked and computing goroutines, and Ps that come and go."""
    group = gopark.sync.WaitGroup()
    ch = gopark.Chan()
    before = gopark.runtime.gomaxprocs(0)

    def reads():
        gopark.cgo.call(os.read, r, 1)

    def locked():
        gopark.runtime.lock_os_thread()
        for _ in range(5):
            gopark.block(gopark.gosched())
        gopark.runtime.unlock_os_thread()

    async def locked_async():
        gopark.runtime.lock_os_thread()
        await gopark.time.sleep(0.001)
        await ch.send(1)

    async def busy():
        end = time.perf_counter() + 0.015
        while time.perf_counter() < end:
            pass

    async def ring(n):
        for _ in range(n):
            await ch.send(n)

    async def drain(n):
        for _ in range(n):
            await ch.recv()

    def c():
        gopark.cgo.call(libc.usleep, 500)

    def sleeps():
        time.sleep(0.005)

    for fn in (reads, locked, locked_async, busy, busy, c, c, sleeps):
        group.go(fn)
    group.go(ring, 50)
    group.go(drain, 51)
    for n in (2, 4, 1):
        gopark.runtime.gomaxprocs(n)
        await gopark.time.sleep(0.002)
    os.write(w, b"x")
    await group.wait()
    gopark.runtime.gomaxprocs(before)


@pytest.fixture
def pipe():
    ends = os.pipe()
    before = gopark.runtime.gomaxprocs(0)
    yield ends
    gopark.runtime.gomaxprocs(before)
    for end in ends:
        os.close(end)


@pytest.mark.go("internal/trace", "TestTraceStress")
def test_trace_stress(run, pipe, libc):
    found = traced(run, mixture, *pipe, libc)
    started = {goid for by, goid, why in found.arrows if (by, why) == (1, "go")}
    assert len(started) == 10
    reasons = {reason for goid in started for reason in found.waits(goid)}
    assert {"syscall", "sleep"} <= reasons


@pytest.mark.go("internal/trace", "TestTraceStressStartStop")
def test_trace_stress_start_stop(run, pipe, libc):
    outs = []

    async def main():
        done = gopark.Chan()

        async def work():
            await mixture(*pipe, libc)
            done.close()

        gopark.go(work)
        while not done.try_recv()[2]:
            outs.append(io.BytesIO())
            trace.start(outs[-1])
            await gopark.time.sleep(0.002)
            trace.stop()

    run(main)
    assert outs
    for out in outs:
        assert traces.read(out.getvalue()).runs(1)


@pytest.mark.go("internal/trace", "TestTraceManyStartStop")
def test_trace_many_start_stop(run):
    async def main():
        for i in range(30):
            out = io.BytesIO()
            trace.start(out)
            trace.log(BACKGROUND, "round", str(i))
            trace.stop()
            assert traces.read(out.getvalue()).logs() == [("round", str(i))]

    run(main)


@pytest.mark.go("internal/trace", "TestTraceWaitOnPipe")
def test_trace_wait_on_pipe(run, pipe):
    """One that is in C from before the trace to its end is there, and not forgotten."""
    r, w = pipe
    out = io.BytesIO()

    async def main():
        done = gopark.Chan()

        def reader():
            gopark.cgo.call(os.read, r, 1)
            done.close()

        gopark.go(reader)
        while "[syscall" not in gopark.runtime.stack(all=True):
            await gopark.gosched()
        trace.start(out)
        await gopark.time.sleep(0.002)
        trace.stop()
        os.write(w, b"x")
        await done.recv()

    run(main)
    found = traces.read(out.getvalue())
    goid = found.goid("test_trace_wait_on_pipe.main.reader")
    assert found.waits(goid) == ["syscall"]
    assert not found.runs(goid)
    (begin, end, _) = found.slices[traces.GOROUTINES, goid][0]
    assert begin == 0
    assert end > 2_000_000


@pytest.mark.go("internal/trace", "TestSummarizeGoroutinesTrace")
def test_summarize_goroutines_trace(run):
    """Running, waiting, and ready with no P in between: together that is the time it lived."""

    async def main():
        mutex, group = gopark.sync.Mutex(), gopark.sync.WaitGroup()

        async def worker():
            for _ in range(3):
                async with mutex:
                    await gopark.time.sleep(0.0005)

        for _ in range(3):
            group.go(worker)
        await group.wait()

    found = traced(run, main)
    blocked = ready = 0
    for _, goid, why in found.arrows:
        if why != "go":
            continue
        lane = traces.GOROUTINES, goid
        spans = found.slices[lane]
        cats = found.cats[lane]
        ready += sum(after[0] - span[1] for span, after in itertools.pairwise(spans))
        times = zip(spans, cats, strict=True)
        blocked += sum(e - b for (b, e, n), cat in times if cat == "wait" and n.startswith("sync"))
    assert blocked > 1_000_000
    assert 0 < ready < blocked


@pytest.mark.go("internal/trace", "TestRelatedGoroutinesV2Trace")
def test_related_goroutines_v2_trace(run):
    """Arrows lead to exactly those that a goroutine had to do with."""

    async def main():
        async def left(ch):
            await ch.send(1)

        async def right(ch):
            await ch.recv()

        async def alone():
            await gopark.gosched()

        ch, other = gopark.Chan(), gopark.Chan()
        for fn, on in ((left, ch), (right, ch), (alone, None), (left, other), (right, other)):
            gopark.go(fn, *([] if on is None else [on]))
        await gopark.testing.wait_all_parked()

    found = traced(run, main)
    prefix = "test_related_goroutines_v2_trace.main"
    lefts, rights = (sorted(found.goids(f"{prefix}.{side}")) for side in ("left", "right"))
    for left, right in zip(lefts, rights, strict=True):
        pair = {left, right}
        arrows = {(by, goid) for by, goid, _ in found.arrows if pair & {by, goid}}
        met = arrows - {(1, left), (1, right)}
        assert len(met) == 1
        assert met <= {(left, right), (right, left)}
    alone = found.goid(f"{prefix}.alone")
    assert [a for a in found.arrows if alone in a[:2]] == [(1, alone, "go")]
