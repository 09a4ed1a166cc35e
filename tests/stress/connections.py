"""A program for programs.py: a server, and clients whose connections end in every way there is.

Where `network` looks at what one connection bears, this looks at many of them: each is dialed,
accepted, used for a few messages in both directions and ended, in good order or by a fault.
Deadlines that have passed, half-closes and contexts that are cancelled amid a dial change nothing:
all that was sent has come, in order, once, and then the end. A reset, a close from elsewhere (a
goroutine, a thread, a callback from C) or a connection that is forgotten cuts the streams: what
came is the beginning of what was sent. After it no goroutine, thread or descriptor is left.

`GOPARK_STRESS_CONNECTIONS` says how many connections a program has; else the seed does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import socket
import struct
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

from stress_network import descriptors, stretch  # registered by programs.py
from stress_programs import Crew, CThread, alone, libc, run

import gopark
from gopark import Chan, context, net, recv, select
from gopark._runtime.base.hooks import netdoor

ORDERLY = ("none", "half", "past", "hurried", "cancelled")
CUT = ("late", "close", "reset", "drop", "silent", "stub", "expired")
SIZES = (0, 1, 100, 100, 4000, 70_000)
HEADER = struct.Struct("!II")
MAGIC = 0x676F7061
LINGER = struct.pack("ii", 1, 0)
GONE = (OSError, net.UnexpectedEOFError)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Flow:
    """One direction: what was said to be sent, what may have been, what came."""

    def __init__(self) -> None:
        self.sent = self.tried = self.got = 0
        self.ended = False

    def take(self, data: bytes, case: Case) -> None:
        assert data == stretch(self.got, len(data)), f"{case}: other bytes at {self.got}"
        self.got += len(data)


class Case:
    """One connection: what is to become of it, and what has."""

    def __init__(self, number: int, rng: Random) -> None:
        self.number = number
        self.fault = rng.choice(ORDERLY if rng.random() < 0.5 else CUT)
        self.byclient = rng.random() < 0.5  # whose end the fault strikes
        self.sizes = rng.choice(SIZES), rng.choice(SIZES)
        self.seed = rng.getrandbits(64)
        self.up, self.down = Flow(), Flow()
        self.served = 0
        self.failed: Exception | None = None  # it could not be dialed

    def __repr__(self) -> str:
        return f"connection {self.number}, {self.fault}"

    def check(self, lax: bool) -> None:
        assert self.served <= 1, f"{self}: served {self.served} times"
        assert self.failed is None or lax or self.fault in ("cancelled", "expired"), self.failed
        for flow, total in zip((self.up, self.down), self.sizes, strict=True):
            assert flow.got <= flow.tried, f"{self}: {flow.got} came of {flow.tried}"
            if self.fault in ORDERLY and not lax and self.failed is None:
                assert flow.ended, f"{self}: no end after {flow.got} of {flow.sent}"
                assert flow.got == flow.sent == total, f"{self}: {flow.got} of {flow.sent}, {total}"


class World:
    """What all of them have in common."""

    def __init__(self, cases: list[Case], ln: net.Listener, outside: bool) -> None:
        self.cases = cases
        self.ln = ln
        self.outside = outside
        self.left = list(reversed(cases))
        self.served: Chan[None] = Chan(len(cases) * 2 + 100)
        self.accepted = 0
        self.lock = threading.Lock()  # guards `accepted`, and this
        self.threads: list[Any] = []

    def thread(self, thread: Any) -> None:
        with self.lock:
            self.threads.append(thread)


# --- one end ---------------------------------------------------------------------------------


async def writing(conn: net.Conn, case: Case, flow: Flow, total: int, rng: Random) -> None:
    try:
        while flow.sent < total:
            n = min(rng.choice([1, 50, 3000, 50_000]), total - flow.sent)
            flow.tried += n
            await conn.write(stretch(flow.sent, n))
            flow.sent += n
            if rng.random() < 0.1:
                await gopark.gosched()
        conn.close_write()  # type: ignore[attr-defined]
    except TimeoutError:
        assert case.fault == "late", f"{case}: timed out in a write"
        conn.close()
    except GONE:
        assert case.fault in CUT or lax(), f"{case}: broken in a write"
        conn.close()


async def reading(conn: net.Conn, case: Case, flow: Flow, stops: int | None, rng: Random) -> None:
    try:
        while stops is None or flow.got < stops:
            try:
                data = await once(conn, case, rng)
            except TimeoutError:
                with contextlib.suppress(net.ClosedError):
                    conn.set_read_deadline(None)
                continue
            if not data:
                flow.ended = True
                return
            flow.take(data, case)
    except net.UnexpectedEOFError as exc:
        flow.take(exc.partial, case)
        flow.ended = True
    except GONE:
        assert case.fault in CUT or lax(), f"{case}: broken in a read"
        conn.close()


async def once(conn: net.Conn, case: Case, rng: Random) -> bytes:
    how = rng.randrange(6)
    if case.fault == "past" and how > 2:
        conn.set_read_deadline(gopark.time.monotonic() + rng.choice([-1.0, 0.0, 0.0005]))
    if how == 0:
        return await conn.read_full(rng.choice([1, 50, 5000]))
    if how == 1:
        with contextlib.suppress(net.TooLongError):
            return await conn.read_until(b"\n", rng.choice([2, 500]))
    return await conn.read(rng.choice([1, 100, 5000, 65536]))


async def hurry(conn: net.Conn, late: bool, rng: Random, done: Chan[None]) -> None:
    """Deadlines that have passed, or soon will, come and go."""
    for _ in range(rng.randrange(10)):
        when = gopark.time.monotonic() + rng.random() / 300 - 0.001
        with contextlib.suppress(net.ClosedError):
            (conn.set_deadline if late and rng.random() < 0.5 else conn.set_read_deadline)(when)
        await gopark.time.sleep(rng.random() / 1000)
    done.try_send(None)


def strike(world: World, conn: net.Conn, done: Chan[None], rng: Random) -> None:
    """Close it from elsewhere; where SO_LINGER says so, that is a reset."""
    delay = rng.random() / 300
    how = rng.choice(["goroutine", "plain", "callback"] + ["pythread", "cthread"] * world.outside)

    def act(*_: Any) -> int:
        if how != "callback":
            time.sleep(delay)
        conn.close()
        done.try_send(None)
        return 0

    async def later() -> None:
        await gopark.time.sleep(delay)
        act()

    async def called() -> None:
        await gopark.time.sleep(delay)
        array = (ctypes.c_int * 2)(1, 2)
        gopark.cgo.call(libc.qsort, array, 2, 4, COMPARE(gopark.cgo.callback(act)))

    if how == "pythread":
        thread = threading.Thread(target=act)
        world.thread(thread)
        thread.start()
    elif how == "cthread":
        world.thread(CThread(act))
    else:
        gopark.go({"goroutine": later, "plain": act, "callback": called}[how])


async def using(world: World, conn: net.Conn, case: Case, client: bool, rng: Random) -> None:
    """One end, until both directions are over; closed, unless it is to be forgotten."""
    out, into = (case.up, case.down) if client else (case.down, case.up)
    total = case.sizes[not client]
    struck = case.byclient == client
    beside: list[Chan[None]] = []

    def by(fn: Callable[..., Any], *args: Any) -> None:
        beside.append(Chan(1))
        gopark.go(fn, *args, Random(rng.getrandbits(64)), beside[-1])

    if struck and case.fault in ("close", "reset"):
        beside.append(Chan(1))
        strike(world, conn, beside[-1], rng)
    if case.fault in ("hurried", "late"):
        by(hurry, conn, case.fault == "late" and struck)
    if case.fault == "half":  # one side says all it has to say before the other begins
        if struck:
            await writing(conn, case, out, total, rng)
            await reading(conn, case, into, None, rng)
        else:
            await reading(conn, case, into, None, rng)
            await writing(conn, case, out, total, rng)
    else:
        stops = rng.randrange(5000) if struck and case.fault == "drop" else None
        written: Chan[None] = Chan(1)

        async def write(mine: Random) -> None:
            try:
                await writing(conn, case, out, total, mine)
            finally:
                written.try_send(None)

        gopark.go(write, Random(rng.getrandbits(64)))
        await reading(conn, case, into, stops, rng)
        if stops is not None:
            return  # both who have it forget it
        await written.recv()
    for done in beside:
        await done.recv()
    conn.close()


# --- the clients -----------------------------------------------------------------------------


async def dialed(world: World, case: Case, rng: Random) -> net.Conn | None:
    address = world.ln.addr
    try:
        if case.fault == "cancelled":
            ctx, cancel = context.with_cancel(context.background())
            timer = gopark.time.after_func(rng.choice([0, 0.0001, 0.001, 0.01]), cancel)
            try:
                return await net.dial(address.network, str(address), ctx=ctx)
            finally:
                timer.stop()
                cancel()  # which is nothing to the connection
        if case.fault == "expired":
            timeout = rng.choice([0.0, 1e-9, 0.0005])
            return await net.dial(address.network, str(address), timeout=timeout)
        return await net.dial(address.network, str(address))
    except (OSError, context.Canceled) as exc:
        case.failed = exc
        return None


async def client(world: World, case: Case) -> None:
    rng = Random(case.seed)
    conn = await dialed(world, case, rng)
    if conn is None:
        return
    if case.fault == "reset" and case.byclient:
        conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)  # type: ignore[attr-defined]
    if case.fault in ("silent", "stub"):
        with contextlib.suppress(OSError):
            if case.fault == "stub":
                await conn.write(HEADER.pack(MAGIC, case.number)[: rng.randrange(1, HEADER.size)])
            if rng.random() < 0.3:
                conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)  # type: ignore[attr-defined]
        if rng.random() < 0.7:
            conn.close()
        return
    try:
        await conn.write(HEADER.pack(MAGIC, case.number))
    except OSError:
        assert case.fault in CUT or lax(), f"{case}: broken in its first write"
        conn.close()
        return
    await using(world, conn, case, True, rng)


async def clients(world: World) -> None:
    """One after the other, until there are no more."""
    while True:
        try:
            case = world.left.pop()
        except IndexError:
            return
        await client(world, case)


# --- the server ------------------------------------------------------------------------------


async def serve(world: World, conn: net.Conn, rng: Random) -> None:
    try:
        if rng.random() < 0.1:
            await gopark.time.sleep(rng.random() / 500)
        case = await greeted(world, conn, rng)
        if case is None:
            conn.close()
            return
        case.served += 1
        if case.fault == "reset" and not case.byclient:
            conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)  # type: ignore[attr-defined]
        await using(world, conn, case, False, Random(case.seed + 1))
    finally:
        world.served.try_send(None)


async def greeted(world: World, conn: net.Conn, rng: Random) -> Case | None:
    """Whom this is for, if the other side has come as far as to say so."""
    if rng.random() < 0.2:
        conn.set_deadline(gopark.time.monotonic() - 1)
        try:
            await conn.read()
        except TimeoutError:
            conn.set_deadline(None)
        else:
            raise AssertionError("read after its deadline")
    try:
        head = await conn.read_full(HEADER.size)
    except GONE:
        return None
    if not head:
        return None
    magic, number = HEADER.unpack(head)
    assert magic == MAGIC, head
    return world.cases[number]


async def acceptor(world: World, ln: net.Listener, how: str, rng: Random) -> None:
    def begin(conn: net.Conn) -> None:
        with world.lock:
            world.accepted += 1
        mine = Random(rng.getrandbits(64))
        if rng.random() < 0.1:
            gopark.go(lambda: gopark.block(serve(world, conn, mine)))
        else:
            gopark.go(serve, world, conn, mine)

    if how == "for":
        async for conn in ln:
            begin(conn)
    elif how == "select":
        while True:
            timer = gopark.time.after(rng.random() / 100)
            index, conn, ok = await select(recv(ln.conns()), recv(timer))
            if index == 0 and not ok:
                return
            if index == 0:
                begin(conn)
    else:
        while True:
            try:
                if rng.random() < 0.05:
                    ln.set_deadline(gopark.time.monotonic() + rng.random() / 100 - 0.002)
                begin(await ln.accept())
            except TimeoutError:
                with contextlib.suppress(net.ClosedError):
                    ln.set_deadline(None)
            except net.ClosedError:
                return


# --- all of it -------------------------------------------------------------------------------

_lax = [False]  # the listener goes amid it: any connection may be cut


def lax() -> bool:
    return _lax[0]


async def everything(rng: Random, cases: list[Case], folder: str, outside: bool) -> None:
    kind = rng.choice(["tcp", "tcp", "unix"])
    ln = net.listen(kind, "127.0.0.1:0" if kind == "tcp" else os.path.join(folder, "s"))
    world = World(cases, ln, outside)
    crew, acceptors = Crew(rng, outside), Crew(rng, outside)
    how = rng.choice(["for", "accept", "accept", "select"])  # a deadline is for all of them
    for _ in range(rng.randint(1, 3)):
        kinds = ["coroutine", "coroutine", "plain", "locked"]
        mine = Random(rng.getrandbits(64))
        acceptors.start(acceptor, world, ln, how, mine, kind=rng.choice(kinds))
    for _ in range(rng.choice([1, 4, 20, 60])):
        crew.start(clients, world)
    if lax():
        while len(world.left) > len(cases) // 2:
            await gopark.time.sleep(0.001)
        ln.close()
    await collected(world, crew.join())
    ln.close()
    await collected(world, acceptors.join())
    for _ in range(world.accepted):
        await collected(world, world.served.recv())
    for thread in world.threads:
        gopark.cgo.call(thread.join)
    world.threads.clear()
    await alone()


async def collected(world: World, coro: Any) -> None:
    """Wait for it. Where nothing goes on, it may be for a connection that somebody forgot."""
    done: Chan[None] = Chan(1)

    async def wait() -> None:
        await coro
        done.try_send(None)

    gopark.go(wait)
    before = (-1, -1)
    while (await select(recv(done), recv(gopark.time.after(0.05))))[0]:
        now = len(world.left), len(world.served)
        if now == before:
            gc.collect()
        before = now


def connections(rng: Random) -> None:
    """Many connections to one server, opened and dropped at random under faults."""
    n = int(os.environ.get("GOPARK_STRESS_CONNECTIONS", "0")) or rng.choice([10, 50, 200])
    cases = [Case(number, rng) for number in range(n)]
    _lax[0] = rng.random() < 0.1
    outside = rng.random() < 0.6
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", ResourceWarning)  # for what is dropped
        gopark.block(_nothing())  # the poller's own descriptors are there from here on
        gc.collect()
        before = set(descriptors())  # some of other threads may be among them
        run(everything, rng, cases, folder, outside, outside=outside)
        gc.collect()
        end = time.monotonic() + 20
        while (netdoor.opened or set(descriptors()) - before) and time.monotonic() < end:
            time.sleep(0.001)
            gc.collect()
        assert not netdoor.opened, [ref() for ref in netdoor.opened.values()]
        assert not (left := set(descriptors()) - before), (before, left)
        assert not os.listdir(folder)
    assert not netdoor.inhand
    for case in cases:
        case.check(lax())


async def _nothing() -> None:
    net.listen("tcp", "127.0.0.1:0").close()


PROGRAMS: list[Callable[[Random], None]] = [connections]
