"""A TLS connection in use: streams in both directions, deadlines, ends, and what disturbs them."""

from __future__ import annotations

import array
import gc
import socket
import ssl
from typing import Any

import pytest

import gopark
from gopark import net, sync, tls
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from netpeers import dropped
from tlsends import Certificates, Pair, Plain, ends


async def result(fn: Any, *args: Any) -> Any:
    """What it returns or raises."""
    try:
        return await fn(*args)
    except Exception as exc:
        return exc


def started(fn: Any, *args: Any) -> gopark.Chan[Any]:
    """In a goroutine of its own; the channel gets what it returns or raises."""
    done: gopark.Chan[Any] = gopark.Chan(1)

    async def run() -> None:
        await done.send(await result(fn, *args))

    gopark.go(run)
    return done


async def read_all(conn: net.Conn) -> bytes:
    parts = []
    while data := await conn.read():
        parts.append(data)
    return b"".join(parts)


def pattern(size: int) -> bytes:
    return bytes(i * i % 251 for i in range(251)) * (size // 251) + b"\x01" * (size % 251)


async def shaken(pair: Pair, **kwargs: Any) -> tuple[tls.Conn, tls.Conn]:
    a, b = pair(**kwargs)
    done = started(b.handshake)
    await a.handshake()
    assert await done.recv() is None
    return a, b


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 65536, 65537, 3_000_000])
async def test_both_directions_at_once(anypair: Pair, size: int):
    a, b = anypair()
    data = pattern(size)

    async def send(conn: tls.Conn) -> None:
        assert await conn.write(data) == size
        await conn.close_write()

    async with a, b:
        writers = [started(send, a), started(send, b)]
        readers = [started(read_all, a), started(read_all, b)]
        for done in readers:
            assert await done.recv() == data
        for done in writers:
            assert await done.recv() is None


