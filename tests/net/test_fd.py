"""Descriptors in the poller: waits, turns, deadlines, closing. With epoll and with poll."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import socket
import sys
import threading
import time

import pytest

import gopark
from gopark import net
from gopark._runtime.net import netpoll
from gopark.sync import WaitGroup
from gopark.testing import wait_all_parked
from gopark.time import monotonic

BIG = 4 << 20  # more than the buffers of two sockets hold


def pair():
    """Two connections that are each other's other end."""
    return map(net.from_socket, socket.socketpair())


def reasons():
    return sorted(g.waitreason for g in gopark._runtime.base.runtime2.allgs.copy() if g.goid != 1)


# --- waiting ------------------------------------------------------------------------------------


async def test_who_reads_waits_parked_and_others_run():
    a, b = pair()
    with a, b:
        got = []

        async def reader():
            got.append(await b.read())

        gopark.go(reader)
        await wait_all_parked()
        assert reasons() == ["IO wait"]
        assert "[IO wait]" in gopark.runtime.stack(all=True)
        assert got == []
        await a.write(b"hello")
        await wait_all_parked()
        assert got == [b"hello"]


async def test_a_waiting_connection_costs_no_thread():
    before = threading.active_count()
    pairs = [tuple(pair()) for _ in range(50)]

    async def read(conn):
        with contextlib.suppress(net.ClosedError):
            await conn.read()

    for a, _ in pairs:
        gopark.go(read, a)
    await wait_all_parked()
    assert reasons() == ["IO wait"] * 50
    assert threading.active_count() < before + 25
    for a, b in pairs:
        a.close()
        b.close()


async def test_what_came_before_the_wait_is_there():
    a, b = pair()
    with a, b:
        await a.write(b"one")
        assert await b.read(2) == b"on"
        assert await b.read(2) == b"e"
        await a.write(b"two")
        assert await b.read() == b"two"


async def test_the_end_of_the_stream_is_seen_by_each_read():
    a, b = pair()
    with b:
        await a.write(b"last")
        a.close()
        assert [await b.read(), await b.read(), await b.read()] == [b"last", b"", b""]


async def test_the_end_comes_with_the_data_and_the_read_is_short():
    """One edge for both: the second read must not wait for another."""
    a, b = pair()
    with b:
        gopark.go(b.read, 1)  # so that the edge finds somebody
        await wait_all_parked()
        await a.write(b"xy")
        a.close()
        await wait_all_parked()
        assert await b.read(100) == b"y"
        assert await b.read(100) == b""


async def test_a_write_of_more_than_the_buffers_hold_waits_for_the_reader():
    a, b = pair()
    with a, b:
        sent = []

        async def writer():
            sent.append(await a.write(bytes(BIG)))

        gopark.go(writer)
        await wait_all_parked()
        assert sent == []
        assert reasons() == ["IO wait"]
        assert len(await b.read_full(BIG)) == BIG
        await wait_all_parked()
        assert sent == [BIG]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_any_buffer_can_be_written(kind):
    a, b = pair()
    with a, b:
        assert await a.write(kind(b"hello")) == 5
        assert await b.read() == b"hello"
        assert await a.write(memoryview(b"12345678").cast("I")) == 8
        assert await b.read() == b"12345678"


async def test_text_is_no_bytes():
    a, b = pair()
    with a, b:
        with pytest.raises(TypeError, match="encode text first"):
            await a.write("hello")
        await a.write(b"goes on")
        assert await b.read() == b"goes on"


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), ("a", TypeError)])
async def test_a_count_that_is_none_is_named(n, error):
    a, b = pair()
    with a, b, pytest.raises(error, match=repr(n)):
        await a.read(n)


# --- turns --------------------------------------------------------------------------------------


async def test_two_readers_have_their_turns():
    a, b = pair()
    with a, b:
        got = []

        async def reader(name):
            got.append((name, await b.read(1)))

        for name in "xyz":
            gopark.go(reader, name)
            await wait_all_parked()
        for data in (b"1", b"2", b"3"):
            await a.write(data)
            await wait_all_parked()
        assert got == [("x", b"1"), ("y", b"2"), ("z", b"3")]


