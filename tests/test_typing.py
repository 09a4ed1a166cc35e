"""The public names as a strict type checker sees them."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import gopark
from harness import TIMEOUT

HERE = pathlib.Path(__file__).parent


def test_the_public_names_have_the_types_that_users_rely_on(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            f"--cache-dir={tmp_path}",
            str(HERE / "typing" / "api.py"),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=HERE,
        env={"MYPYPATH": str(pathlib.Path(gopark.__file__).parent.parent), "PATH": ""},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
