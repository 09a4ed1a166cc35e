"""Install the peers that have wheels for this interpreter: `python -m benchmarks.install`.

They are what pyproject.toml lists under the extras below. Each is installed on its own, so that
one without a wheel here takes no other along; the benchmarks then say that it is not there.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

__all__ = ("install", "requirements")

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
_EXTRAS = ("bench", "bench-free-threaded", "picture")
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq")


def requirements(pyproject: Path = _PYPROJECT) -> list[str]:
    """All requirements of the extras."""
    extras = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    return [requirement for extra in _EXTRAS for requirement in extras[extra]]


def install(requirement: str) -> bool:
    """Whether pip found a wheel. Nothing is ever compiled."""
    command = [sys.executable, *_PIP, "--only-binary=:all:", requirement]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def main() -> None:
    for requirement in requirements():
        if not install(requirement):
            print(f"{requirement}: no wheel for this interpreter, left out", file=sys.stderr)


if __name__ == "__main__":
    main()
