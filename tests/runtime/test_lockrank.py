"""Lock ranks: data, checked in debug runs."""

from __future__ import annotations

import _thread
import threading

import pytest

from gopark._runtime.base import lockrank
from gopark._runtime.base.errors import Throw
from gopark._runtime.base.lockrank import Rank, mklock, mkrlock


@pytest.fixture
def checked(monkeypatch):
    monkeypatch.setattr(lockrank, "_checked", True)


def two(rank):
    """Two locks of one rank, by ascending identity."""
    return sorted((mklock(rank), mklock(rank)), key=id)


@pytest.mark.usefixtures("checked")
def test_ascending_ranks_are_allowed():
    locks = [mklock(rank) for rank in Rank]
    for lock in locks:
        lock.acquire()
    for lock in reversed(locks):
        lock.release()


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("low", list(Rank)[:-1])
def test_a_lower_rank_under_a_higher_is_an_offence_that_names_both(low):
    high = Rank(min(r for r in Rank if r > low))
    with mklock(high), pytest.raises(Throw, match=f"{low.name} taken while holding {high.name}"):
        mklock(low).acquire()


@pytest.mark.usefixtures("checked")
def test_a_lock_again_is_an_offence_not_a_hang():
    lock = mklock(Rank.SCHED)
    with lock, pytest.raises(Throw, match="SCHED"):
        lock.acquire()


@pytest.mark.usefixtures("checked")
def test_a_reentrant_lock_may_be_taken_again_and_guards_until_the_last_release():
    lock, low = mkrlock(Rank.TIMERS), mklock(Rank.CHAN)
    with lock:
        with lock:
            pass
        with pytest.raises(Throw, match="CHAN taken while holding TIMERS"):
            low.acquire()
        taken = []
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(False)))
        thread.start()
        thread.join()
        assert taken == [False]
    with low:
        pass


@pytest.mark.usefixtures("checked")
def test_channels_may_follow_each_other_by_ascending_identity_only():
    first, second = two(Rank.CHAN)
    with first, second:
        pass
    with second, pytest.raises(Throw, match="CHAN taken while holding CHAN"):
        first.acquire()


@pytest.mark.usefixtures("checked")
def test_released_locks_are_forgotten_and_each_thread_has_its_own_account():
    high, low = mklock(Rank.SCHED), mklock(Rank.CHAN)
    with high:
        pass
    with low:
        pass
    errors = []

    def other():
        try:
            with low:
                pass
        except Throw as exc:
            errors.append(exc)

    with high:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert errors == []


def test_without_the_debug_variable_a_lock_is_the_plain_one():
    if lockrank._checked:
        pytest.skip("GOPARKDEBUG=lockrank=1 is set")
    assert type(mklock(Rank.CHAN)) is type(_thread.allocate_lock())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lockrank=1", "1"),
        ("a=b,lockrank=1", "1"),
        ("lockrank=0", "0"),
        ("", None),
        ("other=1", None),
        ("lockrank", ""),
    ],
)
def test_debugvar_reads_what_go_reads_in_godebug(monkeypatch, text, value):
    monkeypatch.setenv("GOPARKDEBUG", text)
    assert lockrank.debugvar("lockrank") == value


def test_a_program_that_uses_everything_commits_no_offence(child):
    """The whole runtime with every lock checked."""
    result = child(
        """
import ctypes, threading, gopark
from gopark import Chan, recv, send, select

async def worker(a, b, done):
    for n in range(50):
        await select(recv(a), send(b, n), recv(gopark.time.after(0.0005)))
        await gopark.gosched()
    await done.send(None)

def plain(done):
    gopark.cgo.call(ctypes.CDLL(None).usleep, 100)
    gopark.block(gopark.time.sleep(0.001))
    gopark.block(done.send(None))

async def agen():
    try:
        while True:
            yield 1
    finally:
        await gopark.gosched()

async def main():
    a, b, done = Chan(), Chan(1), Chan()
    for _ in range(6):
        gopark.go(worker, a, b, done)
        gopark.go(worker, b, a, done)
        gopark.go(plain, done)
    t = threading.Thread(target=lambda: gopark.block(done.send(None)))
    t.start()
    async for _ in agen():
        break
    gopark.runtime.gomaxprocs(4)
    for _ in range(19):
        await done.recv()
    assert gopark.runtime.stack(all=True)
    gopark.cgo.call(t.join)
    b.close()

for _ in range(3):
    gopark.run(main)
print("OK")
""",
        GOPARKDEBUG="lockrank=1",
    )
    assert (result.stdout, result.stderr) == ("OK\n", "")
