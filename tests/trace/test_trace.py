"""A trace of a program: what is in the file, and that a viewer can read it."""

from __future__ import annotations

import gc
import gzip
import io
import threading
import time

import pytest

import gopark
import traces
from gopark import trace
from gopark._runtime.base.runtime2 import tls
from gopark._runtime.prof.trace import tracing
from harness import run_python


def traced(main, *args):
    """Run it as main; the trace that it leaves."""
    out = io.StringIO()

    async def traced_main():
        trace.start(out)
        try:
            return await main(*args)
        finally:
            trace.stop()

    gopark.run(traced_main)
    assert not tracing.on
    return traces.read(out.getvalue())


def test_who_wakes_whom(procs):
    async def answer(ping, pong):
        for _ in range(20):
            await pong.send(await ping.recv())

    async def main():
        ping, pong = gopark.Chan(), gopark.Chan()
        gopark.go(answer, ping, pong)
        for i in range(20):
            await ping.send(i)
            await pong.recv()

    found = traced(main)
    goid = found.goid("test_who_wakes_whom.answer")
    assert found.arrows.count((1, goid, "go")) == 1
    assert found.arrows.count((1, goid, "ready")) + found.arrows.count((goid, 1, "ready")) >= 20
    assert set(found.waits(goid)) <= {"chan receive", "chan send"}
    runs, waits = len(found.runs(goid)), len(found.waits(goid))
    assert runs >= 11
    assert waits <= runs <= waits + 1
    assert "P 0" in found.procs()


@pytest.mark.parametrize("n", [3, 200])
def test_one_wakes_many(n, procs):
    """`close` readies all at once: an arrow to each, from who closed."""

    async def waiter(ch, done):
        await ch.recv()
        done.done()

    async def main():
        ch, done = gopark.Chan(), gopark.sync.WaitGroup()
        for _ in range(n):
            done.add(1)
            gopark.go(waiter, ch, done)
        await gopark.testing.wait_all_parked()
        ch.close()
        await done.wait()

    found = traced(main)
    goids = found.goids("test_one_wakes_many.waiter")
    assert len(goids) == n
    for goid in goids:
        assert (1, goid, "go") in found.arrows
        assert (1, goid, "ready") in found.arrows
        assert found.waits(goid) == ["chan receive"]
        assert len(found.runs(goid)) == 2


def test_started_and_readied_in_one_step():
    """`go` puts what was readied before in its place, and that is not forgotten."""

    async def waiter(ch):
        await ch.recv()

    async def other():
        pass

    async def main():
        ch = gopark.Chan()
        gopark.go(waiter, ch)
        await gopark.testing.wait_all_parked()
        await ch.send(1)
        gopark.go(other)
        await gopark.testing.wait_all_parked()

    found = traced(main)
    waiter_, other_ = (
        found.goid(f"test_started_and_readied_in_one_step.{name}") for name in ("waiter", "other")
    )
    assert [a for a in found.arrows if a[1] == waiter_] == [
        (1, waiter_, "go"),
        (1, waiter_, "ready"),
    ]
    assert [a for a in found.arrows if a[1] == other_] == [(1, other_, "go")]


def test_timers_wake_without_an_arrow():
    async def sleeper():
        await gopark.time.sleep(0.001)

    async def main():
        group = gopark.sync.WaitGroup()
        for _ in range(3):
            group.go(sleeper)
        await group.wait()

    found = traced(main)
    goids = [goid for _, goid, why in found.arrows if why == "go"]
    assert len(goids) == 3
    for goid in goids:
        assert found.waits(goid) == ["sleep"]
        assert [a for a in found.arrows if a[1] == goid] == [(1, goid, "go")]


def test_gosched_is_no_wait():
    async def main():
        for _ in range(100):
            await gopark.gosched()

    found = traced(main)
    assert found.waits(1) == []
    assert len(found.runs(1)) > 90


def test_plain_goroutines_wait_on_their_threads(procs):
    def plain(ch):
        for i in range(5):
            gopark.block(ch.send(i))

    async def main():
        ch = gopark.Chan()
        gopark.go(plain, ch)
        for _ in range(5):
            await ch.recv()

    found = traced(main)
    goid = found.goid("test_plain_goroutines_wait_on_their_threads.plain")
    assert (1, goid, "go") in found.arrows
    assert set(found.waits(goid)) <= {"chan send"}
    assert {(1, goid, "ready"), (goid, 1, "ready")} & set(found.arrows)


