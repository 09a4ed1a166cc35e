"""Bugs of gRPC. Go: goker/grpc660, 795, 862, 1275, 1424, 1460, 3017."""

from __future__ import annotations

from gopark import Chan, context, go, recv, select, send, time
from gopark.sync import Mutex
from testdata.leaks.stage import leaves, settled

# --- 660: who asked has stopped before the answer -----------------------------------------------


class BenchmarkClient:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.stop: Chan[bool] = Chan()

    async def close_loop(self) -> None:
        async def ask() -> None:
            await self.gate.recv()
            await done.send(True)

        while True:
            done: Chan[bool] = Chan(1 if self.fixed else 0)
            go(ask)
            index, _, _ = await select(recv(self.stop), recv(done))
            if index == 0:
                return


@leaves("BenchmarkClient.close_loop.ask [chan send]")
async def grpc660(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    client = BenchmarkClient(gate, fixed)
    go(client.close_loop)
    await gate.send(None)
    await settled(fixed)
    await client.stop.send(True)
    await settled(fixed)
    gate.close()


# --- 795: stopped twice -------------------------------------------------------------------------


class Server:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.drain = False

    async def graceful_stop(self) -> None:
        await self.mu.lock()
        if self.drain and not self.fixed:
            await self.mu.lock()
            return
        self.drain = True
        self.mu.unlock()

    async def serve(self) -> None:
        async with self.mu:
            pass


@leaves("Server.serve [sync.Mutex.Lock]", "stop_is_idempotent [sync.Mutex.Lock]")
async def grpc795(fixed: bool) -> None:
    server = Server(fixed)
    go(stop_is_idempotent, server)
    await settled(fixed)
    go(server.serve)


async def stop_is_idempotent(server: Server) -> None:
    for _ in range(3):
        await server.graceful_stop()


# --- 862: who dials gets no connection, so nobody closes it -------------------------------------


class ClientConn862:
    def __init__(self) -> None:
        self.ctx, self.cancel = context.with_cancel(context.background())

    async def reset(self) -> None:
        ctx, cancel = context.with_cancel(self.ctx)
        _, stop = context.with_timeout(ctx, 3600)
        stop()
        await ctx.done().recv()
        cancel()

    def close(self) -> None:
        self.cancel()


async def dial862(ctx: context.Context, fixed: bool) -> None:
    async def reset() -> None:
        await conn.reset()

    conn = ClientConn862()
    found = conn if fixed else None
    go(reset)
    await ctx.done().recv()
    if found is not None:
        found.close()


@leaves("dial862.reset [chan receive]")
async def grpc862(fixed: bool) -> None:
    ctx, cancel = context.with_cancel(context.background())
    go(dial862, ctx, fixed)
    await settled(fixed)
    cancel()


# --- 1275: a stream is closed, and its reader not told ------------------------------------------


class Stream:
    def __init__(self) -> None:
        self.received: Chan[bool] = Chan()

    async def read(self) -> None:
        await self.received.recv()

    def close(self, fixed: bool) -> None:
        if fixed:
            self.received.close()


async def close_in_flight(fixed: bool) -> None:
    async def read() -> None:
        await stream.read()
        done.close()

    stream = Stream()
    done: Chan[bool] = Chan()
    go(read)
    await settled(fixed)
    stream.close(fixed)
    await select(recv(done), recv(time.after(0 if not fixed else 3600)))


@leaves("close_in_flight.read [chan receive]")
async def grpc1275(fixed: bool) -> None:
    await close_in_flight(fixed)


# --- 1424: done is never said -------------------------------------------------------------------


class ClientConn1424:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.addresses: Chan[str] = Chan()

    async def watch(self, done: Chan[None]) -> None:
        async for _ in self.addresses:
            pass
        if self.fixed:
            done.close()


async def dial1424(gate: Chan[None], fixed: bool) -> None:
    async def wait() -> None:
        done: Chan[None] = Chan()
        go(conn.watch, done)
        await done.recv()

    conn = ClientConn1424(fixed)
    go(wait)
    await gate.recv()
    conn.addresses.close()


@leaves("dial1424.wait [chan receive]")
async def grpc1424(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    go(dial1424, gate, fixed)
    await settled(fixed)
    gate.close()


# --- 1460: it waits to be awakened, with the lock of who does that ------------------------------


class HTTP2Client:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.awaken: Chan[None] = Chan()
        self.streams = 0

    async def keepalive(self) -> None:
        await self.mu.lock()
        sleeps = self.streams == 0
        if self.fixed:
            self.mu.unlock()
        if sleeps:
            await self.awaken.recv()
        if not self.fixed:
            self.mu.unlock()

    async def new_stream(self) -> None:
        async with self.mu:
            self.streams += 1
            if self.streams == 1:
                await select(send(self.awaken, None), default=True)


@leaves("HTTP2Client.keepalive [chan receive]", "HTTP2Client.new_stream [sync.Mutex.Lock]")
async def grpc1460(fixed: bool) -> None:
    client = HTTP2Client(fixed)
    go(client.keepalive)
    await settled(fixed)
    go(client.new_stream)


# --- 3017: a deletion that was called off does not unlock ---------------------------------------


class SubConnCache:
    """Connections are deleted a while after they were removed, if nobody wants them back."""

    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.expired: Chan[str] = Chan()
        self.aborted: dict[str, bool] = {}

    async def remove(self, address: str) -> None:
        async def expire() -> None:
            await self.expired.send(address)
            await self.gate.recv()
            await self.mu.lock()
            if self.aborted.pop(address):
                if self.fixed:
                    self.mu.unlock()
                return
            self.mu.unlock()

        async with self.mu:
            self.aborted[address] = False
            time.after_func(0, expire)

    async def new(self, address: str) -> None:
        async with self.mu:
            self.aborted[address] = True


@leaves(
    "grpc3017.client [chan receive]",
    "grpc3017.client.use [sync.Mutex.Lock]",
    "SubConnCache.remove.expire [sync.Mutex.Lock]",
)
async def grpc3017(fixed: bool) -> None:
    async def client(cache: SubConnCache, turn: Chan[None]) -> None:
        async def use() -> None:
            await cache.remove("a")
            await cache.remove("b")
            await turn.recv()
            await cache.new("a")
            await cache.new("b")
            await turn.recv()
            await cache.new("c")
            done.close()

        done: Chan[None] = Chan()
        go(use)
        await done.recv()

    gate: Chan[None] = Chan()
    turn: Chan[None] = Chan()
    cache = SubConnCache(gate, fixed)
    go(client, cache, turn)
    await cache.expired.recv()
    await cache.expired.recv()
    await turn.send(None)
    await settled(fixed)
    gate.close()
    await settled(fixed)
    turn.close()
