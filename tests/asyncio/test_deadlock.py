"""A loop is help from outside only while something outside can wake it."""

from __future__ import annotations

import asyncio

import pytest

import gopark
import gopark.asyncio as ga
from harness import run_python


async def stuck():
    await asyncio.Event().wait()


def dead(run, main, capfd):
    with pytest.raises(gopark.DeadlockError):
        run(main)
    return capfd.readouterr().err


def test_a_task_that_nobody_can_wake(run, capfd):
    async def main():
        await ga.call(stuck())

    err = dead(run, main, capfd)
    assert "all goroutines are asleep - deadlock!" in err
    assert "[asyncio call]" in err
    assert 'asyncio task "Task-' in err
    assert "awaited by goroutine 1" in err
    assert "stuck(...)" in err


def test_dead_on_both_sides_is_reported_with_both(run, capfd):
    ch = gopark.Chan()

    async def task():
        await ga.wait(ch.recv())

    async def main():
        gopark.go(gopark.Chan().recv)
        await ga.call(task())

    err = dead(run, main, capfd)
    assert err.count("[chan receive]") == 2
    assert "awaits goroutine" in err
    assert "awaited by goroutine 1" in err


PROGRAM = """
import asyncio, gopark

async def stuck():
    await asyncio.Event().wait()

gopark.run(gopark.asyncio.call, stuck())
"""


def test_in_a_program_that_may_have_help_from_outside_as_well():
    ended = run_python(["-c", PROGRAM])
    assert "all goroutines are asleep - deadlock!" in ended.stderr
    assert "asyncio task" in ended.stderr
    assert ended.status == 2


def test_a_task_that_waits_for_a_goroutine_that_waits_for_a_task(run, capfd):
    async def goroutine():
        await ga.call(stuck())

    async def task():
        await ga.go(goroutine)

    async def main():
        await ga.call(task())

    err = dead(run, main, capfd)
    assert err.count("[asyncio call]") == 2
    assert err.count("asyncio task") == 2


async def test_a_timer_is_help():
    assert await ga.call(asyncio.sleep(0.2, "woken")) == "woken"


def test_a_cancelled_timer_holds_up_the_report_at_most_until_it_is_due(run, capfd):
    async def task():
        asyncio.get_running_loop().call_later(0.05, print).cancel()
        await asyncio.Event().wait()

    async def main():
        await ga.call(task())

    dead(run, main, capfd)


async def test_a_descriptor_is_help():
    async def served():
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        return server

    server = await ga.call(served())
    done = gopark.Chan()

    async def forever():
        with pytest.raises(gopark.context.DeadlineExceeded):
            with gopark.context.with_timeout(gopark.context.background(), 0.2) as ctx:
                await ga.call(stuck(), ctx)
        await done.send(None)

    gopark.go(forever)
    await done.recv()

    async def close():
        server.close()

    await ga.call(close())


def test_once_its_descriptors_are_closed_it_is_none(run, capfd):
    async def task():
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        server.close()
        await server.wait_closed()
        await asyncio.Event().wait()

    async def main():
        await ga.call(task())

    dead(run, main, capfd)
