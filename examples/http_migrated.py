"""Two applications as uvicorn and gunicorn served them, and what changes when gopark does.

Eight clients are in a handler that blocks its thread, or its event loop; what a ninth gets lets
them go on. With uvicorn, and with gunicorn where eight threads are all, that would never end. See
docs/http-migrating.md.

    python examples/http_migrated.py
    gopark serve http_migrated:ofasyncio --app-dir examples --loops auto
    gopark serve http_migrated:ofwsgi --app-dir examples
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import gopark
from gopark import net

other = threading.Event()
blocked: gopark.Chan[None] = gopark.Chan(8)


def handler(path: str) -> bytes:
    if path == "/blocks":
        blocked.try_send(None)
        other.wait()
    else:
        other.set()
    return path.encode()


async def ofasyncio(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """An ASGI application that needs an event loop."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await asyncio.sleep(0.001)
    body = handler(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ofwsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application."""
    body = handler(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


async def ask(address: net.Addr, path: str) -> str:
    """The body of an answer."""
    with await net.dial("tcp", address) as conn:
        await conn.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        said = (await net.Reader(conn).read_all()).decode()
    return said.rpartition("\r\n\r\n")[2]


async def tried(what: str, server: gopark.http.Server) -> None:
    other.clear()
    ln = net.listen("tcp", "127.0.0.1:0")
    serving = gopark.spawn(server.serve, ln)
    blocks = [gopark.spawn(ask, ln.addr, "/blocks") for _ in range(8)]
    await blocked.recv()  # the loop, if there is one, is held up from here on
    first = await ask(ln.addr, "/other")
    rest = await gopark.gather(*blocks)
    print(f"{what}: {first}, then {len(rest)} of {rest[0]}")
    await server.shutdown()
    await serving


async def main() -> None:
    await tried(
        "of asyncio's, as uvicorn served it",
        gopark.http.Server(ofasyncio, loop="asyncio", loops="auto"),
    )
    await tried("of WSGI, as gunicorn served it", gopark.http.Server(ofwsgi))


if __name__ == "__main__":
    gopark.run(main)
