"""Every test of this folder runs with both pollers."""

from __future__ import annotations

import gc

import pytest

from gopark._runtime.net import netpoll
from gopark._runtime.net.netpoll_poll import Poll

BACKENDS = ["epoll", "poll"] if netpoll.wantedbackend() == "epoll" else ["poll"]


@pytest.fixture(params=BACKENDS, autouse=True)
def poller(request, monkeypatch):
    """The poller of the test; nothing is open in it before, and nothing is left after."""
    _collected()
    assert not netpoll.netdoor.opened
    backend = Poll() if request.param == "poll" else None
    monkeypatch.setattr(netpoll, "_backend", backend)
    yield request.param
    _collected()
    left = [ref() for ref in netpoll.netdoor.opened.values()]
    made = netpoll._backend
    if made is not None:
        made.dispose()
    netpoll.netdoor.opened.clear()
    assert left == []


def _collected() -> None:
    """Only if there is something: it takes a quarter of a second."""
    if netpoll.netdoor.opened:
        gc.collect()
