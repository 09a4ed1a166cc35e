"""Bugs of CockroachDB: locks. Go: goker/cockroach584, 3710, 6181, 7504, 9935, 10214, 16167."""

from __future__ import annotations

from gopark import Chan, go
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 584: a return that does not unlock ---------------------------------------------------------


class Gossip:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.closed = True

    async def bootstrap(self) -> None:
        while True:
            await self.mu.lock()
            if self.closed:
                if self.fixed:
                    self.mu.unlock()
                break
            self.mu.unlock()

    manage = bootstrap


@leaves("cockroach584.node [sync.Mutex.Lock]")
async def cockroach584(fixed: bool) -> None:
    async def node() -> None:
        gossip = Gossip(fixed)
        await gossip.bootstrap()
        await gossip.manage()

    go(node)


# --- 3710: it reads while it reads, and a writer has come between -------------------------------


class Store3710:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = RWMutex()
        self.replicas = ["a", "b"]

    async def force_scan(self) -> None:
        await self.mu.rlock()
        replicas = list(self.replicas)
        await self.gate.recv()
        if self.fixed:
            self.mu.runlock()
        for _ in replicas:
            await self.raft_status()
        if not self.fixed:
            self.mu.runlock()

    async def raft_status(self) -> None:
        async with self.mu.reader():
            pass

    async def process_raft(self) -> None:
        async with self.mu:
            self.replicas.append("c")


@leaves("Store3710.force_scan [sync.RWMutex.RLock]", "Store3710.process_raft [sync.RWMutex.Lock]")
async def cockroach3710(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    store = Store3710(gate, fixed)
    go(store.force_scan)
    await settled(fixed)
    go(store.process_raft)
    await settled(fixed)
    gate.close()


# --- 6181: the same, in the making of a log line ------------------------------------------------


class RangeCache:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = RWMutex()

    async def lookup(self, first: bool) -> None:
        await self.mu.rlock()
        if not first:
            await self.gate.recv()
        if not self.fixed:
            await self.string()
        self.mu.runlock()
        async with self.mu:
            pass

    async def string(self) -> None:
        async with self.mu.reader():
            pass


@leaves(
    "cockroach6181.coalesce [sync.WaitGroup.Wait]",
    "cockroach6181.coalesce.look [sync.RWMutex.Lock]",
    *["cockroach6181.coalesce.look [sync.RWMutex.RLock]"] * 2,
)
async def cockroach6181(fixed: bool) -> None:
    async def coalesce(cache: RangeCache, go_on: Chan[None]) -> None:
        async def look(first: bool) -> None:
            await cache.lookup(first)
            wg.done()

        wg = WaitGroup()
        wg.add(3)
        go(look, False)
        go(look, False)
        await go_on.recv()
        go(look, True)
        await wg.wait()

    gate: Chan[None] = Chan()
    go_on: Chan[None] = Chan()
    go(coalesce, RangeCache(gate, fixed), go_on)
    await settled(fixed)
    go_on.close()
    await settled(fixed)
    gate.close()


# --- 7504: the lease and the cache of names, in both orders -------------------------------------


class Lease:
    def __init__(self) -> None:
        self.mu = Mutex()


class NameCache:
    def __init__(self, gate: Chan[None]) -> None:
        self.gate = gate
        self.mu = Mutex()
        self.leases: dict[int, Lease] = {}

    async def get(self, key: int) -> None:
        async with self.mu:
            await self.gate.recv()
            if key in self.leases:
                async with self.leases[key].mu:
                    pass

    async def remove(self, key: int) -> None:
        async with self.mu:
            self.leases.pop(key, None)


class TableState:
    def __init__(self, names: NameCache, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.names = names
        self.active: dict[int, Lease] = {}

    async def release(self, key: int) -> None:
        async with self.mu:
            async with self.active[key].mu:
                if not self.fixed:
                    await self.names.remove(key)
            if self.fixed:
                await self.names.remove(key)


@leaves("cockroach7504.acquire [sync.Mutex.Lock]", "cockroach7504.release [sync.Mutex.Lock]")
async def cockroach7504(fixed: bool) -> None:
    async def acquire() -> None:
        await names.get(0)

    async def release() -> None:
        await table.release(0)

    gate: Chan[None] = Chan()
    names = NameCache(gate)
    table = TableState(names, fixed)
    names.leases[0] = table.active[0] = Lease()
    go(acquire)
    await settled(fixed)
    go(release)
    await settled(fixed)
    gate.close()


# --- 9935: the way out locks what is locked -----------------------------------------------------


class Logging:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()

    async def output(self) -> None:
        await self.mu.lock()
        try:
            self.create_file()
        except OSError:
            await self.exit()
        self.mu.unlock()

    def create_file(self) -> None:
        raise OSError("no space")

    async def exit(self) -> None:
        if not self.fixed:
            async with self.mu:
                pass


@leaves("Logging.output [sync.Mutex.Lock]")
async def cockroach9935(fixed: bool) -> None:
    go(Logging(fixed).output)


# --- 10214: heartbeats are sent with their lock, which a tick takes last ------------------------


class Replica10214:
    def __init__(self, store: Store10214) -> None:
        self.store = store
        self.raft_mu = Mutex()
        self.mu = Mutex()

    async def report_unreachable(self) -> None:
        async with self.raft_mu:
            pass

    async def tick(self) -> None:
        async with self.raft_mu, self.mu, self.store.coalesced_mu:
            pass


class Store10214:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.coalesced_mu = Mutex()
        self.replicas = [Replica10214(self), Replica10214(self)]

    async def send_heartbeats(self) -> None:
        await self.coalesced_mu.lock()
        await self.gate.recv()
        if self.fixed:
            self.coalesced_mu.unlock()
        for replica in self.replicas:
            await replica.report_unreachable()
        if not self.fixed:
            self.coalesced_mu.unlock()


@leaves("Store10214.send_heartbeats [sync.Mutex.Lock]", "Replica10214.tick [sync.Mutex.Lock]")
async def cockroach10214(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    store = Store10214(gate, fixed)
    go(store.send_heartbeats)
    await settled(fixed)
    go(store.replicas[0].tick)
    await settled(fixed)
    gate.close()


# --- 16167: a condition locks for reading, and so does who is called with it --------------------


class Executor:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.config_mu = RWMutex()
        self.config = Cond(self.config_mu.reader())

    async def start(self) -> None:
        async with self.config_mu:
            pass

    async def execute(self) -> None:
        async with self.config.locker:
            await self.gate.recv()
            await self.database_cache()

    async def database_cache(self) -> None:
        if not self.fixed:
            async with self.config_mu.reader():
                pass


@leaves("cockroach16167.session [sync.RWMutex.RLock]", "Executor.start [sync.RWMutex.Lock]")
async def cockroach16167(fixed: bool) -> None:
    async def session(executor: Executor) -> None:
        await executor.execute()

    gate: Chan[None] = Chan()
    executor = Executor(gate, fixed)
    go(session, executor)
    await settled(fixed)
    go(executor.start)
    await settled(fixed)
    gate.close()
