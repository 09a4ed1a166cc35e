"""Bugs of gRPC: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import grpc


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc660")
async def test_grpc660() -> None:
    assert await leaked(grpc.grpc660) == leaves_of(grpc.grpc660)


async def test_grpc660__repaired() -> None:
    assert await left(grpc.grpc660) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc795")
async def test_grpc795() -> None:
    assert await leaked(grpc.grpc795) == leaves_of(grpc.grpc795)


async def test_grpc795__repaired() -> None:
    assert await left(grpc.grpc795) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc862")
async def test_grpc862() -> None:
    assert await leaked(grpc.grpc862) == leaves_of(grpc.grpc862)


async def test_grpc862__repaired() -> None:
    assert await left(grpc.grpc862) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc1275")
async def test_grpc1275() -> None:
    assert await leaked(grpc.grpc1275) == leaves_of(grpc.grpc1275)


async def test_grpc1275__repaired() -> None:
    assert await left(grpc.grpc1275) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc1424")
async def test_grpc1424() -> None:
    assert await leaked(grpc.grpc1424) == leaves_of(grpc.grpc1424)


async def test_grpc1424__repaired() -> None:
    assert await left(grpc.grpc1424) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc1460")
async def test_grpc1460() -> None:
    assert await leaked(grpc.grpc1460) == leaves_of(grpc.grpc1460)


async def test_grpc1460__repaired() -> None:
    assert await left(grpc.grpc1460) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Grpc3017")
async def test_grpc3017() -> None:
    assert await leaked(grpc.grpc3017) == leaves_of(grpc.grpc3017)


async def test_grpc3017__repaired() -> None:
    assert await left(grpc.grpc3017) == []