async def test_two_readers_and_what_they_want_comes_at_once():
    a, b = pair()
    with a, b:
        got = []

        async def reader():
            got.append(await b.read(1))

        for _ in range(3):
            gopark.go(reader)
        await wait_all_parked()
        await a.write(b"123")
        await wait_all_parked()
        assert got == [b"1", b"2", b"3"]


async def test_what_one_write_sends_lies_in_one_piece():
    a, b = pair()
    with a, b:
        for letter in b"xyz":
            gopark.go(a.write, bytes([letter]) * BIG)
        data = await b.read_full(3 * BIG)
        assert [len(set(data[i * BIG : (i + 1) * BIG])) for i in range(3)] == [1, 1, 1]


async def test_a_reader_does_not_hold_up_a_writer_nor_the_other_way_round():
    a, b = pair()
    with a, b:
        gopark.go(a.read)
        gopark.go(b.write, bytes(BIG))
        await wait_all_parked()
        await a.write(b"x")
        assert await b.read() == b"x"
        await a.read_full(BIG - 65536)


@pytest.mark.parametrize("what", ["read", "write", "accept"])
async def test_a_second_waiter_of_one_operation_is_refused(what):
    a, b = pair()
    with a, b, net.listen("tcp", "127.0.0.1:0") as ln:
        op = {"read": b.read, "write": lambda: b.write(bytes(BIG)), "accept": ln.accept}[what]()
        ended = gopark.Chan(1)

        async def first():
            try:
                await op
            except net.ClosedError:
                await ended.send("closed")

        gopark.go(first)
        await wait_all_parked()
        with pytest.raises(RuntimeError, match="being awaited already"):
            await op
        b.close()
        ln.close()
        assert await ended.recv() == "closed"


# --- deadlines ----------------------------------------------------------------------------------


async def test_a_deadline_in_the_past_ends_reads_at_once_and_can_be_taken_back():
    a, b = pair()
    with a, b:
        await b.write(b"here")
        a.set_read_deadline(monotonic() - 1)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="read unix: i/o timeout"):
                await a.read()
        await a.write(b"writes go on")
        a.set_read_deadline(None)
        assert await a.read() == b"here"


async def test_a_deadline_ends_a_read_that_waits():
    a, b = pair()
    with a, b:
        before = monotonic()
        a.set_deadline(before + 0.02)
        with pytest.raises(TimeoutError):
            await a.read()
        assert monotonic() >= before + 0.02
        a.set_deadline(None)
        await b.write(b"after that")
        assert await a.read() == b"after that"


async def test_a_deadline_ends_a_write_that_waits():
    a, b = pair()
    with a, b:
        a.set_write_deadline(monotonic() + 0.02)
        with pytest.raises(TimeoutError, match="write"):
            await a.write(bytes(BIG))


async def test_a_deadline_set_into_the_past_wakes_who_waits():
    a, b = pair()
    with a, b:
        ended = gopark.Chan(2)

        async def reader():
            try:
                await a.read()
            except TimeoutError:
                await ended.send("read")

        async def writer():
            try:
                await a.write(bytes(BIG))
            except TimeoutError:
                await ended.send("write")

        gopark.go(reader)
        gopark.go(writer)
        await wait_all_parked()
        a.set_deadline(0)
        assert {await ended.recv(), await ended.recv()} == {"read", "write"}


async def test_a_deadline_moved_nearer_counts():
    a, b = pair()
    with a, b:
        a.set_deadline(monotonic() + 1000)
        a.set_deadline(monotonic() + 0.01)
        with pytest.raises(TimeoutError):
            await a.read()


@pytest.mark.parametrize("when", [float("nan"), "soon"])
async def test_a_deadline_that_is_none_is_named(when):
    a, b = pair()
    with a, b, pytest.raises((TypeError, ValueError), match="set_deadline"):
        a.set_deadline(when)


@pytest.mark.parametrize("when", [None, float("inf"), 1e300])
async def test_no_deadline_and_one_that_is_far_away(when):
    a, b = pair()
    with a, b:
        a.set_deadline(when)
        await b.write(b"x")
        assert await a.read() == b"x"


# --- closing ------------------------------------------------------------------------------------


