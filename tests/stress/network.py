"""A program for programs.py: connections are opened, used and dropped at random, under faults.

What one end writes, the other reads in that order, without a byte lost or doubled: all that a
`write` said to have sent, where nothing but deadlines came in between; the beginning of it, where
an end was closed under its users, reset, or dropped. After it no goroutine, thread or descriptor
is left, and nothing in the poller.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import signal
import socket
import struct
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import gopark
from gopark import Chan, net, recv, select
from gopark._runtime.base.hooks import netdoor

PROCS = (1, 1, 2, 4)
PATTERN = Random(0).randbytes(1 << 16)
FAULTS = ("none", "none", "deadlines", "deadlines", "close", "reset", "drop")
KINDS = ("tcp", "tcp", "unix", "socketpair", "pipe")
GONE = (OSError, gopark.net.ClosedError)


def stretch(at: int, n: int) -> bytes:
    """Of the endless stream that everybody sends, from there on."""
    at %= len(PATTERN)
    piece = PATTERN[at : at + n]
    while len(piece) < n:
        piece += PATTERN[: n - len(piece)]
    return piece


class Flow:
    """One direction of a connection: what was said to be sent, what may have been, what came."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.sent = self.tried = self.got = 0
        self.ended = False  # the reader has seen the end, and no error

    def take(self, data: bytes) -> None:
        assert data == stretch(self.got, len(data)), f"{self.fault}: other bytes at {self.got}"
        self.got += len(data)

    def check(self) -> None:
        assert self.got <= self.tried, f"{self.fault}: {self.got} came of {self.tried}"
        if self.fault in ("none", "deadlines"):
            assert self.ended, f"{self.fault}: no end after {self.got} of {self.sent}"
            assert self.got >= self.sent, f"{self.fault}: {self.got} came of {self.sent}"


