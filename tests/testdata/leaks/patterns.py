"""Leaks as they are met with most in services. Go: testgoroutineleakprofile/commonpatterns.go,
stresstests.go.
"""

from __future__ import annotations

from collections.abc import Sequence

import gopark
from gopark import Chan, context, go, recv, select
from gopark.debug import leaks
from gopark.sync import WaitGroup
from testdata.leaks.stage import leaves, settled


async def range_over(items: Sequence[int], workers: int, fixed: bool) -> None:
    async def work() -> None:
        async for _ in ch:
            pass

    ch: Chan[int] = Chan(0 if workers or not fixed else len(items))
    for _ in range(workers):
        go(work)
    for item in items:
        await ch.send(item)
    if fixed:
        ch.close()


@leaves("range_over [chan send]", *["range_over.work [chan receive]"] * 3)
async def no_close_range(fixed: bool) -> None:
    """The channel is not closed when all is sent; and with no worker nothing is sent at all."""
    go(range_over, [1, 2, 3], 0, fixed)
    go(range_over, [1, 2, 3], 3, fixed)


class Worker:
    def __init__(self) -> None:
        self.ch: Chan[object] = Chan()
        self.done: Chan[None] = Chan()

    async def run(self) -> None:
        while True:
            index, _, _ = await select(recv(self.ch), recv(self.done))
            if index == 1:
                return

    def start(self) -> None:
        go(self.run)

    def stop(self) -> None:
        self.done.close()


@leaves("Worker.run [select]")
async def method_contract_violation(fixed: bool) -> None:
    """Whoever starts a worker has to stop it."""
    worker = Worker()
    worker.start()
    for item in range(10):
        await worker.ch.send(item)
    await settled(fixed)
    if fixed:
        worker.stop()


async def send_result(ch: Chan[object], error: Exception | None, fixed: bool) -> None:
    if error is not None:
        await ch.send(error)
        if fixed:
            return
    await ch.send(None)


@leaves("double_send.give [chan send]")
async def double_send(fixed: bool) -> None:
    """After the error there should be a return; a buffer hides that."""

    async def give(ch: Chan[object], error: Exception | None) -> None:
        await send_result(ch, error, fixed)

    ch: Chan[object] = Chan()
    buffered: Chan[object] = Chan(1)
    for to, error in ((ch, None), (ch, ValueError()), (buffered, ValueError())):
        go(give, to, error)
        await to.recv()


async def return_early(error: Exception | None, fixed: bool) -> None:
    async def give() -> None:
        await ch.send(1)

    ch: Chan[int] = Chan(1 if fixed else 0)
    go(give)
    if error is None:
        await ch.recv()


@leaves("return_early.give [chan send]")
async def early_return(fixed: bool) -> None:
    """It does not receive once there was an error."""
    go(return_early, ValueError(), fixed)


async def first_of(items: Sequence[int], fixed: bool) -> None:
    async def give(item: int) -> None:
        await ch.send(item)

    ch: Chan[int] = Chan(len(items) if fixed else 0)
    for item in items:
        go(give, item)
    if items or not fixed:
        await ch.recv()


@leaves("first_of [chan receive]", *["first_of.give [chan send]"] * 4)
async def n_cast_leak(fixed: bool) -> None:
    """Many send, one is heard; and with none to send one waits."""
    go(first_of, [], fixed)
    go(first_of, [1, 2, 3, 4, 5], fixed)


async def wait_or_not(ctx: context.Context, fixed: bool) -> None:
    async def give() -> None:
        await ch.send(1)

    ch: Chan[int] = Chan(1 if fixed else 0)
    go(give)
    await select(recv(ch), recv(ctx.done()))


async def timeout(fixed: bool) -> None:
    """The context has ended: who waits has a choice, and may leave the sender behind."""
    ctx, cancel = context.with_cancel(context.background())
    cancel()
    for _ in range(100):
        go(wait_or_not, ctx, fixed)


async def search_at_once(depth: int, fixed: bool) -> None:
    """Each leaves one for ever, starts others that do the same, and then looks for leaks."""

    async def stuck(ch: Chan[int]) -> None:
        wg.done()
        await ch.recv()

    async def nested() -> None:
        wg.done()
        await search_at_once(depth - 1, fixed)

    if depth:
        wg = WaitGroup()
        wg.add(depth + 1)
        ch: Chan[int] = Chan()
        go(stuck, ch)
        for _ in range(depth):
            go(nested)
        await wg.wait()
        leaks()
        if fixed:
            ch.close()


@leaves(*["search_at_once.stuck [chan receive]"] * (1 + 3 + 3 * 2))
async def spawn_gc(fixed: bool) -> None:
    await search_at_once(3, fixed)


@leaves()
async def daisy_chain(fixed: bool) -> None:
    """Each waits for the next; the last one will be there in an hour."""

    async def link(i: int, ch: Chan[None]) -> None:
        if i == 0:
            await gopark.time.sleep(0.001 if fixed else 3600)
        else:
            following: Chan[None] = Chan()
            go(link, i - 1, following)
            await following.recv()
        await ch.send(None)

    ch: Chan[None] = Chan(1)
    go(link, 100, ch)
    if fixed:
        await ch.recv()
