"""Metrics, as Go's own tests pin them down.

Go: runtime/metrics_test.go, runtime/metrics/description_test.go, example_test.go.
"""

from __future__ import annotations

import gc
import pathlib
import re
import time

import pytest

import gopark
from gopark import metrics
from gopark.metrics import Histogram, Kind, Sample
from harness import run as run_program

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "live-page.md"


def everything():
    samples = [Sample(description.name) for description in metrics.all()]
    metrics.read(samples)
    return {sample.name: sample for sample in samples}


def value(name):
    sample = Sample(name)
    metrics.read([sample])
    return sample.value


@pytest.mark.go("runtime", "TestReadMetricsConsistency")
async def test_read_metrics_consistency(procs):
    """The classes of memory have no counterpart; those of CPU time add up in the same way."""
    found = everything()
    assert found["/sched/gomaxprocs:threads"].value == procs
    assert found["/sched/goroutines:goroutines"].value >= 1
    cpu = {name: s.value for name, s in found.items() if name.startswith("/cpu/classes/")}
    total = cpu.pop("/cpu/classes/total:cpu-seconds")
    assert total == sum(cpu.values())


@pytest.mark.go("runtime", "TestReadMetricsCumulative")
async def test_read_metrics_cumulative(procs):
    """Ten reads, with goroutines that start, wait, lock and end between them."""
    names = [d.name for d in metrics.all() if d.cumulative]

    async def load():
        mu, ch = gopark.sync.Mutex(), gopark.Chan()

        async def one():
            async with mu:
                await gopark.gosched()
            await ch.recv()

        for _ in range(20):
            gopark.go(one)
        for _ in range(20):
            await ch.send(None)
        gc.collect(0)

    def flat(sample):
        value = sample.value
        return value.counts if isinstance(value, Histogram) else (value,)

    samples = [Sample(name) for name in names]
    metrics.read(samples)
    for _ in range(10):
        before = [flat(sample) for sample in samples]
        await load()
        metrics.read(samples)
        for sample, old in zip(samples, before, strict=True):
            assert all(a <= b for a, b in zip(old, flat(sample), strict=True)), sample.name


async def lock(mu):
    await mu.lock()


async def rlock(mu):
    await mu.rlock()


@pytest.mark.go("runtime", "TestMutexWaitTimeMetric")
@pytest.mark.parametrize(
    ("make", "hold", "want"),
    [
        (gopark.sync.Mutex, lock, lock),
        (gopark.sync.RWMutex, lock, lock),
        (gopark.sync.RWMutex, rlock, lock),
        (gopark.sync.RWMutex, lock, rlock),
    ],
    ids=["mutex", "rwmutexWrite", "rwmutexReadWrite", "rwmutexWriteRead"],
)
async def test_mutex_wait_time_metric(procs, make, hold, want):
    """A goroutine waits for the lock as long as the other, which sees it wait, sleeps."""
    mu = make()
    before = value("/sync/mutex/wait/total:seconds")
    await hold(mu)
    done = gopark.Chan()

    async def waiter():
        await want(mu)
        (mu.unlock if want is lock else mu.runlock)()
        await done.send(None)

    gopark.go(waiter)
    await gopark.testing.wait_all_parked()
    began = time.monotonic()
    await gopark.time.sleep(0.02)
    waited = time.monotonic() - began
    (mu.unlock if hold is lock else mu.runlock)()
    await done.recv()
    assert value("/sync/mutex/wait/total:seconds") - before >= waited


@pytest.mark.go("runtime", "TestCPUMetricsSleep")
async def test_cpu_metrics_sleep(procs):
    """Python's start and the tests before count for nothing; a busy machine may take its share."""
    before = value("/cpu/classes/idle:cpu-seconds")
    began = time.monotonic()
    await gopark.time.sleep(0.1)
    slept = time.monotonic() - began
    idle = value("/cpu/classes/idle:cpu-seconds") - before
    assert idle >= slept * (procs - 0.5)


@pytest.mark.go("runtime", "TestSchedPauseMetrics")
async def test_sched_pause_metrics():
    """Nothing but the collector stops the world here: what does in Go is none of those pauses."""

    def pauses():
        return sum(value("/sched/pauses/total/gc:seconds").counts)

    enabled = gc.isenabled()
    gc.disable()
    try:
        before = pauses()
        pauses()
        gopark.runtime.gomaxprocs(gopark.runtime.gomaxprocs())
        gopark.runtime.stack(all=True)
        gopark.pprof.lookup("goroutine").count()
        assert pauses() == before
        gc.collect()
        assert pauses() == before + 1
    finally:
        if enabled:
            gc.enable()


@pytest.mark.go("runtime", "TestCPUStats")
async def test_cpu_stats():
    until = time.process_time() + 0.01
    while time.process_time() < until:
        pass
    await gopark.time.sleep(0.01)
    found = {name: s.value for name, s in everything().items() if name.startswith("/cpu/")}
    assert all(seconds > 0 for seconds in found.values())
    total = found.pop("/cpu/classes/total:cpu-seconds")
    assert total == sum(found.values())


@pytest.mark.go("runtime", "TestReadMetricsSched")
@pytest.mark.go("runtime/testdata/testprog", "SchedMetrics")
def test_sched_metrics():
    assert run_program("testprog", "SchedMetrics") == ("OK\n", "", 0)


@pytest.mark.go("runtime/metrics", "TestNames")
def test_names():
    names = [description.name for description in metrics.all()]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"(/[a-z0-9-]+)+:[a-z0-9-]+", name) for name in names)
    found = everything()
    assert [(d.name, d.kind) for d in metrics.all()] == [(s.name, s.kind) for s in found.values()]


@pytest.mark.go("runtime/metrics", "TestDocs")
def test_docs():
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    listed = set(re.findall(r"`(/\w[\w/-]*:[\w-]+)`", text))
    assert listed == {description.name for description in metrics.all()}
    for description in metrics.all():
        assert description.description.replace("_", "") in text.replace("`", "").replace("_", "")


@pytest.mark.go("runtime/metrics", "TestReadEmptySlice")
def test_read_empty_slice():
    metrics.read([])


@pytest.mark.go("runtime/metrics", "ExampleRead_readingOneMetric")
def test_example_read_reading_one_metric():
    known, unknown = Sample("/sched/gomaxprocs:threads"), Sample("/no/such:thing")
    metrics.read([known, unknown])
    assert (known.kind, type(known.value)) == (Kind.UINT64, int)
    assert (unknown.kind, unknown.value) == (Kind.BAD, None)


@pytest.mark.go("runtime/metrics", "ExampleRead_readingAllMetrics")
def test_example_read_reading_all_metrics():
    kinds = {Kind.UINT64: int, Kind.FLOAT64: float, Kind.FLOAT64_HISTOGRAM: Histogram}
    for sample in everything().values():
        assert type(sample.value) is kinds[sample.kind]
        if isinstance(sample.value, Histogram):
            assert len(sample.value.buckets) == len(sample.value.counts) + 1
            assert list(sample.value.buckets) == sorted(sample.value.buckets)
