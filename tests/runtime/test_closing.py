"""What a program leaves behind: closed, and named and left where it does not want to be.

Each is a child, whose `run` has to return while its goroutines swallow whatever ends them.
"""

from __future__ import annotations

import inspect
import threading
import types

import pytest

import gopark
from gopark._runtime.base.runtime2 import Sched, goids
from gopark._runtime.sched import closing, lockedm
from gopark._runtime.sched.newproc import newg

KINDS = """
import sys, time
import gopark

def stubborn(wait, *args):
    async def waits():
        while True:
            try:
                await wait(*args)  # HERE
            except BaseException:
                pass
    return waits

async def inner():
    await stubborn(gopark.Chan().recv)()

async def in_finally():
    while True:
        try:
            await gopark.Chan().recv()  # HERE
        finally:
            continue

async def locked():
    gopark.runtime.lock_os_thread()
    await stubborn(gopark.time.sleep, 0.001)()

async def grouped():
    gopark.sync.errgroup.Group().go(locked)
    await gopark.Chan().recv()

def plain():
    ch = gopark.Chan()
    while True:
        try:
            gopark.block(ch.recv())  # HERE
        except BaseException:
            pass

def yields():
    while True:
        try:
            gopark.block(gopark.gosched())  # HERE
        except BaseException:
            pass

async def mutex():
    mu = gopark.sync.Mutex()
    await mu.lock()
    await stubborn(mu.lock)()

async def group():
    wg = gopark.sync.WaitGroup()
    wg.add(1)
    await stubborn(wg.wait)()

async def selects():
    ch = gopark.Chan()
    await stubborn(lambda: gopark.select(gopark.recv(ch)))()

async def generates():
    async def gen():
        while True:
            try:
                yield 1
            except BaseException:
                await gopark.gosched()
    async for _ in gen():
        await gopark.Chan().recv()

KINDS = {
    "sleep": stubborn(gopark.time.sleep, 0.001),
    "recv": stubborn(gopark.Chan().recv),
    "send": stubborn(gopark.Chan().send, 1),
    "gosched": stubborn(gopark.gosched),
    "nested": inner, "finally": in_finally, "locked": locked, "plain": plain, "yields": yields,
    "mutex": mutex, "group": group, "select": selects, "agen": generates,
}
"""
NAMES = ["sleep", "recv", "send", "gosched", "nested", "finally", "locked", "plain", "yields",
         "mutex", "group", "select", "agen"]  # fmt: skip


def named(child, program, goid, status=0):
    """Run it: it says that goroutine `goid` is left, at a line that is marked, and ends."""
    done = child(KINDS + program)
    assertnamed(KINDS + program, done, goid, status)
    return done


def assertnamed(program, done, goid, status):
    said = [line for line in done.stderr.splitlines() if line.startswith("gopark: ")]
    assert [line.partition(" is left")[0] for line in said] == [f"gopark: goroutine {goid}"]
    line = int(said[0].partition(".py:")[2].partition(":")[0]) if ".py:" in said[0] else None
    if line is not None:
        assert "# HERE" in program.splitlines()[line - 1]
    assert "swallows" in said[0]
    assert "not `BaseException`" in said[0]
    assert done.returncode == status


@pytest.mark.parametrize("kind", NAMES[:-1])
@pytest.mark.parametrize("end", ["return", "sys.exit(3)"])
def test_one_that_swallows_everything_is_named_and_left(child, kind, end):
    status = 3 if "exit" in end else 0
    program = f"""
async def main():
    gopark.go(KINDS[{kind!r}])
    for _ in range(3):
        await gopark.gosched()
    await gopark.time.sleep(0.02)
    {end}

try:
    gopark.run(main)
finally:
    print("returned")
"""
    assert named(child, program, 2, status).stdout == "returned\n"


@pytest.mark.parametrize("kind", ["plain", "yields", "locked"])
def test_one_on_a_thread_is_named_before_run_returns(child, kind):
    """It goes round in user code when the grace is over, and is not waiting at that moment."""
    program = f"""
import os

async def main():
    gopark.go(KINDS[{kind!r}])
    await gopark.time.sleep(0.02)

gopark.run(main)
os._exit(3)  # nothing comes after that
"""
    named(child, program, 2, 3)


def test_one_of_a_group_is_named_and_left(child):
    program = """
async def main():
    gopark.go(grouped)
    await gopark.time.sleep(0.02)

gopark.run(main)
print("returned")
"""
    assert named(child, program, 3).stdout == "returned\n"


