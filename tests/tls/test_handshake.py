"""Handshakes: what they agree on, how they end badly, and by whom they are ended."""

from __future__ import annotations

import pickle
import socket
import ssl
import struct
from typing import Any

import pytest

import gopark
from gopark import context, net, tls
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from tlsends import Certificates, Pair, Plain, ends


async def result(fn: Any, *args: Any) -> Any:
    """What it returns or raises."""
    try:
        return await fn(*args)
    except Exception as exc:
        return exc


async def both(a: tls.Conn, b: tls.Conn) -> tuple[Any, Any]:
    """How the handshakes of the two end."""
    done: gopark.Chan[Any] = gopark.Chan()

    async def other() -> None:
        await done.send(await result(b.handshake))

    gopark.go(other)
    return await result(a.handshake), await done.recv()


def notes(exc: BaseException) -> str:
    return "\n".join(getattr(exc, "__notes__", []))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_both_sides_know_what_was_agreed_on(anypair: Pair, certs: Certificates, version: str):
    server, client = certs.server(), certs.client()
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    client.maximum_version = client.minimum_version = ssl.TLSVersion[version]
    a, b = anypair(server, client)
    async with a, b:
        assert not a.connection_state().handshake_complete
        assert a.session is None
        assert await both(a, b) == (None, None)
        one, two = a.connection_state(), b.connection_state()
        assert one.handshake_complete
        assert two.handshake_complete
        assert one.version == two.version == version.replace("_", ".")
        assert one.cipher == two.cipher is not None
        assert one.alpn == two.alpn == "http/1.1"
        assert not one.resumed
        assert not two.resumed
        assert one.server_hostname == "localhost"
        assert one.peer_certificate == ssl.PEM_cert_to_DER_cert(certs.cert.read_text())
        assert one.peer_names is not None
        assert ("DNS", "localhost") in one.peer_names["subjectAltName"]
        assert two.peer_certificate is None
        assert two.peer_names is None
        await a.handshake()  # a second one is none


async def test_the_first_read_and_the_first_write_have_the_handshake(anypair: Pair):
    a, b = anypair()
    async with a, b:
        got: gopark.Chan[bytes] = gopark.Chan()

        async def reader() -> None:
            await got.send(await b.read())

        for _ in range(2):
            gopark.go(reader)
        await wait_all_parked()
        gopark.go(a.write, b"one")
        assert await got.recv() == b"one"
        await a.write(b"two")
        assert await got.recv() == b"two"


async def test_who_waited_for_the_handshake_does_not_wait_for_who_had_it(anypair: Pair):
    a, b = anypair()
    async with a, b:
        got: gopark.Chan[bytes] = gopark.Chan()

        async def reader(conn: tls.Conn) -> None:
            await got.send(await conn.read())

        for conn in (a, b):
            gopark.go(reader, conn)
        await wait_all_parked()  # each has begun it, or is done with it, and reads
        for conn in (a, b):
            gopark.go(conn.write, b"x")
        assert [await got.recv() for _ in range(2)] == [b"x", b"x"]


async def test_writers_that_wait_for_the_handshake_of_a_reader(certs: Certificates):
    gate: gopark.Chan[None] = gopark.Chan()

    class Held(Plain):
        """Gives nothing before the gate is open."""

        async def _read(self, n: int) -> bytes:
            await gate.recv()
            return bytes(await self.inner.read(n))

    a, b = map(Held, ends())
    client, server = tls.client(a, certs.client(), "localhost"), tls.server(b, certs.server())
    async with client, server:
        got: gopark.Chan[Any] = gopark.Chan()

        async def reader(conn: tls.Conn) -> None:
            await got.send(await conn.read())

        for conn in (client, server):
            gopark.go(reader, conn)
        await wait_all_parked()
        for conn in (client, server):
            gopark.go(conn.write, b"x")
        await wait_all_parked()
        gate.close()
        assert [await got.recv() for _ in range(2)] == [b"x", b"x"]


async def test_an_untrusted_certificate(anypair: Pair):
    a, b = anypair(client=ssl.create_default_context())
    async with a, b:
        mine, theirs = await both(a, b)
        assert type(mine) is ssl.SSLCertVerificationError
        assert "self-signed certificate" in str(mine)
        assert isinstance(theirs, ssl.SSLError)
        assert "the other side does not trust the certificate of this one" in notes(theirs)
        for use in (a.handshake, a.read, a.close_write):
            again = await result(use)
            assert type(again) is ssl.SSLCertVerificationError
            assert again is not mine
            assert again.verify_code == mine.verify_code
        assert type(await result(a.write, b"x")) is ssl.SSLCertVerificationError


