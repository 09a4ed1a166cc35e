"""sysmon: a goroutine that blocks its thread or computes holds up nobody, and threads stay few.

What blocks here waits in C, with nothing that gopark knows of, until another goroutine opens
the gate; what computes goes on until another goroutine has set a flag. So where the P were not
taken away, the one that is waited for would never come. Gates and spins give up in the end, so
that such a test fails with a report and does not hang.
"""

from __future__ import annotations

import gc
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base.runtime2 import getg
from gopark._runtime.sched import proc, startm, sysmon
from gopark._runtime.sched.sysmon import MAXHOGS
from gopark.testing import wait_all_parked

GIVE_UP = 300.0  # seconds; less than the time limit of a test, and more than any machine needs


class Gate:
    """A wait in C that gopark knows nothing of, for any number of threads, until `open`."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._entered = []

    @property
    def entered(self) -> int:
        """How many have come to it so far."""
        return len(self._entered)

    def wait(self) -> None:
        self._entered.append(None)
        ready, _, _ = select.select([self._reader], [], [], GIVE_UP)
        assert ready, "nobody opened the gate: the others were held up"

    def open(self) -> None:
        os.write(self._writer, b".")  # nobody reads it: it stays open

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def gate(wait_until):
    gate = Gate()
    yield gate
    gate.open()  # whoever a failed test has left there
    wait_until(lambda: not [m for m in ms() if m.curg is not None])
    gate.close()


def ms() -> list[Any]:
    """The Ms of the running program."""
    sched = startm.current()
    return [] if sched is None else list(sched.allm)


def spin(flag: list[Any]) -> None:
    """Compute until somebody has put something into `flag`."""
    deadline = time.monotonic() + GIVE_UP
    while not flag:
        assert time.monotonic() < deadline, "nobody set the flag: the others were held up"


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def threads_of_ours() -> int:
    return sum(t.name.startswith("gopark-M") for t in threading.enumerate())


def as_goroutine(kind: str, fn: Any) -> Any:
    """`fn` as a plain goroutine, or as a coroutine."""
    if kind == "plain":
        return fn

    async def coroutine(*args: Any) -> None:
        fn(*args)

    return coroutine


@pytest.fixture
def while_idle():
    """`await while_idle(watch)`: main waits, and a thread of Python's runs `watch` meanwhile."""

    async def while_idle(watch):
        over, errors = Chan(), []

        def thread():
            try:
                watch()
            except BaseException as error:
                errors.append(error)
            over.close()

        # So that it is no deadlock, and there is no need to ask again.
        gopark.time.after_func(3600, Chan().close)
        watcher = threading.Thread(target=thread)
        watcher.start()
        await over.recv()
        gopark.cgo.call(watcher.join)
        if errors:
            raise errors[0]

    return while_idle


kinds = pytest.mark.parametrize("kind", ["coroutine", "plain"])


@pytest.fixture
def one_p():
    before = gopark.runtime.gomaxprocs(1)
    yield
    gopark.runtime.gomaxprocs(before)


# --- a goroutine that blocks its thread -------------------------------------------------------


@kinds
async def test_goroutines_that_block_their_threads_hold_up_nobody(procs, kind, gate):
    """More of them than Ps; all the others finish, and only then the gate opens."""
    blocked, done = procs + 2, Chan()

    def blocks():
        gate.wait()
        done.try_send("blocks")

    async def works(n):
        await gopark.gosched()
        await done.send(n)

    for _ in range(blocked):
        gopark.go(as_goroutine(kind, blocks))
    while gate.entered < blocked:
        await gopark.gosched()
    for n in range(20):
        gopark.go(works, n)
    assert sorted([await done.recv() for _ in range(20)]) == list(range(20))
    while gopark.runtime.num_goroutine() > 1 + blocked:
        await gopark.gosched()
    gate.open()
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.usefixtures("procs")
def test_a_plain_main_that_blocks_holds_up_nobody(run, gate):
    async def opens():
        gate.open()

    def main():
        gopark.go(opens)
        gate.wait()
        return "went on"

    assert run(main) == "went on"


@pytest.mark.usefixtures("procs")
async def test_an_async_main_that_blocks_holds_up_nobody(gate):
    async def opens():
        gate.open()

    gopark.go(opens)
    gate.wait()
    assert gate.entered == 1


