"""Ten thousand idle connections: what each costs a server; and how fast new ones are accepted.

    python -m benchmarks.net_idle                          all sides that are installed
    python -m benchmarks.net_idle --sides gopark,uvloop --connections 1000 --rounds 3

The server is a process of its own, on the first core this process may use, the client another one,
on the last; the rounds are interleaved (gopark, asyncio, ..., gopark, ...). What is printed are
medians, and medians of ratios taken round by round.

Idle: the servers of net_echo.py. Each connection has had one answer, and waits for the next
request. Memory is what the server has more than before they came, shared pages counted by their
share (PSS); threads are all that the process has; processor time is that of a second in which
nothing comes.

Accept: each connection is accepted, handed to a handler of its own (a goroutine, a task, a thread)
and closed by it. Some are open at a time, so the server always has one waiting.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import net_echo
from benchmarks.measure import machine
from benchmarks.net_echo import Server, connect, installed, pin, spent, tell

ACCEPTS = 10_000
WINDOW = 64
SECONDS = 3.0


# --- servers that close what they accept ---------------------------------------------------------


def gopark_() -> None:
    import gopark.net

    async def handle(conn: gopark.net.Conn) -> None:
        conn.close()

    async def main() -> None:
        ln = gopark.net.listen("tcp", "127.0.0.1:0")
        tell(ln.addr.port)
        async for conn in ln:
            gopark.go(handle, conn)

    gopark.run(main)


def _streams() -> None:
    import asyncio

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=4096)
        tell(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _protocol() -> None:
    import asyncio

    class Handler(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Handler, "127.0.0.1", 0, backlog=4096)
        tell(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def trio_() -> None:
    trio: Any = importlib.import_module("trio")

    async def handle(_: Any) -> None:
        """`serve_listeners` closes it."""

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        tell(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(handle, listeners)

    trio.run(main)


def gevent_() -> None:
    StreamServer: Any = importlib.import_module("gevent.server").StreamServer
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: sock.close(), backlog=4096)
    server.init_socket()
    tell(server.server_port)
    server.serve_forever()


def threads() -> None:
    import threading

    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    tell(server.getsockname()[1])
    while True:
        sock, _ = server.accept()
        threading.Thread(target=sock.close, daemon=True).start()


def raw() -> None:
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    tell(server.getsockname()[1])
    while True:
        server.accept()[0].close()


CLOSERS: dict[str, Callable[[], None]] = {
    "gopark": gopark_,
    "asyncio streams": _streams,
    "asyncio protocol": _protocol,
    "uvloop streams": net_echo._uv(_streams),
    "uvloop protocol": net_echo._uv(_protocol),
    "trio": trio_,
    "gevent": gevent_,
    "threads": threads,
    "raw": raw,
}


# --- the client ----------------------------------------------------------------------------------


def dial(port: int, n: int) -> None:
    """Connections one after the other, some at a time, each until the server has closed it."""
    poll = select.epoll()
    socks: dict[int, socket.socket] = {}

    def begin() -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        socks[sock.fileno()] = sock
        poll.register(sock, select.EPOLLRDHUP)

    for _ in range(min(WINDOW, n)):
        begin()
    left = n - len(socks)
    while socks:
        for fd, _ in poll.poll():
            socks.pop(fd).close()
            if left:
                left -= 1
                begin()


# --- one measurement -----------------------------------------------------------------------------


def memory(pid: int) -> int:
    """Bytes that are the process's own, or its share of what others have too."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024


def nthreads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def answered(socks: list[socket.socket]) -> None:
    """One small request on each, and its answer."""
    for sock in socks:
        sock.send(b"x")
    for sock in socks:
        sock.recv(1)


def idle(side: str, connections: int, cores: tuple[int, int]) -> tuple[float, float, float]:
    """Bytes for each idle connection, threads, processor seconds per second."""
    server = Server(side, cores[0])
    try:
        warm = connect(server.port, 10)
        answered(warm)
        time.sleep(0.5)
        before = memory(server.child.pid)
        socks = connect(server.port, connections)
        answered(socks)
        time.sleep(1)  # for what the server does after its last answer
        used = memory(server.child.pid) - before
        cpu = spent(server.child.pid)
        time.sleep(SECONDS)
        cpu = spent(server.child.pid) - cpu
        return used / connections, nthreads(server.child.pid), cpu / SECONDS
    finally:
        server.end()


def accept(side: str, connections: int, cores: tuple[int, int]) -> tuple[float, float]:
    """Connections per second, and processor seconds for each."""
    server = Server(side, cores[0], "benchmarks.net_idle")
    try:
        dial(server.port, 1000)
        before, began = spent(server.child.pid), time.monotonic()
        dial(server.port, connections)
        took, cpu = time.monotonic() - began, spent(server.child.pid) - before
        return connections / took, cpu / connections
    finally:
        server.end()


def ratio(mine: list[tuple[float, ...]], other: list[tuple[float, ...]], n: int) -> float:
    pairs = [(a[n], b[n]) for a, b in zip(mine, other, strict=True)]
    return statistics.median(a / b if b else float("nan") for a, b in pairs)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", choices=CLOSERS, help=argparse.SUPPRESS)
    parser.add_argument("--sides", default=",".join(CLOSERS))
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--accepts", type=int, default=ACCEPTS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.serve:
        CLOSERS[options.serve]()
        return
    print(machine())
    cores = sorted(os.sched_getaffinity(0))
    where = cores[0], cores[-1]
    pin(0, where[1])
    sides = [s for s in options.sides.split(",") if installed(s)]
    if options.connections:
        held: dict[str, list[tuple[float, ...]]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side in sides:
                # A thread each would be measured by what the system allows, not by what it costs.
                n = min(options.connections, 1000) if side == "threads" else options.connections
                held[side].append(idle(side, n, where))
        print(f"{options.connections} idle connections: memory each, threads, processor time")
        for side in sides:
            each, count, cpu = (statistics.median(x[i] for x in held[side]) for i in range(3))
            print(
                f"  {side:18} {each:8.0f} bytes {count:6.0f} threads {cpu * 1000:6.1f} ms/s"
                f"   {ratio(held[side], held[sides[0]], 0):5.2f}x"
            )
    if options.accepts:
        rates: dict[str, list[tuple[float, ...]]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side in sides:
                rates[side].append(accept(side, options.accepts, where))
        print(f"{options.accepts} connections accepted: a second, processor time each")
        for side in sides:
            rate, cpu = (statistics.median(x[i] for x in rates[side]) for i in range(2))
            print(
                f"  {side:18} {rate:8.0f}/s {cpu * 1e6:6.1f} us"
                f"   {ratio(rates[side], rates[sides[0]], 0):5.2f}x"
                f" {ratio(rates[side], rates[sides[0]], 1):5.2f}x"
            )


if __name__ == "__main__":
    main()
