"""`timeout`: the waits of a block end in time, wherever they are, and nothing is lost by it."""

from __future__ import annotations

import ctypes
import math
import threading

import pytest

import gopark
from gopark import Chan, ScopeEnded, context, recv, select, send
from gopark._runtime.base.runtime2 import G, getg
from gopark._runtime.scope.scope import end
from gopark.sync import Cond, Mutex, Once, RWMutex, WaitGroup, errgroup, semaphore, singleflight
from gopark.testing import wait_all_parked

SOON = 0.005


# --- every wait ends ----------------------------------------------------


async def held(locker):
    await locker.lock()
    return locker


async def taken():
    sem = semaphore.Weighted(1)
    await sem.acquire()
    return sem


async def spinning():
    while True:
        await gopark.gosched()


async def counted():
    wg = WaitGroup()
    wg.add(1)
    await wg.wait()


async def condition():
    mu = await held(Mutex())
    await Cond(mu).wait()


async def reading():
    await (await held(RWMutex())).rlock()


async def writing():
    rw = RWMutex()
    await rw.rlock()
    await rw.lock()


async def locking():
    await (await held(Mutex())).lock()


async def acquiring():
    await (await taken()).acquire()


async def once():
    await Once().do(Chan().recv)


async def flight():
    await singleflight.Group().do("a", Chan().recv)


async def ranging():
    async for _ in Chan():
        pass


async def ticking():
    await gopark.time.after(3600).recv()


WAITS = {
    "recv": lambda: Chan().recv(),
    "recv_ok": lambda: Chan().recv_ok(),
    "send": lambda: Chan().send(1),
    "range": ranging,
    "select": lambda: select(recv(Chan()), send(Chan(), 1)),
    "select over nothing": lambda: select(),
    "select over a timer": lambda: select(recv(gopark.time.after(3600))),
    "timer": ticking,
    "sleep": lambda: gopark.time.sleep(3600),
    "gosched": spinning,
    "Mutex": locking,
    "RWMutex, to write": writing,
    "RWMutex, to read": reading,
    "Cond": condition,
    "WaitGroup": counted,
    "Once": once,
    "semaphore": acquiring,
    "singleflight": flight,
    "task": lambda: gopark.spawn(Chan().recv),
}


async def awaited(what):
    return await what


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("how", ["await", "block", "locked", "callback"])
@pytest.mark.parametrize("seconds", [0, SOON])
def test_a_wait_of_any_kind_ends(run, cthread, name, how, seconds):
    ended = []

    async def waits():
        try:
            with gopark.timeout(seconds) as t:
                await awaited(WAITS[name]())
        except TimeoutError as exc:
            ended.append((t.expired, type(exc.__cause__)))

    def plain():
        with pytest.raises(TimeoutError), gopark.timeout(seconds) as t:
            gopark.block(awaited(WAITS[name]()))
        ended.append((t.expired, ScopeEnded))

    async def locked():
        gopark.runtime.lock_os_thread()
        await waits()
        gopark.runtime.unlock_os_thread()

    async def main():
        if how == "await":
            await waits()
        elif how == "callback":
            cthread(gopark.cgo.callback(lambda _: plain())).join()
        else:
            await gopark.spawn(plain if how == "block" else locked)

    run(main, outside_help=how == "callback")
    assert ended == [(True, ScopeEnded)]


async def test_a_connection_a_listener_and_a_child_end():
    with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
        with pytest.raises(TimeoutError), gopark.timeout(SOON):
            await ln.accept()
        async with await gopark.net.dial("tcp", str(ln.addr)) as a, await ln.accept() as b:
            with pytest.raises(TimeoutError), gopark.timeout(SOON):
                await a.read(1)
            with pytest.raises(TimeoutError), gopark.timeout(SOON):
                while True:
                    await a.write(bytes(1_000_000))
            await b.write(b"it goes on")
            assert await a.read(100) == b"it goes on"
    cmd = gopark.exec.command("sleep", "60")
    await cmd.start()
    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        await cmd.wait()
    cmd.process.kill()
    with pytest.raises(gopark.exec.ExitError):
        await cmd.wait()


