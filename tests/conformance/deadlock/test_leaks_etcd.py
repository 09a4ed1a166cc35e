"""Bugs of etcd: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import etcd


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd5509")
async def test_etcd5509() -> None:
    assert await leaked(etcd.etcd5509) == leaves_of(etcd.etcd5509)


async def test_etcd5509__repaired() -> None:
    assert await left(etcd.etcd5509) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd6708")
async def test_etcd6708() -> None:
    assert await leaked(etcd.etcd6708) == leaves_of(etcd.etcd6708)


async def test_etcd6708__repaired() -> None:
    assert await left(etcd.etcd6708) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd6857")
async def test_etcd6857() -> None:
    assert await leaked(etcd.etcd6857) == leaves_of(etcd.etcd6857)


async def test_etcd6857__repaired() -> None:
    assert await left(etcd.etcd6857) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd6873")
async def test_etcd6873() -> None:
    assert await leaked(etcd.etcd6873) == leaves_of(etcd.etcd6873)


async def test_etcd6873__repaired() -> None:
    assert await left(etcd.etcd6873) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd7492")
async def test_etcd7492() -> None:
    assert await leaked(etcd.etcd7492) == leaves_of(etcd.etcd7492)


async def test_etcd7492__repaired() -> None:
    assert await left(etcd.etcd7492) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd7902")
async def test_etcd7902() -> None:
    assert await leaked(etcd.etcd7902) == leaves_of(etcd.etcd7902)


async def test_etcd7902__repaired() -> None:
    assert await left(etcd.etcd7902) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Etcd10492")
async def test_etcd10492() -> None:
    assert await leaked(etcd.etcd10492) == leaves_of(etcd.etcd10492)


async def test_etcd10492__repaired() -> None:
    assert await left(etcd.etcd10492) == []
