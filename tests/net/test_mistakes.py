"""What one gets wrong with connections: the error says where, what, and how it is done."""

from __future__ import annotations

import decimal
import io
import itertools
import math
import socket
import tempfile
import time
import warnings

import pytest

import gopark
from gopark import net
from gopark._runtime.net import netpoll
from gopark._runtime.sched import timer
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from harness import run_python
from netpeers import outcome


def pair():
    return map(net.from_socket, socket.socketpair())


async def connected():
    """The two ends of a TCP connection."""
    with net.listen("tcp", "127.0.0.1:0") as ln:
        client = await net.dial("tcp", ln.addr)
        return client, await ln.accept()


# --- files are no streams ---------------------------------------------------------------------


async def test_a_file_is_no_stream_to_read_and_the_error_says_what_to_do():
    a, b = pair()
    with a, b, open(__file__, "rb") as file, open(__file__, encoding="utf-8") as text:
        for bad in (file, text, io.BytesIO(b"x")):
            for use in (lambda bad=bad: net.copy(a, bad), lambda bad=bad: made(bad)):
                with pytest.raises(TypeError, match=r"is not awaited.*Conn\.sendfile") as caught:
                    await use()
                assert repr(bad) in str(caught.value)
        assert file.tell() == 0


async def made(stream):
    net.Reader(stream)


async def test_a_file_is_no_stream_to_write_and_nothing_is_read_for_it():
    a, b = pair()
    with a, b:
        await a.write(b"data")
        with pytest.raises(TypeError, match=r"write\(data\) first, got <_io.BytesIO .* async def"):
            await net.copy(io.BytesIO(), b)
        assert await b.read() == b"data"


async def test_what_only_looks_like_a_stream_is_named_as_well():
    a, b = pair()
    with a, b, tempfile.NamedTemporaryFile() as file, socket.socket() as sock:
        await b.write(b"data")
        with pytest.raises(TypeError, match=r"read\(\) of <.*TemporaryFile.* is no async def"):
            await net.copy(a, file)
        with pytest.raises(TypeError, match=r"read\(\) of <.*TemporaryFile.* is no async def"):
            await net.Reader(file).read_line()
        with pytest.raises(TypeError, match=r"write\(\) of <.*TemporaryFile.* is no async def"):
            await net.copy(file, a)
        with pytest.raises(TypeError, match=r"got <socket.*from_socket"):
            net.Reader(sock)


# --- closed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda conn: conn.set_no_delay(True),
        lambda conn: conn.set_keep_alive(1),
        lambda conn: conn.close_write(),
        lambda conn: conn.close_read(),
        lambda conn: conn.set_deadline(None),
        lambda conn: conn.set_read_deadline(1.0),
        lambda conn: conn.set_write_deadline(1.0),
    ],
)
async def test_an_option_of_one_that_is_closed_names_both_ends(use):
    client, server = await connected()
    with server:
        text = f"tcp {client.local_addr}->{client.remote_addr}: use of closed"
        client.close()
        with pytest.raises(net.ClosedError, match=text):
            use(client)


async def test_an_option_that_the_system_refuses_names_the_connection():
    a, b = pair()
    with a, b, pytest.raises(OSError, match="set_no_delay unix: ") as caught:
        a.set_no_delay(True)
    assert not isinstance(caught.value, net.ClosedError)


@pytest.mark.parametrize(
    "read",
    [
        lambda conn: conn.read(),
        lambda conn: conn.read(1),
        lambda conn: conn.read_full(1),
        lambda conn: conn.read_until(b"s"),
    ],
)
@pytest.mark.parametrize("make", [pair, net.pipe])
async def test_what_was_read_ahead_is_gone_with_the_connection(read, make):
    a, b = make()
    with a:
        gopark.go(a.write, b"line\nrest")
        assert await b.read_until() == b"line\n"
        b.close()
        with pytest.raises(net.ClosedError, match="use of closed connection"):
            await read(b)


async def test_a_piece_that_a_reader_leaves_behind_at_the_close_is_gone_as_well():
    a, b = pair()
    with a:
        got = gopark.Chan(1)
        await a.write(b"half")
        gopark.go(outcome, b.read_full(8), got)
        await wait_all_parked()
        b.close()
        assert isinstance(await got.recv(), net.ClosedError)
        with pytest.raises(net.ClosedError):
            await b.read()


async def test_what_the_system_says_of_a_connection_names_both_ends():
    client, server = await connected()
    with server, client:
        linger = b"\1\0\0\0\0\0\0\0"
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        where = f"tcp {server.local_addr}->{server.remote_addr}: "
        client.close()
        with pytest.raises(ConnectionResetError, match=f"read {where}"):
            await server.read()
        with pytest.raises(BrokenPipeError, match=f"write {where}"):
            await server.write(b"x")


# --- datagrams --------------------------------------------------------------------------------