@pytest.mark.usefixtures("procs")
async def test_one_that_blocks_in_code_run_by_block_holds_up_nobody(gate):
    first, done = Chan(), Chan(1)

    async def waits_then_blocks():
        await first.recv()
        gate.wait()
        await gopark.gosched()
        return "value"

    def plain():
        done.try_send(gopark.block(waits_then_blocks()))

    gopark.go(plain)
    await first.send(None)
    while not gate.entered:
        await gopark.gosched()
    gate.open()
    assert await done.recv() == "value"


@pytest.mark.usefixtures("procs")
async def test_what_a_blocked_goroutine_had_readied_runs_meanwhile(gate):
    """It is in `runnext`, and others are on the local queue: all of it goes with the P."""
    ch, order = Chan(), []

    async def opens():
        await ch.recv()
        gate.open()

    async def follows(n):
        order.append(n)

    async def holder():
        for n in range(5):
            gopark.go(follows, n)
        assert ch.try_send(None)  # the receiver is next
        gate.wait()
        order.append("holder")

    gopark.go(opens)
    await wait_all_parked()
    gopark.go(holder)
    await wait_all_parked()
    assert sorted(map(str, order)) == ["0", "1", "2", "3", "4", "holder"]


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_a_callback_from_c_that_waited_and_then_blocks_holds_up_nobody(cthread, gate):
    """It got a P with its wake-up."""
    ch, done = Chan(), Chan(1)

    def callback(_):
        gopark.block(ch.recv())
        gate.wait()
        done.try_send("back")

    thread = cthread(gopark.cgo.callback(callback))
    await ch.send(None)
    while not gate.entered:
        await gopark.gosched()
    gate.open()
    assert await done.recv() == "back"
    thread.join()


@kinds
async def test_timers_go_off_while_every_p_is_with_a_thread_that_blocks(procs, kind, gate):
    timer = gopark.time.after(0.03)
    for _ in range(procs):
        gopark.go(as_goroutine(kind, gate.wait))
    await timer.recv()
    gate.open()
    await wait_all_parked()


@pytest.mark.usefixtures("procs")
@kinds
async def test_counts_and_dumps_are_true_while_one_blocks_without_its_p(kind, gate):
    def blocks_here():
        gate.wait()

    gopark.go(as_goroutine(kind, blocks_here))
    while not gate.entered:
        await gopark.gosched()
    for _ in range(3):  # the P is back with us: it has been taken from the other
        await gopark.time.sleep(0.001)
    assert gopark.runtime.num_goroutine() == 2
    dump = gopark.runtime.stack(all=True)
    assert dump.count("\ngoroutine ") == 1
    assert "[running]:\n" in dump.partition("\n\n")[2]
    if sys.version_info < (3, 13) or sys._is_gil_enabled():
        assert "blocks_here(...)" in dump
    gate.open()
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


@kinds
async def test_what_comes_back_without_a_p_goes_on_as_if_nothing_had_been(procs, kind, gate):
    """It sends, receives, starts others and yields at once, each of them a thousand times."""
    results = Chan()

    async def echo(ch, n):
        await ch.send(n)

    async def comes_back():
        gate.wait()
        ch = Chan(1)
        assert ch.try_send("x")  # without a P
        assert ch.try_recv() == ("x", True, True)
        total = 0
        for n in range(100):
            gopark.go(echo, ch, n)
            total += await ch.recv()
            await gopark.gosched()
        await results.send(total)

    def plain():
        gopark.block(comes_back())

    for _ in range(procs + 1):
        gopark.go(plain if kind == "plain" else comes_back)
    while gate.entered < procs + 1:
        await gopark.gosched()
    gate.open()
    assert [await results.recv() for _ in range(procs + 1)] == [4950] * (procs + 1)


def test_a_hundred_goroutines_that_sleep_in_c_do_so_at_the_same_time(run):
    """None of them gets on before all of them are there."""
    together = threading.Barrier(100)

    def sleeps(done):
        together.wait(GIVE_UP)
        done.try_send(None)

    async def main():
        done = Chan(100)
        for n in range(100):
            gopark.go(as_goroutine("plain" if n % 2 else "coroutine", sleeps), done)
        for _ in range(100):
            await done.recv()

    run(main)


