"""The benchmarks run: each side of each workload, with a tiny size, in processes of their own.

No figure is looked at, and nothing here is timed. A peer that is not installed is no failure;
its sides are run wherever it is.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_SIZE = 40

sys.path.append(str(_ROOT))  # they lie beside the package, not in it

from benchmarks import docs, golang, install, table  # noqa: E402
from benchmarks.driver import ChildFailed, chosen, resolve  # noqa: E402
from benchmarks.measure import Sample  # noqa: E402
from benchmarks.names import GROUPS, PEERS  # noqa: E402
from benchmarks.peers import missing  # noqa: E402
from benchmarks.report import Row, Run, as_json, from_json, introduction  # noqa: E402
from benchmarks.workloads import NAMES, load  # noqa: E402

from harness import TIMEOUT  # noqa: E402

_ALL_SIDES = """
import json, sys
from benchmarks.child import leave, measure
name, n, *sides = sys.argv[1:]
print(json.dumps({side: measure(name, side, int(n)) for side in sides}))
leave(sides[-1])
"""


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(_ROOT / "src"), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *args],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def _sides(name: str, peers: set[str]) -> list[str]:
    return [side for side in load(name).sides if side.partition(", ")[0] in peers]


def _check(name: str, sides: list[str]) -> None:
    """Those sides run in one process, each with a figure for each row of the workload."""
    workload = load(name)
    size = min(workload.quick or _SIZE, _SIZE)
    done = _run("-c", _ALL_SIDES, name, str(size), *sides)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or sides[0].partition(", ")[0] not in ("gopark", "asyncio")
    for side, result in json.loads(done.stdout).items():
        if "skipped" in result:
            assert result["skipped"], side
            continue
        assert set(result["rows"]) == {key for key, _, _ in workload.rows}, side
        for sample in result["rows"].values():
            assert set(sample) == {"wall", "cpu"}, side
            assert all(isinstance(value, float) for value in sample.values()), side


# --- the sides --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_our_side_and_that_of_the_standard_library_give_a_figure_for_each_row(name: str) -> None:
    _check(name, _sides(name, {"gopark", "asyncio", "ctypes"}))


def _peers_sides() -> list[Any]:
    """Each peer's workloads; of a peer that is not there, a reason."""
    found = []
    for peer, (module, distribution) in PEERS.items():
        if not module or not distribution:
            continue
        why = missing(peer)
        if peer == "cffi" and importlib.util.find_spec("setuptools") is None:
            why = "cffi's API mode needs setuptools"
        if why:
            found.append(pytest.param(peer, "", id=peer, marks=pytest.mark.skip(f"{peer}: {why}")))
        else:
            found += [(peer, name) for name in NAMES if _sides(name, {peer})]
    return found


@pytest.mark.parametrize(("peer", "name"), _peers_sides())
def test_a_peer_that_is_installed_gives_a_figure_for_each_row(peer: str, name: str) -> None:
    for side in _sides(name, {peer}):  # a process each: several of them can start only once
        _check(name, [side])


def test_the_go_program_builds_and_knows_every_workload_of_the_tables() -> None:
    if why := golang.missing():
        pytest.skip(why)
    if not (os.environ.get("CC") or shutil.which("gcc")):
        pytest.skip("cgo needs gcc")
    for name in NAMES:
        workload = load(name)
        for side in _sides(name, {"Go"}):
            found = workload.sides[side](min(workload.quick or _SIZE, _SIZE))
            rows = {""} if isinstance(found, Sample) else set(found)
            assert rows == {key for key, _, _ in workload.rows}, name


def test_gopark_is_the_first_side_of_every_workload_and_go_is_in_all_of_them() -> None:
    for name in NAMES:
        sides = load(name).sides
        assert next(iter(sides)) == "gopark"
        assert any(side.partition(", ")[0] == "Go" for side in sides), name


def test_every_side_belongs_to_a_peer_and_every_main_row_exists() -> None:
    for name in NAMES:
        workload = load(name)
        assert {side.partition(", ")[0] for side in workload.sides} <= set(PEERS)
        assert set(workload.main) <= {key for key, _, _ in workload.rows}
        assert workload.group in GROUPS


# --- the driver -------------------------------------------------------------------------------


def test_the_driver_writes_json_and_markdown(tmp_path: Path) -> None:
    out = ["--output", str(tmp_path)]
    done = _run("-m", "benchmarks", "--quick", "--only", "giveway", "--sides", "asyncio", *out)
    assert done.returncode == 0, done.stderr
    assert "yield, 10 tasks" in done.stdout
    written = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    (run,) = written["runs"]
    (workload,) = run["workloads"]
    assert {side: len(got["samples"]) for side, got in workload["sides"].items()} == {
        "gopark": 1,
        "asyncio": 1,
    }
    assert "| yield, 10 tasks |" in (tmp_path / "latest.md").read_text(encoding="utf-8")
    shown = _run("-m", "benchmarks", "--show", *out)
    assert shown.returncode == 0, shown.stderr
    assert "yield, 10 tasks" in shown.stdout


