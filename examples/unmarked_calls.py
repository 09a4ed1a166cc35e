"""Calls that block their thread, and functions that compute, beside a clock that ticks on.

None of the goroutines here says what it is about to do: no `cgo.call`, no executor, no
`gosched`. The runtime notices which thread does not come back, and gives its turn to others.

    python examples/unmarked_calls.py
"""

from __future__ import annotations

import time

import gopark
from gopark import Chan
from gopark import time as gotime

QUERIES = 30
SECONDS = 0.1  # that each query takes; one after the other they would need three seconds
CRUNCHERS = 12
TICK = 0.01


async def query(number: int, answers: Chan[int]) -> None:
    """As a database driver would: the thread sleeps in C until the answer is there."""
    time.sleep(SECONDS)
    await answers.send(number)


def crunch(stop: list[bool], results: Chan[int]) -> None:
    """Compute until told to stop, and never look up in between."""
    rounds = 0
    while not stop:
        rounds += 1
    gopark.block(results.send(rounds))


async def tick(ticks: list[float], stop: list[bool]) -> None:
    """Note the time now and then; it would stand still if anybody could hold it up."""
    while not stop:
        ticks.append(time.monotonic())
        await gotime.sleep(TICK)


async def main() -> None:
    ticks: list[float] = []
    stop: list[bool] = []
    gopark.go(tick, ticks, stop)

    answers = Chan[int]()
    began = time.monotonic()
    for number in range(QUERIES):
        gopark.go(query, number, answers)
    numbers = sorted([await answers.recv() or 0 for _ in range(QUERIES)])
    took = time.monotonic() - began
    print(f"{len(numbers)} queries were answered, none of which was marked as blocking")
    print("they took less than half of the time they need in a row:", took < QUERIES * SECONDS / 2)
    print("the clock ticked meanwhile:", len(ticks) > 2)

    results = Chan[int]()
    for _ in range(CRUNCHERS):
        gopark.go(crunch, stop, results)
    before = len(ticks)
    while len(ticks) < before + 20:
        await gotime.sleep(TICK)
    stop.append(True)
    rounds = [await results.recv() or 0 for _ in range(CRUNCHERS)]
    print(f"{CRUNCHERS} goroutines computed, and the clock ticked 20 times beside them")
    print("all of them came to an end once they were told to:", len(rounds) == CRUNCHERS)


if __name__ == "__main__":
    gopark.run(main)
