"""A port forwarder: what comes in on one port goes out to another, and back.

Each direction of each connection is a goroutine. When one side has no more to say its end is
passed on, and the other direction goes on; when one side breaks, both are closed. On SIGTERM or
Ctrl-C it accepts nobody any more and waits until those that are there have ended.

    python examples/port_forwarder.py 127.0.0.1:8080 example.org:80
    python examples/port_forwarder.py             # shows itself, with a server of its own
"""

from __future__ import annotations

import signal
import sys

import gopark
from gopark import Chan, net, recv, select
from gopark.context import Context, background, with_cancel
from gopark.signal import notify_context
from gopark.sync import WaitGroup


def say_so(line: str) -> None:
    """In one piece: `print` writes the end of the line apart, and another goroutine may be there
    first."""
    sys.stdout.write(line + "\n")


async def one_way(dst: net.SocketConn, src: net.SocketConn, count: Chan[int]) -> None:
    """Copy until the end, and pass that on."""
    n = 0
    try:
        n = await net.copy(dst, src)
        dst.close_write()
    except OSError:  # one of them has gone: nothing more can be said to either
        dst.close()
        src.close()
    await count.send(n)


async def forward(conn: net.SocketConn, target: str) -> None:
    """Both directions of one connection."""
    with conn:
        try:
            out = await net.dial("tcp", target, timeout=10)
        except OSError as exc:
            say_so(f"{conn.remote_addr}: {exc}")
            return
        with out:
            there, back = Chan[int](), Chan[int]()
            gopark.go(one_way, out, conn, there)
            gopark.go(one_way, conn, out, back)
            say_so(f"{await there.recv()} bytes there, {await back.recv()} bytes back")


async def serve(ctx: Context, ln: net.Listener, target: str) -> None:
    """Forward each connection until the context ends; then wait for those that are there."""
    running = WaitGroup()
    conns = ln.conns()
    while True:
        index, conn, _ = await select(recv(conns), recv(ctx.done()))
        if index == 1:
            break
        running.go(forward, conn, target)
    ln.close()
    async for conn in conns:  # one that had been accepted already
        running.go(forward, conn, target)
    await running.wait()


# --- the program shows itself -------------------------------------------------------------------


async def shout(ln: net.Listener) -> None:
    """A server that answers once it has heard all."""
    async for conn in ln:
        with conn:
            await conn.write((await net.Reader(conn).read_all()).upper())


async def say(conn: net.SocketConn, words: bytes) -> None:
    await conn.write(words)
    conn.close_write()


async def show() -> None:
    ended = Chan[None]()

    async def forwarder(ctx: Context) -> None:
        await serve(ctx, ln, target.addr)
        await ended.send(None)

    with net.listen("tcp", "127.0.0.1:0") as target, net.listen("tcp", "127.0.0.1:0") as ln:
        gopark.go(shout, target)
        with with_cancel(background()) as ctx:
            gopark.go(forwarder, ctx)
            for words in (b"hello", b"", b"x" * 1_000_000):
                with await net.dial("tcp", ln.addr) as conn:
                    gopark.go(say, conn, words)
                    answer = await net.Reader(conn).read_all()
                say_so(f"the answer is right: {answer == words.upper()}")
        await ended.recv()
    print("all have ended")


async def main(args: list[str]) -> None:
    if not args:
        await show()
        return
    here, target = args
    stopped = notify_context(background(), signal.SIGINT, signal.SIGTERM)
    with stopped as ctx, net.listen("tcp", here) as ln:
        print(f"{ln.addr} -> {target}", flush=True)
        await serve(ctx, ln, target)


if __name__ == "__main__":
    gopark.run(main, sys.argv[1:])
