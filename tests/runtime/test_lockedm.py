"""Gs that sit on one thread: `block`, `lock_os_thread`."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import types

import pytest

import gopark
from gopark import Chan, NotOnGError
from gopark._runtime.base import runtime2
from gopark.testing import wait_all_parked


async def gives(value):
    await gopark.gosched()
    return value


# --- block ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_block_runs_a_coroutine_to_its_end_on_this_thread():
    out = Chan(1)

    def plain():
        before = threading.get_ident()
        value = gopark.block(gives("value"))
        out.try_send((value, threading.get_ident() == before))

    gopark.go(plain)
    assert await out.recv() == ("value", True)


@pytest.mark.usefixtures("procs")
async def test_a_blocked_goroutine_stays_on_its_thread_and_is_one_goroutine():
    out, gate = Chan(1), Chan()

    def plain():
        idents, goids = set(), set()
        for _ in range(10):
            gopark.block(gate.recv())
            idents.add(threading.get_ident())
            goids.add(runtime2.getg().goid)
        out.try_send((len(idents), len(goids), gopark.runtime.num_goroutine()))

    gopark.go(plain)
    for _ in range(10):
        await gate.send(None)
    assert await out.recv() == (1, 1, 2)


@pytest.mark.usefixtures("procs")
async def test_block_passes_results_and_exceptions_through():
    out = Chan(2)

    async def fails():
        await gopark.gosched()
        raise KeyError("mine")

    def plain():
        try:
            gopark.block(fails())
        except KeyError as exc:
            out.try_send(exc.args)
        out.try_send(gopark.block(gives(None)))

    gopark.go(plain)
    assert await out.recv() == ("mine",)
    assert await out.recv() is None


async def test_block_takes_any_awaitable():
    class Awaitable:
        def __await__(self):
            return (yield from gives(7).__await__())

    assert gopark.block(Awaitable()) == 7


@pytest.mark.parametrize("wrong", [None, 1, gives, "x"])
def test_block_refuses_what_is_not_awaitable(wrong):
    with pytest.raises(TypeError, match="needs an awaitable") as caught:
        gopark.block(wrong)
    assert ("call it" in str(caught.value)) == (wrong is gives)


@pytest.mark.usefixtures("procs")
async def test_block_inside_a_coroutine_waits_with_its_thread():
    """Allowed: it holds the thread, as any plain call would, and nobody else up."""
    ch = Chan()
    gopark.go(ch.send, 1)
    assert gopark.block(ch.recv()) == 1


@pytest.mark.usefixtures("procs")
async def test_a_plain_goroutine_that_waits_gives_its_p_away():
    """More of them than Ps, and all of them must wait before any goes on."""
    n = 3 * gopark.runtime.gomaxprocs()
    ready, gate, out = Chan(n), Chan(), Chan(n)

    def plain():
        gopark.block(ready.send(None))
        gopark.block(gate.recv())
        gopark.block(out.send(None))

    for _ in range(n):
        gopark.go(plain)
    for _ in range(n):
        await ready.recv()
    await wait_all_parked()
    gate.close()
    for _ in range(n):
        await out.recv()


@pytest.mark.usefixtures("procs")
async def test_plain_goroutines_pass_a_value_round_a_ring():
    channels = [Chan() for _ in range(6)]

    def link(source, sink):
        for value in source:
            gopark.block(sink.send(value + 1))
        sink.close()

    for source, sink in itertools.pairwise(channels):
        gopark.go(link, source, sink)
    for n in range(10):
        await channels[0].send(n)
        assert await channels[-1].recv() == n + 5
    channels[0].close()
    assert await channels[-1].recv_ok() == (None, False)


@pytest.mark.outside_help
async def test_block_works_in_a_python_thread_while_a_program_runs():
    ch, counts = Chan(), Chan(1)

    async def counted():
        counts.try_send(gopark.runtime.num_goroutine())
        await ch.send("from a thread")

    thread = threading.Thread(target=lambda: gopark.block(counted()))
    thread.start()
    assert await ch.recv() == "from a thread"
    assert await counts.recv() == 2
    gopark.cgo.call(thread.join)
    assert gopark.runtime.num_goroutine() == 1


def test_two_python_threads_meet_over_a_channel_without_run():
    ch, got = Chan(), []
    receiver = threading.Thread(target=lambda: got.append(gopark.block(ch.recv())))
    receiver.start()
    gopark.block(ch.send("value"))
    receiver.join()
    assert got == ["value"]


def test_a_python_thread_waits_for_a_goroutine_started_without_run():
    ch = Chan()
    gopark.go(ch.send, "value")
    assert gopark.block(ch.recv()) == "value"


def test_for_over_a_channel_in_plain_code_without_run():
    ch = Chan()

    async def sender():
        for n in range(3):
            await ch.send(n)
        ch.close()

    gopark.go(sender)
    assert list(ch) == [0, 1, 2]


def test_a_plain_goroutine_parked_when_main_returns_unwinds_with_program_ended(run):
    trace = []

    def plain(ready):
        try:
            gopark.block(ready.send(None))
            gopark.block(Chan().recv())
        except gopark.ProgramEnded:
            trace.append("ended")
            raise
        finally:
            trace.append("finally")

    async def main():
        ready = Chan()
        gopark.go(plain, ready)
        await ready.recv()
        await wait_all_parked()

    run(main)
    assert trace == ["ended", "finally"]


# --- lock_os_thread ---------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_locked_goroutine_stays_on_its_thread_across_every_kind_of_wait():
    """Go: TestLockOSThreadNesting's promise, and stoplockedm."""
    ch, out = Chan(), Chan(1)

    async def locked():
        gopark.runtime.lock_os_thread()
        idents = {threading.get_ident()}
        for wait in (
            lambda: ch.recv(),
            lambda: gopark.gosched(),
            lambda: gopark.time.sleep(0.001),
            lambda: gopark.select(gopark.recv(ch)),
        ):
            await wait()
            idents.add(threading.get_ident())
        gopark.runtime.unlock_os_thread()
        await out.send(len(idents))

    gopark.go(locked)
    await ch.send(1)
    await ch.send(2)
    assert await out.recv() == 1


