"""What Go's runtime tests say of timers: fairness, and waits that signals disturb."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from time import monotonic

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.time import after
from harness import start


@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestTimerFairness")
async def test_timer_fairness():
    done, c = Chan(), Chan()

    async def sends():
        while (await select(gopark.send(c, True), recv(done)))[0] == 0:
            pass

    for _ in range(2):
        gopark.go(sends)
    timer, received = after(0.02), 0
    while (await select(recv(c), recv(timer)))[0] == 0:
        received += 1
    done.close()
    assert received > 0


@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestTimerFairness2")
async def test_timer_fairness2():
    """A system call and a channel exchange in each turn, and a timer of its own."""
    done, c = Chan(), Chan()
    readable, writable = os.pipe()

    async def worker():
        timer = after(0.02)
        while True:
            gopark.cgo.call(os.read, readable, 0)
            index, _, _ = await select(gopark.send(c, True), recv(c), recv(timer))
            if index == 2:
                return await done.send(True)

    try:
        for _ in range(2):
            gopark.go(worker)
        assert [await done.recv() for _ in range(2)] == [True, True]
    finally:
        os.close(readable)
        os.close(writable)


@pytest.mark.go("runtime", "TestSpuriousWakeupsNeverHangSemasleep")
@pytest.mark.go("runtime/testdata/testprog", "After1")
def test_spurious_wakeups_never_hang_semasleep():
    """A harmless signal comes again and again while the program waits for its timer."""
    child = start("testprog", "After1")
    child.expect("ready")
    ready, ended, sent = monotonic(), threading.Event(), 0

    def disturbs():
        nonlocal sent
        with contextlib.suppress(ProcessLookupError):
            while not ended.wait(0.1):
                os.kill(child.pid, signal.SIGURG)
                sent += 1

    thread = threading.Thread(target=disturbs)
    thread.start()
    try:
        assert child.end() == ("ready\n", "", 0)
    finally:
        ended.set()
        thread.join()
    assert monotonic() - ready >= 0.45
    assert sent >= 2
