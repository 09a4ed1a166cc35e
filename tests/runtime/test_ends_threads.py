"""Threads that gopark did not make, around the end of a program: each comes back, with its due."""

from __future__ import annotations

import sys
import threading

import pytest

import gopark
from gopark import Chan, block, recv, select
from gopark._runtime.c import extram
from gopark._runtime.sched import lockedm


@pytest.fixture
def hasty():
    """Threads take turns as often as on a machine that is busy."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Visitor:
    """A thread that runs `body(visitor)` in `block`; its parts meet the test's at `at` and `go`."""

    def __init__(self, start, body):
        self.result = self.exc = None
        self._there, self._on = threading.Event(), threading.Event()
        self._thread = start(lambda: self._run(body))

    def _run(self, body):
        try:
            self.result = block(body(self))
        except BaseException as exc:
            self.exc = exc

    def stop(self):
        """On the thread: let the test go on, and wait until it says so."""
        self._there.set()
        assert self._on.wait(120)
        self._on.clear()

    def arrived(self):
        assert self._there.wait(120)
        self._there.clear()

    def go(self):
        self._on.set()

    def join(self):
        self._thread.join()


@pytest.fixture(params=["python", "c"])
def visit(request, cthread):
    def start(work):
        if request.param == "c":
            return cthread(gopark.cgo.callback(lambda _: work()))
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    return lambda body: Visitor(start, body)


def _program(run, visitor):
    """A program that ends while the thread is on its way."""

    async def main():
        gopark.cgo.call(visitor.arrived)

    run(main, outside_help=True)


# --- one call of block, one program -----------------------------------------------------------


