"""The CPU profile: where the time of CPUs went, and for whom."""

from __future__ import annotations

import _thread
import gc
import hashlib
import io
import os
import threading
import time

import pytest

import gopark
from cpuuse import GIVE_UP, places, profiled, seen, until_seen
from gopark import Chan, pprof
from gopark._runtime.base.hooks import births
from gopark._runtime.prof import cpuprof
from gopark._runtime.report.stackdump import Names, Raw, available, parsed
from gopark._runtime.sched import newproc
from gopark._runtime.twin import native
from gopark.context import background
from gotool import pprof as gotool
from harness import run_python

pytestmark = pytest.mark.skipif(not available(), reason="stacks of running threads")

MS = 1_000_000
MINE = f"{__name__}.test_gopark_itself_shows_as_what_was_called_and_as_the_scheduler."


async def finish(fns, *args):
    """Run them as goroutines, to their end; what they return."""
    done = Chan()

    async def call(fn):
        await done.send(await fn(*args))

    def plain(fn):
        gopark.block(done.send(fn(*args)))

    for fn in fns:
        gopark.go(call if newproc.isasync(fn) else plain, fn)
    return [await done.recv() for _ in fns]


async def first():
    return until_seen("first")


async def second():
    return until_seen("second")


def third():
    return until_seen("third")


@pytest.mark.go("runtime/pprof", "TestCPUProfile")
@pytest.mark.go("runtime/pprof", "TestCPUProfileMultithreaded")
@pytest.mark.usefixtures("procs")
async def test_cpu_profile():
    """Time is put down to the goroutines that used it, on however many threads."""
    with profiled() as taken:
        took = sum(await finish([first, second, third]))
    p = taken.profile
    assert p.kinds == [("samples", "count"), ("cpu", "nanoseconds")]
    assert (p.period_type, p.period) == (("cpu", "nanoseconds"), 10 * MS)
    # Where a look comes late, the next goroutine on the thread has the time instead. So how much
    # is whose depends on the machine, but all of it is there, but for a rest of each thread.
    for name in ("first", "second", "third"):
        assert p.total(f"test_cpu.{name}") >= 100 * MS
    assert took - 20 * 0.01 <= p.total() / 1e9 <= taken.used
    for sample in p.samples:
        assert sample.values[1] == sample.values[0] * 10 * MS
    stacks = {s.stack for s in p.samples if any(f.endswith(".third") for f in s.stack)}
    for stack in stacks:
        names = [name.rpartition("test_cpu.")[2] for name in stack]
        assert names[-3:] == ["cpuuse.until_seen", "third", "finish.plain"]
    assert any(stack[0] == "cpuuse.spin" for stack in stacks)


async def test_what_sleeps_has_used_nothing():
    def sleeps():
        time.sleep(0.1)

    async def waits():
        await gopark.time.sleep(0.1)

    with profiled() as taken:
        await finish([sleeps, waits])
    assert taken.profile.total(".sleeps") <= 10 * MS
    assert taken.profile.total(".waits") <= 10 * MS


@pytest.mark.go("runtime/pprof", "TestCPUProfileLabel")
@pytest.mark.usefixtures("procs")
async def test_cpu_profile_label():
    """Samples have the labels of the goroutine."""

    big, plain = {"a": "1", "job": "big"}, {"job": "plain"}

    async def inherits():
        until_seen("inherits", labels=big)

    async def work(ctx):
        await finish([inherits])  # in a goroutine that it starts
        until_seen("work", labels=big)

    def plainly(ctx):
        until_seen("plainly", labels=plain)

    async def unlabelled():
        until_seen("unlabelled", labels={})

    with profiled() as taken:
        await pprof.do(background(), pprof.labels("job", "big", "a", "1"), work)
        pprof.do(background(), pprof.labels("job", "plain"), plainly)
        await finish([unlabelled])

    def under(labels):
        samples = [s for s in taken.profile.samples if s.labels == labels]
        return taken.profile._replace(samples=samples)

    assert under(big).total(".inherits") >= 100 * MS
    assert under(big).total(".work") >= 100 * MS
    assert under(plain).total(".plainly") >= 100 * MS
    assert under({}).total(".unlabelled") >= 100 * MS