async def test_what_can_be_written(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        assert await a.write(bytearray(b"one")) == 3
        assert await a.write(memoryview(b"-two-")[1:4]) == 3
        assert await a.write(array.array("I", [7])) == 4  # type: ignore[arg-type]
        assert await b.read_full(10) == b"onetwo" + array.array("I", [7]).tobytes()
        with pytest.raises(TypeError, match="encode text first"):
            await a.write("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="encode text first"):
            await a.write(memoryview(b"0123")[::2])
        await a.write(b"on")
        assert await b.read() == b"on"


async def test_small_reads_lines_and_exact_counts(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        await a.write(b"abcdef\nghi\n")
        assert await b.read(1) == b"a"
        assert await b.read(2) == b"bc"
        assert await b.read_until() == b"def\n"
        await a.write(b"12345")
        assert await b.read_full(9) == b"ghi\n12345"


async def test_two_readers_and_two_writers(anypair: Pair):
    a, b = await shaken(anypair)
    pieces = [bytes([65 + i]) * 100_000 for i in range(4)]
    async with a, b:
        writers = [started(a.write, piece) for piece in pieces]
        got: list[bytes] = []
        group = sync.WaitGroup()

        async def reader() -> None:
            while sum(map(len, got)) < 400_000:
                data = await result(b.read)
                if isinstance(data, Exception):
                    break
                got.append(data)
                if sum(map(len, got)) >= 400_000:
                    b.set_read_deadline(monotonic())
            group.done()

        for _ in range(2):
            group.add(1)
            gopark.go(reader)
        await group.wait()
        assert [await done.recv() for done in writers] == [100_000] * 4
        data = b"".join(got)
        # Each write lies in one piece, and the pieces were read in their order.
        assert sorted(data[i : i + 100_000] for i in range(0, 400_000, 100_000)) == pieces


async def test_tls_within_tls(certs: Certificates):
    a, b = ends()
    outer = tls.client(a, certs.client(), "localhost"), tls.server(b, certs.server())
    c = tls.client(outer[0], certs.client(), "other.example")
    d = tls.server(outer[1], certs.server(other=True))
    async with c, d:
        data = pattern(300_000)
        writing = started(c.write, data)
        assert await d.read_full(len(data)) == data
        assert await writing.recv() == len(data)
        c.close()
        assert await d.read() == b""


async def test_what_was_read_too_much_underneath_is_tls(certs: Certificates):
    """STARTTLS: a line in plain, and what follows it at once."""
    a, b = ends()
    client = tls.client(a, certs.client(), "localhost")
    server = tls.server(b, certs.server())
    async with client, server:
        await a.write(b"STARTTLS\r\n")
        shaking = started(client.handshake)
        await wait_all_parked()
        assert await b.read_until() == b"STARTTLS\r\n"
        await server.write(b"welcome")
        assert await client.read() == b"welcome"
        assert await shaking.recv() is None


def test_plain_functions_use_it_with_block(certs: Certificates):
    def main() -> None:
        a, b = ends()
        client = tls.client(a, certs.client(), "localhost")
        server = tls.server(b, certs.server())
        with client, server:
            gopark.go(lambda: gopark.block(server.write(b"hello")))
            assert gopark.block(client.read()) == b"hello"

    gopark.run(main)


# --- the end of the stream ----------------------------------------------------------------------


async def test_close_says_that_it_is_the_end(pair: Pair):
    a, b = await shaken(pair)
    async with b:
        await a.write(b"last")
        a.close()
        a.close()
        assert await read_all(b) == b"last"
        assert await b.read() == b""


async def test_without_close_notify_it_is_an_error(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        await b.write(b"x")
        await a.read()  # and the tickets, over which the kernel would reset it
        await a.write(b"half of i")
        a.net_conn.close()
        assert await b.read() == b"half of i"
        for _ in range(2):
            with pytest.raises(tls.TruncatedError, match="without close_notify") as caught:
                await b.read()
            assert isinstance(caught.value, EOFError)


async def test_a_record_that_is_cut_is_an_error(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        await b.write(b"x")
        await a.read()
        await a.net_conn.write(b"\x17\x03\x03\x00\x40" + b"half")
        a.net_conn.close()
        with pytest.raises(tls.TruncatedError):
            await b.read()


async def test_after_close_write_one_may_go_on_reading(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        await a.write(b"question")
        await a.close_write()
        await a.close_write()
        assert await read_all(b) == b"question"
        with pytest.raises(BrokenPipeError, match="after close_write"):
            await a.write(b"more")
        await b.write(b"answer")
        assert await a.read() == b"answer"
        b.close()
        assert await a.read() == b""


async def test_close_write_loses_nothing_that_has_come(pair: Pair):
    """OpenSSL drops it: what was decrypted in part, what was not yet, and half a record."""
    a, b = await shaken(pair)
    async with a, b:
        await b.write(b"one")
        await b.write(b"two")
        await wait_all_parked()
        assert await a.read(1) == b"o"
        reading = started(b.read)
        await a.close_write()
        assert await reading.recv() == b""
        await b.write(b"three")
        b.close()
        assert await read_all(a) == b"netwothree"


async def test_close_write_amid_a_record(certs: Certificates):
    relay = Halves(*ends())
    a, b = tls.client(relay, certs.client(), "localhost"), tls.server(relay.other, certs.server())
    async with a, b:
        shaking = started(b.handshake)
        await a.handshake()
        assert await shaking.recv() is None
        relay.halve = True
        await b.write(b"0123456789" * 10)
        a.set_read_deadline(monotonic() + 0.001)
        relay.wait = True
        assert type(await result(a.read)) is TimeoutError
        relay.wait = False
        await a.close_write()
        a.set_read_deadline(None)
        assert await a.read() == b"0123456789" * 10


class Halves(Plain):
    """Gives the first half of what it reads, and no more while `wait`."""

    def __init__(self, inner: Any, other: Any) -> None:
        super().__init__(inner)
        self.other = other
        self.halve = self.wait = False
        self.rest = b""

    async def _read(self, n: int) -> bytes:
        if self.rest and not self.wait:
            data, self.rest = self.rest, b""
            return data
        data = await self.inner.read(n)
        if self.halve:
            self.rest = data[len(data) // 2 :]
            data = data[: len(data) // 2]
        return data


async def test_who_writes_and_goes_loses_nothing(certs: Certificates):
    """The tickets that it never read would have the kernel reset the connection."""
    inner = net.listen("tcp", "127.0.0.1:0")
    inner.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with tls.Listener(inner, certs.server()) as ln:
        dialing = started(tls.dial, "tcp", f"localhost:{ln.addr.port}", certs.client())
        b = await ln.accept()
        async with b:
            await b.handshake()
            a = await dialing.recv()
            data = pattern(200_000)
            await a.write(data)  # most of it lies in the buffers of this side
            a.close()
            assert await read_all(b) == data


# --- deadlines ----------------------------------------------------------------------------------


async def test_after_a_read_deadline_it_can_be_used(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        a.set_read_deadline(monotonic() + 0.01)
        with pytest.raises(TimeoutError, match="i/o timeout"):
            await a.read()
        await a.write(b"still there")
        assert await b.read() == b"still there"
        a.set_read_deadline(None)
        await b.write(b"yes")
        assert await a.read() == b"yes"


async def test_a_deadline_amid_a_record(certs: Certificates):
    relay = Halves(*ends())
    a, b = tls.client(relay, certs.client(), "localhost"), tls.server(relay.other, certs.server())
    async with a, b:
        shaking = started(b.handshake)
        await a.handshake()
        assert await shaking.recv() is None
        relay.halve = relay.wait = True
        await b.write(b"whole")
        a.set_read_deadline(monotonic() + 0.01)
        with pytest.raises(TimeoutError):
            await a.read()
        a.set_read_deadline(None)
        relay.wait = False
        assert await a.read() == b"whole"


async def test_a_write_deadline_breaks_it(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        a.set_write_deadline(monotonic() + 0.02)
        with pytest.raises(TimeoutError, match="this TLS connection is broken: close it"):
            await a.write(bytes(10_000_000))
        a.set_write_deadline(None)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="this TLS connection is broken: close it"):
                await a.write(b"more")
        with pytest.raises(TimeoutError, match="broken"):
            await a.close_write()
        gopark.go(result, read_all, b)
        await b.write(b"but it can be read")
        assert await a.read() == b"but it can be read"


async def test_a_write_that_is_broken_off_breaks_it(pair: Pair):
    """By something else than a deadline: Ctrl-C, or the end of what it was part of."""

    class Stop(BaseException):
        pass

    a, b = await shaken(pair)

    async def fails(data: bytes) -> int:
        raise Stop

    async with a, b:
        inner, a._inner = a._inner, Plain(a._inner)
        a._inner.write = fails  # type: ignore[method-assign]
        with pytest.raises(Stop):
            await a.write(b"x")
        a._inner = inner
        with pytest.raises(ConnectionError, match="this TLS connection is broken: close it"):
            await a.write(b"y")


async def test_a_deadline_that_is_none(pair: Pair):
    a, b = pair()
    async with a, b:
        with pytest.raises(ValueError, match="got nan"):
            a.set_deadline(float("nan"))
        with pytest.raises(TypeError):
            a.set_deadline("soon")  # type: ignore[arg-type]
    with pytest.raises(net.ClosedError):
        a.set_deadline(None)


# --- closed, and disturbed ----------------------------------------------------------------------


async def test_who_waits_is_told_that_it_was_closed(anypair: Pair):
    for underneath in (False, True):
        a, b = await shaken(anypair)
        async with b:
            waiting = [started(a.read), started(a.read), started(a.write, bytes(10_000_000))]
            await wait_all_parked()
            waiting.append(started(a.write, b"after that"))
            await wait_all_parked()
            (a.net_conn if underneath else a).close()
            for done in waiting:
                assert isinstance(await done.recv(), net.ClosedError | ConnectionError)
            a.close()
            for use in (a.read, a.close_write):
                assert isinstance(await result(use), net.ClosedError)
            assert isinstance(await result(a.write, b"x"), net.ClosedError)


async def test_who_reads_is_told_that_it_was_closed_while_the_last_word_waits(certs: Certificates):
    a, b = map(Plain, ends())
    client, server = tls.client(a, certs.client(), "localhost"), tls.server(b, certs.server())
    shaking = started(server.handshake)
    await client.handshake()
    assert await shaking.recv() is None
    gate: gopark.Chan[None] = gopark.Chan()
    write = a.inner.write

    async def slow(data: bytes) -> Any:
        await gate.recv()
        return await write(data)

    reading = started(client.read)
    await wait_all_parked()
    a.write = slow  # type: ignore[method-assign]
    client.close()
    assert isinstance(await reading.recv(), net.ClosedError)
    gate.close()
    async with server:
        assert await server.read() == b""


async def test_a_record_that_was_tampered_with(pair: Pair):
    a, b = await shaken(pair)
    async with a, b:
        await a.net_conn.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        for _ in range(2):
            # OpenSSL says which record it was up to 3.4, and since then that it was one.
            with pytest.raises(ssl.SSLError, match=r"BAD_RECORD_MAC|RECORD_LAYER_FAILURE"):
                await b.read()
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            await a.read()  # it was told so


async def test_what_it_is_made_of(pair: Pair):
    a, b = pair()
    async with a, b:
        assert isinstance(a, net.Conn)
        assert isinstance(a.ssl_object, ssl.SSLObject)
        assert a.local_addr == a.net_conn.local_addr
        assert repr(a).startswith("<tls.Conn client on <")
        assert repr(b).startswith("<tls.Conn server on <")
    assert repr(a).endswith(" closed>")


# --- dropped and closed -------------------------------------------------------------------------


@pytest.mark.parametrize("reads", ["nothing", "bytes", "lines"])
async def test_one_that_is_dropped_is_closed_at_once_with_a_word(
    certs: Certificates, reads: str
) -> None:
    a, b = (net.from_socket(sock) for sock in socket.socketpair())
    client, server = tls.client(a, certs.client(), "localhost"), tls.server(b, certs.server())
    with client:
        done = started(server.handshake)
        await client.handshake()
        assert await done.recv() is None
        if reads != "nothing":
            await client.write(b"line\nrest")
            got = await (server.read() if reads == "bytes" else server.read_until())
            assert got.startswith(b"line\n")
        held = [b, server]
        del b, server, done
        collecting = gc.isenabled()
        gc.disable()
        try:
            with pytest.warns(ResourceWarning, match="unclosed connection unix"):
                dropped(held)
        finally:
            if collecting:
                gc.enable()


async def test_a_call_that_reads_keeps_its_connection(anypair: Pair) -> None:
    a, b = await shaken(anypair)
    with a:
        whole = b.read_full(4)
        del b
        done = started(a.write, b"data")
        assert await whole == b"data"
        assert await done.recv() == 4


async def test_what_was_read_ahead_is_gone_with_the_connection(anypair: Pair) -> None:
    a, b = await shaken(anypair)
    with a:
        done = started(a.write, b"line\nrest")
        assert await b.read_until() == b"line\n"
        assert await done.recv() == 9
        b.close()
        for read in (b.read, b.read_until):
            with pytest.raises(net.ClosedError, match="read tls"):
                await read()


async def test_its_coroutines_are_called_as_the_user_calls_them(anypair: Pair) -> None:
    a, _ = anypair()
    for made in (a.read(), a.write(b"x"), a.read_until()):
        assert made.__qualname__.startswith("Conn.")
        made.close()


# --- in a scope ---------------------------------------------------------------------------------


async def test_a_timeout_ends_a_read_and_the_connection_goes_on(pair: Pair) -> None:
    a, b = await shaken(pair)
    async with a, b:
        with pytest.raises(TimeoutError), gopark.timeout(0.01):
            await a.read()
        await b.write(b"it goes on")
        assert await a.read() == b"it goes on"
        await a.write(b"both ways")
        assert await b.read() == b"both ways"


async def writes(conn: tls.Conn) -> None:
    while True:
        await conn.write(bytes(1_000_000))


async def test_a_write_that_a_timeout_has_ended_is_the_last(pair: Pair) -> None:
    """A part of a record may have gone: the other side could make nothing of the next one."""
    a, b = await shaken(pair)
    async with a, b:
        with pytest.raises(TimeoutError), gopark.timeout(0.05):
            await writes(a)
        with pytest.raises(ConnectionError, match="was broken off"):
            await a.write(b"more")
        await b.write(b"this way still")
        assert await a.read() == b"this way still"
