"""A server whose handlers may block: one that blocks its thread stalls nobody else.

Eight clients wait in `/slow`, which blocks its thread as a driver without async would, and another
asks for `/` meanwhile: what it gets is what ends their wait. An application of one's own is served
by `gopark serve module:app`.

    python examples/http_server.py
    gopark serve http_server:app --app-dir examples
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import gopark
from gopark import net
from gopark.sync import WaitGroup

seen = threading.Event()


async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """An ASGI application."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/slow":
        seen.wait()
    body = f"hello from {scope['path']}\n".encode()
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def get(address: net.Addr, path: str) -> str:
    """The body of an answer."""
    with await net.dial("tcp", address) as conn:
        await conn.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = await net.Reader(conn).read_all()
    return answer.decode().rpartition("\r\n\r\n")[2]


async def main() -> None:
    server = gopark.http.Server(app)
    ln = net.listen("tcp", "127.0.0.1:0")
    serving = gopark.spawn(server.serve, ln)

    slow, answers = WaitGroup(), gopark.Chan[str](8)

    async def wait() -> None:
        await answers.send(await get(ln.addr, "/slow"))

    for _ in range(8):
        slow.go(wait)
    print("eight block their threads;", await get(ln.addr, "/"), end="")
    seen.set()
    await slow.wait()
    print("then come the others:", len(answers))

    await server.shutdown()
    await serving


if __name__ == "__main__":
    gopark.run(main)
