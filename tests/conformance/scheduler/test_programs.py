"""The scheduler, seen from outside: fairness, GOMAXPROCS, goroutines that never give way, exits.

A control group is a file system made for the test, with 8 CPUs and no GIL to it: see `container`.

Go: runtime/proc_test.go, cgroup_linux_test.go, crash_test.go, trace_test.go.
"""

from __future__ import annotations

import functools
import os
import re
import sys

import pytest

import gopark
from gopark._runtime.sched import gomaxprocs as module
from gopark.testing import wait_all_parked
from harness import Ended
from harness import run as run_program

OK = Ended("OK\n", "", 0)


@functools.cache
def prog(name: str) -> Ended:
    """What the program leaves; two rows about one program run it once."""
    return run_program("testprog", name)


# --- counting ----------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestNumGoroutine")
async def test_num_goroutine():
    """As many as a dump has headers; that others started them does not count."""
    assert prog("NumGoroutine") == Ended("", "1\n", 0)
    over = gopark.Chan()

    async def starts(depth):
        if depth:
            gopark.go(starts, depth - 1)
        await over.recv()

    for depth in range(5):
        gopark.go(starts, depth)
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    assert len(re.findall(r"^goroutine \d+ \[", text, re.M)) == 16
    assert text.count(" in goroutine ") == 15
    assert gopark.runtime.num_goroutine() == 16
    over.close()


@pytest.mark.go("runtime/testdata/testprog", "NumGoroutine")
def test_num_goroutine__program():
    assert prog("NumGoroutine").stderr == "1\n"


# --- goroutines that never give way ------------------------------------------------------


@pytest.mark.go("runtime", "TestAsyncPreempt")
@pytest.mark.go("runtime/testdata/testprog", "AsyncPreempt")
def test_async_preempt():
    """With one P three of them compute for ever, and main collects, dumps and ends."""
    assert prog("AsyncPreempt") == OK


@pytest.mark.go("runtime", "TestGCFairness")
@pytest.mark.go("runtime/testdata/testprog", "GCFairness")
def test_gc_fairness():
    assert prog("GCFairness") == OK


@pytest.mark.go("runtime", "TestGCFairness2")
@pytest.mark.go("runtime/testdata/testprog", "GCFairness2")
def test_gc_fairness2():
    assert prog("GCFairness2") == OK


@pytest.mark.go("runtime", "TestTraceSTW")
@pytest.mark.go("runtime/testdata/testprog", "TraceSTW")
def test_trace_stw():
    """A dump and a change of GOMAXPROCS leave a goroutine that computes on its thread."""
    assert prog("TraceSTW") == OK


@pytest.mark.go("runtime", "TestTraceGCSTW")
@pytest.mark.go("runtime/testdata/testprog", "TraceGCSTW")
def test_trace_gcstw():
    """So does a collection."""
    assert prog("TraceGCSTW") == OK


# --- GOMAXPROCS --------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestBigGOMAXPROCS")
def test_big_gomaxprocs():
    ended = run_program("testprog", "NonexistentTest", env={"GOMAXPROCS": "1024"})
    assert ended.stderr.startswith("unknown function: NonexistentTest\n")


@pytest.mark.go("runtime/testdata/testprog", "PrintGOMAXPROCS")
@pytest.mark.parametrize("procs", [None, "1024"])
def test_print_gomaxprocs(procs):
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    want = int(procs) if procs else module.default() if free else 1
    ended = run_program("testprog", "PrintGOMAXPROCS", env={"GOMAXPROCS": procs or ""})
    assert ended == Ended(f"{want}\n", "", 0)


