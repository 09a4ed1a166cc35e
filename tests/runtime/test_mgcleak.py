"""Who waits for ever, and who must not be said to. Go: testdata/testgoroutineleakprofile."""

from __future__ import annotations

import contextlib
import gc
import io
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import gopark
from gopark import Chan, recv, select, send
from gopark.debug import Leak, leaks
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup, errgroup, semaphore
from gopark.testing import wait_all_parked
from harness import Ended, start_python

_global: dict[str, Any] = {}


async def found() -> list[Leak]:
    await wait_all_parked()
    return leaks()


async def reasons() -> list[str]:
    return sorted(leak.reason for leak in await found())


# --- each way to wait --------------------------------------------------------------------------


async def receive() -> None:
    await Chan().recv()


async def receive_ok() -> None:
    await Chan().recv_ok()


async def range_over() -> None:
    async for _ in Chan():
        pass


async def send_unbuffered() -> None:
    await Chan().send(1)


async def send_full() -> None:
    ch = Chan(1)
    await ch.send(1)
    await ch.send(2)


async def select_two() -> None:
    await select(recv(Chan()), send(Chan(), 1))


async def nil_channels() -> None:
    await select(recv(None), send(None, 1))


async def select_none() -> None:
    await select()


async def wait_group() -> None:
    wg = WaitGroup()
    wg.add(1)
    await wg.wait()


async def mutex_twice() -> None:
    mu = Mutex()
    await mu.lock()
    await mu.lock()


async def with_mutex() -> None:
    mu = Mutex()
    async with mu, mu:
        pass


async def rlock_under_lock() -> None:
    mu = RWMutex()
    await mu.lock()
    await mu.rlock()


async def lock_twice() -> None:
    mu = RWMutex()
    await mu.lock()
    await mu.lock()


async def lock_under_rlock() -> None:
    mu = RWMutex()
    await mu.rlock()
    await mu.lock()


async def cond() -> None:
    c = Cond(Mutex())
    async with c.locker:
        await c.wait()


async def stopped_timer() -> None:
    timer = gopark.time.Timer(3600)
    timer.stop()
    await timer.c.recv()


async def context_nobody_cancels() -> None:
    ctx, _ = gopark.context.with_cancel(gopark.context.background())
    await ctx.done().recv()


async def weighted() -> None:
    sem = semaphore.Weighted(1)
    await sem.acquire()
    await sem.acquire()


@pytest.mark.parametrize(
    ("wait", "reason"),
    [
        (receive, "chan receive"),
        (receive_ok, "chan receive"),
        (range_over, "chan receive"),
        (send_unbuffered, "chan send"),
        (send_full, "chan send"),
        (select_two, "select"),
        (nil_channels, "select"),
        (select_none, "select (no cases)"),
        (wait_group, "sync.WaitGroup.Wait"),
        (mutex_twice, "sync.Mutex.Lock"),
        (with_mutex, "sync.Mutex.Lock"),
        (rlock_under_lock, "sync.RWMutex.RLock"),
        (lock_twice, "sync.Mutex.Lock"),
        (lock_under_rlock, "sync.RWMutex.Lock"),
        (cond, "sync.Cond.Wait"),
        (stopped_timer, "chan receive"),
        (context_nobody_cancels, "chan receive"),
        (weighted, "select"),
    ],
)
async def test_a_wait_that_nobody_can_end_is_a_leak(
    procs: int, wait: Callable[[], Awaitable[None]], reason: str
) -> None:
    gopark.go(wait)
    [leak] = await found()
    assert leak.reason == reason
    assert leak.stack.startswith(f"goroutine {leak.goid} [{reason} (leaked)]:\n")


async def test_the_other_goroutines_are_woken_and_not_leaked(procs: int) -> None:
    """A hundred at once, so that what the scheduler holds by the way is met with."""
    ch: Chan[int] = Chan()
    for wait in (receive, send_unbuffered, select_two, mutex_twice, cond):
        for _ in range(20):
            gopark.go(wait)
            gopark.go(ch.recv)
    assert len(await found()) == 100
    ch.close()


# --- who is reachable --------------------------------------------------------------------------


