"""Defer, panic, recover: in what order cleanups run, and which exception each of them sees.

A deferred function is a `finally` block, or a callback of an `ExitStack` where the number of
cleanups is known at run time only. Each test runs in a goroutine whose cleanups give way to
others, so the exception under way is put aside and taken up again, on any thread.

Go: runtime/defer_test.go, stack_test.go, callers_test.go.
"""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack, ExitStack

import pytest

import gopark
from gopark import Chan, gosched

pytestmark = pytest.mark.usefixtures("procs")


class Panic(Exception):
    """`panic(v)`; `value(exc)` is what `recover()` gives."""


def value(exc: BaseException | None) -> object:
    return None if exc is None else exc.args[0]


def chain(exc: BaseException | None) -> list[object]:
    """Of an exception and those it came out of, the values, newest first."""
    values = []
    while exc is not None:
        values.append(value(exc))
        exc = exc.__context__
    return values


async def deep(depth: int, fn):
    """Call `fn` under so many more frames."""
    if depth:
        return await deep(depth - 1, fn)
    return await fn()


async def panics(v):
    await gosched()
    raise Panic(v)


# --- which panic is recovered ------------------------------------------------------------


@pytest.mark.go("runtime", "TestUnconditionalPanic")
async def test_unconditional_panic():
    async def function():
        try:
            await panics("unconditional")
        except Panic as panic:
            await gosched()
            return value(panic)

    assert await function() == "unconditional"


async def straight():
    try:
        await panics("straight")
    except Panic as panic:
        return value(panic)


async def looped(log):
    async with AsyncExitStack() as defers:

        async def recovers(_, panic, __):
            await gosched()
            log.append(value(panic))
            return True

        for _ in range(1):
            defers.push_async_exit(recovers)
        log.append(await straight())
        await panics("looped")


@pytest.mark.go("runtime", "TestOpenAndNonOpenDefers")
async def test_open_and_non_open_defers():
    log = []
    await looped(log)
    assert log == ["straight", "looped"]


@pytest.mark.go("runtime", "TestNonOpenAndOpenDefers")
async def test_non_open_and_open_defers():
    log = [await straight()]
    await looped(log)
    assert log == ["straight", "straight", "looped"]


@pytest.mark.go("runtime", "TestConditionalDefers")
async def test_conditional_defers():
    log = []

    async def adds(n):
        await gosched()
        log.append(n)

    async def function(n):
        async with AsyncExitStack() as defers:
            defers.push_async_callback(adds, 1)
            if n > 5:
                defers.push_async_callback(adds, 2)
                defers.push_async_callback(adds, 3 if n > 8 else 4)
            await panics("conditional")

    with pytest.raises(Panic, match="conditional"):
        await function(8)
    assert log == [4, 2, 1]


@pytest.mark.go("runtime", "TestAbortedPanic")
async def test_aborted_panic():
    """The second panic takes the place of the first; once it is recovered nothing is left."""
    seen = []
    try:
        try:
            try:
                await panics("panic1")
            finally:
                await panics("panic2")
        except Panic as panic:
            seen.append(chain(panic))
    except Panic as panic:
        seen.append(chain(panic))
    assert seen == [["panic2", "panic1"]]
    with pytest.raises(Panic) as caught:
        await panics("panic3")
    assert chain(caught.value) == ["panic3"]


@pytest.mark.go("runtime", "TestRecoverMatching")
async def test_recover_matching():
    """A try statement inside a cleanup has no part in the panic that the cleanup runs for."""
    seen = []
    try:
        try:
            await panics("panic1")
        finally:
            try:
                await gosched()
            except Panic as panic:
                seen.append(value(panic))
    except Panic as panic:
        seen.append(("outside", value(panic)))
    assert seen == [("outside", "panic1")]


@pytest.mark.go("runtime", "TestNonSSAableArgs")
async def test_non_ss_aable_args():
    """The arguments of a callback are evaluated once, where it is registered."""
    evaluated, ran = [], []

    def big(n):
        evaluated.append(n)
        return (n,) * 16

    async with AsyncExitStack() as defers:
        for n in (5, 2):
            defers.callback(lambda arg, last: ran.append((arg[4], last)), big(n), last=n)
        n = 99
        assert evaluated == [5, 2]
        assert ran == []
        await gosched()
    assert evaluated == [5, 2]
    assert ran == [(2, 2), (5, 5)]


