"""Deadlines and closing, over TCP and UDP. Go: net/timeout_test.go, net/net_test.go.

Adapted: a deadline that has passed is a TimeoutError, one that is taken back is None. No test says
how late one may be: that it is over at all is what a deadline is for, and a busy machine is late.
That none is early is said exactly.
"""

from __future__ import annotations

import math
import random
import sys

import pytest

import gopark
from gopark import go, net
from gopark.sync import WaitGroup
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from netpeers import outcome, pair, silent

SOON = 0.01
BIG = bytes(4 << 20)  # more than the buffers of two sockets hold
IO_TIMEOUT = r"^{} .*: i/o timeout$"


class Discard:
    """Counts what is written to it."""

    def __init__(self):
        self.n = 0

    async def write(self, data):
        self.n += len(data)


async def ends_in(error, coro):
    """What the operation raised is of this kind."""
    got = gopark.Chan(1)
    await outcome(coro, got)
    result = await got.recv()
    assert isinstance(result, error), result
    return result


async def forever(operation, *args):
    while True:
        await operation(*args)


# --- dial ---------------------------------------------------------------------------------------


@pytest.mark.go("net", "TestDialTimeout")
@pytest.mark.parametrize(
    ("timeout", "deadline"),
    [
        (-5, None),
        (0, None),
        (None, -5),
        (-5, -5),
        (1 << 62, -(1 << 62)),
        (SOON, None),
        (None, SOON),
        (SOON, 5000),
        (5000, SOON),
    ],
)
async def test_dial_timeout(timeout, deadline):
    start = monotonic()
    dialer = net.Dialer(timeout=timeout, deadline=None if deadline is None else start + deadline)
    with silent() as port:
        await ends_in(TimeoutError, dialer.dial("tcp", f"127.0.0.1:{port}"))
    given = min(x for x in (timeout, deadline) if x is not None)
    assert monotonic() >= start + given


@pytest.mark.go("net", "TestDialTimeoutMaxDuration")
@pytest.mark.parametrize("longest", [(1 << 63) - 1, sys.float_info.max, math.inf])
@pytest.mark.parametrize("what", ["timeout", "deadline"])
async def test_dial_timeout_max_duration(what, longest):
    dialer = net.Dialer(**{what: longest})
    with net.listen("tcp", "127.0.0.1:0") as ln, await dialer.dial("tcp", ln.addr) as conn:
        assert conn.remote_addr == ln.addr


# --- accept -------------------------------------------------------------------------------------


@pytest.mark.go("net", "TestAcceptTimeout")
@pytest.mark.parametrize("timeout", [-5, SOON])
async def test_accept_timeout(timeout):
    with net.listen("tcp", "127.0.0.1:0") as ln:
        if timeout < 0:
            ln.set_deadline(monotonic() + timeout)
            with await net.dial("tcp", ln.addr):  # it has passed, whoever is there
                await ends_in(TimeoutError, ln.accept())
                await ends_in(TimeoutError, ln.accept())
            return
        with await net.dial("tcp", ln.addr) as conn, await ln.accept() as other:
            assert other.remote_addr == conn.local_addr
        ln.set_deadline(monotonic() + timeout)
        await ends_in(TimeoutError, ln.accept())
        await ends_in(TimeoutError, ln.accept())


@pytest.mark.go("net", "TestAcceptTimeoutMustReturn")
async def test_accept_timeout_must_return():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        until = monotonic() + SOON
        ln.set_deadline(until)
        with pytest.raises(TimeoutError, match=IO_TIMEOUT.format("accept")):
            await ln.accept()
        assert monotonic() >= until


@pytest.mark.go("net", "TestAcceptTimeoutMustNotReturn")
async def test_accept_timeout_must_not_return():
    ln, got = net.listen("tcp", "127.0.0.1:0"), gopark.Chan(1)
    ln.set_deadline(monotonic() - 5)
    ln.set_deadline(None)
    go(outcome, ln.accept(), got)
    await wait_all_parked()
    assert len(got) == 0
    ln.close()
    assert isinstance(await got.recv(), net.ClosedError)


# --- read ---------------------------------------------------------------------------------------


@pytest.mark.go("net", "TestReadTimeout")
@pytest.mark.parametrize("timeout", [-5, SOON])
async def test_read_timeout(timeout):
    a, b = await pair()
    with a, b:
        if timeout < 0:
            await b.write(b"it is here, and the deadline has passed")
        a.set_read_deadline(monotonic() + timeout)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=IO_TIMEOUT.format("read")):
                await a.read()


