"""pipe: two connections in memory. Go: net/pipe_test.go, and what Python adds."""

from __future__ import annotations

import math
import pickle

import pytest

import gopark
from gopark import block, go, net
from gopark.sync import WaitGroup
from gopark.testing import synctest, wait_all_parked
from gopark.time import monotonic, sleep


async def outcome(coro, got):
    """Send what became of an operation."""
    try:
        await got.send(await coro)
    except Exception as exc:
        await got.send(exc)


# --- what is written is read --------------------------------------------------------------------


async def test_what_one_end_writes_the_other_reads_in_both_directions():
    a, b = net.pipe()
    go(a.write, b"to b")
    assert await b.read() == b"to b"
    go(b.write, b"to a")
    assert await a.read() == b"to a"


async def test_a_write_returns_when_all_of_it_was_read():
    a, b = net.pipe()
    got = gopark.Chan(1)
    go(outcome, a.write(b"abcdef"), got)
    assert await b.read(2) == b"ab"
    await wait_all_parked()
    assert len(got) == 0
    assert await b.read(3) == b"cde"
    await wait_all_parked()
    assert len(got) == 0
    assert await b.read(3) == b"f"
    assert await got.recv() == 6


@pytest.mark.parametrize("data", [b"xyz", bytearray(b"xyz"), memoryview(b"wxyz")[1:]])
async def test_any_buffer_can_be_written(data):
    a, b = net.pipe()
    go(a.write, data)
    assert await b.read() == b"xyz"


async def test_an_empty_write_waits_for_nobody_and_is_no_end():
    a, b = net.pipe()
    assert await a.write(b"") == 0
    go(a.write, b"after")
    assert await b.read() == b"after"


async def test_what_two_goroutines_write_is_not_mixed():
    a, b = net.pipe()
    pieces = [bytes([65 + n]) * 100 for n in range(8)]
    for piece in pieces:
        go(a.write, piece)
    got = b""
    while len(got) < 800:
        got += await b.read(7)
    assert {got[n : n + 100] for n in range(0, 800, 100)} == set(pieces)


async def test_two_readers_share_what_comes():
    a, b = net.pipe()
    got = gopark.Chan(2)
    for _ in range(2):
        go(outcome, b.read(1), got)
    assert await a.write(b"xy") == 2
    assert {await got.recv(), await got.recv()} == {b"x", b"y"}


async def test_plain_goroutines_and_threads_use_it_through_block():
    a, b = net.pipe()
    go(lambda: block(a.write(b"from a thread")))
    assert await b.read() == b"from a thread"


async def test_its_addresses_say_what_it_is():
    a, b = net.pipe()
    for end in (a, b):
        assert str(end.local_addr) == str(end.remote_addr) == "pipe"
        assert end.local_addr.network == "pipe"


def test_it_cannot_be_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(net.pipe()[0])


def test_nothing_of_it_needs_a_program_to_be_made_and_closed():
    a, b = net.pipe()
    a.set_deadline(monotonic() + 60)
    a.close()
    b.close()
    assert "closed" in repr(a)


# --- close --------------------------------------------------------------------------------------


async def test_close_ends_the_other_ends_stream_and_breaks_its_writes():
    a, b = net.pipe()
    a.close()
    assert await b.read() == b""
    with pytest.raises(BrokenPipeError, match="write pipe"):
        await b.write(b"x")
    b.close()


@pytest.mark.parametrize("what", ["read", "write"])
async def test_a_closed_end_says_so(what):
    a, _ = net.pipe()
    a.close()
    with pytest.raises(net.ClosedError, match=f"{what} pipe: use of closed connection"):
        await (a.read() if what == "read" else a.write(b"x"))
    a.close()  # a second close does nothing
    with pytest.raises(net.ClosedError):
        a.set_deadline(None)


@pytest.mark.parametrize("end", ["own", "other"])
@pytest.mark.parametrize("what", ["read", "write"])
async def test_close_wakes_who_waits(what, end):
    a, b = net.pipe()
    got = gopark.Chan()
    go(outcome, a.read() if what == "read" else a.write(b"x"), got)
    await wait_all_parked()
    (a if end == "own" else b).close()
    result = await got.recv()
    if end == "own":
        assert type(result) is net.ClosedError
    elif what == "read":
        assert result == b""
    else:
        assert type(result) is BrokenPipeError


async def test_a_write_that_was_read_in_part_is_told_of_a_close():
    a, b = net.pipe()
    got = gopark.Chan()
    go(outcome, a.write(b"abcdef"), got)
    assert await b.read(3) == b"abc"
    b.close()
    assert type(await got.recv()) is BrokenPipeError


