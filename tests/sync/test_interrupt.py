"""Ctrl-C while main waits in, or computes under, what gopark.sync has."""

from __future__ import annotations

import pytest

from harness import Ended, start_python

PROGRAM = """
import sys
import gopark
from gopark.sync import Cond, Mutex, Once, RWMutex, WaitGroup, once_value


async def ready():
    await gopark.testing.wait_all_parked()
    print("ready", flush=True)


def compute():
    print("ready", flush=True)
    while True:
        pass


async def mutex():
    mu = Mutex()
    await mu.lock()
    gopark.go(ready)
    try:
        async with mu:
            print("inside")
    except KeyboardInterrupt:
        mu.unlock()
        print("interrupted", mu.try_lock())


async def rwmutex():
    rw = RWMutex()
    await rw.rlock()
    gopark.go(ready)
    try:
        async with rw:
            print("inside")
    except KeyboardInterrupt:
        rw.runlock()
        print("interrupted", rw.try_lock())


async def waitgroup():
    wg = WaitGroup()
    wg.add(1)
    gopark.go(ready)
    try:
        await wg.wait()
    except KeyboardInterrupt:
        wg.done()
        await wg.wait()
        print("interrupted", True)


async def cond():
    cond = Cond(Mutex())
    gopark.go(ready)
    try:
        async with cond.locker:
            await cond.wait()
    except KeyboardInterrupt:
        print("interrupted", cond.locker.try_lock())


async def once():
    once = Once()
    try:
        await once.do(compute)
    except KeyboardInterrupt:
        await once.do(print, "again")
        print("interrupted", True)


async def value():
    value = once_value(compute)
    try:
        value()
    except KeyboardInterrupt:
        print("interrupted", True)


async def main():
    gopark.go(gopark.time.sleep, 3600)  # so that waiting is no deadlock
    await globals()[sys.argv[1]]()


gopark.run(main)
"""


@pytest.mark.parametrize("name", ["mutex", "rwmutex", "waitgroup", "cond", "once", "value"])
def test_ctrl_c_reaches_main_and_leaves_nothing_behind(tmp_path, name):
    program = tmp_path / "prog.py"
    program.write_text(PROGRAM)
    child = start_python([str(program), name])
    child.expect("ready")
    child.interrupt()
    assert child.end() == Ended("ready\ninterrupted True\n", "", 0)
