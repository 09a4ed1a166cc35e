"""A program for programs.py: goroutines of all kinds wait in scopes, which end at random.

Nobody loses anything by it: a value whose send said so is received once, or left in the buffer, and
one whose send was ended is not; locks, and the units of a semaphore, are all there at the end; who
waits for a condition has its lock when the wait has ended. Cleanup behind a shield comes to an end,
each wait raises the error of a scope that it is in and that is over, and none does outside.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

from stress_programs import Crew, alone, disturb, fork, run, wait

import gopark
from gopark import Chan, ScopeEnded, context, recv, select, send
from gopark.sync import Cond, Mutex, RWMutex, errgroup, semaphore

UNITS = 3


class Shared:
    """What all work on, and what is known of it."""

    def __init__(self, rng: Random) -> None:
        self.channels: list[Chan[int]] = [Chan(rng.choice([0, 0, 1, 5])) for _ in range(3)]
        self.mu, self.rw, self.sem = Mutex(), RWMutex(), semaphore.Weighted(UNITS)
        self.cond = Cond(self.mu)
        self.inside = 0
        self.sent: list[int] = []
        self.received: list[int] = []
        self.cleaning: list[None] = []  # an item for each cleanup that has begun, and ended
        self.cleaned: list[None] = []
        self.contexts: list[context.CancelCtx] = []

    def check(self) -> None:
        for ch in self.channels:
            while (got := ch.try_recv())[2]:
                self.received.append(got[0])
        assert Counter(self.sent) == Counter(self.received)
        assert max(Counter(self.sent).values(), default=1) == 1
        assert self.mu.try_lock(), "the mutex is held"
        assert self.rw.try_lock(), "the lock of readers and writers is held"
        assert self.sem.try_acquire(UNITS), "units of the semaphore are held"
        assert self.inside == 0
        assert len(self.cleaning) == len(self.cleaned), "a cleanup was broken off"


class Worker:
    def __init__(self, shared: Shared, rng: Random) -> None:
        self.shared = shared
        self.rng = rng
        self.open: list[Any] = []  # its scopes, from the outside in; None: a shield

    async def work(self) -> None:
        for _ in range(self.rng.randint(1, 8)):
            await self.nest(self.rng.randint(1, 3))
            await self.outside()

    async def outside(self) -> None:
        """No scope is open, so nothing ends this."""
        await wait(self.rng, gopark.gosched())
        await wait(self.rng, gopark.time.sleep(0.0001))

    async def nest(self, depth: int) -> None:
        one: Any = None
        try:
            async with self.scope() as one:
                if depth:
                    for _ in range(self.rng.randint(1, 4)):
                        await self.nest(depth - 1)
                else:
                    await self.steps()
        except (TimeoutError, context.Canceled) as exc:
            if isinstance(one, gopark.timeout):
                mine = isinstance(exc.__cause__, ScopeEnded) and exc.__cause__.scope is one
            else:
                mine = exc == one.err()
            if not mine:
                assert self.open, "nobody is there whose it could be"
                raise

    @contextlib.asynccontextmanager
    async def scope(self) -> AsyncIterator[Any]:
        """One of some kind, that ends now, soon or never."""
        rng = self.rng
        seconds = rng.choice([0, 0.0005, 0.001, 0.002, 0.005, 10])
        if rng.random() < 0.6:
            with gopark.timeout(seconds) as one:
                self.open.append(one)
                try:
                    yield one
                finally:
                    self.open.pop()
            return
        with context.with_timeout(context.background(), seconds) as ctx:
            self.shared.contexts.append(ctx)  # somebody else may cancel it
            with context.scope(ctx):
                self.open.append(ctx)
                try:
                    yield ctx
                finally:
                    self.open.pop()

    async def steps(self) -> None:
        for _ in range(self.rng.randint(1, 6)):
            try:
                await self.step()
            except (ScopeEnded, context.Canceled, context.DeadlineExceeded) as exc:
                self.whose(exc)
                await self.cleanup()
                if self.rng.random() < 0.5:
                    raise

    def whose(self, exc: BaseException) -> None:
        """One of its scopes has ended the wait, and that is over."""
        if isinstance(exc, ScopeEnded):
            assert exc.scope in self.open, exc
            assert exc.scope.expired
        else:
            errors = [ctx.err() for ctx in self.open if isinstance(ctx, context.Context)]
            assert exc in errors, (exc, errors)

    async def cleanup(self) -> None:
        shared = self.shared
        shared.cleaning.append(None)
        with context.shield():
            self.open.append(None)
            await wait(self.rng, gopark.gosched())
            async with shared.rw.reader():
                await wait(self.rng, gopark.time.sleep(0.0001))
            if self.rng.random() < 0.3:
                with contextlib.suppress(TimeoutError), gopark.timeout(0.0005):
                    await Chan[int]().recv()
            self.open.pop()
        shared.cleaned.append(None)

    async def step(self) -> None:
        rng, shared = self.rng, self.shared
        match rng.randrange(9):
            case 0 | 1:
                await self.send()
            case 2 | 3:
                await self.receive()
            case 4:
                async with shared.mu:
                    assert shared.inside == 0
                    shared.inside += 1
                    try:
                        await wait(rng, gopark.gosched())
                    finally:
                        shared.inside -= 1
            case 5:
                async with shared.rw if rng.random() < 0.5 else shared.rw.reader():
                    await wait(rng, gopark.time.sleep(0.0001))
            case 6:
                async with shared.sem.held(rng.randint(1, UNITS)):
                    await wait(rng, gopark.time.sleep(0.0001))
            case 7:
                async with shared.mu:
                    if rng.random() < 0.3:
                        shared.cond.signal()
                    else:
                        try:
                            with gopark.timeout(0.001):
                                await wait(rng, shared.cond.wait())
                        except TimeoutError:
                            pass
                        finally:
                            assert not shared.mu.try_lock(), "the lock of the condition is free"
            case 8:
                await self.group()

    async def send(self) -> None:
        shared, rng = self.shared, self.rng
        value = rng.getrandbits(100)  # so no other is the same
        ch = rng.choice(shared.channels)
        if rng.random() < 0.5:
            await wait(rng, ch.send(value))
            shared.sent.append(value)
        else:
            other = rng.choice(shared.channels)
            index, got, ok = await wait(rng, select(send(ch, value), recv(other)))
            if index == 0:
                shared.sent.append(value)
            elif ok:
                shared.received.append(got)

    async def receive(self) -> None:
        shared, rng = self.shared, self.rng
        ch = rng.choice(shared.channels)
        kind = rng.randrange(3)
        if kind == 0:
            got = await wait(rng, ch.recv())
        elif kind == 1:
            got, _ = await wait(rng, ch.recv_ok())
        else:
            _, got, _ = await wait(rng, select(recv(ch), recv(Chan[int]())))
        shared.received.append(got)

    async def group(self) -> None:
        """No function of a group outlives it, whatever ends the wait for it."""
        rng = self.rng
        begun: list[int] = []
        ended: list[int] = []

        async def member(n: int) -> None:
            begun.append(n)
            try:
                await gopark.time.sleep(n / 5000)
            finally:
                ended.append(n)

        try:
            async with errgroup.Group(cancel=rng.random() < 0.7) as g:
                for n in range(rng.randint(1, 4)):
                    g.go(member, n)
                if rng.random() < 0.3:
                    g.go(member, 1).cancel()
        finally:
            assert len(begun) == len(ended)


def scopes(rng: Random) -> None:
    """Goroutines of all kinds wait in scopes that end at random, one in the other."""
    outside = rng.random() < 0.4

    async def main() -> None:
        shared, crew = Shared(rng), Crew(rng, outside)
        for _ in range(rng.randint(2, 10)):
            crew.start(Worker(shared, fork(rng)).work)
        over = Chan[None]()

        async def cancels(mine: Random) -> None:
            while not over.try_recv()[2]:
                if shared.contexts and mine.random() < 0.5:
                    mine.choice(shared.contexts).cancel()
                await disturb(mine)
                await gopark.time.sleep(0.0005)

        gopark.go(cancels, fork(rng))
        # What waits for a partner that has gone waits in a scope of 10 s.
        partner = gopark.spawn(Partner(shared).run)
        await crew.join()
        over.close()
        partner.cancel()
        with contextlib.suppress(context.Canceled):
            await partner
        shared.check()
        await alone()

    run(main, outside=outside)


class Partner:
    """Sends, receives and signals, so that nobody waits for long; until it is cancelled."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    async def run(self) -> None:
        shared, n = self.shared, 0
        while True:
            for ch in shared.channels:
                got, _, received = ch.try_recv()
                if received:
                    shared.received.append(got)
                n -= 1
                if ch.try_send(n):
                    shared.sent.append(n)
            shared.cond.broadcast()
            await gopark.time.sleep(0.0003)


PROGRAMS = [scopes]
