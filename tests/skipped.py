"""Which tests are skipped, held against tests/expected_skips.txt.

Part of every run where the environment has GOPARK_WITHOUT, the words for what is missing here,
which may be none: then a skip that the list does not expect is printed, and fails the run.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
import sys
import sysconfig
from typing import Any, NamedTuple

import pytest

__all__ = ("FILE", "Expected", "Skips", "plugin", "read")

FILE = pathlib.Path(__file__).with_name("expected_skips.txt")


class Expected(NamedTuple):
    """One line of the list."""

    when: str
    tests: str
    reason: str

    def holds(self, without: set[str], version: tuple[int, int], free_threaded: bool) -> bool:
        """Whether this is such an interpreter, or such a machine."""
        match self.when.split():
            case ["before", number]:
                return version < _version(number)
            case ["from", number]:
                return version >= _version(number)
            case ["gil"]:
                return not free_threaded
            case ["free-threaded"]:
                return free_threaded
            case ["without", name]:
                return name in without
        raise ValueError(f"{FILE.name}: {self.when!r} is none of the conditions at its top")

    def fits(self, test: str, reason: str) -> bool:
        """Whether this skip is meant."""
        return fnmatch.fnmatchcase(test, self.tests) and reason.startswith(self.reason)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def read(text: str) -> list[Expected]:
    """The lines of the list, without comments."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [Expected(*(part.strip() for part in line.split("|"))) for line in lines]


class Skips:
    """The plugin of pytest's that looks; of the one process that hears of all tests."""

    def __init__(self, without: str) -> None:
        here = (
            set(without.split()),
            sys.version_info[:2],
            bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        )
        lines = read(FILE.read_text(encoding="utf-8"))
        self._expected = [line for line in lines if line.holds(*here)]
        self._unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._look(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._look(report)

    def _look(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        assert isinstance(report.longrepr, tuple)
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(line.fits(report.nodeid, reason) for line in self._expected):
            self._unexpected.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._unexpected:
            terminalreporter.section("skipped, and not expected to be", red=True)
            for line in self._unexpected:
                terminalreporter.line(line)
            terminalreporter.line(f"Install what they need, or say in {FILE.name} why not.")


def plugin() -> Skips | None:
    """None where nobody asked."""
    without = os.environ.get("GOPARK_WITHOUT")
    return None if without is None else Skips(without)
