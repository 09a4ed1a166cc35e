"""Ctrl-C: one KeyboardInterrupt, in main, wherever main is. Most in a process of their own."""

from __future__ import annotations

import os
import signal

import pytest

import gopark
from gopark._runtime.base.runtime2 import PARK, G, park_point
from gopark._runtime.signal import owed, preempt, signal_unix

PRELUDE = """
import os, signal, sys, threading, time
import gopark

def interrupt_when(ready):
    def body():
        while not ready():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=body, daemon=True).start()

def parked():
    return "[" in gopark.runtime.stack(all=True) and any(
        f"[{why}]" in gopark.runtime.stack(all=True)
        for why in ("chan receive", "select", "sleep", "select (no cases)")
    )
"""

WAITS = {
    "recv": "await gopark.Chan().recv()",
    "sleep": "await gopark.time.sleep(100)",
    "select": "await gopark.select(gopark.recv(gopark.Chan()), gopark.recv(gopark.Chan()))",
    "no cases": "await gopark.select()",
    "block": "gopark.block(gopark.Chan().recv())",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_parked_main_gets_one_keyboard_interrupt_at_its_wait(child, wait):
    result = child(
        PRELUDE
        + f"""
async def main():
    count = 0
    try:
        {wait}
    except KeyboardInterrupt:
        count += 1
    await gopark.time.sleep(0.05)  # a second one would hit here
    print("interrupted", count)

interrupt_when(parked)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("interrupted 1\n", "")


@pytest.mark.parametrize("wait", ["await gopark.Chan().recv()", "time.sleep(100)"])
@pytest.mark.parametrize("run", ["gopark.run(main)", "gopark.run(gopark.block, main())"])
def test_a_main_thread_that_fell_asleep_as_the_signal_came_is_sent_another(child, run, wait):
    """C serves what comes between its last look for signals and its sleep; Python does not yet."""
    result = child(
        PRELUDE
        + f"""
lost, kill = [], signal.pthread_kill

def served_by_c_alone(thread, signum):
    if len(lost) < 3:
        lost.append(signum)
    else:
        kill(thread, signum)

signal.pthread_kill = served_by_c_alone

async def main():
    interrupt_when(lambda: len(started) == 1 and entered.is_set())
    started.append(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # so another thread gets it
    try:
        entered.set()
        {wait}
    except KeyboardInterrupt:
        print("interrupted")

started, entered = [], threading.Event()
threading.Thread(target=threading.Event().wait, daemon=True).start()  # or it may be called dead
{run}
"""
    )
    assert (result.stdout, result.stderr) == ("interrupted\n", "")


def test_a_computing_main_gets_it_too(child):
    result = child(
        PRELUDE
        + """
started = []
async def main():
    try:
        started.append(1)
        while True:
            pass
    except KeyboardInterrupt:
        print("interrupted")

interrupt_when(lambda: started)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("interrupted\n", "")


@pytest.mark.parametrize("where", ["await gopark.gosched()", "pass"])
def test_one_in_a_loop_is_caught_by_the_try_around_it(child, where):
    """CPython 3.13 has the jump back of a loop outside of that."""
    result = child(
        PRELUDE
        + f"""
begun = []
def kick():
    for n in range(20):
        while len(begun) <= n:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

async def main():
    caught = 0
    for n in range(20):
        {where}
        try:
            begun.append(n)
            while time.monotonic() < sys.maxsize:
                pass
        except KeyboardInterrupt:
            caught += 1
    print(caught)

threading.Thread(target=kick).start()
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("20\n", "")


def test_one_in_a_loop_that_is_the_end_of_its_function_is_raised_there(child):
    result = child(
        PRELUDE
        + """
begun = []
async def computes():
    begun.append(True)
    while True:
        sum(range(10))

def kick():
    for n in range(20):
        while len(begun) <= n:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

async def main():
    for _ in range(20):
        try:
            await computes()
        except KeyboardInterrupt as exc:
            assert exc.__context__ is None
    print("raised")

threading.Thread(target=kick).start()
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("raised\n", "")


def test_an_uncaught_one_passes_out_of_run_and_others_are_unwound(child):
    result = child(
        PRELUDE
        + """
async def worker():
    try:
        await gopark.Chan().recv()
    finally:
        print("worker unwound")

async def main():
    gopark.go(worker)
    await gopark.time.sleep(100)

def both_parked():
    dump = gopark.runtime.stack(all=True)
    return "[chan receive]" in dump and "[sleep]" in dump

interrupt_when(both_parked)
try:
    gopark.run(main)
except KeyboardInterrupt:
    print("run raised", gopark.runtime.num_goroutine())
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    )
    assert result.stdout == "worker unwound\nrun raised 0\nTrue\n"
    assert result.stderr == ""


def test_a_handler_of_the_programs_own_is_left_alone(child):
    result = child(
        PRELUDE
        + """
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
async def main():
    gate = gopark.Chan()
    os.kill(os.getpid(), signal.SIGINT)
    await gopark.time.sleep(0.05)
    print("seen", seen)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("seen [1]\n", "")


def test_run_in_another_thread_installs_no_handler(child):
    result = child(
        PRELUDE
        + """
async def main():
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler
out = []
t = threading.Thread(target=lambda: out.append(gopark.run(main)))
t.start(); t.join()
print(out)
"""
    )
    assert (result.stdout, result.stderr) == ("[True]\n", "")


async def test_one_that_comes_while_the_helper_of_another_is_ending_is_not_lost(
    monkeypatch, wait_until
):
    """Its handler finds the helper still there, and leaves the work to it."""
    interrupt, caught, left = signal_unix._interrupt, [], ["the second"]

    def interrupt_and_once_more(sched):
        interrupt(sched)
        if left:
            left.pop()
            os.kill(os.getpid(), signal.SIGINT)
            assert wait_until(lambda: owed.owed or len(caught) == 2)

    async def first():
        await gopark.testing.wait_all_parked()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(signal_unix, "_interrupt", interrupt_and_once_more)
    gopark.go(first)
    for n in range(2):
        try:
            await gopark.Chan().recv()
        except KeyboardInterrupt:
            caught.append(n)
    assert caught == [0, 1]


def test_what_has_been_raised_is_not_raised_again_by_who_sets_a_trap_meanwhile(monkeypatch):
    """A second exception is owed, and main takes the first one just as its helper looks at it."""
    raised = []

    async def main():
        while True:
            try:
                await park_point
            except ValueError as exc:
                raised.append(exc)

    class Slow(preempt._Trap):
        def __init__(self, g, take):
            super().__init__(g, take)
            assert next(g.step) is PARK

    monkeypatch.setattr(preempt, "_Trap", Slow)
    g = G(0)
    g.coro = main()
    g.step = g.coro.__await__()
    assert next(g.step) is PARK
    first = ValueError()
    preempt.throwin(g, first)
    preempt.trap(g, lambda: None)
    assert next(g.step) is PARK
    assert raised == [first]
    g.coro.close()


def test_what_ends_the_process_may_be_taken_as_the_handler_looks_where_it_is(monkeypatch):
    """By the thread that wakes a wait in `block` with it."""
    left = SystemExit(2)

    def taken(frame, g):
        assert signal_unix.leaving.pop() is left
        return True

    monkeypatch.setattr(signal_unix, "interruptible", taken)
    signal_unix.leaving.append(left)
    signal_unix._attend(None)


@pytest.mark.parametrize("arrival", ["asleep", "computing"])
def test_main_is_back_on_the_main_thread_after_a_handler_of_the_programs_own(child, arrival):
    """There Python calls the next one before main's next line, and `signal.signal` may be used."""
    result = child(
        PRELUDE
        + f"""
from signal import raise_signal, SIGUSR1, setitimer, ITIMER_REAL, SIGALRM

calls = []

def handler(signum, frame):
    calls.append(signum)
    gopark.go(other)

async def other():
    pass

async def home():
    for _ in range(2000):
        if threading.current_thread() is threading.main_thread():
            return True
        await gopark.time.sleep(0.001)
    return False

async def main():
    gopark.runtime.gomaxprocs(1)
    signal.signal(SIGALRM, handler)
    homes = 0
    for n in range(50):
        setitimer(ITIMER_REAL, 0.002)
        while len(calls) == n:
            if {arrival!r} == "asleep":
                await gopark.time.sleep(0.01)
        homes += await home()
        signal.signal(SIGALRM, handler)
    print(homes)

gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("50\n", "")
