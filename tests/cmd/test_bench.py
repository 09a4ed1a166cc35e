"""`gopark bench`: the lines are those of Go's benchmarks."""

from __future__ import annotations

import re

import pytest

import gopark
from gopark._cmd import _bench
from harness import run_python

LINE = re.compile(r"Benchmark(\w+)(-\d+)? *\t +(\d+)\t +(\d+(?:\.\d)?) ns/op")


def bench(*args, **env):
    return run_python(["-m", "gopark", "bench", "--benchtime", "0.001", *args], env=env)


def test_head_lines_and_end():
    ended = bench(GOMAXPROCS="1")
    assert (ended.stderr, ended.status) == ("", 0)
    lines = ended.stdout.splitlines()
    head = [line for line in lines if re.fullmatch(r"[a-z]+: .+", line)]
    assert [line.partition(":")[0] for line in head if not line.startswith("cpu:")] == [
        "goos", "goarch", "pkg", "gopark", "python",
    ]  # fmt: skip
    *results, passed, ok = lines[len(head) :]
    assert [LINE.fullmatch(line)[1] for line in results] == list(_bench.BENCHMARKS)
    assert {LINE.fullmatch(line)[2] for line in results} == {None}
    assert passed == "PASS"
    assert re.fullmatch(r"ok  \tgopark\t\d+\.\d{3}s", ok)


def test_some_of_them_several_times_on_more_than_one_p():
    lines = bench("--count", "2", "Spawn", "BenchmarkMutex", GOMAXPROCS="2").stdout.splitlines()
    results = [match for line in lines if (match := LINE.fullmatch(line))]
    assert [m[1] + m[2] for m in results] == ["Spawn-2"] * 2 + ["Mutex-2"] * 2


def test_one_that_is_not_there():
    ended = bench("Nothing")
    assert ended.status == 1
    assert ended.stderr == (
        "gopark bench: no benchmark Nothing; there are PingPong, Spawn, BufferedChan, Gosched, "
        "Select, Mutex, CgoCall\n"
    )


@pytest.mark.parametrize("name", _bench.BENCHMARKS)
@pytest.mark.parametrize("n", [1, 7])
def test_each_does_what_it_counts_and_ends(name, n):
    assert gopark.run(_bench._timed, _bench.BENCHMARKS[name], n) > 0


def test_n_grows_until_it_takes_as_long_as_asked_for(monkeypatch):
    asked = []

    def run(timed, benchmark, n):
        asked.append(n)
        return n * 0.001

    monkeypatch.setattr(gopark, "run", run)
    n, took = _bench._measure(_bench.BENCHMARKS["Spawn"], 0.5)
    assert took >= 0.5
    assert asked == sorted(asked) == [1, 100, 600]
    assert (n, _bench._round(12345)) == (600, 13000)
