"""Servers for the tests of `gopark.http`, and a client that sends bytes as they are written."""

from __future__ import annotations

import contextlib

import gopark
from gopark import net


class Client:
    """One connection; answers are read by their length, or their chunks."""

    def __init__(self, conn):
        self.conn = conn
        self.closed = False

    async def send(self, *parts):
        await self.conn.write(b"".join(parts))

    async def get(self, path="/", *headers, method="GET", version="1.1"):
        lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers, "", ""]
        await self.send("\r\n".join(lines).encode())
        return await self.answer(head=method == "HEAD")

    async def answer(self, head=False):
        raw = await self.conn.read_until(b"\r\n\r\n", 65536)
        return await Answer(raw).read(self.conn, head)

    async def rest(self):
        """Everything until the server closes."""
        found = b""
        try:
            while data := await self.conn.read():
                found += data
        except ConnectionError:
            pass
        return found


class Answer:
    def __init__(self, raw):
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        self.version, status, self.reason = (*first.split(" ", 2), "")[:3]
        self.status = int(status)
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in self.headers, raw
            self.headers[name.lower()] = value
        self.body = b""
        self.trailers = b""

    async def read(self, conn, head):
        if head or self.status in (204, 304) or self.status < 200:
            return self
        if "content-length" in self.headers:
            length = int(self.headers["content-length"])
            self.body = await conn.read_full(length) if length else b""
        elif self.headers.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(await conn.read_until(b"\r\n", 100), 16):
                pieces.append((await conn.read_full(size + 2))[:-2])
            self.body = b"".join(pieces)
            while (line := await conn.read_until(b"\r\n", 1000)) != b"\r\n":
                self.trailers += line
        else:
            while data := await conn.read():
                self.body += data
        return self


@contextlib.asynccontextmanager
async def serving(app, **options):
    """`async with serving(app) as connect:`, and `async with connect() as client:` in it."""
    options.setdefault("loop", "bare")
    options.setdefault("lifespan", "off")
    server = gopark.http.Server(app, **options)
    ln = net.listen("tcp", "127.0.0.1:0")
    done = gopark.spawn(server.serve, ln)

    @contextlib.asynccontextmanager
    async def connect():
        conn = await net.dial("tcp", ln.addr)
        with conn:
            yield Client(conn)

    connect.server, connect.addr, connect.done = server, ln.addr, done
    try:
        yield connect
    finally:
        await server.shutdown(0.001)
        await done


def answering(body=b"hello", status=200, headers=()):
    """An application that always says the same."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app


async def echo(scope, receive, send):
    """Answers with what it was sent."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        more = message["more_body"]
    line = f"{scope['method']} {scope['path']} ".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": line + body})
