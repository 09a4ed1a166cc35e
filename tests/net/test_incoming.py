"""Channels of what comes in: chunks and conns, for select."""

from __future__ import annotations

import socket
import struct

import pytest

import gopark
from gopark import go, net, recv, select
from gopark.runtime import num_goroutine
from gopark.testing import synctest, wait_all_parked
from gopark.time import after, monotonic, sleep
from netpeers import back_to, descriptors, outcome, pair


@pytest.fixture(params=["tcp", "pipe"])
def ends(request):
    async def made():
        return await pair() if request.param == "tcp" else net.pipe()

    return made


# --- chunks -------------------------------------------------------------------------------------


async def test_a_read_is_a_case_of_select(ends):
    a, b = await ends()
    with a, b:
        never = gopark.Chan()
        assert (await select(recv(b.chunks()), recv(never), default=True))[0] == -1
        go(a.write, b"hello")
        assert await select(recv(b.chunks()), recv(never)) == (0, b"hello", True)


async def test_it_costs_nothing_before_it_is_asked_for(ends):
    a, b = await ends()
    gs = num_goroutine()
    with a, b:
        assert num_goroutine() == gs
        assert b.chunks() is b.chunks()
        assert num_goroutine() == gs + 1


async def test_all_that_was_sent_comes_and_then_the_end(ends):
    a, b = await ends()
    sent = [bytes([n]) * 1000 for n in range(50)]

    async def send():
        for piece in sent:
            await a.write(piece)
        a.close()

    go(send)
    with b:
        chunks = b.chunks()
        assert b"".join([chunk async for chunk in chunks]) == b"".join(sent)
        assert chunks.err() is None
        assert await chunks.recv_ok() == (None, False)


async def test_what_is_in_hand_when_it_is_closed_is_received_and_no_goroutine_is_left(ends):
    gs = num_goroutine()
    a, b = await ends()
    chunks = b.chunks()
    go(a.write, b"in hand")
    while not chunks._sendq:
        await sleep(0.001)
    b.close()
    await wait_all_parked()
    assert num_goroutine() == gs
    assert await chunks.recv_ok() == (b"in hand", True)
    assert await chunks.recv_ok() == (None, False)
    assert chunks.err() is None
    a.close()


async def test_close_wakes_who_waits_on_it(ends):
    a, b = await ends()
    got = gopark.Chan()
    go(outcome, b.chunks().recv_ok(), got)
    await wait_all_parked()
    b.close()
    assert await got.recv() == (None, False)
    a.close()


async def test_a_reset_ends_it_and_is_told():
    a, b = await pair()
    chunks = b.chunks()
    a.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    a.close()
    assert await chunks.recv_ok() == (None, False)
    assert isinstance(chunks.err(), ConnectionResetError)
    b.close()


def test_a_deadline_ends_it_and_is_told():
    async def inside():
        a, b = net.pipe()
        b.set_read_deadline(monotonic() + 5)
        chunks = b.chunks()
        assert await chunks.recv_ok() == (None, False)
        assert isinstance(chunks.err(), TimeoutError)
        a.close()
        b.close()

    synctest.test(inside)


def test_a_timeout_beside_it_in_virtual_time():
    async def inside():
        a, b = net.pipe()
        with a, b:

            async def slow():
                await sleep(10)
                await a.write(b"at last")

            go(slow)
            assert (await select(recv(b.chunks()), recv(after(5))))[0] == 1
            assert await select(recv(b.chunks()), recv(after(50))) == (0, b"at last", True)

    synctest.test(inside)


async def test_it_is_only_received_from():
    a, b = net.pipe()
    with a, b:
        chunks = b.chunks()
        with pytest.raises(TypeError, match="what comes in"):
            chunks.close()
        with pytest.raises(TypeError, match="what comes in"):
            await select(gopark.send(chunks, b"x"))


# --- conns --------------------------------------------------------------------------------------


async def test_an_accept_is_a_case_of_select():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        assert (await select(recv(ln.conns()), recv(gopark.Chan()), default=True))[0] == -1
        with await net.dial("tcp", ln.addr) as conn:
            index, other, ok = await select(recv(ln.conns()), recv(gopark.Chan()))
            assert (index, ok) == (0, True)
            assert other.remote_addr == conn.local_addr
            other.close()


async def test_the_loop_over_it_ends_with_the_listener():
    gs = num_goroutine()
    with net.listen("tcp", "127.0.0.1:0") as ln:
        assert ln.conns() is ln.conns()
        dialled = [await net.dial("tcp", ln.addr) for _ in range(5)]
        got = []
        async for conn in ln.conns():
            got.append(conn)
            if len(got) == 5:
                ln.close()
    assert {one.local_addr for one in dialled} == {one.remote_addr for one in got}
    assert ln.conns().err() is None
    for conn in dialled + got:
        conn.close()
    await gopark.gosched()
    assert num_goroutine() == gs


async def test_a_connection_in_hand_when_it_is_closed_is_received():
    gs = num_goroutine()
    ln = net.listen("tcp", "127.0.0.1:0")
    conns = ln.conns()
    with await net.dial("tcp", ln.addr) as conn:
        while not conns._sendq:
            await sleep(0.001)
        ln.close()
        await wait_all_parked()
        assert num_goroutine() == gs
        other, ok = await conns.recv_ok()
        assert ok
        assert other.remote_addr == conn.local_addr
        assert await conns.recv_ok() == (None, False)
        other.close()


async def test_a_deadline_of_the_listener_ends_it_and_is_told():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        ln.set_deadline(monotonic() + 0.01)
        assert await ln.conns().recv_ok() == (None, False)
        assert isinstance(ln.conns().err(), TimeoutError)


@pytest.mark.usefixtures("procs")
async def test_connections_that_come_while_it_is_closed_are_served_or_refused():
    before = descriptors()
    for _ in range(20):
        ln = net.listen("tcp", "127.0.0.1:0")
        conns, done = ln.conns(), gopark.Chan()

        async def client(ln=ln, done=done):
            try:
                (await net.dial("tcp", ln.addr)).close()
            except OSError:
                pass
            await done.send(None)

        for _ in range(3):
            go(client)
        await done.recv()
        ln.close()
        async for conn in conns:
            conn.close()
        for _ in range(2):
            await done.recv()
    assert back_to(before)


# --- asked for by two threads at once ---------------------------------------------------------


def _meanwhile(monkeypatch, made, ask):
    """While one is made, another thread asks for it as well; what that one got."""
    got = []

    def init(self, *args, before=made.__init__):
        before(self, *args)
        if not got:
            got.append(None)
            got[0] = ask()

    monkeypatch.setattr(made, "__init__", init)
    return got


async def test_two_that_ask_for_the_channel_at_once_get_the_same(monkeypatch):
    with net.listen("tcp", "127.0.0.1:0") as ln, await net.dial("tcp", ln.addr) as conn:
        for ask in (ln.conns, conn.chunks):
            with monkeypatch.context() as patch:
                other = _meanwhile(patch, net.Incoming, ask)
                assert ask() is other[0]
        other_end = await ln.conns().recv()
        await other_end.write(b"hello")
        assert await conn.chunks().recv() == b"hello"
        other_end.close()


async def test_two_that_read_a_count_at_once_lose_nothing(monkeypatch):
    a, b = net.pipe()
    with a, b:
        got = _meanwhile(monkeypatch, net.Reader, lambda: b.read_full(2))
        one = b.read_full(1)
        gopark.go(a.write, b"abcdef")
        assert (await one, await got[0], await b.read()) == (b"a", b"bc", b"def")
