"""The turns on a descriptor, and who closes it. Go: internal/poll/fd_mutex_test.go.

Adapted: a turn is Go's rwlock, and the only kind of use there is: none holds a descriptor
without it, so what Go's tests do with plain references is done with turns here.
"""

from __future__ import annotations

import random
import socket

import pytest

import gopark
from gopark import go
from gopark._poll.errors import ClosedError
from gopark._poll.fd import FD
from gopark.sync import WaitGroup
from gopark.testing import wait_all_parked
from netpeers import outcome


@pytest.fixture
def fd():
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        fd = FD(a, a.recv, a.send, "guard")
        yield fd
        if not fd.closing:
            fd.close()
        assert a.fileno() == -1, "who was last has closed it"


@pytest.mark.go("internal/poll", "TestMutexLock")
async def test_mutex_lock(fd):
    for _ in range(2):
        await fd.turn("read", False)
        await fd.turn("write", True)  # the other half is another lock
        fd.release(True)
        fd.release(False)
    for write in (False, True):
        await fd.turn("use", write)
        got = gopark.Chan(1)
        go(outcome, fd.turn("use", write), got)
        await wait_all_parked()
        assert len(got) == 0
        fd.release(write)
        assert await got.recv() is None
        fd.release(write)


@pytest.mark.go("internal/poll", "TestMutexClose")
async def test_mutex_close(fd):
    fd.close()
    for write in (False, True):
        with pytest.raises(ClosedError):
            await fd.turn("use", write)
    with pytest.raises(ClosedError):
        fd.close()


@pytest.mark.go("internal/poll", "TestMutexCloseUnblock")
@pytest.mark.usefixtures("procs")
async def test_mutex_close_unblock(fd):
    await fd.turn("read", False)
    got = gopark.Chan(4)
    for _ in range(4):
        go(outcome, fd.turn("read", False), got)
    await wait_all_parked()
    assert len(got) == 0
    fd.close()
    for _ in range(4):
        assert isinstance(await got.recv(), ClosedError)
    with pytest.raises(ClosedError):
        await fd.turn("read", False)
    assert fd.raw.fileno() != -1, "one uses it yet"
    fd.release(False)
    assert fd.raw.fileno() == -1


@pytest.mark.go("internal/poll", "TestMutexStress")
@pytest.mark.usefixtures("procs")
async def test_mutex_stress(fd):
    inside = {False: 0, True: 0}
    turns = {False: 0, True: 0}

    async def user(seed):
        rng = random.Random(seed)
        for _ in range(300):
            write = rng.random() < 0.5
            await fd.turn("use", write)
            inside[write] += 1
            turns[write] += 1
            if rng.random() < 0.5:
                await gopark.gosched()
            assert inside[write] == 1
            inside[write] -= 1
            fd.release(write)

    wg = WaitGroup()
    for seed in range(8):
        wg.go(user, seed)
    await wg.wait()
    assert sum(turns.values()) == 8 * 300
    await fd.turn("read", False)
    fd.close()
    assert fd.raw.fileno() != -1
    with pytest.raises(ClosedError):
        await fd.turn("write", True)
    fd.release(False)
