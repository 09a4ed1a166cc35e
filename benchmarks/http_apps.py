"""The applications that http_hello.py and http_blocked.py have served."""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
BODY = b"Hello, world"
BLOCKED = 0.3  # seconds


async def asgi(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/blocked":
        time.sleep(BLOCKED)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/blocked":
        time.sleep(BLOCKED)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [BODY]


def fastapi() -> Any:
    """A route that answers with JSON, and one that blocks where it should not."""
    app = importlib.import_module("fastapi").FastAPI()

    async def hello() -> dict[str, str]:
        return {"message": "Hello, world"}

    async def blocked() -> dict[str, str]:
        time.sleep(BLOCKED)  # that is what is measured
        return {"message": "at last"}

    app.get("/")(hello)
    app.get("/blocked")(blocked)
    return app
