"""Bugs of CockroachDB: channels, contexts. Go: goker/cockroach10790, 13197, 13755, 18101, 35073,
35931.
"""

from __future__ import annotations

from gopark import Chan, context, go, recv, select, send
from gopark.sync import WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 10790: it drains channels that nobody sends to any more ------------------------------------


class Replica10790:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.chans: list[Chan[bool]] = [Chan(), Chan()]

    async def begin(self, ctx: context.Context) -> None:
        for ch in self.chans:
            index, _, _ = await select(recv(ch), recv(ctx.done()))
            if index == 1:
                go(self.drain)

    async def drain(self) -> None:
        for ch in self.chans:
            await ch.recv()

    async def send_all(self, ctx: context.Context) -> None:
        for ch in self.chans:
            index, _, _ = await select(send(ch, True), recv(ctx.done()))
            if index == 1:
                break
        if self.fixed:
            for ch in self.chans:
                ch.close()


@leaves(*["Replica10790.drain [chan receive]"] * 2)
async def cockroach10790(fixed: bool) -> None:
    replica = Replica10790(fixed)
    ctx, cancel = context.with_cancel(context.background())
    cancel()
    if fixed:  # one at least drains: receive before there is a sender
        go(replica.drain)
        await settled(fixed)
    go(replica.send_all, ctx)
    await settled(fixed)
    go(replica.begin, ctx)


# --- 13197, 13755: a context that nobody cancels ------------------------------------------------


class Tx:
    def __init__(self, parent: context.Context) -> None:
        self.ctx, self.cancel = context.with_cancel(parent)
        go(self.await_done)

    async def await_done(self) -> None:
        await self.ctx.done().recv()

    def rollback(self) -> None:
        self.cancel()


@leaves("Tx.await_done [chan receive]")
async def cockroach13197(fixed: bool) -> None:
    """The transaction is neither rolled back nor committed."""
    tx = Tx(context.background())
    await settled(fixed)
    if fixed:
        tx.rollback()


class Rows:
    def __init__(self, parent: context.Context) -> None:
        ctx, self.cancel = context.with_cancel(parent)
        go(self.await_done, ctx)

    async def await_done(self, ctx: context.Context) -> None:
        await ctx.done().recv()
        self.close()

    def close(self) -> None:
        self.cancel()


@leaves("Rows.await_done [chan receive]")
async def cockroach13755(fixed: bool) -> None:
    """The rows are not closed."""
    rows = Rows(context.background())
    await settled(fixed)
    if fixed:
        rows.close()


# --- 18101: who receives returns with the context, who sends does not look at it ----------------


async def restore(ctx: context.Context, fixed: bool) -> None:
    async def split() -> None:
        for i in range(8):
            if fixed:
                index, _, _ = await select(send(ready, i), recv(ctx.done()))
                if index == 1:
                    break
            else:
                await ready.send(i)
        ready.close()

    ready: Chan[int] = Chan(6)
    go(split)
    async for _ in ready:
        await ctx.done().recv()
        return


@leaves("restore.split [chan send]")
async def cockroach18101(fixed: bool) -> None:
    ctx, cancel = context.with_cancel(context.background())
    go(restore, ctx, fixed)
    await settled(fixed)
    cancel()


# --- 35073: rows for a consumer that has gone ---------------------------------------------------


class Outbox:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.rows: Chan[int] = Chan(16)
        self.closed = False

    async def push(self) -> None:
        if not self.closed:
            await self.rows.send(0)

    async def run(self) -> None:
        if self.fixed:
            self.closed = True
            while (await select(recv(self.rows), default=True))[0] == 0:
                pass


@leaves("cockroach35073.flow [chan send]", "cockroach35073.flow.push [chan send]")
async def cockroach35073(fixed: bool) -> None:
    async def flow(gate: Chan[None]) -> None:
        async def push() -> None:
            await outbox.push()

        outbox = Outbox(fixed)
        for _ in range(16):
            await outbox.push()
        go(push)
        await gate.recv()
        wg = WaitGroup()
        wg.go(outbox.run)
        await wg.wait()
        await outbox.push()

    gate: Chan[None] = Chan()
    go(flow, gate)
    await settled(fixed)
    gate.close()


# --- 35931: a flow that is cancelled tells receivers which have no room -------------------------


class RowChannel:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.data: Chan[int] = Chan(1)

    async def push(self) -> None:
        if self.fixed:
            await select(send(self.data, 0), default=True)
        else:
            await self.data.send(0)


class Flow:
    def __init__(self, streams: list[RowChannel]) -> None:
        self.streams = streams

    async def cancel(self) -> None:
        for stream in self.streams:
            await stream.push()


@leaves("cockroach35931.node [chan send]")
async def cockroach35931(fixed: bool) -> None:
    async def node() -> None:
        left, right = RowChannel(fixed), RowChannel(fixed)
        await left.push()
        await Flow([left, right]).cancel()

    go(node)
