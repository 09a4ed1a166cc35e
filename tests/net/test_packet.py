"""Datagrams: UDP and Unix. Go: net/udpsock_test.go, net/packetconn_test.go."""

from __future__ import annotations

import errno
import math
import os
import socket

import pytest

import gopark
from gopark import go, net
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from netpeers import outcome, same_port


@pytest.fixture(params=["udp", "unixgram"])
def place(request, tmp_path):
    """A network, and an address to listen at."""
    address = "127.0.0.1:0" if request.param == "udp" else str(tmp_path / "socket")
    return request.param, address


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.go("net", "TestUDPZeroBytePayload")
@pytest.mark.go("net", "TestUnixgramZeroBytePayload")
async def test_udp_zero_byte_payload(place):
    network, address = place
    with net.listen_packet(network, address) as server:
        with await net.dial(network, server.local_addr) as client:
            assert type(client) is net.PacketConn
            sent = [b"one", b"", b"three" * 100, b"", b"five"]
            for data in sent:
                assert await client.write(data) == len(data)
            assert [await server.read() for _ in sent] == sent
            for data in sent:
                await client.write(data)
            assert [(await server.read_from())[0] for _ in sent] == sent


async def test_what_comes_in_before_and_after_a_wait_is_all_read():
    """A short datagram says nothing of whether there are more."""
    with net.listen_packet("udp", "127.0.0.1:0") as server:
        with await net.dial("udp", server.local_addr) as client:
            got = gopark.Chan()
            go(outcome, server.read(), got)
            await wait_all_parked()
            for n in range(5):
                await client.write(str(n).encode())
            assert await got.recv() == b"0"
            server.set_deadline(monotonic() + 60)
            assert [await server.read() for _ in range(4)] == [b"1", b"2", b"3", b"4"]


async def test_answers_go_to_who_has_asked():
    with net.listen_packet("udp", "127.0.0.1:0") as server:
        with net.listen_packet("udp", "127.0.0.1:0") as client:
            await client.write_to(b"ping", server.local_addr)
            data, addr = await server.read_from()
            assert (data, addr) == (b"ping", client.local_addr)
            assert (addr.network, addr.host, addr.port) == (
                "udp",
                "127.0.0.1",
                client.local_addr.port,
            )
            await server.write_to(b"pong", addr)
            assert await client.read_from() == (b"pong", server.local_addr)
            await server.write_to(b"", str(addr))
            assert await client.read_from() == (b"", server.local_addr)


async def test_unix_answers(tmp_path):
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    with net.listen_packet("unixgram", one) as a, net.listen_packet("unixgram", other) as b:
        await a.write_to(b"ping", other)
        assert await b.read_from() == (b"ping", one)
        with await net.dial("unixgram", one) as c:  # who has no name cannot be answered
            await c.write(b"x")
            assert await a.read_from() == (b"x", "")
    assert os.listdir(tmp_path) == []


async def test_a_connected_one_hears_its_peer_alone_and_says_who_it_is():
    with net.listen_packet("udp", "127.0.0.1:0") as server:
        with net.listen_packet("udp", "127.0.0.1:0") as stranger:
            with await net.dial("udp", server.local_addr) as client:
                assert client.remote_addr == server.local_addr
                await stranger.write_to(b"spam", client.local_addr)
                await server.write_to(b"mail", client.local_addr)
                assert await client.read_from() == (b"mail", server.local_addr)


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 here")
async def test_a_socket_for_both_kinds_of_ip_has_the_addresses_of_each():
    with net.listen_packet("udp", ":0") as server:
        port = server.local_addr.port
        for host in ("127.0.0.1", "[::1]"):
            with await net.dial("udp", f"{host}:{port}") as client:
                await client.write(b"ping")
                data, addr = await server.read_from()
                assert (data, addr) == (b"ping", client.local_addr)
                await server.write_to(b"pong", addr)
                assert await client.read() == b"pong"


@pytest.mark.go("net", "TestUDPReadSizeError")
async def test_udp_read_size_error():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        for _ in range(2):
            await conn.write_to(b"abcdef", conn.local_addr)
        assert await conn.read(3) == b"abc"
        assert (await conn.read_from(2))[0] == b"ab"


async def test_datagrams_as_a_channel():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        for data in (b"one", b"", b"two"):
            await conn.write_to(data, conn.local_addr)
        chunks = conn.chunks()
        assert [await chunks.recv() for _ in range(3)] == [b"one", b"", b"two"]
    assert await chunks.recv_ok() == (None, False)


async def test_a_writer_waits_for_room(tmp_path):
    """Unix: the receiver's queue is full. Nothing is lost, an empty datagram neither."""
    path = str(tmp_path / "socket")
    with net.listen_packet("unixgram", path) as server:
        with await net.dial("unixgram", path) as client:
            full, got = 0, gopark.Chan()
            client.socket.setblocking(False)
            while True:
                try:
                    client.socket.send(b"x")
                    full += 1
                except BlockingIOError:
                    break
            go(outcome, client.write(b""), got)
            await wait_all_parked()
            for _ in range(full):
                assert await server.read() == b"x"
            assert await got.recv() == 0
            assert await server.read() == b""


async def test_from_an_address_of_ones_own():
    port = same_port()
    with net.listen_packet("udp", "127.0.0.1:0") as server:
        with await net.dial("udp", server.local_addr, local_addr=f"127.0.0.1:{port}") as client:
            await client.write(b"x")
            assert await server.read_from() == (b"x", f"127.0.0.1:{port}")