@pytest.mark.parametrize("marked", [True, False])
async def test_a_callback_that_c_makes_on_the_goroutines_own_thread_ends(libc, marked):
    """Behind C it is raised by `cgo.call`, and without that by the next wait."""
    called = []

    def compare(a, b):
        called.append(1)
        gopark.block(Chan().recv())

    entry = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    callback = entry(gopark.cgo.callback(compare))
    array = (ctypes.c_int * 2)(2, 1)

    def plain():
        with pytest.raises(TimeoutError), gopark.timeout(SOON):
            if marked:
                gopark.cgo.call(libc.qsort, array, 2, 4, callback)
                pytest.fail("it went on behind C")
            libc.qsort(array, 2, 4, callback)
            gopark.block(Chan().recv())

    await gopark.spawn(plain)
    assert called == [1]


async def test_a_child_that_is_run_is_killed_in_the_end():
    cmd = gopark.exec.command("sh", "-c", "echo started; sleep 60")
    with pytest.raises(TimeoutError), gopark.timeout(0.3):
        await cmd.output()
    assert "signal: killed" in str(cmd.process_state)
    with pytest.raises(ProcessLookupError):
        cmd.process.kill()


async def test_a_lookup_is_left_behind():
    class Silent:
        async def lookup_host(self, host, *, network="ip", ctx=None):
            await Chan().recv()

    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        await gopark.net.Dialer(resolver=Silent()).dial("tcp", "nowhere.test:1")


async def test_c_that_blocks_is_met_at_the_next_wait():
    seen = []
    with pytest.raises(TimeoutError), gopark.timeout(SOON) as t:
        done = threading.Event()
        threading.Timer(4 * SOON, done.set).start()
        seen.append(gopark.cgo.call(done.wait))  # its result is not lost
        assert t.expired
        await Chan().recv()
    assert seen == [True]


async def test_a_plain_goroutine_keeps_what_c_has_returned_though_time_is_up():
    """On its way back it waits for a P, on the queue of those that give way."""

    def plain():
        with gopark.timeout(SOON) as t:
            gopark.block(gopark.gosched())
            done = threading.Event()
            threading.Timer(4 * SOON, done.set).start()
            result = gopark.cgo.call(done.wait)
            assert t.expired
            return result

    before = gopark.runtime.gomaxprocs(1)
    busy = gopark.spawn(spinning)  # it has the P meanwhile
    try:
        assert await gopark.spawn(plain)
    finally:
        busy.cancel()
        gopark.runtime.gomaxprocs(before)
    with pytest.raises(context.Canceled):
        await busy


# --- by level, and what is lost ----------------------------------------------------


async def test_every_wait_raises_until_the_block_is_left():
    raised = []
    with pytest.raises(TimeoutError) as caught, gopark.timeout(0):
        for wait in (Chan().recv, Chan().recv, gopark.gosched):
            try:
                await wait()
            except ScopeEnded as exc:
                raised.append(exc)
        await gopark.time.sleep(3600)
    assert len(set(map(id, raised))) == 3, "each wait raises an object of its own"
    assert caught.value.__cause__ not in raised
    await gopark.gosched()  # and none after it


async def test_what_does_not_have_to_wait_keeps_its_result():
    ch = Chan(2)
    with gopark.timeout(0) as t:
        await ch.send("a")
        await ch.send("b")
        assert await ch.recv() == "a"
        assert await select(recv(ch)) == (0, "b", True)
        async with Mutex():
            pass
    assert t.expired


async def test_a_block_that_keeps_the_exception_to_itself_has_been_in_time():
    with gopark.timeout(0) as t:
        try:
            await Chan().recv()
        except ScopeEnded:
            pass
    assert t.expired


async def test_except_exception_lets_it_pass():
    with pytest.raises(TimeoutError), gopark.timeout(0):
        try:
            await Chan().recv()
        except Exception:
            pytest.fail("it was caught")


async def test_another_exception_passes_unchanged():
    with pytest.raises(KeyError, match="mine"), gopark.timeout(0):
        try:
            await Chan().recv()
        finally:
            raise KeyError("mine")


async def test_who_is_handed_a_value_has_it_even_if_time_is_up_before_it_runs():
    """Who took it off its queue owns its wake-up."""
    ch, out, scopes = Chan(), Chan(), []

    async def receiver():
        with gopark.timeout(60) as t:
            scopes.append(t)
            got = [await ch.recv()]
            try:
                await ch.recv()
            except ScopeEnded:
                got.append("over")
        await out.send(got)

    gopark.go(receiver)
    await wait_all_parked()
    await ch.send("a value")  # it is runnable, and most of the time has not run
    end(scopes.pop())
    assert await out.recv() == ["a value", "over"]


