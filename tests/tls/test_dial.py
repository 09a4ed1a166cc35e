"""`client`, `server`, `dial`, `listen`: what they take, and what they say of what they do not."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

import gopark
from gopark import context, net, tls
from gopark.testing import wait_all_parked
from tlsends import Certificates, ends


async def echo(ln: tls.Listener) -> None:
    async def one(conn: tls.Conn) -> None:
        with conn:
            try:
                while data := await conn.read():
                    await conn.write(data)
            except (OSError, EOFError):
                pass

    async for conn in ln:
        gopark.go(one, conn)


async def test_dial_and_listen(certs: Certificates):
    async with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        gopark.go(echo, ln)
        for address in (f"127.0.0.1:{ln.addr.port}", f"localhost:{ln.addr.port}"):
            async with await tls.dial("tcp", address, certs.client()) as conn:
                assert conn.connection_state().handshake_complete
                assert conn.connection_state().server_hostname == address.partition(":")[0]
                await conn.write(b"hello")
                assert await conn.read() == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await tls.dial("tcp", str(ln.addr), certs.client(), "elsewhere.example")
        with pytest.raises(ssl.SSLCertVerificationError):
            await tls.dial("tcp", str(ln.addr))  # the system does not trust it


async def test_a_slow_client_keeps_nobody_else_waiting(certs: Certificates):
    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        gopark.go(echo, ln)
        with socket.create_connection(("127.0.0.1", ln.addr.port)):  # and says nothing
            async with await tls.dial("tcp", str(ln.addr), certs.client()) as conn:
                await conn.write(b"hello")
                assert await conn.read() == b"hello"


async def test_a_channel_of_connections_and_one_of_chunks(certs: Certificates):
    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        conns = ln.conns()

        async def dial() -> None:
            async with await tls.dial("tcp", str(ln.addr), certs.client()) as conn:
                await conn.write(b"hello")
                await conn.read()

        gopark.go(dial)
        _, conn, ok = await gopark.select(gopark.recv(conns))
        assert ok
        async with conn:
            _, data, _ = await gopark.select(gopark.recv(conn.chunks()))
            assert data == b"hello"
        assert [chunk async for chunk in conn.chunks()] == []
        ln.close()
        assert [conn async for conn in conns] == []
        assert conns.err() is None


async def test_datagrams(certs: Certificates):
    with pytest.raises(ValueError, match="TLS needs a stream"):
        await tls.dial("udp", "127.0.0.1:9", certs.client())
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        with pytest.raises(TypeError, match="has datagrams"):
            tls.client(conn, certs.client(), "localhost")
        with pytest.raises(TypeError, match="has datagrams"):
            tls.server(conn, certs.server())


async def test_dial_ends_with_its_context(certs: Certificates):
    with net.listen("tcp", "127.0.0.1:0") as ln, context.with_cancel(context.background()) as ctx:
        done: gopark.Chan[Any] = gopark.Chan()

        async def dial() -> None:
            try:
                await tls.dial("tcp", str(ln.addr), certs.client(), ctx=ctx)
            except Exception as exc:
                await done.send(exc)

        gopark.go(dial)
        peer = await ln.accept()
        assert (await peer.read())[:1] == b"\x16"
        await wait_all_parked()
        ctx.cancel()
        assert isinstance(await done.recv(), context.Canceled)
        with peer:
            assert await peer.read() == b""  # it was closed


async def test_the_listener(certs: Certificates):
    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        assert ln.addr.port > 0
        ln.set_deadline(0)
        with pytest.raises(TimeoutError):
            await ln.accept()
        ln.set_deadline(None)
    ln.close()
    with pytest.raises(net.ClosedError):
        await ln.accept()
    assert [conn async for conn in ln] == []
    assert "closed" in repr(ln)


def test_what_is_no_context(certs: Certificates):
    a, b = ends()
    with a, b:
        for wrong in (None, "cert.pem", ssl.SSLContext):
            with pytest.raises(TypeError, match=r"client\(\) needs an ssl.SSLContext, like"):
                tls.client(a, wrong, "localhost")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"server\(\) needs an ssl.SSLContext, like"):
                tls.server(a, wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"listen\(\) needs an ssl.SSLContext, like"):
                tls.listen("tcp", "127.0.0.1:0", wrong)  # type: ignore[arg-type]


def test_a_context_for_the_other_side(certs: Certificates):
    a, b = ends()
    with a, b:
        with pytest.raises(ValueError, match="is for a server: make one with PROTOCOL_TLS_CLIENT"):
            tls.client(a, certs.server(), "localhost")
        with pytest.raises(ValueError, match="is for a client: make one with PROTOCOL_TLS_SERVER"):
            tls.server(a, certs.client())
        with pytest.raises(ValueError, match="is for a client"):
            tls.listen("tcp", "127.0.0.1:0", certs.client())


def test_the_name_of_the_server_is_missing(certs: Certificates):
    a, b = ends()
    with a, b:
        for name in (None, ""):
            with pytest.raises(ValueError, match=r"give server_hostname='...', or set"):
                tls.client(a, certs.client(), name)
        with pytest.raises(TypeError, match="string as server_hostname"):
            tls.client(a, certs.client(), b"localhost")  # type: ignore[arg-type]
        unchecked = certs.client()
        unchecked.check_hostname = False
        tls.client(a, unchecked)


def test_what_is_no_connection(certs: Certificates):
    with socket.socket() as sock:
        with pytest.raises(TypeError, match=r"needs a gopark.net.Conn, got .*from_socket"):
            tls.server(sock, certs.server())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"needs a gopark.net.Conn"):
            tls.client(None, certs.client(), "localhost")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"needs a gopark.net.Listener"):
            tls.Listener(sock, certs.server())  # type: ignore[arg-type]
