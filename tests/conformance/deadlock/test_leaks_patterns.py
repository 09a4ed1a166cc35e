"""Leaks as they are met with most in services: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile.
"""

from __future__ import annotations

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import patterns


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "NoCloseRange")
async def test_no_close_range() -> None:
    assert await leaked(patterns.no_close_range) == leaves_of(patterns.no_close_range)


async def test_no_close_range__repaired() -> None:
    assert await left(patterns.no_close_range) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "MethodContractViolation")
async def test_method_contract_violation() -> None:
    assert await leaked(patterns.method_contract_violation) == leaves_of(
        patterns.method_contract_violation
    )


async def test_method_contract_violation__repaired() -> None:
    assert await left(patterns.method_contract_violation) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "DoubleSend")
async def test_double_send() -> None:
    assert await leaked(patterns.double_send) == leaves_of(patterns.double_send)


async def test_double_send__repaired() -> None:
    assert await left(patterns.double_send) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "EarlyReturn")
async def test_early_return() -> None:
    assert await leaked(patterns.early_return) == leaves_of(patterns.early_return)


async def test_early_return__repaired() -> None:
    assert await left(patterns.early_return) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "NCastLeak")
async def test_n_cast_leak() -> None:
    assert await leaked(patterns.n_cast_leak) == leaves_of(patterns.n_cast_leak)


async def test_n_cast_leak__repaired() -> None:
    assert await left(patterns.n_cast_leak) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "SpawnGC")
async def test_spawn_gc() -> None:
    assert await leaked(patterns.spawn_gc) == leaves_of(patterns.spawn_gc)


async def test_spawn_gc__repaired() -> None:
    assert await left(patterns.spawn_gc) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "DaisyChain")
async def test_daisy_chain() -> None:
    assert await leaked(patterns.daisy_chain) == leaves_of(patterns.daisy_chain)


async def test_daisy_chain__repaired() -> None:
    assert await left(patterns.daisy_chain) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "Timeout")
async def test_timeout() -> None:
    """Each of a hundred leaks if the choice fell on the context, so it is not known how many."""
    assert set(await leaked(patterns.timeout)) == {"wait_or_not.give [chan send]"}


async def test_timeout__repaired() -> None:
    assert await left(patterns.timeout) == []
