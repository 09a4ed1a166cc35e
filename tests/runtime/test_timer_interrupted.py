"""The heap of timers, interrupted by its own thread.

A signal handler and a finaliser run between two calls of whatever their thread is doing, with
the heap's lock taken if that comes so. Here a profile function stands in for them: after the
n-th call inside timer.py, for every n there is, it starts, stops and restarts timers of the
same heap.
"""

from __future__ import annotations

import gc
import itertools
import random
import signal
import sys
import weakref
from collections import Counter
from math import inf

import pytest

import gopark
from gopark._runtime.sched import timer as module
from gopark._runtime.sched.timer import NEVER, Timer, Timers
from gopark._runtime.twin import native
from gopark.time import after_func

FAR = 3600.0

pure = pytest.mark.skipif(native is not None, reason="nothing comes in amid the twin's heap")


class Accounts:
    """A heap, some timers in it, and how each start of each of them ended."""

    def __init__(self, rng):
        self.rng = rng
        n = rng.choice([1, 2, 12])
        self.ran = []
        self.woken = 0
        self.heap = Timers(self.wake)
        self.ids = itertools.count(n)
        self.timers = {i: Timer(self.heap, inf, self.ran.append, i) for i in range(n)}
        self.counts = Counter()
        self.now = 0.0
        for _ in range(n):
            self.random()

    def wake(self):
        self.woken += 1

    def random(self):
        """Anything, to any timer."""
        rng = self.rng
        n = rng.choice(list(self.timers))
        timer, when = self.timers[n], self.now + rng.random() * 10
        what = rng.randrange(5)
        if what == 0:
            n = next(self.ids)
            timer = Timer(self.heap, when, self.ran.append, n)
            timer.start()  # known to those who come in its midst once it has
            self.timers[n] = timer
            self.counts[n, "started"] += 1
        elif what < 3:
            kept = timer.stop()
            self.counts[n, "kept"] += kept
        else:
            self.counts[n, "started"] += 1
            kept, first = self.heap.modify(timer, when, n)
            self.counts[n, "kept"] += kept
            if first:
                self.wake()

    def run(self):
        self.now += self.rng.random() * 4
        self.heap.run(self.now)

    def check(self):
        """The invariants of timer.py, and what it does not say: nothing is left undone."""
        heap, entries = self.heap, self.heap._heap + self.heap._old
        pending = [t for t in self.timers.values() if t.pending]
        assert not heap._late
        assert not heap._inside
        assert heap.when <= min((t.when for t in pending), default=NEVER), "T1"
        assert (heap.when is NEVER) is (not pending), "T1"
        assert bool(heap.armed) is bool(pending)
        live = [t for when, seq, t in entries if t.seq == seq]
        assert len(live) == len(pending), "T2"
        assert set(live) == set(pending), "T2"
        assert heap._ndead == len(entries) - len(live), "T3"

    def close(self):
        """Everything runs; then each start has ended in one way."""
        self.heap.run(self.now + 100)
        self.check()
        ran = Counter(self.ran)
        for n in self.timers:
            assert self.counts[n, "started"] == self.counts[n, "kept"] + ran[n]


def interrupted(action, at, what):
    """Do `action`; after the `at`-th call in timer.py do `what`. False: there were fewer."""
    left, done = at, False

    def profile(frame, event, _):
        nonlocal left, done
        if done or frame.f_code.co_filename != module.__file__ or event == "c_call":
            return
        if left == 0:
            done = True
            what()
        left -= 1

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return done


def manyrandom(accounts):
    for _ in range(accounts.rng.randrange(1, 4)):
        accounts.random()


@pure
@pytest.mark.parametrize("action", ["random", "run"])
@pytest.mark.parametrize("few", [0, module._FEW])
def test_whatever_comes_in_the_midst_nothing_is_lost(monkeypatch, action, few):
    monkeypatch.setattr(module, "_FEW", few)  # 0: the heap is moved again and again
    reached = 0
    for seed in range(120):
        at = 0
        while True:
            accounts = Accounts(random.Random(seed))
            if not interrupted(getattr(accounts, action), at, lambda a=accounts: manyrandom(a)):
                break
            accounts.check()
            for _ in range(5):
                accounts.random()
                accounts.check()
            accounts.close()
            at += 1
            reached = max(reached, at)
    assert reached > 4


