"""Compile the twin of the hot path where that can be done; a pure wheel is built where not.

hatchling calls `Twin.initialize` for each wheel. By hand, in place or in some folder:

    python hatch_build.py
    python hatch_build.py FOLDER -O1 -g -fsanitize=address,undefined    # what `make sanitize` does

`GOPARK_BUILD_TWIN=1` makes it an error that there is no compiler (or that it fails), `0` builds a
pure wheel whatever there is. An editable install stays as it is; `make twin` builds in place.
Invariant: what is built is one extension module, for the interpreter that builds it.
Source: none. Tests: tests/test_packaging.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand, without hatchling
    BuildHookInterface = object

ROOT = Path(__file__).parent
FOLDER = "src/gopark/_runtime/_twin"
WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
)


def compiler() -> str:
    return os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]


def unsuited() -> str:
    """Why this interpreter has no twin, so far; empty if it has."""
    if sys.implementation.name != "cpython":
        return f"the twin is for CPython, and this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the twin is for builds with the GIL, so far"
    return ""


def build(folder: Path, options: tuple[str, ...] = ("-O3",)) -> Path:
    """The extension module, compiled into `folder`.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: it has failed; `stderr` says why.
    """
    made = folder / f"native{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [compiler(), "-std=c11", *options, "-fPIC", "-shared", "-fno-strict-aliasing"]
    command += [*WARNINGS, "-isystem", sysconfig.get_path("include")]
    command += [str(ROOT / FOLDER / "module.c"), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return made


class Twin(BuildHookInterface):  # type: ignore[misc]
    """The hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        want = os.environ.get("GOPARK_BUILD_TWIN", "")
        if self.target_name != "wheel" or version == "editable" or want == "0":
            return
        try:
            if why := unsuited():
                raise OSError(why)
            made = build(Path(tempfile.mkdtemp()))
        except (OSError, subprocess.CalledProcessError) as exc:
            text = getattr(exc, "stderr", None) or str(exc)
            if want == "1":
                raise RuntimeError(
                    f"GOPARK_BUILD_TWIN=1, and the twin cannot be built: {text}"
                ) from exc
            self.app.display_warning(f"gopark: a pure wheel, without the compiled twin: {text}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(made)] = f"gopark/_runtime/_twin/{made.name}"


def main(args: list[str]) -> None:
    if why := unsuited():
        raise SystemExit(why)
    if not args:
        print(build(ROOT / FOLDER))
        return
    folder = Path(args[0])
    folder.mkdir(parents=True, exist_ok=True)
    print(build(folder.resolve(), tuple(args[1:]) or ("-O3",)))


if __name__ == "__main__":
    main(sys.argv[1:])
