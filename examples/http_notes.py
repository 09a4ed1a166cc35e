"""A service that keeps notes: the one of docs/http-tutorial.md, as one file.

`PUT /notes/NAME` keeps a note, `GET` reads it, `GET /report` takes long and blocks its thread,
`GET /healthz` is answered meanwhile. What is kept is guarded by a lock; the lifespan ends it.

    python examples/http_notes.py
    gopark serve http_notes:app --app-dir examples
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import gopark
from gopark import net
from gopark.sync import Mutex

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

notes: dict[str, tuple[int, bytes]] = {}
lock = Mutex()
ready = threading.Event()


async def app(scope: Any, receive: Receive, send: Send) -> None:
    """An ASGI application."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/healthz":
        await answer(send, 200, b"ok")
    elif path == "/report":
        await answer(send, 200, report())
    elif not path.startswith("/notes/"):
        await answer(send, 404, b"nothing here")
    elif scope["method"] == "PUT":
        await keep(path, await body(receive))
        await answer(send, 201, b"kept")
    elif path in notes:
        await answer(send, 200, b"%d: %b" % notes[path])
    else:
        await answer(send, 404, b"no such note")


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("closed with", len(notes), "notes")
    await send({"type": "lifespan.shutdown.complete"})


def report() -> bytes:
    """What knows nothing of `async`, and takes long."""
    ready.wait()
    return f"{len(notes)} notes".encode()


async def keep(path: str, text: bytes) -> None:
    async with lock:  # without it two requests could both write 1
        count, _ = notes.get(path, (0, b""))
        notes[path] = count + 1, text


async def body(receive: Receive) -> bytes:
    whole = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        whole += piece
        if not message.get("more_body"):
            return whole


async def answer(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


# --- its clients --------------------------------------------------------------------------------


async def ask(address: net.Addr, method: str, path: str, text: bytes = b"") -> str:
    """Status and body of an answer."""
    with await net.dial("tcp", address) as conn:
        head = f"{method} {path} HTTP/1.0\r\nContent-Length: {len(text)}\r\n\r\n"
        await conn.write(head.encode() + text)
        said = (await net.Reader(conn).read_all()).decode()
    return said.split(" ")[1] + " " + said.rpartition("\r\n\r\n")[2]


async def main() -> None:
    server = gopark.http.Server(app)
    ln = net.listen("tcp", "127.0.0.1:0")
    serving = gopark.spawn(server.serve, ln)

    kept = [gopark.spawn(ask, ln.addr, "PUT", "/notes/milk", b"two") for _ in range(50)]
    print(*set(await gopark.gather(*kept)))
    print(await ask(ln.addr, "GET", "/notes/milk"))
    print(await ask(ln.addr, "GET", "/notes/bread"))

    written = gopark.spawn(ask, ln.addr, "GET", "/report")
    print("while a report blocks:", await ask(ln.addr, "GET", "/healthz"))
    ready.set()
    print(await written)

    await server.shutdown()
    await serving


if __name__ == "__main__":
    gopark.run(main)
