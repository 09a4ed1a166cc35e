"""The goroutine profile: what it shows, and that it can be taken at any moment."""

from __future__ import annotations

import gc
import io
import time
import weakref

import pytest

import gopark
from gopark import Chan, pprof
from gopark.context import background
from gopark.sync import WaitGroup
from gopark.testing import wait_all_parked
from protoreader import read


def text(name="goroutine", debug=1):
    file = io.StringIO()
    pprof.lookup(name).write_to(file, debug)
    return file.getvalue()


def proto(name="goroutine"):
    file = io.BytesIO()
    pprof.lookup(name).write_to(file)
    return read(file.getvalue())


def labelled(*pairs):
    return pprof.with_labels(background(), pprof.labels(*pairs))


async def func1(ch):
    await ch.recv()


async def func2(ch):
    await ch.recv()


async def func3(ch):
    await ch.recv()


def start(n, ch):
    for i in range(n):
        gopark.go(func1 if i % 10 == 0 else func2 if i % 2 == 0 else func3, ch)


@pytest.mark.go("runtime/pprof", "TestGoroutineCounts")
@pytest.mark.usefixtures("procs")
async def test_goroutine_counts():
    ch = Chan()
    start(100, ch)
    pprof.do(background(), pprof.labels("label", "value"), lambda _: start(89, ch))
    pprof.set_goroutine_labels(labelled("self-label", "self-value"))
    await wait_all_parked()
    profile = text()
    label, mine = '\n# labels: {"label":"value"}\n', '\n# labels: {"self-label":"self-value"}\n'
    order = [f"\n{50} @ ", "\n44 @", label, "\n40 @", "\n36 @", label, "\n10 @", "\n9 @", label]
    at = 0
    for part in (*order, "\n1 @", mine):
        at = profile.find(part, at)
        assert at >= 0, f"{part!r} is not in its place in\n{profile}"
        at += len(part) - 1
    counts = {s.values[0]: s.labels for s in proto().samples}
    with_label, without = {"label": "value"}, {}
    assert counts == {
        50: without,
        44: with_label,
        40: without,
        36: with_label,
        10: without,
        9: with_label,
        1: {"self-label": "self-value"},
    }
    pprof.set_goroutine_labels(background())


@pytest.mark.go("runtime", "TestGoroutineProfileTrivial")
async def test_goroutine_profile_trivial():
    """There is no space to be too small; the count is right, and the profile has as many."""
    ch = Chan()
    assert pprof.lookup("goroutine").count() == 1
    start(7, ch)
    await wait_all_parked()
    assert pprof.lookup("goroutine").count() == 8
    assert proto().total() == 8
    assert text().startswith("goroutine profile: total 8\n")


@pytest.mark.go("runtime", "TestGoroutineProfile")
@pytest.mark.usefixtures("procs")
async def test_goroutine_profile():
    """While others are in and out of C, and on and off their threads."""
    stop, done = [], WaitGroup()

    def incalls():
        while not stop:
            gopark.cgo.call(time.sleep, 0)
        done.done()

    async def blocks():
        while not stop:
            time.sleep(0)
            await gopark.gosched()
        done.done()

    done.add(4)
    for fn in (incalls, incalls, blocks, blocks):
        gopark.go(fn)
    for _ in range(100):
        assert proto().total() == 5
        await gopark.gosched()
    stop.append(True)
    await done.wait()


@pytest.mark.go("runtime/pprof", "TestGoroutineProfileConcurrency")
@pytest.mark.usefixtures("procs")
async def test_goroutine_profile_concurrency():
    """Whoever is in a profile, all that were started before, and still are, are in it too."""
    stop, ch, done = [], Chan(), WaitGroup()

    async def waits():
        await ch.recv()

    async def launches():
        for i in range(30):
            pprof.set_goroutine_labels(labelled("i", str(i)))
            gopark.go(waits)
            await gopark.gosched()
        stop.append(True)
        done.done()

    async def churns():  # ends at once, and starts the next
        if stop:
            done.done()
        else:
            gopark.go(churns)

    def profiles():
        rounds = 0
        while not stop or not rounds:
            # By their labels; their stacks may be anywhere on the way to where they wait. Who
            # launches them has the label of the next one, or of a later one: it is read later.
            taken = text()
            records = [r for r in taken.split("\n\n") if '# labels: {"i":"' in r]
            waiting = [r for r in records if ".launches+" not in r]
            numbers = {int(r.partition('{"i":"')[2].partition('"')[0]) for r in waiting}
            if waiting == records:  # its stack cannot be read
                numbers -= {max(numbers, default=0)}
            assert numbers == set(range(len(numbers))), taken
            rounds += 1
        done.done()

    done.add(4)
    for fn in (launches, churns, profiles, profiles):
        gopark.go(fn)
    await done.wait()
    ch.close()
    await wait_all_parked()
    assert proto().total() == 1


