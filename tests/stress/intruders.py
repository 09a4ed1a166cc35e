"""Programs for programs.py in which something comes in between any two lines of the runtime.

Signal handlers that use it, handlers that raise, finalisers, Ctrl-C at every kind of wait, forks.
Each law is a count: what a handler or a finaliser has done is seen once, and nothing hangs.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import gopark
from gopark import Chan, context, recv, select, send
from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.main import rt0


@contextlib.contextmanager
def handler(signum: int, fn: Callable[..., object]) -> Iterator[None]:
    before = signal.signal(signum, fn)
    try:
        yield
    finally:
        signal.signal(signum, before)


@contextlib.contextmanager
def kicks(rng: Random, signum: int) -> Iterator[list[int]]:
    """A thread sends the signal at random moments; a list whose first item counts how often."""
    over, count, mean = threading.Event(), [0], rng.choice([0.0003, 0.001, 0.003])

    def kick(rng: Random) -> None:
        while not over.wait(rng.random() * 2 * mean):
            count[0] += 1
            os.kill(os.getpid(), signum)

    thread = threading.Thread(target=kick, args=(Random(rng.getrandbits(64)),))
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def _until(rng: Random) -> float:
    return time.monotonic() + rng.random() * 0.2


async def _busy(rng: Random, chans: list[Chan[int]], over: list[int]) -> None:
    """Work on channels that those who come in use as well."""
    mine: Chan[int] = Chan()
    while not over:
        await select(send(rng.choice(chans), 1), recv(rng.choice(chans)), default=True)
        what = rng.randrange(6)
        if what == 0:
            gopark.go(mine.send, 1)
            await mine.recv()
        elif what == 1:
            await gopark.time.sleep(rng.random() / 5000)
        elif what == 2:
            gopark.go(gopark.gosched)
        else:
            await gopark.gosched()


class Tally:
    """Counts that threads, and those who come in amid a count, may add to."""

    def __init__(self) -> None:
        self.items: deque[object] = deque()

    def add(self, what: object) -> None:
        self.items.append(what)

    def __getitem__(self, what: object) -> int:
        return self.items.count(what)

    def __repr__(self) -> str:
        return repr(Counter(self.items))


class Guests:
    """What those who come in do, counted by them and by who sees the effect."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.did = Tally()
        self.seen = Tally()
        self.box: Chan[int] = Chan(1_000_000)  # used by all, so that its lock is fought for
        self.chans = [self.box, Chan(1_000_000)]
        self.mu = gopark.sync.Mutex()
        self.wg = gopark.sync.WaitGroup()
        self.kinds: list[Callable[[], None]] = [
            self.go,
            self.send,
            self.close,
            self.cancel,
            self.trylock,
            self.done,
            self.later,
        ]

    async def _count(self, what: str) -> None:
        self.seen.add(what)

    def go(self) -> None:
        self.did.add("go")
        gopark.go(self._count, "go")

    def send(self) -> None:
        if self.box.try_send(7):
            self.did.add("send")

    def close(self) -> None:
        ch: Chan[int] = Chan()
        self.did.add("close")
        gopark.go(self._closed, ch)
        ch.close()

    async def _closed(self, ch: Chan[int]) -> None:
        await ch.recv()
        self.seen.add("close")

    def cancel(self) -> None:
        ctx, cancel = context.with_cancel(context.background())
        self.did.add("cancel")
        context.after_func(ctx, self._count, "cancel")
        cancel()

    def trylock(self) -> None:
        if self.mu.try_lock():
            self.mu.unlock()

    def done(self) -> None:
        self.did.add("done")
        self.wg.done()

    def later(self) -> None:
        self.did.add("later")
        gopark.time.after_func(0.0, self._count, "later")

    def any(self) -> None:
        self.rng.choice(self.kinds)()

    async def settle(self) -> None:
        """Until all that was begun has been seen."""
        end = time.monotonic() + 10
        while not self._agree() and time.monotonic() < end:
            await gopark.time.sleep(0.001)

    def _agree(self) -> bool:
        return all(self.did[k] == self.seen[k] for k in ("go", "close", "cancel", "later"))

    def check(self, ones: int) -> None:
        """The laws; `ones` is how many other values than those of the guests are in the box."""
        assert self._agree(), (self.did, self.seen)
        assert ones >= 0, ones


