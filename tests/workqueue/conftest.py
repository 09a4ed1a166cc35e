"""One suite for both kinds of URL: `url` is one where nobody has a queue yet."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import natsservers
import queueprocs
from gopark import workqueue

_numbers = itertools.count()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's, whose name is too long for a Unix socket in it."""
    folder = tempfile.mkdtemp(prefix="wq")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def processes(tmp_path: Path) -> Iterator[None]:
    """None outlives the test that began it, nor writes in its directory after that."""
    yield
    queueprocs.kill_all()


@pytest.fixture(params=["local", *natsservers.KINDS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a keeper in this process, or of a server."""
    if request.param == "local":
        return f"local:{tmp_path}/q"
    return natsservers.url(request.param)


@pytest.fixture
def name() -> str:
    """Of a queue that no other test has."""
    return f"q{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def opened(url: str, name: str) -> Callable[..., Any]:
    """`await opened(...)`: that queue; the first call makes it."""

    async def opened(**settings: Any) -> workqueue.Queue[Any]:
        return await workqueue.open(name, url, **settings)

    return opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server, and a keeper in another process, are help from outside."""
    for item in items:
        if "/workqueue/" in str(item.path):
            item.add_marker(pytest.mark.outside_help)
