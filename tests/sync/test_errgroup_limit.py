"""errgroup: the limit and the queue above it, misuse, and all of it in a hurry."""

from __future__ import annotations

import contextvars
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gopark
from gopark import context
from gopark.sync import _errgroup, errgroup
from gopark.testing import wait_all_parked


class Boom(Exception):
    pass


async def fail(text: str = "boom") -> None:
    raise Boom(text)


# --- the limit --------------------------------------------------------------------------------


async def test_go_returns_at_once_and_started_waits():
    gate = gopark.Chan()
    g = errgroup.Group(limit=1)
    before = gopark.runtime.num_goroutine()
    first, second = g.go(gate.recv), g.go(gate.recv)
    await first.started()
    assert gopark.runtime.num_goroutine() == before + 1  # what is queued is no goroutine
    log = []

    async def wait():
        await second.started()
        log.append("second started")

    gopark.go(wait)
    await gopark.testing.wait_all_parked()
    assert log == []
    await gate.send(1)
    await gopark.testing.wait_all_parked()
    assert log == ["second started"]
    gate.close()
    await g.wait()


async def test_the_queue_is_first_come_first_served():
    order = []
    g = errgroup.Group(limit=1)

    async def work(n):
        order.append(n)
        await gopark.gosched()

    for n in range(20):
        g.go(work, n)
    await g.wait()
    assert order == list(range(20))


async def test_a_queued_function_runs_as_its_creators():
    """With the context variables, and in dumps the line, of who asked for it."""
    var = contextvars.ContextVar("var", default="nobody's")
    gate = gopark.Chan()
    g = errgroup.Group(limit=1)
    g.go(gate.recv)

    async def look():
        return var.get(), gopark.runtime.stack().splitlines()[-2]

    async def ask():
        var.set("the asker's")
        return g.go(look)

    async with errgroup.Group() as other:
        asked = other.go(ask)
    gate.close()
    await g.wait()
    value, creator = asked.result().result()
    assert value == "the asker's"
    assert ".ask in goroutine " in creator


async def test_all_functions_run_even_if_the_group_has_failed():
    seen = []
    g = errgroup.Group(limit=1)

    async def look(n):
        seen.append((n, g.ctx.err() is None))

    g.go(look, 0)
    g.go(fail)
    g.go(look, 1)
    with pytest.raises(Boom):
        await g.wait()
    assert seen == [(0, True), (1, False)]


async def test_the_limit_cannot_change_while_functions_run():
    gate = gopark.Chan()
    g = errgroup.Group(limit=2)
    g.go(gate.recv)
    with pytest.raises(RuntimeError, match="modify limit while 1 goroutines in the group are"):
        g.set_limit(3)
    gate.close()
    await g.wait()
    g.set_limit(3)


async def test_a_limit_of_zero_queues_until_it_is_lifted():
    g = errgroup.Group(limit=0)
    tasks = [g.go(lambda n=n: n) for n in range(3)]
    g.set_limit(-1)
    await g.wait()
    assert [t.result() for t in tasks] == [0, 1, 2]


def test_a_limit_of_zero_and_a_wait_are_a_deadlock(run, capfd):
    async def main():
        g = errgroup.Group(limit=0)
        g.go(len, "")
        await g.wait()

    with pytest.raises(gopark.DeadlockError):
        run(main)
    assert "goroutine 1 [sync.WaitGroup.Wait]:" in capfd.readouterr().err


# --- misuse -----------------------------------------------------------------------------------


async def test_what_is_wrong_with_a_call_is_an_error_at_once():
    g = errgroup.Group(limit=1)
    for _ in range(2):  # for one that would start, and one that would queue
        with pytest.raises(TypeError, match="coroutine object"):
            g.go(fail())
        with pytest.raises(TypeError):
            g.go(fail, 1, 2)
        with pytest.raises(TypeError, match="needs a function, got None"):
            g.go(None)
        g.go(gopark.gosched)
    await g.wait()


