"""Clients on `/` while others sit in a handler that blocks its thread for 0.3 s.

    python -m benchmarks.http_blocked                       all sides that are installed
    python -m benchmarks.http_blocked --kinds asgi --sides gopark,uvicorn --blocked 0,8,64

For each side how long `/` takes, and how many answers it gives, while so many connections ask for
nothing but `/blocked`; with none it is quiet.
"""

from __future__ import annotations

import argparse
import os

from benchmarks.http_sides import SIDES, Client, Server, installed, quantile


def measure(
    side: str, kind: str, clients: int, blocked: int, seconds: float, core: int
) -> tuple[list[float], list[float]]:
    """How long the answers of `/` took, and those of the handler that blocks."""
    server = Server(side, kind, core)
    try:
        client = Client(server.port, {"/": clients, "/blocked": blocked})
        client.run(1.0)
        took = client.run(seconds)
        client.close()
        return took["/"], took.get("/blocked", [])
    finally:
        server.end()


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", default="asgi,wsgi,fastapi")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--blocked", default="0,8,64")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    for kind in options.kinds.split(","):
        print(f"{kind}, {options.clients} clients on /: p50, p99, worst in ms, answers a second")
        for side in options.sides.split(","):
            if kind not in SIDES[side].kinds or not installed(side):
                continue
            for blocked in map(int, options.blocked.split(",")):
                fast, slow = measure(
                    side, kind, options.clients, blocked, options.seconds, cores[0]
                )
                p50, p99, worst = (quantile(fast, q) * 1e3 for q in (0.5, 0.99, 1.0))
                print(
                    f"  {side:18} {blocked:3} blocked {p50:9.2f} {p99:9.2f} {worst:9.2f} "
                    f"{len(fast) / options.seconds:8.0f}/s, of /blocked "
                    f"{len(slow) / options.seconds:6.1f}/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