@pytest.mark.go("net", "TestReadTimeoutMustNotReturn")
async def test_read_timeout_must_not_return():
    a, b = await pair()
    with b:
        got = gopark.Chan(1)
        a.set_deadline(monotonic() - 5)
        a.set_write_deadline(monotonic() - 5)
        a.set_read_deadline(None)
        go(outcome, a.read(), got)
        await wait_all_parked()
        assert len(got) == 0
        await ends_in(TimeoutError, a.write(b"the other direction"))
        a.close()
        assert isinstance(await got.recv(), net.ClosedError)


@pytest.mark.go("net", "TestReadTimeoutUnblocksRead")
@pytest.mark.usefixtures("procs")
async def test_read_timeout_unblocks_read():
    a, b = await pair()
    with a, b:
        got = gopark.Chan(1)
        go(outcome, a.read(), got)
        await wait_all_parked()
        a.set_read_deadline(monotonic() - 5)
        assert isinstance(await got.recv(), TimeoutError)


@pytest.mark.go("net", "TestCloseUnblocksRead")
@pytest.mark.usefixtures("procs")
async def test_close_unblocks_read():
    a, b = await pair()
    with a:
        got = gopark.Chan(1)
        go(outcome, a.read(), got)
        await wait_all_parked()
        b.close()
        assert await got.recv() == b""


# --- write --------------------------------------------------------------------------------------


@pytest.mark.go("net", "TestWriteTimeout")
@pytest.mark.parametrize("timeout", [-5, SOON])
async def test_write_timeout(timeout):
    a, b = await pair()
    with a, b:
        a.set_write_deadline(monotonic() + timeout)
        with pytest.raises(TimeoutError, match=IO_TIMEOUT.format("write")):
            await forever(a.write, b"WRITE TIMEOUT TEST")  # until the buffers are full
        await ends_in(TimeoutError, a.write(b"x"))


@pytest.mark.go("net", "TestWriteTimeoutMustNotReturn")
async def test_write_timeout_must_not_return():
    a, b = await pair()
    with b:
        got = gopark.Chan(1)
        a.set_deadline(monotonic() - 5)
        a.set_read_deadline(monotonic() - 5)
        a.set_write_deadline(None)
        assert await a.write(b"goes on") == 7
        assert await b.read() == b"goes on"
        go(outcome, a.write(BIG), got)
        await wait_all_parked()
        assert len(got) == 0
        await ends_in(TimeoutError, a.read())
        a.close()
        assert isinstance(await got.recv(), net.ClosedError)


# --- datagrams ----------------------------------------------------------------------------------


@pytest.mark.go("net", "TestReadFromTimeout / TestWriteToTimeout")
@pytest.mark.parametrize("timeout", [-5, SOON])
async def test_read_from_timeout(timeout):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        if timeout < 0:
            await conn.write_to(b"it is here, and the deadline has passed", conn.local_addr)
        conn.set_read_deadline(monotonic() + timeout)
        await ends_in(TimeoutError, conn.read_from())
        await ends_in(TimeoutError, conn.read_from())
        assert await conn.write_to(b"x", conn.local_addr) == 1


@pytest.mark.go("net", "TestReadFromTimeout / TestWriteToTimeout")
@pytest.mark.parametrize("timeout", [-5, SOON])
async def test_write_to_timeout(timeout):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        conn.set_write_deadline(monotonic() + timeout)
        with pytest.raises(TimeoutError, match=IO_TIMEOUT.format("write")):
            # It never has to wait: what is not read is dropped.
            await forever(conn.write_to, b"WRITETO TIMEOUT TEST", conn.local_addr)
        await ends_in(TimeoutError, conn.write_to(b"x", conn.local_addr))


# --- how exact ----------------------------------------------------------------------------------


@pytest.mark.go("net", "TestReadTimeoutFluctuation (and ReadFrom, Write)")
@pytest.mark.parametrize("what", ["read", "read_from", "write"])
async def test_read_timeout_fluctuation(what):
    packets = what == "read_from"
    a = net.listen_packet("udp", "127.0.0.1:0") if packets else None
    a, b = (a, a) if packets else await pair()
    with a, b:
        for wait in (0.0, 1e-9, 1e-6, 0.0005, 0.001, 0.0015, 0.01, 0.05):
            until = monotonic() + wait
            a.set_deadline(until)
            operation = a.write(BIG) if what == "write" else getattr(a, what)()
            await ends_in(TimeoutError, operation)
            assert monotonic() >= until