@pytest.mark.parametrize("limit", ["1", 1.0, True])
def test_a_limit_is_an_integer(limit):
    with pytest.raises(TypeError, match="limit must be an integer"):
        errgroup.Group(limit=limit)


def test_a_context_is_a_context():
    with pytest.raises(TypeError):
        errgroup.Group("background")
    with pytest.raises(TypeError, match="nil parent"):
        errgroup.with_context(None)


# --- in a hurry -------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("vvvve")), max_size=25),
    limit=st.one_of(st.none(), st.integers(1, 5)),
)
def test_every_function_runs_once_and_its_outcome_is_kept(plan, limit):
    async def main():
        runs = [0] * len(plan)
        active = most = 0

        async def work(i, steps, outcome):
            nonlocal active, most
            active += 1
            most = max(most, active)
            runs[i] += 1
            for _ in range(steps):
                await gopark.gosched()
            active -= 1
            if outcome == "e":
                raise Boom(i)
            return i

        g = errgroup.Group(limit=limit)
        tasks = [g.go(work, i, *step) for i, step in enumerate(plan)]
        failed = []
        try:
            await g.wait()
        except Boom as exc:
            failed = [exc]
        except ExceptionGroup as exc:
            failed = list(exc.exceptions)
        assert runs == [1] * len(plan)
        assert limit is None or most <= limit
        assert sorted(exc.args[0] for exc in failed) == [
            i for i, (_, outcome) in enumerate(plan) if outcome == "e"
        ]
        assert context.cause(g.ctx) == (failed[0] if failed else g.ctx.err())
        for i, (task, (_, outcome)) in enumerate(zip(tasks, plan, strict=True)):
            if outcome == "v":
                assert task.result() == i

    gopark.run(main)


async def test_limit_and_exactly_once_on_many_ps(procs):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    mu = gopark.sync.Mutex()
    for _ in range(5):
        limit = rng.randrange(1, 9)
        active = most = 0
        runs = [0] * 100

        async def work(i, limit=limit, runs=runs):
            nonlocal active, most
            async with mu:
                active += 1
                most = max(most, active)
                runs[i] += 1
            await gopark.gosched()
            async with mu:
                active -= 1

        async with errgroup.Group(limit=limit) as g:
            for i in range(100):
                g.go(work, i)
        assert runs == [1] * 100, seed
        assert most <= limit, seed


# --- what cannot be started -------------------------------------------------------------------


async def test_what_breaks_off_one_start_leaves_nobody_waiting_for_the_rest(monkeypatch):
    """Ctrl-C in the start of one of three: none of them begins, and the group ends."""
    g = errgroup.Group(limit=0)
    tasks = [g.go(gopark.gosched) for _ in range(3)]
    told = gopark.Chan(3)

    async def wait(task):
        await task.started()
        await told.send(task)

    for task in tasks:
        gopark.go(wait, task)
    await wait_all_parked()
    begin = _errgroup.start

    def start(*args):
        monkeypatch.setattr(_errgroup, "start", begin)
        args[0].close()
        raise KeyboardInterrupt

    monkeypatch.setattr(_errgroup, "start", start)
    with pytest.raises(KeyboardInterrupt):
        g.set_limit(2)
    await wait_all_parked()
    assert len(told) == 3
    await g.wait()
    for task in tasks:
        with pytest.raises(RuntimeError, match="has no result"):
            task.result()


def test_who_waits_for_the_turn_of_what_is_dropped_is_told(run, capsys):
    """In a cleanup: the queue goes with the program."""
    g = errgroup.Group(limit=1)
    log = []

    async def waits():
        try:
            await gopark.Chan().recv()
        finally:
            await task.started()
            log.append(repr(task))

    async def main():
        nonlocal task
        gopark.go(waits)
        g.go(gopark.Chan().recv)
        task = g.go(gopark.gosched)
        await wait_all_parked()

    task = None
    run(main)
    assert log == ["<Task gosched left>"]
    assert capsys.readouterr().err == ""