WAITS = {
    "sleep": lambda timeout: gopark.time.sleep(0.001),
    "timer": lambda timeout: timeout.recv(),
    "select": lambda timeout: select(recv(Chan()), recv(timeout)),
    "gosched": lambda timeout: gopark.gosched(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_that_began_before_the_end_does_not_last_for_ever(run, visit, wait):
    """Its timer is on the heap of a program that has ended: nobody looks at that any more."""

    async def body(me):
        timeout = gopark.time.after(0.001)
        me.stop()
        await WAITS[wait](timeout)

    visitor = visit(body)
    _program(run, visitor)
    visitor.go()
    visitor.join()
    assert type(visitor.exc) is gopark.ProgramEnded


def test_a_thread_that_has_waited_in_one_program_waits_in_no_other(run, visit):
    async def body(me):
        await gopark.gosched()
        me.stop()
        try:
            await gopark.time.sleep(0.001)
        finally:
            with pytest.raises(gopark.ProgramEnded):
                await gopark.gosched()

    visitor = visit(body)
    _program(run, visitor)

    async def second():
        visitor.go()
        gopark.cgo.call(visitor.join)

    run(second, outside_help=True)
    assert type(visitor.exc) is gopark.ProgramEnded


def test_a_thread_that_has_not_waited_yet_does_so_in_the_program_that_runs(run, visit):
    """It was in C, or computing, while the one before it ended."""

    async def body(me):
        gopark.cgo.call(me.stop)
        await gopark.time.sleep(0.001)
        return await ch.recv()

    ch = Chan()
    visitor = visit(body)
    _program(run, visitor)

    async def second():
        visitor.go()
        await ch.send("in the second")

    run(second, outside_help=True)
    visitor.join()
    assert (visitor.result, visitor.exc) == ("in the second", None)


def test_the_next_call_of_block_is_of_the_program_that_runs_then(run, visit):
    async def body(me):
        await gopark.gosched()
        me.stop()
        with pytest.raises(gopark.ProgramEnded):
            await gopark.gosched()

    results = []

    async def again():
        results.append(await ch.recv())

    ch = Chan(1)
    assert ch.try_send("sent")
    visitor = visit(body)
    _program(run, visitor)
    visitor.go()
    visitor.join()
    assert visitor.exc is None
    thread = threading.Thread(target=lambda: block(again()))
    thread.start()
    thread.join()
    assert results == ["sent"]


# --- nothing is lost ---------------------------------------------------------------------------


@pytest.mark.usefixtures("hasty", "procs")
@pytest.mark.parametrize("sends", [False, True])
def test_what_a_thread_was_given_as_the_program_ended_it_keeps(run, visit, sends):
    """Main gets its own part done and returns; the thread has not run since."""
    for n in range(40):
        ch = Chan()

        async def body(me, ch=ch, n=n):
            return await (ch.send(n) if sends else ch.recv())

        async def main(ch=ch, n=n):
            return await (ch.recv() if sends else ch.send(n))

        visitor = visit(body)
        mains = run(main, outside_help=True)
        visitor.join()
        assert visitor.exc is None
        assert (mains if sends else visitor.result) == n


@pytest.mark.usefixtures("procs")
def test_what_the_next_program_gives_a_thread_that_goes_off_its_queue_it_keeps(
    run, visit, monkeypatch
):
    """Its wait is undone, for its program has ended; a goroutine of the next one is quicker."""
    ch = Chan()
    there, on = threading.Event(), threading.Event()
    takeoff = lockedm._takeoff

    def late(sched, g):
        if not there.is_set():  # parked on the channel, and about to leave it
            there.set()
            assert on.wait(120)
        return takeoff(sched, g)

    async def body(me):
        await gopark.gosched()
        me.stop()
        return await ch.recv()

    visitor = visit(body)
    _program(run, visitor)
    monkeypatch.setattr(lockedm, "_takeoff", late)

    async def second():
        visitor.go()
        gopark.cgo.call(there.wait, 30)
        await ch.send("given")
        on.set()
        await gopark.gosched()  # so that it is this thread's loop that meets it
        gopark.cgo.call(visitor.join)

    run(second, outside_help=True)
    assert (visitor.result, visitor.exc) == ("given", None)


@pytest.mark.usefixtures("hasty", "procs")
def test_goroutines_that_threads_start_around_the_end_run_or_are_dropped(run, visit):
    """None is left on a queue that nobody looks at."""
    over = []

    async def body(me):
        while not over:
            gopark.go(gopark.gosched)
            gopark.go(over.count, None)
            await gopark.gosched()

    for _ in range(15):
        over.clear()
        visitors = [visit(body) for _ in range(2)]
        run(gopark.time.sleep, 0.002, outside_help=True)
        run(gopark.time.sleep, 0.001, outside_help=True)
        over.append(None)
        for visitor in visitors:
            visitor.join()
            assert visitor.exc is None or type(visitor.exc) is gopark.ProgramEnded
        run(gopark.gosched)


@pytest.mark.usefixtures("hasty", "procs")
def test_threads_that_wake_each_other_across_programs_all_come_back(run, visit):
    """Whoever wakes a thread may work for another program, and have a P of that to hand over."""
    for _ in range(10):
        there, back, over = Chan(), Chan(), []

        async def ping(me, there=there, back=back, over=over):
            for n in range(30):
                await there.send(n)
                assert await back.recv() == n
            over.append(None)

        async def pong(me, there=there, back=back):
            while True:
                await back.send(await there.recv())

        visitors = [visit(ping), visit(pong)]
        while not over and all(v.exc is None for v in visitors):
            run(gopark.time.sleep, 0.0005, outside_help=True)
        there.close()
        back.close()
        for visitor in visitors:
            visitor.join()
            known = (gopark.ProgramEnded, gopark.ClosedChannelError, AssertionError)
            assert visitor.exc is None or isinstance(visitor.exc, known)
        run(gopark.gosched)


def test_no_m_stays_bound(run, visit, wait_until):
    """After all of it."""
    before = set(extram.inuse())

    async def body(me):
        me.stop()
        await Chan().recv()

    for _ in range(3):
        visitor = visit(body)
        _program(run, visitor)
        visitor.go()
        run(gopark.gosched)
        while visitor.exc is None:
            run(gopark.time.sleep, 0.001, outside_help=True)
        visitor.join()
        assert type(visitor.exc) is gopark.ProgramEnded
    assert wait_until(lambda: set(extram.inuse()) <= before)
