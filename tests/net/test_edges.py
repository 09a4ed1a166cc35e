"""What the kernel tells once is not lost, whatever happens to who waited for it."""

from __future__ import annotations

import gc
import os
import socket

import pytest

import gopark
from gopark import net
from gopark._runtime.base.hooks import netdoor
from gopark.testing import wait_all_parked
from harness import Ended, run_python
from netpeers import dropped, outcome

PAST = float("-inf")


def pair():
    return map(net.from_socket, socket.socketpair())


def look():
    """What the scheduler does between two goroutines."""
    netdoor.ready(netdoor.poll(0))


@pytest.fixture
def one_processor():
    before = gopark.runtime.gomaxprocs(1)
    yield
    gopark.runtime.gomaxprocs(before)


def test_a_deadline_that_passes_as_the_data_comes_leaves_the_data(one_processor):
    async def main():
        a, b = pair()
        with a, b:
            got = gopark.Chan(1)
            gopark.go(outcome, b.read(), got)
            await wait_all_parked()
            await a.write(b"hello")
            look()  # the reader is to run, and has not yet
            b.set_read_deadline(PAST)
            assert isinstance(await got.recv(), TimeoutError)
            b.set_read_deadline(gopark.time.monotonic() + 120)
            assert await b.read() == b"hello"

    gopark.run(main)


@pytest.mark.parametrize("n", [1 << 70, 1 << 61], ids=["overflow", "memory"])
async def test_a_count_that_cannot_be_had_leaves_the_data(n):
    a, b = pair()
    with a, b:
        await a.write(b"hello")
        with pytest.raises((OverflowError, MemoryError)):
            await b.read(n)
        b.set_read_deadline(gopark.time.monotonic() + 120)
        assert await b.read() == b"hello"


async def test_one_that_is_forgotten_is_closed_at_once_whatever_was_read_from_it():
    a, b = pair()
    with a:
        await a.write(b"line\nrest")
        assert await b.read_until() == b"line\n"
        held = [b]
        del b
        collecting = gc.isenabled()
        gc.disable()
        try:
            with pytest.warns(ResourceWarning, match="unclosed connection unix"):
                dropped(held)
        finally:
            if collecting:
                gc.enable()


@pytest.mark.parametrize("address", ["null\0inside", "@null\0inside"])
def test_a_path_with_a_null_character_is_none(address):
    """The system would listen at what is before it, and nobody would find that."""
    with pytest.raises(ValueError, match="has no null character"):
        net.listen("unix", address)


def test_an_abstract_address_as_the_socket_module_writes_it_can_be_closed():
    ln = net.listen("unix", f"\0gopark-{os.getpid()}")
    ln.close()
    assert ln.socket.fileno() == -1


@pytest.mark.parametrize("when", ["soon", None.__class__])
async def test_a_deadline_is_a_moment_and_no_duration(when):
    a, b = pair()
    with a, b, pytest.raises(TypeError, match="set_deadline: the moment must be a number"):
        a.set_deadline(when)


# The M that sleeps in the poller is the one of `run`, with one P: what runs between `sleeping` and
# its next goroutine comes from another thread.
ASLEEP = """
import io, socket, sys, threading, time
import gopark
from gopark import net
from gopark._runtime.base.hooks import netdoor
from gopark._runtime.sched import proc

def sleeping():
    while netdoor.sleeper is None:
        time.sleep(0.001)
"""


def run(program, poller):
    env = {**os.environ, "GOMAXPROCS": "1", "GOPARKDEBUG": f"netpoll={poller}"}
    return run_python(["-c", ASLEEP + program], env=env, timeout=60)


def test_timers_that_are_months_away_are_no_matter(poller):
    """The system's calls count milliseconds in 32 bits: 24 days."""
    program = """
here, there = socket.socketpair()

def thread():
    sleeping()
    there.send(b"x")

async def main():
    with net.from_socket(here) as conn, there:
        gopark.go(gopark.time.sleep, 40 * 86400)
        gopark.go(gopark.time.sleep, 1e15)
        await gopark.gosched()
        worker = threading.Thread(target=thread)
        worker.start()
        print(await conn.read())
        worker.join()

gopark.run(main)
"""
    assert run(program, poller) == Ended("b'x'\n", "", 0)


def test_a_timer_of_another_thread_comes_as_the_only_processor_goes_to_sleep(poller):
    program = """
told = gopark.Chan(1)

def waits():
    if sys._getframe(1).f_code.co_name == "netblock" and not told_once:
        told_once.append(1)
        timer = gopark.time.after_func, (0.01, told.try_send, "in time")
        worker = threading.Thread(target=timer[0], args=timer[1])
        worker.start()
        worker.join()
    return real()

told_once = []

async def main():
    global real
    here, there = socket.socketpair()
    with net.from_socket(here) as conn, there:
        gopark.go(conn.read)
        await gopark.gosched()
        real, netdoor.waits = netdoor.waits, waits  # the poller is there with the first connection
        print(await told.recv(), len(told_once))

gopark.run(main)
"""
    assert run(program, poller) == Ended("in time 1\n", "", 0)


def test_tracing_that_begins_as_the_only_processor_sleeps_sees_what_it_runs_next(poller):
    program = """
here, there = socket.socketpair()
there.settimeout(120)
out = io.StringIO()

def thread(over):
    sleeping()
    gopark.trace.start(out)
    there.send(b"x")
    there.recv(1)
    gopark.trace.stop()
    over.try_send(None)

async def answering(conn):
    await conn.write(await conn.read())

async def main():
    over = gopark.Chan(1)
    with net.from_socket(here) as conn, there:
        worker = threading.Thread(target=thread, args=(over,))
        gopark.go(answering, conn)
        await gopark.gosched()
        worker.start()
        await over.recv()
        worker.join()
    print("answering" in out.getvalue())

gopark.run(main)
"""
    assert run(program, poller) == Ended("True\n", "", 0)


def test_a_finalizer_of_ours_amid_the_poller_does_not_wait_for_its_own_thread():
    """What is iterated there is C that drops the last reference, as a collection does."""
    program = """
import functools, warnings
from gopark._runtime.net import netpoll

warnings.simplefilter("ignore")

class Wanted(dict):  # so that its `items` can be another, while all else goes on in it
    pass

async def main():
    a, b = map(net.from_socket, socket.socketpair())
    box = [a]
    del a
    backend = netpoll.netpollinit()
    backend._wanted = wanted = Wanted(backend._wanted)
    wanted.items = functools.partial(filter, list.clear, [box])
    netdoor.ready(netdoor.poll(0))
    del wanted.items
    print(await b.read())
    b.close()

gopark.run(main)
print(len(netdoor.opened), netpoll._backend._wanted)
"""
    assert run(program, "poll") == Ended("b''\n0 {}\n", "", 0)
