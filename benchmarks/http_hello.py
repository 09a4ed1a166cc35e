"""Hello, world over HTTP/1.1: requests a second, and what one costs a server.

    python -m benchmarks.http_hello                              all sides that are installed
    python -m benchmarks.http_hello --kinds asgi,fastapi --sides gopark,uvicorn --rounds 5

All have `Date` and `Server` on, their limits, and the access log off. The rounds are interleaved,
and a ratio is taken round by round against the first side. Where handlers block: http_blocked.py.
"""

from __future__ import annotations

import argparse
import os
import statistics

from benchmarks.http_sides import SIDES, Client, Server, installed


def measure(
    side: str, kind: str, connections: int, seconds: float, core: int
) -> tuple[float, float]:
    """Requests per second, and seconds of processor time for each."""
    server = Server(side, kind, core)
    try:
        client = Client(server.port, {"/": connections})
        client.run(0.3)
        before = server.spent()
        done = len(client.run(seconds)["/"])
        cpu = server.spent() - before
        client.close()
        return done / seconds, cpu / done
    finally:
        server.end()


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", default="asgi,wsgi,fastapi")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--connections", default="1,32,256")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    for kind in options.kinds.split(","):
        sides = [s for s in options.sides.split(",") if kind in SIDES[s].kinds and installed(s)]
        for n in map(int, options.connections.split(",")):
            results: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side in sides:
                    results[side].append(measure(side, kind, n, options.seconds, cores[0]))
            print(f"{kind}, {n} connections: requests a second, processor time each, ratios")
            for side in sides:
                rate = statistics.median(r for r, _ in results[side])
                cost = statistics.median(c for _, c in results[side])
                pairs = list(zip(results[side], results[sides[0]], strict=True))
                more = statistics.median(a[0] / b[0] for a, b in pairs)
                dear = statistics.median(a[1] / b[1] for a, b in pairs)
                print(f"  {side:18} {rate:8.0f}/s {cost * 1e6:6.1f} us {more:6.2f}x {dear:6.2f}x")


if __name__ == "__main__":
    main()