@pytest.mark.usefixtures("procs")
async def test_nobody_else_runs_on_a_locked_goroutines_thread():
    """Go: LockOSThread: no other goroutine will execute in that thread."""
    gate, out = Chan(), Chan()

    async def locked():
        gopark.runtime.lock_os_thread()
        await out.send(threading.get_ident())
        await gate.recv()
        gopark.runtime.unlock_os_thread()

    async def other():
        await gopark.gosched()
        await out.send(threading.get_ident())

    gopark.go(locked)
    thread = await out.recv()
    await wait_all_parked()
    for _ in range(20):
        gopark.go(other)
    assert thread not in [await out.recv() for _ in range(20)]
    gate.close()
    await wait_all_parked()


@pytest.mark.usefixtures("procs")
async def test_locks_nest_and_the_last_unlock_frees():
    """Go: TestLockOSThreadNesting."""
    out = Chan(1)

    async def nested():
        seen = []
        for _ in range(3):
            gopark.runtime.lock_os_thread()
        for _ in range(4):  # one more than locked: no effect
            seen.append("locked to thread" in gopark.runtime.stack())
            gopark.runtime.unlock_os_thread()
        seen.append("locked to thread" in gopark.runtime.stack())
        await gopark.gosched()
        await out.send(seen)

    gopark.go(nested)
    assert await out.recv() == [True, True, True, False, False]


def test_locking_needs_a_goroutine():
    """Elsewhere than on the main thread before `run`, where it is main's (see below)."""
    refused = []

    def thread():
        for name in ("lock_os_thread", "unlock_os_thread"):
            with pytest.raises(NotOnGError, match=name):
                getattr(gopark.runtime, name)()
            refused.append(name)

    runs = threading.Thread(target=thread)
    runs.start()
    runs.join()
    assert refused == ["lock_os_thread", "unlock_os_thread"]


@pytest.mark.go("runtime", "TestLockOSThread")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_lock_os_thread(kind, run):
    """A lock before `run`, as in an init function of Go, is main's from its first line."""
    gopark.runtime.lock_os_thread()
    gopark.runtime.lock_os_thread()
    gopark.runtime.unlock_os_thread()
    headers, threads = [], []

    def look():
        headers.append(gopark.runtime.stack().splitlines()[0])
        threads.append(threading.get_native_id() == threading.main_thread().native_id)

    async def main():
        ch = Chan()
        look()
        for i in range(10):
            gopark.go(ch.send, i)
            await ch.recv()
            await gopark.gosched()
            look()
        gopark.runtime.unlock_os_thread()
        look()

    run(main if kind == "async" else lambda: gopark.block(main()))
    assert headers == ["goroutine 1 [running, locked to thread]:"] * 11 + ["goroutine 1 [running]:"]
    assert all(threads)
    run(main if kind == "async" else lambda: gopark.block(main()))  # once, and no more
    assert headers[12:] == ["goroutine 1 [running]:"] * 12


