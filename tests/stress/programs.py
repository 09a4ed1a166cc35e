"""Random programs, each made from a seed, and the laws that none of them may break.

What was sent is received exactly once, or is left in a buffer, or its sender was told that
the channel is closed. A goroutine sees the values of one sender on one channel in the order
they were sent. When all is done main is the only goroutine, a dump shows as many as are
counted, and after `run` no goroutine and no thread is left.

A program is a function of a `random.Random`; it runs the runtime itself. As a script this
file runs programs until the time is up, one seed after the other:

    python tests/stress/programs.py traffic --seed 7            # this one
    python tests/stress/programs.py all --seconds 60            # random seeds

It prints a seed before its program begins. One that hangs is ended after `--patience` seconds
with the stacks of all goroutines and threads. How a seed turns out depends on the machine as
well: repeat it, and with `GOPARKDEBUG=checksched=1,lockrank=1`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import importlib.util
import io
import logging
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from random import Random
from typing import Any

import gopark
from gopark import Chan, ClosedChannelError, recv, select, send
from gopark._runtime.base.hooks import netdoor
from gopark._runtime.base.runtime2 import P
from gopark._runtime.c import extram
from gopark._runtime.sched import finq, startm
from gopark._runtime.sched.deadlock import outside as helpers

Body = Callable[..., Coroutine[Any, Any, Any]]

PROGRAMS: dict[str, Callable[[Random], None]] = {}
PROCS = (1, 1, 2, 3, 4, 8)

libc = ctypes.CDLL(None)
libc.pthread_create.argtypes = (ctypes.c_void_p,) * 4
libc.pthread_tryjoin_np.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
HEADER = re.compile(r"^goroutine \d+ \[", re.M)


def program(fn: Callable[[Random], None]) -> Callable[[Random], None]:
    PROGRAMS[fn.__name__] = fn
    return fn


def run(main: Body, *args: Any, outside: bool = False) -> Any:
    """`gopark.run`; a wake-up that is lost is a deadlock unless a foreign thread takes part."""
    gopark.debug.strict_deadlock(not outside)
    try:
        return gopark.run(main, *args)
    finally:
        gopark.debug.strict_deadlock(False)


def fork(rng: Random) -> Random:
    """A generator of its own for another goroutine."""
    return Random(rng.getrandbits(64))


class Report(io.StringIO):
    """In the place of stderr, for a program whose end prints one; a Throw is for us to see."""

    def write(self, text: str) -> int:
        if text.startswith("fatal error: Throw") and sys.__stderr__ is not None:
            sys.__stderr__.write(text)
            sys.__stderr__.flush()
        return super().write(text)


# --- goroutines of every kind ------------------------------------------------------------


class CThread:
    """A thread made by C that calls in once."""

    def __init__(self, fn: Callable[[int | None], Any]) -> None:
        self._entry = START(gopark.cgo.callback(fn))
        self._id = ctypes.c_ulong()
        status = libc.pthread_create(ctypes.byref(self._id), None, self._entry, None)
        if status:
            raise OSError(status, "pthread_create")

    def join(self) -> None:
        while libc.pthread_tryjoin_np(self._id, None):  # so that a signal is heard, see watch
            time.sleep(0.0005)


class Crew:
    """Starts goroutines of every kind, and knows when all have ended."""

    ours = ("coroutine", "coroutine", "coroutine", "plain", "plain", "locked", "lockedplain")
    foreign = ("cthread", "pythread")

    def __init__(self, rng: Random, outside: bool) -> None:
        self._rng = rng
        self._kinds = self.ours + self.foreign if outside else self.ours
        self._done: Chan[None] = Chan(1_000_000)
        self._lock = threading.Lock()  # guards the two below
        self._started = 0
        self._threads: list[CThread | threading.Thread] = []

    def anykind(self) -> str:
        return self._rng.choice(self._kinds)

    def start(self, fn: Body, *args: Any, kind: str | None = None) -> None:
        kind = kind or self.anykind()
        with self._lock:
            self._started += 1
        done, ends = self._done, self._rng.random() < 0.2

        async def body() -> None:
            try:
                if kind.startswith("locked"):
                    gopark.runtime.lock_os_thread()
                await fn(*args)
                if kind.startswith("locked") and not ends:
                    gopark.runtime.unlock_os_thread()  # else the thread ends with it
                if ends and kind not in self.foreign:
                    gopark.goexit()
            finally:
                done.try_send(None)

        if kind in ("coroutine", "locked"):
            gopark.go(body)
        elif kind in ("plain", "lockedplain"):
            gopark.go(lambda: gopark.block(body()))
        elif kind == "cthread":
            self._threads.append(CThread(lambda _: gopark.block(body())))
        else:

            def target() -> None:
                with contextlib.suppress(gopark.ProgramEnded):
                    gopark.block(body())

            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    async def join(self) -> None:
        """Wait until each has ended, and its thread if that is not ours."""
        while True:
            with self._lock:
                if not self._started:
                    break
                self._started -= 1
            await self._done.recv()
        self.jointhreads()

    def jointhreads(self) -> None:
        for thread in self._threads:
            gopark.cgo.call(thread.join)
        self._threads.clear()


async def alone() -> None:
    """Main is the last goroutine, and a dump shows it."""
    while gopark.runtime.num_goroutine() > 1:
        await gopark.testing.wait_all_parked()
        await gopark.gosched()
    headers()


def headers() -> None:
    """All are parked: a dump shows as many goroutines as are counted."""
    shown = len(HEADER.findall(gopark.runtime.stack(all=True)))
    counted = gopark.runtime.num_goroutine()
    assert shown == counted, f"{shown} in a dump, {counted} counted"


def waiters(ch: Chan[Any]) -> int:
    """Who is on its queues, but for cases of selects that are over and not yet swept out."""
    return len(ch._recvq) + len(ch._sendq) - ch._nmarked


def tasks() -> int:
    """How many threads this process has, whoever made them."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0


