"""Each way to wait, for what nobody can give. Go: testgoroutineleakprofile/simple.go."""

from __future__ import annotations

from gopark import Chan, go, recv, select, send
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup
from testdata.leaks.stage import leaves, settled

MANY = 100

published: list[Chan[int]] = []


@leaves("nil_recv.receive [select]")
async def nil_recv(fixed: bool) -> None:
    """The nil channel is None in a select."""

    async def receive(ch: Chan[int] | None) -> None:
        await select(recv(ch))

    ch: Chan[int] | None = Chan() if fixed else None
    go(receive, ch)
    await settled(fixed)
    if ch is not None:
        await ch.send(1)


@leaves("nil_send.give [select]")
async def nil_send(fixed: bool) -> None:
    async def give(ch: Chan[int] | None) -> None:
        await select(send(ch, 1))

    ch: Chan[int] | None = Chan() if fixed else None
    go(give, ch)
    await settled(fixed)
    if ch is not None:
        await ch.recv()


@leaves("select_no_cases.wait [select (no cases)]")
async def select_no_cases(fixed: bool) -> None:
    async def wait() -> None:
        await select(default=fixed)

    go(wait)


@leaves("chan_recv.receive [chan receive]")
async def chan_recv(fixed: bool) -> None:
    async def receive(ch: Chan[int]) -> None:
        await ch.recv()

    ch: Chan[int] = Chan()
    go(receive, ch)
    await settled(fixed)
    if fixed:
        ch.close()


@leaves("chan_send.give [chan send]")
async def chan_send(fixed: bool) -> None:
    async def give(ch: Chan[int]) -> None:
        await ch.send(1)

    ch: Chan[int] = Chan()
    go(give, ch)
    await settled(fixed)
    if fixed:
        await ch.recv()


@leaves("select_two.wait [select]")
async def select_two(fixed: bool) -> None:
    async def wait(a: Chan[int], b: Chan[int]) -> None:
        await select(send(a, 1), recv(b))

    a: Chan[int] = Chan()
    go(wait, a, Chan())
    await settled(fixed)
    if fixed:
        await a.recv()


@leaves("wait_group.wait [sync.WaitGroup.Wait]")
async def wait_group(fixed: bool) -> None:
    async def wait(wg: WaitGroup) -> None:
        await wg.wait()

    wg = WaitGroup()
    wg.add(1)
    go(wait, wg)
    await settled(fixed)
    if fixed:
        wg.done()


async def lock_twice(mu: Mutex, fixed: bool) -> None:
    await mu.lock()
    if fixed:
        mu.unlock()
    await mu.lock()
    mu.unlock()


@leaves(*["mutex_stack.lock [sync.Mutex.Lock]"] * MANY)
async def mutex_stack(fixed: bool) -> None:
    """Many, each with a mutex that it alone knows."""

    async def lock() -> None:
        mu = Mutex()
        await lock_twice(mu, fixed)

    for _ in range(MANY):
        go(lock)


@leaves(*["mutex_heap.start.lock [sync.Mutex.Lock]"] * MANY)
async def mutex_heap(fixed: bool) -> None:
    """Many, each with a mutex of its parent's, which has gone."""

    async def start() -> None:
        async def lock() -> None:
            await lock_twice(mu, fixed)

        mu = Mutex()
        go(lock)

    for _ in range(MANY):
        go(start)


@leaves("rw_mutex_rlock.lock [sync.RWMutex.RLock]")
async def rw_mutex_rlock(fixed: bool) -> None:
    async def lock() -> None:
        mu = RWMutex()
        await mu.lock()
        if fixed:
            mu.unlock()
        await mu.rlock()

    go(lock)


@leaves("rw_mutex_lock.lock [sync.Mutex.Lock]")
async def rw_mutex_lock(fixed: bool) -> None:
    async def lock() -> None:
        mu = RWMutex()
        await mu.lock()
        if fixed:
            mu.unlock()
        await mu.lock()

    go(lock)


@leaves("cond.wait [sync.Cond.Wait]")
async def cond(fixed: bool) -> None:
    async def wait(c: Cond[Mutex]) -> None:
        async with c.locker:
            await c.wait()

    c = Cond(Mutex())
    go(wait, c)
    await settled(fixed)
    if fixed:
        c.signal()


@leaves("mixed.parent [sync.WaitGroup.Wait]", "mixed.parent.child [chan send]")
async def mixed(fixed: bool) -> None:
    """The child is done once the parent has received, which it does once the child is done."""

    async def parent() -> None:
        async def child() -> None:
            await ch.send(0)
            wg.done()

        ch: Chan[int] = Chan()
        wg = WaitGroup()
        wg.add(1)
        go(child)
        if fixed:
            await ch.recv()
        await wg.wait()
        if not fixed:
            await ch.recv()

    go(parent)


@leaves()
async def no_leak_global(fixed: bool) -> None:
    """A module keeps the channel: anybody may send."""

    async def receive() -> None:
        await published[-1].recv()

    published.append(Chan())
    go(receive)
    await settled(fixed)
    if fixed:
        published[-1].close()
