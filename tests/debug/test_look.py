"""Looking at all goroutines: groups, states, ages, and what that costs the program."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import gopark
from gopark._debug import _pacing
from gopark._debug._graph import graph
from gopark._debug._look import counts, look, machines
from gopark._debug._pacing import paced


async def leaf(ch):
    await ch.recv()


async def branch(ch):
    await leaf(ch)


def plain(ch):
    gopark.block(ch.recv())


def group_of(found, name):
    """The one group whose stack has this function on top."""
    (group,) = [g for g in found.groups if g.frames and g.frames[0][0].endswith(name)]
    return group


async def test_goroutines_of_one_stack_state_and_creator_are_one_group():
    ch = gopark.Chan()
    for _ in range(3):
        gopark.go(branch, ch)
    gopark.go(leaf, ch)
    gopark.go(leaf, ch)
    await gopark.testing.wait_all_parked()
    found = look()
    groups = {(g.what, tuple(f[0].rpartition(".")[2] for f in g.frames)): g for g in found.groups}
    assert len(groups["chan receive", ("leaf", "branch")]) == 3
    other = [g for g in found.groups if tuple(f[0][-5:] for f in g.frames) == (".leaf",)]
    assert [len(g) for g in other] == [1, 1]  # two lines started them
    assert found.total == 6 == sum(found.states.values())
    ch.close()


async def test_a_group_says_who_made_it_and_since_when_it_waits():
    ch = gopark.Chan()
    gopark.go(leaf, ch)
    await gopark.testing.wait_all_parked()
    found = look()
    group = group_of(found, "test_look.leaf")
    assert group.creator is not None
    assert group.creator[0].endswith("test_a_group_says_who_made_it_and_since_when_it_waits")
    assert group.parents == {1}
    assert 0 <= found.now - group.oldest < 60
    assert group.has(group.ids[0])
    assert not group.has(10**9)
    ch.close()


async def test_plain_goroutines_have_their_stack_too(procs):
    ch = gopark.Chan()
    gopark.go(plain, ch)
    await gopark.testing.wait_all_parked()
    group = group_of(look(), "test_look.plain")
    assert group.what == "chan receive"
    ch.close()


async def test_a_goroutine_that_is_a_function_of_ours_has_that_as_its_stack():
    ch = gopark.Chan()
    gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()
    assert group_of(look(), "Chan.recv").what == "chan receive"
    ch.close()


async def test_groups_are_told_apart_by_a_key_that_stays():
    ch = gopark.Chan()
    gopark.go(leaf, ch)
    gopark.go(branch, ch)
    await gopark.testing.wait_all_parked()
    first, second = look(), look()
    keys = [g.key for g in first.groups if g.what == "chan receive"]
    assert len(set(keys)) == 2
    assert sorted(keys) == sorted(g.key for g in second.groups if g.what == "chan receive")
    assert first.find(keys[0]) is not None
    assert first.find("no such key") is None
    ch.close()


async def test_a_look_keeps_nothing_alive():
    class Held:
        pass

    async def holder(ch):
        held = Held()
        refs.append(weakref.ref(held))
        await ch.recv()

    refs = []
    ch = gopark.Chan()
    gopark.go(holder, ch)
    await gopark.testing.wait_all_parked()
    found = look()
    ch.close()
    await gopark.testing.wait_all_parked()
    gc.collect()
    assert refs[0]() is None
    assert found.total == 2


async def test_every_state_is_counted_once(procs):
    mu, ch, wg = gopark.sync.Mutex(), gopark.Chan(), gopark.sync.WaitGroup()
    wg.add(1)
    await mu.lock()
    for fn in (mu.lock, ch.recv, wg.wait):
        gopark.go(fn)
    await gopark.testing.wait_all_parked()
    states = dict(look().states)
    assert states.pop("running") == 1
    assert states == {"sync.Mutex.Lock": 1, "chan receive": 1, "sync.WaitGroup.Wait": 1}
    mu.unlock()
    ch.close()
    wg.done()


async def test_counts_and_machines_agree_with_the_runtime(procs):
    stop = gopark.Chan()

    async def queued():
        await stop.recv()

    for _ in range(5):
        gopark.go(queued)
    found = counts()
    assert found["goroutines"] == gopark.runtime.num_goroutine()
    assert found["ps"] == procs
    shown = machines()
    assert [p["id"] for p in shown["ps"]] == list(range(procs))
    (mine,) = [m for m in shown["ms"] if m["g"] == 1]
    assert mine["state"] == "running"
    stop.close()


async def test_what_is_queued_is_in_the_picture():
    before = gopark.runtime.gomaxprocs(1)
    done = gopark.Chan()

    async def one():
        await done.recv()

    for _ in range(3):
        gopark.go(one)
    shown = machines()
    (p,) = shown["ps"]
    assert len(p["next"]) + p["queue"]["length"] + shown["global"]["length"] == 3
    assert len({*p["next"], *p["queue"]["first"], *shown["global"]["first"]}) == 3
    done.close()
    gopark.runtime.gomaxprocs(before)


def test_without_a_program_there_is_nothing_to_see():
    assert look().groups == []
    assert counts()["goroutines"] == 0


def test_who_looks_rests_after_a_millisecond(monkeypatch):
    """Of its own time: a busy machine makes it rest more often, never less."""
    rests = []
    monkeypatch.setattr(_pacing, "sleep", rests.append)
    began = time.thread_time()
    for n in paced(range(20_000)):
        sum(range(n % 500))
    took = time.thread_time() - began
    assert len(rests) >= took / 0.003
    assert all(rest > 0 for rest in rests)


def test_many_goroutines_are_looked_at_without_a_long_pause(run):
    """While a thread looks at 5,000 goroutines, one that yields goes on yielding."""

    async def main():
        ch = gopark.Chan()
        for _ in range(5000):
            gopark.go(branch, ch)
        await gopark.testing.wait_all_parked()
        found = []
        thread = threading.Thread(target=lambda: found.append(look()))
        thread.start()
        turns = 0
        while thread.is_alive():
            await gopark.gosched()
            turns += 1
        thread.join()
        assert len(group_of(found[0], "test_look.leaf")) == 5000
        assert turns > 10
        ch.close()

    run(main, outside_help=True)


def test_looking_while_everything_moves(run, procs):
    """Goroutines start, wait in every way and end, while a thread looks at all of them."""
    stop = threading.Event()
    looks = []

    async def worker(mu, ch, wg):
        async with mu:
            await gopark.gosched()
        await ch.send(None)
        await gopark.select(gopark.recv(gopark.Chan()), gopark.recv(gopark.time.after(0.001)))
        wg.done()

    def looker():
        while not stop.is_set() or not looks:
            found = look()
            assert sum(map(len, found.groups)) == found.total
            graph()
            counts()
            machines()
            looks.append(found.total)

    async def main():
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            mu, ch, wg = gopark.sync.Mutex(), gopark.Chan(), gopark.sync.WaitGroup()
            for _ in range(20):
                wg.add(1)
                gopark.go(worker, mu, ch, wg)
            for _ in range(20):
                await ch.recv()
            await wg.wait()

    thread = threading.Thread(target=looker)
    thread.start()
    try:
        run(main, outside_help=True)
    finally:
        stop.set()
        thread.join()
    assert looks
