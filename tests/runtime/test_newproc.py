"""`go`: what is wrong is an error at that line; what is right becomes a goroutine."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import threading
import types
import warnings
import weakref
from functools import partial

import pytest

import gopark
from gopark import Chan
from gopark._runtime.twin import native
from gopark.sync import WaitGroup, errgroup, singleflight
from gopark.testing import wait_all_parked

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


class Thing:
    """Something a weak reference can watch."""


async def double(n, out):
    await out.send(2 * n)


def plain_double(n, out):
    gopark.block(out.send(2 * n))


# --- what can be started ----------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_an_async_def_and_a_plain_function_both_run():
    out = Chan()
    gopark.go(double, 1, out)
    assert await out.recv() == 2
    gopark.go(plain_double, 2, out)
    assert await out.recv() == 4


async def test_go_returns_none_and_does_not_run_the_function_yet():
    ran = []

    async def f():
        ran.append(1)

    assert gopark.go(f) is None
    assert ran == []
    await wait_all_parked()
    assert ran == [1]


async def test_keyword_arguments_and_defaults_are_passed_on():
    out = Chan()

    async def f(a, b=2, *rest, c, d=4, **more):
        await out.send((a, b, rest, c, d, more))

    gopark.go(f, 1, c=3)
    assert await out.recv() == (1, 2, (), 3, 4, {})
    gopark.go(f, 1, 20, 30, c=3, e=5)
    assert await out.recv() == (1, 20, (30,), 3, 4, {"e": 5})


class Worker:
    def __init__(self, out):
        self.out = out

    async def method(self, n):
        await self.out.send(n)

    def plain_method(self, n):
        gopark.block(self.out.send(n))

    @classmethod
    async def class_method(cls, out, n):
        await out.send(n)

    @staticmethod
    async def static_method(out, n):
        await out.send(n)

    async def __call__(self, n):
        await self.out.send(n)


class PlainCall:
    def __call__(self, out, n):
        gopark.block(out.send(n))


async def test_methods_partials_and_callable_objects_run():
    out = Chan()
    worker = Worker(out)
    starts = [
        (worker.method, 1),
        (worker.plain_method, 2),
        (Worker.class_method, out, 3),
        (Worker.static_method, out, 4),
        (worker, 5),
        (PlainCall(), out, 6),
        (functools.partial(double, 7), out),
        (functools.partial(plain_double, 8, out=out),),
        (out.send, 9),
    ]
    got = []
    for fn, *args in starts:
        gopark.go(fn, *args)
        got.append(await out.recv())
    assert got == [1, 2, 3, 4, 5, 6, 14, 16, 9]


async def test_a_c_function_runs():
    seen = []
    gopark.go(seen.append, "value")
    await wait_all_parked()
    assert seen == ["value"]


async def test_a_decorated_async_def_runs_as_the_coroutine_it_returns():
    """The wrapper is plain; what it returns must not be dropped."""
    out = Chan()

    def logged(fn):
        @functools.wraps(fn)
        def wrapper(*args):
            return fn(*args)

        return wrapper

    def bare(fn):
        return lambda *args: fn(*args)

    gopark.go(logged(double), 1, out)
    assert await out.recv() == 2
    gopark.go(bare(double), 2, out)
    assert await out.recv() == 4


async def test_a_coroutine_returned_by_a_plain_function_may_wait_more_than_once():
    there, back = Chan(), Chan()

    async def echo():
        async for value in there:
            await back.send(value)
        back.close()

    gopark.go(lambda: echo())
    for n in range(5):
        await there.send(n)
        assert await back.recv() == n
    there.close()
    assert await back.recv_ok() == (None, False)


async def test_a_function_marked_as_coroutine_function_runs():
    out = Chan()

    @types.coroutine
    def marked(n):
        yield from out.send(n).__await__()

    gopark.go(lambda: marked_runner(marked))

    async def marked_runner(fn):
        await fn(1)

    assert await out.recv() == 1


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12")
async def test_a_function_marked_by_inspect_runs_as_a_coroutine():
    out = Chan()

    @inspect.markcoroutinefunction
    def marked(n):
        return double(n, out)

    gopark.go(marked, 4)
    assert await out.recv() == 8


# --- what cannot ------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 1, "f", [], object()], ids=type)
@pytest.mark.parametrize(
    ("start", "form"),
    [
        (gopark.go, "go(f, x), not go(f(x))"),
        (gopark.run, "run(f, x), not run(f(x))"),
        (WaitGroup().go, "WaitGroup.go(f, x), not WaitGroup.go(f(x))"),
        (errgroup.Group().go, "Group.go(f, x), not Group.go(f(x))"),
        (errgroup.Group().try_go, "Group.try_go(f, x), not Group.try_go(f(x))"),
        (partial(gopark.time.after_func, 60), "after_func(..., f, x), not after_func(..., f(x))"),
        (
            partial(gopark.context.after_func, gopark.context.background()),
            "after_func(..., f, x), not after_func(..., f(x))",
        ),
        (partial(singleflight.Group().do_chan, "k"), "do_chan(key, f, x), not do_chan(key, f(x))"),
        (gopark.cgo.callback, "callback(f), not callback(f(x))"),
        (gopark.sync.once_func, "once_func(f), not once_func(f(x))"),
    ],
    ids=lambda value: value.split(",")[0] if isinstance(value, str) else "",
)
def test_what_is_not_callable_is_refused_with_what_to_write(start, form, wrong):
    with pytest.raises(TypeError) as caught:
        start(wrong)
    text = str(caught.value)
    assert f"() needs a function, got {wrong!r}; pass the function and its arguments" in text
    assert text.endswith(f"not its result: {form}")
    assert text.startswith(form.split("(")[0])
    assert gopark.runtime.num_goroutine() == 0


async def test_the_result_of_a_call_in_a_goroutine_is_refused_and_life_goes_on():
    """The commonest slip: go(f(x))."""
    out = Chan()

    def work():
        pass

    def slips():
        try:
            gopark.go(work())
        except TypeError as exc:
            gopark.block(out.send(str(exc)))

    gopark.go(slips)
    text = await out.recv()
    assert text == (
        "go of nil func value: go() needs a function, got None; pass the function and its "
        "arguments, not its result: go(f, x), not go(f(x))"
    )


async def test_once_takes_no_result():
    with pytest.raises(TypeError, match=r"Once.do\(f, x\), not Once.do\(f\(x\)\)"):
        await gopark.sync.Once().do(None)
    with pytest.raises(TypeError, match=r"do\(key, f, x\), not do\(key, f\(x\)\)"):
        await singleflight.Group().do("k", None)


def test_a_coroutine_object_is_refused_with_the_right_form_and_closed():
    out = Chan()
    coro = double(1, out)
    with pytest.raises(TypeError, match=r"go\(double, x\), not go\(double\(x\)\)"):
        gopark.go(coro)
    assert inspect.getcoroutinestate(coro) == "CORO_CLOSED"  # so Python has nothing to warn of


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (double, (), {}),
        (double, (1,), {}),
        (double, (1, 2, 3), {}),
        (double, (1, 2), {"out": 3}),
        (plain_double, (), {}),
        (plain_double, (1,), {}),
        (plain_double, (1, 2, 3), {}),
        (plain_double, (1,), {"no_such": 2}),
        (PlainCall(), (), {}),
        (functools.partial(plain_double, 1), (2, 3), {}),
        (Worker(None).method, (), {}),
        (Worker(None).plain_method, (1, 2), {}),
        (lambda *, key: key, (), {}),
        (lambda *, key: key, (1,), {}),
        (lambda a, /, b: a, (), {"a": 1, "b": 2}),
    ],
)
def test_arguments_that_do_not_fit_are_an_error_at_the_go_line(fn, args, kwargs):
    with pytest.raises(TypeError) as caught:
        gopark.go(fn, *args, **kwargs)
    frames = [frame.name for frame in caught.traceback]
    assert frames[0] == "test_arguments_that_do_not_fit_are_an_error_at_the_go_line"
    assert gopark.runtime.num_goroutine() == 0


def test_the_error_for_arguments_of_a_plain_function_shows_its_signature():
    with pytest.raises(TypeError, match=r"go: plain_double\(n, out\) cannot be called so: missing"):
        gopark.go(plain_double)


async def agen():
    yield 1


def gen():
    yield 1


class GenMethods:
    def gen(self):
        yield 1

    async def agen(self):
        yield 1


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (gen, "generator function, its body would never run"),
        (agen, "async generator function; loop over it instead"),
        (GenMethods().gen, "generator function, its body would never run"),
        (GenMethods().agen, "async generator function"),
        (functools.partial(gen), "generator function"),
        (functools.partial(agen), "async generator function"),
    ],
)
def test_generator_functions_are_refused(fn, words):
    with pytest.raises(TypeError, match=words):
        gopark.go(fn)


async def test_a_refused_go_leaves_nothing_behind():
    ch = Chan()
    thing = Thing()
    ref = weakref.ref(thing)
    for fn, *args in [(1, thing), (double, thing), (plain_double, thing), (gen, thing)]:
        with pytest.raises(TypeError):
            gopark.go(fn, *args)
    with pytest.raises(TypeError):
        gopark.go(ch.recv())
    assert gopark.runtime.num_goroutine() == 1
    del thing, args
    gc.collect()
    assert ref() is None
    assert ch.try_send("nobody waits") is False


def test_run_and_callback_refuse_what_go_refuses():
    async def f():
        pass

    for refuse in (gopark.run, gopark.cgo.callback):
        for wrong in (None, 1, gen, agen):
            with pytest.raises(TypeError):
                refuse(wrong)
        with pytest.raises(TypeError, match="coroutine object"):
            refuse(f())
    with pytest.raises(TypeError):
        gopark.run(f, 1)
    with pytest.raises(TypeError):
        gopark.run(lambda: None, 1)


# --- awaits -----------------------------------------------------------------------------------


def test_a_forgotten_await_warns_as_python_does(run):
    async def main():
        ch = Chan(1)
        ch.send("never sent")  # the mistake under test
        gc.collect()
        return len(ch)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert run(main) == 0
    assert [str(w.message) for w in seen if w.category is RuntimeWarning] == [
        "coroutine 'Chan.send' was never awaited"
    ]


@pytest.mark.usefixtures("procs")
async def test_awaiting_another_loops_awaitable_is_an_error_at_that_await_naming_the_remedy():
    with pytest.raises(TypeError, match=r"belongs to another event loop.*gopark's own") as caught:
        await asyncio.sleep(0)
    assert "gopark.asyncio.call(" in str(caught.value)
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(TypeError, match=r"an asyncio loop: await gopark\.asyncio\.call"):
            await loop.create_future()
    finally:
        loop.close()
    await gopark.gosched()  # and the goroutine goes on


@pytest.mark.usefixtures("procs")
async def test_awaiting_another_loops_awaitable_in_a_goroutine_lets_it_go_on():
    out = Chan()

    class Alien:
        def __await__(self):
            yield "alien command"

    async def worker():
        caught = 0
        for _ in range(3):
            try:
                await Alien()
            except TypeError as exc:
                caught += "'alien command'" in str(exc)
            await gopark.gosched()
        await out.send(caught)

    gopark.go(worker)
    assert await out.recv() == 3


@pytest.mark.usefixtures("procs")
async def test_awaiting_it_twice_in_the_handler_is_an_error_again():
    async def nested():
        try:
            await asyncio.sleep(0)
        except TypeError:
            await asyncio.sleep(0)

    with pytest.raises(TypeError, match="another event loop"):
        await nested()


async def test_awaiting_another_loops_awaitable_while_locked_or_in_block_is_an_error_too():
    out = Chan(2)

    async def locked():
        gopark.runtime.lock_os_thread()
        try:
            await asyncio.sleep(0)
        except TypeError as exc:
            await out.send(str(exc))
        gopark.runtime.unlock_os_thread()

    def plain():
        try:
            gopark.block(asyncio.sleep(0))
        except TypeError as exc:
            gopark.block(out.send(str(exc)))

    gopark.go(locked)
    gopark.go(plain)
    assert "another event loop" in await out.recv()
    assert "another event loop" in await out.recv()


async def test_asyncio_runs_in_a_plain_goroutine_as_the_error_says():
    out = Chan(1)

    async def under_asyncio():
        await asyncio.sleep(0)
        return "done"

    gopark.go(lambda: out.try_send(asyncio.run(under_asyncio())))
    assert await out.recv() == "done"


# --- contexts ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_each_goroutine_runs_in_a_copy_of_its_creators_context():
    out = Chan(2)
    token = var.set("main's")

    async def child():
        await out.send(var.get())
        var.set("child's")
        await gopark.gosched()
        await out.send(var.get())

    gopark.go(child)
    var.set("changed after go")
    assert await out.recv() == "main's"
    assert await out.recv() == "child's"
    assert var.get() == "changed after go"
    var.reset(token)


@pytest.mark.usefixtures("procs")
async def test_a_plain_goroutine_has_its_creators_context_too_across_waits():
    out, gate = Chan(2), Chan()
    var.set("main's")

    def plain():
        first = var.get()
        var.set("plain's")
        gopark.block(gate.recv())
        out.try_send((first, var.get()))

    gopark.go(plain)
    await wait_all_parked()
    var.set("changed")
    await gate.send(None)
    assert await out.recv() == ("main's", "plain's")
    assert var.get() == "changed"


def test_run_starts_main_in_a_copy_of_the_callers_context(run):
    var.set("caller's")

    async def main():
        assert var.get() == "caller's"
        var.set("main's")

    run(main)
    assert var.get() == "caller's"


@pytest.mark.usefixtures("procs")
async def test_contexts_stay_apart_while_many_goroutines_move_between_threads():
    done = Chan()

    async def worker(n):
        var.set(str(n))
        for _ in range(20):
            await gopark.gosched()
            assert var.get() == str(n)
        await done.send(None)

    for n in range(50):
        gopark.go(worker, n)
    for _ in range(50):
        await done.recv()


# --- lives ------------------------------------------------------------------------------------


async def test_a_started_goroutine_is_not_lost_to_the_garbage_collector():
    ch = Chan()
    ref = weakref.ref(ch)
    out = Chan()

    async def worker(ch):
        await ch.recv()

    async def finisher():
        await out.send("still here")

    gopark.go(worker, ch)
    del ch
    gc.collect()
    await wait_all_parked()
    gc.collect()
    assert gopark.runtime.num_goroutine() == 2
    assert ref() is not None
    gopark.go(finisher)
    assert await out.recv() == "still here"


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("plain", [False, True])
async def test_a_finished_goroutine_keeps_nothing_of_its_arguments_or_result(plain):
    thing = Thing()
    ref = weakref.ref(thing)

    async def f(thing, key):
        await gopark.gosched()
        return thing

    def g(thing, key):
        return thing

    gopark.go(g if plain else f, thing, key=thing)
    del thing
    await wait_all_parked()
    await gopark.gosched()
    gc.collect()
    while ref() is not None and gopark.runtime.num_goroutine() > 1:
        await gopark.gosched()
    await settle(ref)
    assert ref() is None


async def settle(ref):
    """Another M may hold its last goroutine until it looks for the next one."""
    for _ in range(200):
        if ref() is None:
            return
        await gopark.time.sleep(0.001)


@pytest.mark.usefixtures("procs")
async def test_a_million_steps_do_not_deepen_the_stack():
    """Each goroutine starts the next: no recursion anywhere."""
    out = Chan()

    async def chain(n):
        if n:
            gopark.go(chain, n - 1)
        else:
            await out.send("end")

    gopark.go(chain, 5000)
    assert await out.recv() == "end"


@pytest.mark.usefixtures("procs")
async def test_plain_goroutines_that_sleep_in_c_do_not_stall_others():
    gate, out = threading.Event(), Chan()

    def blocked():
        gopark.cgo.call(gate.wait)
        gopark.block(out.send("freed"))

    gopark.go(blocked)
    gopark.go(double, 1, out)
    assert await out.recv() == 2
    gate.set()
    assert await out.recv() == "freed"


def test_go_without_run_starts_the_runtime(wait_until):
    event, result = threading.Event(), []

    async def worker():
        await gopark.time.sleep(0.001)
        result.append(gopark.runtime.num_goroutine())
        event.set()

    gopark.go(worker)
    assert event.wait(120)
    assert result == [1]
    assert wait_until(lambda: gopark.runtime.num_goroutine() == 0)


def test_a_plain_goroutine_without_run_runs_too():
    event = threading.Event()
    gopark.go(event.set)
    assert event.wait(120)


@pytest.mark.skipif(native is not None, reason="the twin's set is C, and builds with a GIL are its")
def test_the_child_of_a_fork_has_goroutines_of_its_own(child):
    """Without a GIL in a set of its own, which everybody finds: see relist."""
    ended = child(
        """
import ctypes
import gopark
from gopark._runtime.sched import newproc

PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int)
counted = PROTOTYPE(gopark.cgo.callback(gopark.runtime.num_goroutine))
newproc.FREETHREADED = True
old = newproc.allgs
newproc.relist()

async def main():
    gopark.go(gopark.Chan().recv)
    await gopark.gosched()
    print(gopark.runtime.num_goroutine(), gopark.runtime.stack(all=True).count(" ["))
    gopark.go(gopark.gosched)
    print(gopark.runtime.num_goroutine())
    await gopark.gosched()
    await gopark.gosched()
    print(gopark.runtime.num_goroutine(), len(old))

gopark.run(main)
print(counted(), counted(), gopark.runtime.num_goroutine(), len(old))
"""
    )
    assert ended.stdout.splitlines() == ["2 2", "3", "2 0", "1 1 0 0"], ended.stderr