def settled(threads: int) -> None:
    """No program runs: nothing of the last one is left."""
    deadline = time.monotonic() + 120
    while left := leftovers(threads):
        if time.monotonic() > deadline:
            faulthandler.dump_traceback(all_threads=True)
            raise AssertionError(f"left behind: {left}\n{gopark.runtime.stack(all=True)}")
        time.sleep(0.0005)
    assert gopark.runtime.stack(all=True) == ""


def leftovers(threads: int) -> list[str]:
    left = [t.name for t in threading.enumerate() if t.name.startswith("gopark-M")]
    left += [f"{m} is bound" for m in extram.inuse() if m.ident != threading.get_ident()]
    if gopark.runtime.num_goroutine():
        left.append(f"{gopark.runtime.num_goroutine()} goroutines")
    if startm.current() is not None:
        left.append("a program")
    if tasks() > threads:
        left.append(f"{tasks()} threads, of {threads}")
    return left


# --- what goes on beside the channels ----------------------------------------------------


async def disturb(rng: Random, timers: bool = True) -> None:
    """Something that moves goroutines, threads or Ps about; mostly nothing."""
    what = rng.randrange(40)
    pause = gopark.time.sleep if timers else _yield
    if what < 4:
        await gopark.gosched()
    elif what == 4:
        await pause(rng.random() / 1000)
    elif what == 5:
        time.sleep(rng.random() / 300)  # blocks the thread, and says so to nobody
    elif what == 6:
        gopark.cgo.call(libc.usleep, rng.randrange(1500))
    elif what == 7:
        sum(range(rng.randrange(40_000)))
    elif what == 8:
        gopark.runtime.gomaxprocs(rng.choice(PROCS))
    elif what == 9:
        assert HEADER.search(gopark.runtime.stack(all=rng.random() < 0.5))
    elif what == 10:
        gopark.go(rng.choice([gopark.gosched, gopark.goexit, gc.isenabled]))
    elif what == 11:
        gopark.runtime.lock_os_thread()
        try:
            await pause(rng.random() / 2000)
        finally:
            gopark.runtime.unlock_os_thread()
    elif what == 12:
        gopark.block(gopark.gosched() if rng.random() < 0.5 else pause(0.0003))
    elif what == 13 and rng.random() < 0.05:
        gc.collect()


async def _yield(_: float) -> None:
    await gopark.gosched()


def wait(rng: Random, awaitable: Awaitable[Any]) -> Awaitable[Any]:
    """Await it, or now and then wait for it on the thread."""
    if rng.random() < 0.1:

        async def blocking() -> Any:
            return gopark.block(awaitable)

        return blocking()
    return awaitable


# --- the accounts of a program -----------------------------------------------------------