async def test_what_a_running_goroutine_holds_is_no_leak(procs: int) -> None:
    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    assert await reasons() == []
    ch.close()


async def test_what_a_global_holds_is_no_leak() -> None:
    """Go: NoLeakGlobal."""

    async def wait() -> None:
        await _global["ch"].recv()

    _global["ch"] = Chan()
    gopark.go(wait)
    assert await reasons() == []
    _global.clear()
    assert await reasons() == ["chan receive"]


async def test_what_a_sleeper_holds_is_no_leak(procs: int) -> None:
    """Go: DaisyChain."""

    async def link(left: Chan[int], right: Chan[int]) -> None:
        await right.recv()
        await left.send(1)

    async def last(right: Chan[int]) -> None:
        await gopark.time.sleep(3600)
        await right.send(1)

    async def start() -> None:
        left: Chan[int] = Chan()
        gopark.go(left.recv)
        for _ in range(50):
            right: Chan[int] = Chan()
            gopark.go(link, left, right)
            left = right
        gopark.go(last, left)

    gopark.go(start)
    assert await reasons() == []


async def test_a_chain_that_nobody_begins_is_a_leak() -> None:
    async def link(left: Chan[int], right: Chan[int]) -> None:
        await right.recv()
        await left.send(1)

    async def start() -> None:
        left: Chan[int] = Chan()
        for _ in range(50):
            right: Chan[int] = Chan()
            gopark.go(link, left, right)
            left = right

    gopark.go(start)
    assert await reasons() == ["chan receive"] * 50


@pytest.mark.parametrize(
    "timed",
    [
        lambda: gopark.time.after(3600),
        lambda: gopark.time.Ticker(3600).c,
        lambda: gopark.context.with_timeout(gopark.context.background(), 3600)[0].done(),
    ],
)
@pytest.mark.parametrize("how", [lambda ch: ch.recv(), lambda ch: select(recv(ch), recv(Chan()))])
async def test_a_clock_that_runs_is_a_waker(
    timed: Callable[[], Chan[Any]], how: Callable[[Chan[Any]], Awaitable[Any]]
) -> None:
    async def wait() -> None:
        await how(timed())

    gopark.go(wait)
    assert await reasons() == []


async def test_who_may_end_a_scope_is_a_waker() -> None:
    """A time, who has the context, who has the task; without any of them it waits for ever."""

    async def timed(seconds: float | None) -> None:
        with gopark.timeout(seconds):
            await receive()

    async def told(ctx: gopark.context.Context) -> None:
        with contextlib.suppress(gopark.context.Canceled), gopark.context.scope(ctx):
            await receive()

    async def shielded() -> None:
        with gopark.timeout(60), gopark.context.shield():
            await receive()

    ctx, cancel = gopark.context.with_cancel(gopark.context.background())
    soon = gopark.context.with_timeout(gopark.context.background(), 60)
    task = gopark.spawn(receive)
    gopark.go(timed, 60)
    gopark.go(told, ctx)
    gopark.go(told, soon.ctx)
    assert await found() == []
    gopark.go(timed, None)
    gopark.go(shielded)
    gopark.go(told, gopark.context.background())
    gopark.go(told, gopark.context.with_cancel(gopark.context.background()).ctx)
    gopark.spawn(receive)
    assert await reasons() == ["chan receive"] * 5
    soon.cancel()
    task.cancel()
    cancel()


async def test_a_function_that_starts_later_is_a_waker() -> None:
    async def wait() -> None:
        ch: Chan[int] = Chan()
        gopark.time.after_func(3600, ch.close)
        await ch.recv()

    gopark.go(wait)
    assert await reasons() == []


async def test_a_bound_method_that_others_hold_is_a_waker() -> None:
    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    kept = [ch.close]
    del ch
    assert await reasons() == []
    kept.pop()()


async def test_a_plain_function_that_computes_is_a_waker() -> None:
    stop = threading.Event()
    started: Chan[int] = Chan()

    def compute(ch: Chan[int]) -> None:
        gopark.block(started.send(1))
        stop.wait()
        ch.close()

    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    gopark.go(compute, ch)
    del ch
    await started.recv()
    assert leaks() == []
    stop.set()


