"""Bugs of Kubernetes: channels, conditions. Go: goker/kubernetes5316, 11298, 25331, 38669,
70277.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark import Chan, context, go, recv, select, send, time
from gopark.sync import Cond, Mutex
from testdata.leaks.stage import leaves, settled

# --- 5316: the request took too long, and its result has no taker -------------------------------


async def finish_request(seconds: float, fn: Callable[[], Awaitable[None]], fixed: bool) -> None:
    async def handle() -> None:
        try:
            await fn()
        except ValueError as error:
            await failed.send(error)
        else:
            await done.send(True)

    done: Chan[bool] = Chan(1 if fixed else 0)
    failed: Chan[Exception] = Chan(1 if fixed else 0)
    go(handle)
    await select(recv(done), recv(failed), recv(time.after(seconds)))


@leaves(*["finish_request.handle [chan send]"] * 2)
async def kubernetes5316(fixed: bool) -> None:
    async def succeed() -> None:
        await gate.recv()

    async def fail() -> None:
        await gate.recv()
        raise ValueError

    gate: Chan[None] = Chan()
    for fn in (succeed, fail):
        await finish_request(0, fn, fixed)
    await settled(fixed)
    gate.close()


# --- 11298: a signal before anybody waits for it ------------------------------------------------


def after(fn: Callable[[], Awaitable[None]]) -> Chan[None]:
    """What is closed after the function has returned."""

    async def call() -> None:
        await fn()
        ch.close()

    ch: Chan[None] = Chan()
    go(call)
    return ch


class Notifier:
    def __init__(self, gate: Chan[None], fixed: bool) -> None:
        self.gate = gate
        self.fixed = fixed
        self.mu = Mutex()
        self.cond = Cond(self.mu)
        self.aborted = False

    async def serve(self, abort: Chan[None]) -> None:
        async with self.mu:
            waited = after(self.wait)
            index, _, _ = await select(recv(abort), recv(waited))
            if index == 0:
                self.aborted = True
                self.cond.signal()
                await waited.recv()

    async def wait(self) -> None:
        """The lock that is given up meanwhile is that of `serve`."""
        await self.gate.recv()
        if not (self.fixed and self.aborted):
            await self.cond.wait()


@leaves(
    "after.call [chan receive]",
    "after.call [sync.Cond.Wait]",
    "kubernetes11298.node [chan receive]",
)
async def kubernetes11298(fixed: bool) -> None:
    async def node(abort: Chan[None], gate: Chan[None]) -> None:
        async def notify() -> None:
            await Notifier(gate, fixed).serve(abort)

        await after(notify).recv()

    abort: Chan[None] = Chan()
    gate: Chan[None] = Chan()
    go(node, abort, gate)
    await settled(fixed)
    abort.close()
    await settled(fixed)
    gate.close()


# --- 25331: it cancels what its receiver waits by -----------------------------------------------


class WatchChan:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.ctx, self.cancel = context.with_cancel(context.background())
        self.results: Chan[bool] = Chan()
        self.errors: Chan[Exception] = Chan()

    async def stop(self) -> None:
        await self.errors.send(ValueError())
        self.cancel()

    async def run(self) -> None:
        index, _, _ = await select(recv(self.errors), recv(self.ctx.done()))
        if index == 0 and self.fixed:
            await select(send(self.results, True), recv(self.ctx.done()))
        elif index == 0:
            self.cancel()
            await self.results.send(True)


@leaves("WatchChan.run [chan send]")
async def kubernetes25331(fixed: bool) -> None:
    watch = WatchChan(fixed)
    go(watch.run)
    go(watch.stop)


# --- 38669: the first events are sent to nobody -------------------------------------------------


class CacheWatcher:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.input: Chan[int] = Chan()
        self.result: Chan[int] = Chan()
        self.done: Chan[None] = Chan()
        self.stopped = False

    async def process(self, events: list[int]) -> None:
        for event in events:
            if self.fixed:
                await select(send(self.result, event), recv(self.done))
            else:
                await self.result.send(event)
        async for _ in self.input:
            pass
        self.result.close()
        await self.stop()

    async def stop(self) -> None:
        async with self.mu:
            if not self.stopped:
                self.stopped = True
                self.done.close()
                self.input.close()


@leaves("CacheWatcher.process [chan send]")
async def kubernetes38669(fixed: bool) -> None:
    watcher = CacheWatcher(fixed)
    go(watcher.process, [1, 2])
    await settled(fixed)
    await watcher.stop()


# --- 70277: it waits for what it is to close itself ---------------------------------------------


WaitFunc = Callable[[Chan[None]], Chan[None]]


async def wait_for(wait: WaitFunc, done: Chan[None], fixed: bool) -> None:
    """Wait for a tick. Repaired, it has a channel of its own, and closes it."""
    own: Chan[None] = Chan() if fixed else done
    await wait(own).recv()
    if fixed:
        own.close()


def poller(interval: float, timeout: Chan[None], ended: Chan[None]) -> WaitFunc:
    def wait(done: Chan[None]) -> Chan[None]:
        async def poll() -> None:
            tick = time.Ticker(interval)
            while True:
                index, _, _ = await select(recv(tick.c), recv(timeout), recv(done))
                if index != 0:
                    break
                await select(send(ch, None), default=True)
            tick.stop()
            ch.close()
            ended.close()

        ch: Chan[None] = Chan()
        go(poll)
        return ch

    return wait


@leaves("kubernetes70277.node [chan receive]")
async def kubernetes70277(fixed: bool) -> None:
    async def node(poll: WaitFunc, ticked: Chan[None]) -> None:
        stop: Chan[None] = Chan()
        waited_with = stop

        def remember(done: Chan[None]) -> Chan[None]:
            nonlocal waited_with
            waited_with = done
            return poll(done)

        await wait_for(remember, stop, fixed)
        ticked.close()
        await waited_with.recv()
        stop.close()

    timeout: Chan[None] = Chan()
    ticked: Chan[None] = Chan()
    ended: Chan[None] = Chan()
    go(node, poller(0.001, timeout, ended), ticked)
    await ticked.recv()
    await settled(fixed)
    timeout.close()
    await ended.recv()
