"""Contexts, as Go's own tests pin them down (context/context_test.go, x_test.go)."""

from __future__ import annotations

import gc
import random
import weakref
from time import monotonic

import pytest

import gopark
from gopark import context, go, gosched, recv, select
from gopark.context import Canceled, DeadlineExceeded, background, cause
from gopark.testing import wait_all_parked

SHORT = 0.001
LONG = 3600000.0


class Other:
    """A context that is none of ours, and leaves everything to the one inside."""

    def __init__(self, inner):
        self.inner = inner

    def deadline(self):
        return self.inner.deadline()

    def done(self):
        return self.inner.done()

    def err(self):
        return self.inner.err()

    def value(self, key):
        return self.inner.value(key)


def is_done(ctx):
    """Without waiting: a receive from its done channel goes through."""
    done = ctx.done()
    return done is not None and done.try_recv() == (None, False, True)


def ended(ctx, error=Canceled):
    """It is done, and says so in both ways."""
    return is_done(ctx) and type(ctx.err()) is error


def alive(ctx):
    return not is_done(ctx) and ctx.err() is None and cause(ctx) is None


async def stays_open(ctx):
    """A goroutine that waits for it would wait for ever."""
    index, _, _ = await select(recv(ctx.done()), default=True)
    return index == -1


@pytest.mark.go("context", "TestBackground")
async def test_background():
    assert background() is not None
    assert await stays_open(background())
    assert str(background()) == "context.Background"


@pytest.mark.go("context", "TestTODO")
async def test_todo():
    assert context.todo() is not None
    assert await stays_open(context.todo())
    assert str(context.todo()) == "context.TODO"


@pytest.mark.go("context", "TestWithCancel")
async def test_with_cancel():
    inner, cancel = context.with_cancel(background())
    assert str(inner) == "context.Background.WithCancel"
    wrapper = Other(inner)
    child, _ = context.with_cancel(wrapper)
    contexts = [inner, wrapper, child]
    assert all(ctx.done() is not None for ctx in contexts)
    assert all(alive(ctx) for ctx in contexts)
    cancel()  # goes down at once, with no help of a goroutine
    assert all(ended(ctx) for ctx in contexts)
    assert str(child.err()) == "context canceled"


@pytest.mark.go("context", "TestParentFinishesChild")
async def test_parent_finishes_child():
    ran = gopark.Chan(1)
    parent, cancel = context.with_cancel(background())
    cancelable = context.with_cancel(parent)[0]
    valued = context.with_value(parent, "key", "value")
    timed = context.with_timeout(valued, LONG)[0]
    stop = context.after_func(parent, ran.send, "ran")
    family = [parent, cancelable, valued, timed]
    assert all(alive(ctx) for ctx in family)
    cancel()
    assert all(ended(ctx) for ctx in family)
    assert await ran.recv() == "ran"
    assert stop() is False
    watched = [weakref.ref(cancelable), weakref.ref(timed)]
    del cancelable, timed, family
    gc.collect()
    assert [ref() for ref in watched] == [None, None]  # the parent's list does not hold them
    assert ended(context.with_value(parent, "key", "value"))
    assert ended(context.with_cancel(parent)[0])


@pytest.mark.go("context", "TestChildFinishesFirst")
async def test_child_finishes_first():
    cancelable, stop = context.with_cancel(background())
    for parent in (background(), cancelable):
        child, cancel = context.with_cancel(parent)
        assert alive(parent)
        assert alive(child)
        cancel()
        assert ended(child)
        assert alive(parent)
        gone = weakref.ref(child)
        del child, cancel
        assert gone() is None
    stop()


@pytest.mark.go("context", "TestCancelRemoves")
async def test_cancel_removes():
    """Counted by what the parent keeps alive."""
    parent, _ = context.with_cancel(background())

    def lives_on(make):
        undo = make()
        child = weakref.ref(undo.__self__)
        undo()
        del undo
        return child() is not None

    assert not lives_on(lambda: context.with_cancel(parent)[1])
    assert not lives_on(lambda: context.with_timeout(parent, 3600)[1])
    assert not lives_on(lambda: context.after_func(parent, print))
    kept = weakref.ref(context.with_cancel(parent)[0])
    gc.collect()
    assert kept() is not None  # so the lines above say something


async def times_out(ctx):
    """Wait for it as long as it takes; the main goroutine has nothing else to wait for."""
    await ctx.done().recv()
    return ended(ctx, DeadlineExceeded) and str(ctx.err()) == "context deadline exceeded"


@pytest.mark.go("context", "TestDeadline")
@pytest.mark.usefixtures("procs")
async def test_deadline():
    def deadline(seconds, parent=None):
        return context.with_deadline(parent or background(), monotonic() + seconds)[0]

    ctx = deadline(SHORT)
    assert str(ctx).startswith("context.Background.WithDeadline(")
    assert await times_out(ctx)
    assert await times_out(Other(deadline(SHORT)))
    assert await times_out(deadline(LONG, Other(deadline(SHORT))))
    assert ended(deadline(-SHORT), DeadlineExceeded)
    assert ended(deadline(0), DeadlineExceeded)


