"""`future.wait` with Ray and with Dask, by hand: python -m tests.compat.futures ray|dask

Results, errors, a wait that a timeout ends, and what a wait costs beside `fut.result()`: processor
time of this process per task, eight in flight against eight that were submitted before.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import gopark
from gopark import future

FLIGHT = 8
COUNT = 104


def square(x: int) -> int:
    return x * x


def fails() -> None:
    raise ValueError("no good")


def sleeps() -> None:
    time.sleep(1)


Submit = Callable[..., Any]


@contextmanager
def dask() -> Iterator[Submit]:
    distributed: Any = importlib.import_module("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield lambda fn, *args: client.submit(fn, *args, pure=False)


@contextmanager
def ray() -> Iterator[Submit]:
    ray: Any = importlib.import_module("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    known = {fn: ray.remote(fn) for fn in (square, fails, sleeps)}
    try:
        yield lambda fn, *args: known[fn].remote(*args).future()
    finally:
        ray.shutdown()


async def behaves(submit: Submit) -> None:
    async with gopark.sync.errgroup.Group() as g:
        tasks = [g.go(future.wait, submit(square, n)) for n in range(20)]
    assert [task.result() for task in tasks] == [n * n for n in range(20)]
    with pytest.raises(ValueError, match="no good"):
        await future.wait(submit(fails))
    with pytest.raises(TimeoutError), gopark.timeout(0.2):
        await future.wait(submit(sleeps))


async def waits(submit: Submit) -> float:
    left = iter(range(COUNT))

    async def work() -> None:
        for n in left:
            await future.wait(submit(square, n))

    began = time.process_time()
    await gopark.gather(*(work() for _ in range(FLIGHT)))
    return time.process_time() - began


def results(submit: Submit) -> float:
    began = time.process_time()
    for first in range(0, COUNT, FLIGHT):
        for fut in [submit(square, n) for n in range(first, first + FLIGHT)]:
            fut.result()
    return time.process_time() - began


def main() -> None:
    """Run it."""
    with {"ray": ray, "dask": dask}[sys.argv[1]]() as submit:
        gopark.run(behaves, submit)
        print("results, errors and a timeout: well")
        pairs = [(gopark.run(waits, submit), results(submit)) for _ in range(4)][1:]
        ours, theirs = (1e6 * statistics.median(side) / COUNT for side in zip(*pairs, strict=True))
        print(f"future.wait {ours:.0f} us, fut.result() {theirs:.0f} us: {theirs / ours:.2f}x")


if __name__ == "__main__":
    main()
