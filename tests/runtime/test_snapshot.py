"""The numbers of a moment: they agree with each other and with what was started."""

from __future__ import annotations

import json
import threading

import gopark
from gopark._runtime.sched import snapshot as module
from gopark._runtime.sched.snapshot import snapshot


async def waits(ch):
    await ch.recv()


async def sends(ch):
    await ch.send(1)


async def _started(n):
    ch = gopark.Chan()
    full = gopark.Chan()
    for _ in range(n):
        gopark.go(waits, ch)
    gopark.go(sends, full)
    await gopark.testing.wait_all_parked()
    return ch, full


async def test_goroutines_by_state_and_by_stack(procs):
    ch, full = await _started(5)
    seen = json.loads(json.dumps(snapshot()))
    assert seen["goroutines"] == 7
    assert seen["states"] == [["chan receive", 5], ["running", 1], ["chan send", 1]]
    first, *others = seen["groups"]
    count, goid, what, stack = first
    assert (count, what) == (5, "chan receive")
    assert ".waits(...)\n" in stack
    assert "in goroutine" not in stack  # who started them is told by the line alone
    assert goid == min(g[1] for g in [first, *others] if g[1] != 1)
    assert sorted(g[0] for g in others) == [1, 1]
    ch.close()
    await full.recv()


async def test_ps_and_ms(procs):
    seen = snapshot()
    assert [p[0] for p in seen["ps"]] == list(range(procs))
    (m,) = (m for m in seen["ms"] if m[4] == 1)
    mid, _, state, pid, _ = m
    assert (state, seen["ps"][pid][1:3]) == ("running", ["running", mid])


async def test_of_very_many_only_the_first_are_grouped(monkeypatch):
    monkeypatch.setattr(module, "_MANY", 3)
    ch, full = await _started(5)
    seen = snapshot()
    assert sum(group[0] for group in seen["groups"]) == 3
    assert (seen["goroutines"], seen["ungrouped"]) == (7, 4)
    ch.close()
    await full.recv()


async def test_a_goroutine_in_c_and_one_asleep_on_its_thread(run):
    def calls(r):
        gopark.cgo.call(r.acquire)

    blocked = threading.Lock()
    blocked.acquire()
    ch = gopark.Chan()
    gopark.go(calls, blocked)
    gopark.go(lambda: gopark.block(ch.recv()))
    while sorted(m[2] for m in snapshot()["ms"] if m[4] not in (None, 1)) != ["asleep", "in C"]:
        await gopark.time.sleep(0.001)
    blocked.release()
    ch.close()


def test_without_a_program_there_is_nothing():
    seen = snapshot()
    assert (seen["goroutines"], seen["states"], seen["groups"]) == (0, [], [])