class Ledger:
    """Who says to have sent and received what, on which channel."""

    def __init__(self, channels: list[Chan[Any]]) -> None:
        self.channels = channels
        self.number = {id(ch): n for n, ch in enumerate(channels)}
        self.workers: list[Worker] = []

    def check(self) -> None:
        """Everybody has ended."""
        sent: Counter[Any] = Counter()
        got: Counter[Any] = Counter()
        for worker in self.workers:
            sent.update(worker.sent)
            got.update(worker.got)
            last: dict[tuple[int, int], int] = {}
            for ch, (sender, n) in worker.got:
                before = last.get((ch, sender), -1)
                assert before < n, f"channel {ch}: {n} of sender {sender} came after {before}"
                last[ch, sender] = n
        for n, ch in enumerate(self.channels):
            while (taken := ch.try_recv())[1]:
                got[n, taken[0]] += 1
            assert len(ch) == waiters(ch) == 0
        assert sent == got, f"lost {sent - got}, made up or doubled {got - sent}"


class Worker:
    """One goroutine's share: it sends and receives, in every way there is, and logs it."""

    def __init__(self, ledger: Ledger, rng: Random, ops: int) -> None:
        self.me = len(ledger.workers)
        ledger.workers.append(self)
        self.ledger = ledger
        self.rng = rng
        self.ops = ops
        self.sent: list[tuple[int, tuple[int, int]]] = []
        self.got: list[tuple[int, tuple[int, int]]] = []
        self._n = 0
        self._sends = True
        self._live = list(ledger.channels)

    def _value(self) -> tuple[int, int]:
        self._n += 1
        return self.me, self._n

    def _received(self, ch: Chan[Any], value: Any, ok: bool) -> None:
        if ok:
            self.got.append((self.ledger.number[id(ch)], value))
        elif ch in self._live:
            self._live.remove(ch)

    async def work(self) -> None:
        for _ in range(self.ops):
            await disturb(self.rng)
            if not self._live:
                return
            try:
                await self._op()
            except ClosedChannelError:
                self._sends = False  # of a select's cases it does not say which

    async def _op(self) -> None:
        rng = self.rng
        ch = rng.choice(self._live)
        n = self.ledger.number[id(ch)]
        what = rng.randrange(9)
        if what < 3 and self._sends:
            value = self._value()
            if what == 0 and not ch.try_send(value):
                return
            if what:
                await wait(rng, ch.send(value))
            self.sent.append((n, value))
        elif what < 5:
            self._received(ch, *await wait(rng, ch.recv_ok()))
        elif what == 5:
            value, ok, received = ch.try_recv()
            if received:
                self._received(ch, value, ok)
        elif what == 6:
            async for value in ch:
                self._received(ch, value, True)
                if rng.random() < 0.5:
                    return
            self._received(ch, None, False)
        else:
            await self._select()

    async def _select(self) -> None:
        """Any number of cases: a channel may be there twice, in both directions, or None."""
        rng = self.rng
        cases: list[Any] = []
        chans: list[Chan[Any] | None] = []
        value = self._value()
        for _ in range(rng.choice([1, 1, 2, 3, 6])):
            ch = rng.choice([*self._live, None])
            chans.append(ch)
            sending = self._sends and rng.random() < 0.5
            cases.append(send(ch, value) if sending else recv(ch))
        default = rng.random() < 0.3
        if not default and (rng.random() < 0.5 or not any(chans)):
            cases.append(recv(gopark.time.after(rng.random() / 500)))
        index, got, ok = await wait(rng, select(*cases, default=default))
        assert index >= 0 or default
        if 0 <= index < len(chans):
            ch = chans[index]
            assert ch is not None, "a None channel fired"
            if cases[index].is_send:
                self.sent.append((self.ledger.number[id(ch)], value))
            else:
                self._received(ch, got, ok)


# --- programs ----------------------------------------------------------------------------


@program
def traffic(rng: Random) -> None:
    """Workers of all kinds send and receive at random; channels close under their hands."""
    outside = rng.random() < 0.6

    async def main() -> None:
        channels: list[Chan[Any]] = [
            Chan(rng.choice([0, 0, 1, 2, 3, 10, 100])) for _ in range(rng.randint(1, 6))
        ]
        ledger, crew = Ledger(channels), Crew(rng, outside)
        for _ in range(rng.randint(2, 14)):
            crew.start(Worker(ledger, fork(rng), rng.randint(1, 80)).work)
        for ch in rng.sample(channels, len(channels)):
            for _ in range(rng.randrange(4)):
                await gopark.time.sleep(rng.random() / 100)
                await disturb(rng)
            ch.close()
        await crew.join()
        ledger.check()
        await alone()

    run(main, outside=outside)


