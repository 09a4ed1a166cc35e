"""The CPU profile under conditions that Go's tests make."""

from __future__ import annotations

import io
import pathlib
import re
import subprocess
import sys
import time

import pytest

import gopark
from gopark import pprof
from gopark._runtime.report.stackdump import available
from gopark.context import background
from gopark.sync import WaitGroup
from gotool import pprof as gotool
from harness import run
from protoreader import Profile, read

pytestmark = pytest.mark.skipif(not available(), reason="stacks of running threads")

MS = 1_000_000


class profiled:
    """A profile of a block, in `profile` afterwards."""

    profile: Profile

    def __init__(self, rate=100):
        self.rate = rate

    def __enter__(self):
        self.file = io.BytesIO()
        pprof.start_cpu_profile(self.file, self.rate)
        return self

    def __exit__(self, *_):
        pprof.stop_cpu_profile()
        self.profile = read(self.file.getvalue())


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.go("runtime/pprof", "TestCPUProfileMultithreadMagnitude")
@pytest.mark.parametrize("threads", [1, 4])
async def test_cpu_profile_multithread_magnitude(threads):
    """The time in the profile is the time that the process used: one busy goroutine, or many."""
    wg = WaitGroup()

    def hog():
        spin(0.6 / threads)
        wg.done()

    wg.add(threads)
    before = time.process_time()
    with profiled() as taken:
        for _ in range(threads):
            gopark.go(hog)
        await wg.wait()
    used = time.process_time() - before
    seen = taken.profile.total() / 1e9
    assert 0.55 <= taken.profile.total("hog") / 1e9 <= 0.75
    assert seen <= used + 0.02
    assert seen >= used * 0.7  # who looks is not in it, and takes its time on a busy machine


@pytest.mark.go("runtime/pprof", "TestCPUProfileWithFork")
def test_cpu_profile_with_fork():
    """Programs are started while a profile is taken."""
    with profiled(1000) as taken:
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, "-S", "-E", "-c", "print(1)"], capture_output=True
            )
            assert done.stdout == b"1\n"
            spin(0.02)
    assert taken.profile.total("spin") >= 50 * MS


@pytest.mark.go("runtime/pprof", "TestGoroutineSwitch")
@pytest.mark.usefixtures("procs")
async def test_goroutine_switch():
    """A stack is that of a goroutine, whole, or the scheduler, and never some of both."""
    wg = WaitGroup()

    async def yields():
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            for _ in range(20):
                sum(range(500))
                await gopark.gosched()
        wg.done()

    async def outer():
        await yields()

    with profiled(1000) as taken:
        wg.add(2)
        gopark.go(outer)
        gopark.go(outer)
        await wg.wait()
    for sample in taken.profile.samples:
        names = [name.rpartition(".")[2] for name in sample.stack]
        if "yields" in names:
            assert names[-2:] == ["yields", "outer"]
            assert len(names) <= 3  # of ours, what was called
    assert taken.profile.total() >= 100 * MS


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
            await gopark.gosched()
            pprof.set_goroutine_labels(background())
        wg.done()

    with profiled(1000) as taken:
        wg.add(10)
        for i in range(10):
            gopark.go(labels, i)
        await wg.wait()
    found = [s.labels for s in taken.profile.samples if s.labels]
    assert found
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
