"""Bugs of Knative Serving and Syncthing: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import others


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Serving2137")
async def test_serving2137() -> None:
    assert await leaked(others.serving2137) == leaves_of(others.serving2137)


async def test_serving2137__repaired() -> None:
    assert await left(others.serving2137) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Syncthing4829")
async def test_syncthing4829() -> None:
    assert await leaked(others.syncthing4829) == leaves_of(others.syncthing4829)


async def test_syncthing4829__repaired() -> None:
    assert await left(others.syncthing4829) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Syncthing5795")
async def test_syncthing5795() -> None:
    assert await leaked(others.syncthing5795) == leaves_of(others.syncthing5795)


async def test_syncthing5795__repaired() -> None:
    assert await left(others.syncthing5795) == []
