"""Tasks in an execution trace: a lane for each, with its steps and what it awaits between them."""

from __future__ import annotations

import asyncio
import io

import gopark
import gopark.asyncio as ga
import traces
from gopark import trace


def traced(main):
    out = io.StringIO()

    async def traced_main():
        trace.start(out)
        try:
            return await main()
        finally:
            trace.stop()

    gopark.run(traced_main)
    return traces.read(out.getvalue())


def lane(found, name):
    [number] = [
        tid for (pid, tid), n in found.names.items() if pid == traces.ASYNCIO and n == name
    ]
    return found.slices[traces.ASYNCIO, number], found.cats[traces.ASYNCIO, number]


async def goroutine(ch):
    await ch.recv()


def test_a_task_has_its_steps_and_says_what_it_awaits(procs):
    async def inner():
        await asyncio.sleep(0.001)

    async def outer(ch):
        await asyncio.create_task(inner(), name="inner")
        await ga.go(goroutine, ch)

    async def main():
        ch = gopark.Chan()

        async def named():
            await asyncio.create_task(outer(ch), name="outer")

        task = gopark.spawn(ga.call, named())
        await ch.send(None)
        await task

    found = traced(main)
    slices, cats = lane(found, "outer")
    assert cats == ["run", "wait", "run", "wait", "run"]
    names = [name for _, _, name in slices]
    assert names[0] == names[2] == names[4] == "outer"
    assert names[1] == 'awaits task "inner"'
    goid = found.goid("goroutine")
    assert names[3] == f"awaits goroutine {goid}"
    slices, cats = lane(found, "inner")
    assert [(name, cat) for (_, _, name), cat in zip(slices, cats, strict=True)] == [
        ("inner", "run"),
        ("waiting", "wait"),
        ("inner", "run"),
    ]
    runs = [e for e in found.events if e["name"] == "inner" and e.get("cat") == "run"]
    assert runs[0]["args"]["awaited by"] == 'task "outer"'


def test_who_awaits_it_across_the_bridge():
    async def task():
        asyncio.current_task().set_name("asked for")
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)

    async def main():
        await ga.call(task())

    found = traced(main)
    by = [e["args"].get("awaited by") for e in found.events if e["name"] == "asked for"]
    assert "goroutine 1" in by


def test_one_that_ends_at_once_has_a_lane():
    async def quick():
        return 1

    async def main():
        for _ in range(3):
            await ga.call(quick())

    found = traced(main)
    lanes = [n for (pid, _), n in found.names.items() if pid == traces.ASYNCIO]
    assert len(lanes) == 3


def test_when_the_trace_has_ended_the_loop_is_as_before():
    async def main():
        for _ in range(3):
            trace.start(io.StringIO())
            await ga.call(asyncio.sleep(0))
            trace.stop()
            await ga.call(asyncio.sleep(0))
        [loop] = {type(task.get_loop()._ready).__name__ for task in await ga.call(tasks())}
        return loop

    async def tasks():
        return asyncio.all_tasks()

    assert gopark.run(main) == "Ready"


def test_debug_mode_names_what_took_long(caplog):
    async def slow():
        asyncio.get_running_loop().slow_callback_duration = 0.0
        await asyncio.sleep(0)

    async def main():
        async def debug():
            asyncio.get_running_loop().set_debug(True)

        trace.start(io.StringIO())
        try:
            await ga.call(debug())
            await ga.call(slow())
        finally:
            trace.stop()

    gopark.run(main)
    assert "slow" in caplog.text
