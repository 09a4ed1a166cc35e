"""Serves one framework's application, asks it a few things, and prints what it said.

    python tests/http/served_framework.py asgi starlette asyncio

In a process of its own: what a framework sets, imports and warns of stays there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import frameworks  # noqa: E402

import gopark  # noqa: E402
from httpends import serving  # noqa: E402

BODY = bytes(range(256)) * 1000


async def main(kind: str, name: str, loop: str) -> None:
    app = getattr(frameworks, kind.upper())[name]()
    async with serving(app, loop=loop, lifespan="auto") as connect, connect() as client:
        for _ in range(3):
            answer = await client.get()
            assert (answer.status, json.loads(answer.body)) == (200, {"hello": "world"}), (
                answer.body
            )
        head = f"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {len(BODY)}\r\n\r\n"
        await client.send(head.encode(), BODY)
        assert (answer := await client.answer()).body == BODY, answer.body
        if name != "falcon" and loop != "bare":
            assert (answer := await client.get("/sync")).body == b"sync", answer.body
        assert (answer := await client.get("/stream")).body == b"0\n1\n2\n", answer.body
        assert (await client.get("/nowhere")).status == 404
    print("served")


if __name__ == "__main__":
    gopark.run(main, *sys.argv[1:])