def test_a_main_that_is_locked_before_run_may_end_by_goexit(child):
    """Go: TestLockOSThreadExit, main's case."""
    result = child(
        """
import gopark

async def main():
    gopark.go(print, "others go on")
    gopark.goexit()

gopark.runtime.lock_os_thread()
gopark.run(main)
"""
    )
    assert result.stdout == "others go on\n"
    assert result.stderr == "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"
    assert result.returncode == 2


@pytest.mark.usefixtures("procs")
async def test_main_may_lock_its_thread_and_still_talk():
    gopark.runtime.lock_os_thread()
    assert threading.current_thread() is threading.main_thread()
    ch = Chan()
    gopark.go(ch.send, 1)
    assert await ch.recv() == 1
    assert threading.current_thread() is threading.main_thread()
    gopark.runtime.unlock_os_thread()


@pytest.mark.usefixtures("procs")
async def test_a_goroutine_that_ends_locked_takes_its_thread_with_it(wait_until):
    """Go: TestLockOSThreadExit."""
    out = Chan(1)

    async def locked():
        gopark.runtime.lock_os_thread()
        await gopark.gosched()
        await out.send(threading.current_thread())

    gopark.go(locked)
    thread = await out.recv()
    if thread is not threading.main_thread():
        gopark.cgo.call(thread.join, 30)
        assert not thread.is_alive()
    ch = Chan()
    gopark.go(ch.send, "the program goes on")
    assert await ch.recv() == "the program goes on"


@pytest.mark.usefixtures("procs")
async def test_two_locked_goroutines_ping_pong_on_two_threads():
    a, b, out = Chan(), Chan(), Chan()

    async def locked(source, sink):
        gopark.runtime.lock_os_thread()
        idents = set()
        async for value in source:
            idents.add(threading.get_ident())
            if value == 40:
                break
            await sink.send(value + 1)
        gopark.runtime.unlock_os_thread()
        await out.send(idents)

    gopark.go(locked, a, b)
    gopark.go(locked, b, a)
    await a.send(0)
    first = await out.recv()
    (a if not first else b).close()
    a.close() if not a._closed else None
    second = await out.recv()
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.usefixtures("procs")
async def test_a_plain_goroutine_may_lock_its_thread_too():
    out = Chan()

    def plain():
        gopark.runtime.lock_os_thread()
        before = threading.get_ident()
        gopark.block(out.send("waited"))
        assert threading.get_ident() == before
        gopark.runtime.unlock_os_thread()
        gopark.block(out.send("unlocked"))

    gopark.go(plain)
    assert await out.recv() == "waited"
    assert await out.recv() == "unlocked"


@pytest.mark.outside_help
async def test_unlock_does_not_free_a_callback_from_its_thread(cthread):
    headers = []

    def callback(_):
        gopark.runtime.lock_os_thread()
        gopark.runtime.unlock_os_thread()
        gopark.runtime.unlock_os_thread()
        headers.append(gopark.runtime.stack().splitlines()[0])

    cthread(gopark.cgo.callback(callback)).join()
    assert headers[0].endswith("[running, locked to thread]:")


def test_main_may_lock_its_thread_before_anything_else(run, procs):
    """The first statement of main, in both kinds; it stays there across every wait."""

    async def async_main():
        gopark.runtime.lock_os_thread()
        return await stays()

    def plain_main():
        gopark.runtime.lock_os_thread()
        return gopark.block(stays())

    async def stays():
        threads, ch = [threading.current_thread()], Chan()
        for n in range(2 * procs):
            gopark.go(ch.send, n)
        for _ in range(2 * procs):
            await ch.recv()
            await gopark.gosched()
            threads.append(threading.current_thread())
        assert "locked to thread" in gopark.runtime.stack()
        return set(threads)

    assert run(async_main) == {threading.main_thread()}
    assert run(plain_main) == {threading.main_thread()}


