"""One measurement in a process of its own, as JSON on stdout. Used by the driver.

python -m benchmarks.child about
python -m benchmarks.child WORKLOAD SIDE N
"""

from __future__ import annotations

import json
import platform
import sys
from typing import Any

from benchmarks.measure import SkipWorkload

__all__ = ("about", "measure")


def about() -> dict[str, Any]:
    """The interpreter, as far as it matters to the figures, and what can be measured."""
    import gopark
    from benchmarks.workloads import NAMES, load

    gil = getattr(sys, "_is_gil_enabled", None)
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "free_threaded": gil is not None and not gil(),
        "gomaxprocs": gopark.runtime.gomaxprocs(),
        "gopark": gopark.__version__,
        "workloads": [
            {"name": w.name, "title": w.title, "unit": w.unit, "n": w.n, "quick": w.quick}
            | {"sides": list(w.sides)}
            for w in map(load, NAMES)
        ],
    }


def measure(name: str, side: str, n: int) -> dict[str, Any]:
    """Run one side of one workload: its sample, or why it cannot run here."""
    from benchmarks.workloads import load

    try:
        sample = load(name).sides[side](n)
    except SkipWorkload as reason:
        return {"skipped": str(reason)}
    return {"wall": sample.wall, "cpu": sample.cpu}


def main(argv: list[str]) -> None:
    if argv == ["about"]:
        print(json.dumps(about()))
        return
    name, side, n = argv
    print(json.dumps(measure(name, side, int(n))))


if __name__ == "__main__":
    main(sys.argv[1:])