@pytest.mark.go("net", "TestVariousDeadlines (and 1Proc, 4Proc)")
@pytest.mark.parametrize("number", [1, 4])
def test_various_deadlines(run, number):
    done = gopark.Chan(64)

    async def serve(conn):
        with conn:
            await ends_in(OSError, forever(conn.write, b"a" * 8192))  # the other side has gone
        await done.send(None)

    async def server(ln):
        async for conn in ln:
            go(serve, conn)

    async def main():
        count = 0
        with net.listen("tcp", "127.0.0.1:0") as ln:
            go(server, ln)
            for wait in (1e-9, 5e-9, 1e-7, 5e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.3):
                for _ in range(2):
                    with await net.dial("tcp", ln.addr) as conn:
                        until = monotonic() + wait
                        conn.set_deadline(until)
                        await ends_in(TimeoutError, net.copy(Discard(), conn))
                        assert monotonic() >= until
                    count += 1
            for _ in range(count):
                await done.recv()

    before = gopark.runtime.gomaxprocs(number)
    try:
        run(main)
    finally:
        gopark.runtime.gomaxprocs(before)


@pytest.mark.go("net", "TestReadWriteProlongedTimeout")
async def test_read_write_prolonged_timeout():
    """Both directions, for several times the deadline of each operation."""
    a, b = await pair()
    wait, over = 0.1, monotonic() + 0.5
    done = gopark.Chan()

    async def prolonged(set_deadline, operation):
        """One may end late on a busy machine; none is early."""
        until = monotonic() + wait
        set_deadline(until)
        try:
            return await operation
        except TimeoutError:
            assert monotonic() >= until
            return None

    async def reads(conn, set_deadline):  # it waits nearly all the time
        while await prolonged(set_deadline, conn.read()) != b"":
            pass
        await done.send(None)

    async def writes(conn, set_deadline):
        while monotonic() < over:
            await prolonged(set_deadline, conn.write(b"x"))
            await gopark.time.sleep(0.002)
        conn.close_write()
        await done.send(None)

    with a, b:
        for conn in (a, b):
            go(reads, conn, conn.set_read_deadline)
            go(writes, conn, conn.set_write_deadline)
        for _ in range(4):
            await done.recv()


# --- races --------------------------------------------------------------------------------------


@pytest.mark.go("net", "TestReadWriteDeadlineRace")
@pytest.mark.usefixtures("procs")
async def test_read_write_deadline_race():
    a, b = await pair()

    async def sets():
        for n in range(100):
            a.set_deadline(monotonic() + 0.002)
            if n % 3 == 0:
                a.set_read_deadline(monotonic() + 0.002)
            if n % 5 == 0:
                a.set_write_deadline(monotonic() + 0.002)
            await gopark.gosched()

    async def tries(operation):
        for _ in range(100):
            try:
                await operation()
            except TimeoutError:
                pass

    with a, b:
        wg = WaitGroup()
        wg.go(sets)
        wg.go(tries, a.read)
        wg.go(tries, lambda: a.write(b"x"))
        await wg.wait()
        a.set_deadline(None)
        await a.write(b"x")  # all others may have been too late
        await b.write(b"after it all")
        assert await a.read() == b"after it all"
        assert set(await b.read()) == {ord("x")}


@pytest.mark.go("net", "TestConcurrentSetDeadline")
@pytest.mark.usefixtures("procs")
async def test_concurrent_set_deadline():
    """In plain functions, each of which is on a thread of its own."""
    pairs = [await pair() for _ in range(10)]

    def sets(seed):
        rng = random.Random(seed)
        for _ in range(50):
            for a, b in pairs:
                a.set_read_deadline(monotonic() + rng.random() * 10)
                a.set_write_deadline(monotonic() + rng.random() * 10)
                b.set_deadline(monotonic() + rng.choice([-1, 0, 0.0001, 10]))

    wg = WaitGroup()
    for seed in range(8):
        wg.go(sets, seed)
    await wg.wait()
    for a, b in pairs:
        with a, b:
            a.set_deadline(None)
            b.set_deadline(monotonic() + SOON)
            await ends_in(TimeoutError, b.read())
            b.set_deadline(None)
            await a.write(b"x")
            assert await b.read() == b"x"
