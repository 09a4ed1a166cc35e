"""Bugs of Hugo: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import hugo


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Hugo3251")
async def test_hugo3251() -> None:
    assert await leaked(hugo.hugo3251) == leaves_of(hugo.hugo3251)


async def test_hugo3251__repaired() -> None:
    assert await left(hugo.hugo3251) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Hugo5379")
async def test_hugo5379() -> None:
    assert await leaked(hugo.hugo5379) == leaves_of(hugo.hugo5379)


async def test_hugo5379__repaired() -> None:
    assert await left(hugo.hugo5379) == []