async def test_sockets_of_others():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    with net.from_socket(one) as server:
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.connect(one.getsockname())
        with net.from_socket(other) as client:
            assert client.remote_addr == server.local_addr
            await client.write(b"x")
            data, addr = await server.read_from()
            await server.write_to(data + b"y", addr)
            assert await client.read() == b"xy"


async def test_plain_goroutines():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        got = gopark.Chan()

        def reader():
            gopark.block(got.send(gopark.block(conn.read_from())))

        go(reader)
        await conn.write_to(b"x", conn.local_addr)
        assert await got.recv() == (b"x", conn.local_addr)


# --- deadlines and close ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["read", "read_from"])
async def test_a_deadline(what):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        conn.set_read_deadline(monotonic() + 0.01)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="i/o timeout"):
                await getattr(conn, what)()
        conn.set_deadline(None)
        await conn.write_to(b"x", conn.local_addr)
        assert await conn.read() == b"x"
        conn.set_write_deadline(monotonic() - 1)
        with pytest.raises(TimeoutError, match=r"^write udp"):
            await conn.write_to(b"x", conn.local_addr)


@pytest.mark.go("net", "TestCloseUnblocksReadUDP")
@pytest.mark.parametrize("what", ["read", "read_from"])
async def test_close_unblocks_read_udp(what):
    conn, got = net.listen_packet("udp", "127.0.0.1:0"), gopark.Chan()
    for _ in range(2):  # one reads, one waits for its turn
        go(outcome, getattr(conn, what)(), got)
    await wait_all_parked()
    for _ in range(2):
        go(conn.close)
    for _ in range(2):
        assert isinstance(await got.recv(), net.ClosedError)
    for coro in (conn.read(), conn.read_from(), conn.write_to(b"", conn.local_addr)):
        with pytest.raises(net.ClosedError, match="use of closed connection"):
            await coro
    with pytest.raises(net.ClosedError):
        conn.set_deadline(None)


async def test_nobody_is_there():
    """The system tells a connected socket so, once; it can be used on."""
    with await net.dial("udp", f"127.0.0.1:{same_port()}") as conn:
        await conn.write(b"x")
        with pytest.raises(ConnectionRefusedError):
            await conn.read()
        await conn.write(b"x")
        with pytest.raises(ConnectionRefusedError):
            await conn.read_from()


# --- bad input ----------------------------------------------------------------------------------


async def test_what_a_connected_one_and_one_that_is_not_cannot_do():
    with net.listen_packet("udp", "127.0.0.1:0") as server:
        with pytest.raises(OSError, match="it is not connected: use write_to") as caught:
            await server.write(b"x")
        assert caught.value.errno == errno.EDESTADDRREQ
        assert server.remote_addr == ""
        with await net.dial("udp", server.local_addr) as client:
            with pytest.raises(OSError, match="it is connected: use write"):
                await client.write_to(b"x", server.local_addr)


@pytest.mark.parametrize(
    ("addr", "error", "text"),
    [
        ("localhost:1", ValueError, "write an IP address"),
        ("127.0.0.1", ValueError, "missing port"),
        ("127.0.0.1:70000", ValueError, "the last is 65535"),
        ("[::1]:1", ValueError, "IPv4 alone"),
        (("127.0.0.1", 1), TypeError, "address is a string"),
        (None, TypeError, "address is a string"),
    ],
)
async def test_an_address_that_is_none(addr, error, text):
    with net.listen_packet("udp", "127.0.0.1:0") as conn, pytest.raises(error, match=text):
        await conn.write_to(b"x", addr)


async def test_bad_arguments():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        for data in ("text", None, 5):
            with pytest.raises(TypeError, match="encode text first"):
                await conn.write_to(data, conn.local_addr)
        for n, error in ((0, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)):
            with pytest.raises(error, match="read_from"):
                await conn.read_from(n)
        with pytest.raises(OSError, match="too long") as caught:
            await conn.write_to(b"x" * 100_000, conn.local_addr)
        assert caught.value.errno == errno.EMSGSIZE
        with pytest.raises(ValueError, match="set_deadline"):
            conn.set_deadline(math.nan)


async def test_it_has_no_stream(tmp_path):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        for read in (lambda: conn.read_full(1), conn.read_until):
            with pytest.raises(TypeError, match="no stream"):
                await read()
        with open(__file__, "rb") as file, pytest.raises(TypeError, match="no stream"):
            conn.sendfile(file)


@pytest.mark.parametrize(
    ("network", "error", "text"),
    [
        ("tcp", ValueError, "use listen"),
        ("upd", ValueError, "unknown network"),
        (5, TypeError, "network"),
    ],
)
def test_a_network_that_is_none(network, error, text):
    with pytest.raises(error, match=text):
        net.listen_packet(network, "127.0.0.1:0")


def test_an_address_that_is_taken(tmp_path):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        with pytest.raises(OSError, match="in use") as caught:
            net.listen_packet("udp", conn.local_addr)
        assert f"listen_packet udp {conn.local_addr}: " in str(caught.value)
    path = str(tmp_path / "socket")
    with net.listen_packet("unixgram", path), pytest.raises(OSError, match="in use"):
        net.listen_packet("unixgram", path)
