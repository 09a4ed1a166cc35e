"""The poller itself: what is no deadlock, who waits, waking it, its own descriptors.

Go: runtime/netpoll_test.go, runtime/nbpipe_test.go, runtime/testdata/testprognet/net.go,
context/example_test.go.
"""

from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

import gopark
from gopark import context, exec, go, net
from gopark._runtime.net import netpoll
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from harness import Ended, start_python
from netpeers import outcome, pair

DEADLOCK = """
import socket
import sys
import gopark
from gopark import net

gopark.debug.strict_deadlock()

async def dial(port):
    try:
        await net.dial("tcp", f"localhost:{port}")
    except OSError as exc:
        print(type(exc).__name__)

async def tell():
    await gopark.testing.wait_all_parked()
    print("parked", flush=True)

async def main():
    print("done")

with socket.socket() as closed:
    closed.bind(("127.0.0.1", 0))
    gopark.run(dial, closed.getsockname()[1])  # as the program is read in: Go's init

async def waits(port):
    with await net.dial("tcp", f"127.0.0.1:{port}") as conn:
        gopark.go(tell)
        print(await conn.read())

gopark.run(waits, int(sys.argv[1]))
gopark.run(main)
"""


@pytest.mark.go("runtime", "TestNetpollDeadlock")
@pytest.mark.go("runtime/testdata/testprognet", "NetpollDeadlock")
def test_netpoll_deadlock(poller):
    """Adapted: a program that runs before main's. A second one waits for an answer from outside."""
    with socket.create_server(("127.0.0.1", 0)) as ln:
        program = ["-c", DEADLOCK, str(ln.getsockname()[1])]
        child = start_python(program, env={"GOPARKDEBUG": f"netpoll={poller}"})
        conn, _ = ln.accept()
        with conn:
            child.expect("ConnectionRefusedError")
            child.expect("parked")
            conn.sendall(b"answer")
            said = "ConnectionRefusedError\nparked\nb'answer'\ndone\n"
            assert child.end() == Ended(said, "", 0)


@pytest.mark.go("runtime", "TestNetpollWaiters")
@pytest.mark.go("runtime/testdata/testprognet", "NetpollWaiters")
@pytest.mark.usefixtures("procs")
async def test_netpoll_waiters():
    """Adapted: there is no count, but the question of the deadlock detector: whether one waits."""
    done = gopark.Chan()

    async def server(ln):
        with await ln.accept() as conn:
            while line := await conn.read_until():
                await conn.write(line)
        await done.send(None)

    with net.listen("tcp", "127.0.0.1:0") as ln:
        go(server, ln)
        await wait_all_parked()
        assert netpoll.netwaits()
        with await net.dial("tcp", ln.addr) as conn:
            for n in range(10):
                await conn.write(b"line %d\n" % n)
                assert await conn.read_until() == b"line %d\n" % n
        await done.recv()
    assert not netpoll.netwaits()


@pytest.mark.go("runtime", "TestNetpollBreak")
def test_netpoll_break():
    """Who waits would do so for an hour; woken before it waits, and while it does."""
    backend = netpoll.netpollinit()
    found = []
    for n in range(50):
        thread = threading.Thread(target=lambda: found.append(backend.poll(3600.0)))
        if n % 2:
            backend.wakeup()
        thread.start()
        if not n % 2:
            backend.wakeup()
        thread.join()
        for fd, _ in found.pop():
            assert fd in backend.fds
            backend.drain(fd)
    assert backend.poll(0) == []


@pytest.mark.go("runtime", "TestSetNonblock")
async def test_set_nonblock():
    """Adapted: of every descriptor that is opened for a program, the ends of pipes among them."""
    cmd = exec.command("cat")
    with net.listen("tcp", "127.0.0.1:0") as ln, net.listen_packet("udp", "127.0.0.1:0") as packets:
        with await net.dial("tcp", ln.addr) as conn, await ln.accept() as other:
            with cmd.stdin_pipe() as stdin, cmd.stdout_pipe() as stdout:
                sockets = [one.socket.fileno() for one in (ln, packets, conn, other)]
                for fd in (*sockets, stdin.fileno(), stdout.fileno()):
                    assert not os.get_blocking(fd)
                    assert not os.get_inheritable(fd)
                await cmd.start()
        await cmd.wait()


@pytest.mark.go("runtime", "TestNonblockingPipe")
def test_nonblocking_pipe(poller):
    """Adapted: what the poller is woken by, which with epoll is an eventfd."""
    backend = netpoll.netpollinit()
    for fd in backend.fds:
        assert not os.get_inheritable(fd)
    reads = backend.fds[0 if poller == "poll" else 1]
    with pytest.raises(BlockingIOError):
        os.read(reads, 8)
    backend.wakeup()
    assert os.read(reads, 8) in (b"\0", (1).to_bytes(8, "little"))
    with pytest.raises(BlockingIOError):
        os.read(reads, 8)
    netpoll._backend = None
    backend.dispose()
    for fd in backend.fds:
        with pytest.raises(OSError, match="Bad file descriptor") as info:
            os.read(fd, 8)
        assert info.value.errno == errno.EBADF


@pytest.mark.go("context", "ExampleAfterFunc_connection")
async def test_example_after_func_connection(capsys):
    async def read(ctx, conn):
        ended = gopark.Chan()

        def end():
            conn.set_read_deadline(monotonic())
            ended.close()

        stop = context.after_func(ctx, end)
        try:
            return await conn.read()
        except TimeoutError:
            if stop():
                raise
            await ended.recv_ok()  # or the deadline could be set after it was taken back
            conn.set_read_deadline(None)
            raise ctx.err() from None

    a, b = await pair()
    with a, b:
        with context.with_timeout(context.background(), 0.001) as ctx:
            try:
                await read(ctx, b)
            except context.DeadlineExceeded as exc:
                print(exc)
        got = gopark.Chan()
        go(outcome, read(context.background(), b), got)
        await a.write(b"the deadline is none of the connection's")
        assert await got.recv() == b"the deadline is none of the connection's"
    assert capsys.readouterr().out == "context deadline exceeded\n"
