"""Tasks, regions and messages, beyond what Go's tests pin down."""

from __future__ import annotations

import io

import pytest

import gopark
import traces
from gopark import trace

BACKGROUND = gopark.context.background()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: trace.new_task(None, "x"), r"new_task\(\) needs a context, got None"),
        (lambda: trace.new_task(BACKGROUND, 7), "new_task: the name must be a string, got 7"),
        (lambda: trace.region(7, "x"), r"region\(\) needs a context, got 7"),
        (lambda: trace.start_region(BACKGROUND, None), "start_region: the name must be a string"),
        (lambda: trace.with_region(BACKGROUND, b"x", print), "region: the name must be a string"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(TypeError, match=text):
        call()


async def traced(body):
    out = io.BytesIO()
    trace.start(out)
    try:
        await body()
    finally:
        trace.stop()
    return traces.read(out.getvalue())


async def test_wrong_messages():
    async def body():
        with pytest.raises(TypeError, match=r"log\(\) needs a context, got 1"):
            trace.log(1, "a", "b")
        with pytest.raises(TypeError, match="log: the message must be a string, got 2"):
            trace.log(BACKGROUND, "a", 2)

    assert (await traced(body)).logs() == []


async def test_a_block_that_raises_ends_its_region():
    async def body():
        with pytest.raises(ValueError, match="oops"), trace.region(BACKGROUND, "r"):
            raise ValueError("oops")
        with trace.region(BACKGROUND, "after"):
            pass

    assert [r[2] for r in (await traced(body)).regions[1]] == ["r", "after"]


async def test_regions_across_the_ends_of_a_trace():
    """One that began before the trace is not in it; one that is open at its end ends there."""
    early = trace.start_region(BACKGROUND, "early")

    async def body():
        early.end()
        trace.start_region(BACKGROUND, "late")

    assert [r[2] for r in (await traced(body)).regions[1]] == ["late"]


async def test_regions_that_do_not_nest():
    async def body():
        outer = trace.start_region(BACKGROUND, "outer")
        inner = trace.start_region(BACKGROUND, "inner")
        outer.end()
        inner.end()

    assert [r[2] for r in (await traced(body)).regions[1]] == ["inner", "outer"]


async def test_tasks_end_once():
    async def body():
        _, task = trace.new_task(BACKGROUND, "once")
        task.end()
        task.end()
        trace.new_task(BACKGROUND, "open")

    found = await traced(body)
    assert sorted(name for _, _, name in found.tasks.values()) == ["once", "open"]


async def test_a_task_from_before_the_trace():
    ctx, task = trace.new_task(BACKGROUND, "old")

    async def body():
        trace.log(ctx, "c", "m")
        task.end()

    found = await traced(body)
    assert found.tasks == {}
    assert found.logs() == [("c", "m")]


async def test_results_pass_through():
    async def seven():
        return 7

    assert trace.with_region(BACKGROUND, "r", lambda: 7) == 7
    assert await trace.with_region(BACKGROUND, "r", seven) == 7


async def test_a_coroutine_that_a_plain_function_returns_runs_in_the_region():
    async def inner():
        with trace.region(BACKGROUND, "inner"):
            return 7

    async def body():
        assert await trace.with_region(BACKGROUND, "r", lambda: inner()) == 7

    # The call itself, which makes it, and what is awaited.
    assert [r[2] for r in (await traced(body)).regions[1]] == ["r", "inner", "r"]


def test_outside_of_goroutines():
    out = io.StringIO()
    trace.start(out)
    with trace.region(BACKGROUND, "nobody's"):
        trace.log(BACKGROUND, "", "hello")
    trace.stop()
    found = traces.read(out.getvalue())
    assert found.logs() == [("log", "hello")]
    assert [r[2] for r in found.regions[0]] == ["nobody's"]