async def test_it_is_closed_at_the_end_of_with():
    a, b = net.pipe()
    with a:
        async with b:
            pass
        assert await a.read() == b""
    with pytest.raises(net.ClosedError):
        await a.read()


# --- deadlines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["read", "write"])
async def test_a_deadline_in_the_past_ends_it_at_once_and_none_takes_it_back(what):
    a, b = net.pipe()
    a.set_deadline(monotonic() - 1)
    with pytest.raises(TimeoutError, match=f"^{what} pipe: i/o timeout$"):
        await (a.read() if what == "read" else a.write(b"x"))
    a.set_deadline(None)
    if what == "read":
        go(b.write, b"y")
        assert await a.read() == b"y"
    else:
        go(b.read)
        assert await a.write(b"x") == 1


async def test_read_and_write_have_deadlines_of_their_own():
    a, b = net.pipe()
    a.set_read_deadline(0)
    go(b.read)
    assert await a.write(b"x") == 1
    a.set_read_deadline(math.inf)
    a.set_write_deadline(-math.inf)
    go(b.write, b"y")
    assert await a.read() == b"y"
    with pytest.raises(TimeoutError):
        await a.write(b"x")


@pytest.mark.parametrize("what", ["read", "write"])
def test_a_deadline_ends_a_wait_in_virtual_time(what):
    async def inside():
        a, _ = net.pipe()
        start = monotonic()
        a.set_deadline(start + 3600)
        with pytest.raises(TimeoutError):
            await (a.read() if what == "read" else a.write(b"x"))
        assert monotonic() - start == 3600

    synctest.test(inside)


def test_a_deadline_that_is_moved_while_one_waits_is_the_new_one():
    async def inside():
        a, _ = net.pipe()
        got = gopark.Chan()
        a.set_read_deadline(monotonic() + 10)
        go(outcome, a.read(), got)
        await synctest.wait()
        a.set_read_deadline(monotonic() + 100)
        await sleep(50)
        await synctest.wait()
        start = monotonic()
        assert type(await got.recv()) is TimeoutError
        assert monotonic() - start == 50

    synctest.test(inside)


def test_who_waits_for_a_turn_to_write_leaves_at_the_deadline():
    async def inside():
        a, b = net.pipe()
        got = gopark.Chan(2)
        go(outcome, a.write(b"first"), got)
        await synctest.wait()
        go(outcome, a.write(b"second"), got)
        await synctest.wait()
        a.set_write_deadline(monotonic() + 1)
        assert [type(await got.recv()) for _ in range(2)] == [TimeoutError] * 2
        a.set_write_deadline(None)
        go(outcome, a.write(b"third"), got)
        assert await b.read() == b"third"
        assert await got.recv() == 5

    synctest.test(inside)


def test_one_that_waits_is_durably_blocked():
    async def inside():
        a, b = net.pipe()
        go(outcome, b.read(), done := gopark.Chan())
        await synctest.wait()
        await a.write(b"x")
        assert await done.recv() == b"x"

    synctest.test(inside)


@pytest.mark.usefixtures("procs")
async def test_deadlines_that_are_moved_while_others_wait_lose_nothing_that_was_read():
    a, b = net.pipe()
    wg, over = WaitGroup(), gopark.Chan()

    async def mover():
        while not over.try_recv()[2]:
            for end in (a, b):
                end.set_deadline(0)
                end.set_deadline(None)
            await gopark.gosched()

    async def write():
        for n in range(500):
            while True:  # a byte was read, or it was not
                try:
                    await a.write(bytes([n % 256]))
                    break
                except TimeoutError:
                    await gopark.gosched()

    wg.go(mover)
    wg.go(write)
    got = b""
    while len(got) < 500:
        try:
            got += await b.read(5)
        except TimeoutError:
            await gopark.gosched()
    over.close()
    await wg.wait()
    assert got == bytes(n % 256 for n in range(500))


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("setter", ["set_deadline", "set_read_deadline", "set_write_deadline"])
@pytest.mark.parametrize(
    ("when", "error"), [(math.nan, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_a_deadline_that_is_none(setter, when, error):
    with pytest.raises(error, match=setter):
        getattr(net.pipe()[0], setter)(when)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
async def test_a_number_of_bytes_that_is_none(n, error):
    a, _ = net.pipe()
    with pytest.raises(error, match="read"):
        await a.read(n)


@pytest.mark.parametrize("data", ["text", None, 5])
async def test_what_is_no_bytes_cannot_be_written(data):
    a, _ = net.pipe()
    with pytest.raises(TypeError, match="encode text first"):
        await a.write(data)
