"""The scheduler: fairness, run queues, Ms and Ps, and that nothing that is ready is forgotten."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base import runtime2
from gopark._runtime.base.runtime2 import getg
from gopark._runtime.sched import proc, startm
from gopark._runtime.sched.runq import drainp
from gopark.testing import wait_all_parked

# --- fairness ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_pair_that_wakes_each_other_does_not_starve_others():
    """Go: TestPingPongHog: runnext must not keep the rest from running."""
    a, b, stop = Chan(), Chan(), []

    async def ping():
        while not stop:
            await a.send(None)
            await b.recv()
        a.close()

    async def pong():
        async for _ in a:
            await b.send(None)

    gopark.go(pong)
    gopark.go(ping)
    turns = 0
    while turns < 100:
        await gopark.gosched()
        turns += 1
    stop.append(True)
    await wait_all_parked()


@pytest.mark.usefixtures("procs")
async def test_goroutines_that_yield_take_turns():
    """Go: TestYieldProgress; each of them gets on."""
    steps, done = Counter(), Chan()

    async def worker(n):
        for _ in range(200):
            steps[n] += 1
            await gopark.gosched()
        await done.send(n)

    for n in range(10):
        gopark.go(worker, n)
    await done.recv()  # the first one is through: the others must not be far behind
    if gopark.runtime.gomaxprocs() == 1:
        assert min(steps.values()) >= 100
    for _ in range(9):
        await done.recv()
    assert set(steps.values()) == {200}


async def test_gosched_lets_all_others_run_first():
    order = []

    async def worker(n):
        order.append(n)

    if gopark.runtime.gomaxprocs() > 1:
        pytest.skip("with several Ps the others may run elsewhere")
    for n in range(5):
        gopark.go(worker, n)
    while len(order) < 5:
        await gopark.gosched()
    assert sorted(order) == list(range(5))


POLLS = {
    "gosched": lambda: gopark.gosched(),
    "block": lambda: _blocked(),
    "select": lambda: _selected(),
    "sleep": lambda: gopark.time.sleep(1e-9),
}


async def _blocked():
    gopark.block(gopark.gosched())


async def _selected():
    await gopark.select(gopark.recv(Chan()), default=True)
    await gopark.gosched()


@pytest.mark.parametrize("poll", POLLS)
def test_one_that_polls_has_about_as_many_turns_as_those_that_were_just_woken(run, poll):
    """Waking so many takes so long that the P is taken meanwhile: most are on the global queue."""

    async def main():
        ch = Chan()
        for _ in range(20_000):
            gopark.go(ch.recv)
        await wait_all_parked()
        sched = getg().m.sched
        before, turns = gopark.runtime.num_goroutine(), 0
        ch.close()
        for p in sched.allp:
            drainp(p)  # so that it does not depend on time
        while gopark.runtime.num_goroutine() > 1:
            turns += 1
            await POLLS[poll]()
        assert before == 20_001
        return turns

    before = gopark.runtime.gomaxprocs(1)
    try:
        assert run(main) < 2000
    finally:
        gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("procs")
async def test_a_goroutine_on_the_global_queue_is_not_starved_by_local_ones():
    """Go: schedtick%61: the global queue is looked at now and then."""
    stop, reached = [], Chan(1)

    async def busy():
        while not stop:
            await gopark.gosched()

    async def spawner():
        while not stop:
            gopark.go(short)
            await gopark.gosched()

    async def short():
        pass

    for _ in range(3):
        gopark.go(busy)
    gopark.go(spawner)

    def from_a_thread_of_its_own():  # no P there: `go` uses the global queue
        gopark.go(reached.send, "ran")

    thread = threading.Thread(target=from_a_thread_of_its_own)
    thread.start()
    assert await reached.recv() == "ran"
    stop.append(True)
    gopark.cgo.call(thread.join)
    await wait_all_parked()


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("how", ["gosched", "call"])
async def test_a_plain_goroutine_that_yields_or_calls_c_starves_nobody(how):
    """It comes back by the global queue each time, which must not win over the local one."""
    stop, done = [], Chan()

    def plain():
        while not stop:
            if how == "gosched":
                gopark.block(gopark.gosched())
            else:
                gopark.cgo.call(int)
        gopark.block(done.send(None))

    async def worker():
        while not stop:
            await gopark.gosched()
        await done.send(None)

    gopark.go(worker)
    gopark.go(plain)
    for _ in range(200):
        await gopark.gosched()
    stop.append(True)
    await done.recv()
    await done.recv()


@pytest.mark.usefixtures("procs")
async def test_what_was_readied_is_not_starved_by_plain_goroutines_that_yield():
    """They hand the P round among themselves; what is in runnext must get its turn."""
    stop, ch, done = [], Chan(), Chan()

    def yields():
        while not stop:
            ch.try_send(None)  # now and then this readies main, and then others are next
            gopark.block(gopark.gosched())
        gopark.block(done.send(None))

    for _ in range(4):
        gopark.go(yields)
    for _ in range(50):
        await ch.recv()
    stop.append(True)
    for _ in range(4):
        await done.recv()


# --- Ms and Ps --------------------------------------------------------------------------------


async def test_with_one_p_coroutines_run_on_one_thread_at_a_time():
    before = gopark.runtime.gomaxprocs(1)
    inside, most = [0], [0]
    done = Chan()

    async def worker():
        for _ in range(50):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            await gopark.gosched()
        await done.send(None)

    for _ in range(8):
        gopark.go(worker)
    for _ in range(8):
        await done.recv()
    gopark.runtime.gomaxprocs(before)
    assert most == [1]


def test_as_many_goroutines_run_at_once_as_there_are_ps(run, child):
    """Two plain goroutines each wait for the other without giving their P away."""
    result = child(
        "import gopark, time\n"
        "gopark.runtime.gomaxprocs(2)\n"
        "here = [False, False]\n"
        "def spin(me):\n"
        "    here[me] = True\n"
        "    while not here[1 - me]:\n"
        "        time.sleep(0)\n"
        "    gopark.block(done.send(me))\n"
        "async def main():\n"
        "    gopark.go(spin, 0)\n"
        "    gopark.go(spin, 1)\n"
        "    print(sorted([await done.recv(), await done.recv()]))\n"
        "done = gopark.Chan(2)\n"
        "gopark.run(main)\n"
    )
    assert (result.stdout, result.stderr) == ("[0, 1]\n", "")


def test_what_a_plain_goroutine_readies_runs_on_another_p_while_it_computes(child):
    """Go: ready wakes an idle P; runnext can be stolen."""
    result = child(
        "import faulthandler, gopark\n"
        "faulthandler.dump_traceback_later(20, exit=True)\n"
        "gopark.runtime.gomaxprocs(2)\n"
        "started, stop = gopark.Chan(1), []\n"
        "def computes():\n"
        "    started.try_send(None)\n"
        "    while not stop: pass\n"
        "async def main():\n"
        "    gopark.go(computes)\n"
        "    await started.recv()\n"
        "    stop.append(1)\n"
        "    print('main went on')\n"
        "gopark.run(main)\n"
    )
    assert result.stdout == "main went on\n", result.stderr


@pytest.mark.usefixtures("procs")
async def test_idle_ms_are_reused():
    """Waves of plain goroutines, each over before the next, need no thread per goroutine."""
    sched = runtime2.getg().m.sched
    done = Chan()

    def plain():
        gopark.block(done.send(None))

    most = 0
    for _ in range(50):
        for _ in range(4):
            gopark.go(plain)
        for _ in range(4):
            await done.recv()
        await wait_all_parked()
        most = max(most, len(sched.allm))
    assert most <= 4 + gopark.runtime.gomaxprocs() + 3


def test_the_threads_of_a_program_end_with_it(run, wait_until):
    async def main():
        gate = Chan()
        for _ in range(10):
            gopark.go(lambda: gopark.block(gate.recv()))
        await wait_all_parked()
        return sum(t.name.startswith("gopark-M") for t in threading.enumerate())

    assert run(main) >= 10
    assert not [t for t in threading.enumerate() if t.name.startswith("gopark-M")]


@pytest.mark.usefixtures("procs")
async def test_every_goroutine_that_is_readied_runs_whatever_the_interleaving():
    """No lost wake-up: rounds of short bursts, each of which parks everything in between."""
    for n in range(100):
        ch = Chan(n % 3)
        for k in range(n % 7 + 1):
            gopark.go(ch.send, k)
        got = [await ch.recv() for _ in range(n % 7 + 1)]
        assert sorted(got) == list(range(n % 7 + 1))


async def test_nobody_runs_a_goroutine_twice_at_once(procs):
    """One owner at any moment, a safety matter on free-threaded builds."""
    inside, done = Counter(), Chan()

    async def worker(n):
        for _ in range(100):
            inside[n] += 1
            assert inside[n] == 1
            inside[n] -= 1
            await gopark.gosched()
        await done.send(None)

    for n in range(4 * procs):
        gopark.go(worker, n)
    for _ in range(4 * procs):
        await done.recv()


@pytest.fixture
def wakeups(monkeypatch):
    """A list that gets longer by one each time an M is woken or made to run a P."""
    wakeups: list[None] = []
    original = startm.startm

    def counted(*args, **kwargs):
        wakeups.append(None)
        original(*args, **kwargs)

    monkeypatch.setattr(startm, "startm", counted)
    return wakeups


@pytest.fixture
def two_ps():
    before = gopark.runtime.gomaxprocs(2)
    yield
    gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("two_ps")
async def test_a_ping_pong_stays_on_one_thread_and_wakes_no_other(wakeups):
    """What the one readies runs next on the same M; the other P is left alone."""
    a, b, threads = Chan(), Chan(), Counter()

    async def pong():
        async for value in a:
            threads[threading.get_ident()] += 1
            await b.send(value)

    gopark.go(pong)
    await wait_all_parked()
    before = len(wakeups)
    for n in range(5000):
        await a.send(n)
        assert await b.recv() == n
        threads[threading.get_ident()] += 1
    # A few: on a busy machine sysmon may take the thread for one that sleeps.
    assert len(wakeups) - before < 500
    assert max(threads.values()) > 5000
    a.close()
    await wait_all_parked()


@pytest.mark.usefixtures("two_ps")
async def test_a_goroutine_that_yields_alone_wakes_no_other_thread(wakeups):
    for _ in range(100):
        await gopark.gosched()
    before = len(wakeups)
    for _ in range(5000):
        await gopark.gosched()
    assert len(wakeups) - before < 500


def test_no_more_than_half_of_the_busy_ms_look_for_work():
    """Go: findRunnable: 2*nmspinning < gomaxprocs - npidle."""
    sched = runtime2.Sched(8)
    sched.pidle.clear()
    sched.npidle, looking = 0, []
    for p in sched.allp:
        m = runtime2.M(sched)
        m.p, p.m = p, m
        assert proc._steal(m, sched, p) is None  # there is nothing to find
        looking.append(m.spinning)
    assert looking == [True] * 4 + [False] * 4
    assert sched.nmspinning == 4
    sched.npidle = 6  # two are busy, and one of them looks already
    sched.nmspinning = 1
    m = runtime2.M(sched)
    assert proc._steal(m, sched, sched.allp[0]) is None
    assert not m.spinning


@pytest.mark.usefixtures("two_ps")
@pytest.mark.parametrize("seed", range(5))
async def test_no_wake_up_is_lost_between_two_ps(seed):
    """Bursts of random size with everybody asleep in between: a lost one is a deadlock here."""
    chance, ch = random.Random(seed), Chan()

    async def relay(n):
        for _ in range(n % 3):
            await gopark.gosched()
        await ch.send(n)

    for _ in range(60):
        burst = chance.randrange(1, 12)
        for n in range(burst):
            gopark.go(relay, n)
            if chance.random() < 0.3:
                await gopark.gosched()
        assert sorted([await ch.recv() for _ in range(burst)]) == list(range(burst))
        if chance.random() < 0.2:
            await gopark.time.sleep(0.001)


# --- waiting for all --------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_wait_all_parked_returns_only_once_every_other_goroutine_waits():
    log = []

    async def busy():
        for _ in range(500):
            await gopark.gosched()
        log.append("parks")
        await Chan().recv()

    gopark.go(busy)
    await wait_all_parked()
    assert log == ["parks"]


async def test_wait_all_parked_alone_returns_at_once():
    await wait_all_parked()


async def test_wait_all_parked_waits_for_one_that_is_in_c():
    event, log = threading.Event(), []

    def in_c():
        gopark.cgo.call(event.wait, 30)
        log.append("back")

    gopark.go(in_c)
    threading.Timer(0.05, event.set).start()
    await wait_all_parked()
    assert log == ["back"]


@pytest.mark.usefixtures("procs")
async def test_wait_all_parked_naps_by_the_clock_on_the_wall(monkeypatch):
    """Whatever clock a test has put in the place of that of the program."""
    timers = startm.getsched().timers
    monkeypatch.setattr(timers, "clock", lambda: time.monotonic() + 1e6)
    turns, stop = [], []

    def computes():
        while not stop:
            pass

    async def others():
        """They go on meanwhile, with one P too."""
        for n in range(1000):
            turns.append(n)
            await gopark.gosched()
        stop.append(True)

    gopark.go(computes)
    gopark.go(others)
    await wait_all_parked()
    assert len(turns) == 1000
    assert stop


async def test_wait_all_parked_takes_a_sleeping_goroutine_for_parked():
    gopark.go(gopark.time.sleep, 1000)
    await wait_all_parked()
    assert "[sleep]" in gopark.runtime.stack(all=True)


async def test_one_that_starts_the_next_as_it_ends_starves_nobody_while_others_compute():
    """With Ms that compute without a P each slice is one step, and the next comes in in front."""
    stop = []

    def computes():
        while not stop:
            sum(range(100))

    async def churns():
        if not stop:
            gopark.go(churns)

    async def takes_turns(done):
        for _ in range(30):
            await gopark.gosched()
        done.close()

    done = gopark.Chan()
    for _ in range(2):
        gopark.go(computes)
    while not startm.current().nhogs:
        await gopark.gosched()
    gopark.go(churns)
    gopark.go(takes_turns, done)
    await done.recv()
    stop.append(True)