async def test_a_send_that_was_ended_has_sent_nothing():
    ch = Chan()
    with pytest.raises(TimeoutError), gopark.timeout(0):
        await ch.send("lost")
    with pytest.raises(TimeoutError), gopark.timeout(0):
        await select(send(ch, "lost"), send(Chan(), "lost"))
    assert ch.try_recv() == (None, False, False)


async def test_a_condition_is_left_with_its_lock_held():
    mu = Mutex()
    cond = Cond(mu)
    async with mu:
        with pytest.raises(TimeoutError), gopark.timeout(0):
            await cond.wait()
        assert not mu.try_lock()
        gopark.go(cond.signal)
        await cond.wait()
    assert mu.try_lock()


async def test_a_condition_waits_for_its_lock_although_time_is_up(run):
    mu, order = Mutex(), []
    cond = Cond(mu)

    async def holder():
        async with mu:
            await gopark.time.sleep(4 * SOON)
            order.append("holder is done")

    async with mu:
        with pytest.raises(TimeoutError), gopark.timeout(SOON):
            gopark.go(holder)
            await cond.wait()
        order.append("has the lock")
    assert order == ["holder is done", "has the lock"]


async def test_a_lock_that_was_not_had_in_time_can_be_had_by_others():
    mu, rw = Mutex(), RWMutex()
    await mu.lock()
    await rw.rlock()
    for lock in (mu.lock, rw.lock):
        with pytest.raises(TimeoutError), gopark.timeout(0):
            await lock()
    assert rw.try_rlock()  # no writer is announced any more
    rw.runlock()
    rw.runlock()
    mu.unlock()
    assert mu.try_lock()
    assert rw.try_lock()


async def test_a_once_whose_function_was_ended_is_not_done():
    once, ran = Once(), []

    async def work(wait):
        if wait:
            await Chan().recv()
        ran.append("done")

    with pytest.raises(TimeoutError), gopark.timeout(0):
        await once.do(work, True)
    await once.do(work, False)
    assert ran == ["done"]


async def test_a_once_value_that_was_ended_is_asked_for_again():
    waits = [True]

    @gopark.sync.once_value
    async def value():
        if waits.pop():
            await Chan().recv()
        return 42

    with pytest.raises(TimeoutError), gopark.timeout(0):
        await value()
    waits.append(False)
    assert await value() == 42


# --- one in the other ----------------------------------------------------


async def test_they_end_from_the_outside_in():
    seen = []
    with pytest.raises(TimeoutError) as caught, gopark.timeout(0) as outer:
        with gopark.timeout(0) as inner:
            try:
                await Chan().recv()
            except ScopeEnded as exc:
                seen.append(exc.scope)
                raise
    assert seen == [outer]
    assert inner.expired
    assert caught.value.__cause__.scope is outer


async def test_the_inner_one_ends_alone():
    with gopark.timeout(60) as outer:
        with pytest.raises(TimeoutError), gopark.timeout(0):
            await Chan().recv()
        await gopark.gosched()
        await gopark.time.sleep(0.0001)
    assert not outer.expired
    assert type(getg()) is G, "it has its own class again"


async def test_goroutines_started_inside_are_not_in_it():
    out = Chan()

    async def inside():
        await gopark.time.sleep(4 * SOON)
        await out.send("not ended")

    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        gopark.go(inside)
        await Chan().recv()
    assert await out.recv() == "not ended"


async def test_a_group_waits_for_its_functions_although_time_is_up():
    ended = []

    async def slow():
        await gopark.time.sleep(4 * SOON)
        ended.append("slow")

    async def told(ctx):
        await ctx.done().recv()
        ended.append("told")

    with pytest.raises(TimeoutError), gopark.timeout(SOON):
        async with errgroup.Group() as g:
            g.go(slow)
            g.go(told, g.ctx)
    assert ended == ["told", "slow"]


# --- time ----------------------------------------------------


async def test_it_can_be_put_off_and_brought_forward():
    with gopark.timeout(SOON) as t:
        t.reschedule(gopark.time.monotonic() + 60)
        await gopark.time.sleep(2 * SOON)
        assert not t.expired
        t.reschedule(None)
        assert t.deadline is None
        await gopark.time.sleep(0.0001)
    with pytest.raises(TimeoutError), gopark.timeout(None) as t:
        assert t.deadline is None
        t.reschedule(gopark.time.monotonic() + SOON)
        await Chan().recv()
    with pytest.raises(TimeoutError), gopark.timeout(60) as t:
        t.reschedule(gopark.time.monotonic() - 1)
        assert t.expired
        await gopark.gosched()


