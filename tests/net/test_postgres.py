"""PostgreSQL at the other end: its wire over gopark.net and tls, and a client that blocks."""

from __future__ import annotations

import glob
import os
import pathlib
import pwd
import shutil
import ssl
import struct
import subprocess
import tempfile

import pytest

import gopark
from commands import free_port
from gopark import net, tls
from gopark.testing import wait_all_parked
from harness import TIMEOUT
from netpeers import outcome
from tlsends import made

pytestmark = pytest.mark.outside_help


def tool(name):
    found = shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), ""
    )
    if not found:
        pytest.skip("PostgreSQL is not installed")
    return found


@pytest.fixture(scope="module")
def server():
    """A server of our own, which trusts everybody: its port, and the certificate it shows."""
    initdb, postgres = tool("initdb"), tool("postgres")
    who = {}
    if os.getuid() == 0:  # it refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL is not installed")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        if who:
            os.chmod(folder, 0o755)
            os.mkdir(data)
            shutil.chown(data, "postgres", "postgres")
        quiet = {"check": True, "capture_output": True, "cwd": "/", "timeout": TIMEOUT, **who}
        command = [initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]
        subprocess.run(command, **quiet)
        options = ["fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}"]
        cert = None
        if shutil.which("openssl"):
            cert, key = made(pathlib.Path(folder), "localhost", ",IP:127.0.0.1")
            key.chmod(0o600)
            if who:
                shutil.chown(key, "postgres", "postgres")
            options += ["ssl=on", f"ssl_cert_file={cert}", f"ssl_key_file={key}"]
        args = [x for option in options for x in ("-c", option)]
        child = subprocess.Popen(
            [postgres, "-D", data, "-p", str(port), *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **who,
        )
        try:
            yield port, cert
        finally:
            child.terminate()  # its smart shutdown waits for those who are connected
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Postgres:
    """Its protocol over a connection, as much as a simple query needs."""

    def __init__(self, conn):
        self.conn = conn

    async def begin(self):
        """Until it is ready; OSError if the server is not there yet."""
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
            if kind == b"E" and b"57P03" in body:  # it is starting up, and hangs up
                raise ConnectionRefusedError

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


async def dialed(port):
    while True:
        try:
            return await net.dial("tcp", f"127.0.0.1:{port}")
        except ConnectionRefusedError:
            await gopark.time.sleep(0.02)


async def connected(port):
    while True:
        one = Postgres(await dialed(port))
        try:
            await one.begin()
            return one
        except ConnectionRefusedError:
            one.conn.close()
            await gopark.time.sleep(0.02)


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
    conn = await dialed(port)
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
