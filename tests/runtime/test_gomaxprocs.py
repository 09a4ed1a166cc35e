"""How many Ps there are, by default and after a change."""

from __future__ import annotations

import os
import sys

import pytest

import gopark
from gopark import Chan
from gopark._runtime import gomaxprocs as module
from gopark._runtime import runtime2

PRINT = "import gopark; print(gopark.runtime.gomaxprocs())"


@pytest.fixture
def restored():
    before = gopark.runtime.gomaxprocs()
    yield
    gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("restored")
def test_gomaxprocs_returns_the_number_before_and_zero_only_asks():
    """Go: runtime.GOMAXPROCS(0)."""
    gopark.runtime.gomaxprocs(3)
    assert gopark.runtime.gomaxprocs() == 3
    assert gopark.runtime.gomaxprocs(5) == 3
    assert gopark.runtime.gomaxprocs(0) == 5
    assert gopark.runtime.gomaxprocs(-1) == 5
    assert gopark.runtime.gomaxprocs() == 5


@pytest.mark.parametrize("wrong", [1.0, "2", None, True])
def test_a_number_that_is_no_integer_is_refused(wrong):
    with pytest.raises(TypeError, match="integer"):
        gopark.runtime.gomaxprocs(wrong)


def test_too_many_are_refused():
    before = gopark.runtime.gomaxprocs()
    with pytest.raises(ValueError, match="at most 1024"):
        gopark.runtime.gomaxprocs(1025)
    assert gopark.runtime.gomaxprocs() == before


def test_the_default_is_one_under_the_gil_else_the_usable_cpus(child):
    result = child(PRINT, GOMAXPROCS="")
    free = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()
    expected = 1
    if free:
        quota = module._cgroup_quota()
        expected = max(1, min(gopark.runtime.num_cpu(), quota or gopark.runtime.num_cpu()))
    assert int(result.stdout) == expected


@pytest.mark.parametrize(("text", "procs"), [("3", 3), ("1024", 1024)])
def test_the_environment_variable_wins(child, text, procs):
    """Go: GOMAXPROCS."""
    assert int(child(PRINT, GOMAXPROCS=text).stdout) == procs


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "99999", " "])
def test_an_environment_variable_that_makes_no_sense_is_ignored(child, text):
    assert child(PRINT, GOMAXPROCS=text).stdout == child(PRINT, GOMAXPROCS="").stdout


def test_num_cpu_counts_the_cpus_of_this_process():
    """Go: TestNumCPU, affinity counted."""
    assert gopark.runtime.num_cpu() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", 0), ("150000 100000", 2), ("400000 100000", 4), ("10000 100000", 2)],
)
def test_the_cgroup_quota_is_rounded_up_and_at_least_two(monkeypatch, tmp_path, text, expected):
    """Go: adjustCgroupGOMAXPROCS."""
    file = tmp_path / "cpu.max"
    file.write_text(text + "\n")
    real_open = open

    def fake_open(path, *args):
        if path == "/sys/fs/cgroup/cpu.max":
            return real_open(file, *args)
        raise FileNotFoundError(path)

    monkeypatch.setattr(module, "open", fake_open, raising=False)
    assert module._cgroup_quota() == expected


@pytest.mark.usefixtures("restored")
async def test_a_change_takes_effect_in_a_running_program_and_loses_nobody():
    """Go: TestGomaxprocs, procresize."""
    done, stop = Chan(), []
    sched = runtime2.getg().m.sched

    async def worker():
        while not stop:
            await gopark.gosched()
        await done.send(None)

    for _ in range(20):
        gopark.go(worker)
    for n in (4, 1, 8, 2, 1, 16, 3):
        gopark.runtime.gomaxprocs(n)
        assert len(sched.allp) == n
        for _ in range(30):
            await gopark.gosched()
    stop.append(True)
    for _ in range(20):
        await done.recv()
    assert gopark.runtime.num_goroutine() <= 21


@pytest.mark.usefixtures("restored")
async def test_the_goroutine_that_shrinks_its_own_p_away_goes_on():
    gopark.runtime.gomaxprocs(8)
    done = Chan()

    async def shrinker():
        gopark.runtime.gomaxprocs(1)
        await gopark.gosched()
        await done.send("went on")

    for _ in range(8):
        gopark.go(gopark.gosched)
    gopark.go(shrinker)
    assert await done.recv() == "went on"