@pytest.mark.go("context", "TestTimeout")
@pytest.mark.usefixtures("procs")
async def test_timeout():
    ctx, _ = context.with_timeout(background(), SHORT)
    assert str(ctx).startswith("context.Background.WithDeadline(")
    assert await times_out(ctx)
    ctx, _ = context.with_timeout(background(), SHORT)
    assert await times_out(Other(ctx))
    ctx, _ = context.with_timeout(background(), SHORT)
    assert await times_out(context.with_timeout(Other(ctx), LONG)[0])


@pytest.mark.go("context", "TestCanceledTimeout")
async def test_canceled_timeout():
    ctx, _ = context.with_timeout(background(), 60)
    ctx, cancel = context.with_timeout(Other(ctx), LONG)
    cancel()
    assert ended(ctx)


class Key1(int):
    pass


class Key2(int):
    def __str__(self):
        return f"Key2({int(self)})"


@pytest.mark.go("context", "TestValues")
async def test_values():
    k1, k2, k3 = Key1(1), Key2(1), Key2(3)

    def values(ctx):
        return [ctx.value(Key1(1)), ctx.value(Key2(1)), ctx.value(Key2(3))]

    ctx = background()
    assert values(ctx) == [None, None, None]
    ctx = context.with_value(ctx, k1, "c1k1")
    assert values(ctx) == ["c1k1", None, None]
    name = f"context.Background.WithValue({Key1.__module__}.Key1, c1k1)"
    assert str(ctx) == name
    ctx = context.with_value(ctx, k2, "c2k2")
    assert values(ctx) == ["c1k1", "c2k2", None]
    name += ".WithValue(Key2(1), c2k2)"
    assert str(ctx) == name
    ctx = context.with_value(ctx, k3, "c3k3")
    assert values(ctx) == ["c1k1", "c2k2", "c3k3"]
    ctx = context.with_value(ctx, k1, None)
    assert values(ctx) == [None, "c2k2", "c3k3"]
    assert str(ctx) == f"{name}.WithValue(Key2(3), c3k3).WithValue({Key1.__module__}.Key1, <nil>)"
    wrapped = context.with_value(Other(ctx), k1, "outer")
    assert values(wrapped) == ["outer", "c2k2", "c3k3"]
    assert str(wrapped) == f"{Other.__module__}.Other.WithValue({Key1.__module__}.Key1, outer)"


@pytest.mark.go("context", "TestSimultaneousCancels")
@pytest.mark.usefixtures("procs")
async def test_simultaneous_cancels():
    root, cancel = context.with_cancel(background())
    tree, queue = [(root, cancel)], [root]
    while len(tree) < 100:
        parent = queue.pop(0)
        for _ in range(4):
            child, cancel = context.with_cancel(parent)
            tree.append((child, cancel))
            queue.append(child)
    random.shuffle(tree)
    returned = gopark.Chan(len(tree))

    async def canceller(cancel):
        cancel()
        await returned.send(None)

    for _, cancel in tree:
        go(canceller, cancel)
    random.shuffle(tree)
    for ctx, _ in tree:
        await ctx.done().recv()
        assert ended(ctx)
    for _ in tree:
        await returned.recv()


@pytest.mark.go("context", "TestInterlockedCancels")
@pytest.mark.usefixtures("procs")
async def test_interlocked_cancels():
    parent, cancel_parent = context.with_cancel(background())
    child, cancel_child = context.with_cancel(parent)

    async def canceller():
        await parent.done().recv()
        cancel_child()

    go(canceller)
    await wait_all_parked()
    cancel_parent()
    await child.done().recv()
    assert ended(child)


def layers(seed, timeout):
    """A random chain of at least 30 contexts: the last, the values, the cancels."""
    rand = random.Random(seed)
    ctx, values, cancels, timers = background(), [], [], 0
    depth = 0
    while depth < 30 or not (values and cancels and timers):
        depth += 1
        kind = rand.randrange(3)
        if kind == 0:
            value = object()
            ctx = context.with_value(ctx, value, value)
            values.append(value)
            continue
        if kind == 1:
            ctx, cancel = context.with_cancel(ctx)
        else:
            ctx, cancel = context.with_timeout(ctx, timeout)
            timers += 1
        cancels.append(cancel)
    return ctx, values, cancels


@pytest.mark.go("context", "TestLayersCancel")
@pytest.mark.parametrize("seed", range(20))
async def test_layers_cancel(seed):
    ctx, values, cancels = layers(seed, LONG)
    assert alive(ctx)
    assert str(ctx).startswith("context.Background.")
    assert [ctx.value(key) for key in values] == values
    random.Random(seed).choice(cancels)()
    assert ended(ctx)
    assert [ctx.value(key) for key in values] == values


@pytest.mark.go("context", "TestLayersTimeout")
@pytest.mark.parametrize("seed", range(20))
async def test_layers_timeout(seed):
    ctx, values, _ = layers(seed, SHORT)
    assert str(ctx).startswith("context.Background.")
    assert [ctx.value(key) for key in values] == values
    assert await times_out(ctx)
    assert [ctx.value(key) for key in values] == values


