"""With others at the other end: socat, curl, Redis, over gopark.net and from blocking clients."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

import gopark
from commands import command as command
from commands import free_port
from gopark import net
from gopark.runtime import num_goroutine
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from harness import TIMEOUT
from netpeers import outcome

pytestmark = pytest.mark.outside_help

BIG = bytes(range(256)) * 8000


def program(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


async def dialed(network, address):
    """As soon as somebody listens there."""
    while True:
        try:
            return await net.dial(network, address)
        except (ConnectionRefusedError, FileNotFoundError):
            await gopark.time.sleep(0.01)


async def echo(ln):
    async for conn in ln:
        gopark.go(echo_one, conn)


async def echo_one(conn):
    with conn:
        while data := await conn.read():
            await conn.write(data)


async def ran(*args, **kwargs):
    """A command, run by a plain goroutine."""
    done = gopark.Chan()

    def run():
        gopark.block(
            done.send(subprocess.run(args, capture_output=True, timeout=TIMEOUT, **kwargs))
        )

    gopark.go(run)
    return await done.recv()


# --- socat --------------------------------------------------------------------------------------


@pytest.fixture
def socat():
    return program("socat")


@pytest.mark.parametrize("network", ["tcp", "unix"])
async def test_socat_as_the_client_gets_all_back_and_the_end(socat, network, tmp_path):
    address = "127.0.0.1:0" if network == "tcp" else str(tmp_path / "s")
    with net.listen(network, address) as ln:
        gopark.go(echo, ln)
        to = f"TCP:{ln.addr}" if network == "tcp" else f"UNIX-CONNECT:{address}"
        ended = await ran(socat, "-t", str(TIMEOUT), "-", to, input=BIG)
        assert (ended.stderr, ended.returncode) == (b"", 0)
        assert ended.stdout == BIG


@pytest.mark.parametrize("network", ["tcp", "unix"])
async def test_socat_as_the_server_sees_the_half_close(socat, network, command, tmp_path):
    if network == "tcp":
        port = free_port()
        listen, address = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr", f"127.0.0.1:{port}"
    else:
        address = str(tmp_path / "s")
        listen = f"UNIX-LISTEN:{address}"
    command(socat, "-t", TIMEOUT, listen, "EXEC:wc -c")  # which says so once it has seen the end
    with await dialed(network, address) as conn:
        await conn.write(BIG)
        conn.close_write()
        assert int(await conn.read_until(b"\n")) == len(BIG)
        assert await conn.read() == b""


async def test_through_a_relay_in_both_directions_at_once(socat, command, tmp_path):
    port = free_port()
    with net.listen("unix", str(tmp_path / "s")) as ln:
        gopark.go(echo, ln)
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
        command(socat, listen, f"UNIX-CONNECT:{tmp_path / 's'}")
        got = gopark.Chan()

        async def one(n):
            with await dialed("tcp", f"127.0.0.1:{port}") as conn:
                gopark.go(conn.write, BIG)
                await got.send((n, await conn.read_full(len(BIG)) == BIG))

        for n in range(4):
            gopark.go(one, n)
        assert sorted([await got.recv() for _ in range(4)]) == [(n, True) for n in range(4)]


async def test_socat_that_resets_as_it_is_killed(socat, command):
    with net.listen("tcp", "127.0.0.1:0") as ln:
        client = command(socat, "-u", "-", f"TCP:{ln.addr},so-linger=0")
        with await ln.accept() as conn:
            got = gopark.Chan()
            gopark.go(outcome, conn.read(), got)
            await wait_all_parked()
            client.child.kill()
            assert isinstance(await got.recv(), ConnectionResetError)


async def test_datagrams_to_socat_and_back(socat, command, tmp_path):
    port = free_port()
    command(socat, f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork", "EXEC:cat")
    with await net.dial("udp", f"127.0.0.1:{port}") as conn:
        for data in (b"one", b"two", b"x" * 1400):
            while True:  # nobody may listen yet, and nobody promises that a datagram comes
                conn.set_read_deadline(monotonic() + 0.5)
                try:
                    await conn.write(data)
                    if await conn.read() == data:
                        break
                except (TimeoutError, ConnectionRefusedError):
                    pass


# --- curl ---------------------------------------------------------------------------------------


async def test_curl_over_a_unix_socket_sends_much_and_uses_the_connection_again(tmp_path):
    curl = program("curl")
    (tmp_path / "big").write_bytes(BIG)
    served = []

    async def serve(conn):
        served.append(conn)
        with conn:
            while head := await conn.read_until(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                if b"100-continue" in head:
                    await conn.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await conn.read_full(length)
                await conn.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                await conn.write(body)

    with net.listen("unix", str(tmp_path / "s")) as ln:

        async def accept():
            async for conn in ln:
                gopark.go(serve, conn)

        gopark.go(accept)
        to = [curl, "-sS", "--noproxy", "*", "--unix-socket", str(tmp_path / "s")]
        one = ["-T", str(tmp_path / "big"), "http://here/"]
        ended = await ran(*to, *one, *one, *one)
        assert (ended.stderr, ended.returncode) == (b"", 0)
        assert ended.stdout == BIG * 3
        assert len(served) == 1


# --- Redis --------------------------------------------------------------------------------------


@pytest.fixture
def redis_port(command, tmp_path):
    """A server with nothing in it."""
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": tmp_path}
    args = itertools.chain.from_iterable((f"--{k}", v) for k, v in options.items())
    command(program("redis-server"), *args)
    return port


class Redis:
    """Its protocol over a connection, as anybody would write it."""

    def __init__(self, conn):
        self.conn = conn

    async def send(self, *args):
        parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        pieces = [b"*%d\r\n" % len(parts)]
        pieces += [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts]
        await self.conn.write(b"".join(pieces))

    async def answer(self):
        line = await self.conn.read_until(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b"$":
            return (await self.conn.read_full(n + 2))[:-2]
        return [await self.answer() for _ in range(n)]

    async def ask(self, *args):
        await self.send(*args)
        return await self.answer()


async def redis(port):
    return Redis(await dialed("tcp", f"127.0.0.1:{port}"))


async def test_redis_a_dialogue(redis_port):
    one = await redis(redis_port)
    with one.conn:
        assert await one.ask("PING") == b"PONG"
        assert await one.ask("SET", "k", b"\r\n\0" + BIG) == b"OK"
        assert await one.ask("GET", "k") == b"\r\n\0" + BIG
        assert await one.ask("GET", "none") is None
        assert "unknown command" in str(await one.ask("NOSUCH"))
        await one.ask("RPUSH", "l", *range(100))
        assert await one.ask("LRANGE", "l", 0, -1) == [str(n).encode() for n in range(100)]
        assert await one.ask("QUIT") == b"OK"
        assert await one.conn.read() == b""


async def test_redis_a_pipeline_is_written_and_read_at_once(redis_port):
    one = await redis(redis_port)
    with one.conn:

        async def write():
            for n in range(5000):
                await one.send("SET", n, n)
                await one.send("GET", n)

        gopark.go(write)
        for n in range(5000):
            assert (await one.answer(), await one.answer()) == (b"OK", str(n).encode())


async def test_redis_many_connections_and_one_counter(redis_port):
    done = gopark.Chan()

    async def count():
        one = await redis(redis_port)
        with one.conn:
            for _ in range(50):
                await one.ask("INCR", "n")
        await done.send(None)

    for _ in range(40):
        gopark.go(count)
    for _ in range(40):
        await done.recv()
    one = await redis(redis_port)
    with one.conn:
        assert await one.ask("GET", "n") == b"2000"


async def test_redis_who_waits_there_for_long_can_have_a_deadline_and_go_on(redis_port):
    waiter, other = await redis(redis_port), await redis(redis_port)
    with waiter.conn, other.conn:
        await waiter.send("BLPOP", "queue", 0)
        waiter.conn.set_read_deadline(monotonic() + 0.05)
        with pytest.raises(TimeoutError):
            await waiter.answer()
        waiter.conn.set_read_deadline(None)
        assert await other.ask("RPUSH", "queue", "job") == 1
        assert await waiter.answer() == [b"queue", b"job"]


async def test_redis_what_is_published_comes_to_a_select(redis_port):
    reader, writer = await redis(redis_port), await redis(redis_port)
    with reader.conn, writer.conn:
        assert await reader.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
        await writer.ask("PUBLISH", "news", "first")
        cases = gopark.recv(reader.conn.chunks()), gopark.recv(gopark.time.after(TIMEOUT))
        index, data, _ = await gopark.select(*cases)
        assert (index, data.endswith(b"first\r\n")) == (0, True)


async def test_redis_its_own_client_blocks_in_goroutines_and_holds_nobody_up(redis_port):
    """The one from PyPI, which knows nothing of gopark: sockets that block, a pool, locks."""
    module = pytest.importorskip("redis", reason="the redis client is not installed")
    (await redis(redis_port)).conn.close()  # it is there
    pool = module.Redis("127.0.0.1", redis_port)
    done, turns = gopark.Chan(), []

    def count():
        for _ in range(50):
            pool.incr("n")
        gopark.block(done.send("counted"))

    def wait():
        gopark.block(done.send(pool.blpop("queue")[1]))

    async def tick():
        while not turns:
            await gopark.gosched()
            ticks[0] += 1

    ticks = [0]
    gopark.go(tick)
    gopark.go(wait)
    for _ in range(8):
        gopark.go(count)
    assert [await done.recv() for _ in range(8)] == ["counted"] * 8
    assert pool.get("n") == b"400"
    before = ticks[0]
    while ticks[0] < before + 100:  # while one is in a call that takes as long as it likes
        await gopark.gosched()
    assert num_goroutine() >= 3
    pool.rpush("queue", "at last")
    assert await done.recv() == b"at last"
    turns.append(1)
    pool.close()
