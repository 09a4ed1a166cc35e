"""Processes that send to a queue, and that work for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "testdata" / "workqueue"
SRC = Path(__file__).resolve().parents[1] / "src"
_begun: list[subprocess.Popen[str]] = []


def start(program: str, *args: object) -> subprocess.Popen[str]:
    """One of the programs in testdata/workqueue, once it has opened its queue."""
    process = launch(program, *args)
    assert process.stdout is not None
    said = process.stdout.readline()
    if said != "open\n":
        raise RuntimeError(f"{program} does not begin: {said}{process.communicate()[1]}")
    return process


def launch(program: str, *args: object) -> subprocess.Popen[str]:
    return python("-X", "dev", str(PROGRAMS / program), *map(str, args))


def python(*args: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(SRC), **env},
    )
    _begun.append(process)
    return process


def kill_all() -> None:
    """Those that a test which failed has left, and their pipes."""
    while _begun:
        with _begun.pop() as process:
            process.kill()


def ended(process: subprocess.Popen[str]) -> None:
    """It ends by itself, and well."""
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), out + err


def numbers(path: Path) -> list[int]:
    """What was written down; a line that is cut off does not count."""
    if not path.exists():
        return []
    return [int(line) for line in path.read_text().split("\n")[:-1]]