async def test_labels_from_before_the_profile_count_too():
    ch = Chan()

    async def waits():
        await ch.recv()
        until_seen("waits", labels={"old": "yes"})
        await ch.send(None)

    async def start(_):
        gopark.go(waits)

    await pprof.do(background(), pprof.labels("old", "yes"), start)
    await gopark.testing.wait_all_parked()
    with profiled() as taken:
        await ch.send(None)
        await ch.recv()
    assert {"old": "yes"} in [s.labels for s in taken.profile.samples]


async def test_gopark_itself_shows_as_what_was_called_and_as_the_scheduler():
    """C has no frames: what is in the twin counts for the line that called it, as all C does."""
    a, b = Chan(), Chan()
    what = {"gopark.Chan.send" if native is None else "ping", "gopark.schedule"}

    async def pong():
        async for n in a:
            await b.send(n)

    async def ping():
        end = time.thread_time() + GIVE_UP
        while not what <= {stack[0].removeprefix(MINE) for stack, *_ in places()}:
            assert time.thread_time() < end
            for _ in range(200):
                await a.send(1)
                await b.recv()
        a.close()

    with profiled(1000) as taken:
        gopark.go(pong)
        await finish([ping])
    tops = {s.stack[0].removeprefix(MINE) for s in taken.profile.samples}
    assert what <= tops
    assert not [name for name in tops if "_runtime" in name]


async def test_a_call_of_c_shows_at_the_line_that_made_it():
    data = bytes(1 << 22)

    async def hashes():
        end = time.thread_time() + GIVE_UP
        while seen("hashes") < 0.1:
            assert time.thread_time() < end
            for _ in range(10):
                hashlib.sha512(data).digest()  # lets go of the GIL

    with profiled() as taken:
        await finish([hashes])
    assert taken.profile.total(".hashes") >= 100 * MS


@pytest.mark.outside_help
async def test_a_thread_of_pythons_is_in_it_too():
    with profiled() as taken:
        thread = threading.Thread(target=third)
        thread.start()
        thread.join()
    assert taken.profile.total("test_cpu.third") >= 100 * MS


def test_it_spans_programs_and_what_runs_outside_of_them(run):
    with profiled() as taken:
        third()
        run(first)
        run(second)
    for name in ("first", "second", "third"):
        assert taken.profile.total(f"test_cpu.{name}") >= 100 * MS


async def test_go_reads_it(tmp_path):
    async def work(_):
        await finish([second])

    file = tmp_path / "cpu.pb.gz"
    with file.open("wb") as out:
        pprof.start_cpu_profile(out)
        await pprof.do(background(), pprof.labels("job", "big"), work)
        pprof.stop_cpu_profile()
    top = gotool("-top", "-cum", file)
    assert "Type: cpu\n" in top
    assert "Duration: " in top
    assert f"  {__name__}.second\n" in top
    assert " job: Total " in gotool("-tags", file)
    assert gotool("-focus=spin", "-traces", file).count("spin") >= 1


# --- on and off --------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestStopCPUProfilingWithProfilerOff")
def test_stop_cpu_profiling_with_profiler_off():
    """Stopping none is nothing."""
    pprof.stop_cpu_profile()
    pprof.stop_cpu_profile()
    with profiled():
        pass


def test_one_profile_at_a_time():
    with profiled() as taken, pytest.raises(RuntimeError, match="already in use"):
        pprof.start_cpu_profile(io.BytesIO())
    assert taken.profile.duration > 0
    pprof.stop_cpu_profile()


def test_a_profile_of_nothing_is_one():
    with profiled() as taken:
        pass
    assert taken.profile.total() / 1e9 <= taken.used


@pytest.mark.parametrize("rate", [0, -1, 1001])
def test_the_rate_has_bounds(rate):
    with pytest.raises(ValueError, match=f"rate is 1 to 1000 samples, got {rate}"):
        pprof.start_cpu_profile(io.BytesIO(), rate)


