"""Exact accounts while C threads come and go, and what a parked goroutine costs."""

from __future__ import annotations

import json
import os
import sys

import pytest

from gopark._runtime.c import extram

pytestmark = pytest.mark.skipif(
    extram._cxa_thread_atexit is None, reason="this libc has no per-thread exit hook"
)

PRELUDE = """
import ctypes, gc, json, os, re, sys, threading, time
import gopark
from gopark._runtime.c import extram

libc = ctypes.CDLL(None)
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
libc.pthread_create.argtypes = (ctypes.c_void_p,) * 4
libc.pthread_join.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
atexit = extram._cxa_thread_atexit  # the same thread calls in again, from C, when it exits

def create(entry, arg=None):
    tid = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(tid), None, entry, arg) == 0
    return tid

def join(tid):
    gopark.cgo.call(libc.pthread_join, tid, None)

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""

CALLBACKS = (
    PRELUDE
    + """
THREADS, EACH = int(sys.argv[1]), int(sys.argv[2])
lock = threading.Lock()
inside = most = calls = 0
pending = {}

def callback(_):
    global inside, most, calls
    ident = threading.get_ident()
    with lock:
        calls += 1
        inside += 1
        most = max(most, inside)
        first = ident not in pending
        pending[ident] = None
    if first:
        for _ in range(EACH - 1):
            atexit(entry, None, extram._dso)
    count = gopark.runtime.num_goroutine()
    if not 2 <= count <= bound:
        bad.append(count)
    with lock:
        inside -= 1

entry = START(gopark.cgo.callback(callback))
bad = []
SPAWNERS, WAVE = 4, 5
bound = 1 + SPAWNERS * (1 + WAVE) + THREADS

async def short():
    await gopark.gosched()

async def spawner(stop, done):
    while not stop:
        for _ in range(WAVE):
            if gopark.runtime.num_goroutine() < 2:
                bad.append("spawner")
        gopark.go(short)
        await gopark.time.sleep(0.001)
    await done.send(None)

async def wave():
    stop, done = [], gopark.Chan()
    for _ in range(SPAWNERS):
        gopark.go(spawner, stop, done)
    pending.clear()
    tids = [create(entry) for _ in range(THREADS)]
    for tid in tids:
        join(tid)
    stop.append(1)
    for _ in range(SPAWNERS):
        await done.recv()
    await gopark.testing.wait_all_parked()
    return gopark.runtime.num_goroutine()

async def main():
    global calls
    counts = [await wave()]  # warm up: what is made once is made now
    gc.collect()
    before = len(sys._current_frames()), rss()
    calls = 0
    counts.append(await wave())
    gc.collect()
    after = len(sys._current_frames()), rss()
    return {"counts": counts, "calls": calls, "bad": bad[:5], "most": most,
            "extra": extram.extralen(), "bound": len(extram.inuse()),
            "frames": [before[0], after[0]], "rss": [before[1], after[1]],
            "dump": gopark.runtime.stack(all=True).count("goroutine ")}

print(json.dumps(gopark.run(main)))
"""
)

COUNTING = (
    PRELUDE
    + """
THREADS, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
lock = threading.Lock()
entered = left = 0
bad, header = [], re.compile(r"^goroutine \\d+ \\[", re.M)
OWN = 3  # main, the counter, the one that waits

def callback(arg):
    global entered, left
    with lock:
        entered += 1
    gopark.runtime.num_goroutine()
    with lock:
        left += 1

def slow(arg):
    callback(arg)
    gopark.block(gopark.gosched())

entries = [START(gopark.cgo.callback(fn)) for fn in (callback, slow)]

async def counter(stop, done):
    samples = 0
    while not stop:
        # A callback counts from before its first line until after its last: never more
        # than the threads there are, never less than our own goroutines.
        count = gopark.runtime.num_goroutine()
        if not OWN <= count <= OWN + THREADS:
            bad.append(("count", count))
        low = gopark.runtime.num_goroutine()
        dump = gopark.runtime.stack(all=True)
        headers = len(header.findall(dump))
        if not OWN <= headers <= OWN + THREADS:
            bad.append(("dump", headers, low))
        samples += 1
        await gopark.gosched()
    await done.send(samples)

async def main():
    stop, done = [], gopark.Chan()
    gopark.go(counter, stop, done)
    gopark.go(gopark.Chan().recv)
    await gopark.gosched()

    def comings_and_goings():
        for n in range(ROUNDS):
            tids = [create(entries[k % 2], n) for k in range(THREADS)]
            for tid in tids:
                join(tid)

    comings_and_goings()
    stop.append(1)
    samples = await done.recv()
    await gopark.testing.wait_all_parked()
    return {"bad": bad[:5], "samples": samples, "entered": entered, "left": left,
            "end": gopark.runtime.num_goroutine(),
            "headers": len(header.findall(gopark.runtime.stack(all=True)))}

print(json.dumps(gopark.run(main)))
"""
)

PARKED = (
    PRELUDE
    + """
N = int(sys.argv[1])

async def waiter(ch, woken):
    await ch.recv()
    woken.append(None)

async def main():
    ch, woken = gopark.Chan(), []
    for _ in range(1000):
        gopark.go(waiter, ch, woken)
    await gopark.testing.wait_all_parked()
    gc.collect()
    before = rss()
    for _ in range(N):
        gopark.go(waiter, ch, woken)
    await gopark.testing.wait_all_parked()
    count = gopark.runtime.num_goroutine()
    gc.collect()
    each = (rss() - before) / N
    ch.close()
    await gopark.testing.wait_all_parked()
    return {"count": count, "each": each, "woken": len(woken),
            "end": gopark.runtime.num_goroutine()}

print(json.dumps(gopark.run(main)))
"""
)


def seconds():
    return float(os.environ.get("GOPARK_STRESS_SECONDS", "2"))


def outcome(result):
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_64_c_threads_with_2000_callbacks_each_leave_exact_accounts(child):
    threads, each = 64, 2000
    out = outcome(child(CALLBACKS, str(threads), str(each)))
    assert out["calls"] == threads * each
    assert out["bad"] == []
    assert out["counts"] == [1, 1]
    assert out["dump"] == 1
    # A thread is bound from its first callback to its end, also while none of its callbacks
    # runs: no more Ms than threads, and one that waits.
    assert out["extra"] <= threads + 1
    assert out["bound"] == 0
    assert out["frames"][1] <= out["frames"][0]
    assert out["rss"][1] - out["rss"][0] < 4 << 20


def test_a_count_while_50_c_threads_come_and_go_is_never_an_impossible_number(child):
    rounds = max(4, int(seconds() * 6))
    out = outcome(child(COUNTING, "50", str(rounds)))
    assert out["bad"] == []
    assert out["entered"] == out["left"] == 50 * rounds
    assert out["samples"] > 0
    assert out["end"] == out["headers"] == 2


def test_100_000_goroutines_parked_on_one_channel_cost_under_1300_bytes_each(child):
    """And one close wakes them all."""
    n = 100_000
    out = outcome(child(PARKED, str(n)))
    assert out["count"] == n + 1001
    assert out["woken"] == n + 1000
    assert out["end"] == 1
    if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled():
        assert out["each"] < 1900  # objects of the free-threaded build are larger
    else:
        assert out["each"] < 1300
