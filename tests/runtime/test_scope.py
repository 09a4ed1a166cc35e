"""Scopes beside the rest of the runtime: its checks, traces, signals, other loops, the end."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import textwrap
import threading

import pytest

import gopark
from gopark import Chan, ScopeEnded, context
from gopark._runtime.base.runtime2 import GRUNNABLE, GRUNNING, G, M, getg
from gopark._runtime.sched.lockedm import YIELDS
from gopark._runtime.scope.scope import Scope, begun, end
from gopark._runtime.signal.preempt import throwin

SOON = 0.005

PROGRAM = textwrap.dedent(
    """
    import gopark
    from gopark import Chan, context
    from gopark.sync import Cond, Mutex, errgroup

    async def waits(ch, mu):
        try:
            with gopark.timeout(0.005):
                try:
                    await ch.recv()
                finally:
                    with context.shield():
                        async with mu:
                            await gopark.time.sleep(0.001)
                    await gopark.gosched()
        except TimeoutError:
            return 1

    def plain(ch, mu):
        return gopark.block(waits(ch, mu))

    async def main():
        ch, mu = Chan(), Mutex()
        async with errgroup.Group() as g:
            tasks = [g.go(plain if n % 3 == 0 else waits, ch, mu) for n in range(30)]
        print(sum(task.result() for task in tasks))

    gopark.run(main)
    """
)


@pytest.mark.parametrize("procs", [1, 4])
def test_the_checks_of_debug_runs_find_nothing(child, procs):
    ended = child(PROGRAM, GOPARKDEBUG="checksched=1,lockrank=1", GOMAXPROCS=str(procs))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "30\n", "")


async def test_in_a_program_that_is_traced():
    from gopark import trace

    trace.start(io.BytesIO())
    try:
        for seconds in (0, SOON):
            with pytest.raises(TimeoutError), gopark.timeout(seconds):
                await Chan().recv()
            with pytest.raises(TimeoutError), gopark.timeout(seconds):
                while True:
                    await gopark.gosched()
            task = gopark.spawn(lambda: gopark.block(Chan().recv()))
            await gopark.testing.wait_all_parked()
            task.cancel()
            with pytest.raises(context.Canceled):
                await task
    finally:
        trace.stop()


def test_ctrl_c_is_raised_in_a_scope_as_anywhere(run):
    async def main():
        with gopark.timeout(60):
            gopark.go(lambda: os.kill(os.getpid(), signal.SIGINT))
            await Chan().recv()

    with pytest.raises(KeyboardInterrupt):
        run(main)


def test_ctrl_c_passes_a_shield(run):
    async def main():
        with gopark.timeout(0), context.shield():
            gopark.go(lambda: os.kill(os.getpid(), signal.SIGINT))
            await Chan().recv()

    with pytest.raises(KeyboardInterrupt):
        run(main)


@pytest.mark.parametrize("pinned", [True, False])
def test_what_ctrl_c_has_left_to_raise_comes_first(pinned):
    """A goroutine that gives way has it already when it is told that its scope is over."""

    async def yielding():
        await gopark.gosched()

    g, scope, ctrl_c = G(1), Scope(), KeyboardInterrupt()
    coro = yielding()
    coro.send(None)
    g.coro, g.step, g.waitreason = coro, iter(()), YIELDS
    g.lockedm = M(None) if pinned else None
    g.scope, scope._g, scope._goid, scope._outer, scope._over = scope, g, 1, None, True
    begun(scope)
    for left in (None, ctrl_c):
        if left is not None:
            throwin(g, left)
        g.status = GRUNNING
        g.status = GRUNNABLE
        found = g.lockedm.exc if pinned else g.step.exc
        assert found is ctrl_c if left else isinstance(found, ScopeEnded)
        g.status = GRUNNING
    coro.close()


@pytest.mark.outside_help
async def test_a_wait_under_another_loop_is_refused_in_a_scope_as_well():
    """It is undone, and what is over has no part in that."""

    def plain():
        async def theirs():
            await Chan().recv()

        with gopark.timeout(0):
            for _ in range(3):
                with pytest.raises(gopark.NotOnGError):
                    asyncio.run(theirs())
        gopark.block(gopark.time.sleep(0.0001))  # and nothing is left of it

    await gopark.spawn(plain)


def test_the_end_of_the_program_comes_before_that_of_a_scope(run):
    """Cleanup has its grace, in a scope that is over too."""
    said = []

    async def left():
        try:
            with gopark.timeout(0):
                try:
                    with context.shield():
                        await Chan().recv()
                finally:
                    with context.shield():
                        await gopark.time.sleep(SOON)
                        said.append("coroutine")
        finally:
            said.append("left")

    def plain():
        try:
            with gopark.timeout(0), context.shield():
                gopark.block(Chan().recv())
        finally:
            said.append("plain")

    async def main():
        gopark.go(left)
        gopark.go(plain)
        await gopark.testing.wait_all_parked()

    run(main)
    assert sorted(said) == ["coroutine", "left", "plain"]


async def test_many_threads_end_one_scope_and_a_wait_ends_once():
    for _ in range(50):
        ch, out, scopes = Chan(), Chan(1), []

        async def waits(ch=ch, out=out, scopes=scopes):
            with gopark.timeout(None) as t:
                scopes.append(t)
                try:
                    await ch.recv()
                except ScopeEnded:
                    await out.send("ended")
                else:
                    await out.send("received")
            await gopark.gosched()
            await out.send(type(getg()))

        gopark.go(waits)
        await gopark.testing.wait_all_parked()
        threads = [threading.Thread(target=end, args=scopes) for _ in range(3)]
        for thread in threads:
            thread.start()
        sent = ch.try_send(1)
        assert await out.recv() == ("received" if sent else "ended")
        assert await out.recv() is G
        for thread in threads:
            gopark.cgo.call(thread.join)


async def test_an_end_that_finds_a_goroutine_in_somebodys_hand_looks_again():
    """Its timer has been taken off the heap, and has not made it ready yet."""
    out = Chan()

    async def sleeps():
        with pytest.raises(TimeoutError), gopark.timeout(None) as t:
            scopes.append((t, getg()))
            await gopark.time.sleep(3600)
        await out.send("ended")

    scopes = []
    gopark.go(sleeps)
    await gopark.testing.wait_all_parked()
    scope, g = scopes.pop()
    timer = g.waiting
    seq, timer.seq = timer.seq, 0  # as between Timers.due and `ready`
    end(scope)
    timer.seq = seq  # or as before its start
    assert await out.recv() == "ended"
    del scope, g, timer
