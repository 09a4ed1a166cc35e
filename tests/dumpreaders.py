"""The readers of Go's dumps, built from their sources: gostackparse, goleak and panicparse.

Their sources come from the folder GOPARK_DUMP_READERS (gostackparse/, goleak/, panicparse/, each
a copy of its repository at the version below), else from the Go module cache or proxy.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from typing import NamedTuple

import pytest

from gotool import go_tool
from harness import TESTDATA, built_once

__all__ = ("VERSIONS", "Found", "go_dump", "read")

# What is copied of each: panicparse's command and goleak's own API are not needed.
VERSIONS = {
    "gostackparse": ("github.com/DataDog/gostackparse", "v0.7.0", "."),
    "goleak": ("go.uber.org/goleak", "v1.3.0", "internal/stack"),
    "panicparse": ("github.com/maruel/panicparse/v2", "v2.5.0", "stack"),
}
_PARSE = """package stack

import "io"

// Parse is what goleak does with the text of runtime.Stack.
func Parse(r io.Reader) ([]Stack, error) { return newStackParser(r).Parse() }
"""


class Found(NamedTuple):
    """What one reader has made of a dump."""

    functions: dict[int, str]  # the first one, by the number of the goroutine
    errors: list[str]


def read(dump: str) -> dict[str, Found]:
    """The dump as each reader has it."""
    done = subprocess.run([_reader()], input=dump, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {name: Found({}, []) for name in VERSIONS}
    for line in done.stdout.splitlines():
        who, what, *rest = line.split("\t")
        if what == "error":
            found[who].errors.append(rest[0])
        else:
            found[who].functions[int(what)] = rest[1]
    return found


def go_dump() -> str:
    """A dump of Go's own, in which a goroutine has 150 frames."""
    done = subprocess.run([_reader(), "own"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _reader() -> pathlib.Path:
    go = go_tool()
    with built_once("dumpreaders.exe") as (target, missing):
        if missing:
            module = target.with_suffix(".module")
            shutil.rmtree(module, ignore_errors=True)
            shutil.copytree(TESTDATA / "dumpreaders", module)
            (module / "go.mod").write_text("module readers\n\ngo 1.21\n")
            for name, (path, version, part) in VERSIONS.items():
                source = _source(go, name, path, version) / part
                (module / name).mkdir()
                for file in source.glob("*.go"):
                    if not file.name.endswith(("_test.go", "regen.go", "fuzz.go")):
                        shutil.copy(file, module / name)
            (module / "goleak/parse.go").write_text(_PARSE)
            env = _env(GO111MODULE="on", CGO_ENABLED="0")
            command = [go, "build", "-o", str(target), "."]
            done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=module)
            assert done.returncode == 0, done.stderr
    return target


def _env(**more: str) -> dict[str, str]:
    return dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GOSUMDB="off", **more)


def _source(go: str, name: str, path: str, version: str) -> pathlib.Path:
    given = os.environ.get("GOPARK_DUMP_READERS")
    if given:
        return pathlib.Path(given) / name
    command = [go, "mod", "download", "-json", f"{path}@{version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_env(), timeout=120)
        return pathlib.Path(json.loads(done.stdout)["Dir"])
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return pytest.skip(f"{path} {version} is not in reach (set GOPARK_DUMP_READERS)")