@program
def pipeline(rng: Random) -> None:
    """Values go through stages of any kind of goroutine; a closed stage closes the next."""
    outside = rng.random() < 0.5

    async def main() -> None:
        crew = Crew(rng, outside)
        values, stages = rng.randint(1, 150), rng.randint(1, 5)
        chans: list[Chan[int]] = [Chan(rng.choice([0, 0, 1, 8])) for _ in range(stages + 1)]
        open_ = [rng.randint(1, 3) for _ in range(stages)]
        locks = [threading.Lock() for _ in range(stages)]

        async def source() -> None:
            mine = fork(rng)
            for value in range(values):
                await disturb(mine)
                await chans[0].send(value)
            chans[0].close()

        async def stage(n: int, mine: Random) -> None:
            async for value in chans[n]:
                await disturb(mine)
                await wait(mine, chans[n + 1].send(value))
            with locks[n]:
                open_[n] -= 1
                last = not open_[n]
            if last:
                chans[n + 1].close()

        crew.start(source)
        for n in range(stages):
            for _ in range(open_[n]):
                crew.start(stage, n, fork(rng))
        one_each = open_ == [1] * stages
        got = [value async for value in chans[-1]]
        assert (got if one_each else sorted(got)) == list(range(values))
        await crew.join()
        await alone()

    run(main, outside=outside)


@program
def ring(rng: Random) -> None:
    """Tokens go round and round; none is lost or doubled."""

    async def main() -> None:
        n, laps = rng.randint(2, 8), rng.randint(1, 30)
        chans: list[Chan[tuple[int, int]]] = [Chan(rng.choice([0, 0, 1, 4])) for _ in range(n)]
        # With as many tokens as there is room, each would wait for the next to move on.
        tokens = min(rng.randint(1, 4), sum(ch.cap + 1 for ch in chans) - 2)
        out: Chan[int] = Chan(tokens)
        crew = Crew(rng, False)

        async def node(i: int, mine: Random) -> None:
            async for token, lap in chans[i]:
                if mine.random() < 0.1:
                    await disturb(mine)
                if i == 0 and lap == laps:
                    await out.send(token)
                else:
                    await chans[(i + 1) % n].send((token, lap + (i == 0)))

        async def feed() -> None:
            for token in range(tokens):
                await chans[0].send((token, 0))

        for i in range(n):
            crew.start(node, i, fork(rng))
        crew.start(feed)
        assert sorted([await out.recv() for _ in range(tokens)]) == list(range(tokens))
        for ch in chans:
            ch.close()
        await crew.join()
        await alone()

    run(main)


@program
def closing(rng: Random) -> None:
    """Senders race with a close: what they were told was sent has been received."""

    async def main() -> None:
        ch: Chan[tuple[int, int]] = Chan(rng.choice([0, 1, 3]))
        sent: Counter[tuple[int, int]] = Counter()
        got: Counter[tuple[int, int]] = Counter()
        crew = Crew(rng, False)
        stop = [False]

        async def sender(base: int, mine: Random) -> None:
            n = 0
            with contextlib.suppress(ClosedChannelError):
                while True:
                    if mine.random() < 0.5:
                        await ch.send((base, n))
                    else:
                        await select(send(ch, (base, n)))
                    sent[base, n] += 1
                    n += 1
                    assert not stop[0] or n < 1_000_000, "the close was missed"
            stop[0] = True

        async def receiver() -> None:
            async for value in ch:
                got[value] += 1

        for base in range(rng.randint(1, 6)):
            crew.start(sender, base, fork(rng), kind=rng.choice(crew.ours))
        for _ in range(rng.randint(1, 4)):
            crew.start(receiver)
        for _ in range(rng.randint(0, 50)):
            await gopark.gosched()
        ch.close()
        await crew.join()
        assert got == sent

    run(main)


