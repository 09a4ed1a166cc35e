"""What the tests of gopark.sync share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

import gopark
from gopark._runtime.base.runtime2 import GWAITING, allgs
from gopark.testing import wait_all_parked

Interrupt = Callable[[Callable[[], object]], None]


@pytest.fixture
def interrupted() -> Callable[[Callable[[], object], list[str]], Awaitable[Interrupt]]:
    """`interrupt = await interrupted(fn, order)` starts a plain goroutine that waits in `fn`.

    `interrupt(wake)` calls `wake`, which wakes the goroutine, and has it raise a
    KeyboardInterrupt all the same, as when both come at the same moment.
    """

    async def start(fn: Callable[[], object], order: list[str]) -> Interrupt:
        def goroutine() -> None:
            try:
                fn()
            except KeyboardInterrupt:
                order.append("interrupted")

        before = set(allgs)
        gopark.go(goroutine)
        await wait_all_parked()
        (g,) = allgs - before

        def interrupt(wake: Callable[[], object]) -> None:
            assert g.status is GWAITING
            assert g.lockedm is not None
            g.lockedm.exc = KeyboardInterrupt()
            wake()
            assert g.status is not GWAITING, "it was not woken"

        return interrupt

    return start
