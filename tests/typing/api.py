"""What a type checker must make of the public names. Checked by tests/test_typing.py, never run."""

import asyncio
import functools
import logging
import signal
from collections.abc import Callable
from typing import assert_type

import gopark
from gopark import Chan, context, recv, select, send
from gopark import signal as ossignal
from gopark.sync import (
    Cond,
    Locker,
    Map,
    Mutex,
    Once,
    Pool,
    RWMutex,
    WaitGroup,
    atomic,
    errgroup,
    once_func,
    once_value,
    once_values,
    semaphore,
    singleflight,
)


async def double(n: int, out: Chan[int]) -> int:
    await out.send(2 * n)
    return n


def plain(out: Chan[int]) -> str:
    for value in out:
        assert_type(value, int)
    return "done"


class Tenant(context.Context):
    """Derived: has to be complete."""

    def deadline(self) -> float | None:
        return None

    def done(self) -> Chan[None] | None:
        return None

    def err(self) -> Exception | None:
        return None

    def value(self, key: object) -> object:
        return key


class Duck:
    """Not derived, and a context all the same."""

    deadline = Tenant.deadline
    done = Tenant.done
    err = Tenant.err
    value = Tenant.value


async def contexts(parent: context.Context) -> None:
    assert_type(parent.err(), Exception | None)
    assert_type(parent.deadline(), float | None)
    ctx, cancel = context.with_cancel(Tenant())
    cancel()
    cancel(1)  # type: ignore[call-arg]
    await ctx.done().recv()  # never None
    _, cancel_cause = context.with_cancel_cause(Duck())
    cancel_cause()
    cancel_cause(ValueError())
    cancel_cause("why")  # type: ignore[arg-type]
    async with context.with_timeout(ctx, 1) as timed:
        timed.cancel()
        timed.cancel(ValueError())
        timed.cancel("why")  # type: ignore[arg-type]
        with context.use(timed) as used:
            assert_type(used, context.Context)
            await contexts(context.current())
    pair: tuple[context.Context, Callable[[], None]] = context.with_deadline(parent, 1.0)
    context.with_cancel(pair)  # type: ignore[arg-type]
    assert_type(context.after_func(parent, plain, Chan[int]())(), bool)
    assert_type(context.cause(parent), BaseException | None)


async def scopes(out: Chan[int], ctx: context.Context) -> int:
    with gopark.timeout(5) as t:
        assert_type(t, gopark.timeout)
        assert_type(t.expired, bool)
        assert_type(t.deadline, float | None)
        t.reschedule(None)
    async with gopark.timeout(None), context.shield():
        await out.send(1)
    gopark.timeout("5")  # type: ignore[arg-type]
    with context.scope(ctx) as same:
        assert_type(same, context.Context)
    context.scope(5)  # type: ignore[arg-type]
    try:
        with errgroup.Group(ctx, cancel=True):
            return 1  # and nothing is missing after the block
    except gopark.ScopeEnded:
        raise


async def tasks(out: Chan[int]) -> None:
    task = gopark.spawn(double, 1, out)
    assert_type(task, gopark.Task[int])
    assert_type(gopark.spawn(plain, out), gopark.Task[str])
    assert_type(await task, int)
    assert_type(task.result(), int)
    assert_type(task.exception(), Exception | None)
    assert_type(task.done, bool)
    assert_type(task.cancel(ValueError()), bool)
    gopark.spawn(double, "1", out)  # type: ignore[call-overload]
    both = await gopark.gather(task, gopark.spawn(plain, out))
    assert_type(both, tuple[int, str])
    assert_type(await gopark.gather(*[double(n, out) for n in range(3)]), tuple[int, ...])
    async for one in gopark.as_completed([task]):
        assert_type(one, gopark.Task[int])


async def groups(out: Chan[int], ctx: context.Context) -> None:
    async with errgroup.Group(ctx, limit=3) as g:
        task = g.go(double, 1, out)
        assert_type(task, errgroup.Task[int])
        assert_type(g.go(plain, out).result(), str)
        assert_type(g.try_go(plain, out), errgroup.Task[str] | None)
        g.go(double, "1", out)  # type: ignore[call-overload]
        await task.started()
    with errgroup.Group() as g:
        assert_type(g.ctx, context.Context)
    assert_type(errgroup.with_context(ctx), tuple[errgroup.Group, context.Context])
    sem = semaphore.Weighted(3)
    assert_type(sem.try_acquire(2), bool)
    async with sem, sem.held(2, ctx):
        await sem.acquire(1, None)
    flights = singleflight.Group()
    assert_type(await flights.do("key", double, 1, out), tuple[int, bool])
    assert_type(await flights.do(("key", 1), plain, out), tuple[str, bool])
    result = await flights.do_chan("key", double, 1, out=out).recv()
    assert result is not None
    assert_type(result.value, int | None)
    assert_type(result.err, Exception | None)


@once_value
def answer() -> int:
    return 42


@once_value
async def later() -> int:
    return 42


@once_func
async def setup() -> int:
    return 1