def cgroup(folder, quota: str) -> str:
    """A file system with one control group in it, of that quota for each 100 ms."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/cpu.max": f"{quota} 100000\n",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(folder)


@pytest.fixture
def container(tmp_path, monkeypatch):
    """`container(quota, cpus, **env)`: what GOMAXPROCS is when gopark starts there."""
    before = gopark.runtime.gomaxprocs(), module._custom[:]

    def container(quota, cpus=8, **env):
        monkeypatch.delenv("GOMAXPROCS", raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(module, "_root", cgroup(tmp_path, quota))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        module._custom.clear()
        module._init()
        return gopark.runtime.gomaxprocs()

    yield container
    gopark.runtime.gomaxprocs(before[0])
    module._custom[:] = before[1]


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCS")
def test_cgroup_gomaxprocs(container):
    assert container("300000") == 3
    assert container("300000", GOPARKDEBUG="containermaxprocs=1") == 3
    assert container("300000", GOPARKDEBUG="containermaxprocs=0") == 8


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSNoLimit")
def test_cgroup_gomaxprocs_no_limit(container):
    assert container("max") == 8


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSHigherThanNumCPU")
def test_cgroup_gomaxprocs_higher_than_num_cpu(container):
    assert container("1600000") == 8


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSRound")
def test_cgroup_gomaxprocs_round(container):
    for quota in (200001, 250000, 299999):
        assert container(str(quota)) == 3
    for quota in (50000, 100000, 150000):
        assert container(str(quota)) == 2


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSEnvironment")
def test_cgroup_gomaxprocs_environment(container):
    assert container("200000", GOMAXPROCS="3") == 3


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSSchedAffinity")
def test_cgroup_gomaxprocs_sched_affinity(container):
    assert container("300000", cpus=2) == 2


def in_container(folder, name: str, **env: str) -> Ended:
    """The program among 8 CPUs, without a limit at first."""
    return run_program("testprog", name, env={"TESTPROG_ROOT": cgroup(folder, "max"), **env})


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSSetDefault")
@pytest.mark.parametrize(("setting", "procs"), [("1", 3), ("0", 8)])
def test_cgroup_gomaxprocs_set_default(tmp_path, setting, procs):
    debug = f"containermaxprocs={setting}"
    ended = in_container(tmp_path, "SetLimitThenDefaultGOMAXPROCS", GOPARKDEBUG=debug)
    assert ended == Ended(f"{procs}\n", "", 0)


@pytest.mark.go("runtime/testdata/testprog", "SetLimitThenDefaultGOMAXPROCS")
def test_set_limit_then_default_gomaxprocs(tmp_path):
    """That the number was said at the start does not matter then."""
    ended = in_container(tmp_path, "SetLimitThenDefaultGOMAXPROCS", GOMAXPROCS="5")
    assert ended == Ended("3\n", "", 0)


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSUpdate")
def test_cgroup_gomaxprocs_update(tmp_path):
    assert in_container(tmp_path, "UpdateGOMAXPROCS") == OK


@pytest.mark.go("runtime/testdata/testprog", "UpdateGOMAXPROCS")
def test_update_gomaxprocs(tmp_path):
    """The same among checks of the scheduler at every step."""
    assert in_container(tmp_path, "UpdateGOMAXPROCS", GOPARKDEBUG="checksched=1") == OK


@pytest.mark.go("runtime", "TestCgroupGOMAXPROCSDontUpdate")
def test_cgroup_gomaxprocs_dont_update(tmp_path):
    """It was said at the start."""
    ended = in_container(tmp_path, "DontUpdateGOMAXPROCS", GOMAXPROCS="4")
    assert ended == Ended("OK 4\n", "", 0)


@pytest.mark.go("runtime/testdata/testprog", "DontUpdateGOMAXPROCS")
def test_dont_update_gomaxprocs(tmp_path):
    """It is not to follow changes."""
    ended = in_container(tmp_path, "DontUpdateGOMAXPROCS", GOPARKDEBUG="updatemaxprocs=0")
    assert ended == Ended("OK 8\n", "", 0)


# --- the exit ----------------------------------------------------------------------------

EXITS = {
    "Simple": ("bar\nfoo\n", 0),
    "GoodExit": ("orange\napple\n", 0),
    "BadExit": ("blat\nblub\nblek\nblix\nblog\n", 1),
    "Panicked": ("good\nok\n", 2),
    "Panics": ("good\nok\n", 0),
    "CallsExit": ("good\nok\n", 1),
    "Exit2": ("once\n", 0),
}


@pytest.mark.go("runtime", "TestExitHooks")
@pytest.mark.parametrize("mode", EXITS)
def test_exit_hooks(mode):
    """The last one first, once, however the program ends, and though one of them fails."""
    ended = prog(f"ExitHooks{mode}")
    assert (ended.stdout, ended.status) == EXITS[mode]


@pytest.mark.go("runtime/testdata/testexithooks", "testexithooks")
def test_testexithooks():
    """What they print goes nowhere else, and what one fails with is reported."""
    for mode in "Simple", "GoodExit", "BadExit", "Exit2":
        assert prog(f"ExitHooks{mode}").stderr == ""
    assert "RuntimeError: BADBADBAD\n" in prog("ExitHooksPanics").stderr