def test_calls_of_c_are_syscalls(libc):
    def plain(done):
        gopark.cgo.call(libc.usleep, 1000)
        done.close()

    async def main():
        done = gopark.Chan()
        gopark.go(plain, done)
        await done.recv()

    found = traced(main)
    goid = found.goid("test_calls_of_c_are_syscalls.plain")
    assert found.waits(goid) == ["syscall"]
    assert len(found.runs(goid)) == 2
    assert (goid, 1, "ready") in found.arrows


@pytest.mark.outside_help
def test_callbacks_come_and_go(cthread):
    got = []

    def from_c(_):
        got.append(gopark.runtime.num_goroutine())
        return 0

    async def main():
        thread = cthread(gopark.cgo.callback(from_c))
        thread.join()

    found = traced(main)
    assert got
    goid = found.goid("test_callbacks_come_and_go.from_c")
    assert len(found.runs(goid)) >= 1
    assert {"needm", "dropm"} <= set(found.notes())


def test_callbacks_are_as_ever_afterwards(cthread):
    got = []
    entry = gopark.cgo.callback(lambda _: got.append(1) or 0)

    async def main():
        thread = cthread(entry)
        thread.join()

    traced(main)
    gopark.run(main)
    assert got == [1, 1]


def test_sysmon_takes_a_p():
    """The lane of the P ends where it was taken; the goroutine's goes on."""

    def sleeper():
        m = tls.m
        time.sleep(0.05)
        while m.p is not None:  # sysmon may have been late itself
            time.sleep(0.005)

    async def main():
        done = gopark.sync.WaitGroup()
        done.go(sleeper)
        await done.wait()

    found = traced(main)
    assert "taken by sysmon" in found.notes()
    goid = next(goid for _, goid, why in found.arrows if why == "go")
    (run,) = (r for r in found.runs(goid) if r[1] - r[0] > 40_000_000)
    lanes = [s for lane, spans in found.slices.items() if lane[0] == traces.PS for s in spans]
    held = [s for s in lanes if s[2].startswith(f"{goid} ")]
    assert sum(s[1] - s[0] for s in held) < run[1] - run[0]


def test_collections_have_a_lane():
    async def main():
        gc.collect()

    found = traced(main)
    assert "GC 2" in {name for _, _, name in found.slices[traces.PS, traces.GC]}


def test_goroutines_that_were_there(run):
    """Who waits when the trace begins, and who still waits when it ends, is in it."""

    async def waiter(ch):
        await ch.recv()

    out = io.BytesIO()

    async def main():
        ch = gopark.Chan()
        gopark.go(waiter, ch)
        gopark.go(waiter, gopark.Chan())
        await gopark.testing.wait_all_parked()
        trace.start(out)
        await ch.send(None)
        await gopark.testing.wait_all_parked()
        trace.stop()

    run(main)
    found = traces.read(out.getvalue())
    first, second = sorted(found.goids("test_goroutines_that_were_there.waiter"))
    assert found.waits(first) == found.waits(second) == ["chan receive"]
    assert (1, first, "ready") in found.arrows
    assert len(found.runs(first)) == 1
    assert not found.runs(second)


def test_a_main_that_is_plain(run):
    out = io.BytesIO()

    def main():
        trace.start(out)
        gopark.block(gopark.time.sleep(0.001))
        trace.stop()

    run(main)
    found = traces.read(out.getvalue())
    assert found.waits(1) == ["sleep"]
    assert len(found.runs(1)) == 2


def test_idle_threads_are_traced_from_their_first_step(run, procs):
    """An M that slept when the trace began runs its next goroutine with a record."""

    async def worker(jobs, out):
        async for job in jobs:
            await out.send(job)

    out = io.BytesIO()

    async def main():
        jobs, results = gopark.Chan(), gopark.Chan()
        for _ in range(4):
            gopark.go(worker, jobs, results)
        await gopark.testing.wait_all_parked()
        trace.start(out)
        for i in range(4):
            await jobs.send(i)
        for _ in range(4):
            await results.recv()
        trace.stop()
        jobs.close()
        await gopark.testing.wait_all_parked()

    run(main)
    found = traces.read(out.getvalue())
    ran = [
        found.runs(goid)
        for goid in found.goids("test_idle_threads_are_traced_from_their_first_step.worker")
    ]
    assert len(ran) == 4
    assert all(ran)


