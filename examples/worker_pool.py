"""A worker pool: jobs go in through one channel, results come out through another.

Closing `jobs` is how the workers learn that there is nothing left; a worker that has drained
it says so on `done`. Whoever has counted all workers out closes `results`, which ends the
loop in main. No locks and no flags.

Hashing a block of this size releases the GIL, and on a free-threaded build everything runs
on all cores; the program is the same.

    python examples/worker_pool.py
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import gopark
from gopark import Chan

WORKERS = 4
JOBS = 8
BLOCK = 1 << 20


class Result(NamedTuple):
    number: int
    digest: str


async def worker(jobs: Chan[int], results: Chan[Result], done: Chan[None]) -> None:
    """Take jobs until there are no more."""
    async for number in jobs:
        digest = hashlib.sha256(bytes([number]) * BLOCK).hexdigest()
        await results.send(Result(number, digest[:12]))
    await done.send(None)


async def close_when_done(done: Chan[None], results: Chan[Result]) -> None:
    """Close `results` once every worker has left."""
    for _ in range(WORKERS):
        await done.recv()
    results.close()


async def produce(jobs: Chan[int]) -> None:
    """Hand out the jobs; the channel's buffer lets the producer be a little ahead."""
    for number in range(JOBS):
        await jobs.send(number)
    jobs.close()


async def main() -> None:
    jobs = Chan[int](WORKERS)
    results = Chan[Result]()
    done = Chan[None]()

    for _ in range(WORKERS):
        gopark.go(worker, jobs, results, done)
    gopark.go(close_when_done, done, results)
    gopark.go(produce, jobs)

    # Results arrive in the order in which they are finished.
    for result in sorted([result async for result in results]):
        print(f"block {result.number}: {result.digest}")


if __name__ == "__main__":
    gopark.run(main)
