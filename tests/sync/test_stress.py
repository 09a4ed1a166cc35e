"""Locks under load: async, plain and foreign goroutines at once, programs that end at any moment.

Each test is bounded by time and prints its seed when it fails.
"""

from __future__ import annotations

import random
import threading
import time

import pytest

import gopark
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup, _mutex

SECONDS = 0.15


class Inside:
    """Who is inside: readers together, or one writer. Not atomic, so an overlap shows."""

    def __init__(self):
        self.readers = set()
        self.writer = None
        self.entered = 0

    def write(self, name):
        assert self.writer is None, f"{name} meets {self.writer}"
        assert not self.readers, f"{name} meets {self.readers}"
        self.writer = name

    def written(self, name):
        assert self.writer == name, f"{name} met {self.writer}"
        self.writer = None
        self.entered += 1

    def read(self, name):
        assert self.writer is None, f"{name} meets {self.writer}"
        self.readers.add(name)

    def hasread(self, name):
        assert self.writer is None, f"{name} met {self.writer}"
        self.readers.discard(name)


async def visit(lock, inside, name, rnd, until):
    """Go in and out in every way there is."""
    reads = isinstance(lock, RWMutex)
    while time.monotonic() < until:
        how = rnd.randrange(6)
        if reads and how < 3:
            async with lock.reader():
                inside.read(name)
                await gopark.gosched()
                inside.hasread(name)
        elif how == 3:
            if lock.try_lock():
                try:
                    inside.write(name)
                    inside.written(name)
                finally:
                    lock.unlock()
            await gopark.gosched()
        elif how == 4:
            await lock.lock()
            try:
                inside.write(name)
                await gopark.gosched()
                inside.written(name)
            finally:
                lock.unlock()
        else:
            async with lock:
                inside.write(name)
                if rnd.random() < 0.2:
                    await gopark.gosched()
                inside.written(name)


def visit_plainly(lock, inside, name, rnd, until):
    while time.monotonic() < until:
        if isinstance(lock, RWMutex) and rnd.random() < 0.5:
            with lock.reader():
                inside.read(name)
                inside.hasread(name)
        else:
            with lock:
                inside.write(name)
                if rnd.random() < 0.2:
                    gopark.block(gopark.gosched())
                inside.written(name)


@pytest.mark.parametrize("kind", [Mutex, RWMutex])
@pytest.mark.parametrize("starves", [_mutex.STARVES, -1.0], ids=["normal", "starvation"])
def test_nobody_meets_a_writer(run, procs, monkeypatch, kind, starves):
    monkeypatch.setattr(_mutex, "STARVES", starves)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    errors = []

    def foreign(lock, inside, name, until):
        try:
            visit_plainly(lock, inside, name, random.Random(name), until)
        except BaseException as error:
            errors.append(error)

    async def main():
        lock, inside, until = kind(), Inside(), time.monotonic() + SECONDS
        threads = [
            threading.Thread(target=foreign, args=(lock, inside, f"{seed} foreign {n}", until))
            for n in range(2)
        ]
        for thread in threads:
            thread.start()
        async with WaitGroup() as wg:
            for n in range(6):
                rnd = random.Random(f"{seed} {n}")
                wg.go(visit, lock, inside, n, rnd, until)
            for n in range(2):
                rnd = random.Random(f"{seed} plain {n}")
                wg.go(visit_plainly, lock, inside, f"plain {n}", rnd, until)
            wg.go(lambda: [thread.join() for thread in threads])
        assert errors == []
        assert inside.entered > 0
        assert lock.try_lock(), lock

    run(main, outside_help=True)


def ours():
    return [t for t in threading.enumerate() if t.name.startswith("gopark-M")]


@pytest.mark.parametrize("kind", [Mutex, RWMutex, lambda: Cond(Mutex())])
def test_programs_that_end_at_any_moment_leave_a_lock_that_works(run, procs, wait_until, kind):
    """One lock, used by program after program; what it holds up is closed wherever it stands."""
    lock = kind()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rnd = random.Random(seed)

    async def waits(cond):
        while True:
            async with cond.locker:
                await cond.wait()
            cond.signal()

    async def main():
        inside, never = Inside(), time.monotonic() + 100
        for n in range(6):
            if isinstance(lock, Cond):
                gopark.go(waits, lock)
            elif n % 3:
                gopark.go(visit, lock, inside, n, random.Random(n), never)
            else:
                gopark.go(visit_plainly, lock, inside, n, random.Random(n), never)
        for _ in range(rnd.randrange(20)):
            if isinstance(lock, Cond):
                lock.signal()
            await gopark.gosched()

    async def works():
        locker = lock.locker if isinstance(lock, Cond) else lock
        for _ in range(2):
            await locker.lock()
            locker.unlock()

    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        run(main)
        assert wait_until(lambda: not ours())  # a thread may still be in the middle of a step
        run(works)
