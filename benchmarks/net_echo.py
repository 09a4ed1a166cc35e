"""Echo of 1 KB over TCP: what a request costs a server, and how many it answers in a second.

    python -m benchmarks.net_echo                          all sides that are installed
    python -m benchmarks.net_echo --sides gopark,uvloop --connections 1,10,100 --rounds 5

Idle connections, and the rate of new ones: net_idle.py; one stream of 1 GB: net_stream.py.

The server is a process of its own, on the first core this process may use, the client another
one, a bare epoll loop, on the last. Each connection sends a request, waits for the answer, sends
the next. The rounds are interleaved (gopark, asyncio, uvloop, ..., gopark, ...), and a ratio is
taken round by round: requests per second, and processor time of the server for each.

`raw` is the same epoll loop as server, the limit of what Python can do without C of its own.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = 1024
ROOT = Path(__file__).resolve().parent.parent


# --- servers: each prints its port, and serves until it is killed --------------------------------


def tell(port: int) -> None:
    print(port, flush=True)


def gopark_() -> None:
    import gopark.net

    async def echo(conn: gopark.net.Conn) -> None:
        with conn:
            while data := await conn.read():
                await conn.write(data)

    async def main() -> None:
        ln = gopark.net.listen("tcp", "127.0.0.1:0")
        tell(ln.addr.port)
        async for conn in ln:
            gopark.go(echo, conn)

    gopark.run(main)


def _streams() -> None:
    import asyncio

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=4096)
        tell(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _protocol() -> None:
    import asyncio

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.write = transport.write  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            self.write(data)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
        tell(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _uv(serve: Callable[[], None]) -> Callable[[], None]:
    def served() -> None:
        uvloop: Any = importlib.import_module("uvloop")

        uvloop.install()
        serve()

    return served


def trio_() -> None:
    trio: Any = importlib.import_module("trio")

    async def echo(stream: Any) -> None:
        async for data in stream:
            await stream.send_all(data)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        tell(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(echo, listeners)

    trio.run(main)


def gevent_() -> None:
    StreamServer: Any = importlib.import_module("gevent.server").StreamServer

    def echo(sock: socket.socket, _: object) -> None:
        while data := sock.recv(65536):
            sock.sendall(data)

    server = StreamServer(("127.0.0.1", 0), echo, backlog=4096)
    server.init_socket()
    tell(server.server_port)
    server.serve_forever()


def threads() -> None:
    import threading

    def echo(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(65536):
            sock.sendall(data)

    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    tell(server.getsockname()[1])
    while True:
        sock, _ = server.accept()
        threading.Thread(target=echo, args=(sock,), daemon=True).start()


def raw() -> None:
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    tell(server.getsockname()[1])
    poll = select.epoll()
    poll.register(server, select.EPOLLIN)
    socks: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == server.fileno():
                sock, _addr = server.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                socks[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
            else:
                data = socks[fd].recv(65536)
                if data:
                    socks[fd].sendall(data)
                else:
                    poll.unregister(fd)
                    socks.pop(fd).close()


SIDES: dict[str, tuple[str, Callable[[], None]]] = {
    "gopark": ("gopark", gopark_),
    "asyncio streams": ("asyncio", _streams),
    "asyncio protocol": ("asyncio", _protocol),
    "uvloop streams": ("uvloop", _uv(_streams)),
    "uvloop protocol": ("uvloop", _uv(_protocol)),
    "trio": ("trio", trio_),
    "gevent": ("gevent", gevent_),
    "threads": ("threading", threads),
    "raw": ("select", raw),
}


# --- the client ----------------------------------------------------------------------------------


def connect(port: int, n: int) -> list[socket.socket]:
    socks = []
    for _ in range(n):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socks.append(sock)
    return socks


def drive(socks: list[socket.socket], seconds: float) -> int:
    """Requests answered in that time."""
    poll = select.epoll()
    by_fd = {sock.fileno(): sock for sock in socks}
    missing = dict.fromkeys(by_fd, SIZE)
    data = b"x" * SIZE
    for fd, sock in by_fd.items():
        poll.register(fd, select.EPOLLIN)
        sock.send(data)
    done = 0
    waiting = len(socks)
    until = time.monotonic() + seconds
    while waiting:
        over = time.monotonic() >= until
        for fd, _ in poll.poll():
            sock = by_fd[fd]
            missing[fd] -= len(sock.recv(65536))
            if not missing[fd]:
                missing[fd] = SIZE
                done += 1
                if over:
                    waiting -= 1
                else:
                    sock.send(data)
    return done


# --- one measurement -----------------------------------------------------------------------------


def pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})


def spent(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A side in a process of its own."""

    def __init__(self, side: str, core: int, module: str = "benchmarks.net_echo") -> None:
        command = [sys.executable, "-m", module, "--serve", side]
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        env = {**os.environ, "PYTHONPATH": path}
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)
        pin(self.child.pid, core)
        assert self.child.stdout is not None
        self.port = int(self.child.stdout.readline())

    def end(self) -> None:
        self.child.kill()
        self.child.wait()


def measure(
    side: str, connections: int, seconds: float, cores: tuple[int, int]
) -> tuple[float, float]:
    """Requests per second, and seconds of processor time for each."""
    server = Server(side, cores[0])
    try:
        socks = connect(server.port, connections)
        drive(socks, 0.2)
        for sock in socks:
            sock.close()
        socks = connect(server.port, connections)
        before, began = spent(server.child.pid), time.monotonic()
        done = drive(socks, seconds)
        took, cpu = time.monotonic() - began, spent(server.child.pid) - before
        return done / took, cpu / done
    finally:
        server.end()


def installed(side: str) -> bool:
    return side == "gopark" or importlib.util.find_spec(SIDES[side][0]) is not None


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--connections", default="1,10,100,1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    if options.serve:
        SIDES[options.serve][1]()
        return
    cores = sorted(os.sched_getaffinity(0))
    where = cores[0], cores[-1]
    pin(0, where[1])
    sides = [s for s in options.sides.split(",") if installed(s)]
    for n in map(int, options.connections.split(",")):
        results: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side in sides:
                results[side].append(measure(side, n, options.seconds, where))
        print(f"{n} connections: requests a second, processor time each, against {sides[0]}")
        for side in sides:
            rate = statistics.median(r for r, _ in results[side])
            cost = statistics.median(c for _, c in results[side])
            ratio = statistics.median(
                a[0] / b[0] for a, b in zip(results[side], results[sides[0]], strict=True)
            )
            dear = statistics.median(
                a[1] / b[1] for a, b in zip(results[side], results[sides[0]], strict=True)
            )
            print(f"  {side:18} {rate:8.0f}/s {cost * 1e6:6.1f} us   {ratio:5.2f}x {dear:5.2f}x")


if __name__ == "__main__":
    main()
