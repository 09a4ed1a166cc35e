"""With others at the other end: the openssl command, curl, and Python's own sockets of `ssl`."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from typing import Any

import pytest

import gopark
from commands import Command, free_port
from commands import command as command
from gopark import net, tls
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from harness import TIMEOUT
from tlsends import Certificates, Plain

pytestmark = pytest.mark.outside_help


async def accepting(command: Any, certs: Certificates, *args: str) -> tuple[Command, str]:
    """An `openssl s_server` that takes connections, and its address."""
    port = free_port()
    files = ["-cert", certs.cert, "-key", certs.key]
    server = command("openssl", "s_server", "-accept", f"127.0.0.1:{port}", *files, *args)
    await server.saw(b"ACCEPT")
    return server, f"localhost:{port}"


async def dialed(address: str, context: ssl.SSLContext) -> tls.Conn:
    host, port = net.split_host_port(address)
    return await tls.dial("tcp", f"127.0.0.1:{port}", context, host)


# --- openssl --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_as_the_client(command: Any, certs: Certificates, version: str):
    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        client = command(
            *("openssl", "s_client", "-connect", ln.addr, "-CAfile", certs.cert, version),
            *("-verify_return_error", "-servername", "localhost", "-crlf"),
        )
        async with await ln.accept() as conn:
            client.say(b"hello\n")
            assert await conn.read_until() == b"hello\r\n"
            await conn.write(b"and hello to you\n")
            await client.saw(b"and hello to you")
            client.say(b"Q\n")
            assert await conn.read() == b""


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_as_the_server(command: Any, certs: Certificates, version: str):
    server, address = await accepting(command, certs, version, "-alpn", "gopark")
    context = certs.client()
    context.set_alpn_protocols(["gopark"])
    async with await dialed(address, context) as conn:
        assert conn.connection_state().alpn == "gopark"
        await conn.write(b"hello\n")
        await server.saw(b"hello")
        server.say(b"and hello to you\n")
        assert await conn.read_until() == b"and hello to you\n"
        server.say(b"Q\n")  # it goes without close_notify, as many do
        with pytest.raises(tls.TruncatedError):
            await conn.read()


class Noted(Plain):
    """Tells what is written."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.written: gopark.Chan[bytes] = gopark.Chan(100)

    async def write(self, data: Any) -> int:
        await self.written.send(bytes(data))
        return int(await self.inner.write(data))


async def test_a_key_update_is_answered_while_one_reads(command: Any, certs: Certificates):
    with net.listen("tcp", "127.0.0.1:0") as ln:
        files = ["-CAfile", certs.cert, "-servername", "localhost", "-tls1_3"]
        client = command("openssl", "s_client", "-connect", ln.addr, *files)
        under = Noted(await ln.accept())
        async with tls.server(under, certs.server()) as conn:
            await conn.handshake()
            reading: gopark.Chan[bytes] = gopark.Chan()

            async def read() -> None:
                while line := await conn.read_until():
                    await reading.send(line)

            gopark.go(read)
            answers = 0
            while answers < 2:  # OpenSSL answers some with the next write alone
                client.say(b"before\n")
                assert await reading.recv() == b"before\n"
                await wait_all_parked()
                while under.written.try_recv()[1]:
                    pass
                client.say(b"K\n")
                await client.saw(b"KEYUPDATE")
                client.say(b"after\n")
                assert await reading.recv() == b"after\n"
                await wait_all_parked()
                answers += under.written.try_recv()[1]
            await conn.write(b"yes\n")
            await client.saw(b"yes")
            client.say(b"Q\n")


async def test_a_new_handshake_amid_a_connection(command: Any, certs: Certificates):
    """TLS 1.2: asked for by the server, while one reads and another writes."""
    server, address = await accepting(command, certs, "-tls1_2")
    async with await dialed(address, certs.client()) as conn:
        reading: gopark.Chan[bytes] = gopark.Chan(10)

        async def read() -> None:
            while line := await conn.read_until():
                await reading.send(line)

        gopark.go(read)
        await conn.write(b"before\n")
        await server.saw(b"before")
        for i in range(3):
            server.say(b"r\n")
            for j in range(20):
                await conn.write(b"line %d %d\n" % (i, j))
            for j in range(20):
                await server.saw(b"line %d %d" % (i, j))
            server.say(b"answer %d\n" % i)
            assert await reading.recv() == b"answer %d\n" % i


