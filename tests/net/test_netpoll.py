"""The poller beside the rest of the runtime: forks, signals, traces, virtual time, programs."""

from __future__ import annotations

import io
import os
import socket

import pytest

import gopark
from gopark import net
from gopark.testing import synctest, wait_all_parked
from harness import Ended, start_python


def pair():
    return map(net.from_socket, socket.socketpair())


CHILD = '''
import os, socket, sys
import gopark
from gopark import net

async def echo(conn):
    with conn:
        while data := await conn.read():
            await conn.write(data)

async def serve(ln):
    async for conn in ln:
        gopark.go(echo, conn)

async def ask(address, text):
    with await net.dial("tcp", address) as conn:
        await conn.write(text)
        return await conn.read_full(len(text))

async def child(ln):
    """The listener is the parent's; so that it is this process who accepts, the parent does not."""
    gopark.go(serve, ln)
    for i in range(50):
        assert await ask(ln.addr, b"%d" % i) == b"%d" % i
    a, b = map(net.from_socket, socket.socketpair())
    a.set_read_deadline(gopark.time.monotonic() + 0.01)
    try:
        await a.read()
    except TimeoutError:
        print("child ok", flush=True)

async def main():
    ln = net.listen("tcp", "127.0.0.1:0")
    mine = net.listen("tcp", "127.0.0.1:0")
    gopark.go(serve, mine)
    a, b = map(net.from_socket, socket.socketpair())
    got = gopark.Chan(1)
    async def reader():
        await got.send(await b.read())
    gopark.go(reader)
    assert await ask(mine.addr, b"x") == b"x"
    pid = os.fork()
    if not pid:
        try:
            gopark.run(child, ln)
        finally:
            os._exit(0)
    for i in range(50):  # its events are not taken by the child
        assert await ask(mine.addr, b"%d" % i) == b"%d" % i
    assert gopark.cgo.call(os.waitpid, pid, 0)[1] == 0
    await a.write(b"still here")
    assert await got.recv() == b"still here"
    print("parent ok")
    for one in (ln, mine, a, b):
        one.close()

gopark.run(main)
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_child_of_a_fork_has_a_poller_of_its_own_and_uses_what_it_inherits(poller):
    child = start_python(["-W", "ignore", "-c", CHILD], env={"GOPARKDEBUG": f"netpoll={poller}"})
    ended = child.end()
    assert ended == Ended("child ok\nparent ok\n", "", 0)


INTERRUPTED = """
import os, signal, socket, threading, time
import gopark
from gopark import net

async def main():
    a, b = map(net.from_socket, socket.socketpair())
    with a, b:
        gopark.go(os.kill, os.getpid(), signal.SIGINT)
        try:
            await a.read()
        except KeyboardInterrupt:
            await b.write(b"x")
            print(await a.read())

gopark.run(main)
"""


def test_ctrl_c_ends_a_read_and_the_connection_can_be_used_after(poller):
    child = start_python(["-c", INTERRUPTED], env={"GOPARKDEBUG": f"netpoll={poller}"})
    assert child.end() == Ended("b'x'\n", "", 0)


def test_a_wait_for_the_network_holds_up_virtual_time():
    """Go: it is not durably blocked."""
    a, b = pair()
    got = []

    async def inside():
        start = gopark.time.monotonic()

        async def reader():
            got.append(await a.read())
            got.append(gopark.time.monotonic() - start)

        gopark.go(reader)
        await gopark.time.sleep(10)
        got.append(gopark.time.monotonic() - start)

    async def main():
        def bubble():
            synctest.test(inside)

        wg = gopark.sync.WaitGroup()
        wg.go(bubble)
        await wait_all_parked()
        assert got == []
        await b.write(b"x")
        await wg.wait()
        a.close()
        b.close()

    gopark.run(main)
    assert got == [b"x", 0.0, 10.0]


async def test_a_trace_tells_what_was_waited_for():
    a, b = pair()
    file = io.StringIO()
    with a, b:
        gopark.trace.start(file)
        try:
            for _ in range(3):
                gopark.go(b.write, b"x")
                assert await a.read() == b"x"
        finally:
            gopark.trace.stop()
    assert "IO wait" in file.getvalue()


def test_a_program_of_four_processors_serves(poller):
    async def echo(conn):
        with conn:
            while data := await conn.read():
                await conn.write(data)

    async def serve(ln):
        async for conn in ln:
            gopark.go(echo, conn)

    async def client(address, n):
        with await net.dial("tcp", address) as conn:
            for i in range(n):
                await conn.write(b"%d" % i * 100)
                assert await conn.read_full(len(b"%d" % i * 100)) == b"%d" % i * 100

    async def main():
        with net.listen("tcp", "127.0.0.1:0") as ln:
            gopark.go(serve, ln)
            wg = gopark.sync.WaitGroup()
            for _ in range(20):
                wg.go(client, ln.addr, 50)
            await wg.wait()

    before = gopark.runtime.gomaxprocs(4)
    try:
        gopark.run(main)
    finally:
        gopark.runtime.gomaxprocs(before)