async def locks() -> None:
    mu, rw = Mutex(), RWMutex()
    async with mu, rw, rw.reader():
        assert_type(mu.try_lock(), bool)
    with mu, rw, rw.reader():
        pass
    lockers: list[Locker] = [mu, rw, rw.reader()]
    for locker in lockers:
        await locker.lock()
    cond = Cond(rw)
    assert_type(cond, Cond[RWMutex])
    assert_type(cond.locker, RWMutex)
    Cond(3)  # type: ignore[type-var]
    async with WaitGroup() as wg:
        wg.go(print, "text")
        assert_type(wg, WaitGroup)
    with WaitGroup() as wg:
        wg.add(1)
    await Once().do(print, "text")
    assert_type(answer(), int)
    assert_type(await later(), int)
    await setup()
    assert_type(once_func(lambda: 1), Callable[[], None])
    assert_type(once_values(lambda: (1, "text"))(), tuple[int, str])


def shared() -> None:
    pool = Pool(bytearray)
    assert_type(pool.get(), bytearray | None)
    pool.put("text")  # type: ignore[arg-type]
    ages = Map[str, int]()
    ages.store("gopher", 15)
    assert_type(ages.load("gopher"), tuple[int | None, bool])
    assert_type(ages.load_or_store("gopher", 1), tuple[int, bool])
    for name, age in ages.range():
        assert_type(name, str)
        assert_type(age, int)
    assert_type(atomic.Int64().add(1), int)
    assert_type(atomic.Value[str]().load(), str | None)
    assert_type(atomic.Pointer("text").swap(None), str | None)


async def main() -> None:
    ch = Chan[int](3)
    assert_type(await ch.recv(), int | None)
    assert_type(await ch.recv_ok(), tuple[int | None, bool])
    assert_type(ch.try_send(1), bool)
    assert_type(ch.try_recv(), tuple[int | None, bool, bool])
    async for value in ch:
        assert_type(value, int)
    index, _, ok = await select(recv(ch), send(ch, 1), recv(None), default=True)
    assert_type(index, int)
    assert_type(ok, bool)
    gopark.go(double, 1, ch)
    gopark.go(double, n=1, out=ch)
    gopark.go(ch.send, 1)
    gopark.go(lambda: print("text"))
    gopark.go(functools.partial(double, 1), ch)
    gopark.go(double, 1)  # type: ignore[call-arg]
    gopark.go(double, "1", ch)  # type: ignore[arg-type]
    gopark.go(ch.send, "text")  # type: ignore[arg-type]
    gopark.go(double(1, ch))  # type: ignore[arg-type]
    gopark.time.after_func(1, double, "1", ch)  # type: ignore[arg-type]
    context.after_func(context.background(), double, 1)  # type: ignore[call-arg]
    WaitGroup().go(double, 1, ch, 2)  # type: ignore[call-arg]
    await Once().do(double, "1", ch)  # type: ignore[arg-type]
    await Once().do(double, 1, ch)
    gopark.run(double, "1", ch)  # type: ignore[call-overload]
    assert_type(gopark.testing.synctest.test(double, 1, ch), int)
    assert_type(gopark.runtime.goid(), int)
    logging.getLogger().addFilter(gopark.runtime.LogFilter())
    assert_type(gopark.block(ch.recv()), int | None)
    assert_type(gopark.runtime.num_goroutine(), int)
    assert_type(gopark.runtime.stack(all=True), str)
    assert_type(await gopark.time.after(1.0).recv(), float | None)
    assert_type(gopark.time.tick(1), Chan[float] | None)
    timer = gopark.time.Timer(1)
    assert_type(await timer.c.recv_ok(), tuple[float | None, bool])
    assert_type(timer.stop(), bool)
    assert_type(gopark.time.Ticker(1.0).reset(2), None)
    assert_type(gopark.time.after_func(1, double, 1, ch), gopark.time.Timer)


assert_type(gopark.run(double, 1, Chan[int]()), int)
assert_type(gopark.run(plain, Chan[int]()), str)
assert_type(gopark.cgo.call(divmod, 7, 2), tuple[int, int])
Chan[int]().try_send("no")  # type: ignore[arg-type]


async def bridge() -> None:
    async def there(x: int) -> str:
        return str(x)

    def plain(x: int) -> bytes:
        return bytes(x)

    assert_type(await gopark.asyncio.call(there(1)), str)
    assert_type(await gopark.asyncio.call(there(1), context.background()), str)
    assert_type(gopark.asyncio.go(there, 1), asyncio.Future[str])
    assert_type(gopark.asyncio.go(plain, 1), asyncio.Future[bytes])
    assert_type(await gopark.asyncio.wait(Chan[int]().recv()), int | None)
    assert_type([v async for v in gopark.asyncio.aiter(Chan[int]())], list[int])
    assert_type(gopark.asyncio.start(), asyncio.AbstractEventLoop)
    gopark.asyncio.go(there, "no")  # type: ignore[call-overload]


async def signals() -> None:
    ch = Chan[signal.Signals](1)
    ossignal.notify(ch, signal.SIGINT, 15)
    assert_type(await ch.recv(), signal.Signals | None)
    ossignal.stop(ch)
    assert_type(ossignal.ignored(signal.SIGHUP), bool)
    with ossignal.notify_context(context.background(), signal.SIGINT) as ctx:
        assert_type(ctx.err(), Exception | None)
    child, stop = ossignal.notify_context(ctx)
    context.with_cancel(child)
    stop()