# --- a goroutine that computes ----------------------------------------------------------------


@kinds
async def test_a_goroutine_that_computes_holds_up_nobody(procs, kind):
    """As many as there are Ps, until main says stop. Go: TestGoroutineParallelism."""
    stop, going = [], []

    def computes():
        going.append(None)
        spin(stop)

    for _ in range(procs):
        gopark.go(as_goroutine(kind, computes))
    while not going:
        await gopark.gosched()
    await gopark.time.sleep(0.02)
    for _ in range(20):
        await gopark.gosched()
    stop.append(True)
    await wait_all_parked()
    assert len(going) == procs


@pytest.mark.usefixtures("procs")
def test_a_plain_main_that_computes_holds_up_nobody(run):
    flag = []

    async def sets():
        flag.append(True)

    def main():
        gopark.go(sets)
        spin(flag)
        return "went on"

    assert run(main) == "went on"


@pytest.mark.usefixtures("procs")
async def test_an_async_main_that_computes_holds_up_nobody():
    flag = []

    async def sets():
        flag.append(True)

    gopark.go(sets)
    spin(flag)
    await gopark.gosched()


@pytest.mark.usefixtures("procs")
async def test_a_timer_goes_off_while_every_p_is_with_a_thread_that_computes():
    """Only the timer waits for the P, no goroutine does."""
    stop = []

    async def stops():
        await gopark.time.sleep(0.03)
        stop.append(True)

    gopark.go(stops)
    await wait_all_parked()
    for _ in range(gopark.runtime.gomaxprocs() - 1):
        gopark.go(spin, stop)
    spin(stop)
    await wait_all_parked()


@kinds
@pytest.mark.parametrize("burners", [12])
async def test_endless_burners_of_one_function_stop_nobody_else(procs, kind, burners):
    """More of them than may compute without a P: those that are too many wait their turn."""
    stop, ended = [], Chan(burners)

    def burner():
        spin(stop)
        ended.try_send(None)

    for _ in range(burners):
        gopark.go(as_goroutine(kind, burner))
    for _ in range(100):
        await gopark.gosched()
    for _ in range(5):
        await gopark.time.sleep(0.02)
    stop.append(True)
    for _ in range(burners):
        await ended.recv()


@kinds
@pytest.mark.parametrize(("goroutines", "seconds"), [(1000, 0.001), (60, 0.02)])
async def test_the_threads_of_many_that_compute_are_few(procs, kind, goroutines, seconds):
    """At most GOMAXPROCS with a P, MAXHOGS without, and a few that are idle or just begin."""
    sched = getg().m.sched
    done, most = Chan(goroutines), [0]

    def computes():
        burn(seconds)
        most[0] = max(most[0], len(sched.allm))
        done.try_send(None)

    for _ in range(goroutines):
        gopark.go(as_goroutine(kind, computes))
    for _ in range(goroutines):
        await done.recv()
    assert most[0] <= procs + MAXHOGS + 8


async def test_one_that_was_held_back_gets_its_turn_though_all_others_wait(procs):
    """Those that compute wait for it, main sleeps, every P is idle: only sysmon can help."""
    flag, done = [], Chan()

    def computes(last):
        if last:
            flag.append(True)
        spin(flag)
        gopark.block(done.send(None))

    first = min(procs, MAXHOGS - 1)  # with MAXHOGS endless ones others of their function wait on
    for _ in range(first):
        gopark.go(computes, False)
    for _ in range(5):  # its function is known for computing by now
        await gopark.time.sleep(0.02)
    gopark.go(computes, True)
    for _ in range(first + 1):
        await done.recv()


async def test_waiting_for_the_gil_is_not_computing(procs):
    """Who sleeps beside a burner waits for the GIL when it comes back; that makes it no hog."""
    sched, stop, done = getg().m.sched, [], Chan(50)

    def sleeps():
        time.sleep(0.02)
        gopark.block(done.send(None))

    gopark.go(spin, stop)
    for _ in range(50):
        gopark.go(sleeps)
    for _ in range(50):
        await done.recv()
    known = sleeps.__code__ in sched.hogcodes
    stop.append(True)
    await wait_all_parked()
    assert not known
    assert gopark.runtime.gomaxprocs() == procs


