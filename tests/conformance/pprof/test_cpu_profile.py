"""The CPU profile under conditions that Go's tests make."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import time

import pytest

import gopark
from cpuuse import GIVE_UP, profiled, seen, spin, until_seen
from gopark import pprof
from gopark._runtime.report.stackdump import available
from gopark.context import background
from gopark.sync import WaitGroup
from gotool import pprof as gotool
from harness import run

pytestmark = pytest.mark.skipif(not available(), reason="stacks of running threads")

MS = 1_000_000


@pytest.mark.go("runtime/pprof", "TestCPUProfileMultithreadMagnitude")
@pytest.mark.parametrize("threads", [1, 4])
async def test_cpu_profile_multithread_magnitude(threads):
    """The time in the profile is the time that the process used: one busy goroutine, or many.

    Who looks is not in it, and of each thread what is less than a period.
    """
    wg, took = WaitGroup(), []

    def hog():
        spin(0.6 / threads)
        took.append(0.6 / threads + until_seen("hog"))
        wg.done()

    wg.add(threads)
    with profiled(1000) as taken:
        for _ in range(threads):
            gopark.go(hog)
        await wg.wait()
    assert taken.profile.total("hog") >= 100 * MS
    assert sum(took) - 20 * 0.001 <= taken.profile.total() / 1e9 <= taken.used


@pytest.mark.go("runtime/pprof", "TestCPUProfileWithFork")
def test_cpu_profile_with_fork():
    """Programs are started while a profile is taken."""
    with profiled(1000) as taken:
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, "-S", "-E", "-c", "print(1)"], capture_output=True
            )
            assert done.stdout == b"1\n"
            until_seen("spin", 0.02 + seen("spin"))
    assert taken.profile.total("spin") >= 100 * MS


@pytest.mark.go("runtime/pprof", "TestGoroutineSwitch")
@pytest.mark.usefixtures("procs")
async def test_goroutine_switch():
    """A stack is that of a goroutine, whole, or the scheduler, and never some of both."""
    wg, stop = WaitGroup(), []

    async def yields():
        while not stop:
            sum(range(500))
            await gopark.gosched()
        wg.done()

    async def outer():
        await yields()

    with profiled(1000) as taken:
        wg.add(2)
        gopark.go(outer)
        gopark.go(outer)
        end = time.process_time() + GIVE_UP
        while seen("yields") < 0.1:
            assert time.process_time() < end
            await gopark.time.sleep(0.01)
        stop.append(True)
        await wg.wait()
    for sample in taken.profile.samples:
        names = [name.rpartition(".")[2] for name in sample.stack]
        if "yields" in names:
            assert names[-2:] == ["yields", "outer"]
            assert len(names) <= 3  # of ours, what was called
    assert taken.profile.total(".yields") >= 100 * MS


@pytest.mark.go("runtime/pprof", "TestLabelRace")
@pytest.mark.usefixtures("procs")
async def test_label_race():
    """Many goroutines set and clear labels while samples are taken."""
    wg = WaitGroup()

    async def labels(i):
        for n in range(20):
            ctx = pprof.with_labels(background(), pprof.labels("foo", str(i), "n", str(n)))
            pprof.set_goroutine_labels(ctx)
            spin(0.001)
            if n == 19:
                until_seen("labels", 0.001, {"foo": str(i), "n": "19"}, 0.001)
            await gopark.gosched()
            pprof.set_goroutine_labels(background())
        wg.done()

    with profiled(1000) as taken:
        wg.add(10)
        for i in range(10):
            gopark.go(labels, i)
        await wg.wait()
    found = [s.labels for s in taken.profile.samples if s.labels]
    assert {labels["foo"] for labels in found} == {str(i) for i in range(10)}
    assert all(set(labels) == {"foo", "n"} for labels in found)


@pytest.mark.go("runtime", "TestTimePprof")
@pytest.mark.go("runtime/testdata/testprog", "TimeProf")
def test_time_pprof():
    """Code that reads the clock shows by its name, and nothing unknown does."""
    ended = run("testprog", "TimeProf")
    assert ended.status == 0, ended.stderr
    file = pathlib.Path(ended.stdout.strip())
    try:
        top = gotool("-top", file)
    finally:
        file.unlink()
    assert re.search(r"ms\s+[\d.]+%  timeprof\.readclock$", top, re.M)
    assert not re.search(r"ExternalCode|<unknown>", top)
