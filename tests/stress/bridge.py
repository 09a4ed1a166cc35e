"""Programs for programs.py: goroutines and asyncio's tasks call each other, and are cancelled.

Whatever ends a wait on either side, nobody loses anything by it: a value whose send said so is
received once, or left in the buffer; locks are free at the end; each cleanup comes to its end; an
exception arrives as what was raised; context variables go across and what is set there stays there;
nothing is left when all have returned, and what scopes have left behind has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

from stress_programs import Crew, Report, fork, run, wait

import gopark
import gopark.asyncio as ga
from gopark import Chan, ScopeEnded, context
from gopark.sync import Mutex

CANCELLED = (asyncio.CancelledError, context.Canceled, TimeoutError)
token: contextvars.ContextVar[object] = contextvars.ContextVar("token")


class Boom(Exception):
    """What either side may raise at any moment."""


class Shared:
    """What all work on, and what is known of it."""

    def __init__(self, rng: Random) -> None:
        self.channels: list[Chan[int]] = [Chan(rng.choice([0, 0, 1, 5])) for _ in range(3)]
        self.mu = Mutex()
        self.inside = 0
        self.sent: list[int] = []
        self.received: list[int] = []
        self.begun: list[None] = []  # an item for each body that has begun, and ended
        self.ended: list[None] = []

    def open(self) -> bool:
        return len(self.begun) != len(self.ended)

    def check(self) -> None:
        for ch in self.channels:
            while (got := ch.try_recv())[2]:
                self.received.append(got[0])
        assert Counter(self.sent) == Counter(self.received)
        assert max(Counter(self.sent).values(), default=1) == 1
        assert self.mu.try_lock(), "the mutex is held"
        assert self.inside == 0
        assert not self.open(), "a body did not come to its end"


class Side:
    """What both sides have in common."""

    def __init__(self, shared: Shared, rng: Random, depth: int) -> None:
        self.shared = shared
        self.rng = rng
        self.depth = depth

    @contextlib.contextmanager
    def marked(self) -> Any:
        """Variables came across, and those of others do not."""
        mine = object()
        token.set(mine)
        yield mine
        assert token.get() is mine

    def maybe(self) -> None:
        if self.rng.random() < 0.1:
            raise Boom

    def expected(self, exc: BaseException, asked: bool) -> None:
        """The other side has ended by that."""
        if not isinstance(exc, Boom):
            assert asked, f"nobody has asked for {exc!r}"


class Goroutine(Side):
    """Waits by gopark's means."""

    async def body(self, mark: object = None) -> str:
        shared = self.shared
        if mark is None:  # else who starts it has said so
            shared.begun.append(None)
        try:
            assert mark is None or token.get() is mark
            with context.scope(context.current()):
                for _ in range(self.rng.randint(1, 4)):
                    await self.step()
            return "goroutine"
        finally:
            with context.shield():
                await gopark.gosched()
            shared.ended.append(None)

    async def step(self) -> None:
        shared, rng = self.shared, self.rng
        match rng.randrange(6):
            case 0:
                value = rng.getrandbits(100)
                await wait(rng, rng.choice(shared.channels).send(value))
                shared.sent.append(value)
            case 1:
                shared.received.append(await wait(rng, rng.choice(shared.channels).recv()))
            case 2:
                async with shared.mu:
                    shared.inside += 1
                    assert shared.inside == 1
                    shared.inside -= 1
            case 3:
                self.maybe()
                await gopark.time.sleep(rng.random() / 2000)
            case _:
                if self.depth:
                    await self.across()

    async def across(self) -> None:
        """Have a task run, with a context, in a scope, or neither."""
        rng = self.rng
        with self.marked() as mark:
            task = Task(self.shared, fork(rng), self.depth - 1).body(mark)
            kind, soon = rng.randrange(3), rng.random() / 300
            try:
                if kind == 0:
                    with context.with_timeout(context.background(), soon) as ctx:
                        assert await wait(rng, ga.call(task, ctx)) == "task"
                elif kind == 1:
                    with gopark.timeout(soon):
                        assert await wait(rng, ga.call(task)) == "task"
                else:
                    assert await wait(rng, ga.call(task)) == "task"
            except (Boom, *CANCELLED) as exc:
                # asyncio.CancelledError: somebody has cancelled the task, or one that it awaits.
                over = context.current().err() is not None
                self.expected(exc, kind < 2 or over or isinstance(exc, asyncio.CancelledError))
                if over and not isinstance(exc, Boom):
                    raise context.Canceled from exc


