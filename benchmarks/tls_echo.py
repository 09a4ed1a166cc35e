"""Echo over TLS: processor time of the server and requests per second, beside asyncio and uvloop.

    python -m benchmarks.tls_echo                           1, 10 and 100 connections, all servers
    python -m benchmarks.tls_echo --conns 100 --rounds 9
    python -m benchmarks.tls_echo --sides gopark,uvloop

A server is a child process on a core of its own, if there are two. The client, on another, is the
same for all: sockets of Python's `ssl` on one epoll, each with one request under way. A request is
1 KB there and back. The servers take turns within a round, and ratios are taken round by round, to
uvloop. The servers of asyncio and uvloop use streams, as most programs do; uvloop's
own way, with callbacks, is "uvloop-protocol". The certificate is made by the `openssl` command.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

SIZE: Final = 1024
ROOT: Final = Path(__file__).resolve().parent.parent
BASE: Final = "uvloop"
CORES: Final = sorted(os.sched_getaffinity(0))  # the first is the server's, the last the client's


def make_certificate(folder: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


# --- the servers: each prints its port and serves until it is killed ----------------------------


def serve_gopark(context: ssl.SSLContext) -> None:
    import gopark
    from gopark import tls

    async def echo(conn: tls.Conn) -> None:
        with conn:
            while data := await conn.read():
                await conn.write(data)

    async def main() -> None:
        with tls.listen("tcp", "127.0.0.1:0", context) as ln:
            print(ln.addr.port, flush=True)
            async for conn in ln:
                gopark.go(echo, conn)

    gopark.run(main)


async def _streams(context: ssl.SSLContext) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def _protocol(context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Echo, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _on_asyncio(main: Callable[[ssl.SSLContext], Any], fast: bool) -> Callable[[Any], None]:
    def serve(context: ssl.SSLContext) -> None:
        factory: Any = None
        if fast:
            uvloop: Any = importlib.import_module("uvloop")

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main(context))

    return serve


SERVERS: Final[dict[str, Callable[[ssl.SSLContext], None]]] = {
    "gopark": serve_gopark,
    BASE: _on_asyncio(_streams, True),
    "uvloop-protocol": _on_asyncio(_protocol, True),
    "asyncio": _on_asyncio(_streams, False),
}


# --- the client ---------------------------------------------------------------------------------


def connected(port: int, folder: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=folder / "cert.pem")
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, server_hostname="localhost")


def requests(socks: dict[int, ssl.SSLSocket], poll: select.epoll, count: int) -> None:
    """One request under way on each connection, until so many were answered."""
    data, got = b"x" * SIZE, dict.fromkeys(socks, 0)
    for sock in socks.values():
        sock.send(data)
    left = count - len(socks)
    open_ = len(socks)
    while open_:
        for fd, _ in poll.poll():
            try:
                got[fd] += len(socks[fd].recv(SIZE))
            except ssl.SSLWantReadError:
                continue
            if got[fd] >= SIZE:
                got[fd] = 0
                if left > 0:
                    left -= 1
                    socks[fd].send(data)
                else:
                    open_ -= 1


def measure(side: str, conns: int, count: int, folder: Path) -> tuple[float, float]:
    """Processor time of the server for a request, in µs; requests per second."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.tls_echo",
        "--serve",
        side,
        "--folder",
        str(folder),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=env) as child:
        try:
            os.sched_setaffinity(child.pid, {CORES[0]})
            assert child.stdout is not None
            port = int(child.stdout.readline())
            with select.epoll() as poll:
                socks = {}
                for _ in range(conns):
                    sock = connected(port, folder)
                    sock.setblocking(False)
                    socks[sock.fileno()] = sock
                    poll.register(sock, select.EPOLLIN)
                requests(socks, poll, max(count // 10, conns))
                clock = ~child.pid << 3 | 2  # Linux: the processor time of that process
                cpu, wall = time.clock_gettime(clock), time.perf_counter()
                requests(socks, poll, count)
                cpu, wall = time.clock_gettime(clock) - cpu, time.perf_counter() - wall
                for sock in socks.values():
                    sock.close()
            return cpu / count * 1e6, count / wall
        finally:
            child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--conns", default="1,10,100", help="numbers of connections")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10_000, help="in each measurement")
    parser.add_argument("--sides", default=",".join(SERVERS), help="names of servers")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        SERVERS[options.serve](server_context(options.folder))
        return
    os.sched_setaffinity(0, {CORES[-1]})
    sides = [side for side in SERVERS if side in options.sides.split(",")]
    with tempfile.TemporaryDirectory() as name:
        make_certificate(Path(name))
        for conns in map(int, options.conns.split(",")):
            rounds = []
            for _ in range(options.rounds):
                one = {s: measure(s, conns, options.requests, Path(name)) for s in sides}
                rounds.append(one)
            for side in sides:
                report(side, conns, rounds)


def report(side: str, conns: int, rounds: list[dict[str, tuple[float, float]]]) -> None:
    cpu = statistics.median(one[side][0] for one in rounds)
    rate = statistics.median(one[side][1] for one in rounds)
    text = f"{conns:5} connections  {side:18} {cpu:7.1f} µs processor time {rate:9,.0f} requests/s"
    if BASE in rounds[0]:
        times = statistics.median(one[side][0] / one[BASE][0] for one in rounds)
        rates = statistics.median(one[side][1] / one[BASE][1] for one in rounds)
        text += f"   {times:.2f}x time, {rates:.2f}x rate"
    print(text, flush=True)


if __name__ == "__main__":
    main()
