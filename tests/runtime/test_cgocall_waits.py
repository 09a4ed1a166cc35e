"""Python code that C runs, in a function nobody wrapped: it may wait as all else may."""

from __future__ import annotations

import ctypes
import threading

import pytest

import gopark
from gopark import Chan, block, cgo, recv, select, sync
from gopark._runtime.sched.startm import current
from gopark.testing import wait_all_parked
from harness import run_python

COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"


def direct(libc, fn):
    """A function of Python's in the place of one of C's."""
    return cgo.call(fn)


def unwrapped(libc, fn):
    """A callback that is no `cgo.callback`. What it raises ctypes would only report."""
    results, raised = [], []

    def compare(a, b):
        try:
            results.append(fn())
        except BaseException as exc:
            raised.append(exc)
        return a[0] - b[0]

    array, entry = (ctypes.c_int * 3)(3, 1, 2), COMPARE(compare)
    cgo.call(libc.qsort, array, 3, ctypes.sizeof(ctypes.c_int), entry)
    assert list(array) == [1, 2, 3]
    if raised:
        raise raised[0]
    assert len(set(results)) == 1
    return results[0]


# --- what waits ------------------------------------------------------------------------------


def sleeps():
    block(gopark.time.sleep(0.001))


def yields():
    block(gopark.gosched())


def starts_and_receives():
    ch = Chan()
    gopark.go(ch.send, 1)
    gopark.go(lambda: block(ch.send(2)))
    return sorted([block(ch.recv()), block(ch.recv())]) == [1, 2]


def selects():
    ch = Chan()
    gopark.go(ch.send, "sent")
    return block(select(recv(Chan()), recv(ch)))[1:] == ("sent", True)


def loops():
    ch = Chan()

    async def sender():
        for n in range(3):
            await ch.send(n)
        ch.close()

    gopark.go(sender)
    return list(ch) == [0, 1, 2]


def _contended(lock, plain):
    """Take a lock that a goroutine holds for a while yet."""
    held, release = Chan(), Chan()

    async def holder():
        async with lock:
            await held.send(None)
            await release.recv()

    gopark.go(holder)
    block(held.recv())
    gopark.go(release.send, None)
    with plain:
        pass


def locks():
    mu = sync.Mutex()
    _contended(mu, mu)


def readlocks():
    rw = sync.RWMutex()
    _contended(rw, rw.reader())


def waits_for_a_group():
    wg = sync.WaitGroup()
    for _ in range(3):
        wg.go(gopark.time.sleep, 0.001)
    block(wg.wait())


def pins_its_thread():
    gopark.runtime.lock_os_thread()
    try:
        before = threading.get_ident()
        block(gopark.time.sleep(0.001))
        block(gopark.gosched())
        return threading.get_ident() == before
    finally:
        gopark.runtime.unlock_os_thread()


def calls_c_again():
    block(gopark.gosched())
    return cgo.call(starts_and_receives)


def raises():
    async def failing():
        await gopark.gosched()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block(failing())


WAYS = [
    sleeps,
    yields,
    starts_and_receives,
    selects,
    loops,
    locks,
    readlocks,
    waits_for_a_group,
    pins_its_thread,
    calls_c_again,
    raises,
]