@pytest.mark.outside_help
async def test_a_thread_of_python_is_a_waker() -> None:
    stop = threading.Event()
    ch: Chan[int] = Chan()
    thread = threading.Thread(target=lambda ch: (stop.wait(), ch.close()), args=(ch,))
    thread.start()
    gopark.go(ch.recv)
    del ch
    assert await reasons() == []
    stop.set()
    await wait_all_parked()
    gopark.cgo.call(thread.join)


async def test_a_listener_for_signals_is_no_leak() -> None:
    async def wait() -> None:
        ch: Chan[Any] = Chan(1)
        gopark.signal.notify(ch, 10)
        await ch.recv()

    gopark.go(wait)
    assert await reasons() == []


async def test_a_select_that_is_over_keeps_nothing(procs: int) -> None:
    """An M keeps the unlock function of the last wait it saw, and that one the channels."""

    async def choose(stop: Chan[None], ch: Chan[int]) -> None:
        await select(recv(stop), recv(ch))

    stop: Chan[None] = Chan()
    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    await wait_all_parked()
    gopark.go(choose, stop, ch)
    del ch
    assert await reasons() == []
    stop.close()
    assert await reasons() == ["chan receive"]


async def test_a_weak_reference_counts_as_one() -> None:
    """Who has it may make a strong one of it at any time."""
    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    ref = weakref.ref(ch)
    del ch
    assert await reasons() == []
    again = ref()
    assert again is not None
    again.close()


async def test_a_weak_reference_among_the_leaked_is_none() -> None:
    async def wait() -> None:
        ch: Chan[int] = Chan()
        refs = [weakref.ref(ch), weakref.ref(ch, lambda _: None)]
        await ch.recv()
        refs.clear()

    gopark.go(wait)
    assert await reasons() == ["chan receive"]


async def test_garbage_holds_nobody() -> None:
    ch: Chan[int] = Chan()
    gopark.go(ch.recv)
    cycle: list[Any] = [ch]
    cycle.append(cycle)
    del ch, cycle
    assert await reasons() == ["chan receive"]


async def test_async_generators_are_looked_through() -> None:
    async def values() -> Any:
        ch: Chan[int] = Chan()
        yield 1
        await ch.recv()
        yield 2

    async def wait() -> None:
        async for _ in values():
            pass

    gopark.go(wait)
    assert await reasons() == ["chan receive"]


async def test_a_leak_found_twice_is_found_twice(procs: int) -> None:
    """What the first search returned, or left in dumps, keeps nothing alive."""
    gopark.go(receive)
    first = await found()
    second = leaks()
    assert first == second != []


async def test_many_searches_at_once() -> None:
    """Go: SpawnGC."""
    gopark.go(receive)
    await wait_all_parked()
    counts: Chan[int] = Chan(4)

    def search() -> None:
        counts.try_send(len(leaks()))

    async with WaitGroup() as wg:
        for _ in range(4):
            wg.go(search)
    assert [await counts.recv() for _ in range(4)] == [1] * 4


async def test_no_false_alarm_while_references_move(procs: int) -> None:
    """The only way to some goroutines is a channel that is always on its way to somebody else."""
    results: list[list[Leak]] = []
    over: list[bool] = []

    async def juggle(ring: Chan[Any]) -> None:
        while not over:
            ball = await ring.recv()
            inner = ball.pop()  # now on this stack alone
            await gopark.gosched()
            await ring.send([inner])
            del ball, inner

    async def catch(ring: Chan[Any]) -> None:
        ch: Chan[int] = Chan()
        await ring.send([ch])
        await ch.recv()

    def search() -> None:
        results.extend(leaks() for _ in range(10))
        over.append(True)

    ring: Chan[Any] = Chan(20)
    for _ in range(10):
        gopark.go(catch, ring)
    async with WaitGroup() as wg:
        wg.go(search)
        for _ in range(4):
            wg.go(juggle, ring)
    assert results == [[]] * 10
    while len(ring):
        (await ring.recv()).pop().close()


async def test_no_search_leaves_collection_off() -> None:
    assert gc.isenabled()
    leaks()
    assert gc.isenabled()


