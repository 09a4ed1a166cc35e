"""What goroutines that are left when main returns wait for in their `finally` blocks."""

from __future__ import annotations

import threading
import time
import types

import pytest

import gopark
import harness
from gopark import Chan, block, context, sync
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import allgs, tls
from gopark._runtime.sched import cleanup as cleanup_
from gopark._runtime.sched.cleanup import GRACE
from gopark.testing import wait_all_parked

NEVER = 3600.0


def leaving(run, *fns):
    """Run a program whose main returns while these are parked; how long that took."""

    async def main():
        for fn in fns:
            gopark.go(fn)
        await wait_all_parked()

    began = time.monotonic()
    run(main)
    return time.monotonic() - began


def coro(cleanup):
    async def left():
        try:
            await Chan().recv()
        finally:
            await cleanup()

    return left


def plain(cleanup):
    def left():
        try:
            block(Chan().recv())
        finally:
            block(cleanup())

    return left


KINDS = pytest.mark.parametrize("kind", [coro, plain])


@KINDS
@pytest.mark.usefixtures("procs")
def test_a_short_sleep_is_slept(run, capsys, kind):
    closed = []

    async def cleanup():
        for _ in range(3):
            await gopark.time.sleep(0.001)
        closed.append("properly")

    leaving(run, *[kind(cleanup)] * 5)
    assert closed == ["properly"] * 5
    assert capsys.readouterr().err == ""


