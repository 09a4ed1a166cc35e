"""gopark.metrics: the names, what is read, what costs nothing until it is, and Prometheus."""

from __future__ import annotations

import gc
import re
import sys
import threading
import time

import pytest

import gopark
from gopark import metrics
from gopark._runtime.base.hooks import wakes
from gopark._runtime.prof import metrics as measured
from gopark.metrics import Kind, Sample


def value(name):
    sample = Sample(name)
    metrics.read([sample])
    return sample.value


@pytest.fixture(autouse=True)
def as_before():
    """Nothing is measured before a test, nor after it."""
    measured._stop()
    yield
    measured._stop()


async def test_what_costs_nothing_is_read_without_a_wake_up_being_heard_of():
    cheap = [d.name for d in metrics.all() if d.kind is Kind.UINT64]
    metrics.read([Sample(name) for name in cheap])
    assert wakes.heard == []
    assert measured._collects not in gc.callbacks


async def test_the_count_of_goroutines_and_gomaxprocs_are_the_runtimes(procs):
    assert value("/sched/goroutines:goroutines") == 1
    assert value("/sched/gomaxprocs:threads") == procs
    assert value("/sched/threads/total:threads") >= 1


def test_without_a_program_everything_can_be_read():
    samples = [Sample(d.name) for d in metrics.all()]
    metrics.read(samples)
    assert [s.kind for s in samples] == [d.kind for d in metrics.all()]


def test_what_is_no_sample_is_an_error_that_says_how_to_make_one():
    with pytest.raises(TypeError, match=r"metrics.Sample\(name\)"):
        metrics.read(["/sched/goroutines:goroutines"])


def test_a_sample_shows_itself():
    assert repr(Sample("/no")) == "<Sample /no None>"


async def test_calls_to_c_are_counted():
    before = value("/cgo/go-to-c-calls:calls")
    gopark.cgo.call(len, "")
    assert value("/cgo/go-to-c-calls:calls") == before + 1


async def test_states_add_up_to_all_when_nothing_moves():
    ch = gopark.Chan()
    for _ in range(7):
        gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()
    names = ("not-in-go", "runnable", "running", "waiting")
    found = {name: value(f"/sched/goroutines/{name}:goroutines") for name in names}
    assert found == {"not-in-go": 0, "runnable": 0, "running": 1, "waiting": 7}
    ch.close()


async def pingpong(n):
    there, back = gopark.Chan(), gopark.Chan()

    async def other():
        async for one in there:
            await back.send(one)

    gopark.go(other)
    for one in range(n):
        await there.send(one)
        assert await back.recv() == one
    there.close()


async def test_of_the_wake_ups_one_in_eight_is_timed(procs):
    before = sum(value("/sched/latencies:seconds").counts)
    await pingpong(400)  # 800 values handed over, each of which wakes somebody
    after = sum(value("/sched/latencies:seconds").counts)
    assert 60 <= after - before <= 160


async def test_a_latency_is_as_long_as_the_goroutine_waited_for_its_turn():
    before = gopark.runtime.gomaxprocs(1)
    first = value("/sched/latencies:seconds")
    chans = [gopark.Chan(1) for _ in range(8)]  # so that one of the eight is timed
    for ch in chans:
        gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()
    for ch in chans:
        await ch.send(None)
    began = time.perf_counter()
    while time.perf_counter() - began < 0.005:
        pass
    await gopark.testing.wait_all_parked()
    second = value("/sched/latencies:seconds")
    grown = [
        low
        for low, old, new in zip(first.buckets, first.counts, second.counts, strict=False)
        if new > old
    ]
    assert max(grown) >= 0.003
    gopark.runtime.gomaxprocs(before)


async def test_collections_are_timed():
    before = sum(value("/sched/pauses/total/gc:seconds").counts)
    cycles = value("/gc/cycles/total:gc-cycles")
    gc.collect()
    assert sum(value("/sched/pauses/total/gc:seconds").counts) > before
    assert value("/gc/cycles/total:gc-cycles") > cycles


