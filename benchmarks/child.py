"""One measurement in a process of its own, as JSON on stdout. Used by the driver.

python -m benchmarks.child about
python -m benchmarks.child prepare PEER...
python -m benchmarks.child WORKLOAD SIDE N
python -m benchmarks.child serve              each line of stdin is WORKLOAD N, on gopark
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from typing import Any

from benchmarks.measure import Sample, SkipWorkload

__all__ = ("about", "leave", "measure", "prepare", "serve")


def about() -> dict[str, Any]:
    """The interpreter, as far as it matters to the figures, and what can be measured."""
    import gopark
    from benchmarks.names import PEERS
    from benchmarks.peers import gil_is_off, missing, version
    from benchmarks.workloads import NAMES, load

    absent = {peer: why for peer in PEERS if (why := missing(peer))}
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "free_threaded": gil_is_off(),
        "gomaxprocs": gopark.runtime.gomaxprocs(),
        "peers": {peer: version(peer) for peer in PEERS if peer not in absent},
        "absent": absent,
        "workloads": [
            {"name": w.name, "n": w.n, "quick": w.quick, "group": w.group, "rows": w.rows}
            | {"main": w.main, "sides": list(w.sides)}
            for w in map(load, NAMES)
        ],
    }


def prepare(peers: list[str]) -> dict[str, str]:
    """Build what those peers need, so that no measurement has to; what failed, and why."""
    failed = {}
    for peer in peers:
        try:
            if peer == "Go":
                from benchmarks import golang

                for cgo in (False, True):
                    golang.binary(cgo)
            elif peer == "cffi":
                from benchmarks import cthreads_cffi

                cthreads_cffi.build()
        except SkipWorkload as reason:
            failed[peer] = str(reason)
    return failed


def measure(name: str, side: str, n: int) -> dict[str, Any]:
    """Run one side of one workload: its samples by row, or why it cannot run here."""
    from benchmarks.peers import gil_is_off
    from benchmarks.workloads import load

    workload = load(name)
    free = gil_is_off()
    start = time.perf_counter()
    try:
        result = workload.sides[side](n)
    except SkipWorkload as reason:
        return {"skipped": str(reason)}
    rows = {"": result} if isinstance(result, Sample) else result
    return {
        "rows": {key: {"wall": s.wall, "cpu": s.cpu} for key, s in rows.items()},
        "took": time.perf_counter() - start,
        # Importing a module that does not say it can do without turns the GIL on for good.
        "gil_came_back": free and not gil_is_off(),
    }


def serve() -> None:
    """One answer for each line, on a line of its own, until there are no more."""
    for line in sys.stdin:
        name, n = line.split()
        print(json.dumps(measure(name, "gopark", int(n))), flush=True)


def leave(side: str) -> None:
    """End the process, for a peer without the interpreter's shutdown.

    It has been measured by then, and some take seconds to let go of what is still parked, wait
    for it, or crash (TonIO 0.10 does, while its pool for blocking calls has threads).
    """
    sys.stdout.flush()
    if side.partition(", ")[0] not in ("gopark", "asyncio"):
        os._exit(0)


def main(argv: list[str]) -> None:
    if argv == ["about"]:
        print(json.dumps(about()))
    elif argv == ["serve"]:
        serve()
    elif argv[:1] == ["prepare"]:
        print(json.dumps(prepare(argv[1:])))
    else:
        name, side, n = argv
        print(json.dumps(measure(name, side, int(n))))
        leave(side)


if __name__ == "__main__":
    main(sys.argv[1:])
