"""Bugs of Istio: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import istio


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Istio16224")
async def test_istio16224() -> None:
    assert await leaked(istio.istio16224) == leaves_of(istio.istio16224)


async def test_istio16224__repaired() -> None:
    assert await left(istio.istio16224) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Istio17860")
async def test_istio17860() -> None:
    assert await leaked(istio.istio17860) == leaves_of(istio.istio17860)


async def test_istio17860__repaired() -> None:
    assert await left(istio.istio17860) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Istio18454")
async def test_istio18454() -> None:
    assert await leaked(istio.istio18454) == leaves_of(istio.istio18454)


async def test_istio18454__repaired() -> None:
    assert await left(istio.istio18454) == []
