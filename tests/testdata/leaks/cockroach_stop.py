"""Bugs of CockroachDB: what is to stop. Go: goker/cockroach1055, 1462, 2448, 24808, 25456."""

from __future__ import annotations

from collections.abc import Callable

from gopark import Chan, go, recv, select, send
from gopark.sync import Mutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 1055: tasks are waited for with the lock that they need to begin ---------------------------


class Stopper1055:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.stopper: Chan[None] = Chan()
        self.stopped = WaitGroup()
        self.mu = Mutex()
        self.draining = False
        self.drain = WaitGroup()

    async def quiesce(self) -> None:
        await self.mu.lock()
        self.draining = True
        if self.fixed:
            self.mu.unlock()
        await self.drain.wait()
        self.draining = False
        if not self.fixed:
            self.mu.unlock()

    async def stop(self) -> None:
        await self.mu.lock()
        self.draining = True
        if self.fixed:
            self.mu.unlock()
        await self.drain.wait()
        self.stopper.close()
        await self.stopped.wait()
        if not self.fixed:
            self.mu.unlock()

    async def start_task(self, gate: Chan[None]) -> None:
        if self.draining and not self.fixed:
            return
        await gate.recv()
        async with self.mu:
            if not (self.draining and self.fixed):
                self.drain.add(1)
                if self.fixed:
                    self.drain.done()


async def node1055(gate: Chan[None], closing: Chan[None], fixed: bool) -> None:
    async def work(stopper: Stopper1055) -> None:
        await stopper.start_task(gate)
        await stopper.stopper.recv()
        stopper.stopped.done()

    async def close() -> None:
        for stopper in stoppers:
            await stopper.quiesce()
        for stopper in stoppers:
            await stopper.stop()
        done.close()

    stoppers = [Stopper1055(fixed), Stopper1055(fixed)]
    for stopper in stoppers:
        stopper.stopped.add(1)
        go(work, stopper)
    done: Chan[None] = Chan()
    await closing.recv()
    go(close)
    await done.recv()


@leaves(
    *["node1055 [chan receive]"] * 2,
    *["node1055.close [sync.WaitGroup.Wait]"] * 2,
    *["node1055.work [chan receive]"] * 3,
    "node1055.work [sync.Mutex.Lock]",
)
async def cockroach1055(fixed: bool) -> None:
    """First the tasks begin before the stop, then while it is under way."""
    for late in (False, True):
        gate: Chan[None] = Chan()
        closing: Chan[None] = Chan()
        if not late:
            gate.close()
        go(node1055, gate, closing, fixed)
        await settled(fixed)
        closing.close()
        await settled(fixed)
        if late:
            gate.close()


# --- 1462: it looks whether to stop, and then sends to who has stopped --------------------------


class Stopper1462:
    def __init__(self) -> None:
        self.stopper: Chan[None] = Chan()
        self.stopped = WaitGroup()

    def run_worker(self, work: Callable[[], object]) -> None:
        self.stopped.go(work)

    async def stop(self) -> None:
        self.stopper.close()
        await self.stopped.wait()


class Transport:
    def __init__(self, stopper: Stopper1462, gate: Chan[None], fixed: bool) -> None:
        self.stopper = stopper
        self.gate = gate
        self.fixed = fixed
        self.events: Chan[int] = Chan()

    async def intercept(self) -> None:
        stop = self.stopper.stopper
        while (await select(recv(stop), default=True))[0] != 0:
            await self.gate.recv()
            if self.fixed:
                await select(send(self.events, 0), recv(stop))
            else:
                await self.events.send(0)

    async def process(self) -> None:
        while (await select(recv(self.events), recv(self.stopper.stopper)))[0] == 0:
            pass


@leaves("Transport.intercept [chan send]", "cockroach1462.node [sync.WaitGroup.Wait]")
async def cockroach1462(fixed: bool) -> None:
    async def node() -> None:
        stopper = Stopper1462()
        transport = Transport(stopper, gate, fixed)
        stopper.run_worker(transport.intercept)
        stopper.run_worker(transport.process)
        await go_on.recv()
        await stopper.stop()

    gate: Chan[None] = Chan()
    go_on: Chan[None] = Chan()
    go(node)
    await settled(fixed)
    go_on.close()
    await settled(fixed)
    gate.close()


# --- 2448: two that send to each other ----------------------------------------------------------


class MultiRaft:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.stopper: Chan[None] = Chan()
        self.events: Chan[Callable[[], object]] = Chan()
        self.callbacks: Chan[Callable[[], object]] = Chan()

    async def start(self) -> None:
        while True:
            index, callback, _ = await select(
                recv(self.stopper), recv(self.callbacks), default=True
            )
            if index == 0:
                return
            if index == 1:
                callback()
            else:
                await self.send_event()

    async def send_event(self) -> None:
        callbacks = self.callbacks if self.fixed else None
        index, callback, _ = await select(
            send(self.events, self.stopper.close), recv(self.stopper), recv(callbacks)
        )
        if index == 2:
            callback()

    async def process_raft(self) -> None:
        while True:
            index, committed, _ = await select(recv(self.events), recv(self.stopper))
            if index == 1:
                return
            await self.gate.recv()
            await select(send(self.callbacks, committed), recv(self.stopper))


@leaves("MultiRaft.process_raft [select]", "MultiRaft.start [select]")
async def cockroach2448(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    raft = MultiRaft(gate, fixed)
    go(raft.process_raft)
    go(raft.start)
    await settled(fixed)
    gate.close()


# --- 24808: it sends before it starts who receives ----------------------------------------------


class Compactor:
    def __init__(self) -> None:
        self.ch: Chan[None] = Chan(1)
        self.stopper: Chan[None] = Chan()

    async def start(self, fixed: bool) -> None:
        if fixed:
            await select(send(self.ch, None), default=True)
        else:
            await self.ch.send(None)
        go(self.run)

    async def run(self) -> None:
        while (await select(recv(self.stopper), recv(self.ch)))[0] == 1:
            pass


@leaves("cockroach24808.node [chan send]")
async def cockroach24808(fixed: bool) -> None:
    async def node() -> None:
        compactor = Compactor()
        await compactor.ch.send(None)
        await compactor.start(fixed)
        compactor.stopper.close()

    go(node)


# --- 25456: a queue waits for a stop that is to come after it -----------------------------------


class ConsistencyQueue:
    def __init__(self, quiescer: Chan[None]) -> None:
        self.quiescer = quiescer

    async def process(self) -> None:
        await self.quiescer.recv()


@leaves("cockroach25456.node [chan receive]")
async def cockroach25456(fixed: bool) -> None:
    async def node(quiescer: Chan[None]) -> None:
        queue = ConsistencyQueue(quiescer)
        await queue.process()
        await queue.process()
        if not fixed:
            quiescer.close()

    quiescer: Chan[None] = Chan()
    go(node, quiescer)
    await settled(fixed)
    if fixed:
        quiescer.close()