async def _drain(guests: Guests) -> int:
    sevens = 0
    while (got := guests.box.try_recv())[2]:
        sevens += got[0] == 7
    return sevens


def _withguests(rng: Random, body: Callable[[Guests, float], Any]) -> None:
    guests = Guests(rng)
    over: list[int] = []
    taken = Tally()

    async def busy(rng: Random) -> None:
        """As _busy, on the box: what it takes off is counted."""
        while not over:
            guests.box.try_send(1)
            value, _, received = guests.box.try_recv()
            if received:
                taken.add(value)
            if guests.mu.try_lock():
                guests.mu.unlock()
            await (
                gopark.time.sleep(rng.random() / 5000) if rng.random() < 0.2 else gopark.gosched()
            )

    async def locks(rng: Random) -> None:
        while not over:
            async with guests.mu:
                await gopark.gosched()

    async def main() -> None:
        guests.wg.add(1_000_000_000)
        for _ in range(rng.randint(1, 3)):
            gopark.go(busy, Random(rng.getrandbits(64)))
        for _ in range(rng.randint(0, 3)):
            gopark.go(locks, Random(rng.getrandbits(64)))
        gopark.go(_busy, Random(rng.getrandbits(64)), [Chan(), Chan(2)], over)
        await body(guests, _until(rng))
        over.append(1)
        await guests.settle()
        await gopark.testing.wait_all_parked()
        sevens = taken[7] + await _drain(guests)
        assert sevens == guests.did["send"], (sevens, guests.did)
        guests.check(taken[1])
        assert guests.wg._count == 1_000_000_000 - guests.did["done"], guests.did

    gopark.run(main)


def callers(rng: Random) -> None:
    """Signal handlers that start goroutines, send, close, cancel, unlock."""

    there: list[Guests] = []

    async def body(guests: Guests, end: float) -> None:
        there.append(guests)
        with kicks(rng, signal.SIGUSR1):
            while time.monotonic() < end:
                await gopark.time.sleep(0.001)
                guests.any()
        there.clear()

    with handler(signal.SIGUSR1, lambda *_: [guests.any() for guests in there]):
        _withguests(rng, body)


def finalizers(rng: Random) -> None:
    """`__del__` that does the same, wherever the collector runs."""

    class Guest:
        def __init__(self, guests: Guests) -> None:
            self.guests = guests
            self.me = self if rng.random() < 0.8 else None

        def __del__(self) -> None:
            self.guests.any()
            gone.append(1)

    gone: deque[int] = deque()

    async def body(guests: Guests, end: float) -> None:
        before, made = gc.get_threshold(), 0
        gc.set_threshold(rng.choice([20, 50, 200]))
        try:
            while time.monotonic() < end:
                for _ in range(5):
                    Guest(guests)
                    made += 1
                await gopark.gosched()
        finally:
            gc.set_threshold(*before)
        while len(gone) < made:  # one collection does nothing while another is at work
            gc.collect()
            await gopark.time.sleep(0.001)

    _withguests(rng, body)


def raisers(rng: Random) -> None:
    """A handler that raises: each exception is caught by main once, and all goes on."""

    class Alarm(Exception): ...

    raised: list[Alarm] = []
    caught: list[BaseException] = []
    begun: list[int] = []
    over: list[int] = []
    gone: list[int] = []
    mean = rng.choice([0.0003, 0.001, 0.003])

    def alarm(*_: object) -> None:
        if rt0._run:  # `run` is over, or has not begun
            return
        exc = Alarm(len(raised))
        raised.append(exc)
        raise exc

    def lost() -> set[Alarm]:
        """Those that main has not got, neither by themselves nor as what another came after."""
        got: set[BaseException] = set()
        for exc in caught.copy():
            older: BaseException | None = exc
            while older is not None and older not in got:
                got.add(older)
                older = older.__context__
        return set(raised) - got

    def kick(rng: Random) -> None:
        while not begun:
            time.sleep(0.001)
        while not over:
            time.sleep(rng.random() * 2 * mean)
            os.kill(os.getpid(), signal.SIGUSR1)
        gone.append(1)

    async def pipe(a: Chan[int], b: Chan[int]) -> None:
        async for x in a:
            await b.send(x)

    async def work(end: float) -> None:
        a: Chan[int] = Chan()  # Chan[int]() is code of typing's that swallows exceptions
        b: Chan[int] = Chan()
        gopark.go(pipe, a, b)
        gopark.go(_busy, Random(rng.getrandbits(64)), [Chan(), Chan(1)], over)
        while time.monotonic() < end:
            await select(send(a, 1), recv(b), recv(gopark.time.after(0.001)))

    async def main(end: float) -> None:
        while True:
            try:
                begun.append(1)
                await work(end)
                over.append(1)
                while not gone or lost():  # `join` does not stand exceptions
                    await gopark.time.sleep(0.01)
                await gopark.time.sleep(0.02)
                return
            except Alarm as exc:
                caught.append(exc)  # one call of C: no other comes in before it is done

    # Begun outside: what is raised in the threading module leaves its locks as they are.
    kicker = threading.Thread(target=kick, args=(Random(rng.getrandbits(64)),))
    kicker.start()
    with handler(signal.SIGUSR1, alarm):
        try:
            gopark.run(main, _until(rng))
        except Alarm as exc:  # the last come when main is done, or between two turns of its loop
            caught.append(exc)
        begun.append(1)
        over.append(1)
        kicker.join()
    assert len(set(caught)) == len(caught), "raised twice"
    assert not lost(), "\n".join("".join(traceback.format_exception(exc)) for exc in lost())


