"""Code that comes in amid the runtime, on a thread that holds one of its locks.

A finaliser that runs where a lock is held is made by a lock's stand-in: who takes the lock drops
the last reference to an object, whose `__del__` then uses what the lock is for.
"""

from __future__ import annotations

import gc
import inspect
import socket
import sys
import threading
from collections import deque

import pytest

import gopark
from gopark import Chan, block, recv, select, send
from gopark._runtime.base import lockrank
from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.sched import finq, lockedm, proc, startm
from gopark._runtime.signal import preempt
from gopark._runtime.twin import native


class Guest:
    """Does something when it is collected."""

    def __init__(self, work):
        self.work = work
        self.me = self

    def __del__(self):
        self.work()


class Crowded(deque):
    """A lock of a channel or a sema; the first who takes it is interrupted at the next line."""

    def __init__(self, works):
        super().__init__([None])
        self.works = works

    def pop(self):
        super().pop()
        if self.works:
            self.works.pop()()


def crowd(thing, work):
    """Have `work` done by code that comes in once somebody has taken the lock of `thing`.

    Its frame lies on that of the runtime's function which has the lock, as a finaliser's does.
    """
    mutex = Crowded([work])
    for owner, name in (
        (thing, "_lock"),
        (getattr(thing, "_sema", None), "lock"),
        (getattr(thing, "_list", None), "lock"),
    ):
        if owner is not None and hasattr(owner, name):
            setattr(owner, name, mutex)
            break
    else:
        raise AssertionError(thing)
    for sema in (getattr(thing, "_readq", None), getattr(thing, "_writeq", None)):
        if sema is not None:
            sema.lock = mutex
    if hasattr(thing, "_unlock"):
        thing._unlock = mutex.append
    return mutex


async def settled(wait_until):
    """What was left to be done has been done."""
    assert wait_until(lambda: not finq._late and finq._helper)


async def test_close_amid_a_send_comes_after_it(wait_until, procs):
    ch = Chan(1)
    crowd(ch, ch.close)
    await ch.send("a")
    await settled(wait_until)
    assert [value async for value in ch] == ["a"]


async def test_what_is_sent_amid_a_receive_is_not_lost(wait_until, procs):
    ch, sent = Chan(2), []
    ch.try_send("a")
    crowd(ch, lambda: sent.append(ch.try_send("b")))
    assert await ch.recv() == "a"
    assert (sent, await ch.recv()) == ([True], "b")


async def test_what_there_is_no_room_for_is_refused(wait_until):
    ch, answers = Chan(1), []
    ch.try_send("a")
    crowd(ch, lambda: answers.append((ch.try_send("b"), ch.try_recv())))
    assert not ch.try_send("c")
    assert answers == [(False, (None, False, False))]
    assert (await ch.recv(), len(ch)) == ("a", 0)


async def test_on_a_closed_channel_it_is_the_same_error():
    ch, errors = Chan(), []
    ch.close()

    def late():
        try:
            ch.try_send(1)
        except gopark.ClosedChannelError as exc:
            errors.append(exc)

    crowd(ch, late)
    assert await ch.recv() is None
    assert len(errors) == 1


async def test_a_select_amid_another_takes_its_default_or_says_that_it_cannot_wait():
    ch, outcomes = Chan(1), []

    def late():
        outcomes.append(block(select(recv(ch), default=True)))
        try:
            block(select(send(ch, 2)))
        except AmidRuntime as exc:
            outcomes.append(exc)

    crowd(ch, late)
    await ch.send(1)
    assert outcomes[0] == (-1, None, False)
    assert "let a goroutine do it: gopark.go(fn)" in str(outcomes[1])


async def test_a_p_that_comes_with_a_wake_up_amid_the_runtime_is_not_lost(wait_until, monkeypatch):
    """The wait is undone, and somebody is quicker. Its thread has its own P still."""
    held, ch, done, got = Chan(1), Chan(), Chan(), []
    takeoff = lockedm._takeoff

    def late(sched, g):
        monkeypatch.undo()
        while not sched.npidle:
            pass  # it works, so sysmon leaves it its P
        assert ch.try_send("given")  # another thread, with the idle P, takes it off a queue
        while g.lockedm.nextp is None:
            pass
        return takeoff(sched, g)

    def guest():
        held.try_send(1)
        done.close()

    before, interval = gopark.runtime.gomaxprocs(2), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        crowd(held, lambda: got.append(block(ch.recv())))
        monkeypatch.setattr(lockedm, "_takeoff", late)
        gopark.go(guest)
        await done.recv()
        await settled(wait_until)
        sched = startm.getsched()
        assert got == ["given"]
        assert wait_until(
            lambda: all((m := p.m) is None or p in (m.p, m.nextp) for p in sched.allp)
        )
    finally:
        sys.setswitchinterval(interval)
        gopark.runtime.gomaxprocs(before)


