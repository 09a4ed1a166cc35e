"""Tasks beside goroutines in `gopark top`, on the live page, and in its picture."""

from __future__ import annotations

import asyncio

import pytest

import gopark
import gopark.asyncio as ga
from gopark._cmd._top import page
from gopark._debug import _api, _look
from gopark._debug._graph import graph
from gopark._debug._shared import Shared
from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.sched.snapshot import snapshot


async def stuck(release):
    await release.wait()


async def receives(ch):
    await ch.recv()


async def held(fn):
    """A goroutine awaits a task, which awaits another, and one that awaits a goroutine."""
    made, ch, done = gopark.Chan(1), gopark.Chan(), gopark.Chan()

    async def outer():
        release = asyncio.Event()
        inner = asyncio.create_task(stuck(release), name="inner")
        across = asyncio.create_task(crosses(), name="across")
        made.try_send((release, asyncio.get_running_loop()))
        await asyncio.gather(inner, across)

    async def crosses():
        await ga.go(receives, ch)

    async def caller():
        await ga.call(outer())
        await done.send(None)

    gopark.go(caller)
    release, loop = await made.recv()
    await gopark.testing.wait_all_parked()
    try:
        return fn()
    finally:
        loop.call_soon_threadsafe(release.set)
        await ch.send(None)
        await done.recv()


async def test_top_has_a_row_for_tasks_of_the_same_stack():
    lines = await held(lambda: page(snapshot(), None, 200))
    [inner] = [line for line in lines if "[inner]" in line]
    assert inner.split()[:3] == ["1", "task", "waiting"]
    assert 'awaited by task "Task-' in inner
    [across] = [line for line in lines if "[across]" in line]
    assert "task awaits goroutine " in across
    [outer] = [line for line in lines if "awaited by goroutine " in line]
    assert 'task awaits task "inner", task "across"' in outer


async def test_the_page_lists_them_in_groups_and_finds_them_by_name():
    look = await held(_look.look)
    [group] = _api.groups(look, {"q": "inner waiting"})[0]
    asked = _look.asjson(group, look.now)
    assert asked["what"] == "asyncio task, waiting"
    assert asked["ids"] == [] and asked["count"] == 1
    assert asked["names"][0].startswith('inner, awaited by task "')
    assert look.states["asyncio task, awaits goroutine"] == 1
    assert _api.who(look) == "goroutines and tasks"


async def test_without_tasks_it_speaks_of_goroutines():
    assert _api.who(_look.look()) == "goroutines"


def _edges(found, kind):
    """(whose, of what)"""
    nodes, things = found["nodes"], found["things"]
    return {
        (
            (nodes[edge["g"]]["tasks"] or [nodes[edge["g"]]["func"].rpartition(".")[2]])[0],
            things[edge["t"]]["label"].partition(" ")[2].strip('"'),
        )
        for edge in found["edges"]
        if edge["kind"] == kind
    }


async def test_the_picture_goes_across_the_bridge():
    found = await held(graph)
    waits, holds = _edges(found, "waits"), _edges(found, "holds")
    [outer] = {what for who, what in waits if who == "caller"}
    assert {(outer, "inner"), (outer, "across")} <= waits
    assert {(outer, outer), ("inner", "inner"), ("across", "across")} <= holds
    [goid] = {what for who, what in waits if who == "across"}
    assert ("receives", goid) in holds
    assert found["tasks"] == 3


async def begun(uses):
    """A goroutine waits on a channel that nobody else has but, if it `uses` it, a task."""
    ch, made = gopark.Chan(), gopark.Chan(1)

    async def sits(ch):
        release = asyncio.Event()
        made.try_send((release, asyncio.get_running_loop()))
        await release.wait()

    got = gopark.spawn(ch.recv)
    task = gopark.spawn(ga.call, sits(ch if uses else None))
    return got, task, *(await made.recv())


@pytest.mark.skipif(FREETHREADED, reason="frames of tasks are not read there")
async def test_what_a_task_could_send_to_is_not_marked():
    for uses in (True, False):
        got, task, release, loop = await begun(uses)
        await gopark.testing.wait_all_parked()
        [awake] = [thing["awake"] for thing in graph()["things"] if thing["kind"] == "channel"]
        assert awake is uses
        loop.call_soon_threadsafe(release.set)
        await task
        got.cancel()
        await got.ended().recv()


async def test_what_is_awaited_across_is_marked_if_nobody_awake_is_at_its_end():
    async def crosses():
        await ga.go(gopark.Chan().recv)

    task = gopark.spawn(ga.call, crosses())
    await gopark.testing.wait_all_parked()
    found = graph()
    task.cancel()
    await task.ended().recv()
    await ga.call(asyncio.sleep(0))
    marks = {thing["kind"]: thing["awake"] for thing in found["things"]}
    assert marks["task"] is marks["goroutine"] is marks["channel"] is False


async def test_what_the_page_says_of_one_goroutine_names_its_scopes():
    async def waits():
        with gopark.timeout(60):
            await gopark.Chan().recv()

    task = gopark.spawn(waits)
    await gopark.testing.wait_all_parked()
    goid = task._goid
    answer = _api.ANSWERS["goroutine.json"](Shared(), {"id": str(goid)})
    task.cancel()
    await task.ended().recv()
    assert answer["scopes"][0].startswith("timeout(60.0), ")
    assert answer["scopes"][1].startswith("Task(")
