"""With one P, main and the signal handlers of a program take turns, as without gopark."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's here")

PRELUDE = """
import gopark, os, signal, sys, threading, time
gopark.runtime.gomaxprocs(1)
home = threading.get_ident()
"""


def test_main_goes_on_only_when_a_long_handler_is_over_and_all_others_meanwhile(child):
    result = child(
        PRELUDE
        + """
inside, turns, calls = False, 0, 0
def handler(_, frame):
    global inside, calls
    while frame is not None and frame.f_code is not other.__code__:
        frame = frame.f_back
    before, inside = turns, True
    while frame is None and turns < before + 3:  # else it came amid a step of the other's
        time.sleep(0.001)
    inside, calls = False, calls + 1
async def other():
    global turns
    while True:
        await gopark.time.sleep(0.001)
        turns += 1
async def main():
    signal.signal(signal.SIGALRM, handler)
    gopark.go(other)
    for n in range(10):
        signal.setitimer(signal.ITIMER_REAL, 0.003)
        while calls == n:
            await gopark.time.sleep(0.0003)
            assert not inside
            assert threading.get_ident() == home
gopark.run(main)
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_handler_that_has_come_is_called_before_mains_next_step(child):
    """Whatever it interrupted: what main does after is not undone by it."""
    result = child(
        PRELUDE
        + """
calls = 0
def handler(*_):
    global calls
    calls += 1
async def other(ch):
    ch.try_send(1)
async def main():
    signal.signal(signal.SIGUSR1, handler)
    ch = gopark.Chan(1)
    nth, seen = 0, 1
    while seen > nth:
        nth, seen = nth + 1, 0
        def hook(frame, event, arg):
            nonlocal seen
            if event == "call" and "gopark" in frame.f_code.co_filename:
                seen += 1
                if seen == nth:
                    signal.raise_signal(signal.SIGUSR1)
        sys.setprofile(hook)
        gopark.go(other, ch)
        await ch.recv()
        sys.setprofile(None)
        sent = nth if seen >= nth else nth - 1
        await gopark.gosched()
        assert calls == sent, (calls, sent)
    print(nth > 3)
gopark.run(main)
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_a_handler_may_wait_for_main(child):
    result = child(
        PRELUDE
        + """
ch, done = gopark.Chan(), gopark.Chan(1)
def handler(*_):
    done.try_send(gopark.block(ch.recv()))
async def main():
    signal.signal(signal.SIGALRM, handler)
    for n in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        await gopark.time.sleep(0.002)  # or it would be main that it interrupts
        await ch.send(n)
        assert await done.recv() == n
gopark.run(main)
print("ok")
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "")


def test_a_handler_that_was_set_before_run_counts_as_well(child):
    result = child(
        PRELUDE
        + """
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.03))  # for long, so that the P goes on
where = set()
def plain(wg):
    os.kill(os.getpid(), signal.SIGUSR1)
    wg.done()
async def main():
    for _ in range(10):
        wg = gopark.sync.WaitGroup()
        wg.add(1)
        gopark.go(plain, wg)
        await wg.wait()
        await gopark.time.sleep(0.001)
        where.add(threading.get_ident() == home)
gopark.run(main)
print(where)
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "{True}\n", "")


def test_signals_that_come_faster_than_handlers_end_keep_nobody_from_running(child):
    """Neither main that sits on its thread, nor one that does not, nor others."""
    result = child(
        PRELUDE
        + """
stop, turns = [], 0
def storm():
    while not stop:
        signal.pthread_kill(home, signal.SIGUSR1)
        time.sleep(0.0001)
async def other():
    global turns
    while True:
        await gopark.time.sleep(0.0001)
        turns += 1
async def main(locked):
    stop.clear()
    if locked:
        gopark.runtime.lock_os_thread()
    thread = threading.Thread(target=storm)
    thread.start()
    gopark.go(other)
    before = turns
    for _ in range(50):
        await gopark.time.sleep(0.0001)
    while turns < before + 10:
        await gopark.gosched()
    stop.append(None)
    thread.join()
busy = []
def handler(*_):
    if not busy:  # else it would be called amid itself again and again
        busy.append(None)
        time.sleep(0.001)
        busy.clear()
signal.signal(signal.SIGUSR1, handler)
for locked in (False, True):
    gopark.run(main, locked)
print("ok")
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "")