@program
def waking(rng: Random) -> None:
    """One close, or as many sends, wake everybody who waits, each once."""

    async def main() -> None:
        ch: Chan[int] = Chan(rng.choice([0, 0, 2]))
        never: Chan[int] = Chan()  # nobody sends
        full: Chan[int] = Chan()  # nobody receives
        n = rng.randint(1, 60)
        crew, woken = Crew(rng, False), Counter[Any]()

        async def waiter(i: int, mine: Random) -> None:
            how = mine.randrange(4)
            if how == 0:
                value, _ = await ch.recv_ok()
            elif how == 1:
                value = await ch.recv()
            elif how == 2:
                _, value, _ = await select(recv(never), recv(ch), recv(None), recv(ch))
            else:
                _, value, _ = await select(send(full, 1), recv(ch))
            woken[i] += 1
            if value is not None:
                woken["value", value] += 1

        for i in range(n):
            crew.start(waiter, i, fork(rng))
        if rng.random() < 0.7:
            await gopark.testing.wait_all_parked()
            headers()
        sends = rng.choice([0, n // 2, n])
        for value in range(sends):
            await ch.send(value)
        ch.close()
        await crew.join()
        # What was sent is received: whoever came later found it in the buffer, or the end.
        assert woken == Counter([*range(n), *(("value", v) for v in range(sends))])
        assert waiters(never) == waiters(full) == 0
        await alone()

    run(main)


@program
def clocks(rng: Random) -> None:
    """Sleeps end once each and not before their time, whatever blocks or burns beside them."""
    outside = rng.random() < 0.3

    async def main() -> None:
        crew = Crew(rng, outside)
        ended: list[int] = []

        async def sleeper(i: int, mine: Random) -> None:
            for _ in range(mine.randint(1, 5)):
                seconds, began = mine.random() / 100, time.monotonic()
                if mine.random() < 0.5:
                    await wait(mine, gopark.time.sleep(seconds))
                else:
                    timeout, other = gopark.time.after(seconds), gopark.time.after(60)
                    index, _, ok = await select(recv(other), recv(timeout), recv(None))
                    assert (index, ok) == (1, True)
                assert time.monotonic() - began >= seconds
                await disturb(mine)
            ended.append(i)

        n = rng.randint(1, 30)
        for i in range(n):
            crew.start(sleeper, i, fork(rng))
        await crew.join()
        assert sorted(ended) == list(range(n))
        await alone()

    run(main, outside=outside)


@program
def family(rng: Random) -> None:
    """Goroutines that start goroutines; each ends, by return, goexit or an error it catches."""
    outside = rng.random() < 0.3

    async def main() -> None:
        crew = Crew(rng, outside)
        lock, total = threading.Lock(), [0]
        wanted = [0]

        async def member(depth: int, mine: Random) -> None:
            with lock:
                total[0] += 1
            await disturb(mine)
            if depth:
                for _ in range(mine.randint(0, 3)):
                    with lock:
                        wanted[0] += 1
                        crew.start(member, depth - 1, fork(mine))
            if mine.random() < 0.2:
                try:
                    raise ValueError("caught")
                except ValueError:
                    await gopark.gosched()

        for _ in range(rng.randint(1, 4)):
            wanted[0] += 1
            crew.start(member, 4, fork(rng))
        await crew.join()
        assert total == wanted
        await alone()

    run(main, outside=outside)


@program
def blocking(rng: Random) -> None:
    """Calls that hold their thread, marked or not, beside goroutines that go on."""
    outside = rng.random() < 0.3

    async def main() -> None:
        crew = Crew(rng, outside)
        work: Chan[int] = Chan(rng.choice([0, 1, 5]))
        results: Chan[int] = Chan(rng.choice([0, 1, 5]))

        async def worker(mine: Random) -> None:
            async for job in work:
                how = mine.randrange(5)
                if how == 0:
                    time.sleep(mine.random() / 200)
                elif how == 1:
                    gopark.cgo.call(libc.usleep, mine.randrange(3000))
                elif how == 2:
                    libc.usleep(mine.randrange(3000))
                elif how == 3:
                    sum(range(100_000))
                await wait(mine, results.send(job))

        jobs = rng.randint(1, 60)
        for _ in range(rng.randint(1, 10)):
            crew.start(worker, fork(rng))

        async def feed() -> None:
            for job in range(jobs):
                await work.send(job)
            work.close()

        crew.start(feed)
        got = []
        for _ in range(jobs):
            got.append(await results.recv())
            if rng.random() < 0.1:
                gopark.runtime.gomaxprocs(rng.choice(PROCS))
        assert sorted(got) == list(range(jobs))
        await crew.join()
        await alone()

    run(main, outside=outside)


@program
def callbacks(rng: Random) -> None:
    """C threads come in, call C that calls back on the same thread, and go."""
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)

    async def main() -> None:
        results: Chan[list[int]] = Chan(rng.choice([0, 3]))

        def comparing(mine: Random) -> Any:
            def less(a: Any, b: int) -> int:
                if mine.random() < 0.05:
                    gopark.block(disturb(mine))
                return int(a[0] - ctypes.cast(b, ctypes.POINTER(ctypes.c_int))[0])

            return compare(gopark.cgo.callback(less))

        async def sorter(mine: Random) -> None:
            values = [mine.randrange(100) for _ in range(mine.randint(1, 12))]
            array = (ctypes.c_int * len(values))(*values)
            entry = comparing(mine)
            if mine.random() < 0.5:
                gopark.cgo.call(libc.qsort, array, len(values), 4, entry)
            else:
                libc.qsort(array, len(values), 4, entry)
            assert list(array) == sorted(values)
            await results.send(values)

        crew, n = Crew(rng, True), rng.randint(1, 12)
        for _ in range(n):
            crew.start(sorter, fork(rng), kind=rng.choice([None, "cthread", "cthread"]))
            await disturb(rng)
        for _ in range(n):
            assert await results.recv()
        await crew.join()
        await alone()

    run(main, outside=True)


@program
def endings(rng: Random) -> None:
    """The program ends in the midst of its work, in one of the ways there are."""
    outside = rng.random() < 0.4
    how = rng.choice(["return", "raise", "panic", "exit", "fatal", "plainmain", "panicinc"])
    crew = Crew(rng, outside or how == "panicinc")

    class Oops(Exception):
        pass

    over: list[None] = []

    async def busy(chans: list[Chan[Any]], mine: Random, kind: str) -> None:
        ours = kind in crew.ours
        while not over:
            await disturb(mine, timers=ours)
            cases = [send(mine.choice(chans), 1), recv(mine.choice(chans))]
            if ours:
                await select(*cases, recv(gopark.time.after(0.001)))
                if mine.random() < 0.3:
                    await wait(mine, cases[0].ch.send(1) if mine.random() < 0.5 else select(*cases))
            else:  # it may be the last, alone in a program of its own: nobody would wake it
                await select(*cases, default=True)
            await gopark.gosched()

    async def bomb(mine: Random) -> None:
        for _ in range(mine.randrange(8)):
            await disturb(mine)
        if how == "exit":
            sys.exit(7)
        raise Oops("bomb")

    async def main() -> str:
        chans: list[Chan[Any]] = [Chan(rng.choice([0, 1, 5])) for _ in range(rng.randint(1, 3))]
        for _ in range(rng.randint(0, 8)):
            kind = crew.anykind()
            crew.start(busy, chans, fork(rng), kind, kind=kind)
        for _ in range(rng.randrange(10)):
            await disturb(rng)
        if how == "raise":
            raise Oops("main")
        if how in ("panic", "exit"):
            gopark.go(bomb, fork(rng))
            await Chan[int]().recv()
        if how == "panicinc":
            crew.start(bomb, fork(rng), kind="cthread")
            await Chan[int]().recv()
        return "returned"

    def plainmain() -> str:
        return gopark.block(main())

    expected = {"raise": Oops, "exit": SystemExit}.get(how, gopark.FatalError)
    report = Report()
    with contextlib.redirect_stderr(report):
        if how in ("return", "plainmain", "fatal"):
            assert run(plainmain if how == "plainmain" else main, outside=outside) == "returned"
        else:
            try:
                run(main, outside=True)
            except expected as exc:
                if how == "exit" and exc.code != 7:
                    raise AssertionError(f"exit status {exc.code}") from exc
            else:
                raise AssertionError(f"{how}: the program ended as if nothing had happened")
    if issubclass(expected, gopark.FatalError) and how in ("panic", "panicinc"):
        assert re.match(r"panic: .*Oops: bomb\n\ngoroutine \d+ \[", report.getvalue()), (
            report.getvalue()
        )
    else:
        assert report.getvalue() == "", report.getvalue()
    over.append(None)
    crew.jointhreads()


@program
def borders(rng: Random) -> None:
    """Threads of others wait while programs begin and end; nothing that they were given is lost."""
    chans: list[Chan[Any]] = [Chan(rng.choice([0, 0, 1, 5])) for _ in range(2)]
    ledger, over = Ledger(chans), list[None]()
    threads: list[CThread | threading.Thread] = []

    async def once(me: Worker) -> None:
        """One goroutine's time on the thread, in one program or on the border between two."""
        mine = me.rng
        while not over:
            value = me._value()
            cases = [send(mine.choice(chans), value), recv(mine.choice(chans))]
            timeout = recv(gopark.time.after(mine.random() / 1000))
            index, got, ok = await select(*cases, timeout, default=mine.random() < 0.3)
            if index == 0:
                me.sent.append((ledger.number[id(cases[0].ch)], value))
            elif index == 1 and ok:
                me.got.append((ledger.number[id(cases[1].ch)], got))
            what = mine.randrange(8)
            if what < 2:
                await gopark.time.sleep(mine.random() / 2000)
            elif what < 4:
                gopark.go(gopark.gosched if what == 2 else gc.isenabled)
            elif what == 4:
                gopark.cgo.call(gopark.block, gopark.time.sleep(mine.random() / 2000))
            elif what == 5:
                return
            await gopark.gosched()

    def work(me: Worker) -> None:
        while not over:
            with contextlib.suppress(gopark.ProgramEnded):
                gopark.block(once(me))

    async def main() -> None:
        for _ in range(rng.randint(0, 3)):
            me = Worker(ledger, fork(rng), 0)
            if rng.random() < 0.5:
                threads.append(CThread(lambda _, me=me: work(me)))
            else:
                threads.append(threading.Thread(target=work, args=(me,)))
                threads[-1].start()
        await gopark.time.sleep(rng.random() / 300)

    for _ in range(rng.randint(1, 4)):
        run(main, outside=True)
        gopark.runtime.gomaxprocs(rng.choice(PROCS))
    over.append(None)
    for thread in threads:
        thread.join()
    gopark.run(gopark.gosched)
    ledger.check()


@program
def deadlocks(rng: Random) -> None:
    """Whatever they wait on, if nobody is left to wake them the report names each of them."""
    n = rng.randint(0, 20)

    async def main() -> None:
        crew, ch = Crew(rng, False), Chan[int]()

        async def stuck(mine: Random) -> None:
            await disturb(mine)
            how = mine.randrange(4)
            if how == 0:
                await wait(mine, ch.recv())
            elif how == 1:
                await wait(mine, select(recv(ch), recv(None)))
            elif how == 2:
                await select(recv(None))
            else:
                await Chan[int]().send(1)

        for _ in range(n):
            crew.start(stuck, fork(rng))
        if rng.random() < 0.3:
            gopark.runtime.gomaxprocs(rng.choice(PROCS))
        await ch.recv()

    report = Report()
    with contextlib.redirect_stderr(report):
        try:
            run(main)
        except gopark.DeadlockError:
            pass
        else:
            raise AssertionError("nobody noticed the deadlock")
    text = report.getvalue()
    first = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 ["
    assert text.startswith(first), text
    assert len(HEADER.findall(text)) == n + 1, text


@program
def crowds(rng: Random) -> None:
    """Many goroutines on few channels while the number of Ps goes up and down."""

    async def main() -> None:
        n = rng.randint(100, 1500)
        ch: Chan[int] = Chan(rng.choice([0, 0, 1, 50]))
        out: Chan[int] = Chan(rng.choice([0, 10, n]))
        stop: Chan[None] = Chan()

        async def member(i: int) -> None:
            await ch.send(i)

        async def collector() -> None:
            async for value in ch:
                await out.send(value)

        async def resize() -> None:
            mine = fork(rng)
            while (await select(recv(stop), default=True))[0] < 0:
                gopark.runtime.gomaxprocs(mine.choice(PROCS))
                await gopark.time.sleep(mine.random() / 1000)

        for _ in range(rng.randint(1, 4)):
            gopark.go(collector)
        gopark.go(resize)
        for i in range(n):
            gopark.go(member, i)
        assert sorted([await out.recv() for _ in range(n)]) == list(range(n))
        stop.close()
        ch.close()
        await alone()

    run(main)


# --- what comes in between any two lines ---------------------------------------------------


def _others() -> list[Callable[[Random], None]]:
    found: list[Callable[[Random], None]] = []
    sys.modules.setdefault("stress_programs", sys.modules[__name__])  # a later one imports from it
    for name in ("intruders", "network", "connections", "scopes", "bridge", "served"):
        file = pathlib.Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"stress_{name}", file)
        assert spec is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        found += module.PROGRAMS
    return found


for _one in _others():
    program(_one)


# --- running them ------------------------------------------------------------------------


def runseed(name: str, seed: int) -> None:
    """One program from its seed, in the settings that belong to the seed, and the laws."""
    rng = Random(seed)
    procs = gopark.runtime.gomaxprocs(rng.choice(PROCS))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(rng.choice([interval, interval, 1e-4, 1e-5]))
    gopark.run(gopark.gosched)  # sysmon's thread is there from the first program on
    threads = tasks()
    try:
        PROGRAMS[name](rng)
        gopark.run(gopark.gosched)  # who came in after the end has begun a program of its own
        settled(threads)
    finally:
        sys.setswitchinterval(interval)
        gopark.runtime.gomaxprocs(procs)


def seeds(seed: int | None, seconds: float, least: int = 3) -> Iterator[int]:
    """That seed, or one after the other until the time is up, but at least a few."""
    if seed is not None:
        yield seed
        return
    first = random.SystemRandom().randrange(1 << 32)
    deadline = time.monotonic() + seconds
    for n in range(1 << 32):
        if n >= least and time.monotonic() > deadline:
            return
        yield first + n


_BUSY = 10  # times the patience for one that computes: the machine may have more to do
_watched = [0.0, 0.0, 0.0]  # patience, when it is over at the latest, processor time so far


def watch(seconds: float) -> None:
    """If this program does not end in time: all stacks, then the end. Call again for the next."""
    _watched[:] = seconds, time.monotonic() + _BUSY * seconds, time.process_time()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
    # Where no handler runs, since the main thread is in C or in a lock of ours.
    faulthandler.dump_traceback_later(_BUSY * seconds + 5, exit=True)


def _hangs(signum: int, frame: object) -> None:
    patience, until, before = _watched
    _watched[2] = time.process_time()
    if _watched[2] - before > 0.005 * patience and time.monotonic() < until:
        signal.setitimer(signal.ITIMER_REAL, patience)
        return
    sys.stderr = sys.__stderr__  # a program that expects a report has put a Report there
    print("HANG", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(all_threads=True)
    print(gopark.runtime.stack(all=True), file=sys.stderr, flush=True)
    sched = startm.current()
    if sched is not None:
        state = {k: v for k, v in vars(sched).items() if not k.startswith("_")}
        print(state, file=sys.stderr)
        waits = {fd: (pd.rg, pd.wg) for fd, ref in netdoor.opened.items() if (pd := ref())}
        hopes = helpers.waiting(), helpers.interrupting(), helpers.handed(), finq.pending()
        print("hopes", hopes, sched.timers.when, len(sched.timers), file=sys.stderr)
        print("network", waits, netdoor.inhand, netdoor.sleeper, file=sys.stderr)
        for m in [*sched.allm, *extram.inuse()]:
            print(m, m.p, m.curg, m.nextp, m.idle, m.sched is sched, file=sys.stderr)
    for p in gc.get_objects():  # those that gomaxprocs took away included
        if isinstance(p, P) and not p.empty():
            print(p, "of", p.m, "holds", p.runnext, p.runq, "gone", startm.gone(p), file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", choices=[*PROGRAMS, "all"])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--repeat", type=int, default=1, help="run the seed that many times")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--patience", type=float, default=20.0)
    args = parser.parse_args(argv)
    faulthandler.enable()
    # What no task has asked for is no fault. In a process of its own only: tests read that logger.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _hangs)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's, in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    names = list(PROGRAMS) if args.program == "all" else [args.program]
    ran = 0
    for seed in seeds(args.seed, args.seconds):
        for _ in range(args.repeat):
            name = names[seed % len(names)]
            print(f"{name} --seed {seed}", flush=True)
            watch(args.patience)
            runseed(name, seed)
            ran += 1
    watch(0)
    faulthandler.cancel_dump_traceback_later()
    print(f"OK {ran}", flush=True)


if __name__ == "__main__":
    main()