@pytest.mark.go("runtime", "TestLockOSThreadNesting")
@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_lock_os_thread_nesting(kind):
    """Across waits, until the last unlock: as long as one is left nobody else gets the thread."""
    out = Chan()

    async def nested():
        home = threading.get_ident()
        for _ in range(3):
            gopark.runtime.lock_os_thread()
        for depth in 3, 2, 1:
            await out.send((depth, threading.get_ident() == home))
            gopark.runtime.unlock_os_thread()
        await out.send((0, "locked to thread" in gopark.runtime.stack()))

    gopark.go(nested if kind == "coroutine" else lambda: gopark.block(nested()))
    assert [await out.recv() for _ in range(4)] == [(3, True), (2, True), (1, True), (0, False)]


@pytest.mark.outside_help
async def test_a_callback_may_lock_and_unlock_and_still_returns_on_its_thread(cthread):
    """It sits on its thread anyway; what it has locked ends with it."""
    ch, out = Chan(), Chan(3)

    def callback(_):
        home = threading.get_ident()
        gopark.runtime.lock_os_thread()
        gopark.runtime.lock_os_thread()
        gopark.block(ch.recv())
        gopark.runtime.unlock_os_thread()
        gopark.block(ch.recv())
        out.try_send(threading.get_ident() == home)

    thread = cthread(gopark.cgo.callback(callback))
    await ch.send(1)
    await ch.send(2)
    assert await out.recv() is True
    thread.join()
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_a_thread_whose_locked_goroutine_ended_is_gone(kind, wait_until):
    """Go: TestLockOSThreadExit. Not only idle: no thread with that identifier is left."""
    out, gate = Chan(), Chan()

    async def locked():
        gopark.runtime.lock_os_thread()
        gopark.runtime.lock_os_thread()
        gopark.runtime.unlock_os_thread()
        await out.send(threading.current_thread())
        await gate.recv()  # main has our thread: it ends now, locked once

    gopark.go(locked if kind == "coroutine" else lambda: gopark.block(locked()))
    thread = await out.recv()
    gate.close()
    await wait_all_parked()
    if thread is not threading.main_thread():  # that one is needed by `run`
        assert wait_until(lambda: thread not in threading.enumerate())
    ch = Chan()
    gopark.go(ch.send, "the program goes on")
    assert await ch.recv() == "the program goes on"


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_a_locked_goroutine_that_blocks_its_thread_holds_up_nobody(kind):
    """Its P is taken; it comes back to the same thread, and stays there."""
    reader, writer = os.pipe()
    entered, out = [], Chan()

    async def locked():
        gopark.runtime.lock_os_thread()
        home = threading.get_ident()
        entered.append(None)
        os.read(reader, 1)
        here = [threading.get_ident() == home]
        for wait in gopark.gosched, lambda: out.send("back"), gopark.gosched:
            await wait()
            here.append(threading.get_ident() == home)
        gopark.runtime.unlock_os_thread()
        await out.send(here)

    gopark.go(locked if kind == "coroutine" else lambda: gopark.block(locked()))
    while not entered:
        await gopark.gosched()
    for _ in range(10):
        await gopark.time.sleep(0.001)
    os.write(writer, b".")
    assert await out.recv() == "back"
    assert await out.recv() == [True] * 4
    await wait_all_parked()
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("procs")
async def test_a_locked_goroutine_that_computes_holds_up_nobody():
    stop, out = [], Chan(1)

    async def locked():
        gopark.runtime.lock_os_thread()
        home = threading.get_ident()
        while not stop:
            pass
        await gopark.gosched()
        await out.send(threading.get_ident() == home)
        gopark.runtime.unlock_os_thread()

    gopark.go(locked)
    for _ in range(10):
        await gopark.time.sleep(0.005)
    stop.append(True)
    assert await out.recv() is True
    await wait_all_parked()


async def test_the_first_wait_after_an_await_of_another_loops_has_a_beginning():
    ch = Chan()

    @types.coroutine
    def bare():
        yield

    async def waits():
        with contextlib.suppress(TypeError):
            await bare()
        await ch.recv()

    gopark.go(waits)
    await gopark.testing.wait_all_parked()
    assert "waits(...)" in gopark.runtime.stack(all=True)
    ch.close()
