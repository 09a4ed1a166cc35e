"""What the tests of `gopark.net` talk to, wait with, and leave behind.

A conftest.py that imports `poller` has every test below it run with both pollers.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket

import pytest

import gopark
from conftest import wait_until
from gopark import net
from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.net import netpoll
from gopark._runtime.net.netpoll_poll import Poll

__all__ = ("back_to", "descriptors", "dropped", "outcome", "pair", "poller", "same_port", "silent")

BACKENDS = ["epoll", "poll"] if netpoll.wantedbackend() == "epoll" else ["poll"]


async def _nothing():
    """A program."""


@pytest.fixture(params=BACKENDS, autouse=True)
def poller(request, monkeypatch):
    """The poller of the test; nothing is open in it before, and nothing is left after."""
    _collected()
    assert not netpoll.netdoor.opened
    backend = Poll() if request.param == "poll" else None
    monkeypatch.setattr(netpoll, "_backend", backend)
    gopark.run(_nothing)  # what the first program of a process opens, and keeps
    netpoll.netpollinit()
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


async def outcome(coro, got):
    """Send what became of an operation."""
    try:
        await got.send(await coro)
    except Exception as exc:
        await got.send(exc)


@contextlib.contextmanager
def silent(host="127.0.0.1", port=0):
    """Where nobody answers: a listener whose queue is full, so that the system drops what comes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        ln = stack.enter_context(socket.socket(family))
        ln.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ln.bind((host, port))
        ln.listen(0)
        for _ in range(3):
            one = stack.enter_context(socket.socket(family))
            one.setblocking(False)
            one.connect_ex(ln.getsockname())
        yield ln.getsockname()[1]


def same_port():
    """A port that is free for both kinds of IP."""
    while True:
        with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                other.bind(("::1", port))
            except OSError:
                continue
            return port


async def pair():
    """Two connections, joined to each other over the loopback."""
    with net.listen("tcp", "127.0.0.1:0") as ln:
        return await net.dial("tcp", ln.addr), await ln.accept()


def dropped(held):
    """Drop what a list has, the last of its kind; a collection comes only where it has to."""
    held.clear()
    if FREETHREADED:  # it may belong to a thread that sleeps
        gc.collect()


def descriptors():
    """Those that are open, the poller's among them."""
    netpoll.netpollinit()
    gc.collect()
    return set(os.listdir("/proc/self/fd"))


def back_to(before, more=0):
    """Whether those are open, and so many more. The runtime opens one for a moment now and then."""
    return wait_until(lambda: len(descriptors() - before) == more)
