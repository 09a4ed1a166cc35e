"""What belongs to a bubble, and what does not (Go: internal/synctest, runtime)."""

from __future__ import annotations

import pytest

import gopark
from gopark import Chan, recv, select, send
from gopark.sync import WaitGroup
from gopark.testing import synctest, wait_all_parked
from gopark.time import after_func, monotonic, sleep
from harness import run as runprog

# --- channels ---------------------------------------------------------------------------------

WORDS = {
    "recv": "receive on",
    "recv_ok": "receive on",
    "try_recv": "receive on",
    "send": "send on",
    "try_send": "send on",
    "close": "close of",
    "select": "select on",
}


def dies(name, what):
    ended = runprog("testprog", name)
    assert ended.status == 2, ended
    assert ended.stderr.startswith(f"fatal error: {what}\n\ngoroutine "), ended


@pytest.mark.parametrize("where", ["outside_bubble", "different_bubble"])
@pytest.mark.parametrize("op", WORDS)
@pytest.mark.go("internal/synctest", "TestChannelMovedOutOfBubble")
def test_channel_moved_out_of_bubble(op, where):
    dies(f"Synctest/chan_{op}/{where}", f"{WORDS[op]} synctest channel from outside bubble")


@pytest.mark.parametrize("where", ["outside_bubble", "different_bubble"])
@pytest.mark.parametrize(
    ("use", "what"),
    [
        ("timer_read", "receive on synctest channel"),
        ("timer_reset", "reset of synctest timer"),
        ("timer_stop", "stop of synctest timer"),
        ("func_reset", "reset of synctest timer"),
        ("func_stop", "stop of synctest timer"),
    ],
)
@pytest.mark.go("internal/synctest", "TestTimerFromInsideBubble")
def test_timer_from_inside_bubble(use, what, where):
    dies(f"Synctest/{use}/{where}", f"{what} from outside bubble")


elsewhere = Chan[None]()
OUTSIDE = {
    "read closed": (lambda ch: ch.close(), lambda ch: ch.recv()),
    "read value": (lambda ch: ch.send(0), lambda ch: ch.recv()),
    "write value": (lambda ch: ch.recv(), lambda ch: ch.send(0)),
    "select outside only": (lambda ch: ch.close(), lambda ch: select(recv(ch), recv(elsewhere))),
    "select mixed": (lambda ch: ch.recv(), lambda ch: select(send(ch, 0), recv(Chan()))),
}


@pytest.mark.parametrize("case", OUTSIDE)
@pytest.mark.go("internal/synctest", "TestChannelFromOutsideBubble")
async def test_channel_from_outside_bubble(case):
    """It would be a deadlock, if who waits for the outside counted as idle."""
    outside, inside = OUTSIDE[case]
    ch = Chan()

    async def main():
        gopark.go(sleep, 3600)
        await inside(ch)
        at = monotonic()
        await sleep(3600)  # the other one is to end, too
        return at

    after_func(0.001, outside, ch)
    assert synctest.test(main) == 0


# --- WaitGroup --------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestWaitGroupInBubble")
def test_wait_group_in_bubble():
    async def main():
        async with WaitGroup() as wg:
            wg.go(sleep, 1)
        return monotonic()

    assert synctest.test(main) == 1


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestWaitGroupRacingAdds")
def test_wait_group_racing_adds():
    async def main():
        wg, ran = WaitGroup(), []
        for _ in range(100):
            wg.go(ran.append, 1)
        await wg.wait()
        return len(ran)

    assert synctest.test(main) == 100


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestWaitGroupOutOfBubble")
async def test_wait_group_out_of_bubble():
    wg, done = WaitGroup(), Chan()
    wg.add(1)

    async def main():
        gopark.go(sleep, 3600)
        await wg.wait()
        at = monotonic()
        await sleep(3600)
        return at

    async def bubble():
        await done.send(synctest.test(main))

    gopark.go(bubble)
    await wait_all_parked()
    assert not done.try_recv()[2]
    wg.done()
    assert await done.recv() == 0


BOTH = "sync: WaitGroup.Add called from inside and outside synctest bubble"


@pytest.mark.go("internal/synctest", "TestWaitGroupMovedIntoBubble")
def test_wait_group_moved_into_bubble():
    dies("Synctest/waitgroup/into", BOTH)


@pytest.mark.go("internal/synctest", "TestWaitGroupMovedOutOfBubble")
def test_wait_group_moved_out_of_bubble():
    dies("Synctest/waitgroup/out", BOTH)


@pytest.mark.go("internal/synctest", "TestWaitGroupMovedBetweenBubblesWithNonZeroCount")
def test_wait_group_moved_between_bubbles_with_non_zero_count():
    what = "sync: WaitGroup.Add called from multiple synctest bubbles"
    dies("Synctest/waitgroup/between", what)


@pytest.mark.go("internal/synctest", "TestWaitGroupDisassociateInWait")
async def test_wait_group_disassociate_in_wait():
    wg = WaitGroup()

    async def once():
        wg.add(1)
        wg.done()
        await wg.wait()  # at zero: it is free again

    synctest.test(once)
    synctest.test(once)
    await once()


@pytest.mark.go("internal/synctest", "TestWaitGroupDisassociateInAdd")
async def test_wait_group_disassociate_in_add():
    wg = WaitGroup()

    async def once():
        wg.add(1)
        gopark.go(wg.wait)
        await synctest.wait()
        wg.done()  # it wakes who waits: it is free again

    synctest.test(once)
    synctest.test(once)
    wg.add(1)
    wg.done()


module_wide = WaitGroup()


@pytest.mark.go("internal/synctest", "TestWaitGroupHeapAllocated")
def test_wait_group_heap_allocated():
    async def main():
        module_wide.add(1)
        gopark.go(module_wide.wait)
        await synctest.wait()
        module_wide.done()

    synctest.test(main)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestWaitGroupManyBubbles")
async def test_wait_group_many_bubbles():
    ended = []

    async def main():
        cancel, wg = Chan(), WaitGroup()
        for _ in range(20):
            wg.go(cancel.recv)
        await synctest.wait()
        cancel.close()
        await wg.wait()
        ended.append(True)

    async with WaitGroup() as wg:
        for _ in range(20):
            wg.go(synctest.test, main)
    assert len(ended) == 20


# --- programs of the runtime ------------------------------------------------------------------


@pytest.mark.parametrize("where", ["no_bubble", "other_bubble"])
@pytest.mark.parametrize("wake", ["signal", "broadcast"])
@pytest.mark.go("runtime", "TestSynctestCondSignalFromNoBubble")
@pytest.mark.go("runtime/testdata/testprog", "SynctestCond/signal/no_bubble")
@pytest.mark.go("runtime/testdata/testprog", "SynctestCond/signal/other_bubble")
@pytest.mark.go("runtime/testdata/testprog", "SynctestCond/broadcast/no_bubble")
@pytest.mark.go("runtime/testdata/testprog", "SynctestCond/broadcast/other_bubble")
def test_synctest_cond_signal_from_no_bubble(wake, where):
    what = "semaphore wake of synctest goroutine from outside bubble"
    dies(f"SynctestCond/{wake}/{where}", what)
