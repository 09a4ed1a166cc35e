"""A machine that has no more: threads, memory. The program goes on, or ends and says why.

Threads are refused as Python does it, by what starts them raising RuntimeError, from a chosen
moment on; and once by the system itself.
"""

from __future__ import annotations

import os
import signal
import sys

import pytest

import gopark
from harness import start_python

# After no_more() every attempt to start a thread fails.
NOMORE = """
import _thread, signal, sys, threading, time
import gopark
from gopark._runtime.sched import newosproc, startm

refused = []

def fails(*args, **kwargs):
    refused.append(1)
    raise RuntimeError("can't start new thread")

def no_more():
    _thread.start_new_thread = threading.Thread.start = fails

def some_more():
    _thread.start_new_thread, threading.Thread.start = starts

starts = _thread.start_new_thread, threading.Thread.start
"""
FATAL = [
    "runtime: failed to create new OS thread (have 1 already; can't start new thread)",
    "fatal error: newosproc",
]


@pytest.mark.parametrize("procs", ["1", "4"])
def test_coroutines_go_on_with_the_thread_there_is(child, procs):
    program = """
no_more()

async def worker(jobs, results):
    async for n in jobs:
        await gopark.time.sleep(0.001)
        await results.send(n * n)

async def main():
    jobs, results = gopark.Chan(), gopark.Chan(100)
    for _ in range(5):
        gopark.go(worker, jobs, results)
    for n in range(50):
        await jobs.send(n)
    jobs.close()
    return sum([await results.recv() for _ in range(50)])

print(gopark.run(main), bool(refused))
"""
    done = child(NOMORE + program, GOMAXPROCS=procs)
    assert (done.stdout, done.stderr) == (f"{sum(n * n for n in range(50))} True\n", "")


@pytest.mark.parametrize(
    "main",
    [
        "def main():\n    gopark.go(gopark.gosched)\n    gopark.block(gopark.Chan().recv())",
        "async def main():\n    gopark.go(print)\n    await gopark.Chan().recv()",
        "async def main():\n    gopark.runtime.lock_os_thread()\n    gopark.go(gopark.gosched)\n"
        "    await gopark.Chan().recv()",
    ],
    ids=["block", "plain", "locked"],
)
def test_where_nothing_can_go_on_the_program_ends_and_says_what_to_do(child, main):
    program = "newosproc._PATIENCE = 0.1\nno_more()\n" + main + "\ngopark.run(main)\n"
    done = child(NOMORE + program, GOMAXPROCS="1")
    assert done.returncode == 2
    for line in FATAL:
        assert line in done.stderr.splitlines()
    assert "ulimit -u" in done.stderr
    assert "goroutine 1 [" in done.stderr
    assert "Throw" not in done.stderr


def test_a_thread_that_can_be_had_again_is_had(child):
    """It is tried for a while: others may have ended meanwhile."""
    program = """
no_more()
threading.Event().wait(0)
patched = threading.Thread.start

def later(*args, **kwargs):
    if len(refused) < 4:
        fails()
    some_more()
    args[0].start()

threading.Thread.start = later

def main():
    ch = gopark.Chan()
    gopark.go(ch.send, "sent")
    return gopark.block(ch.recv())

print(gopark.run(main))
"""
    done = child(NOMORE + program, GOMAXPROCS="1")
    assert (done.stdout, done.stderr) == ("sent\n", "")


@pytest.mark.parametrize("patience", [0.02, 1.0])
def test_who_comes_back_takes_the_place_of_a_new_thread(child, patience):
    """The only other thread is in C meanwhile, and plain functions wait: main's runs none."""
    program = f"""
newosproc._PATIENCE = {patience}

async def main():
    ch = gopark.Chan()
    begun, again = [], threading.Event()
    gopark.go(lambda: None)
    await gopark.testing.wait_all_parked()  # the thread for it is there
    no_more()

    def slow():
        begun.append(1)
        again.wait()
        gopark.block(ch.send("back"))

    def next_():
        gopark.block(ch.send("next"))

    gopark.go(slow)
    while not begun:
        await gopark.gosched()
    gopark.go(next_)
    while len(refused) < 12:  # this goes on, though next_ cannot
        await gopark.time.sleep(0.001)
    again.set()
    print(await ch.recv(), await ch.recv())

gopark.run(main)
"""
    done = child(NOMORE + program, GOMAXPROCS="1")
    assert (done.stdout, done.stderr) == ("back next\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is of Linux")
