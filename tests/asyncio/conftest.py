"""Whatever becomes of a program, its loop is closed: nothing of it is left in the poller."""

from __future__ import annotations

import gc

import pytest

from gopark._runtime.net import netpoll


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    if netpoll.netdoor.opened:
        gc.collect()  # a loop that nobody closed, as asyncio.run would
    assert not netpoll.netdoor.opened