@pytest.mark.parametrize("rate", [1.5, None, True])
def test_the_rate_is_an_integer(rate):
    with pytest.raises(TypeError, match="needs an integer"):
        pprof.start_cpu_profile(io.BytesIO(), rate)


def test_a_file_for_text_is_refused_before_anything_begins():
    with pytest.raises(TypeError, match="open it with 'wb'"):
        pprof.start_cpu_profile(io.StringIO())
    with profiled():
        pass


def test_the_error_of_the_file_comes_through_and_the_profile_has_ended():
    class Full(io.RawIOBase):
        def write(self, _):
            raise OSError("full")

    pprof.start_cpu_profile(Full())
    with pytest.raises(OSError, match="full"):
        pprof.stop_cpu_profile()
    with profiled():
        pass


def test_nothing_is_left_behind():
    before = _thread._count(), births.copy()
    with profiled():
        pass
    gc.collect()
    deadline = time.monotonic() + 300
    while _thread._count() > before[0] and time.monotonic() < deadline:
        os.sched_yield()
    assert (_thread._count(), births) == before


DEADLOCK = """
import io, gopark
gopark.pprof.start_cpu_profile(io.BytesIO())
async def main():
    await gopark.Chan().recv()
gopark.run(main)
"""


def test_a_deadlock_is_found_while_a_profile_is_taken():
    """The sampling thread is none that might help."""
    ended = run_python(["-c", DEADLOCK])
    assert ended.status == 2
    assert "all goroutines are asleep - deadlock!" in ended.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_the_child_of_a_fork_has_no_profile():
    with profiled():
        pid = os.fork()
        if not pid:
            ok = False
            try:
                pprof.stop_cpu_profile()
                with profiled() as taken:
                    third()
                ok = taken.profile.total("third") > 0
            finally:
                os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- stacks that the interpreter writes --------------------------------------------------

DUMP = """\
Thread 0x00007f44477fe6c0 [gopark-M2] (most recent call first):
  File "/x/a b.py", line 6 in <lambda>
  File "/x/\\xfc\\u20ac.py", line 70 in meth
  ...

Current thread 0x00000000000000ff (most recent call first):
  <no Python frame>
"""


def test_a_dump_is_read():
    assert parsed(DUMP, {0xFF}) == {0xFF: []}
    assert parsed(DUMP, {0x7F44477FE6C0, 0xFF}) == {
        0x7F44477FE6C0: [Raw("/x/a b.py", 6, "<lambda>"), Raw("/x/ü€.py", 70, "meth")],
        0xFF: [],
    }


class Outer:
    def method(self):
        def inner():
            return 1

        return inner


def test_names_are_found_by_file_line_and_bare_name():
    names = Names()
    line = Outer().method().__code__.co_firstlineno
    name, file, found = names.frame(Raw(__file__, line + 1, "inner"))
    assert name.endswith(".Outer.method.inner")
    assert (file, found) == (os.path.abspath(__file__), line + 1)
    assert names.frame(Raw("<string>", 1, "f"))[0].endswith(".f")
    assert names.frame(Raw(__file__, 1_000_000, "inner"))[0].endswith(".inner")


def test_a_stack_that_was_written_is_shown_as_one_that_was_read():
    send = Chan.send.__code__
    schedule = cpuprof.proc.schedule.__code__
    raws = [
        Raw(send.co_filename, send.co_firstlineno + 30, "send"),
        Raw(__file__, third.__code__.co_firstlineno, "third"),
        Raw(schedule.co_filename, schedule.co_firstlineno + 9, "schedule"),
        Raw("threading.py", 1, "run"),
    ]
    stack = cpuprof.Dumped(raws).stack(Names())
    names = [name.rpartition("test_cpu.")[2] for name, _, _ in stack]
    assert names == ["gopark.Chan.send", "third"]
    assert [name for name, _, _ in cpuprof.Dumped(raws[2:]).stack(Names())] == ["gopark.schedule"]
    assert [name for name, _, _ in cpuprof.Dumped(raws[:1]).stack(Names())] == ["gopark.Chan.send"]
