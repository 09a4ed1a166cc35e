"""Streams over sockets: what they do when they are misused, or the other side is.

Go: net/net_test.go, net/timeout_test.go, net/tcpsock_test.go.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import math
import os
import socket
import struct
import threading

import pytest

import gopark
from gopark import go, net
from gopark.runtime import num_goroutine
from gopark.testing import wait_all_parked
from gopark.time import monotonic, sleep
from harness import run_python
from netpeers import back_to, descriptors, outcome, pair, same_port

BIG = 10_000_000  # bytes: more than the buffers of a connection


@pytest.fixture(params=["tcp", "unix", "sockets"])
def ends(request, tmp_path):
    async def made():
        if request.param == "tcp":
            return await pair()
        if request.param == "sockets":
            a, b = map(net.from_socket, socket.socketpair())
            return a, b
        with net.listen("unix", str(tmp_path / "socket")) as ln:
            return await net.dial("unix", ln.addr), await ln.accept()

    return made


# --- what is written is read --------------------------------------------------------------------


async def test_much_in_both_directions_at_once(ends):
    a, b = await ends()
    one, other = os.urandom(BIG), os.urandom(BIG)
    got = gopark.Chan(4)
    go(outcome, a.write(one), got)
    go(outcome, b.write(other), got)
    read = [gopark.Chan(1), gopark.Chan(1)]
    go(outcome, b.read_full(BIG), read[0])
    go(outcome, a.read_full(BIG), read[1])
    assert [await ch.recv() for ch in read] == [one, other]
    assert [await got.recv(), await got.recv()] == [BIG, BIG]
    a.close()
    b.close()


async def test_the_end_after_the_last_byte_and_again(ends):
    a, b = await ends()
    await a.write(b"last")
    a.close()
    with b:
        assert [await b.read() for _ in range(3)] == [b"last", b"", b""]


@pytest.mark.go("net", "TestCloseWrite")
async def test_close_write(ends):
    a, b = await ends()
    with a, b:
        await a.write(b"question")
        a.close_write()
        assert await net.Reader(b).read_all() == b"question"
        await b.write(b"answer")
        assert await a.read() == b"answer"
        with pytest.raises(BrokenPipeError):
            await a.write(b"more")


@pytest.mark.go("net", "TestCloseRead")
async def test_close_read(ends):
    a, b = await ends()
    with a, b:
        got = gopark.Chan()
        go(outcome, a.read(), got)
        await wait_all_parked()
        a.close_read()
        assert await got.recv() == b""
        await a.write(b"still")
        assert await b.read() == b"still"


async def test_exact_counts_and_lines_and_then_the_rest(ends):
    a, b = await ends()
    with a, b:
        await a.write(b"\0\0\0\5hello line\nrest")
        assert await b.read_full(4) == b"\0\0\0\5"
        assert await b.read_full(5) == b"hello"
        assert await b.read_until() == b" line\n"
        assert await b.read() == b"rest"


async def test_a_deadline_in_the_midst_of_an_exact_count_loses_nothing(ends):
    a, b = await ends()
    with a, b:
        await a.write(b"half")
        b.set_read_deadline(monotonic() + 0.02)
        with pytest.raises(TimeoutError):
            await b.read_full(8)
        b.set_read_deadline(None)
        await a.write(b"full")
        assert await b.read_full(8) == b"halffull"


# --- two at once --------------------------------------------------------------------------------


async def test_two_readers_have_their_turns_and_nothing_is_read_twice(ends):
    a, b = await ends()
    with a, b:
        got = gopark.Chan()
        for _ in range(4):
            go(outcome, b.read(1), got)
        await wait_all_parked()
        for byte in b"wxyz":
            await a.write(bytes([byte]))
        assert {await got.recv() for _ in range(4)} == {b"w", b"x", b"y", b"z"}


async def test_what_two_goroutines_write_is_not_mixed(ends):
    a, b = await ends()
    pieces = [bytes([65 + n]) * 1_000_000 for n in range(4)]
    with b:
        got = gopark.Chan(4)
        for piece in pieces:
            go(outcome, a.write(piece), got)
        data = await b.read_full(4_000_000)
        assert {data[n : n + 1_000_000] for n in range(0, 4_000_000, 1_000_000)} == set(pieces)
        for _ in pieces:
            assert await got.recv() == 1_000_000
    a.close()


@pytest.mark.usefixtures("procs")
async def test_two_closers_and_those_who_wait(ends):
    a, b = await ends()
    got = gopark.Chan(8)
    for _ in range(2):
        go(outcome, a.read(), got)
        go(outcome, a.write(b"x" * BIG), got)
    await wait_all_parked()
    for _ in range(2):
        go(a.close)
    for _ in range(4):
        assert isinstance(await got.recv(), net.ClosedError)
    b.close()


async def test_two_that_accept_and_two_that_close():
    ln, got = net.listen("tcp", "127.0.0.1:0"), gopark.Chan()
    for _ in range(2):
        go(outcome, ln.accept(), got)
    await wait_all_parked()
    with await net.dial("tcp", ln.addr), await got.recv():
        for _ in range(2):
            go(ln.close)
        assert isinstance(await got.recv(), net.ClosedError)
    with pytest.raises(net.ClosedError, match=r"accept tcp .* use of closed connection"):
        await ln.accept()
    assert [conn async for conn in ln] == []


# --- closed -------------------------------------------------------------------------------------


async def test_everything_says_that_it_is_closed_and_addresses_stay(ends):
    a, b = await ends()
    here, there = a.local_addr, a.remote_addr
    a.close()
    a.close()
    for attempt in (
        a.read,
        lambda: a.write(b"x"),
        lambda: a.read_full(1),
        a.read_until,
    ):
        with pytest.raises(net.ClosedError, match="use of closed connection") as caught:
            await attempt()
        assert caught.value.errno == errno.EBADF
    for attempt in (a.close_write, a.close_read, lambda: a.set_deadline(None)):
        with pytest.raises(net.ClosedError):
            attempt()
    assert a.local_addr == here
    assert there == b.local_addr
    assert "closed" in repr(a)
    b.close()


async def test_a_number_that_is_anothers_by_now_is_not_touched():
    """Who waited on a descriptor that was closed does not read from the next with its number."""
    a, b = await pair()
    got = gopark.Chan()
    go(outcome, b.read(), got)
    await wait_all_parked()
    number = b.socket.fileno()
    b.close()
    fresh = []
    while all(one.fileno() != number for sockets in fresh for one in sockets):
        fresh.append(socket.socketpair())
    for one, other in fresh:
        one.send(b"x")
        other.send(b"x")
    assert isinstance(await got.recv(), net.ClosedError)
    for sockets in fresh:
        for one in sockets:
            assert one.recv(10) == b"x"
            one.close()
    a.close()


async def test_one_that_nobody_closed_says_so_and_is_closed(ends):
    left = [*await ends()]
    b = left.pop()

    def forget():
        left.clear()
        gc.collect()  # without a GIL the thread that made it has a reference yet

    with pytest.warns(ResourceWarning, match="unclosed connection"):
        forget()
    assert await b.read() == b""
    b.close()


# --- the other side -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["read", "write"])
async def test_a_reset_is_told_to_who_waits(what):
    a, b = await pair()
    got = gopark.Chan()
    go(outcome, b.read() if what == "read" else b.write(b"x" * BIG), got)
    await wait_all_parked()
    a.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    a.close()
    assert isinstance(await got.recv(), ConnectionResetError | BrokenPipeError)
    b.close()


async def test_one_that_is_reset_before_it_is_accepted_harms_nobody():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        for _ in range(3):
            with await net.dial("tcp", ln.addr) as conn:
                how = struct.pack("ii", 1, 0)
                conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
        with await net.dial("tcp", ln.addr) as conn:
            while True:
                with await ln.accept() as other:
                    assert isinstance(other.remote_addr, net.Addr)
                    if other.remote_addr == conn.local_addr:
                        break
                    with contextlib.suppress(ConnectionResetError):
                        assert await other.read() == b""


EMFILE = """
import os, resource, socket
import gopark
from gopark import net

