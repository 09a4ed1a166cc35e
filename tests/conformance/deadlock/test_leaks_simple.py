"""Each way to wait: the leak is found, and its repaired twin has none.

The programs are in testdata/leaks. Go: testgoroutineleakprofile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leakprogs import leaked, leaves_of, left
from testdata.leaks import simple


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "NilRecv")
async def test_nil_recv() -> None:
    assert await leaked(simple.nil_recv) == leaves_of(simple.nil_recv)


async def test_nil_recv__repaired() -> None:
    assert await left(simple.nil_recv) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "NilSend")
async def test_nil_send() -> None:
    assert await leaked(simple.nil_send) == leaves_of(simple.nil_send)


async def test_nil_send__repaired() -> None:
    assert await left(simple.nil_send) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "SelectNoCases")
async def test_select_no_cases() -> None:
    assert await leaked(simple.select_no_cases) == leaves_of(simple.select_no_cases)


async def test_select_no_cases__repaired() -> None:
    assert await left(simple.select_no_cases) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "ChanRecv")
async def test_chan_recv() -> None:
    assert await leaked(simple.chan_recv) == leaves_of(simple.chan_recv)


async def test_chan_recv__repaired() -> None:
    assert await left(simple.chan_recv) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "ChanSend")
async def test_chan_send() -> None:
    assert await leaked(simple.chan_send) == leaves_of(simple.chan_send)


async def test_chan_send__repaired() -> None:
    assert await left(simple.chan_send) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "Select")
async def test_select() -> None:
    assert await leaked(simple.select_two) == leaves_of(simple.select_two)


async def test_select__repaired() -> None:
    assert await left(simple.select_two) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "WaitGroup")
async def test_wait_group() -> None:
    assert await leaked(simple.wait_group) == leaves_of(simple.wait_group)


async def test_wait_group__repaired() -> None:
    assert await left(simple.wait_group) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "MutexStack")
async def test_mutex_stack() -> None:
    assert await leaked(simple.mutex_stack) == leaves_of(simple.mutex_stack)


async def test_mutex_stack__repaired() -> None:
    assert await left(simple.mutex_stack) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "MutexHeap")
async def test_mutex_heap() -> None:
    assert await leaked(simple.mutex_heap) == leaves_of(simple.mutex_heap)


async def test_mutex_heap__repaired() -> None:
    assert await left(simple.mutex_heap) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "RWMutexRLock")
async def test_rw_mutex_r_lock() -> None:
    assert await leaked(simple.rw_mutex_rlock) == leaves_of(simple.rw_mutex_rlock)


async def test_rw_mutex_r_lock__repaired() -> None:
    assert await left(simple.rw_mutex_rlock) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "RWMutexLock")
async def test_rw_mutex_lock() -> None:
    assert await leaked(simple.rw_mutex_lock) == leaves_of(simple.rw_mutex_lock)


async def test_rw_mutex_lock__repaired() -> None:
    assert await left(simple.rw_mutex_lock) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "Cond")
async def test_cond() -> None:
    assert await leaked(simple.cond) == leaves_of(simple.cond)


async def test_cond__repaired() -> None:
    assert await left(simple.cond) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "Mixed")
async def test_mixed() -> None:
    assert await leaked(simple.mixed) == leaves_of(simple.mixed)


async def test_mixed__repaired() -> None:
    assert await left(simple.mixed) == []


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "NoLeakGlobal")
async def test_no_leak_global() -> None:
    assert await leaked(simple.no_leak_global) == leaves_of(simple.no_leak_global)


async def test_no_leak_global__repaired() -> None:
    assert await left(simple.no_leak_global) == []


MAIN_WAITS = """
import os
import gopark

async def main():
    async def receive():
        await ch.recv()

    async def search():
        await gopark.testing.wait_all_parked()
        for leak in gopark.debug.leaks():
            print(leak.stack.splitlines()[:2])
        os.write(1, b"searched\\n")
        os._exit(0)

    ch = gopark.Chan()
    gopark.go(receive)
    gopark.go(search)
    await gopark.select({cases})

gopark.run(main)
"""


@pytest.mark.go("runtime/testdata/testgoroutineleakprofile", "SelectNoCasesMain")
@pytest.mark.parametrize("cases", ["", "gopark.recv(gopark.time.after(3600))"])
def test_select_no_cases_main(child: Callable[..., Any], cases: str) -> None:
    """Main has not leaked, but what its frame alone holds is lost, unless main can go on."""
    ended = child(MAIN_WAITS.format(cases=cases), PYTHONUNBUFFERED="1")
    leak = "['goroutine 2 [chan receive (leaked)]:', 'main.main.receive(...)']\n"
    assert (ended.stdout, ended.stderr) == ("searched\n" if cases else leak + "searched\n", "")
