"""gopark.time: sleep and after."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from fractions import Fraction
from time import monotonic

import pytest

import gopark
from gopark import NotOnGError, recv, select
from gopark.testing import wait_all_parked
from gopark.time import after, sleep

BAD = [math.nan, math.inf, -math.inf]
WRONG = ["1", None, True, [1], 1j]


@pytest.mark.usefixtures("procs")
async def test_sleep_waits_at_least_that_long():
    """Go: TestSleep."""
    start = monotonic()
    await sleep(0.02)
    assert monotonic() - start >= 0.02


@pytest.mark.parametrize("duration", [0, 0.0, -1, -0.5])
async def test_zero_and_less_is_no_wait_and_gives_way_to_nobody(duration):
    """Go: Sleep returns immediately for a negative or zero duration."""
    ran = []

    async def other():
        ran.append(True)

    before = gopark.runtime.gomaxprocs(1)
    gopark.go(other)
    await sleep(duration)
    assert ran == []
    gopark.runtime.gomaxprocs(before)
    await wait_all_parked()


@pytest.mark.parametrize("duration", [1e-3, Fraction(1, 1000), Decimal("0.001")])
async def test_every_kind_of_number_is_a_duration(duration):
    await sleep(duration)
    assert (await after(duration).recv_ok())[1]


@pytest.mark.parametrize("duration", BAD)
async def test_a_duration_that_is_not_finite_is_refused(duration):
    with pytest.raises(ValueError, match="sleep: the duration must be finite"):
        await sleep(duration)
    with pytest.raises(ValueError, match="after: the duration must be finite"):
        after(duration)


@pytest.mark.parametrize("duration", WRONG)
async def test_a_duration_that_is_no_number_is_refused(duration):
    with pytest.raises(TypeError, match="sleep: the duration must be a number of seconds"):
        await sleep(duration)
    with pytest.raises(TypeError, match="after: the duration must be a number of seconds"):
        after(duration)


@pytest.mark.usefixtures("procs")
async def test_after_sends_the_time_once():
    """Go: TestAfter."""
    start = monotonic()
    ch = after(0.01)
    value, ok = await ch.recv_ok()
    assert ok
    assert start + 0.01 <= value <= monotonic()
    assert ch.try_recv() == (None, False, False)


async def test_after_sends_nothing_before_its_time():
    assert after(3600).try_recv() == (None, False, False)


async def test_after_zero_fires_at_the_next_chance():
    assert (await select(recv(after(0)), recv(after(-1))))[0] in (0, 1)


async def test_many_afters_fire_in_order():
    """Go: TestAfterQueuing."""
    slots = [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0]
    out = gopark.Chan(len(slots))

    async def wait(slot):
        await after(slot / 200).recv()
        await out.send(slot)

    before = gopark.runtime.gomaxprocs(1)
    for slot in slots:
        gopark.go(wait, slot)
    assert [await out.recv() for _ in slots] == sorted(slots)
    gopark.runtime.gomaxprocs(before)


async def test_a_sleeping_goroutine_shows_as_sleep():
    gopark.go(sleep, 1000)
    await wait_all_parked()
    assert "[sleep]" in gopark.runtime.stack(all=True)


async def test_an_abandoned_after_disturbs_nobody():
    for _ in range(1000):
        after(0.001)
    await sleep(0.005)


def test_sleep_under_another_loop_is_an_error_that_names_the_remedy():
    async def main():
        await sleep(-1)  # needs no wait
        with pytest.raises(NotOnGError, match="goroutine"):
            await sleep(1)

    asyncio.run(main())


def test_after_works_in_plain_code_without_run():
    assert gopark.block(after(0.001).recv()) is not None
