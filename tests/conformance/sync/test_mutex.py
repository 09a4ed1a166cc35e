"""Mutex, and the semaphores under it, as Go's own tests pin them down.

Go: sync/mutex_test.go, runtime/sema_test.go.
"""

from __future__ import annotations

import pytest

import gopark
from gopark import FatalError
from gopark.sync import Mutex, RWMutex, WaitGroup, _mutex


@pytest.mark.go("sync", "TestSemaphore")
def test_semaphore(run, procs):
    """A mutex is the semaphore of one; here each goroutine waits for it by parking."""
    inside, passed = [], []

    async def hammer(sema):
        for _ in range(100):
            await sema.lock()
            inside.append(None)
            await gopark.gosched()
            passed.append(len(inside))
            inside.pop()
            sema.unlock()

    async def main():
        sema = Mutex()
        async with WaitGroup() as wg:
            for _ in range(10):
                wg.go(hammer, sema)

    run(main)
    assert passed == [1] * 1000


@pytest.mark.go("sync", "TestMutex")
def test_mutex(run, procs):
    async def hammer(mu, times):
        for i in range(times):
            if i % 3 == 0:
                if mu.try_lock():
                    mu.unlock()
                continue
            await mu.lock()
            mu.unlock()

    def plain_hammer(mu, times):
        for i in range(times):
            if i % 3 == 0:
                if mu.try_lock():
                    mu.unlock()
                continue
            with mu:
                pass

    async def main():
        mu = Mutex()
        await mu.lock()
        assert not mu.try_lock()
        mu.unlock()
        assert mu.try_lock()
        mu.unlock()
        async with WaitGroup() as wg:
            for n in range(10):
                wg.go(plain_hammer if n % 5 == 0 else hammer, mu, 1000)
        assert mu.try_lock()

    run(main)


async def _unlock(mu):
    mu.unlock()


async def _unlock2(mu):
    await mu.lock()
    mu.unlock()
    mu.unlock()


async def _runlock(mu):
    mu.runlock()


async def _rlock_unlock(mu):
    await mu.rlock()
    mu.unlock()


async def _lock_runlock(mu):
    await mu.lock()
    mu.runlock()


async def _runlock2(mu):
    await mu.rlock()
    mu.runlock()
    mu.runlock()


MUTEX = "fatal error: sync: unlock of unlocked mutex"
RWMUTEX = "fatal error: sync: Unlock of unlocked RWMutex"
READER = "fatal error: sync: RUnlock of unlocked RWMutex"


@pytest.mark.go("sync", "TestMutexMisuse")
@pytest.mark.parametrize(
    ("kind", "misuse", "message"),
    [
        (Mutex, _unlock, MUTEX),
        (Mutex, _unlock2, MUTEX),
        (RWMutex, _unlock, RWMUTEX),
        (RWMutex, _rlock_unlock, RWMUTEX),
        (RWMutex, _unlock2, RWMUTEX),
        (RWMutex, _runlock, READER),
        (RWMutex, _lock_runlock, READER),
        (RWMutex, _runlock2, READER),
    ],
)
def test_mutex_misuse(run, capsys, kind, misuse, message):
    """Fatal: no `except Exception` comes in between, and the report names the caller."""

    async def main():
        try:
            await misuse(kind())
        except Exception:
            pass
        print("test completed")

    with pytest.raises(FatalError) as raised:
        run(main)
    out, err = capsys.readouterr()
    assert str(raised.value) == message
    assert raised.value.code == 2
    assert err.startswith(f"{message}\n\ngoroutine 1 [running]:\n")
    assert f"{misuse.__name__}(...)\n" in err
    assert out == ""


@pytest.mark.go("sync", "TestMutexMisuse")
def test_mutex_misuse__whoever_catches_everything_does_not_stop_it(run, capsys):
    async def main():
        try:
            Mutex().unlock()
        except BaseException:
            pass
        await gopark.gosched()
        print("test completed")

    with pytest.raises(FatalError, match="unlock of unlocked mutex"):
        run(main)
    assert capsys.readouterr().out == ""


@pytest.mark.go("sync", "TestMutexMisuse")
def test_mutex_misuse__without_a_program(child):
    ended = child("import gopark\ngopark.sync.Mutex().unlock()\nprint('test completed')\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"{MUTEX}\n")


@pytest.mark.go("sync", "TestMutexFairness")
def test_mutex_fairness(run, procs):
    async def main():
        mu, stop, done = Mutex(), gopark.Chan(), gopark.Chan(1)

        async def hog():
            while not stop.try_recv()[2]:
                await mu.lock()
                await gopark.time.sleep(0.0001)
                mu.unlock()

        async def other():
            for _ in range(10):
                await gopark.time.sleep(0.0001)
                await mu.lock()
                mu.unlock()
            await done.send(True)

        gopark.go(hog)
        gopark.go(other)
        timeout = gopark.time.after(10)
        index, _, _ = await gopark.select(gopark.recv(done), gopark.recv(timeout))
        stop.close()
        assert index == 0, "cannot get the mutex in 10 seconds"

    run(main)


# --- handing over -----------------------------------------------------------------------------


async def _handoff():
    """Unlock with a waiter that starves: who is the first to go on, it or who unlocks?"""
    mu, order, done = Mutex(), [], gopark.Chan()

    async def waiter():
        async with mu:
            order.append("waiter")

    async def busy():
        while not done.try_recv()[2]:
            await gopark.gosched()

    async with WaitGroup() as wg:
        for _ in range(gopark.runtime.gomaxprocs()):
            wg.go(busy)
        async with mu:
            wg.go(waiter)
            while not mu._sema.waiters:
                await gopark.gosched()
            mu.unlock()
            assert mu.try_lock()  # in front of the waiter
            while not mu._starving:
                await gopark.gosched()
        order.append("releaser")
        done.close()
    return order[0] == "waiter"


def _handoffs(run, monkeypatch, procs):
    monkeypatch.setattr(_mutex, "STARVES", -1.0)  # whoever was woken in vain starves
    before = gopark.runtime.gomaxprocs(procs)
    tries = 60

    async def main():
        return sum([await _handoff() for _ in range(tries)])

    try:
        assert run(main) > tries * 2 / 3
    finally:
        gopark.runtime.gomaxprocs(before)


@pytest.mark.go("runtime", "TestSemaHandoff")
def test_sema_handoff(run, monkeypatch):
    _handoffs(run, monkeypatch, 4)


@pytest.mark.go("runtime", "TestSemaHandoff1")
def test_sema_handoff1(run, monkeypatch):
    _handoffs(run, monkeypatch, 1)


@pytest.mark.go("runtime", "TestSemaHandoff2")
def test_sema_handoff2(run, monkeypatch):
    _handoffs(run, monkeypatch, 2)
