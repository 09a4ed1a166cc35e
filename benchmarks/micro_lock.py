"""What it costs to take a free lock and give it back, by what the lock is made of.

    python -m benchmarks.micro_lock

  _thread lock   `acquire()` and `release()`, bound once
  with           the same lock in a `with` statement
  SimpleQueue    a queue of one token: `get()` and `put(None)`, bound once
  list           a list of one token: `pop()` and `append(None)`; it frees and allocates its
                 array each time
  deque          a deque of one token: what a channel's lock is (lockrank.py)
Time: one pair, the medians of interleaved rounds, the empty loop taken off.
"""

from __future__ import annotations

import _thread
import statistics
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from benchmarks.measure import machine

_ROUNDS = 9
_PAIRS = 200_000


def _nothing(n: int) -> None:
    for _ in range(n):
        pass


def _by_lock(n: int) -> None:
    lock = _thread.allocate_lock()
    acquire, release = lock.acquire, lock.release
    for _ in range(n):
        acquire()
        release()


def _by_with(n: int) -> None:
    lock = _thread.allocate_lock()
    for _ in range(n):
        with lock:
            pass


def _by_queue(n: int) -> None:
    queue: SimpleQueue[None] = SimpleQueue()
    queue.put(None)
    get, put = queue.get, queue.put
    for _ in range(n):
        get()
        put(None)


def _by_list(n: int) -> None:
    tokens: list[None] = [None]
    for _ in range(n):
        tokens.pop()
        tokens.append(None)


def _by_deque(n: int) -> None:
    tokens: deque[None] = deque([None])
    for _ in range(n):
        tokens.pop()
        tokens.append(None)


WAYS: dict[str, Callable[[int], None]] = {
    "_thread lock": _by_lock,
    "with": _by_with,
    "SimpleQueue": _by_queue,
    "list": _by_list,
    "deque": _by_deque,
}


def nanoseconds(way: Callable[[int], None], n: int) -> float:
    """Time of one pair."""
    start = time.perf_counter()
    way(n)
    middle = time.perf_counter()
    _nothing(n)
    return (2 * middle - start - time.perf_counter()) / n * 1e9


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(_ROUNDS):
        for name, way in WAYS.items():
            times[name].append(nanoseconds(way, _PAIRS))
    print(machine())
    print(f"{'':18}{'ns per pair':>12}")
    for name in WAYS:
        print(f"{name:18}{statistics.median(times[name]):12.0f}")


if __name__ == "__main__":
    main()
