"""What a container asks of a service: a health check that is answered, and a good end on SIGTERM.

Twenty handlers block their threads, `/healthz` is answered all the same. The metrics are under the
application's own address, for this machine alone. Then comes the SIGTERM that `docker stop` sends:
what is under way is answered first. See docs/http-production.md.

    python examples/http_production.py
    gopark serve http_production:app --app-dir examples --debug-mount
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import gopark
from gopark import context, net

BUSY = 20
goes = threading.Event()
begun: gopark.Chan[None] = gopark.Chan(BUSY)


async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """An ASGI application."""
    if scope["type"] == "lifespan":
        await receive()
        print("opened")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("closed")
        await send({"type": "lifespan.shutdown.complete"})
        return
    known = scope["path"] in ("/busy", "/healthz")
    if scope["path"] == "/busy":
        begun.try_send(None)
        goes.wait()
    await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
    await send({"type": "http.response.body", "body": b"ok" if known else b"nothing here"})


async def ask(address: net.Addr, path: str, more: str = "") -> tuple[str, str]:
    """Status and body of an answer."""
    with await net.dial("tcp", address) as conn:
        await conn.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
        said = (await net.Reader(conn).read_all()).decode()
    return said.split(" ")[1], said.partition("\r\n\r\n")[2]


async def main() -> None:
    server = gopark.http.Server(app, debug="local")
    ln = net.listen("tcp", "127.0.0.1:0")
    serving = gopark.spawn(server.serve, ln)

    busy = [gopark.spawn(ask, ln.addr, "/busy") for _ in range(BUSY)]
    for _ in range(BUSY):
        await begun.recv()
    print(f"healthz while {BUSY} handlers block:", (await ask(ln.addr, "/healthz"))[0])
    metrics = (await ask(ln.addr, "/metrics"))[1]
    print("metrics, of this machine:", "go_goroutines" in metrics)
    proxied = await ask(ln.addr, "/metrics", "X-Forwarded-For: 203.0.113.7\r\n")
    print("metrics, through a proxy:", proxied[0])

    with gopark.signal.notify_context(context.background(), signal.SIGTERM) as ctx:
        os.kill(os.getpid(), signal.SIGTERM)
        await ctx.done().recv_ok()
    print("SIGTERM")
    ends = gopark.spawn(server.shutdown)
    goes.set()
    answers = await gopark.gather(*busy)
    print("answers that were under way:", sum(status == "200" for status, _ in answers))
    await ends
    await serving


if __name__ == "__main__":
    gopark.run(main)