@pytest.mark.parametrize("wait", [lambda ch: ch.recv(), lambda ch: ch.send(2)])
async def test_who_would_have_to_wait_is_told_and_leaves_nothing_behind(wait):
    """On a channel that is free, too: who wakes it may need the lock that its thread has."""
    held, other, told = Chan(1), Chan(), []

    def late():
        try:
            block(wait(other))
        except AmidRuntime as exc:
            told.append(exc)

    crowd(held, late)
    await held.send(1)
    assert len(told) == 1
    assert not other._recvq
    assert not other._sendq
    assert other.try_recv() == (None, False, False)


class Wanted(deque):
    """A lock of a channel or a sema that another thread has for long, after its first taker."""

    def __init__(self):
        super().__init__([None])
        self.pops = 0

    def pop(self):
        self.pops += 1
        if 1 < self.pops < 100:
            raise IndexError
        return super().pop()


async def _acquire():
    sem = gopark.sync.semaphore.Weighted(1)
    assert sem.try_acquire(1)
    sem._lock = lock = Wanted()
    return lock, sem.acquire(1), lambda: not sem._waiters


async def _receive():
    ch = Chan()
    ch._lock = lock = Wanted()
    ch._unlock = lock.append
    return lock, ch.recv(), lambda: not ch._recvq


async def _select():
    ch = Chan()
    ch._lock = lock = Wanted()
    return lock, select(recv(ch), recv(Chan())), lambda: ch.try_send(1) is False


async def _tick():
    timer = gopark.time.Timer(3600)
    timer.c._lock = lock = Wanted()
    return lock, timer.c.recv(), lambda: not timer.c._recvq


async def _lock():
    mu = gopark.sync.Mutex()
    await mu.lock()
    mu._sema.lock = lock = Wanted()
    return lock, mu.lock(), lambda: not mu._sema.waiters


async def _wait():
    cond = gopark.sync.Cond(gopark.sync.Mutex())
    await cond.locker.lock()
    cond._list.lock = lock = Wanted()
    return lock, cond.wait(), lambda: not cond._list.tickets


async def _read():
    here, there = socket.socketpair()
    conn = gopark.net.from_socket(here)
    fd = conn._fd
    fd.lock = lock = Wanted()
    fd.unlock = lock.append

    def nobody_waits():
        there.send(b"x")
        there.close()
        with conn:
            return fd.rg is None and fd.tryread(1) == b"x"

    return lock, conn.read(), nobody_waits


@pytest.mark.parametrize("kind", [_acquire, _receive, _select, _tick, _lock, _wait, _read])
async def test_a_wait_is_undone_though_others_have_its_lock_just_then(kind):
    held, told = Chan(1), []
    lock, wait, nobody_waits = await kind()

    def late():
        try:
            block(wait)
        except AmidRuntime as exc:
            told.append(exc)

    crowd(held, late)
    await held.send(1)
    assert len(told) == 1
    assert lock.pops >= 100
    assert len(lock) == 1
    assert nobody_waits()


async def test_what_needs_no_wait_is_done_at_once():
    held, other = Chan(1), Chan(1)
    crowd(held, lambda: block(other.send("now")))
    await held.send(1)
    assert other.try_recv() == ("now", True, True)


async def test_done_amid_add_is_counted(wait_until):
    wg = gopark.sync.WaitGroup()
    wg.add(2)
    crowd(wg, wg.done)
    wg.add(1)
    await settled(wait_until)
    assert wg._count == 2


async def test_more_work_is_not_added_late():
    """A goroutine started after it could be done before it."""
    wg, told = gopark.sync.WaitGroup(), []

    def late():
        try:
            wg.add(1)
        except AmidRuntime as exc:
            told.append(exc)

    crowd(wg, late)
    wg.add(1)
    assert (wg._count, len(told)) == (1, 1)


async def test_unlock_amid_a_lock_wakes_who_waits(wait_until, procs):
    mu, order = gopark.sync.Mutex(), []
    await mu.lock()

    async def second():
        async with mu:
            order.append("second")

    crowd(mu, mu.unlock)
    gopark.go(second)
    await gopark.testing.wait_all_parked()
    await settled(wait_until)
    await gopark.testing.wait_all_parked()
    assert order == ["second"]
    assert mu.try_lock()