async def main():
    ln = net.listen("tcp", "127.0.0.1:0")
    clients = [socket.create_connection(("127.0.0.1", ln.addr.port)) for _ in range(3)]
    gopark.go(net.pipe)
    await gopark.gosched()
    limit = os.open("/", os.O_RDONLY) + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 4096))
    for _ in range(10_000):  # also what the runtime has open for a moment
        try:
            os.open("/", os.O_RDONLY)
        except OSError:
            pass
    try:
        await ln.accept()
    except OSError as exc:
        print(exc.strerror.partition(str(ln.addr))[2])
    got = gopark.Chan()

    async def serve():
        async for conn in ln:
            await got.send(conn)

    gopark.go(serve)
    index, _, _ = await gopark.select(gopark.recv(got), gopark.recv(gopark.time.after(0.1)))
    print("none yet" if index == 1 else "a connection")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit + 10, 4096))
    for _ in clients:
        (await got.recv()).close()
    print("all three")
    for one in clients:
        one.close()
    ln.close()

gopark.run(main)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts descriptors")
def test_without_descriptors_accept_says_so_and_a_loop_waits_for_some():
    ended = run_python(["-c", EMFILE])
    assert ended == (": Too many open files\nnone yet\nall three\n", "", 0)


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM, errno.ENFILE])
async def test_what_the_kernel_is_short_of_for_a_moment_ends_no_loop(number):
    """The connection is in the backlog still: `accept` says so, a loop tries again."""
    with net.listen("tcp", "127.0.0.1:0") as ln:
        real, short = ln._accept, [None] * 4

        def accept():
            if short:
                short.pop()
                raise OSError(number, os.strerror(number))
            return real()

        ln._accept = accept  # nothing else makes a kernel short of these
        with await net.dial("tcp", ln.addr) as conn:
            with pytest.raises(OSError, match=f"accept tcp {ln.addr}: ") as caught:
                await ln.accept()
            assert caught.value.errno == number
            async for other in ln:
                with other:
                    assert other.remote_addr == conn.local_addr
                break
    assert not short


