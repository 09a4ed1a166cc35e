"""Goroutines in every state, and whether the metrics say so. Go: testprog/schedmetrics.go."""

import os
import threading
import time

import gopark
from gopark import metrics
from registry import register

COUNT, SLACK = 10, 4
STATES = ("not-in-go", "runnable", "running", "waiting")


def read() -> dict[str, int]:
    names = {state: f"/sched/goroutines/{state}:goroutines" for state in STATES}
    names["created"] = "/sched/goroutines-created:goroutines"
    names["threads"] = "/sched/threads/total:threads"
    samples = {key: metrics.Sample(name) for key, name in names.items()}
    metrics.read(samples.values())
    return {key: sample.value for key, sample in samples.items()}  # type: ignore[misc]


class Wrong(Exception):
    """A metric is not what it should be."""


def check(found: dict[str, int], key: str, least: int, most: int) -> None:
    if not least <= found[key] <= most:
        raise Wrong(f"{key}: {found[key]} is not {least} to {most}; {found}")


async def until(key: str, least: int) -> dict[str, int]:
    """What is read once it has come so far; a test that waits in vain is ended from outside."""
    while (found := read())[key] < least:
        await gopark.gosched()
    return found


@register("SchedMetrics")
async def schedmetrics() -> None:
    before = gopark.runtime.gomaxprocs(1)
    found = read()
    check(found, "running", 1, 1)
    for key in ("not-in-go", "runnable", "waiting"):
        check(found, key, 0, SLACK)
    await spinning(found["created"])
    await notingo()
    await waiting()
    gopark.runtime.gomaxprocs(before)
    print("OK")


async def spinning(created: int) -> None:
    leave = threading.Event()
    ready: list[None] = []

    async def spin() -> None:
        ready.append(None)
        while not leave.is_set():
            until = time.monotonic() + 0.002
            while time.monotonic() < until and not leave.is_set():
                pass
            await gopark.gosched()

    for _ in range(COUNT):
        gopark.go(spin)
    while len(ready) < COUNT:
        await gopark.gosched()
    check(read(), "created", created + COUNT, created + COUNT)
    gopark.runtime.gomaxprocs(COUNT + 4)
    found = await until("running", COUNT)
    check(found, "running", COUNT, COUNT + 4)
    check(found, "threads", COUNT, COUNT + 4 + 5 + COUNT)
    gopark.runtime.gomaxprocs(1)
    found = await until("runnable", COUNT - 1)
    check(found, "running", 1, 1)
    check(found, "runnable", COUNT - 1, COUNT + SLACK)
    leave.set()


async def notingo() -> None:
    r, w = os.pipe()
    for _ in range(COUNT):
        gopark.go(os.read, r, 1)
    found = await until("not-in-go", COUNT)
    check(found, "not-in-go", COUNT, COUNT + SLACK)
    os.write(w, bytes(COUNT))
    while gopark.runtime.num_goroutine() > 1:
        await gopark.gosched()
    os.close(r)
    os.close(w)


async def waiting() -> None:
    stop = gopark.Chan[None]()
    for _ in range(1000):
        gopark.go(stop.recv)
    found = await until("waiting", 1000)
    check(found, "waiting", 1000, 1000 + SLACK + 2)
    stop.close()
