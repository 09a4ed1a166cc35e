"""The boundary to C: callbacks from every kind of thread, calls out, what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import gc
import sys
import threading
import time
import weakref

import pytest

import gopark
from gopark import Chan, cgo, recv, select
from gopark._runtime.base import runtime2
from gopark._runtime.c import cgocall, extram
from gopark.testing import wait_all_parked

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")
UNARY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


class Thing:
    """Something a weak reference can watch."""


# --- callbacks, on every kind of thread -------------------------------------------------------


def test_a_callback_returns_what_its_function_returns():
    assert UNARY(cgo.callback(lambda n: 2 * n))(21) == 42

    async def twice(n):
        await gopark.gosched()
        return 2 * n

    assert UNARY(cgo.callback(twice))(21) == 42


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_callback_from_a_c_thread_is_a_goroutine_without_run(cthread, asynchronous):
    """Go: testprogcgo NumGoroutine, with no main goroutine."""
    counts = []

    def plain(arg):
        counts.append((arg, gopark.runtime.num_goroutine()))

    async def asyncly(arg):
        plain(arg)

    thread = cthread(cgo.callback(asyncly if asynchronous else plain), 7)
    thread.join()
    assert counts == [(7, 1)]
    assert gopark.runtime.num_goroutine() == 0


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callback_on_a_c_thread_uses_channels_both_ways(cthread, asynchronous):
    there, back = Chan(), Chan()

    async def asyncly(_):
        async for value in there:
            await back.send(value + 1)
        back.close()

    def plain(_):
        for value in there:
            gopark.block(back.send(value + 1))
        back.close()

    thread = cthread(cgo.callback(asyncly if asynchronous else plain))
    for n in range(20):
        await there.send(n)
        assert await back.recv() == n + 1
    there.close()
    assert await back.recv_ok() == (None, False)
    thread.join()
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_select_sleep_and_gosched_work_in_a_callback(cthread):
    ch, never, result = Chan(), Chan(), Chan(1)

    async def callback(_):
        await gopark.gosched()
        await gopark.time.sleep(0.001)
        first = await select(recv(never), recv(gopark.time.after(0.001)))
        second = await select(recv(ch))
        await result.send((first[0], second))

    thread = cthread(cgo.callback(callback))
    await ch.send("v")
    assert await result.recv() == (1, (0, "v", True))
    thread.join()


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_callbacks_from_python_threads_are_goroutines(cthread):
    counts, gate, inside = [], Chan(), Chan()

    def callback(n):
        gopark.block(inside.send(n))
        gopark.block(gate.recv())
        return n + 1

    entry = UNARY(cgo.callback(callback))
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(entry(n))) for n in range(5)]
    for thread in threads:
        thread.start()
    for _ in threads:
        await inside.recv()
        counts.append(gopark.runtime.num_goroutine())
    assert counts[-1] == 6
    gate.close()
    for thread in threads:
        cgo.call(thread.join)
    assert sorted(results) == [1, 2, 3, 4, 5]
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


def test_many_callbacks_of_one_c_thread_come_in_on_one_extra_m(cthread, on_thread_exit):
    """Go: testprogcgo EnsureBindM: the M stays with its thread between callbacks."""
    ms, counts = [], []

    def callback(_):
        ms.append(runtime2.tls.m.mid)
        counts.append(gopark.runtime.num_goroutine())
        if len(ms) == 1:
            on_thread_exit(entry, 100)

    entry = cthread.start_type(cgo.callback(callback))
    cthread(entry).join()
    assert len(ms) == 101
    assert len(set(ms)) == 1
    assert set(counts) == {1}
    assert extram.inuse() == [] or all(m.mid not in ms for m in extram.inuse())


async def test_a_callback_inside_a_callback_is_one_goroutine(qsort):
    """Go: Python -> C -> Python on one goroutine."""
    depths, counts, goids = [], [], set()

    def compare(a, b):
        counts.append(gopark.runtime.num_goroutine())
        goids.add(runtime2.getg().goid)
        depths.append(runtime2.tls.m.ncgo)
        if len(depths) < 20:
            assert qsort([2, 1], compare) == [1, 2]
        return a - b

    assert qsort([3, 1, 2], compare) == [1, 2, 3]
    assert set(counts) == {1}
    assert goids == {1}
    assert max(depths) >= 10
    assert runtime2.tls.m.ncgo == 0


@pytest.mark.outside_help
async def test_a_nested_callback_on_a_c_thread_is_its_callbacks_goroutine(cthread, qsort):
    counts = []

    def compare(a, b):
        counts.append(gopark.runtime.num_goroutine())
        return a - b

    def callback(_):
        assert qsort([3, 1, 2], compare) == [1, 2, 3]

    cthread(cgo.callback(callback)).join()
    assert set(counts) == {2}


@pytest.mark.usefixtures("procs")
async def test_a_nested_callback_may_wait_while_others_run(qsort):
    ask, answer, result = Chan(), Chan(), Chan(1)

    async def server():
        async for a, b in ask:
            await answer.send(a - b)

    def compare(a, b):
        gopark.block(ask.send((a, b)))
        return gopark.block(answer.recv())

    gopark.go(server)
    gopark.go(lambda: result.try_send(qsort([5, 3, 4, 1, 2], compare)))
    assert await result.recv() == [1, 2, 3, 4, 5]
    ask.close()


async def test_an_async_def_may_be_the_nested_callback(qsort):
    async def compare(a, b):
        await gopark.gosched()
        return a[0] - b[0]

    from ctypes import POINTER, c_int

    proto = ctypes.CFUNCTYPE(c_int, POINTER(c_int), POINTER(c_int))
    array = (c_int * 4)(4, 2, 3, 1)
    cgo.call(ctypes.CDLL(None).qsort, array, 4, 4, proto(cgo.callback(compare)))
    assert list(array) == [1, 2, 3, 4]


def test_a_callback_works_under_asyncio_and_from_plain_python():
    entry = UNARY(cgo.callback(lambda n: n + 1))

    async def main():
        return entry(1)

    assert asyncio.run(main()) == 2
    assert entry(2) == 3
    assert gopark.runtime.num_goroutine() == 0


def test_block_outside_any_goroutine_is_one_for_the_time_of_the_call():
    counts = []

    async def work():
        counts.append(gopark.runtime.num_goroutine())
        await gopark.time.sleep(0.001)
        return "result"

    assert gopark.block(work()) == "result"
    assert counts == [1]
    assert gopark.runtime.num_goroutine() == 0


def test_block_passes_an_exception_through_outside_any_goroutine():
    async def work():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gopark.block(work())
    assert gopark.runtime.num_goroutine() == 0


# --- what callbacks leave behind --------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True])
def test_nothing_of_a_callback_outlives_it(cthread, on_thread_exit, asynchronous):
    """Go: dead stacks are not scanned: what the last callback held dies with it."""
    refs, alive_after = [], []

    def plain(_):
        thing = Thing()
        refs.append(weakref.ref(thing))
        var.set(thing)
        on_thread_exit(look)
        return None

    async def asyncly(_):
        await gopark.gosched()
        plain(_)

    def looking(_):  # on the same thread, whose M is still bound
        gc.collect()
        alive_after.append(refs[0]() is not None)

    look = cthread.start_type(cgo.callback(looking))
    cthread(cgo.callback(asyncly if asynchronous else plain)).join()
    assert alive_after == [False]


def test_context_variables_do_not_leak_between_two_callbacks_on_one_thread(cthread, on_thread_exit):
    seen = []

    def callback(_):
        seen.append(var.get())
        var.set(f"set by callback {len(seen)}")
        if len(seen) == 1:
            on_thread_exit(entry, 3)

    entry = cthread.start_type(cgo.callback(callback))
    cthread(entry).join()
    assert seen == ["unset"] * 4


def test_context_variables_do_not_leak_from_a_waiting_callback(cthread, on_thread_exit):
    seen = []

    async def callback(_):
        seen.append(var.get())
        var.set("mine")
        await gopark.time.sleep(0.001)
        seen.append(var.get())
        if len(seen) == 2:
            on_thread_exit(entry)

    entry = cthread.start_type(cgo.callback(callback))
    cthread(entry).join()
    assert seen == ["unset", "mine", "unset", "mine"]


def test_an_exceptionless_callback_object_is_freed_with_its_last_reference():
    thing = Thing()
    ref = weakref.ref(thing)
    entry = cgo.callback(lambda thing=thing: thing)
    gc.collect()
    before = cgocall.nlive()
    assert entry() is thing
    del thing, entry
    gc.collect()
    assert ref() is None
    assert cgocall.nlive() == before - 1


def test_threads_of_c_leave_nothing_in_threading_enumerate(cthread):
    """Plain CPython 3.11 keeps a _DummyThread for a C thread that is long gone."""
    before = threading.enumerate()

    def callback(_):
        threading.current_thread()

    for _ in range(10):
        cthread(cgo.callback(callback)).join()
    new = [t for t in threading.enumerate() if t not in before]
    assert [t for t in new if not t.name.startswith("gopark-M")] == []


def test_thread_locals_live_as_long_as_the_c_thread(cthread, on_thread_exit):
    """The Python thread state stays with the thread: so does `threading.local`."""
    local, seen = threading.local(), []

    def callback(_):
        seen.append(getattr(local, "value", None))
        local.value = len(seen)
        if len(seen) == 1:
            on_thread_exit(entry, 2)

    entry = cthread.start_type(cgo.callback(callback))
    cthread(entry).join()
    cthread(entry).join()
    assert seen == [None, 1, 2, None]


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 1, "f"])
def test_callback_needs_a_function(wrong):
    with pytest.raises(TypeError, match="callback"):
        cgo.callback(wrong)


@pytest.mark.parametrize("wrong", [None, 1, int, lambda: None, ctypes.c_int])
def test_export_needs_a_ctypes_function_type(wrong):
    with pytest.raises(TypeError, match=r"export\(\) needs a ctypes function type"):
        cgo.export(wrong)


def test_export_refuses_what_is_no_function():
    with pytest.raises(TypeError):
        cgo.export(UNARY)(None)


def test_export_keeps_the_pointer_alive():
    def make():
        @cgo.export(UNARY)
        def exported(n):
            return n + 1

        return ctypes.cast(exported, ctypes.c_void_p).value

    address = make()
    gc.collect()
    assert UNARY(address)(1) == 2


def test_export_works_for_an_async_def_and_for_a_function_without_result():
    ch = Chan(1)

    @cgo.export(ctypes.CFUNCTYPE(None, ctypes.c_int))
    async def exported(n):
        await ch.send(n)

    assert exported(5) is None
    assert ch.try_recv() == (5, True, True)


def test_a_callbacks_exception_is_a_panic_of_the_program(run, cthread, capsys):
    """Go: TestCgoExternalThreadPanic, in process."""

    def fails(_):
        raise ValueError("from C")

    async def main():
        cthread(cgo.callback(fails)).join()
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main, outside_help=True)
    assert caught.value.code == 2
    assert isinstance(caught.value.__cause__, ValueError)
    err = capsys.readouterr().err
    assert err.startswith("panic: ValueError: from C\n\ngoroutine ")
    assert "[running, locked to thread]:\n" in err
    assert ".fails(...)\n" in err
    assert "created by" not in err


def test_an_exception_of_a_nested_callback_is_raised_by_the_call(run, qsort):
    """As in Go, where the goroutine's own code below C's frames may recover the panic."""
    calls = []

    def fails(a, b):
        calls.append((a, b))
        raise ValueError("nested")

    async def main():
        with pytest.raises(ValueError, match="nested") as caught:
            qsort([3, 1, 2], fails)
        names = [entry.name for entry in caught.traceback]
        assert names.index("main") < names.index("fails")
        assert qsort([3, 1, 2], lambda a, b: a - b) == [1, 2, 3]
        qsort([2, 1], fails)

    with pytest.raises(ValueError, match="nested"):
        run(main)
    assert len(calls) == 2, "C went on, and nothing more was called"


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit(3)], ids=["Ctrl-C", "sys.exit"])
def test_what_ends_a_program_goes_through_a_nested_callback(run, qsort, exc, capsys):
    trace = []

    def ends(a, b):
        raise exc

    def main():
        try:
            qsort([2, 1], ends)
            trace.append("not reached")
        finally:
            trace.append("finally")

    with pytest.raises(type(exc)) as caught:
        run(main)
    assert caught.value is exc
    assert trace == ["finally"]
    assert capsys.readouterr().err == ""


def test_each_call_raises_what_its_own_callbacks_let_escape(run, qsort):
    seen = []

    def inner(a, b):
        raise ValueError("inner")

    def outer(a, b):
        try:
            qsort([2, 1], inner)
        except ValueError as exc:
            seen.append(str(exc))
            raise KeyError("outer") from exc

    async def main():
        with pytest.raises(KeyError, match="outer"):
            qsort([2, 1], outer)

    run(main)
    assert seen == ["inner"]


def test_an_exception_of_a_nested_callback_leaves_no_cycle(run, qsort):
    """What it holds goes with it, and not with the next collection."""
    refs = []

    def fails(a, b):
        thing = Thing()
        refs.append(weakref.ref(thing))
        raise ValueError("nested")

    async def main():
        with contextlib.suppress(ValueError):
            qsort([2, 1], fails)

    gc.collect()
    gc.disable()
    try:
        run(main)
        assert refs[0]() is None
    finally:
        gc.enable()


def test_a_nested_callbacks_exception_in_a_call_of_ones_own_is_a_panic(run, libc, capsys):
    """Nobody of ours is there when C returns."""

    def fails(a, b):
        raise ValueError("nested")

    array, entry = (ctypes.c_int * 2)(2, 1), COMPARE(cgo.callback(fails))

    async def main():
        libc.qsort(array, 2, ctypes.sizeof(ctypes.c_int), entry)
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main)
    assert isinstance(caught.value.__cause__, ValueError)
    assert capsys.readouterr().err.startswith("panic: ValueError: nested\n\ngoroutine 1 [")


def test_a_callback_parked_when_run_ends_is_woken_with_an_error_that_says_so(run, cthread):
    raised, inside = [], Chan(1)

    async def waits(_):
        inside.try_send(None)
        try:
            await Chan().recv()
        except gopark.ProgramEnded as exc:
            raised.append(str(exc))
            raise

    async def main():
        thread = cthread(cgo.callback(waits))
        await inside.recv()
        await wait_all_parked()
        return thread

    run(main, outside_help=True).join()
    assert raised == ["the gopark program has ended: its main returned"]
    assert gopark.runtime.num_goroutine() == 0


def test_goexit_of_a_nested_callback_ends_the_goroutine_once_c_has_returned(run, qsort):
    """Go: testprogcgo CgoToGoCallGoexit."""
    trace = []

    def compare(a, b):
        try:
            gopark.goexit()
        finally:
            trace.append("finally in callback")

    def plain(done):
        try:
            qsort([2, 1], compare)
            trace.append("not reached")
        finally:
            trace.append("finally in goroutine")
            done.close()

    async def main():
        done = Chan()
        gopark.go(plain, done)
        await done.recv()

    run(main)
    assert trace[0] == "finally in callback"
    assert trace[-1] == "finally in goroutine"
    assert "not reached" not in trace


def test_goexit_of_a_nested_callback_in_a_call_of_ones_own_is_fatal(run, libc, capsys):
    """Nobody could end the goroutine once C has returned, and goexit must not return."""
    array = (ctypes.c_int * 2)(2, 1)
    entry = COMPARE(cgo.callback(lambda a, b: gopark.goexit()))

    def plain():
        libc.qsort(array, 2, ctypes.sizeof(ctypes.c_int), entry)

    async def main():
        gopark.go(plain)
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main)
    assert caught.value.code == 2
    report = capsys.readouterr().err
    assert report.startswith(
        "fatal error: gopark.goexit called in a callback of C that was not called by "
        "gopark.cgo.call\n\ngoroutine "
    )
    assert "<lambda>(...)\n" in report


# --- calls out --------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_call_lets_other_goroutines_run_and_returns_the_result():
    event, out = threading.Event(), Chan(1)

    async def setter():
        event.set()

    gopark.go(setter)
    assert cgo.call(event.wait, 20) is True  # waits for a goroutine that needs the P
    assert out.cap == 1


async def test_call_passes_an_exception_through():
    with pytest.raises(ValueError, match="invalid literal"):
        cgo.call(int, "x")
    assert cgo.call(int, "11", base=2) == 3
    await gopark.gosched()


def test_call_outside_a_goroutine_is_a_plain_call():
    assert cgo.call(abs, -3) == 3
    with pytest.raises(ZeroDivisionError):
        cgo.call(divmod, 1, 0)


async def test_the_goroutine_is_in_state_syscall_during_a_call_and_running_in_its_callback(qsort):
    me = runtime2.getg()
    states = []
    cgo.call(lambda: states.append(me.status))
    qsort([2, 1], lambda a, b: states.append(me.status) or 0)
    assert states == [runtime2.GSYSCALL, runtime2.GRUNNING]
    assert me.status == runtime2.GRUNNING


def test_num_cgo_call_counts_calls(libc):
    """Go: runtime.NumCgoCall."""
    before = gopark.runtime.num_cgo_call()
    for _ in range(5):
        cgo.call(libc.abs, -1)
    assert gopark.runtime.num_cgo_call() - before == 5


@pytest.mark.usefixtures("procs")
async def test_many_goroutines_in_c_at_once_each_have_a_thread():
    barrier, out = threading.Barrier(12), Chan()

    def in_c():
        cgo.call(barrier.wait, 30)  # nobody gets through before all are inside
        gopark.block(out.send(None))

    for _ in range(12):
        gopark.go(in_c)
    for _ in range(12):
        await out.recv()


async def test_a_coroutine_may_call_c_too():
    barrier, out = threading.Barrier(4), Chan()

    async def in_c():
        cgo.call(barrier.wait, 30)
        await out.send(None)

    for _ in range(4):
        gopark.go(in_c)
    for _ in range(4):
        await out.recv()


# --- two at once ------------------------------------------------------------------------------


@pytest.mark.outside_help
async def test_a_c_thread_outlives_the_program_and_calls_into_the_next(run, cthread):
    """A bound extra M belongs to no program."""
    gate = threading.Event()
    values = []

    def callback(_):
        values.append("in")
        cgo.call(gate.wait, 30)
        values.append("out")

    thread = cthread(cgo.callback(callback))
    while not values:
        await gopark.gosched()
    assert gopark.runtime.num_goroutine() == 2
    gate.set()
    thread.join()
    assert values == ["in", "out"]


def test_a_callback_in_c_while_run_ends_survives_into_the_next_run(run, cthread):
    gate, inside = threading.Event(), threading.Event()
    results = []

    def callback(_):
        inside.set()
        cgo.call(gate.wait, 30)
        gopark.block(Chan(1).send(1))
        results.append(gopark.runtime.num_goroutine())

    async def first():
        thread = cthread(cgo.callback(callback))
        cgo.call(inside.wait, 30)
        return thread

    async def second():
        assert gopark.runtime.num_goroutine() == 2
        gate.set()
        thread.join()
        return gopark.runtime.num_goroutine()

    thread = run(first, outside_help=True)
    assert gopark.runtime.num_goroutine() == 1  # the callback, still in C
    assert run(second, outside_help=True) == 1
    assert results == [2]


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_c_threads_talk_to_each_other_over_a_channel(cthread):
    ch, total = Chan(), Chan(1)

    async def producer(_):
        for n in range(50):
            await ch.send(n)
        ch.close()

    def consumer(_):
        total.try_send(sum(ch))

    threads = [cthread(cgo.callback(producer)), cthread(cgo.callback(consumer))]
    assert await total.recv() == sum(range(50))
    for thread in threads:
        thread.join()


def test_two_c_threads_talk_without_run(cthread):
    ch, total = Chan(), []

    async def producer(_):
        for n in range(50):
            await ch.send(n)
        ch.close()

    def consumer(_):
        total.append(sum(ch))

    threads = [cthread(cgo.callback(producer)), cthread(cgo.callback(consumer))]
    for thread in threads:
        thread.join()
    assert total == [sum(range(50))]


def test_a_bound_c_thread_keeps_one_thread_state_and_gives_it_back(cthread, wait_until):
    """Seen with sys._current_frames, which lists threads that run Python."""
    before = len(sys._current_frames())
    inside, gate = threading.Semaphore(0), threading.Event()

    def callback(_):
        inside.release()
        gate.wait(300)

    threads = [cthread(cgo.callback(callback)) for _ in range(8)]
    for _ in threads:
        assert inside.acquire(timeout=300)
    assert len(sys._current_frames()) >= before + 8
    gate.set()
    for thread in threads:
        thread.join()
    assert wait_until(lambda: len(sys._current_frames()) <= before)


def test_time_spent_waiting_in_a_callback_holds_nobody_up(run, cthread):
    """A callback that sleeps in plain Python keeps no P from the goroutines."""
    release = threading.Event()

    async def main():
        thread = cthread(cgo.callback(lambda _: release.wait(300)))
        ch = Chan()
        gopark.go(ch.send, 1)
        assert await ch.recv() == 1
        release.set()
        thread.join()

    started = time.monotonic()
    run(main, outside_help=True)
    assert time.monotonic() - started < 250