# --- deadlines ----------------------------------------------------------------------------------


async def test_deadlines_end_reads_and_writes_which_go_on_after(ends):
    a, b = await ends()
    for when in (monotonic() - 1, 0, -math.inf, monotonic() + 0.01):
        a.set_deadline(when)
        with pytest.raises(TimeoutError, match=r"^read .*: i/o timeout$"):
            await a.read()
    a.set_deadline(None)
    await b.write(b"x")
    assert await a.read() == b"x"
    a.set_write_deadline(monotonic() + 0.01)
    with pytest.raises(TimeoutError, match=r"^write .*: i/o timeout$"):
        await a.write(b"x" * BIG)
    a.set_write_deadline(math.inf)
    got = gopark.Chan()
    go(outcome, a.write(b"y"), got)
    while not (await b.read()).endswith(b"y"):
        pass
    assert await got.recv() == 1
    a.close()
    b.close()


async def test_a_deadline_that_comes_while_it_waits_and_one_that_goes(ends):
    a, b = await ends()
    got = gopark.Chan(1)
    go(outcome, a.read(), got)
    await wait_all_parked()
    a.set_read_deadline(monotonic())
    assert isinstance(await got.recv(), TimeoutError)
    for seconds in (0.02 * 2**n for n in range(9)):
        a.set_read_deadline(monotonic() + seconds)
        go(outcome, a.read(), got)
        await wait_all_parked()
        a.set_read_deadline(monotonic() + 3600)
        await sleep(seconds + 0.03)
        if not len(got):
            break
        assert isinstance(await got.recv(), TimeoutError)  # it had come: this machine is busy
    assert not len(got)
    await b.write(b"x")
    assert await got.recv() == b"x"
    a.close()
    b.close()


@pytest.mark.parametrize("setter", ["set_deadline", "set_read_deadline", "set_write_deadline"])
@pytest.mark.parametrize(
    ("when", "error"),
    [(math.nan, ValueError), ("1", TypeError), (True, TypeError), (b"", TypeError)],
)
async def test_a_deadline_that_is_none(setter, when, error):
    a, b = await pair()
    with a, b, pytest.raises(error, match=setter):
        getattr(a, setter)(when)


@pytest.mark.parametrize(("when", "error"), [(math.nan, ValueError), ("1", TypeError)])
def test_a_listeners_deadline_that_is_none(when, error):
    with net.listen("tcp", "127.0.0.1:0") as ln, pytest.raises(error, match="set_deadline"):
        ln.set_deadline(when)