@pytest.mark.go("runtime", "TestDeferForFuncWithNoExit")
async def test_defer_for_func_with_no_exit():
    cond = 1

    async def function():
        nonlocal cond
        try:
            cond = 2
            await panics("callee")
            while True:
                await gosched()
        finally:
            await gosched()
            assert cond == 2
            cond = 3

    with pytest.raises(Panic, match="callee"):
        await function()
    assert cond == 3


@pytest.mark.go("runtime", "TestDeferWithRepeatedRepanics")
async def test_defer_with_repeated_repanics():
    """Recovered and raised again frame by frame, up to the one that it is meant for."""
    runs = []

    async def interpreter(level, maxlevel, meant_for):
        try:
            if level + 1 < maxlevel:
                await interpreter(level + 1, maxlevel, meant_for)
            else:
                await panics(meant_for)
        except Panic as panic:
            runs.append(level)
            await gosched()
            if value(panic) != level:
                raise panic

    for maxlevel, meant_for in ((6, 2), (5, 1), (6, 3)):
        runs.clear()
        await interpreter(0, maxlevel, meant_for)
        assert runs == list(range(maxlevel - 1, meant_for - 1, -1))
        with pytest.raises(Panic) as caught:
            await deep(10, lambda: panics("later"))
        assert chain(caught.value) == ["later"]


@pytest.mark.go("runtime", "TestIssue43921")
async def test_issue43921():
    seen = []

    async def function():
        try:
            await panics(1)
        finally:
            try:
                await panics(4)
            except Panic as panic:
                seen.append(value(panic))

    with pytest.raises(Panic) as outer:
        await function()
    assert seen == [4]
    assert chain(outer.value) == [1]


@pytest.mark.go("runtime", "TestIssue43920")
async def test_issue43920():
    seen = []

    async def cleanup():
        try:
            try:
                await panics(3)
            except Panic as panic:
                seen.append(value(panic))
        finally:
            try:
                try:
                    await panics(4)
                finally:
                    await panics(5)
            except Panic as panic:
                seen.append(value(panic))

    async def function():
        try:
            await panics(1)
        finally:
            await cleanup()

    with pytest.raises(Panic) as outer:
        await function()
    assert [*seen, value(outer.value)] == [3, 5, 1]


@pytest.mark.go("runtime", "TestIssue43941")
async def test_issue43941():
    steps = 7

    async def step(want):
        nonlocal steps
        await gosched()
        steps += 1
        assert steps == want

    async def inner():
        async with AsyncExitStack() as defers:

            async def recovers(want, panic):
                assert value(panic) == want
                return True

            async def nested():
                async with AsyncExitStack() as more:
                    more.push_async_exit(lambda _, panic, __: recovers(3, panic))
                    more.push_async_callback(panics, 3)
                    await panics(2)

            async def first():
                async with AsyncExitStack() as more:
                    more.push_async_exit(lambda _, panic, __: recovers(1, panic))
                    more.push_async_callback(panics, 1)

            defers.push_async_callback(nested)
            await first()
            defers.push_async_callback(step, 10)
            defers.push_async_callback(step, 9)
            await step(8)

    async def outer():
        async with AsyncExitStack() as defers:
            defers.push_async_callback(step, 13)
            defers.push_async_callback(step, 12)
            async with AsyncExitStack() as more:
                more.push_async_callback(step, 11)
                await panics(4)
            defers.push_async_callback(step, -1)

    await inner()
    with pytest.raises(Panic) as caught:
        await outer()
    await step(14)
    assert chain(caught.value) == [4]


# --- a function that is not there --------------------------------------------------------


@pytest.mark.go("runtime", "TestCallersDeferNilFuncPanic")
async def test_callers_defer_nil_func_panic():
    """A cleanup that cannot be called fails when it is due, and not where it is registered."""
    state = 1

    async def function():
        nonlocal state
        f = None
        try:
            state = 2
        finally:
            f()

    with pytest.raises(TypeError, match="not callable") as caught:
        await function()
    assert state == 2
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][1:] == ["function"]


