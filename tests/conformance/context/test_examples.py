"""The examples of Go's package context print what Go's print (example_test.go)."""

from __future__ import annotations

from time import monotonic

import pytest

import gopark
from gopark import context, go, recv, select, send
from gopark.context import DeadlineExceeded, background
from gopark.sync import Cond, Mutex, WaitGroup

SHORT = 0.001


@pytest.mark.go("context", "ExampleWithCancel")
async def test_example_with_cancel(capsys):
    async def count(ctx, numbers):
        n = 1
        while True:
            index, _, _ = await select(recv(ctx.done()), send(numbers, n))
            if index == 0:
                numbers.close()
                return
            n += 1

    numbers = gopark.Chan()
    with context.with_cancel(background()) as ctx:
        go(count, ctx, numbers)
        async for n in numbers:
            print(n)
            if n == 5:
                break
    async for _ in numbers:  # it ends: the goroutine is released
        pass
    assert capsys.readouterr().out == "1\n2\n3\n4\n5\n"


async def waits_past(ctx):
    never = gopark.Chan()
    index, _, _ = await select(recv(never), recv(ctx.done()))
    print("ready" if index == 0 else ctx.err())


@pytest.mark.go("context", "ExampleWithDeadline")
async def test_example_with_deadline(capsys):
    with context.with_deadline(background(), monotonic() + SHORT) as ctx:
        await waits_past(ctx)
    assert capsys.readouterr().out == "context deadline exceeded\n"


@pytest.mark.go("context", "ExampleWithTimeout")
async def test_example_with_timeout(capsys):
    with context.with_timeout(background(), SHORT) as ctx:
        await waits_past(ctx)
    assert capsys.readouterr().out == "context deadline exceeded\n"


@pytest.mark.go("context", "ExampleWithValue")
async def test_example_with_value(capsys):
    class FavoriteKey(str):
        pass

    def look(ctx, key):
        value = ctx.value(key)
        print(f"found value: {value}" if value is not None else f"key not found: {key}")

    ctx = context.with_value(background(), FavoriteKey("language"), "Go")
    look(ctx, FavoriteKey("language"))
    look(ctx, FavoriteKey("color"))
    look(ctx, "language")  # another type
    assert capsys.readouterr().out == (
        "found value: Go\nkey not found: color\nkey not found: language\n"
    )


@pytest.mark.go("context", "ExampleAfterFunc_merge")
@pytest.mark.usefixtures("procs")
async def test_example_after_func_merge(capsys):
    def merge(ctx, other):
        """The values of one; ends when either does."""
        ctx, cancel = context.with_cancel_cause(ctx)
        stop = context.after_func(other, lambda: cancel(context.cause(other)))
        return ctx, lambda: (stop(), cancel())

    ctx1, _ = context.with_cancel_cause(background())
    ctx2, cancel2 = context.with_cancel_cause(background())
    merged, cancel = merge(ctx1, ctx2)
    cancel2(ValueError("ctx2 canceled"))
    await merged.done().recv()
    print(context.cause(merged))
    cancel()
    assert ctx1.err() is None
    assert capsys.readouterr().out == "ctx2 canceled\n"


@pytest.mark.go("context", "ExampleAfterFunc_cond")
@pytest.mark.usefixtures("procs")
async def test_example_after_func_cond(capsys):
    async def wait_on_cond(ctx, cond, met):
        async def wake():
            async with cond.locker:  # or it might be in between `met` and `wait`
                cond.broadcast()

        stop = context.after_func(ctx, wake)
        try:
            while not met():
                await cond.wait()
                if ctx.err() is not None:
                    raise ctx.err()
        finally:
            stop()

    cond = Cond(Mutex())

    async def waiter():
        with context.with_timeout(background(), SHORT) as ctx:
            async with cond.locker:
                try:
                    await wait_on_cond(ctx, cond, lambda: False)
                except DeadlineExceeded as error:
                    print(error)

    async with WaitGroup() as wg:
        for _ in range(4):
            wg.go(waiter)
    assert capsys.readouterr().out == "context deadline exceeded\n" * 4
