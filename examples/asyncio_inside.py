"""asyncio inside: a server written for asyncio's streams, its work done by goroutines.

The server is a task of the program's loop. For each line that comes it starts a goroutine, which
computes, and may block: no other request waits for it. A client, a goroutine, speaks to it over
`gopark.net`; the stop is a context, which cancels the server's task.

    python examples/asyncio_inside.py
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import gopark
import gopark.asyncio as ga
from gopark import context, net


def work(line: str) -> str:
    """What asyncio could not do without a pool of threads."""
    time.sleep(0.01)
    return line[::-1]


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A task for each connection."""
    with contextlib.closing(writer):
        async for line in reader:
            answer = await ga.go(work, line.decode().strip())
            writer.write(answer.encode() + b"\n")
            await writer.drain()


async def serve(ports: gopark.Chan[int]) -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    await ga.wait(ports.send(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


async def client(port: int | None, word: str, answers: gopark.Chan[str]) -> None:
    """A goroutine."""
    with await net.dial("tcp", f"127.0.0.1:{port}") as conn:
        await conn.write(word.encode() + b"\n")
        conn.close_write()  # there is no more: the server's task for it ends
        answer = await conn.read_until(b"\n")
        await conn.read()  # it has, once this is at its end
    await answers.send(answer.decode().strip())


async def main() -> None:
    ports, answers, done = gopark.Chan[int](), gopark.Chan[str](), gopark.Chan[str]()
    ctx, cancel = context.with_cancel(context.background())

    async def server() -> None:
        try:
            await ga.call(serve(ports), ctx)
        except context.Canceled as exc:
            await done.send(f"the server has ended: {exc}")

    gopark.go(server)
    port = await ports.recv()
    words = ["goroutine", "channel", "select", "asyncio"]
    for word in words:
        gopark.go(client, port, word, answers)
    got = [await answers.recv() for _ in words]
    print(*sorted(str(answer) for answer in got))
    cancel()
    print(await done.recv())


if __name__ == "__main__":
    gopark.run(main)
