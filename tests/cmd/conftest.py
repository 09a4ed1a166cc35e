"""Children need the folder that their C libraries are built in."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest

from harness import Child, start
from harness import build_folder as build_folder


@pytest.fixture
def hanging() -> Iterator[Callable[..., Child]]:
    """`hanging(name)` starts a program of testprogcgo that says `ready` and then hangs."""
    children: list[Child] = []

    def hanging(name: str, **env: str) -> Child:
        child = start("testprogcgo", name, libs=("stuck",), env=env)
        children.append(child)
        child.expect("ready")
        return child

    yield hanging
    for child in children:
        child.kill()
        child.end()


@pytest.fixture
def program(tmp_path: pathlib.Path) -> Callable[[str], str]:
    """`program(text)` is the path of a file `prog.py` that holds it."""

    def program(text: str) -> str:
        file = tmp_path / "prog.py"
        file.write_text(text)
        return str(file)

    return program