@pytest.mark.go("context", "TestWithCancelCanceledParent")
async def test_with_cancel_canceled_parent():
    parent, cancel = context.with_cancel_cause(background())
    because = ValueError("Because!")
    cancel(because)
    child, _ = context.with_cancel(parent)
    assert ended(child)
    assert child.err() == parent.err()
    assert cause(child) is because


@pytest.mark.go("context", "TestWithCancelSimultaneouslyCanceledParent")
@pytest.mark.usefixtures("procs")
async def test_with_cancel_simultaneously_canceled_parent():
    for _ in range(100):
        parent, cancel = context.with_cancel_cause(background())
        because = ValueError("Because!")
        go(cancel, because)  # a plain goroutine: on a thread of its own
        child, _ = context.with_cancel(parent)
        await child.done().recv()
        assert ended(child)
        assert cause(child) is because


@pytest.mark.go("context", "TestWithValueChecksKey")
async def test_with_value_checks_key():
    with pytest.raises(TypeError, match=r"^key is not comparable: .*\['foo'\]"):
        context.with_value(background(), ["foo"], "bar")
    with pytest.raises(TypeError, match=r"^nil key: "):
        context.with_value(background(), None, "bar")


@pytest.mark.go("context", "TestInvalidDerivedFail")
async def test_invalid_derived_fail():
    for derive, more in [
        (context.with_cancel, ()),
        (context.with_deadline, (monotonic() + SHORT,)),
        (context.with_value, ("foo", "bar")),
    ]:
        with pytest.raises(TypeError, match=r"^cannot create context from nil parent"):
            derive(None, *more)


@pytest.mark.go("context", "TestDeadlineExceededSupportsTimeout")
@pytest.mark.go("context", "TestDeadlineExceededIsNetError")
async def test_deadline_exceeded_supports_timeout():
    """Where Go's errors of the network have these methods, Python's are TimeoutErrors."""
    ctx, _ = context.with_timeout(background(), 0)
    err = ctx.err()
    assert err.timeout() is True
    assert err.temporary() is True
    assert isinstance(err, TimeoutError)
    assert isinstance(err, OSError)


@pytest.mark.go("context", "TestCauseRace")
@pytest.mark.usefixtures("procs")
async def test_cause_race():
    for _ in range(20):
        why = ValueError("TestCauseRace")
        ctx, cancel = context.with_cancel_cause(background())
        go(cancel, why)
        while (seen := cause(ctx)) is None:
            await gosched()
        assert seen is why


@pytest.mark.go("context", "TestWithoutCancel")
async def test_without_cancel():
    parent, cancel = context.with_timeout(background(), LONG)
    ctx = context.without_cancel(context.with_value(parent, "key", "value"))
    cancel()
    assert ctx.deadline() is None
    assert ctx.done() is None
    assert ctx.err() is None
    assert ctx.value("key") == "value"


@pytest.mark.go("context", "TestAfterFuncCalledAfterCancel")
@pytest.mark.usefixtures("procs")
async def test_after_func_called_after_cancel():
    ctx, cancel = context.with_cancel(background())
    calls = []
    stop = context.after_func(ctx, calls.append, "called")
    await wait_all_parked()
    assert calls == []
    cancel()
    cancel()
    await wait_all_parked()
    assert calls == ["called"]
    assert stop() is False


@pytest.mark.go("context", "TestAfterFuncCalledAfterTimeout")
@pytest.mark.usefixtures("procs")
async def test_after_func_called_after_timeout():
    called = gopark.Chan()
    with context.with_timeout(background(), SHORT) as ctx:
        context.after_func(ctx, called.close)
        await called.recv()
        assert ended(ctx, DeadlineExceeded)


@pytest.mark.go("context", "TestAfterFuncCalledImmediately")
async def test_after_func_called_immediately():
    ctx, cancel = context.with_cancel(background())
    cancel()
    called = gopark.Chan()
    stop = context.after_func(ctx, called.close)
    assert stop() is False
    await called.recv()


@pytest.mark.go("context", "TestAfterFuncNotCalledAfterStop")
async def test_after_func_not_called_after_stop():
    ctx, cancel = context.with_cancel(background())
    calls = []
    stop = context.after_func(ctx, calls.append, "called")
    assert stop() is True
    cancel()
    await wait_all_parked()
    assert calls == []
    assert stop() is False


@pytest.mark.go("context", "TestAfterFuncCalledAsynchronously")
@pytest.mark.usefixtures("procs")
async def test_after_func_called_asynchronously():
    ctx, cancel = context.with_cancel(background())
    meet = gopark.Chan()
    context.after_func(ctx, meet.send, None)  # it waits until somebody receives
    cancel()
    assert await meet.recv_ok() == (None, True)


@pytest.mark.go("context", "TestContextErrDoneRace")
@pytest.mark.usefixtures("procs")
async def test_context_err_done_race():
    for _ in range(30):
        ctx, cancel = context.with_cancel(background())
        done = ctx.done()
        go(cancel)
        while ctx.err() is None:
            await gosched()
        assert done.try_recv() == (None, False, True)