async def test_measuring_goes_along_with_the_profile_of_waits():
    """Whichever is turned on first, both see the wake-ups; and both can be turned off."""
    for first in ("metrics", "block"):
        if first == "block":
            gopark.runtime.set_block_profile_rate(1)
        count = sum(value("/sched/latencies:seconds").counts)
        gopark.runtime.set_block_profile_rate(1)
        blocked = gopark.pprof.lookup("block").count()
        await pingpong(50)
        assert sum(value("/sched/latencies:seconds").counts) > count
        assert gopark.pprof.lookup("block").count() >= blocked > -1
        gopark.runtime.set_block_profile_rate(0)
        await pingpong(50)
        measured._stop()
        assert wakes.heard == []


async def test_measuring_goes_along_with_a_trace():
    import io

    count = sum(value("/sched/latencies:seconds").counts)
    file = io.BytesIO()
    gopark.trace.start(file)
    await pingpong(20)
    gopark.trace.stop()
    assert file.getvalue()
    await pingpong(50)
    assert sum(value("/sched/latencies:seconds").counts) > count
    measured._stop()
    assert wakes.heard == []


def test_many_threads_may_measure_at_once():
    """What is added while others read is neither lost nor counted twice."""
    found = measured.Measured()
    stop = threading.Event()

    def reads():
        while not stop.is_set():
            found.read()

    def adds():
        for _ in range(5000):
            found.add(0.001)

    reader = threading.Thread(target=reads)
    threads = [threading.Thread(target=adds) for _ in range(4)]
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    counts, total = found.read()
    assert sum(counts) == 20000
    assert total == pytest.approx(20)


# --- Prometheus ----------------------------------------------------------------------------------


def test_names_are_those_that_gos_collector_gives():
    from gopark.metrics._prometheus import promname

    names = {d.name: promname(d) for d in metrics.all()}
    assert names["/sched/gomaxprocs:threads"] == "go_sched_gomaxprocs_threads"
    assert names["/cgo/go-to-c-calls:calls"] == "go_cgo_go_to_c_calls_calls_total"
    assert names["/sched/latencies:seconds"] == "go_sched_latencies_seconds"
    wait = names["/sync/mutex/wait/total:seconds"]
    assert wait == "go_sync_mutex_wait_total_seconds_total"
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in names.values())


async def test_prometheus_reads_the_page(ask):
    parser = pytest.importorskip("prometheus_client.parser")
    got = await ask("/metrics")
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in parser.text_string_to_metric_families(got.text)}
    assert families["go_goroutines"].samples[0].value >= 1
    histogram = families["go_sched_latencies_seconds"]
    assert histogram.type == "histogram"
    buckets = [s.value for s in histogram.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    (count,) = [s.value for s in histogram.samples if s.name.endswith("_count")]
    assert buckets[-1] == count
    assert {"go_sched_gomaxprocs_threads", "go_threads", "go_info"} <= families.keys()


def test_the_collector_goes_into_a_registry_of_the_users():
    client = pytest.importorskip("prometheus_client")
    registry = client.CollectorRegistry()
    registry.register(metrics.Collector())
    assert registry.get_sample_value("go_sched_gomaxprocs_threads") == gopark.runtime.gomaxprocs()


def test_without_the_extra_the_page_says_what_to_install(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    got = client.get("/metrics")
    assert got.status == 501
    assert "pip install 'gopark[metrics]'" in got.text


def test_a_collection_that_comes_in_while_others_are_sorted_is_counted():
    counted, left = measured.Measured(), [2000]

    class Comes(float):
        """Stands for whatever comes in amid it."""

        def __gt__(self, other):
            while left:
                for _ in range(left.pop()):
                    counted.add(1.0)
            return float(self) > other

    for _ in range(3):
        counted.add(Comes(1.0))
    counted.read()
    assert sum(counted.read()[0]) == 2003