async def test_those_that_wait_for_a_cpu_are_counted_among_those_that_compute(procs):
    """More busy threads than cores: their clocks stand still at times, and they do not sleep."""
    stop, started = [], []

    def computes():
        started.append(None)
        spin(stop)

    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for _ in range(40):
            gopark.go(computes)
        for _ in range(8):
            await gopark.time.sleep(0.2)
    finally:
        for process in load:
            process.kill()
            process.wait()
    most = len(started)
    stop.append(True)
    await wait_all_parked()
    assert most <= procs + MAXHOGS + 4
    assert len(started) == 40


async def test_goroutines_that_compute_for_long_all_finish(procs):
    """Each needs several slices, so each is a hog again and again."""
    done, rounds = Chan(), 3

    async def computes(n):
        for _ in range(rounds):
            burn(0.015)
            await gopark.gosched()
        await done.send(n)

    for n in range(10):
        gopark.go(computes, n)
    assert sorted([await done.recv() for _ in range(10)]) == list(range(10))
    assert gopark.runtime.gomaxprocs() == procs


@pytest.mark.usefixtures("procs")
async def test_blocking_and_computing_goroutines_beside_each_other(gate):
    stop = []
    for _ in range(5):
        gopark.go(gate.wait)
    for _ in range(5):
        gopark.go(spin, stop)
    while gate.entered < 5:
        await gopark.gosched()
    await gopark.time.sleep(0.01)
    gate.open()
    await gopark.time.sleep(0.01)
    stop.append(True)
    await wait_all_parked()


# --- threads come and go ----------------------------------------------------------------------


async def test_idle_threads_end_and_one_stays(monkeypatch, while_idle, wait_until):
    """Beside the one that stays there may be one that waits for the next timer."""
    monkeypatch.setattr(proc, "IDLETIME", 0.05)
    release = Chan()

    def waits():
        gopark.block(release.recv())

    for _ in range(10):
        gopark.go(waits)
    await wait_all_parked()
    assert threads_of_ours() >= 10
    release.close()

    def watch():
        assert wait_until(lambda: threads_of_ours() <= 2)
        time.sleep(0.3)
        assert threads_of_ours() in (1, 2)

    await while_idle(watch)
    ch = Chan()
    gopark.go(lambda: gopark.block(ch.send("still works")))
    assert await ch.recv() == "still works"


async def test_threads_that_are_used_now_and_then_do_not_end(monkeypatch):
    """Each time one is taken that was idle; no new one is made for each."""
    monkeypatch.setattr(proc, "IDLETIME", 30.0)
    sched, done, seen = getg().m.sched, Chan(), set()

    def plain():
        seen.add(getg().m.mid)
        gopark.block(done.send(None))

    for _ in range(20):
        gopark.go(plain)
        await done.recv()
        await wait_all_parked()
    assert len(seen) <= gopark.runtime.gomaxprocs() + 2
    assert len(sched.allm) <= gopark.runtime.gomaxprocs() + 3


# --- sysmon itself ----------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch):
    """A list that gets longer by one each time sysmon looks."""
    looks: list[None] = []
    look = sysmon.Sysmon.look

    def counted(self: Any, *args: Any) -> Any:
        looks.append(None)
        return look(self, *args)

    monkeypatch.setattr(sysmon.Sysmon, "look", counted)
    return looks


def sysmons() -> int:
    """How many threads of this process are in sysmon's loop."""
    code, found = sysmon.Sysmon.loop.__code__, 0
    gc.disable()  # python/cpython#106883: a collection inside may hang (3.11)
    frames = sys._current_frames()
    gc.enable()
    for frame in frames.values():
        at: Any = frame
        while at is not None and at.f_code is not code:
            at = at.f_back
        found += at is not None
    return found


async def test_sysmon_does_not_look_while_everything_sleeps(looks, while_idle, wait_until):
    """An hour of it costs nothing: not one look once the program is idle."""

    def watch():
        assert wait_until(lambda: startm.sysmonwait.on)
        before = len(looks)
        time.sleep(0.3)
        assert (startm.sysmonwait.on, len(looks) - before) == (True, 0)

    gopark.go(gopark.time.sleep, 3600)
    await while_idle(watch)


