"""One stream of 1 GB over TCP, to the server and from it: how long, and at what processor time.

    python -m benchmarks.net_stream                        all sides that are installed
    python -m benchmarks.net_stream --sides gopark,uvloop --megabytes 200 --rounds 3

The server is a process of its own, on the first core this process may use, the client another one,
on the last: it sends, or receives, by the plain calls of `socket`. The rounds are interleaved
(gopark, asyncio, ..., gopark, ...); what is printed are medians, and medians of ratios taken round
by round. Every side reads and writes 64 KB at a time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import net_echo
from benchmarks.measure import machine
from benchmarks.net_echo import Server, installed, pin, spent, tell

CHUNK = 65536
DATA = bytes(CHUNK)
UP, DOWN = b"u", b"d"  # what a client begins with; then comes the number of chunks, eight bytes


# --- servers: take so many chunks, or send them, and answer with one byte ------------------------


def gopark_() -> None:
    import gopark.net

    async def serve(conn: gopark.net.Conn) -> None:
        with conn:
            head = await conn.read(9)
            left = int.from_bytes(head[1:], "big") * CHUNK
            if head[:1] == UP:
                while left:
                    left -= len(await conn.read(CHUNK))
                await conn.write(b".")
            else:
                for _ in range(left // CHUNK):
                    await conn.write(DATA)

    async def main() -> None:
        ln = gopark.net.listen("tcp", "127.0.0.1:0")
        tell(ln.addr.port)
        async for conn in ln:
            gopark.go(serve, conn)

    gopark.run(main)


def _streams() -> None:
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(9)
        left = int.from_bytes(head[1:], "big") * CHUNK
        if head[:1] == UP:
            while left:
                left -= len(await reader.read(CHUNK))
            writer.write(b".")
        else:
            for _ in range(left // CHUNK):
                writer.write(DATA)
                await writer.drain()
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        tell(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def trio_() -> None:
    trio: Any = importlib.import_module("trio")

    async def serve(stream: Any) -> None:
        head = await stream.receive_some(9)
        left = int.from_bytes(head[1:], "big") * CHUNK
        if head[:1] == UP:
            while left:
                left -= len(await stream.receive_some(CHUNK))
            await stream.send_all(b".")
        else:
            for _ in range(left // CHUNK):
                await stream.send_all(DATA)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        tell(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(serve, listeners)

    trio.run(main)


def plain(sock: socket.socket) -> None:
    """By calls that block, or seem to."""
    head = sock.recv(9)
    left = int.from_bytes(head[1:], "big") * CHUNK
    if head[:1] == UP:
        while left:
            left -= len(sock.recv(CHUNK))
        sock.sendall(b".")
    else:
        for _ in range(left // CHUNK):
            sock.sendall(DATA)
    sock.close()


def gevent_() -> None:
    StreamServer: Any = importlib.import_module("gevent.server").StreamServer
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: plain(sock))
    server.init_socket()
    tell(server.server_port)
    server.serve_forever()


def blocking() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    tell(server.getsockname()[1])
    while True:
        plain(server.accept()[0])


SERVERS: dict[str, Callable[[], None]] = {
    "gopark": gopark_,
    "asyncio streams": _streams,
    "uvloop streams": net_echo._uv(_streams),
    "trio": trio_,
    "gevent": gevent_,
    "threads": blocking,
}


# --- one measurement -----------------------------------------------------------------------------


def transfer(port: int, way: bytes, chunks: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(way + chunks.to_bytes(8, "big"))
        if way == UP:
            for _ in range(chunks):
                sock.sendall(DATA)
            assert sock.recv(1) == b"."
        else:
            left = chunks * CHUNK
            buffer = bytearray(1 << 18)
            while left:
                left -= sock.recv_into(buffer)


def measure(side: str, way: bytes, chunks: int, cores: tuple[int, int]) -> tuple[float, float]:
    """Megabytes a second, and processor seconds for each thousand of them."""
    server = Server(side, cores[0], "benchmarks.net_stream")
    try:
        transfer(server.port, way, 100)
        before, began = spent(server.child.pid), time.monotonic()
        transfer(server.port, way, chunks)
        took, cpu = time.monotonic() - began, spent(server.child.pid) - before
        size = chunks * CHUNK / 1e6
        return size / took, cpu / size * 1000
    finally:
        server.end()


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--sides", default=",".join(SERVERS))
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.serve:
        SERVERS[options.serve]()
        return
    print(machine())
    cores = sorted(os.sched_getaffinity(0))
    where = cores[0], cores[-1]
    pin(0, where[1])
    sides = [side for side in options.sides.split(",") if side == "gopark" or installed(side)]
    chunks = options.megabytes * 1_000_000 // CHUNK
    for way, name in ((UP, "to the server"), (DOWN, "from the server")):
        results: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side in sides:
                results[side].append(measure(side, way, chunks, where))
        print(f"{options.megabytes} MB {name}: MB a second, processor time for 1 GB")
        for side in sides:
            rate, cpu = (statistics.median(x[i] for x in results[side]) for i in range(2))
            pairs = list(zip(results[side], results[sides[0]], strict=True))
            fast = statistics.median(a[0] / b[0] for a, b in pairs)
            dear = statistics.median(a[1] / b[1] for a, b in pairs)
            print(f"  {side:18} {rate:8.0f}/s {cpu:6.3f} s   {fast:5.2f}x {dear:5.2f}x")


if __name__ == "__main__":
    main()