@pytest.mark.parametrize("writes", [False, True])
async def test_an_rwmutex_is_given_back_amid_a_try(wait_until, writes):
    rw = gopark.sync.RWMutex()
    assert rw.try_lock() if writes else rw.try_rlock()
    answers = []

    def late():
        answers.append((rw.try_rlock(), rw.try_lock()))
        (rw.unlock if writes else rw.runlock)()

    crowd(rw, late)
    rw.try_rlock()
    await settled(wait_until)
    assert answers == [(False, False)]
    if not writes:
        rw.runlock()
    assert rw.try_lock()


async def test_an_rwmutex_that_cannot_be_waited_for_is_not_kept():
    rw, told = gopark.sync.RWMutex(), []

    def late():
        try:
            block(rw.lock())
        except AmidRuntime as exc:
            told.append(exc)

    crowd(rw, late)
    await rw.rlock()
    rw.runlock()
    assert len(told) == 1
    assert rw.try_lock()


async def test_the_next_writer_comes_after_one_that_leaves_amid_a_try(wait_until):
    """Its readers are let in late: before that another one would lose the lock to them."""
    rw, early = gopark.sync.RWMutex(), []
    assert rw.try_lock()

    def late():
        rw.unlock()
        early.append(rw._w.try_lock())

    crowd(rw, late)
    assert not rw.try_rlock()
    await settled(wait_until)
    assert early == [False]
    assert rw.try_lock()


async def test_a_context_is_cancelled_amid_a_look_at_it(wait_until):
    ctx, cancel = gopark.context.with_cancel(gopark.context.background())
    crowd(ctx.done(), cancel)
    assert not ctx.done().try_recv()[2]
    await settled(wait_until)
    assert ctx.done().try_recv() == (None, False, True)


async def test_a_semaphore_is_released_amid_an_acquire(wait_until):
    sem, answers = gopark.sync.semaphore.Weighted(2), []
    await sem.acquire(1)

    def late():
        answers.append(sem.try_acquire(1))
        sem.release(1)

    crowd(sem, late)
    assert sem.try_acquire(1)
    await settled(wait_until)
    assert answers == [False]
    assert sem.try_acquire(1)


@pytest.mark.parametrize("wakes", ["signal", "broadcast"])
async def test_a_condition_is_signalled_amid_a_wait(wait_until, wakes):
    cond, woken = gopark.sync.Cond(gopark.sync.Mutex()), []

    async def waits():
        async with cond.locker:
            await cond.wait()
            woken.append(1)

    gopark.go(waits)
    await gopark.testing.wait_all_parked()
    crowd(cond, getattr(cond, wakes))
    cond.signal()
    await settled(wait_until)
    await gopark.testing.wait_all_parked()
    assert woken == [1]


async def test_a_timer_is_stopped_and_started_amid_a_look_at_it(wait_until):
    timer, answers = gopark.time.Timer(60), []
    mutex = crowd(timer.c, lambda: answers.append(timer.stop()))
    assert timer.c.try_recv() == (None, False, False)
    await settled(wait_until)
    assert answers == [True]
    assert not timer.stop()
    mutex.works.append(lambda: answers.append(timer.reset(0.001)))
    timer.c.try_recv()
    await settled(wait_until)
    assert await timer.c.recv() is not None


@pytest.mark.parametrize("kind", ["main", "go", "signalled"])
def test_unlock_between_a_wait_and_its_end_wakes_who_waits(run, kind):
    """The goroutine has yielded, and its lock is not given back: the collector ran just there."""

    if native is not None and kind != "signalled":
        pytest.skip("the twin's loop is C: nothing of Python's comes in there")
    trap = kind == "signalled"  # then __next__ of ours stands between the scheduler and it
    where = preempt._Trap.__next__.__code__ if trap else proc.schedule.__code__

    async def wait(mu):
        came = []

        def come(frame, event, arg):
            if event == "c_return" and frame.f_code is where and mu._sema.waiters:
                sys.setprofile(None)
                came.append(frame.f_code.co_name)
                mu.unlock()

        if trap:
            g = startm.tls.m.curg
            g.step = preempt._Trap(g, lambda: None)
        sys.setprofile(come)
        await gopark.gosched()  # from here on the scheduler's own frame is seen as well
        await mu.lock()
        return came

    async def main():
        mu = gopark.sync.Mutex()
        assert mu.try_lock()
        if kind != "go":
            return await wait(mu)
        done = Chan()

        async def body():
            await done.send(await wait(mu))

        gopark.go(body)
        return await done.recv()

    assert run(main) == [where.co_name]


