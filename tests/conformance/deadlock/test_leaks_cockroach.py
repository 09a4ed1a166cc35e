"""Bugs of CockroachDB: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import cockroach_chans, cockroach_locks, cockroach_stop


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach584")
async def test_cockroach584() -> None:
    assert await leaked(cockroach_locks.cockroach584) == leaves_of(cockroach_locks.cockroach584)


async def test_cockroach584__repaired() -> None:
    assert await left(cockroach_locks.cockroach584) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach1055")
async def test_cockroach1055() -> None:
    assert await leaked(cockroach_stop.cockroach1055) == leaves_of(cockroach_stop.cockroach1055)


async def test_cockroach1055__repaired() -> None:
    assert await left(cockroach_stop.cockroach1055) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach1462")
async def test_cockroach1462() -> None:
    assert await leaked(cockroach_stop.cockroach1462) == leaves_of(cockroach_stop.cockroach1462)


async def test_cockroach1462__repaired() -> None:
    assert await left(cockroach_stop.cockroach1462) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach2448")
async def test_cockroach2448() -> None:
    assert await leaked(cockroach_stop.cockroach2448) == leaves_of(cockroach_stop.cockroach2448)


async def test_cockroach2448__repaired() -> None:
    assert await left(cockroach_stop.cockroach2448) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach3710")
async def test_cockroach3710() -> None:
    assert await leaked(cockroach_locks.cockroach3710) == leaves_of(cockroach_locks.cockroach3710)


async def test_cockroach3710__repaired() -> None:
    assert await left(cockroach_locks.cockroach3710) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach6181")
async def test_cockroach6181() -> None:
    assert await leaked(cockroach_locks.cockroach6181) == leaves_of(cockroach_locks.cockroach6181)


async def test_cockroach6181__repaired() -> None:
    assert await left(cockroach_locks.cockroach6181) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach7504")
async def test_cockroach7504() -> None:
    assert await leaked(cockroach_locks.cockroach7504) == leaves_of(cockroach_locks.cockroach7504)


async def test_cockroach7504__repaired() -> None:
    assert await left(cockroach_locks.cockroach7504) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach9935")
async def test_cockroach9935() -> None:
    assert await leaked(cockroach_locks.cockroach9935) == leaves_of(cockroach_locks.cockroach9935)


async def test_cockroach9935__repaired() -> None:
    assert await left(cockroach_locks.cockroach9935) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach10214")
async def test_cockroach10214() -> None:
    assert await leaked(cockroach_locks.cockroach10214) == leaves_of(cockroach_locks.cockroach10214)


async def test_cockroach10214__repaired() -> None:
    assert await left(cockroach_locks.cockroach10214) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach10790")
async def test_cockroach10790() -> None:
    assert await leaked(cockroach_chans.cockroach10790) == leaves_of(cockroach_chans.cockroach10790)


async def test_cockroach10790__repaired() -> None:
    assert await left(cockroach_chans.cockroach10790) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach13197")
async def test_cockroach13197() -> None:
    assert await leaked(cockroach_chans.cockroach13197) == leaves_of(cockroach_chans.cockroach13197)


async def test_cockroach13197__repaired() -> None:
    assert await left(cockroach_chans.cockroach13197) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach13755")
async def test_cockroach13755() -> None:
    assert await leaked(cockroach_chans.cockroach13755) == leaves_of(cockroach_chans.cockroach13755)


async def test_cockroach13755__repaired() -> None:
    assert await left(cockroach_chans.cockroach13755) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach16167")
async def test_cockroach16167() -> None:
    assert await leaked(cockroach_locks.cockroach16167) == leaves_of(cockroach_locks.cockroach16167)


async def test_cockroach16167__repaired() -> None:
    assert await left(cockroach_locks.cockroach16167) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach18101")
async def test_cockroach18101() -> None:
    assert await leaked(cockroach_chans.cockroach18101) == leaves_of(cockroach_chans.cockroach18101)


async def test_cockroach18101__repaired() -> None:
    assert await left(cockroach_chans.cockroach18101) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach24808")
async def test_cockroach24808() -> None:
    assert await leaked(cockroach_stop.cockroach24808) == leaves_of(cockroach_stop.cockroach24808)


async def test_cockroach24808__repaired() -> None:
    assert await left(cockroach_stop.cockroach24808) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach25456")
async def test_cockroach25456() -> None:
    assert await leaked(cockroach_stop.cockroach25456) == leaves_of(cockroach_stop.cockroach25456)


async def test_cockroach25456__repaired() -> None:
    assert await left(cockroach_stop.cockroach25456) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach35073")
async def test_cockroach35073() -> None:
    assert await leaked(cockroach_chans.cockroach35073) == leaves_of(cockroach_chans.cockroach35073)


async def test_cockroach35073__repaired() -> None:
    assert await left(cockroach_chans.cockroach35073) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Cockroach35931")
async def test_cockroach35931() -> None:
    assert await leaked(cockroach_chans.cockroach35931) == leaves_of(cockroach_chans.cockroach35931)


async def test_cockroach35931__repaired() -> None:
    assert await left(cockroach_chans.cockroach35931) == []