# --- main ----------------------------------------------------------------------------------------


def _whilewaits(main: Callable[[Chan[int]], Awaitable[Any]]) -> list[tuple[int, str]]:
    """What another goroutine finds while main waits; then the program is dead."""
    seen = []

    async def watch() -> None:
        seen.extend([(leak.goid == 1, leak.reason) for leak in await found()])

    async def start() -> None:
        ch: Chan[int] = Chan()
        gopark.go(ch.recv)
        gopark.go(watch)
        await main(ch)

    gopark.debug.strict_deadlock()
    try:
        with pytest.raises(gopark.DeadlockError):
            gopark.run(start)
    finally:
        gopark.debug.strict_deadlock(False)
    return seen


def test_main_may_leak_like_the_others(procs: int) -> None:
    assert _whilewaits(_receive) == [
        (True, "chan receive"),
        (False, "chan receive"),
    ]


async def _receive(ch: Chan[int]) -> None:
    await ch.recv()


def test_main_in_an_empty_select_holds_for_nobody(procs: int) -> None:
    """And it is no leak itself. Go: SelectNoCasesMain."""
    assert _whilewaits(lambda _: select()) == [(False, "chan receive")]


# --- what a record says ---------------------------------------------------------------------


async def test_a_cycle_of_locks_names_its_members(procs: int) -> None:
    async def both(first: Mutex, second: Mutex, meet: WaitGroup) -> None:
        async with first:
            meet.done()
            await meet.wait()
            async with second:
                pass

    async def start() -> None:
        a, b, meet = Mutex(), Mutex(), WaitGroup()
        meet.add(2)
        gopark.go(both, a, b, meet)
        gopark.go(both, b, a, meet)

    gopark.go(start)
    one, two = await found()
    assert (one.known_to, two.known_to) == ((two.goid,), (one.goid,))
    assert one.waits_on[0].startswith("<Mutex locked at ")
    assert one.waits_on != two.waits_on
    assert one.reason == two.reason == "sync.Mutex.Lock"


async def test_a_record_is_text_and_numbers() -> None:
    async def worker(jobs: Chan[int]) -> None:
        await jobs.recv()

    gopark.go(worker, Chan(3))
    [leak] = await found()
    assert leak.waits_on[0].startswith("<Chan 0/3 at ")
    assert leak.created_by.endswith("test_a_record_is_text_and_numbers")
    assert leak.parent == 1
    assert leak.known_to == ()
    assert str(leak) == leak.stack
    assert ".worker(...)" in leak.stack.splitlines()[1]


async def test_dumps_say_it_from_then_on() -> None:
    gopark.go(receive)
    await wait_all_parked()
    assert "(leaked)" not in gopark.runtime.stack(all=True)
    leaks()
    assert "[chan receive (leaked)]:" in gopark.runtime.stack(all=True)


@pytest.mark.parametrize("debug", [1, 2])
async def test_the_profile_searches_before_it_is_written(debug: int) -> None:
    gopark.go(receive)
    await wait_all_parked()
    profile, text = gopark.pprof.lookup("goroutineleak"), io.StringIO()
    assert profile is not None
    profile.write_to(text, debug=debug)
    if debug == 1:
        assert text.getvalue().startswith("goroutineleak profile: total 1\n")
    else:
        assert "[running]:" in text.getvalue()
        assert "[chan receive (leaked)]:" in text.getvalue()
    assert profile.count() == 1


async def test_an_errgroup_that_waits_for_a_leaked_one_is_leaked() -> None:
    async def start() -> None:
        group = errgroup.Group()
        group.go(receive)
        await group.wait()

    gopark.go(start)
    assert await reasons() == ["chan receive", "sync.WaitGroup.Wait"]


def test_a_finaliser_that_a_search_calls_may_search_too() -> None:
    program = """if True:
        import gopark

        class Watched:
            def __init__(self):
                self.me = self

            def __del__(self):
                print(gopark.debug.leaks())

        Watched()
        print(gopark.debug.leaks())
    """
    assert start_python(["-c", program]).end() == Ended("[]\n[]\n", "", 0)