@pure
@pytest.mark.parametrize("action", ["stop", "run"])
def test_an_earlier_timer_that_came_in_the_midst_wakes_the_scheduler(action):
    """Somebody may have begun to sleep until the one that was first for a moment."""
    inside = wakes = 0
    for at in range(20):
        woken = []
        heap = Timers(lambda w=woken: w.append("woken"))
        timer, early = Timer(heap, 5.0, len, ""), Timer(heap, 6.0, len, "")
        Timer(heap, 7.0, len, "").start()
        timer.start()
        woken.clear()

        def start(heap=heap, early=early, woken=woken):
            woken.append(heap._inside)
            early.start()

        if interrupted(timer.stop if action == "stop" else lambda h=heap: h.run(5.0), at, start):
            assert heap.when == 6.0
            inside += woken[0]
            wakes += woken == [True, "woken"]
    assert inside
    assert wakes


async def test_a_signal_handler_may_stop_and_start_timers():
    """Over and over, wherever main is."""
    ran, timers = [], [after_func(FAR, len, "") for _ in range(50)]
    handled = 0

    def handler(*_):
        nonlocal handled
        handled += 1
        for timer in timers[handled % 40 :]:
            timer.stop()
            timer.reset(FAR)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while handled < 100:
            timer = after_func(FAR, ran.append, 1)
            timer.reset(FAR)
            assert timer.stop() is True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [timer.stop() for timer in timers] == [True] * 50
    assert ran == []


class Owner:
    """Stops its timer when it is collected, as one does; it is in a cycle."""

    def __init__(self, counts):
        self.me = self
        self.counts = counts
        self.timer = after_func(FAR, len, "")

    def __del__(self):
        self.counts[self.timer.stop()] += 1


async def test_a_finaliser_may_stop_a_timer():
    """Whatever its thread was doing when the collector came."""
    counts, threshold = Counter(), gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Owner(counts)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert counts == {True: 300}


def test_what_a_stopped_timer_called_is_not_kept():
    thing = Owner.__new__(Owner)
    thing.counts, thing.timer = Counter(), after_func(FAR, len, "")
    ref = weakref.ref(thing)
    timer = after_func(FAR, print, thing)
    assert timer.stop()
    del timer
    assert ref() is thing
    del thing
    assert ref() is None


async def test_the_timer_of_after_func_keeps_what_it_calls_while_it_is_pending():
    thing = gopark.Chan(1)
    ref = weakref.ref(thing)
    after_func(FAR, thing.try_send, 1)
    del thing
    gc.collect()
    assert ref() is not None


# --- no memory ----------------------------------------------------------------------------------


class Short:
    """`heappush` on a machine whose memory runs out at the n-th call, and is there again after."""

    def __init__(self, monkeypatch):
        self.left = -1
        self.push = module.heappush
        monkeypatch.setattr(module, "heappush", self)

    def __call__(self, heap, entry):
        self.left -= 1
        if self.left == -1:
            raise MemoryError
        self.push(heap, entry)


@pure
@pytest.mark.parametrize("at", range(4))
def test_without_memory_for_it_a_change_is_none(monkeypatch, at):
    """Neither where a timer is added nor where others are moved, or come late."""
    monkeypatch.setattr(module, "_FEW", 0)
    short = Short(monkeypatch)
    failed = 0
    for seed in range(300):
        accounts = Accounts(random.Random(seed))
        for _ in range(10):
            before = accounts.counts.copy()
            timers = {n: (t.when, t.seq, t.arg) for n, t in accounts.timers.items()}
            short.left = at
            try:
                accounts.random()
            except MemoryError:
                failed += 1
                accounts.counts = before
                assert timers == {n: (t.when, t.seq, t.arg) for n, t in accounts.timers.items()}
            short.left = -1
            accounts.heap.armed[:] = () if accounts.heap.when is NEVER else (True,)
            accounts.check()
        accounts.close()
    assert failed or at


@pure
async def test_after_func_without_memory_leaves_the_clock_running(monkeypatch):
    short, fired = Short(monkeypatch), gopark.Chan(1)
    later = after_func(FAR, fired.try_send, "reset")
    for change in (lambda: after_func(0, len, ""), lambda: later.reset(0)):
        short.left = 0
        with pytest.raises(MemoryError):
            change()
        short.left = -1
        await gopark.time.sleep(0.001)
    assert not len(fired)
    assert later.reset(0)
    assert await fired.recv() == "reset"
