"""How much reports show, and where else they go. (What is printed: tests/conformance/traceback.)"""

from __future__ import annotations

import os

import pytest

import gopark
from gopark._runtime.base import runtime1


@pytest.fixture(autouse=True)
def _as_before():
    yield
    gopark.debug.set_traceback("single")
    gopark.debug.set_crash_output(None)


@pytest.mark.parametrize(
    ("level", "want"),
    [
        ("single", (1, False, False)),
        ("all", (1, True, False)),
        ("system", (2, True, False)),
        ("crash", (2, True, True)),
        ("1", (1, True, False)),
        ("2", (2, True, False)),
        ("none", (1, False, False)),  # GOTRACEBACK, which is not set here, asks for more
        ("0", (1, True, False)),
    ],
)
def test_levels(level, want):
    gopark.debug.set_traceback(level)
    assert runtime1.gotraceback() == want


@pytest.mark.parametrize("level", ["", "loud", "3", "ALL"])
def test_a_level_that_is_none_is_refused_by_name(level):
    with pytest.raises(ValueError, match=r"no level .*; there are none, single, all"):
        gopark.debug.set_traceback(level)
    assert runtime1.gotraceback() == (1, False, False)


@pytest.mark.parametrize(
    ("env", "want"),
    [
        ("none", "(0, False, False) (1, True, False)"),
        ("single", "(1, False, False) (1, True, False)"),
        ("system", "(2, True, False) (2, True, False)"),
        ("crash", "(2, True, True) (2, True, True)"),
        ("what", "(1, False, False) (1, True, False)"),
    ],
)
def test_what_the_environment_asks_for_is_the_least_that_is_shown(child, env, want):
    result = child(
        "import gopark\n"
        "from gopark._runtime.base.runtime1 import gotraceback\n"
        "print(tuple(gotraceback()), end=' ')\n"
        "gopark.debug.set_traceback('all')\n"
        "print(tuple(gotraceback()))\n",
        GOTRACEBACK=env,
    )
    assert (result.stdout.strip(), result.stderr) == (want, "")


def test_the_crash_output_is_a_copy_that_outlives_the_file_and_is_not_inherited(tmp_path):
    path = tmp_path / "crash"
    with path.open("wb") as file:
        gopark.debug.set_crash_output(file)
    assert not os.get_inheritable(runtime1._crashfd)
    runtime1.writecrash("a report\n")
    assert path.read_text() == "a report\n"


def test_a_new_crash_output_takes_the_place_of_the_old_one(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with first.open("wb") as file:
        gopark.debug.set_crash_output(file.fileno())
    before = runtime1._crashfd
    with second.open("wb") as file:
        gopark.debug.set_crash_output(file)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(before)
    runtime1.writecrash("a report\n")
    gopark.debug.set_crash_output(None)
    runtime1.writecrash("another\n")
    assert (first.read_text(), second.read_text()) == ("", "a report\n")


def test_a_crash_output_that_nobody_reads_is_no_matter():
    reader, writer = os.pipe()
    gopark.debug.set_crash_output(writer)
    os.close(reader)
    os.close(writer)
    runtime1.writecrash("a report\n")


@pytest.mark.parametrize("wrong", ["crash.txt", 1.5, object()])
def test_a_crash_output_has_to_be_a_file(wrong):
    with pytest.raises(TypeError, match="file or a descriptor"):
        gopark.debug.set_crash_output(wrong)


def test_a_closed_descriptor_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "crash"
    with path.open("wb") as file:
        gopark.debug.set_crash_output(file)
        closed = file.fileno()
    with pytest.raises(OSError, match="descriptor"):
        gopark.debug.set_crash_output(closed)
    runtime1.writecrash("a report\n")
    assert path.read_text() == "a report\n"
