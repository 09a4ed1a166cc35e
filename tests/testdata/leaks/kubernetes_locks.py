"""Bugs of Kubernetes: locks. Go: goker/kubernetes1321, 6632, 10182, 13135, 26980, 30872, 58107,
62464.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark import Chan, go, recv, select
from gopark.sync import Cond, Mutex, Once, RWMutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 1321: what is sent with the lock is not received by who wants the lock ---------------------


class Mux:
    def __init__(self) -> None:
        self.mu = Mutex()
        self.watchers: dict[int, Chan[None]] = {}

    async def loop(self) -> None:
        for _ in range(3):
            async with self.mu:
                for result in self.watchers.values():
                    await result.send(None)

    async def stop_watching(self, key: int, fixed: bool) -> None:
        async def drain(result: Chan[None]) -> None:
            async for _ in result:
                pass

        if fixed:
            go(drain, self.watchers[key])
        async with self.mu:
            self.watchers.pop(key).close()


@leaves("Mux.loop [chan send]", "watch_and_stop [sync.Mutex.Lock]")
async def kubernetes1321(fixed: bool) -> None:
    mux = Mux()
    mux.watchers[0] = Chan()
    go(mux.loop)
    await settled(fixed)
    go(watch_and_stop, mux, fixed)


async def watch_and_stop(mux: Mux, fixed: bool) -> None:
    await mux.stop_watching(0, fixed)


# --- 6632: a frame is written with the lock that the end of the connection needs ----------------


class Framer:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.reset: Chan[bool] = Chan()
        self.closed: Chan[bool] = Chan()

    async def monitor(self) -> None:
        async def drain() -> None:
            async for _ in self.reset:
                pass

        await self.closed.recv()
        if self.fixed:
            go(drain)
        async with self.mu:
            self.reset.close()

    async def write_frame(self) -> None:
        async with self.mu:
            await self.reset.send(True)


@leaves("Framer.monitor [sync.Mutex.Lock]", "Framer.write_frame [chan send]")
async def kubernetes6632(fixed: bool) -> None:
    framer = Framer(fixed)
    go(framer.monitor)
    go(framer.write_frame)
    await settled(fixed)
    await framer.closed.send(True)


# --- 10182: a status is sent with the lock that who receives it needs ---------------------------


class StatusManager:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = RWMutex()
        self.statuses: Chan[bool] = Chan()

    async def sync(self) -> None:
        for _ in range(2):
            await self.statuses.recv()
            await self.gate.recv()
            async with self.mu:  # delete it
                pass

    async def set_status(self) -> None:
        async with self.mu:
            if not self.fixed:
                await self.statuses.send(True)
        if self.fixed:
            await self.statuses.send(True)


@leaves("StatusManager.sync [sync.Mutex.Lock]", "StatusManager.set_status [chan send]")
async def kubernetes10182(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    manager = StatusManager(gate, fixed)
    for fn in (manager.sync, manager.set_status, manager.set_status):
        go(fn)
        await settled(fixed)
    gate.close()


# --- 13135: the cache and its watcher lock each other's, one after the other --------------------


async def util(f: Callable[[], Awaitable[None]], stop: Chan[None]) -> None:
    while (await select(recv(stop), default=True))[0] != 0:
        await f()


class WatchCache:
    def __init__(self, on_replace: Callable[[], Awaitable[None]], cacher: Mutex) -> None:
        self.mu = RWMutex()
        self.on_replace = on_replace
        self.cacher = cacher

    async def add(self) -> None:
        async with self.mu, self.cacher:
            pass

    async def replace(self) -> None:
        async with self.mu:
            await self.on_replace()


class Cacher:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.initialized = WaitGroup()
        self.initialized.add(1)
        self.once = Once()
        self.watch_cache = WatchCache(self.replaced, self.mu)
        self.first = True

    async def replaced(self) -> None:
        await self.once.do(self.initialized.done)
        if not self.fixed:
            self.mu.unlock()

    async def start_caching(self) -> None:
        await self.mu.lock()
        if not self.first:
            await self.gate.recv()
        self.first = False
        if self.fixed:
            self.mu.unlock()
        await self.watch_cache.replace()


@leaves("util [sync.Mutex.Lock]", "WatchCache.add [sync.Mutex.Lock]")
async def kubernetes13135(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    stop: Chan[None] = Chan()
    cacher = Cacher(gate, fixed)
    go(util, cacher.start_caching, stop)
    await cacher.initialized.wait()
    await settled(fixed)
    go(cacher.watch_cache.add)
    await settled(fixed)
    stop.close()
    gate.close()


# --- 26980: it waits for the stop with its lock -------------------------------------------------


class Listener:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()
        self.cond = Cond(self.mu)
        self.pending: list[int] = []

    async def add(self, item: int) -> None:
        async with self.mu:
            self.pending.append(item)
            self.cond.broadcast()

    async def pop(self, stop: Chan[None]) -> None:
        await self.mu.lock()
        while not self.pending:
            await self.cond.wait()
        if self.fixed:
            self.mu.unlock()
        await stop.recv()
        if not self.fixed:
            self.mu.unlock()


@leaves(
    "kubernetes26980.node [chan receive]",
    "kubernetes26980.node.lock [sync.Mutex.Lock]",
    "Listener.pop [chan receive]",
)
async def kubernetes26980(fixed: bool) -> None:
    async def node(gate: Chan[None]) -> None:
        async def lock() -> None:
            await listener.mu.lock()
            locked.close()

        listener = Listener(fixed)
        stop: Chan[None] = Chan()
        await listener.add(1)
        go(listener.pop, stop)
        await gate.recv()
        locked: Chan[None] = Chan()
        go(lock)
        await locked.recv()
        listener.mu.unlock()
        stop.close()

    gate: Chan[None] = Chan()
    go(node, gate)
    await settled(fixed)
    gate.close()


# --- 30872: an informer and its queue, in both orders -------------------------------------------


class Informer:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.fifo_mu = RWMutex()
        self.stop: Chan[None] = Chan()

    async def clusters_synced(self) -> None:
        await self.mu.lock()
        if self.fixed:
            self.mu.unlock()
        async with self.fifo_mu:
            pass
        if not self.fixed:
            self.mu.unlock()

    async def run(self) -> None:
        while (await select(recv(self.stop), default=True))[0] != 0:
            async with self.fifo_mu:
                await self.gate.recv()
                async with self.mu:  # add a cluster
                    pass

    async def stop_running(self) -> None:
        async with self.mu:
            self.stop.close()


@leaves(
    "kubernetes30872.deliver [sync.Mutex.Lock]",
    "Informer.run [sync.Mutex.Lock]",
    "kubernetes30872.stop [sync.Mutex.Lock]",
)
async def kubernetes30872(fixed: bool) -> None:
    async def deliver() -> None:
        await informer.clusters_synced()

    async def stop() -> None:
        await informer.stop_running()

    gate: Chan[None] = Chan()
    informer = Informer(gate, fixed)
    for fn in (informer.run, deliver, stop):
        go(fn)
        await settled(fixed)
    gate.close()


# --- 58107: workers wait for work with a lock, and another wants to write -----------------------


class Queue:
    def __init__(self, fixed: bool) -> None:
        self.cond = Cond(Mutex())
        self.fixed = fixed
        self.pending = 0

    async def get(self) -> None:
        async with self.cond.locker:
            while not (self.fixed and self.pending):
                await self.cond.wait()

    async def put(self) -> None:
        async with self.cond.locker:
            self.pending += 1
            self.cond.signal()


class QuotaController:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()

    async def worker(self, queue: Queue) -> None:
        if self.fixed:
            await queue.get()
        async with self.mu.reader():
            if not self.fixed:
                await queue.get()

    async def sync(self) -> None:
        async with self.mu:
            pass


@leaves(
    "QuotaController.worker [sync.Cond.Wait]",
    "QuotaController.worker [sync.RWMutex.RLock]",
    "QuotaController.sync [sync.RWMutex.Lock]",
)
async def kubernetes58107(fixed: bool) -> None:
    controller = QuotaController(fixed)
    queue, missing_usage = Queue(fixed), Queue(fixed)
    go(controller.worker, queue)
    await settled(fixed)
    go(controller.sync)
    await settled(fixed)
    go(controller.worker, missing_usage)
    await settled(fixed)
    await missing_usage.put()
    if fixed:
        await queue.put()


# --- 62464: it reads while it reads, and a writer has come between ------------------------------


class CPUState:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = RWMutex()

    async def set_or_default(self) -> None:
        async with self.mu.reader():
            await self.gate.recv()
            if not self.fixed:
                await self.get_default()

    async def get_default(self) -> None:
        async with self.mu.reader():
            pass

    async def set_default(self) -> None:
        async with self.mu:
            pass


@leaves(
    "kubernetes62464.reconcile [sync.RWMutex.RLock]",
    "kubernetes62464.remove_container [sync.RWMutex.Lock]",
)
async def kubernetes62464(fixed: bool) -> None:
    async def reconcile() -> None:
        await state.set_or_default()

    async def remove_container() -> None:
        await state.get_default()
        await state.set_default()

    gate: Chan[None] = Chan()
    state = CPUState(gate, fixed)
    go(reconcile)
    await settled(fixed)
    go(remove_container)
    await settled(fixed)
    gate.close()
