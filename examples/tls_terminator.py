"""TLS in front of a server that speaks none: a connection of each side, and a goroutine each way.

The end of one direction is handed on (`close_write`), and the other goes on. A client that takes
more than five seconds for its handshake is sent away, and keeps nobody waiting meanwhile.

    python examples/tls_terminator.py                                  with a server and a client
    python examples/tls_terminator.py cert.pem key.pem :8443 localhost:8080
"""

from __future__ import annotations

import inspect
import ssl
import subprocess
import sys
import tempfile

import gopark
from gopark import net, tls
from gopark.context import DeadlineExceeded, background, with_timeout
from gopark.sync import WaitGroup


async def copy(source: net.Conn, target: tls.Conn | net.SocketConn) -> None:
    """Until the end of `source`, which becomes that of what `target` is sent."""
    while data := await source.read():
        await target.write(data)
    ended = target.close_write()
    if inspect.isawaitable(ended):  # TLS has something to send for that
        await ended


async def forward(client: tls.Conn, backend: str) -> None:
    async with client:
        try:
            with with_timeout(background(), 5) as ctx:
                await client.handshake(ctx)
                server = await net.dial("tcp", backend, ctx=ctx)
            async with server:
                ways = WaitGroup()
                ways.go(quietly, client, server)
                await quietly(server, client)
                await ways.wait()
        except (OSError, EOFError, DeadlineExceeded) as exc:
            print(f"{client.remote_addr}: {exc}", file=sys.stderr)


async def quietly(source: net.Conn, target: tls.Conn | net.SocketConn) -> None:
    """What breaks one direction ends the other as well."""
    try:
        await copy(source, target)
    except (OSError, EOFError):
        source.close()
        target.close()


async def serve(ln: tls.Listener, backend: str) -> None:
    async for client in ln:
        gopark.go(forward, client, backend)


# --- something to try it with -----------------------------------------------------------------


async def shout(ln: net.Listener) -> None:
    """The server behind: it reads to the end, and answers in capitals."""
    async for conn in ln:
        async with conn:
            text = await net.Reader(conn).read_all()
            await conn.write(text.upper())


async def demo(folder: str) -> None:
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    behind = net.listen("tcp", "127.0.0.1:0")
    front = tls.listen("tcp", "127.0.0.1:0", server_context(cert, key))
    async with behind, front:
        gopark.go(shout, behind)
        gopark.go(serve, front, behind.addr)
        trusting = ssl.create_default_context(cafile=cert)
        async with await tls.dial("tcp", f"localhost:{front.addr.port}", trusting) as conn:
            await conn.write(b"is anybody there?")
            await conn.close_write()
            print(await net.Reader(conn).read_all())


def server_context(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def main(cert: str, key: str, address: str, backend: str) -> None:
    with tls.listen("tcp", address, server_context(cert, key)) as ln:
        await serve(ln, backend)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        gopark.run(main, *sys.argv[1:])
    else:
        with tempfile.TemporaryDirectory() as name:
            gopark.run(demo, name)