async def test_a_certificate_for_another_name(anypair: Pair):
    a, b = anypair(server_hostname="elsewhere.example")
    async with a, b:
        mine, _ = await both(a, b)
        assert type(mine) is ssl.SSLCertVerificationError
        assert "elsewhere.example" in str(mine)


async def test_a_server_without_a_certificate(pair: Pair):
    a, b = pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    async with a, b:
        mine, theirs = await both(a, b)
        assert isinstance(mine, ssl.SSLError)
        assert isinstance(theirs, ssl.SSLError)
        assert "load_cert_chain" in notes(theirs)


async def test_a_client_that_should_have_a_certificate(pair: Pair, certs: Certificates):
    server = certs.server()
    server.verify_mode = ssl.CERT_REQUIRED
    a, b = pair(server)
    async with a, b:
        mine, theirs = await both(a, b)
        assert "the context asks clients for a certificate" in notes(theirs)
        assert mine is None  # with TLS 1.3 it has been accepted by then, as far as it knows
        told = await result(a.read)
        assert isinstance(told, ssl.SSLError)
        assert told.reason is not None
        assert "CERTIFICATE_REQUIRED" in told.reason


async def test_a_client_with_a_certificate(anypair: Pair, certs: Certificates):
    server, client = certs.server(), certs.client()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certs.other_cert)
    client.load_cert_chain(certs.other_cert, certs.other_key)
    a, b = anypair(server, client)
    async with a, b:
        assert await both(a, b) == (None, None)
        names = b.connection_state().peer_names
        assert names is not None
        assert names["subjectAltName"] == (("DNS", "other.example"),)


async def test_no_version_in_common(anypair: Pair, certs: Certificates):
    server, client = certs.server(), certs.client()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    a, b = anypair(server, client)
    async with a, b:
        for exc in await both(a, b):
            assert isinstance(exc, ssl.SSLError)
            assert "no version of TLS in common" in notes(exc)


async def test_the_name_that_is_asked_for_chooses_the_certificate(pair: Pair, certs: Certificates):
    server, other = certs.server(), certs.server(other=True)
    asked = []

    def choose(obj: Any, name: str | None, _: ssl.SSLContext) -> None:
        asked.append(name)
        if name == "other.example":
            obj.context = other

    server.sni_callback = choose  # type: ignore[assignment]
    for name in ("other.example", "localhost"):
        a, b = pair(server, server_hostname=name)
        async with a, b:
            assert await both(a, b) == (None, None)
    assert asked == ["other.example", "localhost"]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_session_is_gone_on_with(pair: Pair, certs: Certificates, version: str):
    server, client = certs.server(), certs.client()
    client.maximum_version = ssl.TLSVersion[version]
    session = None
    for resumed in (False, True):
        a, b = pair(server, client, session=session)
        async with a, b:
            assert await both(a, b) == (None, None)
            await b.write(b"x")
            await a.read()  # brings the ticket with TLS 1.3
            session = a.session
            assert session is not None
            assert a.connection_state().resumed is resumed
            assert b.connection_state().resumed is resumed


async def test_a_session_of_another_context(pair: Pair, certs: Certificates):
    a, b = pair()
    async with a, b:
        assert await both(a, b) == (None, None)
        await b.write(b"x")
        await a.read()
        with pytest.raises(ValueError, match="different SSLContext"):
            pair(session=a.session)


# --- what is not TLS ----------------------------------------------------------------------------


async def test_plain_http_to_a_tls_port(certs: Certificates):
    a, b = ends()
    conn = tls.server(b, certs.server())
    with a, conn:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await a.write(request)
        with pytest.raises(tls.RecordHeaderError, match="a plain HTTP request came") as caught:
            await conn.read()
        assert caught.value.data == request
        assert isinstance(caught.value, ssl.SSLError)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (str(copy), copy.data) == (str(caught.value), request)
        # It can be answered in its own language, with nothing before that.
        await conn.net_conn.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        assert await a.read() == b"HTTP/1.0 400 Bad Request\r\n\r\n"
        with pytest.raises(tls.RecordHeaderError):
            await conn.handshake()


async def test_tls_to_a_plain_http_port(certs: Certificates):
    a, b = ends()
    conn = tls.client(a, certs.client(), "localhost")
    with b, conn:
        await b.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(tls.RecordHeaderError, match="plain HTTP on this port, not TLS"):
            await conn.handshake()


