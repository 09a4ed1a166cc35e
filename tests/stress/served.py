"""A program for programs.py: clients of an HTTP server that hang up, pipeline, are slow.

Over HTTP/1.1 and HTTP/2, while others are served, and while the server ends. Each answer that comes
is whole and is the one to its request; a client that stays is answered; when all have gone no
goroutine, descriptor or thread is left, and the application has been told of each end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from stress_network import descriptors  # registered by programs.py

import gopark
import gopark.http
from gopark import context, net
from gopark.http import Limits, Timeouts

HEAD = "Host: x\r\n"
KINDS = ("stays", "stays", "pipelines", "hangs up", "half", "slow", "junk", "two")


class Counts:
    """What the application has seen."""

    def __init__(self) -> None:
        self.begun: list[None] = []  # `+= 1` loses some without a GIL
        self.ended: list[None] = []


def application(
    counts: Counts, rng: Random, onloop: bool
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Echoes, in one of several ways: at once, in pieces, after a while, or with the context."""
    kinds = ["at once", "pieces", "late", "context", "fails"]
    if onloop:
        kinds += ["at once"] * 5 + ["blocks"]
    ways = [rng.choice(kinds) for _ in range(64)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        counts.begun.append(None)
        try:
            await answer(scope, receive, send)
        finally:
            counts.ended.append(None)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"][1:] or 0)
        way = ways[number % len(ways)]
        ctx = context.current()
        if way == "context":
            ctx.err()  # from here on the client is watched
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if way == "late":
            await (asyncio.sleep(0.002) if onloop else gopark.time.sleep(0.002))
        if way == "blocks":
            time.sleep(0.012)
        if way == "fails" and number % 3 == 0:
            raise OSError("a fault of the application")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if way == "pieces":
            for at in range(0, len(body), 1000):
                piece = body[at : at + 1000]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            body = b""
        await send({"type": "http.response.body", "body": b"%d:" % number + body})

    return app


def request(number: int, body: bytes) -> bytes:
    head = f"POST /{number} HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def line(conn: net.Conn) -> bytes:
    found = await conn.read_until(b"\r\n", 100)
    if not found.endswith(b"\r\n"):
        raise EOFError
    return found


async def answered(conn: net.Conn, number: int, body: bytes) -> None:
    """Read one answer; EOFError, if there is none any more."""
    head = (await conn.read_until(b"\r\n\r\n", 65536)).lower()
    if not head.endswith(b"\r\n\r\n"):
        raise EOFError
    status = int(head[9:12])
    if b"chunked" in head:
        parts = []
        while size := int(await line(conn), 16):
            parts.append((await conn.read_full(size + 2))[:-2])
        await conn.read_until(b"\r\n", 100)
        got = b"".join(parts)
    else:
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        got = await conn.read_full(length) if length else b""
    if status == 200:
        assert got in (b"%d:" % number + body, body + b"%d:" % number), (number, got[:50])
    else:
        assert status in (408, 500), head
    if b"connection: close" in head:
        raise EOFError


async def client(addr: Any, kind: str, rng: Random) -> None:
    """One of them, until it has had enough, or the server has."""
    conn = await net.dial("tcp", addr)
    with conn:
        numbers = [rng.randrange(1000) for _ in range(rng.choice([1, 3, 8]))]
        bodies = [rng.randbytes(rng.choice([0, 5, 3000, 100_000])) for _ in numbers]
        if kind == "pipelines":
            small = [body[:3000] for body in bodies]
            await conn.write(b"".join(map(request, numbers, small)))
            for number, body in zip(numbers, small, strict=True):
                await answered(conn, number, body)
            return
        for number, body in zip(numbers, bodies, strict=True):
            data = request(number, body)
            if kind == "hangs up":
                await conn.write(data[: rng.randrange(len(data))])
                return
            if kind == "junk":
                await conn.write(rng.randbytes(rng.randrange(1, 400)))
                while await conn.read():
                    pass
                return
            if kind == "slow":
                for at in range(0, len(data), max(1, len(data) // 5)):
                    await conn.write(data[at : at + max(1, len(data) // 5)])
                    await gopark.time.sleep(0.001)
            else:
                await conn.write(data)
            if kind == "half":
                conn.close_write()  # type: ignore[attr-defined]
                await answered(conn, number, body)
                return
            await answered(conn, number, body)


async def client2(addr: Any, rng: Random) -> None:
    """One that speaks HTTP/2: streams at once, some reset, or all of it dropped."""
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions

    conn = await net.dial("tcp", addr)
    with conn:
        wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        wire.initiate_connection()
        wanted: dict[int, tuple[bytes, bytearray]] = {}
        for _ in range(rng.choice([1, 4, 20])):
            number, body = rng.randrange(1000), rng.randbytes(rng.choice([0, 5, 1500]))
            stream = wire.get_next_available_stream_id()
            head = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
            wire.send_headers(stream, [*head, (":path", f"/{number}")], end_stream=not body)
            if body:
                wire.send_data(stream, body, end_stream=True)
            if rng.random() < 0.2:
                wire.reset_stream(stream)
            else:
                wanted[stream] = b"%d:" % number, bytearray(body)
        await conn.write(wire.data_to_send())
        if rng.random() < 0.3:
            return
        ends = False
        while wanted:
            data = await conn.read()
            if not data:
                raise EOFError
            ends = ends or b"\x00\x00\x08\x07" in data  # GOAWAY, after which h2 reads nothing more
            try:
                events = wire.receive_data(data)
            except h2.exceptions.ProtocolError:
                if ends:
                    return
                raise
            for event in events:
                stream = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.DataReceived):
                    wire.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    wanted.pop(stream, None)
                elif isinstance(event, h2.events.ConnectionTerminated):
                    return
            if out := wire.data_to_send():
                await conn.write(out)


async def one(addr: Any, kind: str, rng: Random, done: gopark.Chan[Any]) -> None:
    error: Exception | None = None
    try:
        if kind == "two":
            await client2(addr, rng)
        else:
            await client(addr, kind, rng)
    except (OSError, EOFError, net.UnexpectedEOFError):
        pass  # the server has ended, or has had enough of it
    except Exception as exc:
        error = exc
    done.try_send(error)


def served(rng: Random) -> None:
    """A server, its clients, its end; nothing is left."""
    _served(rng, {"loop": "bare"})


def servedonloops(rng: Random) -> None:
    """The same, of an application of asyncio's, on one loop, or on some."""
    _served(rng, {"loop": "asyncio", "loops": rng.choice(["auto", "auto", 1, 3])})


def _served(rng: Random, where: dict[str, Any]) -> None:
    onloop = where["loop"] == "asyncio"
    counts = Counts()
    try:
        import h2 as _h2  # noqa: F401

        kinds = KINDS
    except ImportError:
        kinds = KINDS[:-1]

    async def main() -> None:
        server = gopark.http.Server(
            application(counts, rng, onloop),
            **where,
            lifespan="off",
            limits=Limits(connections=rng.choice([2, 20, None]), requests=rng.choice([2, None])),
            timeouts=Timeouts(header=5, body=5, idle=5, response=rng.choice([None, 5])),
        )
        ln = net.listen("tcp", "127.0.0.1:0")
        ended = gopark.spawn(server.serve, ln)
        many = rng.choice([1, 10, 40])
        done: gopark.Chan[Any] = gopark.Chan(many)
        for _ in range(many):
            gopark.go(one, ln.addr, rng.choice(kinds), Random(rng.random()), done)
        early = rng.random() < 0.5
        for number in range(many):
            if early and number == many // 2:
                gopark.go(server.shutdown, rng.choice([0.001, 5]))
            error = await done.recv()
            if error is not None:
                raise error
        await server.shutdown(5)
        await ended
        # What was cut ends a moment later.
        while server.conns or len(counts.begun) != len(counts.ended):
            await gopark.time.sleep(0.001)
        await gopark.testing.wait_all_parked()
        left = gopark.runtime.num_goroutine()
        # Main, and who looks after deadlines; the loop, and who looks after that.
        assert left <= (4 if onloop else 2), gopark.runtime.stack(True)

    logging.disable()
    try:
        gopark.block(_nothing())  # the poller's own descriptors are there from here on
        before = set(descriptors())
        gopark.run(main)
        end = time.monotonic() + 20
        while (left := set(descriptors()) - before) and time.monotonic() < end:
            time.sleep(0.001)
            gc.collect()
        assert not left, (before, left)
    finally:
        logging.disable(logging.NOTSET)


async def _nothing() -> None:
    net.listen("tcp", "127.0.0.1:0").close()


PROGRAMS: list[Callable[[Random], None]] = [served, servedonloops]
