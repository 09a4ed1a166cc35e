"""What `socket.accept` costs, and what net's listener does in its place.

    python -m benchmarks.micro_accept

Processor time of one accepted connection, made non-blocking, in the median of interleaved rounds.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable

from benchmarks.measure import machine
from gopark.net._stream import _acceptor

ROUNDS, EACH = 50, 200


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2 * EACH) as server:
        server.setblocking(False)
        ways: dict[str, Callable[[], tuple[socket.socket, object]]] = {
            "socket.accept": server.accept,
            "net.Listener": _acceptor(server),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, accept in ways.items():
                spent[name].append(_round(server.getsockname(), accept))
    print(machine())
    for name, times in spent.items():
        print(f"{name:14} {statistics.median(times) * 1e6:6.2f} us")


def _round(address: object, accept: Callable[[], tuple[socket.socket, object]]) -> float:
    clients = [socket.socket() for _ in range(EACH)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(address)  # type: ignore[arg-type]
    accepted = []
    began = time.thread_time()
    for _ in range(EACH):
        sock, _addr = accept()
        sock.setblocking(False)
        accepted.append(sock)
    spent = (time.thread_time() - began) / EACH
    for sock in clients + accepted:
        sock.close()
    return spent


if __name__ == "__main__":
    main()