async def test_datagrams_that_go_nowhere():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        addr = conn.local_addr
        with pytest.raises(OSError, match=rf"write udp {addr}: .*use write_to\(data, addr\)"):
            await conn.write(b"x")
        with pytest.raises(TypeError, match="the bytes first and the address second"):
            await conn.write_to(addr, b"x")
        with pytest.raises(TypeError, match=r"write_to\(\) needs bytes"):
            await conn.write_to("x", addr)
        with pytest.raises(TypeError, match=r"write\(\) needs bytes"):
            await conn.write("x")
        with pytest.raises(TypeError, match="see join_host_port"):
            await conn.write_to(b"x", ("127.0.0.1", addr.port))
        with pytest.raises(ValueError, match="missing port"):
            await conn.write_to(b"x", "127.0.0.1:")
        with pytest.raises(OSError, match=f"write udp {addr}: .*too long"):
            await conn.write_to(b"x" * 70_000, addr)
        await conn.write_to(b"x", addr)
        assert await conn.read() == b"x"
    for use in (conn.write(b"x"), conn.write_to(b"x", addr)):
        with pytest.raises(net.ClosedError, match=f"write udp {addr}: "):
            await use


def test_unix_datagrams_that_go_nowhere(tmp_path):
    async def main():
        with net.listen_packet("unixgram", str(tmp_path / "socket")) as conn:
            with pytest.raises(OSError, match="use write_to"):
                await conn.write(b"x")

    gopark.run(main)


# --- a coroutine that nobody awaits -----------------------------------------------------------


@pytest.mark.parametrize("make", [pair, net.pipe])
async def test_an_await_that_is_forgotten_is_told_in_the_words_of_the_user(make):
    a, b = make()
    with a, b:
        with pytest.warns(RuntimeWarning, match=r"coroutine 'Conn\.write' was never awaited"):
            a.write(b"x")
        with pytest.warns(RuntimeWarning, match=r"coroutine 'Conn\.read' was never awaited"):
            a.read()
        with pytest.warns(RuntimeWarning, match=r"coroutine '(Conn|Reader)\.read\w*' was never"):
            a.read_until()


async def test_a_dump_has_the_words_of_the_user():
    (a, b), (c, d) = pair(), net.pipe()
    with a, b, c, d:
        gopark.go(a.read)
        gopark.go(c.read)
        await wait_all_parked()
        dump = gopark.runtime.stack(all=True)
        assert dump.count("gopark.Conn.read(...)") == 2
        assert "FD.read" not in dump
        assert "_PipeConn" not in dump
        await b.write(b"x")
        await d.write(b"x")


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["tcp", "tcp4", "udp"])
@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("localhost", "missing port"),
        ("localhost:", "missing port"),
        ("127.0.0.1:", "missing port"),
        (":", "missing port"),
        ("", "missing port"),
        ("127.0.0.1:0", "port 0 is nobody's"),
        ("127.0.0.1:70000", "port 70000 is none: .* 65535"),
        ("127.0.0.1:-1", "port -1 is none"),
        ("127.0.0.1:+80", "unknown port"),
        ("127.0.0.1: 80", "unknown port"),
        ("127.0.0.1:80\0", "unknown port '80.x00'"),
        ("127.0.0.1:\ud800", "unknown port"),
        ("127.0.0.1:no-such", "unknown port 'no-such' of (tcp|udp)"),
        ("http://localhost:80", "that is a URL"),
    ],
)
async def test_an_address_without_a_port_to_go_to(network, address, text):
    with pytest.raises(ValueError, match=text):
        await net.dial(network, address)


@pytest.mark.parametrize("address", ["127.0.0.1:", "127.0.0.1:0"])
def test_who_listens_may_leave_the_port_to_the_system(address):
    """As in Go."""
    with net.listen("tcp", address) as ln, net.listen_packet("udp", address) as conn:
        assert ln.addr.port
        assert conn.local_addr.port


@pytest.mark.parametrize("host", ["a" * 300, "a\0b", "a b", "a..b"])
async def test_a_host_that_can_have_no_address(host):
    with pytest.raises(net.DNSError, match="no such host") as caught:
        await net.dial("tcp", f"{host}:80")
    assert len(str(caught.value)) < 150
    assert caught.value.not_found


@pytest.mark.parametrize("zone", ["no-such", "\0", "9" * 30])
async def test_a_zone_that_is_none(zone):
    with pytest.raises(OSError, match="there is no network interface"):
        await net.dial("tcp", f"[fe80::1%{zone}]:80")


# --- deadlines --------------------------------------------------------------------------------


def setters(conn, ln):
    return [conn.set_deadline, conn.set_read_deadline, conn.set_write_deadline, ln.set_deadline]


@pytest.mark.parametrize("kind", [float, int, decimal.Decimal])
async def test_a_moment_of_the_calendar_is_no_deadline(kind):
    when = kind(time.time() + 5)
    a, b = pair()
    with a, b, net.listen("tcp", "127.0.0.1:0") as ln:
        for setter in setters(a, ln):
            with pytest.raises(ValueError, match=r"time\.time\(\).*gopark\.time\.monotonic\(\) \+"):
                setter(when)
    with pytest.raises(ValueError, match=r"time\.time\(\)"):
        net.Dialer(deadline=when)
    with pytest.raises(ValueError, match="give the seconds alone"):
        net.Dialer(timeout=when)
    with pytest.raises(ValueError, match="give the seconds alone"):
        await net.dial("tcp", "127.0.0.1:1", timeout=when)