def test_a_file_of_the_users_has_the_trace_when_it_is_stopped(tmp_path):
    """Though it is open still: what its own buffer held is in it."""
    with open(tmp_path / "trace.json", "wb") as file:
        trace.start(file)
        trace.stop()
        assert traces.read((tmp_path / "trace.json").read_text())


def test_files(tmp_path):
    """Paths, compressed ones, text and binary files."""

    async def main():
        await gopark.gosched()

    def write(file):
        trace.start(file)
        gopark.run(main)
        trace.stop()

    write(tmp_path / "a.json")
    traces.read((tmp_path / "a.json").read_text())
    write(str(tmp_path / "b.json.gz"))
    traces.read(gzip.decompress((tmp_path / "b.json.gz").read_bytes()))
    with open(tmp_path / "c.json", "w", encoding="utf-8") as file:
        write(file)
        assert not file.closed
    traces.read((tmp_path / "c.json").read_text())


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(TypeError, match=r"start\(\) needs a path or an open file, got 7"):
        trace.start(7)
    with pytest.raises(FileNotFoundError):
        trace.start(tmp_path / "none" / "x.json")
    assert not trace.is_enabled()


def test_names_that_need_quotes():
    async def main():
        with trace.region(gopark.context.background(), 'a "b" \\ \n ü'):
            pass

    found = traced(main)
    assert [name for _, _, name in found.regions[1]] == ['a "b" \\ \n ü']


def test_functions_are_back_in_their_places():
    from gopark._runtime.base.hooks import births, wakes
    from gopark._runtime.c import cgocall
    from gopark._runtime.sched import lockedm, proc, startm

    async def main():
        await gopark.gosched()

    traced(main)
    assert wakes.trace is None
    assert not [heard for heard in births if heard.__module__.endswith("traceloop")]
    for value in (proc.findrunnable, lockedm.mpark, cgocall._slowentry, startm.hooks.goexit0):
        assert value.__module__ != "gopark._runtime.prof.traceloop"
    assert isinstance(cgocall._closing, list)
    assert startm.hooks.round is None
    assert not startm.hooks.rounds


def test_a_program_that_dies_leaves_its_trace(tmp_path):
    file = tmp_path / "dead.json"
    program = f"""
import gopark
async def bad():
    raise ValueError("boom")
async def main():
    gopark.trace.start({str(file)!r})
    gopark.trace.log(gopark.context.background(), "before", "the end")
    gopark.go(bad)
    await gopark.Chan().recv()
gopark.run(main)
"""
    ended = run_python(["-c", program])
    assert ended.status == 2
    assert ended.stderr.count("boom") == 1
    found = traces.read(file.read_text())
    assert found.logs() == [("before", "the end")]


def test_a_trace_asked_for_in_the_environment(tmp_path):
    file = tmp_path / "env.json"
    program = "import gopark; gopark.run(gopark.time.sleep, 0.001)"
    ended = run_python(["-c", program], env={"GOPARKTRACE": str(file)})
    assert (ended.stderr, ended.status) == ("", 0)
    assert "sleep" in traces.read(file.read_text()).waits(1)
    wrong = run_python(["-c", program], env={"GOPARKTRACE": str(tmp_path / "no" / "x")})
    assert wrong.status == 1
    assert "GOPARKTRACE" in wrong.stderr


def test_threads_that_are_none_of_ours():
    """A thread of Python's starts and readies goroutines: the arrows have no beginning."""
    out = io.BytesIO()

    async def waiter(ch, done):
        await ch.recv()
        done.close()

    async def main():
        ch, done = gopark.Chan(), gopark.Chan()
        trace.start(out)
        gopark.go(waiter, ch, done)
        await gopark.testing.wait_all_parked()
        thread = threading.Thread(target=ch.try_send, args=(1,))
        thread.start()
        await done.recv()
        thread.join()
        trace.stop()

    gopark.run(main)
    found = traces.read(out.getvalue())
    goid = found.goid("test_threads_that_are_none_of_ours.waiter")
    assert found.waits(goid) == ["chan receive"]
    assert len(found.runs(goid)) == 2
