"""Bugs of Moby: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import moby


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby4951")
async def test_moby4951() -> None:
    assert await leaked(moby.moby4951) == leaves_of(moby.moby4951)


async def test_moby4951__repaired() -> None:
    assert await left(moby.moby4951) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby7559")
async def test_moby7559() -> None:
    assert await leaked(moby.moby7559) == leaves_of(moby.moby7559)


async def test_moby7559__repaired() -> None:
    assert await left(moby.moby7559) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby17176")
async def test_moby17176() -> None:
    assert await leaked(moby.moby17176) == leaves_of(moby.moby17176)


async def test_moby17176__repaired() -> None:
    assert await left(moby.moby17176) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby21233")
async def test_moby21233() -> None:
    assert await leaked(moby.moby21233) == leaves_of(moby.moby21233)


async def test_moby21233__repaired() -> None:
    assert await left(moby.moby21233) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby25348")
async def test_moby25348() -> None:
    assert await leaked(moby.moby25348) == leaves_of(moby.moby25348)


async def test_moby25348__repaired() -> None:
    assert await left(moby.moby25348) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby27782")
async def test_moby27782() -> None:
    assert await leaked(moby.moby27782) == leaves_of(moby.moby27782)


async def test_moby27782__repaired() -> None:
    assert await left(moby.moby27782) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby28462")
async def test_moby28462() -> None:
    assert await leaked(moby.moby28462) == leaves_of(moby.moby28462)


async def test_moby28462__repaired() -> None:
    assert await left(moby.moby28462) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby30408")
async def test_moby30408() -> None:
    assert await leaked(moby.moby30408) == leaves_of(moby.moby30408)


async def test_moby30408__repaired() -> None:
    assert await left(moby.moby30408) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby33781")
async def test_moby33781() -> None:
    assert await leaked(moby.moby33781) == leaves_of(moby.moby33781)


async def test_moby33781__repaired() -> None:
    assert await left(moby.moby33781) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Moby36114")
async def test_moby36114() -> None:
    assert await leaked(moby.moby36114) == leaves_of(moby.moby36114)


async def test_moby36114__repaired() -> None:
    assert await left(moby.moby36114) == []