@pytest.mark.parametrize(
    ("when", "error", "text"),
    [
        (math.nan, ValueError, "not a number: got nan"),
        (True, TypeError, "a number of seconds, got True"),
        ("5", TypeError, "a number of seconds, got '5'"),
        (1j, TypeError, "a number of seconds"),
    ],
)
async def test_what_is_no_moment(when, error, text):
    a, b = pair()
    with a, b, net.listen("tcp", "127.0.0.1:0") as ln:
        for setter in setters(a, ln):
            with pytest.raises(error, match=text):
                setter(when)


@pytest.mark.parametrize("when", [None, math.inf, 1e300, 1 << 62, "in days"])
async def test_a_deadline_that_is_far_or_none(when):
    if when == "in days":
        when = monotonic() + 1e6
    a, b = pair()
    with a, b:
        a.set_deadline(when)
        await b.write(b"x")
        assert await a.read() == b"x"


@pytest.mark.parametrize("when", [-math.inf, -1, 0, 0.0, decimal.Decimal(-5)])
async def test_a_deadline_that_has_passed(when):
    a, b = pair()
    with a, b:
        a.set_deadline(when)
        with pytest.raises(TimeoutError):
            await a.read()


# --- no memory --------------------------------------------------------------------------------


async def test_a_deadline_that_finds_no_memory_changes_nothing(monkeypatch):
    real, left = timer.heappush, [99]

    def short(heap, entry):
        left[0] -= 1
        if left[0] == -1:
            raise MemoryError
        real(heap, entry)

    monkeypatch.setattr(timer, "heappush", short)
    for fails, write in itertools.product((0, 1), (False, True)):
        a, b = pair()
        with a, b:
            a.set_deadline(monotonic() + 3600)
            before = a._fd.rd, a._fd.wd, a._fd.rbad, a._fd.wbad
            left[0] = fails
            with pytest.raises(MemoryError):
                a.set_deadline(monotonic() + 1800)
            left[0] = 99
            assert (a._fd.rd, a._fd.wd, a._fd.rbad, a._fd.wbad) == before
            (a.set_write_deadline if write else a.set_read_deadline)(monotonic() + 0.01)
            with pytest.raises(TimeoutError):
                await a._fd.wait("read", write) if not write else await filled(a)


async def filled(conn):
    while True:
        await conn.write(bytes(1 << 20))


# --- the end of a program ---------------------------------------------------------------------


@pytest.mark.parametrize("options", [["-W", "ignore"], ["-W", "default::ResourceWarning"]])
def test_plain_goroutines_that_wait_at_the_end_of_the_program_leave_no_word(options):
    """Their connections are dropped while the interpreter takes its modules to pieces."""
    program = """
import socket
import gopark
from gopark import net

keep = []

def plain(conn):
    gopark.block(conn.read())

async def main():
    for _ in range(4):
        a, b = map(net.from_socket, socket.socketpair())
        keep.append((a, b))
        gopark.go(plain, a)
    await gopark.time.sleep(0.01)

gopark.run(main)
"""
    done = run_python([*options, "-c", program])
    said = [line for line in done.stderr.splitlines() if "ResourceWarning: " not in line]
    assert done._replace(stderr=said) == ("", [], 0)


def test_a_finalizer_in_a_program_that_is_taken_to_pieces_is_silent(monkeypatch):
    """What it calls is None by then: see Python's "Exception ignored in"."""
    conn, other = pair()
    fd = conn._fd
    with monkeypatch.context() as pieces:  # `undo` would put the fixture's poller back as well
        pieces.setattr("gopark.net._sock.addrof", None)
        pieces.setattr(type(fd), "_learn", None)
        with pytest.raises(TypeError):
            fd.__del__()
        fd.__del__(lambda: True)
    assert netpoll.netdoor.opened
    conn.close()
    other.close()


def test_a_warning_that_is_an_error_stays_one_at_the_end():
    conn, other = pair()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ResourceWarning, match="unclosed connection unix"):
            conn._fd.__del__(lambda: True)
    other.close()


# --- names and numbers of the wrong kind -------------------------------------------------------


@pytest.mark.parametrize(
    ("slip", "text"),
    [
        (lambda: net.join_host_port(1, 80), r"join_host_port\(\) needs a string as host, got 1"),
        (lambda: net.join_host_port("h", None), r"join_host_port\(\) .* as port, got None"),
        (lambda: net.join_host_port("h", b"80"), r"join_host_port\(\) .* as port, got b'80'"),
        (lambda: net.listen("tcp", ":0", queue="x"), r"listen\(\) .* as queue, got 'x'"),
        (lambda: gopark.block(net.lookup_host("::1", network=[])), r"lookup_host.*\[\]"),
    ],
)
def test_what_is_no_name_and_no_number(slip, text):
    with pytest.raises(TypeError, match=text):
        slip()