@pytest.mark.parametrize(("option", "what"), [("--only", "workload"), ("--sides", "side")])
def test_the_driver_refuses_a_name_it_does_not_know(tmp_path: Path, option: str, what: str) -> None:
    done = _run("-m", "benchmarks", "--quick", option, "nonsense", "--output", str(tmp_path))
    assert done.returncode == 1
    assert f"no {what} named nonsense; there are: " in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_way_of_a_peer_is_asked_for_after_a_comma() -> None:
    sides = ["gopark", "asyncio", "Go", "asyncio, eager tasks", "Go, 2 Ps"]
    assert resolve(["asyncio", "eager tasks", "Go"], sides) == ["asyncio, eager tasks", "Go"]
    with pytest.raises(ChildFailed, match="no side named 2 Ps"):
        resolve(["asyncio", "2 Ps"], sides)
    assert chosen(sides, ["asyncio, eager tasks"], {}) == ["gopark", "asyncio, eager tasks"]
    assert chosen(sides, ["asyncio"], {}) == ["gopark", "asyncio", "asyncio, eager tasks"]
    assert chosen(sides, [], {"Go": "is not installed"}) == [
        "gopark",
        "asyncio",
        "asyncio, eager tasks",
    ]


def test_the_cost_of_the_ways_to_park_is_printed() -> None:
    done = _run("-m", "benchmarks.micro_park")
    assert done.returncode == 0, done.stderr
    assert "list subclass" in done.stdout
    assert "generator" in done.stdout
    assert "primitive yields" in done.stdout


def test_the_cost_of_the_ways_to_lock_is_printed() -> None:
    done = _run("-m", "benchmarks.micro_lock")
    assert done.returncode == 0, done.stderr
    assert "SimpleQueue" in done.stdout
    assert "deque" in done.stdout


def test_the_figures_of_two_checkouts_are_printed_side_by_side() -> None:
    small = ["--only", "giveway", "--processes", "2", "--rounds", "3"]
    done = _run("-m", "benchmarks.pairs", str(_ROOT), *small)
    assert done.returncode == 0, done.stderr
    assert "one P" in done.stdout
    name, *figures = done.stdout.splitlines()[-1].replace("to", "").split()
    assert name == "giveway"
    assert len([float(each) for each in figures]) == 6


def test_the_cost_of_a_search_for_leaks_is_printed() -> None:
    done = _run("-m", "benchmarks.micro_leaks", "1000")
    assert done.returncode == 0, done.stderr
    assert "1,000 goroutines wait, 100 more have leaked" in done.stdout
    assert "longest moment" in done.stdout


def test_the_cost_of_a_trace_is_printed() -> None:
    done = _run("-m", "benchmarks.trace_overhead", "--rounds", "2", "-n", "100")
    assert done.returncode == 0, done.stderr
    assert "median of pairs" in done.stdout
    assert "bytes for each run of a goroutine" in done.stdout


def test_each_requirement_of_the_extras_is_installed_by_itself() -> None:
    found = install.requirements()
    assert {name for _, name in PEERS.values() if name} <= {
        requirement.partition(">")[0] for requirement in found
    }


# --- the tables, of made-up samples -----------------------------------------------------------

_FACTS = {
    "date": "2001-02-03",
    "machine": "abacus",
    "system": "Linux 1.0",
    "cores": 7,
    "clock": "wall",
    "rounds": 3,
    "quick": False,
}


def _samples(*walls: float) -> list[dict[str, float]]:
    return [{"wall": wall, "cpu": wall / 2} for wall in walls]


def _made_up() -> Run:
    spin = Row("spin", "", "spinning", "µs", 10, "tasks", True)
    spin.samples = {
        "gopark": _samples(2.0, 4.0, 3.0),
        "asyncio": _samples(6.0, 8.0, 9.0),
        "Go": _samples(0.5, 0.5, 0.5),
        "asyncio, eager tasks": _samples(1.0),
        "gopark, 2 Ps": _samples(5.0, 5.0, 5.0),
        "Go, 2 Ps": _samples(0.25, 0.25, 0.25),
    }
    spin.skipped = {"trio": "cannot spin"}
    late = [Row("late", key, f"late, {key}", "ms", 10, "blocking") for key in ("p50", "p99")]
    for row in late:
        row.samples = {
            "gopark": _samples(1.0),
            "gevent": _samples(1234.5),
            "gevent, own wrapper": _samples(0.5),
        }
        row.notes = {"gevent": "importing it turns the GIL on"}
    about: dict[str, Any] = {
        "implementation": "CPython",
        "version": "3.99.0",
        "free_threaded": True,
        "peers": {"gopark": "0.1", "asyncio": "3.99.0", "gevent": "1.0", "Go": "1.0", "cffi": "1"},
        "absent": {"TonIO": "is on holiday"},
    }
    return Run(about, [spin, *late])


