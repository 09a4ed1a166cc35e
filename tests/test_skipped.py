"""A skip that nobody expects fails the run."""

from __future__ import annotations

import os

import pytest

from skipped import FILE, Expected, read

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no {}")
def test_skipped():
    pass
"""

CONFTEST = """
import skipped

def pytest_configure(config):
    config.pluginmanager.register(skipped.plugin())
"""


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("before 3.14", True),
        ("before 3.13", False),
        ("from 3.13", True),
        ("from 3.14", False),
        ("gil", False),
        ("free-threaded", True),
        ("without go", True),
        ("without rust", False),
    ],
)
def test_when_a_line_counts(when, holds):
    assert Expected(when, "*", "").holds({"go"}, (3, 13), True) is holds


def test_which_skips_a_line_means():
    line = Expected("gil", "tests/a.py::*", "no wheel")
    assert line.fits("tests/a.py::test[1]", "no wheel for this")
    assert not line.fits("tests/b.py::test", "no wheel for this")
    assert not line.fits("tests/a.py::test", "for no wheel")


def test_every_line_of_the_list_is_one():
    lines = read(FILE.read_text(encoding="utf-8"))
    assert lines
    for line in lines:
        line.holds(set(), (3, 11), False)
        file = line.tests.partition("::")[0]
        assert line.tests == "*" or (FILE.parents[1] / file).is_file(), line


def test_a_line_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="'sometimes' is none of the conditions"):
        Expected("sometimes", "*", "").holds(set(), (3, 13), False)


@pytest.mark.parametrize(
    ("what", "without", "status"), [("luck", "", 1), ("C compiler", "compiler", 0)]
)
def test_a_skip_fails_the_run_unless_it_is_expected(pytester, monkeypatch, what, without, status):
    monkeypatch.setenv("GOPARK_WITHOUT", without)
    monkeypatch.setenv("PYTHONPATH", str(FILE.parent), prepend=os.pathsep)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS.format(what))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == status
    line = f"*test_skipped: no {what}"
    if status:
        result.stdout.fnmatch_lines(["*skipped, and not expected to be*", line])
    else:
        result.stdout.no_fnmatch_line(line)
