"""Starlette, FastAPI, Quart, Litestar, Falcon, Django, Flask, as they are published.

Each in a process of its own, which may warn of what it likes: served_framework.py.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gopark
from harness import TIMEOUT

SERVED = Path(__file__).with_name("served_framework.py")
CASES = [
    *(("asgi", name, "asyncio") for name in ("starlette", "fastapi", "quart", "litestar")),
    *(("asgi", name, "asyncio") for name in ("falcon", "django")),
    *(("wsgi", name, "auto") for name in ("flask", "falcon", "django")),
]


@pytest.mark.parametrize(("kind", "name", "loop"), CASES)
def test_it_is_served(kind, name, loop):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    home = str(Path(gopark.__file__).resolve().parent.parent)
    ended = subprocess.run(
        [sys.executable, str(SERVED), kind, name, loop],
        env={**os.environ, "PYTHONPATH": home},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (ended.stdout, ended.returncode) == ("served\n", 0), ended.stderr
