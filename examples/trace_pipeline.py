"""A pipeline that is traced: three stages, one of them slow, and what the trace says of it.

python examples/trace_pipeline.py trace.json      and open trace.json in ui.perfetto.dev
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter

import gopark
from gopark import context, trace

WORK = 0.002  # seconds that the slow stage takes for one item


async def numbers(out: gopark.Chan[int]) -> None:
    for n in range(5):
        await out.send(n)
    out.close()


async def slow(ctx: context.Context, inp: gopark.Chan[int], out: gopark.Chan[int]) -> None:
    async for n in inp:
        with trace.region(ctx, "square"):
            await gopark.time.sleep(WORK)
        await out.send(n * n)
    out.close()


async def main(path: str) -> None:
    trace.start(path)
    ctx, task = trace.new_task(context.background(), "pipeline")
    first, second = gopark.Chan[int](), gopark.Chan[int]()
    gopark.go(numbers, first)
    gopark.go(slow, ctx, first, second)
    with task:
        total = 0
        async for n in second:
            trace.log(ctx, "got", str(n))
            total += n
    trace.stop()
    print("the sum of the squares:", total)


def summary(path: str) -> None:
    """What each goroutine waited for. Perfetto draws it; here it is counted."""
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    waits: Counter[tuple[str, str]] = Counter()
    for e in events:
        if e.get("cat") == "wait":
            waits[names[e["pid"], e["tid"]].split()[-1], e["name"]] += 1
    for (function, reason), count in sorted(waits.items()):
        print(f"{function} waited in {reason!r} {count} times")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        gopark.run(main, sys.argv[1])
        summary(sys.argv[1])
    else:
        with tempfile.NamedTemporaryFile(suffix=".json") as made:
            gopark.run(main, made.name)
            summary(made.name)
