"""Bugs of Moby (Docker). Go: goker/moby4951, 7559, 17176, 21233, 25384, 27782, 28462, 30408,
33781, 36114.
"""

from __future__ import annotations

from gopark import Chan, context, go, recv, select, send, time
from gopark.sync import Cond, Mutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 4951: a device and the set of devices, in both orders --------------------------------------


class DeviceSet4951:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.device_mu = Mutex()

    async def delete(self) -> None:
        first, second = self.mu, self.device_mu
        if self.fixed:
            first, second = second, first
        async with first, second:
            self.mu.unlock()  # while it is removed
            await self.gate.recv()
            await self.mu.lock()


@leaves(*["DeviceSet4951.delete [sync.Mutex.Lock]"] * 2)
async def moby4951(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    devices = DeviceSet4951(gate, fixed)
    go(devices.delete)
    await settled(fixed)
    go(devices.delete)
    await settled(fixed)
    gate.close()


# --- 7559: a `continue` that does not unlock ----------------------------------------------------


class UDPProxy:
    def __init__(self) -> None:
        self.mu = Mutex()

    async def run(self, fixed: bool) -> None:
        for _ in range(2):
            await self.mu.lock()
            try:
                raise OSError("cannot dial")
            except OSError:
                if fixed:
                    self.mu.unlock()
                continue


@leaves("UDPProxy.run [sync.Mutex.Lock]")
async def moby7559(fixed: bool) -> None:
    go(UDPProxy().run, fixed)


# --- 17176: a return that does not unlock -------------------------------------------------------


class DeviceSet17176:
    def __init__(self) -> None:
        self.mu = Mutex()
        self.deleted = 0

    async def clean_up(self, fixed: bool) -> None:
        await self.mu.lock()
        if self.deleted == 0:
            if fixed:
                self.mu.unlock()
            return
        self.mu.unlock()


async def lock_is_released(fixed: bool) -> None:
    async def lock() -> None:
        async with devices.mu:
            await done.send(True)

    devices = DeviceSet17176()
    await devices.clean_up(fixed)
    done: Chan[bool] = Chan()
    go(lock)
    await settled(fixed)
    await select(recv(done), recv(time.after(3600 if fixed else 0)))


@leaves("lock_is_released.lock [sync.Mutex.Lock]")
async def moby17176(fixed: bool) -> None:
    await lock_is_released(fixed)


# --- 21233: who receives progress stops, who reports it does not --------------------------------


class Watcher21233:
    """Reports progress as told, when it begins and when it is released."""

    def __init__(self, progress: Chan[int], reports: tuple[bool, bool]) -> None:
        self.progress = progress
        self.reports = reports
        self.signal: Chan[None] = Chan()
        self.release: Chan[None] = Chan()
        self.running: Chan[None] = Chan()

    async def watch(self) -> None:
        for report in self.reports:
            if report:
                await self.progress.send(1)
            await select(recv(self.signal), recv(self.release))
        self.running.close()


async def transfer(go_on: Chan[None], fixed: bool) -> None:
    async def consume() -> None:
        async for _ in progress:
            if not fixed:
                return
        done.close()

    progress: Chan[int] = Chan()
    done: Chan[None] = Chan()
    go(consume)
    watchers = []
    for reports in ((True, False), (True, True), (False, True)):
        watchers.append(Watcher21233(progress, reports))
        go(watchers[-1].watch)
        await go_on.recv()
    for watcher in watchers:
        watcher.release.close()
        await watcher.running.recv()
    progress.close()
    await done.recv()


@leaves(
    "Watcher21233.watch [chan send]",
    "Watcher21233.watch [select]",
    "transfer [chan receive]",
)
async def moby21233(fixed: bool) -> None:
    go_on: Chan[None] = Chan()
    go(transfer, go_on, fixed)
    for _ in range(3):
        await settled(fixed)
        await go_on.send(None)


# --- 25384: it waits for all before it starts the second ----------------------------------------


class Manager:
    def __init__(self, plugins: list[str]) -> None:
        self.plugins = plugins

    async def init(self, fixed: bool) -> None:
        async def start(plugin: str) -> None:
            group.done()

        group = WaitGroup()
        group.add(len(self.plugins))
        for plugin in self.plugins:
            go(start, plugin)
            if not fixed:
                await group.wait()
        await group.wait()


@leaves("Manager.init [sync.WaitGroup.Wait]")
async def moby25348(fixed: bool) -> None:
    go(Manager(["a", "b"]).init, fixed)


# --- 27782: it waits for an event that would tell it of the end ---------------------------------


class Watcher27782:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.events: Chan[str] = Chan()
        self.done: Chan[None] = Chan()
        self.removed = Cond(Mutex())

    async def read_events(self) -> None:
        while True:
            await self.gate.recv()
            index, _, _ = await select(send(self.events, "write"), recv(self.done))
            if index == 1:
                return

    async def remove(self) -> None:
        async with self.removed.locker:
            if not self.fixed:
                await self.removed.wait()

    def close(self) -> None:
        self.done.close()


class JSONFileLogger:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.closed: Chan[None] = Chan()

    async def read_logs(self) -> None:
        async with self.mu:
            watcher = Watcher27782(self.gate, self.fixed)
            go(watcher.read_events)
            index, _, _ = await select(recv(watcher.events), recv(self.closed))
            if index == 1:
                await watcher.remove()
            watcher.close()


@leaves("JSONFileLogger.read_logs [sync.Cond.Wait]", "Watcher27782.read_events [select]")
async def moby27782(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    logger = JSONFileLogger(gate, fixed)
    go(logger.read_logs)
    await settled(fixed)
    logger.closed.close()
    await settled(fixed)
    gate.close()


# --- 28462: a monitor is told to stop with the lock that it needs to look -----------------------


class Container:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.stop: Chan[None] = Chan()

    async def state_changed(self) -> None:
        async with self.mu:
            if self.fixed:
                self.stop.close()
            else:
                await self.stop.send(None)


async def monitor28462(container: Container, gate: Chan[None]) -> None:
    while (await select(recv(container.stop), default=True))[0] != 0:
        await gate.recv()
        async with container.mu:
            pass


@leaves("monitor28462 [sync.Mutex.Lock]", "Container.state_changed [chan send]")
async def moby28462(fixed: bool) -> None:
    gate: Chan[None] = Chan()
    container = Container(fixed)
    go(monitor28462, container, gate)
    await settled(fixed)
    go(container.state_changed)
    await settled(fixed)
    gate.close()


# --- 30408: nobody tells that it failed ---------------------------------------------------------


class Plugin:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.activation = Cond(Mutex())
        self.error: Exception | None = None

    async def wait_active(self) -> None:
        async with self.activation.locker:
            while self.error is None:
                await self.activation.wait()

    async def fail(self) -> None:
        async with self.activation.locker:
            self.error = ValueError("some junk happened")
            if self.fixed:
                self.activation.broadcast()


async def is_active(plugin: Plugin) -> None:
    async def wait() -> None:
        await plugin.wait_active()
        done.close()

    done: Chan[None] = Chan()
    go(wait)
    await done.recv()


@leaves("moby30408.node [chan receive]", "is_active.wait [sync.Cond.Wait]")
async def moby30408(fixed: bool) -> None:
    async def node(plugin: Plugin) -> None:
        await is_active(plugin)

    plugin = Plugin(fixed)
    go(node, plugin)
    await settled(fixed)
    await plugin.fail()


# --- 33781: a probe has its result after the stop -----------------------------------------------


async def monitor33781(
    stop: Chan[None], started: Chan[None], gate: Chan[None], fixed: bool
) -> None:
    async def probe() -> None:
        await started.send(None)
        await gate.recv()
        await results.send(True)

    while True:
        index, _, _ = await select(recv(stop), recv(time.after(0.001)))
        if index == 0:
            return
        results: Chan[bool] = Chan(1 if fixed else 0)
        ctx, cancel = context.with_timeout(context.background(), 3600)
        go(probe)
        index, _, _ = await select(recv(stop), recv(results), recv(ctx.done()))
        cancel()
        if index == 0:
            return


@leaves("monitor33781.probe [chan send]")
async def moby33781(fixed: bool) -> None:
    stop: Chan[None] = Chan()
    started: Chan[None] = Chan()
    gate: Chan[None] = Chan()
    go(monitor33781, stop, started, gate, fixed)
    await started.recv()
    await gate.send(None)  # the first probe has its result in time
    await started.recv()
    await settled(fixed)
    await stop.send(None)
    gate.close()


# --- 36114: it calls, with its lock, what locks -------------------------------------------------


class ServiceVM:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()

    async def add_disks(self) -> None:
        async with self.mu:
            if not self.fixed:
                await self.remove_disks()
        if self.fixed:
            await self.remove_disks()

    async def remove_disks(self) -> None:
        async with self.mu:
            pass


@leaves("ServiceVM.add_disks [sync.Mutex.Lock]")
async def moby36114(fixed: bool) -> None:
    go(ServiceVM(fixed).add_disks)
