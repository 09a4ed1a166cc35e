"""The benchmarks run: each side of each workload, with a tiny size, in a process of its own.

No figure is looked at. Nothing here is timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_SIZE = 40

sys.path.append(str(_ROOT))  # they lie beside the package, not in it

from benchmarks.workloads import NAMES, load  # noqa: E402

_SIDES = [(name, side) for name in NAMES for side in load(name).sides]


def _run(module: str, *args: str) -> str:
    path = os.pathsep.join(filter(None, (str(_ROOT / "src"), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", module, *args],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or module == "benchmarks"
    return done.stdout


@pytest.mark.parametrize(("name", "side"), _SIDES)
def test_a_workload_runs_and_prints_its_sample_as_json(name: str, side: str) -> None:
    sample = json.loads(_run("benchmarks.child", name, side, str(_SIZE)))
    if "skipped" in sample:
        assert sample["skipped"]
        pytest.skip(sample["skipped"])
    assert set(sample) == {"wall", "cpu"}
    assert all(isinstance(value, float) for value in sample.values())


def test_gopark_is_the_first_side_of_every_workload() -> None:
    assert all(next(iter(load(name).sides)) == "gopark" for name in NAMES)


def test_the_driver_writes_json_and_markdown(tmp_path: Path) -> None:
    out = _run("benchmarks", "--quick", "--only", "giveway", "--output", str(tmp_path))
    assert "yield, 10 tasks" in out
    written = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    (run,) = written["runs"]
    (workload,) = run["workloads"]
    assert {side: len(got["samples"]) for side, got in workload["sides"].items()} == {
        "gopark": 1,
        "asyncio": 1,
    }
    assert "| yield, 10 tasks | µs |" in (tmp_path / "latest.md").read_text(encoding="utf-8")


def test_the_driver_refuses_a_workload_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no workload named nonsense"):
        _run("benchmarks", "--only", "nonsense", "--output", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_cost_of_the_ways_to_park_is_printed() -> None:
    out = _run("benchmarks.micro_park")
    assert "list subclass" in out
    assert "generator" in out