class Task(Side):
    """Waits by asyncio's means."""

    async def body(self, mark: object = None) -> str:
        shared = self.shared
        shared.begun.append(None)
        try:
            assert mark is None or token.get() is mark
            for _ in range(self.rng.randint(1, 4)):
                await self.limited()
            return "task"
        finally:
            shared.ended.append(None)

    async def limited(self) -> None:
        """A step, as it is, with a timeout, or cancelled by a sibling."""
        rng = self.rng
        match rng.randrange(4):
            case 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(rng.random() / 500):
                        await self.step()
            case 1:
                one = asyncio.create_task(self.step())
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                if one.done() or not one.cancel():
                    await one
                    return
                try:
                    await one
                except asyncio.CancelledError:
                    me = asyncio.current_task()
                    if me is not None and me.cancelling():
                        raise
            case _:
                await self.step()

    async def step(self) -> None:
        shared, rng = self.shared, self.rng
        match rng.randrange(7):
            case 0:
                value = rng.getrandbits(100)
                await ga.wait(rng.choice(shared.channels).send(value))
                shared.sent.append(value)
            case 1:
                shared.received.append(await ga.wait(self.receives()))
            case 2:
                shared.received.append(await ga.wait(rng.choice(shared.channels).recv()))
            case 3:
                await ga.wait(shared.mu.lock())
                try:
                    shared.inside += 1
                    assert shared.inside == 1
                    shared.inside -= 1
                finally:
                    shared.mu.unlock()
            case 4:
                self.maybe()
                await self.leftopen()
            case _:
                if self.depth:
                    await self.across()

    async def receives(self) -> int:
        await gopark.gosched()
        return await self.rng.choice(self.shared.channels).recv()

    async def leftopen(self) -> None:
        """An async generator that is left in the midst: the loop closes it."""

        async def numbers() -> AsyncIterator[int]:
            try:
                while True:
                    await asyncio.sleep(0)
                    yield 1
            finally:
                await asyncio.sleep(0)

        async for _ in numbers():
            break

    async def across(self) -> None:
        """Start a goroutine, of either kind, and wait for its end."""
        rng = self.rng
        with self.marked() as mark:
            other = Goroutine(self.shared, fork(rng), self.depth - 1)
            self.shared.begun.append(None)
            if rng.random() < 0.3:
                future = ga.go(lambda: gopark.block(other.body(mark)))
            else:
                future = ga.go(other.body, mark)
            asked = rng.random() < 0.3
            try:
                if asked:
                    await asyncio.sleep(rng.choice([0, 0.0005]))
                    future.cancel()
                assert await future == "goroutine"
            except Boom:
                pass
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if not future.done():
                    future.cancel()  # it is left to itself
                if me is not None and me.cancelling():
                    raise
                # Or a task that the goroutine has called was cancelled.


async def partner(shared: Shared) -> None:
    """Sends and receives, so that nobody waits for long; until it is cancelled."""
    n = 0
    while True:
        for ch in shared.channels:
            got, _, received = ch.try_recv()
            if received:
                shared.received.append(got)
            n -= 1
            if ch.try_send(n):
                shared.sent.append(n)
        await gopark.time.sleep(0.0003)


async def others(shared: Shared) -> None:
    """A scope ends the wait for a task, and a task may leave a goroutine: till all have ended."""
    me = asyncio.current_task()
    while any(task is not me for task in asyncio.all_tasks()) or shared.open():
        await asyncio.sleep(0.0005)


def bridge(rng: Random) -> None:
    """Goroutines and tasks call each other and are cancelled; all return in the end."""
    outside = rng.random() < 0.3

    async def main() -> None:
        shared, crew = Shared(rng), Crew(rng, outside)

        async def begin(one: Side) -> None:
            try:
                if isinstance(one, Task):
                    await ga.call(one.body())
                else:
                    await one.body()
            except (Boom, *CANCELLED):
                pass

        for _ in range(rng.randint(2, 8)):
            kind = rng.choice([Task, Goroutine])
            crew.start(begin, kind(shared, fork(rng), rng.randint(1, 3)))
        helps = gopark.spawn(partner, shared)
        await crew.join()
        await ga.call(others(shared))
        helps.cancel()
        await helps.ended().recv_ok()
        shared.check()
        while gopark.runtime.num_goroutine() > 2:  # main, and the loop's own
            await gopark.time.sleep(0.0005)

    run(main, outside=outside)