@pytest.mark.parametrize("data", [b"\x00", b"SSH-2.0-x\r\n", b"\x16\x02\x00", b"\xff" * 50])
async def test_garbage_comes_first(certs: Certificates, data: bytes):
    for side in ("client", "server"):
        a, b = ends()
        conn = (
            tls.server(b, certs.server())
            if side == "server"
            else tls.client(b, certs.client(), "localhost")
        )
        with a, conn:
            await a.write(data)
            with pytest.raises(tls.RecordHeaderError, match="do not look like TLS"):
                await conn.handshake()


async def test_garbage_that_looks_like_tls(certs: Certificates):
    a, b = ends()
    conn = tls.server(b, certs.server())
    with a, conn:
        await a.write(b"\x16\x03\x01\x00\x10" + b"\x00" * 16)
        with pytest.raises(ssl.SSLError):
            await conn.handshake()
        assert (await a.read())[:1] == b"\x15"  # it was told so: an alert


# --- who ends it --------------------------------------------------------------------------------


async def test_the_other_side_goes(certs: Certificates):
    a, b = ends()
    conn = tls.client(a, certs.client(), "localhost")
    b.close()
    with conn:
        # It may have gone before anything could be sent to it.
        exc = await result(conn.handshake)
        assert isinstance(exc, tls.TruncatedError | BrokenPipeError)
    a, b = ends()
    conn = tls.server(b, certs.server())
    a.close()
    with conn:
        for _ in range(2):
            with pytest.raises(tls.TruncatedError, match=r"handshake .* has closed the connection"):
                await conn.handshake()


async def test_the_other_side_resets(certs: Certificates):
    with net.listen("tcp", "127.0.0.1:0") as ln:
        a = socket.create_connection(("127.0.0.1", ln.addr.port))
        conn = tls.server(await ln.accept(), certs.server())
        a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        a.close()
        with conn, pytest.raises(ConnectionResetError):
            await conn.handshake()


async def test_its_context_is_cancelled(anypair: Pair):
    a, b = anypair()
    with b, context.with_cancel(context.background()) as ctx:
        done: gopark.Chan[Any] = gopark.Chan()

        async def shake() -> None:
            await done.send(await result(a.handshake, ctx))

        gopark.go(shake)
        gopark.go(shake)  # which waits for the first
        await wait_all_parked()
        ctx.cancel()
        assert isinstance(await done.recv(), context.Canceled)
        assert isinstance(await done.recv(), context.Canceled)
        assert isinstance(await result(a.read), net.ClosedError)
        a.close()


async def test_its_context_has_ended_before(pair: Pair):
    a, b = pair()
    async with a, b, context.with_timeout(context.background(), -1) as ctx:
        assert isinstance(await result(a.handshake, ctx), context.DeadlineExceeded)


async def test_its_context_ends_after_it(pair: Pair):
    a, b = pair()
    async with a, b, context.with_cancel(context.background()) as ctx:
        gopark.go(b.handshake)
        await a.handshake(ctx)
        ctx.cancel()
        await wait_all_parked()
        await a.handshake(ctx)  # there was one, so there is nothing to be ended
        await a.write(b"x")
        assert await b.read() == b"x"


async def test_what_is_no_context(pair: Pair):
    a, b = pair()
    with a, b, pytest.raises(TypeError, match="context"):
        await a.handshake(5)  # type: ignore[arg-type]


async def test_it_goes_on_after_a_read_deadline(pair: Pair):
    a, b = pair()
    async with a, b:
        a.set_read_deadline(monotonic() - 1)
        assert type(await result(a.handshake)) is TimeoutError
        assert type(await result(a.read)) is TimeoutError
        a.set_read_deadline(None)
        gopark.go(b.write, b"hello")
        assert await a.read() == b"hello"


async def test_a_write_deadline_is_its_end(pair: Pair):
    a, b = pair()
    async with a, b:
        a.set_write_deadline(monotonic() - 1)
        assert type(await result(a.handshake)) is TimeoutError
        a.set_write_deadline(None)
        exc = await result(a.handshake)
        assert type(exc) is TimeoutError
        assert "broken" in str(exc)


async def test_it_is_closed_meanwhile(anypair: Pair):
    for underneath in (False, True):
        a, b = anypair()
        done: gopark.Chan[Any] = gopark.Chan()

        async def shake(conn: tls.Conn = a, done: gopark.Chan[Any] = done) -> None:
            await done.send(await result(conn.handshake))

        with b:
            gopark.go(shake)
            await wait_all_parked()
            (a.net_conn if underneath else a).close()
            assert isinstance(await done.recv(), net.ClosedError)
            a.close()
            assert isinstance(await result(a.handshake), net.ClosedError)
