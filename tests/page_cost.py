"""What a look at all goroutines costs: `python tests/page_cost.py [N ...]`."""

from __future__ import annotations

import sys
import threading
import time

import gopark
from gopark._debug._look import Look, look


async def leaf(ch: gopark.Chan[None]) -> None:
    await ch.recv()


async def branch(ch: gopark.Chan[None]) -> None:
    await leaf(ch)


def looked(found: list[Look]) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    return thread


async def pauses(thread: threading.Thread) -> float:
    """The longest time between two turns of a goroutine that yields."""
    longest, last = 0.0, time.perf_counter()
    while thread.is_alive():
        await gopark.gosched()
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def main(n: int) -> None:
    ch = gopark.Chan[None]()
    for _ in range(n):
        gopark.go(branch, ch)
    await gopark.time.sleep(n / 50_000)
    found: list[Look] = []
    look()  # the first makes the frame objects
    thread = looked(found)
    gopark.cgo.call(thread.join)
    longest = await pauses(looked(found))
    idle, busy = found
    assert idle.total == busy.total == n + 1
    nobody = threading.Thread(target=time.sleep, args=(busy.took,))
    nobody.start()
    without = await pauses(nobody)
    times = f"{idle.took:.2g} s | {busy.took:.2g} s"
    print(f"| {n:,} | {times} | {longest * 1000:.0f} ms | {without * 1000:.0f} ms |")


for arg in sys.argv[1:] or ("1000", "10000", "100000"):
    gopark.run(main, int(arg))