async def test_close_ends_all_that_wait_and_what_comes_after():
    a, b = pair()
    with b:
        ended = []

        async def user(what, *args):
            try:
                await what(*args)
            except net.ClosedError as exc:
                ended.append(str(exc).partition(" ")[0])

        for _ in range(3):
            gopark.go(user, a.read)
            gopark.go(user, a.write, bytes(BIG))
        await wait_all_parked()
        a.close()
        await wait_all_parked()
        assert sorted(ended) == ["read"] * 3 + ["write"] * 3
        a.close()
        with pytest.raises(net.ClosedError, match="use of closed connection"):
            await a.read()
        with pytest.raises(net.ClosedError):
            await a.write(b"x")
        with pytest.raises(net.ClosedError):
            a.set_deadline(None)
        with pytest.raises(OSError, match="closed") as caught:
            a.close_write()
        assert caught.value.errno == errno.EBADF


async def test_a_number_that_is_used_again_is_anothers():
    a, b = pair()
    fd = a.socket.fileno()
    a.close()
    c, d = pair()
    assert fd in (c.socket.fileno(), d.socket.fileno())
    with b, c, d:
        await c.write(b"x")
        assert await d.read() == b"x"
        with pytest.raises(net.ClosedError):
            await a.read()


async def test_a_socket_that_others_have_closed_is_an_error_and_takes_nobody_along():
    a, b = pair()
    a.socket.close()
    c, d = pair()  # one of them has its number
    a.close()
    with b, c, d:
        await c.write(b"x")
        assert await d.read() == b"x"


async def test_one_that_is_forgotten_is_closed_with_a_warning():
    a, b = pair()
    with b:
        with pytest.warns(ResourceWarning, match="unclosed connection unix"):  # noqa: PT031
            del a
            gc.collect()
        assert await b.read() == b""


async def test_one_that_somebody_waits_on_is_not_forgotten():
    a, b = pair()
    with b:
        got = gopark.Chan(1)

        async def reader(conn):
            await got.send(await conn.read())
            conn.close()

        gopark.go(reader, a)
        await wait_all_parked()
        del a
        gc.collect()
        await b.write(b"x")
        assert await got.recv() == b"x"


@pytest.mark.skipif(sys.platform != "linux", reason="epoll alone refuses files")
async def test_what_cannot_be_waited_for_is_refused_and_nothing_is_left(poller, tmp_path):
    if poller != "epoll":
        return
    with open(tmp_path / "file", "wb", 0) as file, pytest.raises(PermissionError):
        netpoll.PollDesc(file.fileno())
    assert not netpoll.netdoor.opened


# --- from where ---------------------------------------------------------------------------------


@pytest.mark.parametrize("procs", [1, 4])
def test_plain_functions_wait_as_well(procs):
    before = gopark.runtime.gomaxprocs(procs)
    try:

        def main():
            a, b = pair()
            with a, b:
                wg = WaitGroup()

                def echo():
                    while data := gopark.block(b.read()):
                        gopark.block(b.write(data))

                wg.go(echo)
                for i in range(20):
                    gopark.block(a.write(b"%d" % i))
                    assert gopark.block(a.read()) == b"%d" % i
                a.close_write()
                gopark.block(wg.wait())

        gopark.run(main)
    finally:
        gopark.runtime.gomaxprocs(before)


@pytest.mark.outside_help
async def test_a_thread_of_pythons_waits_as_well():
    a, b = pair()
    with a, b:
        got = []
        thread = threading.Thread(target=lambda: got.append(gopark.block(b.read())))
        thread.start()
        await a.write(b"x")
        gopark.cgo.call(thread.join)
        assert got == [b"x"]


async def test_outside_a_goroutine_it_is_an_error_that_names_the_way_out():
    a, b = pair()
    with a, b:
        coro = a.read()

        def alone():
            try:
                coro.send(None)
            except gopark.NotOnGError as exc:
                return str(exc)
            return ""

        got = []
        thread = threading.Thread(target=lambda: got.append(alone()))
        thread.start()
        thread.join()
        assert "gopark.block" in got[0]
        await b.write(b"x")
        assert await a.read() == b"x"


async def test_it_comes_between_goroutines_that_never_wait():
    """Who gives way without an end does not keep the network from being looked at."""
    a, b = pair()
    with a, b:
        done = []

        async def busy():
            while not done:
                await gopark.gosched()

        gopark.go(busy)
        gopark.go(a.write, b"x")
        assert await b.read() == b"x"
        done.append(1)


