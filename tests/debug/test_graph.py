"""Who waits for whom: what is an edge, and who is awake."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest

import gopark
from gopark import net
from gopark._debug._graph import graph, waitson
from gopark._runtime.base.runtime2 import allgs


def edges(found, kind):
    """(name of the goroutines' function, kind of the thing) of all edges of a kind."""
    return sorted(
        (
            found["nodes"][edge["g"]]["func"].rpartition(".")[2],
            found["things"][edge["t"]]["kind"],
        )
        for edge in found["edges"]
        if edge["kind"] == kind
    )


def labels(found):
    return {thing["kind"]: thing["label"] for thing in found["things"]}


async def waits(ch):
    await ch.recv()


async def naps(*kept):
    await gopark.time.sleep(60)


async def test_a_receiver_waits_on_its_channel_and_who_has_that_is_shown():
    ch = gopark.Chan(0)
    gopark.go(waits, ch)
    gopark.go(naps, ch)
    await gopark.testing.wait_all_parked()
    found = graph()
    assert edges(found, "waits") == [("waits", "channel")]
    assert ("naps", "channel") in edges(found, "uses")
    assert labels(found)["channel"].startswith("Chan 0/0 0x")
    assert found["things"][0]["awake"]
    ch.close()


class Service:
    """A channel two steps away."""

    def __init__(self, ch):
        self.parts = {"jobs": [ch]}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda ch: Service(ch),
        lambda ch: lambda: ch,
        lambda ch: ch.send,
        lambda ch: [{"a": (ch,)}],
        lambda ch: naps(ch),
    ],
    ids=["attribute", "closure", "method", "containers", "coroutine"],
)
async def test_what_is_a_few_steps_away_is_found(wrap):
    ch = gopark.Chan(0)
    kept = wrap(ch)
    gopark.go(waits, ch)
    gopark.go(naps, kept)
    await gopark.testing.wait_all_parked()
    assert ("naps", "channel") in edges(graph(), "uses")
    ch.close()
    if hasattr(kept, "close"):
        kept.close()


async def both(first, second, ready):
    async with first:
        await ready.recv()
        async with second:
            pass


async def deadlock_of_two():
    """Two goroutines that each hold what the other waits for; nobody else has these locks."""
    first, second, ready = gopark.sync.Mutex(), gopark.sync.Mutex(), gopark.Chan()
    gopark.go(both, first, second, ready)
    gopark.go(both, second, first, ready)
    await gopark.testing.wait_all_parked()
    ready.close()


async def test_a_cycle_of_locks_is_marked(procs):
    await deadlock_of_two()
    await gopark.testing.wait_all_parked()
    found = graph()
    assert edges(found, "waits") == [("both", "Mutex")] * 2
    assert edges(found, "holds") == [("both", "Mutex")] * 2
    assert [thing["awake"] for thing in found["things"]] == [False, False]
    assert [n["awake"] for n in found["nodes"] if n["what"] == "sync.Mutex.Lock"] == [False] * 2
    for edge in found["edges"]:  # who waits on one of them holds the other
        kinds = {e["kind"] for e in found["edges"] if e["g"] == edge["g"]}
        assert kinds == {"waits", "holds"}


async def test_a_lock_that_somebody_holds_who_is_awake_is_not_marked():
    mu, ready = gopark.sync.Mutex(), gopark.Chan()

    async def holder():
        async with mu:
            await gopark.time.sleep(60)

    async def wants():
        async with mu:
            await ready.recv()

    gopark.go(holder)
    await gopark.testing.wait_all_parked()
    gopark.go(wants)
    await gopark.testing.wait_all_parked()
    found = graph()
    assert edges(found, "holds") == [("holder", "Mutex")]
    assert edges(found, "waits") == [("wants", "Mutex")]
    assert found["things"][0]["awake"]
    assert found["things"][0]["label"].startswith("Mutex locked 0x")


async def test_equal_goroutines_are_one_node():
    ch = gopark.Chan()
    for _ in range(20):
        gopark.go(waits, ch)
    await gopark.testing.wait_all_parked()
    (node,) = [n for n in graph()["nodes"] if n["what"] == "chan receive"]
    assert node["count"] == 20
    ch.close()


async def test_a_select_waits_on_each_of_its_channels_and_a_timers_is_awake():
    ch = gopark.Chan()

    async def selecting():
        await gopark.select(gopark.recv(ch), gopark.recv(gopark.time.after(60)))

    gopark.go(selecting)
    await gopark.testing.wait_all_parked()
    found = graph()
    assert edges(found, "waits") == [("selecting", "channel"), ("selecting", "timer")]
    assert next(t["awake"] for t in found["things"] if t["kind"] == "timer")
    ch.close()


