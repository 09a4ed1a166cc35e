"""Random programs, and conservation laws that no program may break.

Each program is made from a seed: goroutines of both kinds, channels of every capacity,
selects, timers, C threads and changes of GOMAXPROCS. What was sent is received exactly
once, and when all is done the only goroutine left is main. `GOPARK_STRESS_SECONDS` says how
long each test goes on making programs; a failure names the seed, and `GOPARK_STRESS_SEED`
runs that one.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter

import pytest

import gopark
from gopark import Chan, ClosedChannelError, recv, select, send

SECONDS = float(os.environ.get("GOPARK_STRESS_SECONDS", "2"))
SEED = os.environ.get("GOPARK_STRESS_SEED")


def seeds():
    """Seeds until the time is up; at least three."""
    if SEED is not None:
        yield int(SEED)
        return
    first = random.SystemRandom().randrange(1 << 32)
    deadline = time.monotonic() + SECONDS
    for n in range(1 << 32):
        if n >= 3 and time.monotonic() > deadline:
            return
        yield first + n


def each_seed(body):
    """Run a program for every seed, and name the seed of the one that fails."""
    before = gopark.runtime.gomaxprocs()
    ran = 0
    for seed in seeds():
        rng = random.Random(seed)
        gopark.runtime.gomaxprocs(rng.choice([1, 1, 2, 3, 8]))
        try:
            body(rng)
        except BaseException as exc:
            exc.add_note(f"reproduce with GOPARK_STRESS_SEED={seed}")
            print(f"GOPARK_STRESS_SEED={seed}")
            raise
        finally:
            gopark.runtime.gomaxprocs(before)
        ran += 1
    assert ran >= (1 if SEED else 3)


async def produce(rng, outs, values, finished):
    """Send each value on one of the channels, in one of the ways there are."""
    for value in values:
        how = rng.randrange(5)
        if how == 0:
            await rng.choice(outs).send(value)
        elif how == 1:
            await select(*(send(ch, value) for ch in outs))
        elif how == 2:
            while not rng.choice(outs).try_send(value):
                await gopark.gosched()
        elif how == 3:
            while True:
                timeout = gopark.time.after(rng.random() / 1000)
                if (await select(*(send(ch, value) for ch in outs), recv(timeout)))[0] < len(outs):
                    break
        else:
            await gopark.time.sleep(rng.random() / 2000)
            await rng.choice(outs).send(value)
    await finished.send(len(values))


async def consume(rng, ins, sink):
    """Receive from all channels until each is closed, in one of the ways there are."""
    live = list(ins)
    while any(ch is not None for ch in live):
        how = rng.randrange(3)
        if how == 0:
            i, value, ok = await select(*map(recv, live))
        elif how == 1:
            i, value, ok = await select(*map(recv, live), default=True)
            if i < 0:
                await gopark.gosched()
                continue
        else:
            i = rng.choice([i for i, ch in enumerate(live) if ch is not None])
            value, ok, received = live[i].try_recv()
            if not received:
                await gopark.gosched()
                continue
        if ok:
            await sink.send(value)
        else:
            live[i] = None
    await sink.send(None)


def start(rng, cthread, fn, *args):
    """As a coroutine, in a plain goroutine, or on a C thread. A C thread is returned."""
    how = rng.randrange(6)
    if how < 3:
        gopark.go(fn, *args)
    elif how < 5:
        gopark.go(lambda: gopark.block(fn(*args)))
    else:

        async def on_c_thread(_):
            await fn(*args)

        return cthread(gopark.cgo.callback(on_c_thread))
    return None


@pytest.mark.parametrize("resizing", [False, True], ids=["", "resizing"])
def test_every_value_sent_is_received_exactly_once(run, cthread, resizing):
    async def main(rng):
        channels = [Chan(rng.choice([0, 0, 1, 2, 5, 100])) for _ in range(rng.randint(1, 4))]
        producers, consumers = rng.randint(1, 8), rng.randint(1, 6)
        each = rng.randint(1, 40)
        finished, sink = Chan(), Chan(rng.choice([0, 3]))
        stop_resizing = Chan()

        async def resize():
            while (await select(recv(stop_resizing), default=True))[0] < 0:
                gopark.runtime.gomaxprocs(rng.choice([1, 2, 4, 8]))
                await gopark.time.sleep(rng.random() / 1000)

        async def close_when_finished():
            for _ in range(producers):
                await finished.recv()
            for ch in channels:
                ch.close()

        threads = [
            start(
                random.Random(rng.random()),
                cthread,
                produce,
                random.Random(rng.random()),
                channels,
                range(k * each, (k + 1) * each),
                finished,
            )
            for k in range(producers)
        ]
        threads += [
            start(
                random.Random(rng.random()),
                cthread,
                consume,
                random.Random(rng.random()),
                channels,
                sink,
            )
            for _ in range(consumers)
        ]
        gopark.go(close_when_finished)
        if resizing:
            gopark.go(resize)
        got, ended = Counter(), 0
        while ended < consumers:
            value = await sink.recv()
            if value is None:
                ended += 1
            else:
                got[value] += 1
        stop_resizing.close()
        for thread in threads:
            if thread is not None:
                thread.join()
        while gopark.runtime.num_goroutine() > 1:
            await gopark.testing.wait_all_parked()
            await gopark.gosched()
        assert got == Counter(range(producers * each))
        assert [len(ch) for ch in channels] == [0] * len(channels)

    each_seed(lambda rng: run(main, rng, outside_help=True))
    assert gopark.runtime.num_goroutine() == 0


def test_senders_that_race_with_a_close_lose_nothing_they_were_told_was_sent(run):
    async def main(rng):
        ch = Chan(rng.choice([0, 1, 3]))
        sent, done = Counter(), Chan()
        got = Counter()

        async def sender(base):
            n = 0
            try:
                while True:
                    if rng.random() < 0.5:
                        await ch.send((base, n))
                    else:
                        await select(send(ch, (base, n)))
                    sent[base, n] += 1
                    n += 1
                    if n > 1_000_000:
                        raise AssertionError("never closed")
            except ClosedChannelError:
                await done.send(None)

        async def receiver():
            async for value in ch:
                got[value] += 1
            await done.send(None)

        senders, receivers = rng.randint(1, 6), rng.randint(1, 4)
        for base in range(senders):
            gopark.go(sender, base)
        for _ in range(receivers):
            gopark.go(receiver)
        for _ in range(rng.randint(0, 50)):
            await gopark.gosched()
        ch.close()
        for _ in range(senders + receivers):
            await done.recv()
        assert got == sent

    each_seed(lambda rng: run(main, rng))


def test_tokens_in_a_ring_are_neither_lost_nor_doubled(run):
    """Goroutines of both kinds, some locked to threads, pass tokens round and round."""

    async def main(rng):
        n, tokens, laps = rng.randint(2, 8), rng.randint(1, 4), rng.randint(1, 30)
        ring = [Chan(rng.choice([0, 0, 1, 4])) for _ in range(n)]
        out = Chan(tokens)

        async def node(i):
            locked = rng.random() < 0.3
            if locked:
                gopark.runtime.lock_os_thread()
            async for token, lap in ring[i]:
                if i == 0 and lap == laps:
                    await out.send(token)
                    continue
                await ring[(i + 1) % n].send((token, lap + (i == 0)))
            if locked:
                gopark.runtime.unlock_os_thread()

        for i in range(n):
            if rng.random() < 0.4:
                gopark.go(lambda i=i: gopark.block(node(i)))
            else:
                gopark.go(node, i)

        # With more tokens than room a ring of unbuffered channels would be full: feed slowly.
        async def feed():
            for token in range(tokens):
                await ring[0].send((token, 0))

        if sum(ch.cap + 1 for ch in ring) > tokens + 1:
            gopark.go(feed)
            got = sorted([await out.recv() for _ in range(tokens)])
            assert got == list(range(tokens))
        for ch in ring:
            ch.close()

    each_seed(lambda rng: run(main, rng))


def test_many_selects_over_shared_channels_with_timeouts_conserve_values(run):
    async def main(rng):
        channels = [Chan(rng.choice([0, 1])) for _ in range(3)]
        done, stop = Chan(), Chan()
        sent, got = Counter(), Counter()

        async def both(me):
            """Sends and receives in one select, on all channels."""
            for n in range(30):
                cases = [send(ch, (me, n)) for ch in channels] + [recv(ch) for ch in channels]
                cases += [recv(gopark.time.after(rng.random() / 500))]
                index, value, ok = await select(*cases)
                if index < 3:
                    sent[me, n] += 1
                elif index < 6:
                    assert ok
                    got[value] += 1
            await done.send(None)

        workers = rng.randint(2, 10)
        for me in range(workers):
            gopark.go(both, me)
        for _ in range(workers):
            await done.recv()
        for ch in channels:
            ch.close()
            async for value in ch:
                got[value] += 1
        assert got == sent
        assert [len(ch._recvq) + len(ch._sendq) for ch in channels] == [0, 0, 0]
        stop.close()

    each_seed(lambda rng: run(main, rng))


def test_programs_one_after_the_other_leave_nothing(run, wait_until):
    """Each run ends in the midst of its work; the next starts at once."""

    async def main(rng):
        ch = Chan(rng.choice([0, 1]))

        async def talk():
            while True:
                await select(send(ch, 1), recv(ch), recv(gopark.time.after(0.0001)))
                await gopark.gosched()  # a buffer may never make it wait

        def plain():
            while True:
                gopark.block(select(send(ch, 1), recv(ch), recv(gopark.time.after(0.0001))))
                gopark.block(gopark.gosched())

        for _ in range(rng.randint(0, 5)):
            gopark.go(talk)
        for _ in range(rng.randint(0, 4)):
            gopark.go(plain)
        for _ in range(rng.randint(0, 10)):
            await gopark.gosched()

    each_seed(lambda rng: run(main, rng))
    assert wait_until(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("gopark-M")]
    )
    assert gopark.runtime.num_goroutine() == 0


@pytest.mark.parametrize("procs", [1, 2])
def test_goroutines_that_spawn_goroutines_all_end(run, procs):
    async def main():
        done = Chan(100)

        async def tree(depth):
            if depth:
                gopark.go(tree, depth - 1)
                gopark.go(tree, depth - 1)
            else:
                await done.send(None)

        gopark.go(tree, 12)
        for _ in range(1 << 12):
            await done.recv()
        await gopark.testing.wait_all_parked()
        return gopark.runtime.num_goroutine()

    before = gopark.runtime.gomaxprocs(procs)
    try:
        assert run(main) == 1
    finally:
        gopark.runtime.gomaxprocs(before)