def test_the_limit_of_the_system_itself(child):
    program = """
import os, resource
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=print, args=("no limit",)).start()
except RuntimeError:
    newosproc._PATIENCE = 0.1
    gopark.run(lambda: gopark.block(gopark.time.sleep(0.001)))
    print("slept")
    gopark.go(print)
    gopark.run(lambda: gopark.block(gopark.Chan().recv()))
"""
    done = child(NOMORE + program, GOMAXPROCS="1")
    if done.stdout == "no limit\n":
        pytest.skip("this user may start as many threads as they like")
    assert done.returncode == 2
    for line in FATAL:
        assert line in done.stderr.splitlines()


def test_a_panic_needs_no_thread_to_bring_main_home(child):
    program = """
async def panics():
    no_more()
    raise ValueError("boom")

async def main():
    gopark.go(panics)
    await gopark.Chan().recv()

gopark.run(main)
"""
    done = child(NOMORE + program)
    assert done.stderr.startswith("panic: ValueError: boom")
    assert done.returncode == 2


def test_a_panic_ends_a_main_that_computes_without_a_thread_for_it(child):
    program = """
def main():
    def panics():
        no_more()
        raise ValueError("boom")
    gopark.go(panics)
    while True:
        pass

gopark.run(main)
"""
    done = child(NOMORE + program)
    assert done.stderr.startswith("panic: ValueError: boom")
    assert done.returncode == 2


@pytest.mark.parametrize("main", ["await gopark.Chan().recv()", "while True: pass"])
def test_ctrl_c_needs_no_new_thread(child, main):
    program = f"""
import os

async def main():
    threading.Thread(target=interrupt).start()
    {main}

def interrupt():
    time.sleep(0.2)
    no_more()
    os.kill(os.getpid(), signal.SIGINT)

try:
    gopark.run(main)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = child(NOMORE + program)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


WAITS = (
    NOMORE
    + """
async def main():
    no_more()
    gopark.go(says)
    await gopark.time.sleep(100)

async def says():
    await gopark.testing.wait_all_parked()  # main sleeps
    print("ready", flush=True)