async def test_a_sleeper_waits_for_nobody():
    gopark.go(naps)
    await gopark.testing.wait_all_parked()
    found = graph()
    assert found["nodes"] == found["things"] == found["edges"] == []


async def test_wait_group_cond_rwmutex_and_semaphore_are_called_by_their_names():
    wg, mu = gopark.sync.WaitGroup(), gopark.sync.RWMutex()
    cond = gopark.sync.Cond(gopark.sync.Mutex())
    wg.add(1)
    await mu.lock()

    async def oncond():
        async with cond.locker:
            await cond.wait()

    async def read():
        async with mu.reader():
            pass

    async def group():
        await wg.wait()

    for fn in (oncond, read, group):
        gopark.go(fn)
    await gopark.testing.wait_all_parked()
    found = graph()
    kinds = {thing["kind"] for thing in found["things"]}
    assert "WaitGroup" in kinds
    assert len(found["things"]) == 3
    assert all(thing["label"] for thing in found["things"])
    wg.done()
    mu.unlock()
    cond.broadcast()
    await gopark.testing.wait_all_parked()


async def test_waitson_names_what_one_goroutine_is_parked_on():
    mu = gopark.sync.Mutex()
    await mu.lock()

    async def wants():
        async with mu:
            pass

    gopark.go(wants)
    await gopark.testing.wait_all_parked()
    (g,) = [g for g in allgs if g.goid != 1]
    assert waitson(g) == [f"Mutex locked {id(mu):#x}"]
    mu.unlock()
    await gopark.testing.wait_all_parked()


async def test_a_graph_keeps_nothing_alive_and_calls_nothing_of_the_users():
    class Odd:
        def __repr__(self):
            raise AssertionError("called")

        __eq__ = __hash__ = __repr__

    async def holder(ch):
        odd = Odd()
        refs.append(weakref.ref(odd))
        await ch.recv()
        del odd

    refs = []
    ch = gopark.Chan()
    gopark.go(holder, ch)
    await gopark.testing.wait_all_parked()
    found = graph()
    ch.close()
    await gopark.testing.wait_all_parked()
    gc.collect()
    assert found["nodes"]
    assert refs[0]() is None


async def test_what_is_too_much_to_draw_is_counted():
    chans = [gopark.Chan() for _ in range(70)]
    for ch in chans:
        gopark.go(waits, ch)
    await gopark.testing.wait_all_parked()
    found = graph()
    assert len([n for n in found["nodes"] if n["what"] == "chan receive"]) == 60
    assert found["left_out"] >= 10
    for ch in chans:
        ch.close()


async def reads(conn):
    with conn, suppress(net.ClosedError):
        await conn.read()


async def accepts(ln):
    async for conn in ln:
        gopark.go(reads, conn)


async def dialled(n):
    """`n` connections that read, and their server, which reads as well."""
    ln = net.listen("tcp", "127.0.0.1:0")
    gopark.go(accepts, ln)
    conns = [await net.dial("tcp", str(ln.addr)) for _ in range(n)]
    for conn in conns:
        gopark.go(reads, conn)
    while gopark.runtime.stack(all=True).count("[IO wait") < 2 * n + 1:
        await gopark.gosched()
    return ln, conns


async def test_a_wait_for_the_network_shows_its_address_and_is_awake():
    ln, (conn,) = await dialled(1)
    found = [thing for thing in graph()["things"] if thing["kind"] == "network"]
    there, here = conn.remote_addr, conn.local_addr
    assert {thing["label"] for thing in found} == {
        f"tcp {there}",
        f"tcp {there}->{here}",
        f"tcp {here}->{there}",
    }
    assert all(thing["awake"] for thing in found)
    assert [waitson(g) for g in allgs if waitson(g) == [f"tcp {here}->{there}"]]
    ln.close()
    conn.close()


async def test_many_connections_are_one_node_and_one_thing():
    ln, conns = await dialled(30)
    found = graph()
    (thing,) = [n for n, t in enumerate(found["things"]) if t["label"].endswith("connections")]
    assert found["things"][thing]["label"] == f"tcp {ln.addr}, connections"
    waiting = {e["g"] for e in found["edges"] if (e["t"], e["kind"]) == (thing, "waits")}
    assert [found["nodes"][n]["count"] for n in waiting] == [60]
    ln.close()
    for conn in conns:
        conn.close()