def interrupts(rng: Random) -> None:
    """Ctrl-C at waits of every kind, one after the other: each is one KeyboardInterrupt."""
    waits: list[Callable[[], Any]] = [
        lambda: Chan().recv(),
        lambda: Chan().recv_ok(),
        lambda: Chan().send(1),
        lambda: select(recv(Chan()), recv(gopark.time.after(60))),
        lambda: gopark.time.sleep(60),
        lambda: gopark.time.after(60).recv(),
        _locked,
        _counted,
        _computing,
        _yielding,
        _blocking,
    ]
    plain = rng.random() < 0.3
    if plain:
        waits.append(_asleep)  # a call in C that no signal ends, on another thread, goes on
    n = rng.randint(1, 4)
    ready = threading.Semaphore(0)

    def kick() -> None:
        for _ in range(n):
            ready.acquire()
            time.sleep(rng.random() / 500)
            os.kill(os.getpid(), signal.SIGINT)

    async def main() -> int:
        caught = 0
        for _ in range(n):
            try:
                ready.release()
                await rng.choice(waits)()
            except KeyboardInterrupt:
                caught += 1
        return caught

    thread = threading.Thread(target=kick)
    thread.start()
    caught = gopark.run(gopark.block, main()) if plain else gopark.run(main)
    thread.join()
    assert caught == n, (caught, n)


async def _locked() -> None:
    mu = gopark.sync.Mutex()
    await mu.lock()
    await mu.lock()


async def _counted() -> None:
    wg = gopark.sync.WaitGroup()
    wg.add(1)
    await wg.wait()


async def _computing() -> None:
    while True:
        sum(range(100))


async def _yielding() -> None:
    while True:
        await gopark.gosched()


async def _blocking() -> None:
    gopark.block(Chan().recv())


async def _asleep() -> None:
    time.sleep(60)


def forks(rng: Random) -> None:
    """Children forked in the midst of work run programs of their own, and end."""
    over: list[int] = []

    async def inchild() -> int:
        ch: Chan[int] = Chan()
        gopark.go(ch.send, 1)
        gopark.debug.leaks()
        return (len(gopark.runtime.stack(all=True)) and await ch.recv()) or 0

    def look() -> None:
        while not over:
            gopark.runtime.stack(all=True)
            if not FREETHREADED:  # CPython 3.13's child waits for a collection that is not there
                gopark.debug.leaks()

    def main() -> None:
        gopark.go(_busy, Random(rng.getrandbits(64)), [Chan(), Chan(1)], over)
        looker = threading.Thread(target=look)
        looker.start()
        try:
            for _ in range(rng.randint(1, 4)):
                pid = os.fork()
                if not pid:
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # Python's needs the main thread
                    signal.alarm(60)
                    os._exit(0 if gopark.run(inchild) == 1 else 1)
                assert os.waitpid(pid, 0)[1] == 0
        finally:
            over.append(1)
            looker.join()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is the point
        gopark.run(main)


PROGRAMS: list[Callable[[Random], None]] = [callers, finalizers, raisers, interrupts]
if hasattr(os, "fork") and sys.platform == "linux":
    PROGRAMS.append(forks)
