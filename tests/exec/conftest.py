"""Every test of this folder runs with both pollers, and with and without descriptors of processes.

After each no child, descriptor or thread is left.
"""

from __future__ import annotations

import gc
import os
import pathlib
import time

import pytest

import gopark
from conftest import wait_until
from gopark._runtime.net import netpoll
from gopark._runtime.net.netpoll_poll import Poll

HOW = ["epoll", "poll", "thread"] if netpoll.wantedbackend() == "epoll" else ["poll", "thread"]
if not hasattr(os, "pidfd_open"):
    HOW = [name for name in HOW if name != "poll"]


def nozombies():
    """No child of this process is left that can be waited for."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return True


def descriptors():
    return len(os.listdir("/proc/self/fd")) if pathlib.Path("/proc/self/fd").exists() else 0


async def alone():
    """All other goroutines have ended. The last lines of one may run on another thread yet."""
    until = time.monotonic() + 120
    while gopark.runtime.num_goroutine() > 1 and time.monotonic() < until:
        await gopark.time.sleep(0.001)
    assert gopark.runtime.num_goroutine() == 1, gopark.runtime.stack(all=True)


@pytest.fixture(name="alone")
def _alone():
    return alone


async def _nothing():
    """A program."""


@pytest.fixture(params=HOW, autouse=True)
def waiting(request, monkeypatch):
    """How children are waited for."""
    gopark.run(_nothing)  # what the first program of a process opens, and keeps
    gc.collect()
    assert not netpoll.netdoor.opened
    backend = Poll() if request.param == "poll" else None
    monkeypatch.setattr(netpoll, "_backend", backend)
    netpoll.netpollinit()
    if request.param == "thread":
        monkeypatch.setenv("GOPARKDEBUG", "pidfd=0")
    before = descriptors()
    yield request.param
    gc.collect()
    assert wait_until(nozombies, 20)
    assert wait_until(lambda: descriptors() <= before, 20)
    left = [ref() for ref in netpoll.netdoor.opened.values()]
    netpoll._backend.dispose()
    netpoll.netdoor.opened.clear()
    assert left == []