@pytest.mark.go("runtime", "TestCallersDeferNilFuncPanicWithLoop")
async def test_callers_defer_nil_func_panic_with_loop():
    state = 1

    def function():
        nonlocal state
        with ExitStack() as defers:
            for _ in range(1):
                defers.callback(None)
            state = 2

    with pytest.raises(TypeError, match="not callable"):
        function()
    assert state == 2


# --- under many frames -------------------------------------------------------------------


@pytest.mark.go("runtime", "TestDeferPtrsPanic")
async def test_defer_ptrs_panic():
    """A goroutine panics under 1 to 100 frames; its cleanup has the variables it was made with."""
    for depth in range(1, 100, 7):
        done = Chan(1)

        async def function(done=done, depth=depth):
            y = 0
            try:
                try:
                    await deep(depth, lambda: panics(depth))
                finally:
                    await gosched()
                    y = 42
            except Panic as panic:
                await done.send((y, value(panic)))

        gopark.go(function)
        assert await done.recv() == (42, depth)


@pytest.mark.go("runtime", "TestDeferLeafSigpanic")
async def test_defer_leaf_sigpanic():
    """What the interpreter raises by itself, in a function that calls no other."""

    def leaf():
        nothing = None
        return nothing[0]

    async def function():
        try:
            leaf()
        finally:
            await gosched()

    with pytest.raises(TypeError, match="not subscriptable") as caught:
        await function()
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][-1] == "leaf"


@pytest.mark.go("runtime", "TestPanicUseStack")
async def test_panic_use_stack():
    """Three panics, each in what the handler of the one before calls, under deep stacks."""
    seen = []

    async def third():
        try:
            await panics(3)
        except Panic as panic:
            seen.append(chain(panic))

    async def second():
        try:
            await panics(2)
        except Panic as panic:
            seen.append(chain(panic))
            await deep(200, third)

    try:
        await panics(1)
    except Panic as panic:
        seen.append(chain(panic))
        await deep(100, second)
    assert seen == [[1], [2, 1], [3, 2, 1]]


@pytest.mark.go("runtime", "TestPanicFar")
async def test_panic_far():
    """After a panic that came from 100 frames below, the stack is that of before."""
    with pytest.raises(Panic) as caught:
        await deep(100, lambda: panics("far"))
    assert [f.name for f in traceback.extract_tb(caught.tb)].count("deep") == 101
    text = gopark.runtime.stack()
    assert text.count("(...)\n") == 1
    assert "test_panic_far(...)" in text


@pytest.mark.go("runtime", "TestStackPanic")
async def test_stack_panic():
    assert await deep(32, lambda: gosched()) is None
    with pytest.raises(Panic, match="test panic"):
        await panics("test panic")


@pytest.mark.go("runtime", "TestDeferHeapAndStack")
async def test_defer_heap_and_stack():
    """Two cleanups in each of 40 frames, of either form, in four goroutines at once."""
    depth, rounds = 40, 5

    async def function(n, ran):
        if n == 0:
            return await gosched()
        if n % 2 == 0:
            with ExitStack() as defers:
                for _ in range(2):
                    defers.callback(ran.append, n)
                return await function(n - 1, ran)
        try:
            try:
                return await function(n - 1, ran)
            finally:
                ran.append(n)
        finally:
            ran.append(n)

    async def worker(done):
        for _ in range(rounds):
            ran = []
            await function(depth, ran)
            await done.send(ran)

    done = Chan()
    for _ in range(4):
        gopark.go(worker, done)
    for _ in range(4 * rounds):
        assert await done.recv() == sorted([*range(1, depth + 1)] * 2)


@pytest.mark.go("runtime", "TestPanicRecoverSpeed")
async def test_panic_recover_speed():
    """Recovered and raised again in each frame it adds two entries a frame, no more."""

    async def function(n):
        try:
            if n == 0:
                await panics("up")
            await function(n - 1)
        except Panic as panic:
            raise panic

    for n in (50, 200):
        with pytest.raises(Panic) as caught:
            await function(n)
        entries = list(traceback.walk_tb(caught.value.__traceback__))
        assert 2 * n < len(entries) <= 2 * n + 4
