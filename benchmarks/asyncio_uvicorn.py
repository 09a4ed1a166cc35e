"""uvicorn, as it is, on asyncio's own loop and on gopark's: requests a second, and processor time.

    python -m benchmarks.asyncio_uvicorn [--kinds asgi,fastapi] [--connections 32] [--rounds 9]

Each round runs one after the other, in processes of their own on one core; a ratio is taken round
by round, and its median is shown. Needs uvicorn and httptools, and FastAPI for that kind.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import statistics
from typing import Any

import gopark
import gopark.asyncio as ga
from benchmarks.http_hello import measure
from benchmarks.http_sides import SIDES, Side

LOOPS = ("asyncio", "gopark")
SIDES.update(
    {
        f"uvicorn on {loop}": Side(
            "uvicorn",
            ("asgi", "fastapi"),
            (
                *("benchmarks.asyncio_uvicorn", "--serve", loop, "--app", "{app}"),
                *("--port", "{port}", "[--factory]"),
            ),
        )
        for loop in LOOPS
    }
)


def serve(loop: str, app: str, port: int, factory: bool) -> None:
    uvicorn: Any = importlib.import_module("uvicorn")
    config = uvicorn.Config(
        app,
        port=port,
        factory=factory,
        loop="asyncio",
        http="httptools",
        access_log=False,
        log_level="error",
    )
    server = uvicorn.Server(config)
    if loop == "asyncio":
        asyncio.run(server.serve())
    else:
        gopark.run(ga.call, server.serve())


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", default="asgi,fastapi")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--serve", choices=LOOPS, help="be one of the servers")
    parser.add_argument("--app", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--factory", action="store_true")
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.app, options.port, options.factory)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    for kind in options.kinds.split(","):
        results: dict[str, list[tuple[float, float]]] = {loop: [] for loop in LOOPS}
        for _ in range(options.rounds):
            for loop in LOOPS:
                side = f"uvicorn on {loop}"
                one = measure(side, kind, options.connections, options.seconds, cores[0])
                results[loop].append(one)
        for loop in LOOPS:
            rate = statistics.median(r for r, _ in results[loop])
            cost = statistics.median(c for _, c in results[loop])
            pairs = list(zip(results[loop], results["asyncio"], strict=True))
            dear = statistics.median(a[1] / b[1] for a, b in pairs)
            print(f"{kind:8} {loop:8} {rate:8.0f}/s {cost * 1e6:6.1f} us {dear:6.2f}x", flush=True)
    return None


if __name__ == "__main__":
    main()