def _line(page: str, start: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_cell_has_the_median_and_the_median_of_the_ratios_of_the_rounds() -> None:
    page = table.markdown([_made_up()], _FACTS)
    assert _line(page, "Tasks and channels") == ["gopark", "asyncio", "Go"]
    # ratios of the rounds: 3, 2 and 3
    assert _line(page, "spinning") == ["3.00 µs", "8.00 (3.0x)", "**0.50 (0.17x)**"]


def test_the_other_clock_gives_the_other_figures() -> None:
    page = table.markdown([_made_up()], {**_FACTS, "clock": "cpu"})
    assert _line(page, "spinning")[0] == "1.50 µs"


def test_another_way_has_a_line_of_its_own_and_is_compared_with_gopark_in_that_way() -> None:
    page = table.markdown([_made_up()], _FACTS)
    assert _line(page, "- eager tasks") == ['"', "**1.00 (0.50x)**", "-"]
    assert _line(page, "- 2 Ps") == ["5.00 µs", "-", "**0.25 (0.05x)**"]


def test_several_figures_of_one_workload_stand_together_before_its_other_ways() -> None:
    page = table.markdown([_made_up()], _FACTS)
    titles = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| late")]
    assert titles == ["late, p50", "late, p99"]
    assert _line(page, "late, p99") == ["1.00 ms", "1,234 (1,234x)"]
    assert _line(page, "- own wrapper, p99") == ['"', "**0.50 (0.50x)**"]


def test_what_was_not_measured_is_said_once_with_the_reason() -> None:
    page = table.markdown([_made_up()], _FACTS)
    assert page.count("TonIO: is on holiday") == 1
    assert page.count("trio (spin): cannot spin") == 1
    assert page.count("gevent (late): importing it turns the GIL on") == 1


def test_the_page_says_when_where_and_with_which_versions() -> None:
    page = table.markdown([_made_up()], _FACTS)
    for fact in ("2001-02-03", "abacus", "7 cores", "Linux 1.0", "3 interleaved rounds"):
        assert fact in introduction(_FACTS)
        assert fact in page
    assert "## CPython 3.99.0, free-threaded" in page
    assert "With gopark 0.1, gevent 1.0, Go 1.0." in page
    assert "Quick sizes" not in page
    assert "Quick sizes" in introduction({**_FACTS, "quick": True})


def test_the_short_table_has_the_main_rows_only() -> None:
    page = table.markdown([_made_up()], _FACTS, main=True)
    assert "| spinning |" in page
    assert "late" not in page.partition("CPython 3.99.0")[2]


def test_the_terminal_shows_the_same_lines_without_markup() -> None:
    shown = table.terminal(_made_up(), "wall")
    assert "0.50 (0.17x)" in shown
    assert "**" not in shown
    assert "TonIO: is on holiday" in shown


def test_a_row_without_gopark_shows_the_figures_of_the_others() -> None:
    run = _made_up()
    del run.rows[0].samples["gopark"]
    page = table.markdown([run], _FACTS)
    assert _line(page, "spinning") == ["-", "8.00", "0.50"]


def test_json_keeps_every_sample_and_gives_the_same_tables_back() -> None:
    run = _made_up()
    data = json.loads(json.dumps(as_json([run], _FACTS)))
    (spin, *_) = data["runs"][0]["workloads"]
    assert spin["sides"]["gopark"]["median"] == {"wall": 3.0, "cpu": 1.5}
    runs, facts = from_json(copy.deepcopy(data))
    assert facts == _FACTS
    assert table.markdown(runs, facts) == table.markdown([run], _FACTS)


# --- pages and pictures -----------------------------------------------------------------------

_PAGE = "before\n<!-- benchmarks: tables go here -->\nold\n<!-- benchmarks: end -->\nafter\n"


def test_fresh_tables_replace_what_is_between_the_markers_and_nothing_else() -> None:
    fresh = docs.between_markers(_PAGE, "new \\1 text\n")
    assert fresh == _PAGE.replace("old", "new \\1 text")
    assert docs.between_markers(fresh, "old") == _PAGE


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    assert docs.between_markers("no markers", "text") is None
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "performance.md").write_text(_PAGE)
    (tmp_path / "README.md").write_text("no markers")
    assert docs.write(tmp_path, [_made_up()], _FACTS) == ["docs/performance.md"]
    assert "| spinning |" in (tmp_path / "docs" / "performance.md").read_text()
    assert (tmp_path / "README.md").read_text() == "no markers"


def test_the_page_of_this_project_has_the_markers() -> None:
    page = (_ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert docs.between_markers(page, "text") is not None


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_picture_is_drawn(tmp_path: Path, suffix: str) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    source, target = tmp_path / "latest.json", tmp_path / f"bars.{suffix}"
    source.write_text(json.dumps(as_json([_made_up()], _FACTS)))
    done = _run("-m", "benchmarks.picture", str(target), str(source))
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 1000


def test_the_bars_of_a_panel_are_gopark_the_plain_ways_then_the_others() -> None:
    from benchmarks.picture import bars

    row = _made_up().rows[0]
    assert bars(row, "wall") == [
        ("gopark", 3.0),
        ("asyncio", 8.0),
        ("Go", 0.5),
        ("gopark, 2 Ps", 5.0),
        ("asyncio, eager tasks", 1.0),
        ("Go, 2 Ps", 0.25),
    ]