def bridgekeys(rng: Random) -> None:
    """Ctrl-C while both sides work: each is one KeyboardInterrupt of main, and of nobody else.

    What main waits for then is cancelled and ends; the others lose nothing by it.
    """
    n = rng.randint(1, 4)
    ready = threading.Semaphore(0)
    plain = rng.random() < 0.3

    def kick(mine: Random) -> None:
        for _ in range(n):
            ready.acquire()
            time.sleep(mine.random() / 300)
            os.kill(os.getpid(), signal.SIGINT)

    async def waits() -> None:
        await ga.wait(Chan[int]().recv())

    async def sleeps() -> None:
        with context.scope(context.current()):
            await gopark.time.sleep(60)

    async def starts() -> None:
        await ga.go(sleeps)

    async def turns() -> None:
        while True:
            await asyncio.sleep(0)

    async def crosses() -> None:
        with context.scope(context.current()):
            while True:
                await ga.call(asyncio.sleep(0))

    async def inside() -> None:
        await ga.call(ga.run(crosses))

    async def blocks() -> None:
        gopark.block(ga.call(waits()))

    ways: list[Any] = [
        lambda: ga.call(asyncio.Event().wait()),
        lambda: ga.call(asyncio.sleep(60)),
        lambda: ga.call(waits()),
        lambda: ga.call(starts()),
        lambda: ga.call(turns()),
        *(crosses, inside, blocks),
    ]

    async def main() -> int:
        shared, crew = Shared(rng), Crew(rng, True)

        async def begin(one: Side) -> None:
            with contextlib.suppress(Boom, *CANCELLED):
                await (ga.call(one.body()) if isinstance(one, Task) else one.body())

        for _ in range(rng.randint(1, 5)):
            kind = rng.choice([Task, Goroutine])
            crew.start(begin, kind(shared, fork(rng), rng.randint(1, 3)))
        helps = gopark.spawn(partner, shared)
        caught = 0
        for _ in range(n):
            try:
                ready.release()
                await rng.choice(ways)()
            except KeyboardInterrupt:
                caught += 1
        await crew.join()
        await ga.call(others(shared))
        helps.cancel()
        await helps.ended().recv_ok()
        shared.check()
        while gopark.runtime.num_goroutine() > 2:  # main, and the loop's own
            await gopark.time.sleep(0.0005)
        return caught

    thread = threading.Thread(target=kick, args=(fork(rng),))
    thread.start()
    caught = run((lambda: gopark.block(main())) if plain else main, outside=True)
    thread.join()
    assert caught == n, (caught, n)


def bridgeends(rng: Random) -> None:
    """Main returns or raises, or a task or a goroutine ends the program, amid all that."""
    how = rng.choice(["return", "raise", "task exits", "goroutine exits", "plain exits"])

    async def exits() -> None:
        raise SystemExit(7)

    async def taskexits() -> None:
        await asyncio.sleep(0)
        raise SystemExit(7)

    def plainexits() -> None:
        raise SystemExit(7)

    async def main() -> str:
        shared = Shared(rng)

        async def begin(one: Side) -> None:
            with contextlib.suppress(Boom, *CANCELLED, ScopeEnded):
                await (ga.call(one.body()) if isinstance(one, Task) else one.body())

        for _ in range(rng.randint(1, 8)):
            kind = rng.choice([Task, Goroutine])
            gopark.go(begin, kind(shared, fork(rng), rng.randint(1, 3)))
        helps = gopark.spawn(partner, shared)
        await gopark.time.sleep(rng.random() / 200)
        if how == "return":
            return "returned"
        if how == "raise":
            raise Boom
        if how == "task exits":
            await ga.call(taskexits())
        elif how == "goroutine exits":
            gopark.go(exits)
        else:
            gopark.go(plainexits)
        await Chan[None]().recv()
        return repr(helps)

    with contextlib.redirect_stderr(Report()) as report:
        try:
            got = run(main)
        except Boom:
            got = "raised"
        except SystemExit as exc:
            got = f"exit {exc.code}"
    wanted = {"return": "returned", "raise": "raised"}.get(how, "exit 7")
    assert got == wanted, f"{how}: {got}\n{report.getvalue()}"


def inside(rng: Random) -> None:
    """In a loop of asyncio's own: goroutines that it has started, some of which outlive it."""

    async def goroutine(mine: Random, shared: Shared) -> str:
        gopark.go(late, fork(mine))
        with contextlib.suppress(Boom, *CANCELLED):
            await Goroutine(shared, mine, 2).body()
        return "ended"

    async def late(mine: Random) -> None:
        """The loop may be closed by then: its calls go to the program's, or are refused."""
        await gopark.time.sleep(mine.random() / 100)
        with contextlib.suppress(RuntimeError, *CANCELLED):
            assert await ga.call(asyncio.sleep(0, "slept")) == "slept"

    async def theirs() -> None:
        shared = Shared(rng)
        helps = ga.go(partner_until, shared)
        tasks = [asyncio.create_task(ga.run(goroutine, fork(rng), shared)) for _ in range(4)]
        await asyncio.sleep(rng.random() / 200)
        for task in tasks:
            if rng.random() < 0.3:
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result == "ended" or isinstance(result, asyncio.CancelledError), repr(result)
        await others(shared)
        helps.cancel()
        await asyncio.wait([helps])
        shared.check()

    async def partner_until(shared: Shared) -> None:
        with contextlib.suppress(context.Canceled), context.scope(context.current()):
            await partner(shared)

    async def main() -> None:
        done = gopark.spawn(lambda: asyncio.run(theirs()))
        await done
        await gopark.time.sleep(0.012)  # those that outlive it

    run(main, outside=True)


PROGRAMS = [bridge, bridgekeys, bridgeends, inside]
