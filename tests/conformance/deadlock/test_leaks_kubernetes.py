"""Bugs of Kubernetes: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile/goker.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import kubernetes_chans, kubernetes_locks


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes1321")
async def test_kubernetes1321() -> None:
    assert await leaked(kubernetes_locks.kubernetes1321) == leaves_of(
        kubernetes_locks.kubernetes1321
    )


async def test_kubernetes1321__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes1321) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes5316")
async def test_kubernetes5316() -> None:
    assert await leaked(kubernetes_chans.kubernetes5316) == leaves_of(
        kubernetes_chans.kubernetes5316
    )


async def test_kubernetes5316__repaired() -> None:
    assert await left(kubernetes_chans.kubernetes5316) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes6632")
async def test_kubernetes6632() -> None:
    assert await leaked(kubernetes_locks.kubernetes6632) == leaves_of(
        kubernetes_locks.kubernetes6632
    )


async def test_kubernetes6632__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes6632) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes10182")
async def test_kubernetes10182() -> None:
    assert await leaked(kubernetes_locks.kubernetes10182) == leaves_of(
        kubernetes_locks.kubernetes10182
    )


async def test_kubernetes10182__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes10182) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes11298")
async def test_kubernetes11298() -> None:
    assert await leaked(kubernetes_chans.kubernetes11298) == leaves_of(
        kubernetes_chans.kubernetes11298
    )


async def test_kubernetes11298__repaired() -> None:
    assert await left(kubernetes_chans.kubernetes11298) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes13135")
async def test_kubernetes13135() -> None:
    assert await leaked(kubernetes_locks.kubernetes13135) == leaves_of(
        kubernetes_locks.kubernetes13135
    )


async def test_kubernetes13135__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes13135) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes25331")
async def test_kubernetes25331() -> None:
    assert await leaked(kubernetes_chans.kubernetes25331) == leaves_of(
        kubernetes_chans.kubernetes25331
    )


async def test_kubernetes25331__repaired() -> None:
    assert await left(kubernetes_chans.kubernetes25331) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes26980")
async def test_kubernetes26980() -> None:
    assert await leaked(kubernetes_locks.kubernetes26980) == leaves_of(
        kubernetes_locks.kubernetes26980
    )


async def test_kubernetes26980__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes26980) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes30872")
async def test_kubernetes30872() -> None:
    assert await leaked(kubernetes_locks.kubernetes30872) == leaves_of(
        kubernetes_locks.kubernetes30872
    )


async def test_kubernetes30872__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes30872) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes38669")
async def test_kubernetes38669() -> None:
    assert await leaked(kubernetes_chans.kubernetes38669) == leaves_of(
        kubernetes_chans.kubernetes38669
    )


async def test_kubernetes38669__repaired() -> None:
    assert await left(kubernetes_chans.kubernetes38669) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes58107")
async def test_kubernetes58107() -> None:
    assert await leaked(kubernetes_locks.kubernetes58107) == leaves_of(
        kubernetes_locks.kubernetes58107
    )


async def test_kubernetes58107__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes58107) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes62464")
async def test_kubernetes62464() -> None:
    assert await leaked(kubernetes_locks.kubernetes62464) == leaves_of(
        kubernetes_locks.kubernetes62464
    )


async def test_kubernetes62464__repaired() -> None:
    assert await left(kubernetes_locks.kubernetes62464) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile/goker", "Kubernetes70277")
async def test_kubernetes70277() -> None:
    assert await leaked(kubernetes_chans.kubernetes70277) == leaves_of(
        kubernetes_chans.kubernetes70277
    )


async def test_kubernetes70277__repaired() -> None:
    assert await left(kubernetes_chans.kubernetes70277) == []
