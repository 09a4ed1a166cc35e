"""Processes are killed and stopped at random moments, the server or the keeper among them.

What was confirmed to a sender is done, all of it; what is done twice is counted and shown. With
GOPARK_STRESS_JOBS=10000 as many jobs are sent; GOPARK_STRESS_SEED repeats a run as far as the
choices go, for when things happen is up to the machine.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import gopark
import natsservers
import queueprocs as procs
from gopark import workqueue

JOBS = int(os.environ.get("GOPARK_STRESS_JOBS", "600"))
SEED = int(os.environ.get("GOPARK_STRESS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
LEASE = 1.0
SETTINGS = {"lease": LEASE, "tries": 1000, "cap": 100}
WORKERS = 3


class Crowd:
    """Senders and workers of one queue, and what becomes of them."""

    def __init__(self, url: str, folder: Path, server: natsservers.Server | None) -> None:
        self.rng = random.Random(SEED)
        self.url = url
        self.sent = folder / "sent"
        self.done = folder / "done"
        self.server = server
        self.workers = [self.worker() for _ in range(WORKERS)]
        self.first = 0  # number that nobody was given to send
        self.sender = self.next_sender()
        self.events: Counter[str] = Counter()

    def worker(self) -> subprocess.Popen[str]:
        return procs.start("worker.py", self.url, "jobs", self.done)

    def next_sender(self) -> subprocess.Popen[str]:
        first, self.first = self.first, self.first + 1_000_000
        return procs.start("sender.py", self.url, "jobs", self.sent, first, 1_000_000)

    def misfortune(self) -> None:
        """One that the seed decides on."""
        whats = ["sender", "worker", "worker", "stop", "server"]
        if self.server is None:
            whats.remove("server")  # one of these keeps the queue, and then another
        what = self.rng.choice(whats)
        self.events[what] += 1
        if what == "sender":
            kill(self.sender)
            self.sender = self.next_sender()
        elif what == "worker":
            at = self.rng.randrange(WORKERS)
            kill(self.workers[at])
            self.workers[at] = self.worker()
        elif what == "stop":
            one = self.rng.choice(self.workers)
            one.send_signal(signal.SIGSTOP)
            time.sleep(1.5 * LEASE)
            one.send_signal(signal.SIGCONT)
        elif self.server is not None:
            self.server.kill()
            time.sleep(self.rng.random())
            self.server.start()

    def run(self, jobs: int) -> None:
        while (n := len(procs.numbers(self.sent))) < jobs or self.events.total() < jobs // 200:
            time.sleep(self.rng.random() * 0.3)
            self.misfortune()
            if n > jobs // 2 and self.events.total() > 40:
                time.sleep(0.2)  # the machine is slow: let them come to something
        kill(self.sender)

    def end(self) -> None:
        for worker in self.workers:
            try:
                out, err = worker.communicate(timeout=40)
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGQUIT)  # it shows where it hangs
                out, err = worker.communicate()
                err += f"\n{gopark.run(_holds, self.url)}"
            # asyncio's debug mode says on stderr that it was stopped: that is no fault
            assert (worker.returncode, out) == (0, ""), f"seed {SEED}: {err}"


def kill(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("kind", ["local", *natsservers.KINDS])
def test_nothing_that_was_confirmed_is_lost(kind, tmp_path, capsys, monkeypatch):
    server = None
    if kind != "local":
        if why := natsservers.missing(kind):
            pytest.skip(why)
        server = natsservers.Server(kind).start()
    url = f"local:{tmp_path}/q" if server is None else server.url
    monkeypatch.setenv("QUEUE_SETTINGS", json.dumps(SETTINGS))
    try:
        crowd = Crowd(url, tmp_path, server)
        try:
            crowd.run(JOBS)
            gopark.run(_closed, url)
            crowd.end()
        finally:
            for one in (crowd.sender, *crowd.workers):
                if one.poll() is None:
                    kill(one)
        sent, done = procs.numbers(crowd.sent), Counter(procs.numbers(crowd.done))
        lost = set(sent) - set(done)
        twice = sum(n - 1 for n in done.values())
        with capsys.disabled():
            print(
                f"\n{kind}, seed {SEED}: {len(sent)} sent, {len(lost)} lost, {twice} done twice; "
                + ", ".join(f"{n} {what}" for what, n in sorted(crowd.events.items())),
                file=sys.stderr,
            )
        assert not lost, f"seed {SEED}"
        assert gopark.run(_left, url) == 0, f"seed {SEED}"
    finally:
        if server is not None:
            server.stop()


async def _closed(url: str) -> None:
    q = await workqueue.open("jobs", url)
    await q.close()
    await q.leave()


async def _holds(url: str) -> Any:
    async with await workqueue.open("jobs", url) as q:
        found: list[Any] = [await q.stats()]
        if not url.startswith("local"):
            backend: Any = q._backend
            found.append(await backend._api("CONSUMER.INFO.GOPARK_jobs.workers"))
        return found


async def _left(url: str) -> int:
    async with await workqueue.open("jobs", url) as q:
        stats = await q.stats()
        return stats.waiting + stats.leased + stats.dead
