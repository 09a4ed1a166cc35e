"""Programs about who runs when, and on how many Ps.

Go: testprog/numgoroutine.go, preempt.go, gc.go, gomaxprocs.go.
"""

import gc
import os
import pathlib
import sys
import threading

import gopark
from gopark._runtime.sched import gomaxprocs, sysmon
from registry import register


@register("NumGoroutine")
async def num_goroutine() -> None:
    print(gopark.runtime.num_goroutine(), file=sys.stderr)


# --- goroutines that never give way ------------------------------------------------------


@register("AsyncPreempt")
async def async_preempt() -> None:
    gopark.runtime.gomaxprocs(1)
    started = []

    def nothing() -> None:
        pass

    async def calls() -> None:
        started.append("calls")
        while True:
            nothing()

    async def computes() -> None:
        started.append("computes")
        a = 1
        while True:
            a = a * 1103515245 + 12345 & 0x7FFFFFFF

    async def spins() -> None:
        started.append("spins")
        while True:
            pass

    for loop in calls, computes, spins:
        gopark.go(loop)
    while len(started) < 3:
        await gopark.gosched()
    gc.collect()
    assert gopark.runtime.stack(all=True).count("goroutine ") >= 4
    print("OK")


@register("GCFairness")
async def gc_fairness() -> None:
    gopark.runtime.gomaxprocs(1)

    async def writes() -> None:
        with open(os.devnull, "wb", buffering=0) as null:
            while True:
                null.write(b".")

    for _ in range(2):
        gopark.go(writes)
    await gopark.time.sleep(0.01)
    print("OK")


@register("GCFairness2")
async def gc_fairness_2() -> None:
    gopark.runtime.gomaxprocs(1)
    gc.set_threshold(50)  # several collections for each turn of a loop
    count = [0, 0, 0]

    async def allocates(i: int) -> None:
        while True:
            cycle: list[object] = [[] for _ in range(100)]
            cycle.append(cycle)
            count[i] += 1

    for i in range(3):
        gopark.go(allocates, i)
    while not all(count):  # each gets its turn
        await gopark.time.sleep(0.01)
    print("OK")


# --- GOMAXPROCS --------------------------------------------------------------------------


@register("PrintGOMAXPROCS")
async def print_gomaxprocs() -> None:
    print(gopark.runtime.gomaxprocs())


def contained() -> pathlib.Path:
    """From here on the process has 8 CPUs, no GIL, and is in the control group of the test.

    gopark reads all that once more, as it does at the start. Returns cpu.max.
    """
    root = os.environ["TESTPROG_ROOT"]
    os.sched_getaffinity = lambda _: set(range(8))
    sys._is_gil_enabled = lambda: False  # type: ignore[attr-defined]
    gomaxprocs._root = root
    gomaxprocs._init()
    return pathlib.Path(root, "sys/fs/cgroup/cpu.max")


def limit(cpumax: pathlib.Path, quota: str) -> None:
    """At one moment, as the kernel's file changes: an empty one would be no limit."""
    new = cpumax.with_suffix(".new")
    new.write_text(f"{quota} 100000")
    new.replace(cpumax)


@register("SetLimitThenDefaultGOMAXPROCS", run=False)
def set_limit_then_default_gomaxprocs() -> None:
    cpumax = contained()

    async def main() -> None:
        limit(cpumax, "300000")
        gopark.runtime.set_default_gomaxprocs()
        print(gopark.runtime.gomaxprocs())

    gopark.run(main)


async def changes(before: int, after: int) -> None:
    """Wait for this change, and see no other."""
    while (procs := gopark.runtime.gomaxprocs()) != after:
        assert procs == before, f"got {procs}, want {after}"
        await gopark.time.sleep(0.01)


async def stays(procs: int) -> None:
    """Ten times as long as a change takes to be seen."""
    for _ in range(20):
        assert gopark.runtime.gomaxprocs() == procs
        await gopark.time.sleep(0.01)


@register("UpdateGOMAXPROCS", run=False)
def update_gomaxprocs() -> None:
    cpumax = contained()
    sysmon._PROCS = 0.02  # type: ignore[misc] # not a second, or this would take several

    async def main() -> None:
        assert gopark.runtime.gomaxprocs() == 8
        before = 8
        for quota, after in (("300000", 3), ("100000", 2), ("300000", 3), ("max", 8)):
            limit(cpumax, quota)
            await changes(before, after)
            before = after
        gopark.runtime.gomaxprocs(3)  # and from now on it stays
        limit(cpumax, "200000")
        await stays(3)
        gopark.runtime.set_default_gomaxprocs()
        assert gopark.runtime.gomaxprocs() == 2
        gopark.runtime.gomaxprocs(gopark.runtime.gomaxprocs())  # no change, but said
        limit(cpumax, "300000")
        await stays(2)
        print("OK")

    gopark.run(main)


@register("DontUpdateGOMAXPROCS", run=False)
def dont_update_gomaxprocs() -> None:
    cpumax = contained()
    sysmon._PROCS = 0.02  # type: ignore[misc]

    async def main() -> None:
        procs = gopark.runtime.gomaxprocs()
        limit(cpumax, "300000")
        await stays(procs)
        print("OK", procs)

    gopark.run(main)


# --- a goroutine and its thread ----------------------------------------------------------


async def across(procs: int, stop: object) -> None:
    """Two goroutines compute for ever; whatever stops others moves neither to another thread."""
    gopark.runtime.gomaxprocs(procs)
    threads: list[set[int]] = [set(), set()]
    turns = [0, 0]

    async def computes(i: int) -> None:
        while True:
            threads[i].add(threading.get_ident())
            turns[i] += 1

    for i in range(2):
        gopark.go(computes, i)
    for _ in range(10):
        seen = turns[:]
        while not all(n > m for n, m in zip(turns, seen, strict=True)):
            await gopark.time.sleep(0.0001)
        stop()  # type: ignore[operator]
    assert [len(idents) for idents in threads] == [1, 1], threads
    print("OK")


@register("TraceSTW")
async def trace_stw() -> None:
    def stop() -> None:
        procs = gopark.runtime.gomaxprocs()
        gopark.runtime.gomaxprocs(procs + 1)
        gopark.runtime.gomaxprocs(procs)
        gopark.runtime.stack(all=True)

    await across(4, stop)


@register("TraceGCSTW")
async def trace_gcstw() -> None:
    await across(8, gc.collect)