def test_goroutines_start_amid_the_scheduler(run, wait_until):
    """`wakep`, with Sched.lock taken by the thread that the collector stops."""
    ran = []

    async def main():
        async def note():
            ran.append(1)

        sched = startm.current()
        with sched.lock:
            Guest(lambda: gopark.go(note))
            gc.collect()
        await settled(wait_until)
        assert wait_until(lambda: gopark.block(gopark.gosched()) or ran)

    before = gopark.runtime.gomaxprocs(4)
    try:
        run(main)
    finally:
        gopark.runtime.gomaxprocs(before)
    assert ran == [1]


def test_without_a_thread_for_it_late_work_is_sysmons(run, wait_until, monkeypatch):
    """Which sleeps while the program is idle. It counts as it is done: the program is not dead."""
    counted, done = [], Chan()

    def refuse(*args):
        raise RuntimeError("can't start new thread")

    def work():
        counted.append(finq.pending())
        done.close()

    def thread():
        assert wait_until(lambda: startm.sysmonwait.on)
        with monkeypatch.context() as patch:
            patch.setattr(finq._thread, "start_new_thread", refuse)
            finq.later(work)
        ended.append(wait_until(lambda: bool(counted), 20))
        if not counted:
            done.close()

    ended = []
    runs = threading.Thread(target=thread)

    async def main():
        gopark.go(gopark.time.sleep, 3600)  # else an idle M looks round, and sysmon with it
        runs.start()
        await done.recv()

    run(main, outside_help=True)
    runs.join()
    assert (ended, counted) == ([True], [True])


async def test_what_late_work_raises_is_told_as_a_finalizers_is(wait_until, monkeypatch):
    told = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_value))
    ch = Chan(1)

    def late():
        ch.close()
        ch.close()

    crowd(ch, late)
    await ch.send(1)
    await settled(wait_until)
    assert [type(exc) for exc in told] == [gopark.ClosedChannelError]
    assert "which a finalizer has asked for" in told[0].__notes__[0]
    told.clear()


def test_code_of_the_users_that_is_called_did_not_come_in(run, wait_until):
    """Else it could not wait: in a goroutine of each kind, in callbacks, under what calls it."""
    seen = {}

    def look(name):
        seen[name] = finq.amid()

    async def main():
        look("async def")
        gopark.go(look, "def")
        block(gopark.gosched())
        await gopark.sync.Once().do(look, "once")
        wg = gopark.sync.WaitGroup()
        wg.go(look, "waitgroup")
        await wg.wait()
        async with gopark.sync.errgroup.Group() as group:
            group.go(look, "errgroup")
        gopark.cgo.callback(look)("callback")
        gopark.cgo.call(look, "cgo.call")
        ctx = gopark.context.background()
        gopark.pprof.do(ctx, gopark.pprof.labels("a", "b"), lambda _: look("pprof.do"))
        gopark.trace.with_region(ctx, "r", lambda: look("region"))
        gopark.time.after_func(0, look, "after_func")
        await gopark.sync.singleflight.Group().do("k", look, "singleflight")
        gopark.runtime.lock_os_thread()
        await gopark.gosched()
        look("locked")
        gopark.runtime.unlock_os_thread()
        thread = threading.Thread(target=lambda: block(blocked()))
        thread.start()
        thread.join()
        assert wait_until(lambda: block(gopark.time.sleep(0.001)) or "after_func" in seen)

    async def blocked():
        look("block")

    run(main)
    assert len(seen) == 13
    assert not any(seen.values()), seen


def test_a_lock_that_its_holder_waits_for_is_told_of_in_a_debug_run(child):
    result = child(
        """
import gopark
from gopark._runtime.sched import startm
async def main():
    with startm.current().lock:
        startm.current().lock.acquire()
gopark.run(main)
""",
        GOPARKDEBUG="lockrank=1",
    )
    assert "Throw: lock SCHED is taken by the thread that holds it" in result.stderr


def test_every_lock_that_waits_knows_of_those_who_come_in():
    """A lock of a channel or a sema is waited for in one place."""
    assert "doors.amid()" in inspect.getsource(lockrank.lockslow)


def test_work_that_was_done_before_its_thread_came_leaves_nothing_behind(child):
    """Else the program seems to be waited for, and its deadlock is never found."""
    result = child(
        """
import time
from collections import deque
import gopark
from gopark._runtime.sched import finq

class Late(deque):
    def append(self, one):
        super().append(one)
        while one[0] is second and (self or not finq._helper):
            time.sleep(0.001)  # until the thread that does the first has done this too, and ended

finq._late = Late()
def first():
    while not finq._late:
        time.sleep(0.001)
def second(): ...
async def main():
    finq.later(first)
    finq.later(second)
    await gopark.Chan().recv()
gopark.run(main)
"""
    )
    assert result.returncode == 2
    assert result.stderr.startswith("fatal error: all goroutines are asleep - deadlock!")
