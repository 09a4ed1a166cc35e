#!/usr/bin/env bash
# asyncio: whether a server's answers wait for Nagle's algorithm depends on who made its listening
# socket. One from `socket.create_server` costs each answer in two pieces 40 ms and more.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0; uvloop 0.23.0 is free of it. Linux, loopback.
#
# The same server, which answers a request by two small writes, and a client that asks ten times:
#
#     asyncio  start_server(handler, host, port)                           TCP_NODELAY 1
#     asyncio  start_server(handler, sock=socket.create_server(...))       TCP_NODELAY 0, ten waits
#     uvloop   both                                                        TCP_NODELAY 1
#
# asyncio sets TCP_NODELAY where `sock.proto` is IPPROTO_TCP. `create_server` makes its socket without a
# protocol, so `proto` is 0, and what is accepted has that from the listener, though the kernel says
# of it (SO_PROTOCOL) that it is TCP. `start_server` itself asks for IPPROTO_TCP.
#
# The guess: asyncio's sockets have TCP_NODELAY (its documentation says so since 3.6), whoever made them;
# the function of the standard library that makes listening sockets would be the last to change it.
#
# Why it matters: a listener that a supervisor hands down, or that is made before workers are started,
# is such a socket. On loopback and in a data centre everything takes 40 ms that took 0.1.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import socket
import sys
import threading
import time


def ask(port, result):
    with socket.create_connection(("127.0.0.1", port)) as sock:
        began = time.monotonic()
        for _ in range(10):
            sock.sendall(b"?")
            got = b""
            while len(got) < 8:
                got += sock.recv(100)
        result.append((time.monotonic() - began) / 10)


async def answer(reader, writer):
    sock = writer.get_extra_info("socket")
    answer.nodelay = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    answer.kernel = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    while await reader.read(1):
        writer.write(b"head")
        writer.write(b"body")
    writer.close()


async def main(made):
    where = {"sock": socket.create_server(("127.0.0.1", 0))} if made else {"host": "127.0.0.1", "port": 0}
    server = await asyncio.start_server(answer, **where)
    port = server.sockets[0].getsockname()[1]
    result = []
    thread = threading.Thread(target=ask, args=(port, result))
    thread.start()
    await asyncio.to_thread(thread.join)
    server.close()
    assert answer.kernel == socket.IPPROTO_TCP
    return answer.nodelay, result[0]


def factory(name):
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def run(name, made):
    with asyncio.Runner(loop_factory=factory(name)) as runner:
        return runner.run(main(made))


for name in sys.argv[1:]:
    for made in (False, True):
        nodelay, seconds = run(name, made)
        print(name, "create_server" if made else "host, port", "TCP_NODELAY", nodelay, f"{seconds * 1000:.1f} ms")
        slow = name == "asyncio" and made
        assert nodelay == (0 if slow else 1), nodelay
        if slow:
            assert seconds > 0.02, seconds
PY

"$(venv 3.11 uvloop==0.23.0)" "$dir/t.py" asyncio uvloop
for at in 3.12 3.13; do
    python=$(need "$at")
    "$python" "$dir/t.py" asyncio
done
