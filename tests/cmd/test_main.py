"""The command line as a whole: help, versions, what is wrong with it."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys

import pytest

import gopark
import harness
from gopark._cmd import main
from harness import run_python

COMMANDS = ["run", "dump", "top", "bench", "worker", "workqueue", "version"]


def test_help_names_every_command_with_examples():
    ended = run_python(["-m", "gopark", "--help"])
    assert (ended.stderr, ended.status) == ("", 0)
    assert all(re.search(rf"^    {name}(?: |$)", ended.stdout, re.M) for name in COMMANDS)
    assert "examples:\n  gopark run prog.py" in ended.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_that_fits_a_terminal(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.startswith(f"usage: gopark {name} ")
    assert max(map(len, text.splitlines())) <= 100
    assert name == "version" or f"examples:\n  gopark {name}" in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["go"], "invalid choice: 'go'"),
        (["dump"], "the following arguments are required: PID"),
        (["dump", "0"], "'0' is not the number of a process"),
        (["top", "--interval", "0", "1"], "'0' is not a number of seconds above 0"),
        (["top", "--interval", "soon", "1"], "'soon' is not a number of seconds above 0"),
        (["bench", "--count", "-1"], "'-1' is not a number above 0"),
    ],
)
def test_a_wrong_command_line_is_status_2(args, says, capsys):
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_version(capsys):
    assert main(["version"]) == 0
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert first.startswith(f"gopark {gopark.__version__} {sys.platform}/")
    assert second.startswith(f"CPython {platform.python_version()}, ")
    assert third == platform.platform()
    assert re.fullmatch(r"GOMAXPROCS \d+, \d+ CPUs?", fourth)


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no SIGPIPE here")
def test_whose_reader_has_gone_ends_by_sigpipe_and_without_a_word():
    process = subprocess.Popen(
        [sys.executable, "-m", "gopark", "bench", "--benchtime", "0.001", "--count", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=harness._environment({}),
    )
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(harness.TIMEOUT) == -signal.SIGPIPE


def test_the_console_script_is_the_same():
    tomllib = pytest.importorskip("tomllib")
    file = harness.TESTDATA.parent.parent / "pyproject.toml"
    assert tomllib.loads(file.read_text())["project"]["scripts"] == {"gopark": "gopark._cmd:main"}
