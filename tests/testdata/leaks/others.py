"""Bugs of Knative Serving and Syncthing. Go: goker/serving2137, syncthing4829, 5795."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark import Chan, go, recv, select, send
from gopark.sync import Mutex, Once, RWMutex
from testdata.leaks.stage import leaves, settled

# --- serving 2137: requests are let go in another order than they were let in -------------------


class Request:
    def __init__(self) -> None:
        self.mu = Mutex()
        self.accepted: Chan[bool] = Chan(1)


class Breaker:
    def __init__(self) -> None:
        self.pending: Chan[None] = Chan(2)
        self.active: Chan[None] = Chan(1)

    async def maybe(self, thunk: Callable[[], Awaitable[None]]) -> bool:
        if (await select(send(self.pending, None), default=True))[0] != 0:
            return False
        await self.active.send(None)
        await thunk()
        await self.active.recv()
        await self.pending.recv()
        return True

    async def request(self, gate: Chan[None]) -> Request:
        async def call() -> None:
            async def wait() -> None:
                async with request.mu:
                    pass

            await gate.recv()
            await request.accepted.send(await self.maybe(wait))

        request = Request()
        await request.mu.lock()
        go(call)
        return request


@leaves(
    "Breaker.request.call [chan send]",
    "Breaker.request.call [sync.Mutex.Lock]",
    "serving2137.node [chan receive]",
)
async def serving2137(fixed: bool) -> None:
    async def node(gates: list[Chan[None]], go_on: Chan[None]) -> None:
        breaker = Breaker()
        requests = [await breaker.request(gate) for gate in gates]
        await go_on.recv()
        for request in requests:
            request.mu.unlock()
            await request.accepted.recv()

    gates: list[Chan[None]] = [Chan(), Chan()]
    go_on: Chan[None] = Chan()
    go(node, gates, go_on)
    await settled(fixed)
    for gate in gates if fixed else reversed(gates):
        gate.close()
        await settled(fixed)
    go_on.close()


# --- syncthing 4829: it notifies with the lock that it reads with -------------------------------


class Mapping:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()
        self.addresses = {"test": 0}

    async def clear(self) -> None:
        async with self.mu:
            self.addresses.clear()
            if not self.fixed:
                await self.notify()
        if self.fixed:
            await self.notify()

    async def notify(self) -> None:
        async with self.mu.reader():
            pass


@leaves("syncthing4829.node [sync.RWMutex.RLock]")
async def syncthing4829(fixed: bool) -> None:
    async def node() -> None:
        service_mu = RWMutex()
        mapping = Mapping(fixed)
        async with service_mu:
            await mapping.clear()

    go(node)


# --- syncthing 5795: who dispatches closes the connection, which waits for it -------------------


class RawConnection:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.inbox: Chan[str] = Chan()
        self.closed: Chan[None] = Chan()
        self.stopped: Chan[None] = Chan()
        self.once = Once()

    async def dispatcher_loop(self) -> None:
        while (await select(recv(self.inbox), recv(self.closed)))[0] == 0:
            await self.cluster_config()
        self.stopped.close()

    async def cluster_config(self) -> None:
        if self.fixed:
            go(self.close)
        else:
            await self.close()

    async def close(self) -> None:
        await self.once.do(self.close_once)

    async def close_once(self) -> None:
        self.closed.close()
        await self.stopped.recv()


@leaves("RawConnection.dispatcher_loop [chan receive]", "syncthing5795.node [chan receive]")
async def syncthing5795(fixed: bool) -> None:
    async def node(gate: Chan[None]) -> None:
        connection = RawConnection(fixed)
        go(connection.dispatcher_loop)
        await gate.recv()
        await connection.inbox.send("cluster config")
        await connection.stopped.recv()

    gate: Chan[None] = Chan()
    go(node, gate)
    await settled(fixed)
    gate.close()