async def test_it_comes_while_a_plain_goroutine_computes():
    """sysmon looks where no M comes to it."""
    a, b = pair()
    with a, b:
        done = []

        def busy():
            deadline = time.monotonic() + 60
            while not done and time.monotonic() < deadline:
                pass
            assert done

        wg = WaitGroup()
        wg.go(busy)
        thread = threading.Thread(target=lambda: (time.sleep(0.05), b.socket.send(b"x")))
        thread.start()
        assert await a.read() == b"x"
        done.append(1)
        await wg.wait()
        thread.join()


async def test_a_timer_that_is_earlier_than_all_is_in_time_while_the_network_is_slept_in():
    """Go: TestNetpollBreak."""
    a, b = pair()
    with a, b:
        gopark.go(a.read)
        far = gopark.time.after_func(1000, lambda: None)
        await wait_all_parked()
        began = monotonic()
        await gopark.time.sleep(0.01)
        assert monotonic() - began < 500
        far.stop()


def test_who_waits_for_the_network_is_no_deadlock_and_who_does_not_is():
    """Go: TestNetpollDeadlock. A descriptor alone that is open is no hope."""

    async def main():
        a, b = pair()
        with a, b:
            await gopark.Chan().recv()

    gopark.debug.strict_deadlock()
    try:
        with pytest.raises(gopark.DeadlockError):
            gopark.run(main)
    finally:
        gopark.debug.strict_deadlock(False)
    gc.collect()


def test_a_connection_outlives_a_program():
    a, b = pair()

    async def first():
        gopark.go(b.read)
        await wait_all_parked()

    async def second():
        await a.write(b"x")
        return await b.read()

    gopark.run(first)
    assert gopark.run(second) == b"x"
    a.close()
    b.close()


def test_the_end_of_a_program_ends_its_waits():
    a, b = pair()
    ended = []

    async def reader():
        try:
            await a.read()
        finally:
            ended.append("finally")

    async def main():
        gopark.go(reader)
        await wait_all_parked()

    gopark.run(main)
    assert ended == ["finally"]
    a.close()
    b.close()


# --- many at random -----------------------------------------------------------------------------


@pytest.mark.parametrize("procs", [1, 4])
def test_connections_come_and_go_at_random_and_leave_nothing(procs):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)

    async def one(seed):
        rng = random.Random(seed)
        a, b = pair()
        sent = rng.randbytes(rng.choice([0, 1, 1000, 300_000]))
        fault = rng.choice(["none", "close", "deadline", "both", "shutdown"])
        got = bytearray()

        async def writer():
            try:
                await a.write(sent)
                a.close_write()
            except OSError:
                pass

        wg = WaitGroup()
        wg.go(writer)
        if fault in ("deadline", "both"):  # first: a close may come at once, on another thread
            b.set_deadline(monotonic() + rng.random() / 100)
        if fault in ("close", "both"):
            wg.go(b.close if rng.random() < 0.5 else a.close)
        if fault == "shutdown":
            b.close_read()
        try:
            while data := await b.read(rng.choice([1 << 16, 4096])):
                got += data
        except OSError:
            assert fault != "none"
        b.close()
        await wg.wait()
        a.close()
        if fault == "none":
            assert got == sent
        assert sent.startswith(got)

    async def main():
        for _ in range(6):
            wg = WaitGroup()
            for _ in range(25):
                wg.go(one, rng.getrandbits(64))
            await wg.wait()
        await wait_all_parked()
        assert gopark.runtime.num_goroutine() == 1

    async def warm():
        a, b = pair()
        with a, b:
            gopark.go(a.write, b"x")
            await b.read()

    before = gopark.runtime.gomaxprocs(procs)
    try:
        gopark.run(warm)
        fds = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        gopark.run(main)
        if fds:
            assert len(os.listdir("/proc/self/fd")) <= fds
    finally:
        gopark.runtime.gomaxprocs(before)
    assert not netpoll.netdoor.opened


async def test_a_listener_made_by_others_gives_connections_without_delay():
    """Its `proto` is 0, which asyncio takes for "not TCP"; the kernel knows better."""
    with net.from_socket(socket.create_server(("127.0.0.1", 0))) as ln:
        assert ln.socket.proto == 0
        with await net.dial("tcp", ln.addr) as conn, await ln.accept() as served:
            for one in (conn, served):
                assert one.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