class Crew:
    """Starts goroutines of every kind, and knows when all have ended."""

    def __init__(self, rng: Random, outside: bool) -> None:
        self._rng = rng
        self._kinds = ("co", "co", "co", "plain", "locked") + ("thread",) * outside
        self._done: Chan[BaseException | None] = Chan(100_000)
        self._started = 0
        self._threads: list[threading.Thread] = []

    def start(self, fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        kind = self._rng.choice(self._kinds)
        done = self._done
        self._started += 1

        async def body() -> None:
            error: BaseException | None = None
            try:
                if kind == "locked":
                    gopark.runtime.lock_os_thread()
                await fn(*args)
            except Exception as exc:
                error = exc
            finally:
                done.try_send(error)

        if kind == "plain":
            gopark.go(lambda: gopark.block(body()))
        elif kind == "thread":
            thread = threading.Thread(target=lambda: gopark.block(body()))
            self._threads.append(thread)
            thread.start()
        else:
            gopark.go(body)

    async def wait(self) -> None:
        for _ in range(self._started):
            while True:
                which, error, _ = await select(recv(self._done), recv(gopark.time.after(0.02)))
                if which == 0:
                    break
                # Without a GIL what was dropped may belong to a thread that sleeps.
                gc.collect()
            if error is not None:
                raise error
        for thread in self._threads:
            gopark.cgo.call(thread.join)


async def connected(kind: str, folder: str) -> tuple[net.Conn, net.Conn]:
    if kind == "pipe":
        return net.pipe()
    if kind == "socketpair":
        here, there = map(net.from_socket, socket.socketpair())
        return here, there  # type: ignore[return-value]
    address = "127.0.0.1:0" if kind == "tcp" else tempfile.mktemp(dir=folder)
    with net.listen(kind, address) as ln:
        made: Chan[Any] = Chan(1)

        async def dial() -> None:
            await made.send(await net.dial(kind, ln.addr))

        gopark.go(dial)
        conn = await ln.accept()
        return await made.recv(), conn


async def writing(conn: net.Conn, flow: Flow, rng: Random) -> None:
    total = rng.choice([0, 10, 3000, 200_000, 1_000_000])
    try:
        while flow.sent < total:
            n = rng.choice([1, 100, 5000, 300_000])
            flow.tried += n
            await conn.write(stretch(flow.sent, n))
            flow.sent += n
            if rng.random() < 0.1:
                await gopark.time.sleep(rng.random() / 500)
        if flow.fault == "drop":
            return
    except TimeoutError:
        pass  # some of it may have gone
    except GONE:
        assert flow.fault in ("close", "reset", "drop"), flow.fault
        conn.close()
        return
    with contextlib.suppress(*GONE):
        conn.close_write() if isinstance(conn, net.SocketConn) else conn.close()


async def reading(conn: net.Conn, flow: Flow, rng: Random) -> None:
    stops = rng.randrange(100_000) if flow.fault == "drop" else None
    try:
        while stops is None or flow.got < stops:
            try:
                data = await once(conn, flow, rng)
            except TimeoutError:
                with contextlib.suppress(gopark.net.ClosedError):
                    conn.set_read_deadline(None)
                continue
            if not data:
                flow.ended = True
                return
            flow.take(data)
    except gopark.net.UnexpectedEOFError as exc:
        flow.take(exc.partial)
        flow.ended = True
    except GONE:
        assert flow.fault in ("close", "reset", "drop"), flow.fault
        conn.close()


async def once(conn: net.Conn, flow: Flow, rng: Random) -> bytes:
    how = rng.randrange(6)
    if how == 0:
        return await conn.read_full(rng.choice([1, 50, 20_000]))
    if how == 1:
        try:
            return await conn.read_until(b"\n", rng.choice([2, 500, 5000]))
        except gopark.net.TooLongError:
            pass  # it can still be read
    if how == 2 and flow.fault == "deadlines":
        conn.set_read_deadline(gopark.time.monotonic() + rng.random() / 500)
    return await conn.read(rng.choice([1, 100, 5000, 65536]))


async def bother(conn: net.Conn, fault: str, rng: Random) -> None:
    """The fault, from elsewhere."""
    await gopark.time.sleep(rng.random() / 100)
    if fault == "deadlines":
        for _ in range(rng.randrange(20)):
            with contextlib.suppress(gopark.net.ClosedError):
                setter = rng.choice([conn.set_deadline, conn.set_read_deadline])
                setter(gopark.time.monotonic() + rng.random() / 300 - 0.001)
            await gopark.time.sleep(rng.random() / 500)
    elif fault == "close":
        conn.close()
    elif fault == "reset":
        if isinstance(conn, net.SocketConn):
            with contextlib.suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        conn.close()


async def link(crew: Crew, flows: list[Flow], folder: str, rng: Random) -> None:
    """One connection with all that uses it; who opened it forgets it."""
    kind, fault = rng.choice(KINDS), rng.choice(FAULTS)
    if kind == "pipe" and fault == "drop":
        fault = "none"  # it has no finalizer that would tell the other end
    a, b = await connected(kind, folder)
    # A pipe has no half close, and an end that is read is not dropped.
    both = kind != "pipe" and fault != "drop" and rng.random() < 0.5
    for here, there in [(a, b), (b, a)][: 1 + both]:
        flow = Flow(fault)
        flows.append(flow)
        crew.start(writing, here, flow, Random(rng.getrandbits(64)))
        crew.start(reading, there, flow, Random(rng.getrandbits(64)))
    if fault not in ("none", "drop"):
        crew.start(bother, rng.choice([a, b]), fault, Random(rng.getrandbits(64)))


async def interrupted(rng: Random) -> None:
    """Ctrl-C at a read of main's: each is one KeyboardInterrupt, and nothing else has changed."""
    a, b = map(net.from_socket, socket.socketpair())
    n, ready = rng.randrange(3), threading.Semaphore(0)

    def kick() -> None:
        for _ in range(n):
            ready.acquire()
            time.sleep(rng.random() / 500)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=kick)
    thread.start()
    with a, b:
        caught = 0
        for _ in range(n):
            try:
                ready.release()
                await a.read()
            except KeyboardInterrupt:
                caught += 1
        assert caught == n, (caught, n)
        await b.write(b"x")
        assert await a.read() == b"x"
    gopark.cgo.call(thread.join)


def descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            found.append(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return sorted(found)


def network(rng: Random) -> None:
    """Connections of all kinds, opened, used and dropped at random under faults."""
    flows: list[Flow] = []

    async def main(folder: str) -> None:
        crew = Crew(rng, rng.random() < 0.5)
        for _ in range(rng.randint(1, 12)):
            await link(crew, flows, folder, Random(rng.getrandbits(64)))
            if rng.random() < 0.2:
                gopark.runtime.gomaxprocs(rng.choice(PROCS))
            if rng.random() < 0.2:
                await interrupted(rng)
            if rng.random() < 0.2:
                gc.collect()
        await gopark.gosched()
        await crew.wait()

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", ResourceWarning)  # for what is dropped
        gopark.block(_nothing())  # the poller's own descriptors are there from here on
        gc.collect()
        before = set(descriptors())  # some of other threads may be among them
        gopark.run(main, folder)
        gc.collect()
        end = time.monotonic() + 20
        while (left := set(descriptors()) - before) or netdoor.opened:
            if time.monotonic() > end:
                break
            time.sleep(0.001)
            gc.collect()
        assert not netdoor.opened, [ref() for ref in netdoor.opened.values()]
        assert not left, (before, left)
        assert not list(pathlib.Path(folder).iterdir())
    assert not netdoor.inhand
    for flow in flows:
        flow.check()


async def _nothing() -> None:
    net.listen("tcp", "127.0.0.1:0").close()


PROGRAMS: list[Callable[[Random], None]] = [network]
