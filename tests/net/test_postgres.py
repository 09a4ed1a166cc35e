"""PostgreSQL at the other end: its wire over gopark.net and tls, and a client that blocks."""

from __future__ import annotations

import shutil
import ssl
import struct

import pytest

import gopark
from commands import free_port
from gopark import net, tls
from gopark.testing import wait_all_parked
from netpeers import outcome
from pgserver import missing, postgres
from tlsends import made

pytestmark = pytest.mark.outside_help


@pytest.fixture(scope="module")
def server():
    """A server of our own, which trusts everybody: its port, and the certificate it shows."""
    if missing():
        pytest.skip("PostgreSQL is not installed")
    port, certs = free_port(), []

    def secured(folder, who):
        if not shutil.which("openssl"):
            return []
        cert, key = made(folder, "localhost", ",IP:127.0.0.1")
        key.chmod(0o600)
        if who:
            shutil.chown(key, "postgres", "postgres")
        certs.append(cert)
        return ["ssl=on", f"ssl_cert_file={cert}", f"ssl_key_file={key}"]

    with postgres(port, secured):
        yield port, certs[0] if certs else None


class Postgres:
    """Its protocol over a connection, as much as a simple query needs."""

    def __init__(self, conn):
        self.conn = conn

    async def begin(self):
        """Until it is ready."""
        text = b"user\0postgres\0database\0postgres\0\0"
        await self.conn.write(struct.pack("!II", 8 + len(text), 3 << 16) + text)
        return await self.until_ready()

    async def message(self):
        kind, size = struct.unpack("!cI", await self.conn.read_full(5))
        return kind, await self.conn.read_full(size - 4) if size > 4 else b""

    async def until_ready(self):
        seen = []
        while True:
            kind, body = await self.message()
            if kind == b"Z":
                return seen
            seen.append((kind, body))

    async def send(self, text):
        await self.conn.write(struct.pack("!cI", b"Q", len(text) + 5) + text.encode() + b"\0")

    async def query(self, text):
        """The values of one column."""
        await self.send(text)
        values = []
        for kind, body in await self.until_ready():
            if kind == b"E":
                raise RuntimeError(body)
            if kind == b"D":
                count, size = struct.unpack("!HI", body[:6])
                assert (count, size) == (1, len(body) - 6)
                values.append(body[6:])
        return values


async def connected(port):
    one = Postgres(await net.dial("tcp", f"127.0.0.1:{port}"))
    await one.begin()
    return one


async def test_queries_and_their_errors(server):
    one = await connected(server[0])
    with one.conn:
        assert await one.query("select n from generate_series(1, 1000) n") == [
            str(n).encode() for n in range(1, 1001)
        ]
        assert await one.query("select repeat('x', 3000000)") == [b"x" * 3_000_000]
        with pytest.raises(RuntimeError, match="syntax error"):
            await one.query("no sql")
        assert await one.query("select 'and it goes on'") == [b"and it goes on"]
        await one.conn.write(b"X\0\0\0\4")
        assert await one.conn.read() == b""


async def test_a_notification_comes_while_one_waits(server):
    waits, tells = await connected(server[0]), await connected(server[0])
    with waits.conn, tells.conn:
        await waits.query("listen news")
        got = gopark.Chan()
        gopark.go(outcome, waits.message(), got)
        await wait_all_parked()
        await tells.query("notify news, 'first'")
        kind, body = await got.recv()
        assert (kind, body[4:]) == (b"A", b"news\0first\0")


async def test_a_session_that_others_end(server):
    one, other = await connected(server[0]), await connected(server[0])
    with one.conn, other.conn:
        (pid,) = await one.query("select pg_backend_pid()")
        got = gopark.Chan()
        gopark.go(outcome, one.query("select pg_sleep(1000)"), got)
        await wait_all_parked()
        await other.query(f"select pg_terminate_backend({pid.decode()})")
        error = await got.recv()  # what it said before it went, or that it went
        assert isinstance(error, (RuntimeError, struct.error, OSError)), error


async def test_tls_begins_amid_a_connection(server):
    """The server says on the plain connection whether it will; then comes the handshake."""
    port, cert = server
    if cert is None:
        pytest.skip("the openssl command is not installed")
    (await connected(port)).conn.close()
    conn = await net.dial("tcp", f"127.0.0.1:{port}")
    await conn.write(struct.pack("!II", 8, (1234 << 16) + 5679))
    assert await conn.read_full(1) == b"S"
    async with tls.client(conn, ssl.create_default_context(cafile=cert), "localhost") as secure:
        one = Postgres(secure)
        await one.begin()
        assert await one.query(
            "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()"
        ) == [b"true"]
        assert await one.query("select repeat('y', 500000)") == [b"y" * 500_000]


async def test_a_client_that_blocks_in_goroutines(server):
    """pg8000 from PyPI, pure Python on sockets that block."""
    module = pytest.importorskip("pg8000.native", reason="the pg8000 client is not installed")
    one = await connected(server[0])
    with one.conn:
        await one.query("create table if not exists jobs (who int, n int)")
        await one.query("truncate jobs")
        done = gopark.Chan()

        def work(who):
            db = module.Connection("postgres", host="127.0.0.1", port=server[0])
            for n in range(20):
                db.run("insert into jobs values (:who, :n)", who=who, n=n)
            db.run("select pg_sleep(0.05)")
            db.close()
            gopark.block(done.send(who))

        for who in range(8):
            gopark.go(work, who)
        assert sorted([await done.recv() for _ in range(8)]) == list(range(8))
        assert await one.query("select count(distinct (who, n)) from jobs") == [b"160"]