async def test_sysmon_wakes_up_again_when_work_comes_back(while_idle, wait_until, gate):
    """It slept because all did; then a goroutine blocks its thread."""
    for n in range(1, 4):
        await while_idle(lambda: wait_until(lambda: startm.sysmonwait.on))
        gopark.go(gate.wait)
        while gate.entered < n:
            await gopark.gosched()
    gate.open()
    await wait_all_parked()


@pytest.mark.usefixtures("one_p")
async def test_a_well_behaved_program_is_looked_at_a_hundred_times_a_second_at_most(looks):
    """The best of many windows: on a busy machine a thread may seem to sleep for a moment."""
    a, b = Chan(), Chan()

    async def pong():
        async for value in a:
            await b.send(value)

    gopark.go(pong)
    rates = []
    for _ in range(30):
        began, before = time.monotonic(), len(looks)
        while time.monotonic() - began < 0.25:
            await a.send(None)
            await b.recv()
        rates.append((len(looks) - before) / (time.monotonic() - began))
        if rates[-1] <= 100:
            break
    a.close()
    assert min(rates) <= 100


@pytest.mark.usefixtures("one_p")
async def test_a_program_that_comes_and_goes_is_looked_at_a_hundred_times_a_second_at_most(looks):
    rates = []
    for _ in range(15):
        began, before = time.monotonic(), len(looks)
        while time.monotonic() - began < 0.4:
            await gopark.time.sleep(0.003)
        rates.append((len(looks) - before) / (time.monotonic() - began))
        if rates[-1] <= 100:
            break
    assert min(rates) <= 100


def test_there_is_one_sysmon_for_all_programs_of_a_process(run):
    async def main():
        blocks = threading.Event()
        gopark.go(blocks.wait, GIVE_UP)
        await gopark.gosched()
        blocks.set()
        await wait_all_parked()

    for _ in range(20):
        run(main)
    assert sysmons() == 1


def test_sysmon_keeps_neither_a_finished_program_nor_its_goroutines(run, gate, wait_until):
    class Local:
        pass

    refs = []

    def remembered(wait, *args):
        local = Local()
        refs.extend([weakref.ref(local), weakref.ref(getg())])
        wait(*args)
        del local

    async def main():
        stop = []
        gopark.go(remembered, gate.wait)
        gopark.go(remembered, spin, stop)
        while len(refs) < 4:
            await gopark.gosched()
        for _ in range(3):  # both have lost their P by now
            await gopark.time.sleep(0.02)
        gate.open()
        stop.append(True)
        await wait_all_parked()
        return Local()

    refs_of_result = [weakref.ref(run(main))]

    def gone() -> bool:
        gc.collect()
        return not [ref for ref in refs + refs_of_result if ref() is not None]

    assert wait_until(gone)


def test_run_returns_at_once_though_goroutines_block_and_compute(run, gate):
    """They go on until they come to an end by themselves; nobody waits for them."""
    stop = []

    async def main():
        for kind in "coroutine", "plain":
            gopark.go(as_goroutine(kind, gate.wait))
            gopark.go(as_goroutine(kind, spin), stop)
        while gate.entered < 2:
            await gopark.gosched()
        return "done"

    began = time.monotonic()
    assert run(main) == "done"
    took = time.monotonic() - began
    gate.open()
    stop.append(True)
    assert took < GIVE_UP / 2  # those that are left would have gone on for GIVE_UP seconds


def test_hogs_that_have_fallen_asleep_hold_nobody_back(child):
    """They would be waited for until they come back, which those may be needed for."""
    result = child(
        """
import os, time
import gopark
gopark.runtime.gomaxprocs(1)
r, w = os.pipe()
started = []
def worker():
    started.append(None)
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    os.read(r, 1)
async def main():
    for _ in range(20):
        gopark.go(worker)
    while len(started) < 20:
        await gopark.time.sleep(0.01)
    os.write(w, bytes(20))
gopark.run(main)
print(len(started))
"""
    )
    assert (result.stdout, result.stderr) == ("20\n", "")
