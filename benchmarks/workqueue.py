"""Work queues beside what one would use without them, as processor time per value.

    python -m benchmarks.workqueue [--rounds 5] [--count 3000] [--server nats-server] [NAME ...]

    nats-send-100, nats-send-1    a send that the server confirms, 100 in flight or one; nats-py
    nats-recv-100, nats-recv-1    receive, and an acknowledgement that the server has confirmed
    local                         a parent sends, two workers receive; multiprocessing.Queue, which
                                  has no acknowledgements, all processes counted
    future-100, future-1          a pool of two processes: future.wait and fut.result()

Each side is a process of its own, the two take turns, and what is printed is the median. Above 1
the queue costs less than the other. Without nats-py and a server the first four are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import gopark
from gopark import future, workqueue

__all__ = ("main",)

VALUE = {"order": 17, "items": ["a", "b", "c"], "text": "x" * 60}


class Watch:
    """Processor time of this process, from one moment to the end."""

    def __init__(self) -> None:
        self.began = time.process_time()

    def tell(self, n: int) -> None:
        print(json.dumps(1e6 * (time.process_time() - self.began) / n))


# --- NATS ---------------------------------------------------------------------------------------


async def _send_ours(url: str, count: int, flight: int) -> None:
    async with await workqueue.open(f"s{os.getpid()}", url, cap=10**6) as q:
        left = iter(range(count))

        async def send() -> None:
            for _ in left:
                await q.send(VALUE)

        await send_some(q, 100)
        watch = Watch()
        await gopark.gather(*(send() for _ in range(flight)))
        watch.tell(count)
        await q.purge()


async def send_some(q: workqueue.Queue[Any], n: int) -> None:
    await gopark.gather(*(q.send(VALUE) for _ in range(n)))


async def _bare(url: str) -> tuple[Any, Any, str]:
    nats: Any = importlib.import_module("nats")
    api: Any = importlib.import_module("nats.js.api")
    nc = await nats.connect(url)
    js = nc.jetstream()
    name = f"bare{os.getpid()}"
    await js.add_stream(
        name=name, subjects=[name], retention=api.RetentionPolicy.WORK_QUEUE, max_msgs=10**6
    )
    return nc, js, name


async def _send_bare(url: str, count: int, flight: int) -> None:
    nc, js, name = await _bare(url)
    left = iter(range(count))

    async def send() -> None:
        for _ in left:
            await js.publish(name, json.dumps(VALUE).encode())

    await asyncio.gather(*(js.publish(name, b"1") for _ in range(100)))
    watch = Watch()
    await asyncio.gather(*(send() for _ in range(flight)))
    watch.tell(count)
    await js.delete_stream(name)
    await nc.close()


async def _recv_ours(url: str, count: int, flight: int) -> None:
    async with await workqueue.open(f"r{os.getpid()}", url, cap=10**6, prefetch=flight) as q:
        for _ in range(count // 100):
            await send_some(q, 100)
        await q.close()

        async def work() -> None:
            async for d in q:
                async with d:
                    pass

        watch = Watch()
        await gopark.gather(*(work() for _ in range(flight)))
        watch.tell(count // 100 * 100)


async def _recv_bare(url: str, count: int, flight: int) -> None:
    nc, js, name = await _bare(url)
    data = json.dumps(VALUE).encode()
    for _ in range(count // 100):
        await asyncio.gather(*(js.publish(name, data) for _ in range(100)))
    sub = await js.pull_subscribe(name, "workers")
    done, whole = 0, count // 100 * 100
    watch = Watch()
    while done < whole:
        msgs = await sub.fetch(flight, timeout=5)
        for msg in msgs:
            json.loads(msg.data)
        await asyncio.gather(*(msg.ack_sync() for msg in msgs))
        done += len(msgs)
    watch.tell(whole)
    await js.delete_stream(name)
    await nc.close()


# --- local --------------------------------------------------------------------------------------

_WORKER = """
import os, sys, time, gopark
from gopark import workqueue
async def main():
    async with await workqueue.open("bench", sys.argv[1], prefetch=100) as q:
        began = time.process_time()
        async def work():
            async for d in q:
                async with d:
                    pass
        await gopark.gather(*(work() for _ in range(100)))
        spent = time.process_time() - began
    print(spent, file=open(f"{sys.argv[2]}/{os.getpid()}", "w"))