def _counted():
    """C is left, and all that was counted is."""
    sched = current()
    return sched is not None and sched.nsyscall == 0


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", [direct, unwrapped])
async def test_a_coroutine_waits_in_what_c_runs(libc, call, way):
    assert call(libc, way) in (None, True)
    assert _counted()
    await gopark.gosched()
    assert call(libc, way) in (None, True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", [direct, unwrapped])
def test_a_plain_main_and_a_plain_goroutine_wait_in_what_c_runs(run, libc, call, way):
    def main():
        ch = Chan()
        gopark.go(lambda: block(ch.send(call(libc, way))))
        mine = call(libc, way)
        return mine, block(ch.recv()), _counted()

    assert run(main) in ((None, None, True), (True, True, True))


@pytest.mark.outside_help
@pytest.mark.parametrize("way", [way for way in WAYS if way is not pins_its_thread])
async def test_a_python_thread_waits_in_what_c_runs(libc, way):
    done = []

    async def work():
        done.append(unwrapped(libc, way))

    thread = threading.Thread(target=lambda: block(work()))
    thread.start()
    cgo.call(thread.join)
    assert done in ([None], [True])
    assert _counted()


async def test_others_run_while_it_waits_and_while_it_computes_in_c(libc):
    """The goroutine is in C again once its wait is over: it keeps no P."""
    ch = Chan()

    def fn():
        block(ch.send("in C"))
        threading.Event().wait(0.02)  # nobody but this thread is held up

    gopark.go(lambda: unwrapped(libc, fn))
    assert [await ch.recv() for _ in range(3)] == ["in C"] * 3


def test_a_callback_that_failed_is_raised_by_its_own_call(run, libc):
    """A call within what C runs raises what its own callbacks let escape, and nothing else."""

    def fails(a, b):
        raise KeyError("outer")

    wrapped = COMPARE(cgo.callback(fails))
    inner = COMPARE(cgo.callback(lambda a, b: a[0] - b[0]))
    sorted_, turns = [], []

    def outer():
        array = (ctypes.c_int * 2)(2, 1)
        wrapped(array, array)  # fails, and is to be raised by the call that is under way
        cgo.call(libc.qsort, array, 2, 4, inner)
        sorted_.append(list(array))
        turns.append(block(gopark.gosched()))

    def main():
        with pytest.raises(KeyError, match="outer"):
            cgo.call(outer)

    run(main)
    assert sorted_ == [[1, 2]]
    assert turns == [None]


# --- ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [direct, unwrapped])
def test_what_waits_in_c_for_ever_is_a_deadlock(run, libc, capsys, call):
    with pytest.raises(gopark.DeadlockError):
        run(lambda: call(libc, lambda: block(Chan().recv())))
    err = capsys.readouterr().err
    assert err.startswith(ASLEEP + "\ngoroutine 1 [chan receive]:\n")


@pytest.mark.parametrize("call", [direct, unwrapped])
def test_what_waits_in_c_when_main_returns_unwinds(run, libc, call):
    ends = []

    def waits():
        try:
            block(Chan().recv())
        except gopark.ProgramEnded:
            ends.append(threading.current_thread())
            raise

    def worker():
        try:
            call(libc, waits)
        finally:
            ends.append("unwound")

    async def main():
        gopark.go(worker)
        await wait_all_parked()

    run(main)
    assert ends[-1] == "unwound"
    assert len(ends) > 1


def test_goexit_in_what_c_runs_ends_the_goroutine(run):
    async def leaves():
        await gopark.gosched()
        gopark.goexit()

    async def main():
        ch = Chan()

        def worker():
            try:
                cgo.call(lambda: block(leaves()))
            finally:
                block(ch.send("left"))

        gopark.go(worker)
        return await ch.recv()

    assert run(main) == "left"


def test_ctrl_c_ends_a_wait_in_what_c_runs():
    program = """
import os, signal, threading
import gopark

def waits():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    gopark.block(gopark.Chan().recv())

def main():
    try:
        gopark.cgo.call(waits)
    except KeyboardInterrupt:
        gopark.block(gopark.gosched())
        print("interrupted")

gopark.run(main)
"""
    ended = run_python(["-c", program])
    assert (ended.stdout, ended.stderr, ended.status) == ("interrupted\n", "", 0)


def test_it_is_checked_at_every_step():
    """The scheduler's own invariants hold while C runs Python code that waits."""
    program = """
import gopark
from gopark import Chan, block

async def main():
    ch, n = Chan(), 40
    def worker(i):
        gopark.cgo.call(lambda: block(ch.send(i)))
        gopark.cgo.call(lambda: block(gopark.gosched()))
    for i in range(n):
        gopark.go(worker, i)
    print(sum([gopark.cgo.call(lambda: block(ch.recv())) for _ in range(n)]))

gopark.runtime.gomaxprocs(3)
gopark.run(main)
"""
    ended = run_python(["-c", program], env={"GOPARKDEBUG": "checksched=1,lockrank=1"})
    assert (ended.stdout, ended.stderr, ended.status) == ("780\n", "", 0)