def test_an_async_generator_that_does_not_want_to_end_is_left(child):
    program = """
async def main():
    gopark.go(KINDS["agen"])
    await gopark.time.sleep(0.02)

gopark.run(main)
print("returned")
"""
    done = child(KINDS + program)
    assert (done.stdout, done.returncode) == ("returned\n", 0)


@pytest.mark.parametrize("kind", NAMES[:-1])
def test_a_main_that_swallows_everything_cannot_keep_the_process(child, kind):
    """Another goroutine has ended the program. A main that sits on its thread ends the process.

    A plain one that computes is brought home by an exception between any two of its lines, and one
    of those is not in the `try`: then it has ended by itself, and another is asked.
    """
    program = f"""
def main():
    return KINDS[{kind!r}]()

async def ends():
    await gopark.time.sleep(0.02)
    sys.exit(3)

gopark.go(ends)
gopark.run(KINDS[{kind!r}])
"""
    for _ in range(10):
        done = child(KINDS + program)
        if done.stderr or kind not in ("plain", "yields"):
            break
        assert done.returncode == 3
    assertnamed(KINDS + program, done, 1, 3)


def test_the_rest_is_closed_when_one_does_not_want_to_be(child):
    """Those before it, those after it, and those that it has awaited."""
    program = """
async def good(n):
    try:
        await gopark.Chan().recv()
    finally:
        print("closed", n)

async def main():
    for n in range(6):
        gopark.go(good if n != 3 else KINDS["recv"], *([n] if n != 3 else []))
    await gopark.testing.wait_all_parked()

gopark.run(main)
async def again():
    return "again"
print(gopark.run(again))
"""
    done = named(child, program, 5)
    assert done.stdout.splitlines() == [f"closed {n}" for n in (0, 1, 2, 4, 5)] + ["again"]


def test_one_that_gives_in_after_a_while_is_not_named(child):
    done = child(
        """
import gopark

async def slow():
    for n in range(10):
        try:
            await gopark.Chan().recv()
        except BaseException:
            print(n)

async def main():
    gopark.go(slow)
    await gopark.testing.wait_all_parked()

gopark.run(main)
"""
    )
    assert done.returncode == 0
    assert done.stderr.startswith("gopark: main is done, and the cleanup of a goroutine was broken")
    assert done.stdout.split() == [str(n) for n in range(10)]


def test_what_is_closed_is_a_goroutine_while_it_is(run):
    """`finally` blocks see their goroutine: its context, its number in what they start."""
    seen = []

    async def left():
        try:
            await gopark.Chan().recv()
        finally:
            seen.append(gopark.runtime.stack().partition("\n")[0])

    async def main():
        gopark.go(left)
        await gopark.testing.wait_all_parked()

    run(main)
    assert len(seen) == 1
    assert seen[0].startswith("goroutine ")


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_a_wait_that_is_undone_is_stepped_by_nobody_else(monkeypatch):
    """What is closed waits once more; a goroutine of the program that runs now is quicker."""
    ch, seen = gopark.Chan(), []
    there, on = threading.Event(), threading.Event()
    takeoff = lockedm._takeoff

    def late(sched, g):
        if not there.is_set():  # parked on the channel, and about to leave it
            there.set()
            assert on.wait(120)
        return takeoff(sched, g)

    @types.coroutine
    def pause():
        yield

    async def left():
        try:
            await pause()
        finally:
            seen.append(await ch.recv())

    monkeypatch.setattr(lockedm, "_takeoff", late)
    coro, ended = left(), Sched(1)
    coro.send(None)
    ended.ended = True
    g = newg(next(goids), coro, left, (), {}, None)
    thread = threading.Thread(target=closing.bury, args=(ended, g), daemon=True)
    thread.start()
    gopark.cgo.call(there.wait, 30)
    await ch.send("given")
    on.set()
    await gopark.gosched()  # so that it is this thread's loop that meets it
    gopark.cgo.call(thread.join, 60)
    assert not thread.is_alive()
    assert (seen, inspect.getcoroutinestate(coro)) == ([], inspect.CORO_CLOSED)


def test_what_has_closed_goroutines_does_not_keep_their_program(child):
    """Nor does the thread that did so, once the next program runs."""
    ended = child("""
import gc, time
import gopark
import gopark.testing

async def left():
    await gopark.Chan().recv()

async def main():
    gopark.go(left)
    await gopark.testing.wait_all_parked()

gopark.run(main)
gopark.run(gopark.gosched)
for _ in range(1000):  # a thread of the first may be on its last lines
    gc.collect()
    left = sum(type(one).__name__ == "Sched" for one in gc.get_objects())
    if left == 1:
        break
    time.sleep(0.01)
print(left)
""")
    assert (ended.stdout, ended.stderr) == ("1\n", "")