gopark.run(main)
"""


def _spent(began: float, folder: str) -> float:
    """Processor time of this process since then, and of the workers from when they are ready."""
    return time.process_time() - began + sum(float(p.read_text()) for p in Path(folder).iterdir())


def _local_ours(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as times:
        began = 0.0

        async def main() -> None:
            nonlocal began
            async with await workqueue.open("bench", f"local:{folder}") as q:
                workers = [
                    subprocess.Popen([sys.executable, "-c", _WORKER, f"local:{folder}", times])
                    for _ in range(2)
                ]
                began = time.process_time()
                for _ in range(count):
                    await q.send(VALUE)
                await q.close()
                await gopark.spawn(lambda: [worker.wait() for worker in workers])

        gopark.run(main)
        return _spent(began, times)


def _mp_worker(q: Any, times: str) -> None:
    began = time.process_time()
    while q.get() is not None:
        pass
    Path(times, str(os.getpid())).write_text(str(time.process_time() - began))


def _local_mp(count: int) -> float:
    with tempfile.TemporaryDirectory() as times:
        context = multiprocessing.get_context("spawn")
        q = context.Queue(1024)
        workers = [context.Process(target=_mp_worker, args=(q, times)) for _ in range(2)]
        for worker in workers:
            worker.start()
        began = time.process_time()
        for _ in range(count):
            q.put(VALUE)
        for _ in workers:
            q.put(None)
        for worker in workers:
            worker.join()
        return _spent(began, times)


# --- futures ------------------------------------------------------------------------------------


def _future_ours(count: int, flight: int) -> None:
    async def main() -> None:
        left = iter(range(count))
        with ProcessPoolExecutor(2) as pool:

            async def work() -> None:
                for n in left:
                    await future.wait(pool.submit(abs, n))

            await future.wait(pool.submit(abs, 1))
            watch = Watch()
            await gopark.gather(*(work() for _ in range(flight)))
            watch.tell(count)

    gopark.run(main)


def _future_result(count: int, flight: int) -> None:
    with ProcessPoolExecutor(2) as pool:
        pool.submit(abs, 1).result()
        watch = Watch()
        for first in range(0, count, flight):
            for fut in [pool.submit(abs, n) for n in range(first, min(first + flight, count))]:
                fut.result()
        watch.tell(count)


# --- the sides ----------------------------------------------------------------------------------


def _side(name: str, ours: bool, url: str, count: int) -> None:
    what, _, flight = name.rpartition("-")
    if name == "local":
        spent = _local_ours(10 * count) if ours else _local_mp(10 * count)
        print(json.dumps(1e6 * spent / (10 * count)))
    elif what == "future":
        (_future_ours if ours else _future_result)(count, int(flight))
    elif what == "nats-send":
        if ours:
            gopark.run(_send_ours, url, count, int(flight))
        else:
            asyncio.run(_send_bare(url, count, int(flight)))
    elif ours:
        gopark.run(_recv_ours, url, count, int(flight))
    else:
        asyncio.run(_recv_bare(url, count, int(flight)))


def _measured(name: str, ours: bool, url: str, count: int) -> float:
    """Microseconds of a value."""

    args = ["--side", "ours" if ours else "theirs", "--url", url, "--count", str(count), name]
    command = [sys.executable, "-m", "benchmarks.workqueue", *args]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


class _Server:
    """A nats-server of our own, with what it stores in a folder that goes with it."""

    def __init__(self, program: str) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.url = f"nats://127.0.0.1:{port}"
        self._folder = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            [program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", self._folder],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"{program} does not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


NAMES = (
    "nats-send-100",
    "nats-send-1",
    "nats-recv-100",
    "nats-recv-1",
    "local",
    "future-100",
    "future-1",
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="*", default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=3000)
    beside = Path(sys.executable).parent / "nats-server"
    parser.add_argument("--server", default=str(beside) if beside.exists() else "nats-server")
    parser.add_argument("--url", default="")
    parser.add_argument("--side", choices=("ours", "theirs"))
    options = parser.parse_args()
    if options.side:
        _side(options.name[0], options.side == "ours", options.url, options.count)
        return
    has = importlib.util.find_spec("nats") is not None and shutil.which(options.server) is not None
    server = _Server(options.server) if has else None
    try:
        print(f"{sys.version.split()[0]}: microseconds of processor time per value, medians")
        for name in options.name:
            if name.startswith("nats") and server is None:
                print(f"{name:14} left out: no nats-py, or no nats-server")
                continue
            url = "" if server is None else server.url
            pairs = [
                [_measured(name, ours, url, options.count) for ours in (True, False)]
                for _ in range(options.rounds)
            ]
            ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(f"{name:14} {ours:8.1f} beside {theirs:8.1f}   {theirs / ours:5.2f}x", flush=True)
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
