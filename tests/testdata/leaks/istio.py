"""Bugs of Istio. Go: goker/istio16224, 17860, 18454."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gopark import Chan, context, go, recv, select, send, time
from gopark.sync import Mutex
from testdata.leaks.stage import leaves, settled

# --- 16224: a handler tells with its lock that it is done; and a stop that waits for an event ---


class Controller16224:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.handlers: list[Callable[[], Awaitable[None]]] = []
        self.events: Chan[str] = Chan()
        self.stop: Chan[None] = Chan()

    async def run(self) -> None:
        while True:
            index, _, _ = await select(recv(self.stop), recv(self.events))
            if index == 0:
                if not self.fixed:
                    await self.events.recv()
                return
            for handler in self.handlers:
                await handler()


async def test16224(handled: Chan[None], asked: Chan[None], fixed: bool) -> None:
    async def handle() -> None:
        await handled.recv()
        async with mu:
            await done.send(True)

    controller = Controller16224(fixed)
    done: Chan[bool] = Chan(1 if fixed else 0)
    mu = Mutex()
    controller.handlers.append(handle)
    go(controller.run)
    await controller.events.send("create")
    await asked.recv()
    async with mu:
        pass
    await done.recv()
    controller.stop.close()


@leaves(
    "test16224 [sync.Mutex.Lock]",
    "Controller16224.run [chan send]",
    "Controller16224.run [chan receive]",
)
async def istio16224(fixed: bool) -> None:
    for handler_is_first in (True, False):
        handled: Chan[None] = Chan()
        asked: Chan[None] = Chan()
        go(test16224, handled, asked, fixed)
        await settled(fixed)
        for gate in (handled, asked) if handler_is_first else (asked, handled):
            gate.close()
            await settled(fixed)


# --- 17860: an epoch ends when nobody listens ---------------------------------------------------


class Agent:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = Mutex()
        self.ended: Chan[int] = Chan()
        self.epoch = 0
        self.active: set[int] = set()

    async def run(self, ctx: context.Context) -> None:
        while True:
            index, epoch, _ = await select(recv(self.ended), recv(ctx.done()))
            if index == 1:
                return
            async with self.mu:
                self.active.remove(epoch)
                if not self.active and not self.fixed:
                    return

    async def restart(self, ctx: context.Context) -> None:
        async with self.mu:
            self.epoch += 1
            self.active.add(self.epoch)
            go(self.run_wait, self.epoch, ctx)

    async def run_wait(self, epoch: int, ctx: context.Context) -> None:
        if self.fixed:
            await select(send(self.ended, epoch), recv(ctx.done()))
        else:
            await self.ended.send(epoch)


@leaves("Agent.run_wait [chan send]")
async def istio17860(fixed: bool) -> None:
    ctx, cancel = context.with_cancel(context.background())
    agent = Agent(fixed)
    go(agent.run, ctx)
    await agent.restart(ctx)
    await settled(fixed)
    go(agent.restart, ctx)
    await settled(fixed)
    cancel()


# --- 18454: it drains a timer that has been received from ---------------------------------------


class Worker18454:
    def __init__(self) -> None:
        self.ctx, self.stop = context.with_cancel(context.background())

    def start(self, fn: Callable[[context.Context], Awaitable[None]]) -> None:
        async def run() -> None:
            await fn(self.ctx)

        go(run)


class Strategy:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.timer: time.Timer | None = None
        self.reset: Chan[None] = Chan(1)
        self.fired: Chan[None] = Chan(1)
        self.worker = Worker18454()

    async def on_change(self) -> None:
        if self.timer is not None:
            await self.reset.send(None)
            return
        self.timer = time.Timer(0)
        self.worker.start(self.loop)

    async def loop(self, ctx: context.Context) -> None:
        timer = self.timer
        assert timer is not None
        while True:
            index, _, _ = await select(recv(timer.c), recv(self.reset), recv(ctx.done()))
            if index == 0:
                await select(send(self.fired, None), default=True)
            elif index == 1:
                if not timer.stop() and not self.fixed:
                    await timer.c.recv()
                timer.reset(0)
            else:
                timer.stop()
                return


class Processor:
    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.worker = Worker18454()
        self.events: Chan[int] = Chan(8)

    async def run(self, ctx: context.Context) -> None:
        while True:
            index, _, _ = await select(recv(ctx.done()), recv(self.events))
            if index == 0:
                self.strategy.worker.stop()
                return
            await self.strategy.on_change()


@leaves("Worker18454.start.run [chan receive]", "Worker18454.start.run [chan send]")
async def istio18454(fixed: bool) -> None:
    strategy = Strategy(fixed)
    processor = Processor(strategy)
    processor.worker.start(processor.run)
    await processor.events.send(0)
    await strategy.fired.recv()
    for i in range(5):
        await processor.events.send(i)
    await settled(fixed)
    processor.worker.stop()