@pytest.mark.go("runtime/pprof", "TestGoroutineProfileCoro")
@pytest.mark.usefixtures("procs")
async def test_goroutine_profile_coro():
    """While two goroutines hand control to and fro as fast as they can."""
    a, b, stop = Chan(), Chan(), []

    async def pong():
        async for value in a:
            await b.send(value)

    async def ping():
        while not stop:
            await a.send(1)
            await b.recv()
        a.close()

    gopark.go(pong)
    gopark.go(ping)
    for _ in range(100):
        profile = proto()
        assert profile.total() == 3
        assert {s.stack[-1] for s in profile.samples if not s.stack[-1].endswith(_ENDS)} == set()
        await gopark.gosched()
    stop.append(True)
    await wait_all_parked()


# The last frame of a goroutine's stack; the last of these where its thread runs it just now.
_ENDS = (".ping", ".pong", ".test_goroutine_profile_coro", "gopark.running")


@pytest.mark.go("runtime/pprof", "TestGoroutineProfileIssue74090")
async def test_goroutine_profile_issue74090():
    """While finalizers run, some of which start goroutines."""
    ended = []

    class Held:
        pass

    async def finish():
        ended.append(True)

    for i in range(1000):
        held = Held()
        held.self = held  # so that the collector has to find it
        weakref.finalize(held, gopark.go if i % 50 == 0 else ended.append, finish)
        del held
        if i % 20 == 0:
            gc.collect(0)
            assert proto().total() >= 1
    gc.collect()
    await wait_all_parked()
    assert len(ended) == 1000
    assert proto().total() == 1


@pytest.mark.go("runtime/pprof", "TestGoroutineProfileLabelRace")
@pytest.mark.usefixtures("procs")
async def test_goroutine_profile_label_race():
    """Labels are set while the profile reads them, and goroutines come and go."""
    stop, done = [], WaitGroup()

    async def sets():
        for i in range(10**9):
            if stop:
                break
            pprof.set_goroutine_labels(labelled("key", f"value{i % 10}"))
            await gopark.gosched()
        done.done()

    async def comes_and_goes(i):
        pprof.set_goroutine_labels(labelled("churn", str(i)))
        await gopark.gosched()
        if stop:
            done.done()
        else:
            gopark.go(comes_and_goes, i + 1)

    done.add(3)
    gopark.go(sets)
    gopark.go(sets)
    gopark.go(comes_and_goes, 0)
    seen = set()
    end = time.monotonic() + 300
    while not {"key", "churn"} <= seen and time.monotonic() < end:
        for sample in proto().samples:
            seen |= sample.labels.keys()
            assert all(v.startswith("value") for k, v in sample.labels.items() if k == "key")
        await gopark.gosched()
    stop.append(True)
    await done.wait()
    assert seen == {"key", "churn"}


@pytest.mark.go("runtime/pprof", "TestGoroutineLeakProfileConcurrency")
@pytest.mark.usefixtures("procs")
async def test_goroutine_leak_profile_concurrency():
    """Leaked goroutines are found again and again, by several at once, and disturb nobody."""

    async def leaks():
        await Chan().recv()

    for _ in range(6):
        gopark.go(leaks)
    await wait_all_parked()
    done = WaitGroup()

    def profiles(name, total):
        for _ in range(5):
            profile = text(name)
            if name == "goroutineleak":
                assert profile.startswith(f"goroutineleak profile: total {total}\n6 @ 0x")
                assert ".leaks+" in profile
            assert proto(name).total("leaks") == total
        done.done()

    done.add(4)
    for name in ("goroutineleak", "goroutine") * 2:
        gopark.go(profiles, name, 6)
    await done.wait()
    assert pprof.lookup("goroutineleak").count() == 6
    assert text("goroutineleak", 2).count("[chan receive (leaked)]:") == 6


@pytest.mark.go("runtime/pprof", "TestTracebackAll")
@pytest.mark.usefixtures("procs")
async def test_traceback_all():
    """All stacks are dumped again and again while a CPU profile is taken."""
    stop, done = [], WaitGroup()

    async def recurses(n):
        if n:
            await recurses(n - 1)
        else:
            await gopark.gosched()

    async def runs():
        while not stop:
            await recurses(8)
        done.done()

    file = io.BytesIO()
    pprof.start_cpu_profile(file, 1000)
    done.add(2)
    gopark.go(runs)
    gopark.go(runs)
    for _ in range(150):
        assert gopark.runtime.stack(all=True).count("goroutine ") >= 3
        await gopark.gosched()
    stop.append(True)
    await done.wait()
    pprof.stop_cpu_profile()
    read(file.getvalue())
