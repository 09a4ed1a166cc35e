"""WaitGroup, as Go's own tests pin it down (sync/waitgroup_test.go, example_test.go)."""

from __future__ import annotations

import pytest

import gopark
from gopark.sync import WaitGroup
from gopark.sync.atomic import Int32
from gopark.testing import wait_all_parked

URLS = ("http://www.golang.org/", "http://www.google.com/", "http://www.example.com/")


@pytest.mark.go("sync", "TestWaitGroup")
async def test_wait_group(procs):
    first, second, n = WaitGroup(), WaitGroup(), 16
    for _ in range(8):
        exited = gopark.Chan(n)

        async def member(exited=exited):
            first.done()
            await second.wait()
            await exited.send(True)

        first.add(n)
        second.add(n)
        for _ in range(n):
            gopark.go(member)
        await first.wait()
        for _ in range(n):
            assert exited.try_recv() == (None, False, False), "released too soon"
            second.done()
        for _ in range(n):
            await exited.recv()


@pytest.mark.go("sync", "TestWaitGroupMisuse")
async def test_wait_group_misuse():
    wg = WaitGroup()
    wg.add(1)
    wg.done()
    with pytest.raises(RuntimeError, match=r"^sync: negative WaitGroup counter$"):
        wg.done()


@pytest.mark.go("sync", "TestWaitGroupRace")
async def test_wait_group_race(procs):
    for _ in range(200):
        wg, n = WaitGroup(), Int32()

        async def member(wg=wg, n=n):
            n.add(1)
            wg.done()

        wg.add(1)
        gopark.go(member)
        wg.add(1)
        gopark.go(member)
        await wg.wait()
        assert n.load() == 2


@pytest.mark.go("sync", "TestWaitGroupGo")
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_wait_group_go(procs, plain):
    wg, ran = WaitGroup(), []

    async def coroutine():
        ran.append(1)

    wg.go((lambda: ran.append(1)) if plain else coroutine)
    await wg.wait()
    assert ran == [1]


@pytest.mark.go("sync", "TestIssue76126")
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_issue76126(child, plain):
    """A child: it has to be over before `wait` returns, whatever its main would do then."""
    ended = child(
        f"""
import os
import gopark
from gopark.sync import WaitGroup

{"" if plain else "async "}def bad():
    raise ValueError("test")

async def main():
    wg = WaitGroup()
    wg.go(bad)
    await wg.wait()
    print("wait returned", flush=True)
    os._exit(0)

gopark.run(main)
"""
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("panic: ValueError: test\n")
    assert ended.stdout == ""


@pytest.mark.go("sync", "ExampleWaitGroup")
async def test_example_wait_group():
    wg, pages = WaitGroup(), []

    async def get(url):
        await gopark.gosched()
        pages.append(url)

    for url in URLS:
        wg.go(get, url)
    await wg.wait()
    assert sorted(pages) == sorted(URLS)


@pytest.mark.go("sync", "ExampleWaitGroup_addAndDone")
async def test_example_wait_group_add_and_done():
    wg, pages = WaitGroup(), []

    async def get(url):
        try:
            await gopark.gosched()
            pages.append(url)
        finally:
            wg.done()

    for url in URLS:
        wg.add(1)
        gopark.go(get, url)
    await wg.wait()
    assert sorted(pages) == sorted(URLS)
    await wait_all_parked()