# --- bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (1.5, TypeError)]
)
async def test_a_number_of_bytes_that_is_none(ends, n, error):
    a, b = await ends()
    with a, b:
        with pytest.raises(error, match="read"):
            await a.read(n)
        if n != 0:
            with pytest.raises(error, match="read_full"):
                await a.read_full(n)
        with pytest.raises(error, match="limit"):
            await a.read_until(b"\n", n)


async def test_a_separator_that_is_none(ends):
    a, b = await ends()
    with a, b:
        for sep in ("\n", b"", None, 10):
            with pytest.raises(TypeError, match="separator"):
                await a.read_until(sep)


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
async def test_what_is_no_bytes_cannot_be_written(ends, data):
    a, b = await ends()
    with a, b:
        with pytest.raises(TypeError, match="encode text first"):
            await a.write(data)
        await a.write(b"fine")
        assert await b.read() == b"fine"


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (("tcp", "127.0.0.1:65536"), ValueError, "the last is 65535"),
        (("tcp", "127.0.0.1"), ValueError, "missing port"),
        (("tcp", "127.0.0.1:x y"), ValueError, "unknown port"),
        (("udp", "127.0.0.1:0"), ValueError, "use listen_packet"),
        (("htcp", "127.0.0.1:0"), ValueError, "unknown network"),
        ((5, "127.0.0.1:0"), TypeError, "network"),
        (("tcp", 80), TypeError, "address is a string"),
        (("unix", "x" * 200), ValueError, "at most 107"),
        (("tcp", "x" * 300 + ":0"), net.DNSError, "no such host"),
        (("tcp", "nul\0:0"), net.DNSError, "no such host"),
        (("tcp", "a..test:0"), net.DNSError, "no such host"),
        (("tcp", "192.0.2.1:0"), OSError, "Cannot assign"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_listen_says_what_is_wrong_and_leaves_nothing(args, error, text):
    before = descriptors()
    with pytest.raises(error, match=text):
        net.listen(*args)
    assert back_to(before)


def test_two_cannot_listen_in_one_place(tmp_path):
    with net.listen("tcp", "127.0.0.1:0") as ln:
        with pytest.raises(OSError, match="in use") as caught:
            net.listen("tcp", ln.addr)
        assert f"listen tcp {ln.addr}: " in str(caught.value)
    address = f"127.0.0.1:{same_port()}"
    with net.listen("tcp", address, reuse_port=True) as one:
        with net.listen("tcp", address, reuse_port=True) as other:
            assert one.addr == other.addr
    with net.listen("unix", str(tmp_path / "x")) as ln, pytest.raises(OSError, match="in use"):
        net.listen("unix", ln.addr)
    assert not (tmp_path / "x").exists()


def test_what_is_no_socket():
    for value in (5, None, threading.Lock()):
        with pytest.raises(TypeError, match="socket of the socket module"):
            net.from_socket(value)


# --- it costs no thread, and nothing is left ----------------------------------------------------


async def test_a_hundred_that_wait_are_no_threads():
    before, gs = threading.active_count(), num_goroutine()
    with contextlib.ExitStack() as stack:
        got = gopark.Chan(100)
        for _ in range(100):
            a, b = map(net.from_socket, socket.socketpair())
            stack.enter_context(b)
            stack.enter_context(a)  # this is closed first
            go(outcome, a.read(), got)
        await wait_all_parked()
        assert num_goroutine() == gs + 100
        assert threading.active_count() <= before + 4
    for _ in range(100):
        assert isinstance(await got.recv(), net.ClosedError)


@pytest.mark.usefixtures("procs")
async def test_many_that_come_and_go_at_once_leave_no_descriptor():
    before = descriptors()
    ln, done = net.listen("tcp", "127.0.0.1:0"), gopark.Chan()

    async def serve(conn):
        with conn, contextlib.suppress(OSError):
            while data := await conn.read():
                await conn.write(data)

    async def server():
        async for conn in ln:
            go(serve, conn)
        await done.send(None)

    async def client(n):
        with await net.dial("tcp", ln.addr) as conn:
            await conn.write(bytes([n]) * n * 1000)
            if n % 3:
                assert await conn.read_full(n * 1000) == bytes([n]) * n * 1000
        await done.send(None)

    go(server)
    for n in range(60):
        go(client, n)
    for _ in range(60):
        await done.recv()
    ln.close()
    await done.recv()
    while num_goroutine() > 1:
        await sleep(0.001)
    assert back_to(before)