class Gate:
    """A relay to an address, that keeps back what comes from there after so many chunks."""

    def __init__(self, ln: net.Listener, to: str) -> None:
        self.ln = ln
        self.to = to
        self.left = -1  # no end of them
        self.kept: gopark.Chan[None] = gopark.Chan(100)
        self.opened: gopark.Chan[None] = gopark.Chan()

    async def serve(self) -> None:
        async with await self.ln.accept() as near, await net.dial("tcp", self.to) as far:
            gopark.go(self.copy, near, far, False)
            await self.copy(far, near, True)

    async def copy(self, source: net.Conn, target: net.Conn, gated: bool) -> None:
        try:
            while data := await source.read():
                if gated and self.left == 0:
                    await self.kept.send(None)
                    await self.opened.recv()
                self.left -= gated
                await target.write(data)
        except OSError:
            pass


async def test_a_write_that_needs_the_other_side_reads_by_itself(command: Any, certs: Certificates):
    """A new handshake has begun by the time that nobody reads any more."""
    server, address = await accepting(command, certs, "-tls1_2")
    with net.listen("tcp", "127.0.0.1:0") as ln:
        gate = Gate(ln, f"127.0.0.1:{net.split_host_port(address)[1]}")
        gopark.go(gate.serve)
        async with await tls.dial("tcp", str(ln.addr), certs.client(), "localhost") as conn:
            ended: gopark.Chan[Any] = gopark.Chan()

            async def read() -> None:
                try:
                    await conn.read()
                except TimeoutError as exc:
                    await ended.send(exc)

            gopark.go(read)
            await conn.write(b"before\n")
            await server.saw(b"before")
            await wait_all_parked()
            gate.left = 1  # the request comes through; what comes after its answer does not
            server.say(b"r\n")
            await gate.kept.recv()
            conn.set_read_deadline(monotonic())
            assert isinstance(await ended.recv(), TimeoutError)
            conn.set_read_deadline(None)

            async def write() -> None:
                await ended.send(await conn.write(b"after it\n"))

            gopark.go(write)
            await wait_all_parked()
            gate.left = -1
            gate.opened.close()
            assert await ended.recv() == 9
            await server.saw(b"after it")
            server.say(b"fine\n")
            assert await conn.read() == b"fine\n"


# --- curl -----------------------------------------------------------------------------------


async def test_curl_as_the_client(certs: Certificates):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:

        async def serve() -> None:
            async for conn in ln:
                async with conn:
                    while await conn.read_until(b"\r\n") != b"\r\n":
                        pass
                    body = b"x" * 100_000
                    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                    await conn.write(head + body)

        gopark.go(serve)
        done: gopark.Chan[Any] = gopark.Chan()

        def curl() -> None:
            url = f"https://localhost:{ln.addr.port}/"
            command = ["curl", "-sS", "-4", "--noproxy", "*", "--cacert", str(certs.cert), url]
            gopark.block(done.send(subprocess.run(command, capture_output=True, timeout=TIMEOUT)))

        gopark.go(curl)
        ended = await done.recv()
        assert (ended.stderr, ended.returncode) == (b"", 0)
        assert ended.stdout == b"x" * 100_000


# --- Python's own ---------------------------------------------------------------------------


async def test_pythons_own_client(certs: Certificates):
    done: gopark.Chan[Any] = gopark.Chan(1)

    def client(port: int) -> None:
        try:
            with (
                socket.create_connection(("127.0.0.1", port)) as sock,
                certs.client().wrap_socket(sock, server_hostname="localhost") as conn,
            ):
                conn.sendall(b"y" * 300_000)
                got = 0
                while got < 300_000:
                    got += len(conn.recv(65536))
                conn.unwrap()  # waits for close_notify from the other side
                done.try_send(got)
        except BaseException as exc:
            done.try_send(exc)

    with tls.listen("tcp", "127.0.0.1:0", certs.server()) as ln:
        threading.Thread(target=client, args=(ln.addr.port,), daemon=True).start()
        async with await ln.accept() as conn:
            data = await conn.read_full(300_000)
            await conn.write(data)
            assert await conn.read() == b""
        assert await done.recv() == 300_000


async def test_pythons_own_server(certs: Certificates):
    done: gopark.Chan[Any] = gopark.Chan(1)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def server() -> None:
            try:
                sock, _ = listening.accept()
                with certs.server().wrap_socket(sock, server_side=True) as conn:
                    while data := conn.recv(65536):
                        conn.sendall(data)
                    done.try_send("ended well")
            except BaseException as exc:
                done.try_send(exc)

        threading.Thread(target=server, daemon=True).start()
        port = listening.getsockname()[1]
        async with await tls.dial("tcp", f"localhost:{port}", certs.client()) as conn:
            await conn.write(b"z" * 50_000)
            assert await conn.read_full(50_000) == b"z" * 50_000
            await conn.close_write()
            assert await done.recv() == "ended well"