@KINDS
def test_cleanups_may_wait_for_each_other(run, capsys, kind):
    ch, mu, closed = Chan(), sync.Mutex(), []

    async def send():
        async with mu:
            await ch.send("bye")
        closed.append("sent")

    async def receive():
        await gopark.gosched()
        closed.append(await ch.recv())
        async with mu:
            closed.append("locked")

    leaving(run, coro(send), kind(receive))
    assert sorted(closed) == ["bye", "locked", "sent"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("starter", [gopark.go, sync.WaitGroup().go, sync.errgroup.Group().go])
def test_a_goroutine_of_a_group_waits_as_any(run, capsys, starter):
    ch, closed = Chan(), []

    async def send():
        await gopark.gosched()
        await ch.send("bye")

    async def receive():
        closed.append(await ch.recv())

    async def both():
        starter(coro(receive))
        gopark.go(coro(send))
        await wait_all_parked()

    run(both)
    assert closed == ["bye"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("fatal", [False, True])
def test_an_outer_block_comes_after_an_inner_one_that_waits(run, capsys, fatal):
    """And the inner wait is somebody's: its channel is not locked for good."""
    ch, closed = Chan(), []

    async def inner():
        try:
            await Chan().recv()
        finally:
            closed.append("inner")
            closed.append(await ch.recv())

    async def outer():
        try:
            await inner()
        finally:
            closed.append("outer")
            await gopark.time.sleep(0.001)

    async def main():
        gopark.go(outer)
        gopark.go(coro(lambda: ch.send("bye")))
        await wait_all_parked()
        if fatal:
            sync.Mutex().unlock()

    if fatal:
        with pytest.raises(gopark.FatalError):
            run(main)
        assert closed == ["inner", "outer"]
    else:
        run(main)
        assert closed == ["inner", "bye", "outer"]
        assert capsys.readouterr().err == ""
    assert ch._lock


def test_a_thread_may_end_the_wait(run, capsys):
    ch, closed, told = Chan(), [], threading.Event()

    def thread():
        told.wait()
        ch.try_send("from a thread") or block(ch.send("from a thread"))

    async def cleanup():
        told.set()
        closed.append(await ch.recv())

    helper = threading.Thread(target=thread, daemon=True)
    helper.start()
    leaving(run, coro(cleanup))
    assert closed == ["from a thread"]
    assert capsys.readouterr().err == ""


@KINDS
@pytest.mark.parametrize(
    ("wait", "state"),
    [(lambda: gopark.time.sleep(NEVER), "sleep"), (lambda: Chan().recv(), "chan receive")],
)
def test_what_takes_too_long_is_broken_off_and_told(run, capsys, kind, wait, state):
    closed = []

    async def cleanup():
        try:
            await wait()  # here
            closed.append("not this")
        finally:
            closed.append("broken off")

    leaving(run, kind(cleanup))
    assert closed == ["broken off"]
    err = capsys.readouterr().err
    assert err.startswith("gopark: main is done, and the cleanup of a goroutine was broken off")
    assert f" [{state}]:\n" in err
    assert "stack unavailable" not in err
    assert f"{__name__}." in err
    assert f"\t{__file__}:" in err


def test_who_swallows_all_is_told_of_and_left(run, capsys):
    async def swallows():
        while True:
            try:
                await Chan().recv()
            except BaseException:
                pass

    leaving(run, swallows)
    err = capsys.readouterr().err
    assert "is left behind, in " in err
    assert ".swallows at " in err


@pytest.mark.parametrize("never", ["gosched", "ping-pong"])
def test_cleanups_that_go_on_for_ever_are_broken_off(run, capsys, never):
    ch = Chan()

    async def sends():
        while True:
            await (gopark.gosched() if never == "gosched" else ch.send(None))

    async def receives():
        while never != "gosched":
            await ch.recv()

    assert leaving(run, coro(sends), coro(receives)) < 30 * GRACE
    assert "the cleanup of " in capsys.readouterr().err


def test_nothing_else_of_the_program_goes_on(run, capsys):
    """No timer of it fires, nothing new starts; who waits for a value elsewhere is closed."""
    ran, refused = [], []

    async def cleanup():
        await gopark.time.sleep(0.2)
        try:
            gopark.go(ran.append, "a goroutine of the cleanup")
        except gopark.ProgramEnded:
            refused.append("go")

    async def main():
        gopark.go(coro(cleanup))
        await wait_all_parked()
        gopark.time.after_func(0.1, ran.append, "a timer")
        context.after_func(
            context.with_timeout(context.background(), 0.1)[0], ran.append, "a context"
        )

    run(main)
    assert (ran, refused) == ([], ["go"])
    assert capsys.readouterr().err == ""


@KINDS
def test_after_a_panic_there_is_no_grace(run, capsys, kind):
    closed = []

    async def cleanup():
        await gopark.time.sleep(0.001)
        closed.append("not this")

    async def bad():
        raise ValueError("x")

    async def main():
        gopark.go(kind(cleanup))
        await wait_all_parked()
        gopark.go(bad)
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    assert closed == []
    assert "cleanup of" not in capsys.readouterr().err


def test_a_cleanup_that_does_not_wait_costs_no_grace(run):
    """The best of some: on a busy machine the thread may get no turn for as long."""
    closed, took = [], []

    async def left():
        try:
            await Chan().recv()
        finally:
            closed.append(True)

    while not took or (min(took) >= GRACE and len(took) < 20):
        took.append(leaving(run, *[left] * 200))
    assert min(took) < GRACE
    assert len(closed) == 200 * len(took)


def test_the_next_program_is_not_touched(run):
    async def cleanup():
        await gopark.time.sleep(0.001)

    for _ in range(5):
        leaving(run, coro(cleanup), plain(cleanup))

        async def main():
            await gopark.time.sleep(0.001)
            return gopark.runtime.num_goroutine()

        assert run(main) == 1


@pytest.mark.parametrize("held", [False, True], ids=["let go", "held"])
def test_an_async_generator_that_is_left_may_wait_in_its_cleanup(run, held):
    """Collected with the goroutine that loops over it, or kept by somebody."""
    closed, kept = [], []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await gopark.time.sleep(0.001)
            closed.append(True)

    async def left():
        generator = numbers()
        if held:
            kept.append(generator)
        async for _ in generator:
            await Chan().recv()

    leaving(run, left)
    assert closed == [True]


def test_an_async_generator_that_waits_too_long_is_named(run, capsys):
    async def numbers():
        try:
            yield 1
        finally:
            await gopark.time.sleep(60)

    async def left():
        async for _ in numbers():
            await Chan().recv()

    assert leaving(run, left) < 20
    assert "numbers" in capsys.readouterr().err


async def _after_func():
    ch = Chan()
    gopark.time.after_func(0.001, ch.close)
    return await ch.recv()


async def _after_func_async():
    ch = Chan()
    gopark.time.after_func(0.001, ch.send, "fired")
    assert await ch.recv() == "fired"


async def _after_func_that_waits():
    ch, more = Chan(), Chan()

    def fn():
        block(gopark.time.sleep(0.001))
        block(more.send(1))
        ch.close()

    gopark.time.after_func(0.001, fn)
    assert await more.recv() == 1
    await ch.recv()


async def _timer():
    timer = gopark.time.Timer(NEVER)
    timer.reset(0.001)
    await timer.c.recv()


async def _after():
    await gopark.select(gopark.recv(gopark.time.after(0.001)), gopark.recv(Chan()))


async def _ticker():
    ticker = gopark.time.Ticker(0.001)
    await ticker.c.recv()
    await ticker.c.recv()


async def _deadline():
    with context.with_timeout(context.background(), 0.001) as ctx:
        await ctx.done().recv()
        assert isinstance(ctx.err(), context.DeadlineExceeded)


TIMED = pytest.mark.parametrize(
    "cleanup",
    [_after_func, _after_func_async, _after_func_that_waits, _timer, _after, _ticker, _deadline],
)


@KINDS
@TIMED
@pytest.mark.usefixtures("procs")
def test_timers_that_are_made_there_fire(run, capsys, kind, cleanup):
    done = []

    async def timed():
        await cleanup()
        done.append(True)

    leaving(run, kind(timed))
    assert done == [True]
    assert capsys.readouterr().err == ""


@KINDS
def test_a_timer_of_before_that_is_reset_there_fires(run, capsys, kind):
    timer, fired = gopark.time.Timer(NEVER), []
    later = gopark.time.after_func(NEVER, fired.append, "function")

    async def cleanup():
        timer.reset(0.001)
        await timer.c.recv()
        later.reset(0)
        while not fired:
            await gopark.time.sleep(0.001)
        fired.append("timer")

    leaving(run, kind(cleanup))
    assert fired == ["function", "timer"]
    assert capsys.readouterr().err == ""


@KINDS
def test_what_a_timer_starts_there_has_no_more_than_the_grace(run, capsys, monkeypatch, kind):
    monkeypatch.setattr(cleanup_, "GRACE", 4 * GRACE)  # seconds in which a thread has to begin
    unwound = []

    async def forever():
        try:
            await Chan().recv()
        finally:
            unwound.append(True)

    async def cleanup():
        gopark.time.after_func(0, forever)
        gopark.time.after_func(0, lambda: block(forever()))
        await Chan().recv()

    assert leaving(run, kind(cleanup)) < 80 * GRACE
    assert unwound == [True, True]
    assert "broken off where it waits" in capsys.readouterr().err


class _ByGenerator:
    """An awaitable that is no coroutine, as libraries write one."""

    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        return (yield from self.coro.__await__())


class _ByIterator:
    """The same in the shape in which C writes one: an iterator that passes on what it is told."""

    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        self.inner = self.coro.__await__()
        return self

    def __next__(self):
        return self.inner.send(None)

    def __iter__(self):
        return self

    def send(self, value):
        return self.inner.send(value)

    def throw(self, *exc):
        return self.inner.throw(*exc)

    def close(self):
        self.inner.close()


@types.coroutine
def _by_old_coroutine(coro):
    return (yield from coro.__await__())


async def _by_loop(coro):
    async def values():
        yield await coro

    async for value in values():
        return value


async def _by_anext(coro):
    async def values():
        yield await coro

    return await anext(values(), None)


THROUGH = pytest.mark.parametrize(
    "through", [_ByGenerator, _ByIterator, _by_old_coroutine, _by_loop, _by_anext]
)


@KINDS
@THROUGH
def test_a_wait_inside_of_what_is_no_coroutine_is_cleanup_too(run, capsys, kind, through):
    closed = []

    async def inner():
        try:
            await Chan().recv()
        finally:
            await gopark.time.sleep(0.001)
            closed.append("inner")

    async def outer():
        try:
            await through(inner())
        finally:
            await gopark.time.sleep(0.001)
            closed.append("outer")

    leaving(run, outer if kind is coro else lambda: block(outer()))
    assert closed == ["inner", "outer"]
    assert capsys.readouterr().err == ""


def test_block_takes_an_old_coroutine(run):
    ch = Chan(1)

    def main():
        block(ch.send("old"))
        return block(_by_old_coroutine(ch.recv()))

    assert run(main) == "old"


def test_what_the_next_program_wakes_is_finished_by_its_own(child):
    """It begins on a thread of Python's, while the first one cleans up."""
    ended = child("""
import threading
import gopark
import gopark.testing

ch, there, log = gopark.Chan(), threading.Event(), []

async def left():
    try:
        await gopark.Chan().recv()
    finally:
        there.set()
        got = await ch.recv()
        for _ in range(3):
            await gopark.time.sleep(0.001)
        log.append((got, threading.current_thread() is threading.main_thread()))

def other():
    there.wait()
    gopark.go(ch.send, "bye")

async def main():
    gopark.go(left)
    await gopark.testing.wait_all_parked()
    threading.Thread(target=other).start()

gopark.run(main)
print(log)
""")
    assert (ended.stdout, ended.stderr) == ("[('bye', True)]\n", "")


@pytest.mark.parametrize("how", ["a timer", "a goroutine"])
def test_what_starts_as_the_end_begins_is_of_the_program_that_ends(monkeypatch, how):
    """Between its number and its queue the end may come: it is not left for the next program."""
    ran, runs, over = [], threading.Event(), threading.Event()
    begins = hooks.cleanup
    ending = []

    def there():
        ran.append("there" if tls.m.sched is ending[0] else "elsewhere")

    async def starts():
        runs.set()
        while not ending:
            pass
        if how == "a timer":
            ending[0].timers.run(time.monotonic() + 2 * NEVER)  # as the loop does
        else:
            gopark.go(there)
        over.set()

    def cleanup(sched):
        before = allgs.copy()
        ending.append(sched)
        until = time.monotonic() + harness.TIMEOUT
        # Once it is on its queue it may wait for the lock that is held here.
        while not over.is_set() and allgs.copy() <= before:
            assert time.monotonic() < until
            time.sleep(0.001)
        return begins(sched)

    monkeypatch.setattr(hooks, "cleanup", cleanup)

    async def main():
        gopark.time.after_func(NEVER, there)
        gopark.go(starts)
        while not runs.is_set():
            await gopark.gosched()

    procs = gopark.runtime.gomaxprocs(2)
    try:
        gopark.run(main)
    finally:
        gopark.runtime.gomaxprocs(procs)
    monkeypatch.undo()
    assert gopark.runtime.num_goroutine() == 0

    async def later():
        await gopark.time.sleep(0.01)

    gopark.run(later)
    # Another thread may have come to a goroutine as the end had but begun.
    assert ran in ([[]] if how == "a timer" else [[], ["there"]])