async def test_async_with_does_the_same():
    with pytest.raises(TimeoutError):
        async with gopark.timeout(SOON) as t:
            assert t.deadline > gopark.time.monotonic()
            await Chan().recv()


def test_in_virtual_time():
    from gopark.testing import synctest

    elapsed = gopark.time.monotonic

    async def bubble():
        began = elapsed()
        with pytest.raises(TimeoutError), gopark.timeout(3600):
            await Chan().recv()
        assert elapsed() - began == 3600
        with pytest.raises(TimeoutError), gopark.timeout(0):  # the clock does not move for it
            await gopark.time.sleep(60)
        assert elapsed() - began == 3600
        with gopark.timeout(60):
            with pytest.raises(TimeoutError), gopark.timeout(5):
                await gopark.time.sleep(10)
            with gopark.timeout(1), context.shield():
                await gopark.time.sleep(10)
        assert elapsed() - began == 3615
        task = gopark.spawn(gopark.time.sleep, 1000)
        await synctest.wait()
        task.cancel()
        with pytest.raises(context.Canceled):
            await task
        assert elapsed() - began == 3615

    async def main():
        await gopark.spawn(synctest.test, bubble)

    gopark.run(main)


# --- mistakes ----------------------------------------------------


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(ValueError, match=f"timeout: the time must .*{seconds}"):
        gopark.timeout(seconds)


@pytest.mark.parametrize("seconds", ["5", True, [], 5j])
def test_what_is_no_time_is_refused(seconds):
    with pytest.raises(TypeError, match="timeout: the time must be a number of seconds, got"):
        gopark.timeout(seconds)


def test_outside_of_a_goroutine_it_says_where_it_belongs():
    with pytest.raises(gopark.NotOnGError, match=r"timeout\(5.0\) is entered where no goroutine"):
        gopark.timeout(5).__enter__()


async def test_it_is_entered_once():
    t = gopark.timeout(5)
    with t, pytest.raises(RuntimeError, match=r"timeout\(5.0\) has been entered before: make"):
        t.__enter__()
    with pytest.raises(RuntimeError, match="has been entered before"):
        t.__enter__()


async def test_it_is_not_rescheduled_once_it_is_over_or_left():
    t = gopark.timeout(5)
    with pytest.raises(RuntimeError, match="is not entered"):
        t.reschedule(None)
    with t:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        t.reschedule(None)
    with gopark.timeout(0) as t, pytest.raises(RuntimeError, match="is over"):
        t.reschedule(None)
    with gopark.timeout(1) as t, pytest.raises(TypeError, match="reschedule: the time must be"):
        t.reschedule("soon")


async def test_leaving_in_another_order_is_an_error_that_names_both():
    outer, inner = gopark.timeout(5), gopark.timeout(6)
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match=r"timeout\(5.0\) is left while timeout\(6.0\), ent"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    await gopark.gosched()


async def test_leaving_it_in_another_goroutine_is_an_error_that_names_both():
    t, out = gopark.timeout(5), Chan()

    async def other():
        try:
            t.__exit__(None, None, None)
        except RuntimeError as exc:
            await out.send(str(exc))

    me = getg().goid
    t.__enter__()
    gopark.go(other)
    assert f"timeout(5.0) was entered by goroutine {me} and is left by goroutine" in str(
        await out.recv()
    )
    with gopark.timeout(0), pytest.raises(ScopeEnded):
        await gopark.gosched()


async def test_a_goroutine_is_not_in_what_the_one_before_it_has_left_open():
    """A G is used again; what was open in it belongs to a goroutine that has ended."""
    left, out = [], Chan()

    async def leaves(seconds):
        t = gopark.timeout(seconds)
        t.__enter__()
        left.append(t)

    async def waits():
        await gopark.gosched()
        await gopark.time.sleep(2 * SOON)
        await out.send(type(getg()))

    for seconds in (0, SOON):
        gopark.go(leaves, seconds)
        await wait_all_parked()
        gopark.go(waits)
        assert await out.recv() is G
    left.clear()


async def test_a_generator_that_is_closed_elsewhere_says_nothing():
    def numbers():
        with gopark.timeout(5):
            yield 1

    it = numbers()
    assert next(it) == 1

    async def closes():
        it.close()

    await gopark.spawn(closes)
    await gopark.gosched()
    with pytest.raises(TimeoutError), gopark.timeout(0):
        await gopark.gosched()