gopark.run(main)
"""
)


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no SIGQUIT here")
def test_sigquit_shows_every_goroutine_without_a_new_thread():
    child = start_python(["-c", WAITS])
    child.expect("ready")
    os.kill(child.pid, signal.SIGQUIT)
    ended = child.end()
    assert ended.stderr.startswith("SIGQUIT: quit\n\ngoroutine 1 [sleep]:\n")
    assert ended.status == 2


def test_dump_is_answered_without_a_new_thread():
    from gopark._cmd import _ask

    child = start_python(["-c", WAITS])
    child.expect("ready")
    try:
        for _ in range(2):
            with _ask.connect(child.pid, 120) as process:
                assert process.ask("dump").startswith("goroutine 1 [sleep]:\n")
    finally:
        child.kill()
        child.end()


def test_a_cpu_profile_that_gets_no_thread_can_be_asked_for_again(monkeypatch):
    import _thread
    import io

    def fails(*args):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", fails)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            gopark.pprof.start_cpu_profile(io.BytesIO())
    gopark.pprof.start_cpu_profile(io.BytesIO())
    gopark.pprof.stop_cpu_profile()


# --- memory ------------------------------------------------------------------------------

PLACES = [
    ("proc", "findrunnable"),
    ("proc", "acquirep"),
    ("proc", "stopm"),
    ("runq", "spread"),
    ("runq", "globrunqput"),
    ("startm", "pidleget"),
    ("startm", "midleget"),
    ("startm", "M"),
    ("startm", "trynewm"),
]


@pytest.mark.parametrize(("module", "name"), PLACES)
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_memory_that_runs_out_inside_the_runtime_ends_the_program_or_not_but_hangs_nothing(
    child, module, name, nth
):
    """The nth call of a function of the runtime's fails; the user catches what he gets to see."""
    program = f"""
import gopark
from gopark._runtime.sched import {module}
from gopark._runtime.sched import proc, runq, startm, lockedm

real, calls = {module}.{name}, []

def fails(*args, **kwargs):
    calls.append(1)
    if on and len(calls) == {nth}:
        raise MemoryError
    return real(*args, **kwargs)

on = []
for place in (proc, runq, startm, lockedm):
    if getattr(place, {name!r}, None) is real:
        setattr(place, {name!r}, fails)

def plain(ch):
    gopark.block(ch.send(1))

async def coroutine(ch):
    await ch.send(1)

async def main():
    calls.clear()
    on.append(1)
    for _ in range(20):
        ch = gopark.Chan()
        try:
            gopark.go(plain, ch)
            gopark.go(coroutine, ch)
            await ch.recv()
            await ch.recv()
        except MemoryError:
            print("caught")

gopark.debug.strict_deadlock()
gopark.run(main)
print("done")
"""
    done = child(program)
    if done.returncode == 0:
        assert done.stdout.splitlines()[-1] == "done"
    else:
        said = ("fatal error: runtime: out of memory", "MemoryError", "all goroutines are asleep")
        assert any(text in done.stderr for text in said), done.stderr
        assert "Throw" not in done.stderr


@pytest.mark.parametrize("n", range(0, 300, 37))
def test_an_allocation_that_fails_hangs_nothing(child, n):
    """One of CPython's own, somewhere in the runtime or in the program.

    All of them, for good, is more than CPython bears: `Thread.start` waits for ever then.
    """
    pytest.importorskip("_testcapi")
    program = f"""
import _testcapi
import gopark

def plain(ch):
    gopark.block(ch.send(1))

async def coroutine(ch):
    await ch.send(1)

async def main():
    gopark.debug.strict_deadlock()
    ch = gopark.Chan()
    for attempt in range(2):  # the first one warms up
        if attempt:
            _testcapi.set_nomemory({n}, {n} + 1)
        try:
            gopark.go(plain, ch)
            gopark.go(coroutine, ch)
            await ch.recv()
            await ch.recv()
            await gopark.time.sleep(0.001)
        finally:
            if attempt:
                _testcapi.remove_mem_hooks()

gopark.run(main)
"""
    done = child(program)
    assert done.returncode == 0 or "emory" in done.stderr


@pytest.mark.parametrize("act", ["a.close()", "a.set_deadline(-1.0)"])
@pytest.mark.parametrize("n", range(2, 12, 2))
def test_an_allocation_that_fails_loses_nobody_who_waits_for_the_network(child, act, n):
    """Who waits is woken, or the program ends and says why: nobody waits for ever."""
    pytest.importorskip("_testcapi")
    program = f"""
import _testcapi, socket
import gopark
from gopark import net

async def reader(conn, ended):
    try:
        await conn.read()
    except OSError:
        pass
    await ended.send(None)

async def main():
    for attempt in range(2):  # the first one warms up
        a, b = map(net.from_socket, socket.socketpair())
        ended = gopark.Chan(2)
        gopark.go(reader, a, ended)
        gopark.go(reader, a, ended)
        await gopark.testing.wait_all_parked()
        if attempt:
            _testcapi.set_nomemory({n}, {n} + 1)
        try:
            {act}
        except MemoryError:
            _testcapi.remove_mem_hooks()
            if not a._fd.closing:
                a.close()
        finally:
            _testcapi.remove_mem_hooks()
        await ended.recv()
        await ended.recv()
        a.close()
        b.close()
    print("all woken")

import gopark.testing
gopark.run(main)
"""
    done = child(program)
    assert done.stdout == "all woken\n" or "emory" in done.stderr
