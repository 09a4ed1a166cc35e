"""Bugs of etcd. Go: goker/etcd5509, 6708, 6857, 6873, 7492, 7902, 10492."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark import Chan, context, go, recv, select, send
from gopark.sync import Mutex, RWMutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 5509: a return that does not unlock --------------------------------------------------------


class Client5509:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()
        self.closed = True

    async def acquire(self) -> None:
        await self.mu.rlock()
        if self.closed:
            if self.fixed:
                self.mu.runlock()
            return
        self.mu.runlock()

    async def close(self) -> None:
        async with self.mu:
            self.closed = True


@leaves("etcd5509.node [sync.RWMutex.Lock]")
async def etcd5509(fixed: bool) -> None:
    async def node() -> None:
        async def get() -> None:
            await client.acquire()
            done.close()

        client = Client5509(fixed)
        done: Chan[None] = Chan()
        go(get)
        await done.recv()
        await client.close()

    go(node)


# --- 6708: it reads what it has locked for writing, a few calls further down --------------------


class ClusterClient:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()

    async def do(self) -> None:
        async with self.mu.reader():
            pass

    async def leader(self) -> None:
        await self.do()

    async def sync(self) -> None:
        if self.fixed:
            await self.leader()
        async with self.mu:
            if not self.fixed:
                await self.leader()


@leaves("etcd6708.node [sync.RWMutex.RLock]")
async def etcd6708(fixed: bool) -> None:
    async def node() -> None:
        client = ClusterClient(fixed)
        await client.sync()

    go(node)


# --- 6857: its state is asked for after the stop ------------------------------------------------


class Node:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.asked: Chan[Chan[str]] = Chan()
        self.stopped: Chan[None] = Chan()
        self.done: Chan[None] = Chan()

    async def run(self) -> None:
        while True:
            index, reply, _ = await select(recv(self.asked), recv(self.stopped))
            if index == 1:
                self.done.close()
                return
            await reply.send("leader")

    async def status(self) -> str | None:
        reply: Chan[str] = Chan()
        if self.fixed:
            index, _, _ = await select(send(self.asked, reply), recv(self.done))
            if index == 1:
                return None
        else:
            await self.asked.send(reply)
        return await reply.recv()

    async def stop(self) -> None:
        await select(send(self.stopped, None), recv(self.done))
        await self.done.recv()


@leaves("Node.status [chan send]")
async def etcd6857(fixed: bool) -> None:
    node = Node(fixed)
    go(node.run)
    go(node.status)
    await settled(fixed)
    go(node.stop)
    await settled(fixed)
    go(node.status)


# --- 6873: it waits for who needs its lock ------------------------------------------------------


class Broadcasts:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.updates: Chan[str] = Chan(1)
        self.done: Chan[None] = Chan()

    async def run(self) -> None:
        async for _ in self.updates:
            await self.gate.recv()
            async with self.mu:  # coalesce
                pass
        self.done.close()

    async def stop(self) -> None:
        async with self.mu:
            self.updates.close()
            if not self.fixed:
                await self.done.recv()
        await self.done.recv()


@leaves("Broadcasts.stop [chan receive]", "Broadcasts.run [sync.Mutex.Lock]")
async def etcd6873(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    broadcasts = Broadcasts(gate, fixed)
    go(broadcasts.run)
    await broadcasts.updates.send("update")
    await settled(fixed)
    go(broadcasts.stop)
    await settled(fixed)
    gate.close()


# --- 7492: a token is handed over with the lock that who takes it needs -------------------------


class TokenKeeper:
    def __init__(self, ticks: Chan[None], gate: Chan[None], fixed: bool) -> None:
        self.ticks = ticks
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.tokens: set[str] = set()
        self.added: Chan[str] = Chan(1)
        self.stopped: Chan[None] = Chan()

    async def run(self) -> None:
        while True:
            index, token, _ = await select(recv(self.added), recv(self.ticks), recv(self.stopped))
            if index == 0:
                self.tokens.add(token)
            elif index == 1:
                await self.gate.recv()
                async with self.mu:
                    self.tokens.clear()
            else:
                return

    async def assign(self) -> None:
        async with self.mu:
            if not self.fixed:
                await self.added.send("token")
        if self.fixed:
            await self.added.send("token")


@leaves(
    "etcd7492.node [sync.WaitGroup.Wait]",
    "etcd7492.node.assign [chan send]",
    "TokenKeeper.run [sync.Mutex.Lock]",
)
async def etcd7492(fixed: bool) -> None:
    async def node() -> None:
        async def assign() -> None:
            await turns.recv()
            await keeper.assign()
            wg.done()

        keeper = TokenKeeper(ticks, gate, fixed)
        go(keeper.run)
        wg = WaitGroup()
        wg.add(3)
        for _ in range(3):
            go(assign)
        await wg.wait()
        keeper.stopped.close()

    turns: Chan[None] = Chan()
    ticks: Chan[None] = Chan()
    gate: Chan[None] = Chan()
    go(node)
    for ch in (turns, ticks, turns, turns):
        await ch.send(None)
        await settled(fixed)
    gate.close()


# --- 7902: a follower waits for the leader with the lock of both --------------------------------


class Election:
    def __init__(self, gates: list[Chan[None]], fixed: bool) -> None:
        self.gates = gates
        self.fixed = fixed
        self.mu = Mutex()
        self.following: Chan[None] = Chan()

    async def round(self, i: int, wg: WaitGroup) -> None:
        async with self.mu:
            following = self.following
        await self.gates[i].recv()
        async with self.mu:
            if i == 0:
                self.following.close()
            if not self.fixed:
                await following.recv()
        await following.recv()
        wg.done()


@leaves(
    "run_election [sync.WaitGroup.Wait]",
    "Election.round [chan receive]",
    *["Election.round [sync.Mutex.Lock]"] * 2,
)
async def etcd7902(fixed: bool) -> None:
    gates: list[Chan[None]] = [Chan(), Chan(), Chan()]
    go(run_election, gates, fixed)
    await settled(fixed)
    for i in (1, 0, 2):
        gates[i].close()
        await settled(fixed)


async def run_election(gates: list[Chan[None]], fixed: bool) -> None:
    election = Election(gates, fixed)
    wg = WaitGroup()
    wg.add(3)
    for i in range(3):
        go(election.round, i, wg)
    await wg.wait()


# --- 10492: it calls, with its lock, who calls back for it --------------------------------------


class Lessor:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()
        self.checkpointer: Callable[[context.Context], Awaitable[None]] | None = None

    async def checkpoint(self) -> None:
        async with self.mu:
            pass

    async def renew(self) -> None:
        await self.mu.lock()
        call = self.checkpointer
        if self.fixed:
            self.mu.unlock()
        if call is not None:
            await call(context.background())
        if not self.fixed:
            self.mu.unlock()


@leaves("etcd10492.node [sync.Mutex.Lock]")
async def etcd10492(fixed: bool) -> None:
    async def node() -> None:
        async def checkpoint(ctx: context.Context) -> None:
            await lessor.checkpoint()

        lessor = Lessor(fixed)
        async with lessor.mu:
            lessor.checkpointer = checkpoint
        await lessor.renew()

    go(node)
