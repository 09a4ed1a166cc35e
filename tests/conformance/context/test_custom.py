"""Contexts of other people's making as parents, as Go's own tests pin them down.

Go: context/afterfunc_test.go, and TestCustomContext... in context_test.go and x_test.go.
"""

from __future__ import annotations

import threading

import pytest

import gopark
from gopark import context, go
from gopark.context import Canceled, Context, background, cause
from gopark.testing import wait_all_parked

LONG = 3600000.0


class Wrapper(Context):
    """Leaves everything to the context inside."""

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


class OwnDone(Wrapper):
    """Brings a done channel of its own."""

    def __init__(self, inner):
        super().__init__(inner)
        self.own = gopark.Chan()

    def done(self):
        return self.own


class OwnAfterFunc(Context):
    """Knows by itself how to call a function when it ends, and has no other relation to ours."""

    def __init__(self):
        self.lock = threading.Lock()
        self.functions = {}
        self.own = gopark.Chan()
        self.error = None

    def deadline(self):
        return None

    def done(self):
        return self.own

    def err(self):
        return self.error

    def value(self, key):
        return None

    def after_func(self, fn):
        key = object()
        with self.lock:
            self.functions[key] = fn

        def stop():
            with self.lock:
                return self.functions.pop(key, None) is not None

        return stop

    def cancel(self, error):
        """Ends without closing the channel: who hears of it hears it through `after_func`."""
        with self.lock:
            self.error = error
            functions, self.functions = self.functions, {}
        for fn in functions.values():
            go(fn)


class OwnCause(Context):
    """Has an error and a channel, and may cancel a child by hand."""

    def __init__(self):
        self.own = gopark.Chan()
        self.error = None
        self.cancel_child = None

    def deadline(self):
        return None

    def done(self):
        return self.own

    def err(self):
        return self.error

    def value(self, key):
        return None

    def cancel(self):
        self.error = Canceled()
        self.own.close()
        if self.cancel_child is not None:
            self.cancel_child()


@pytest.mark.go("context", "TestCustomContextGoroutines")
async def test_custom_context_goroutines():
    """The number of goroutines tells whether a helper was started."""

    async def started(parent, derive=context.with_cancel, *more):
        before = gopark.runtime.num_goroutine()
        ctx, cancel = derive(parent, *more)
        helpers = gopark.runtime.num_goroutine() - before
        cancel()
        await wait_all_parked()
        assert gopark.runtime.num_goroutine() == before  # the helper has gone with the child
        return ctx, helpers

    assert (await started(OwnDone(background())))[1] == 1
    assert (await started(OwnDone(background()), context.with_timeout, LONG))[1] == 1

    ctx1, cancel1 = context.with_cancel(background())
    ctx2 = Wrapper(ctx1)
    assert (await started(ctx1))[1] == 0
    assert (await started(ctx2))[1] == 0
    assert (await started(OwnDone(ctx2)))[1] == 1  # ctx1 is in there, but another channel counts

    before = gopark.runtime.num_goroutine()
    ctx3, _ = context.with_cancel(ctx2)
    ctx4, _ = context.with_timeout(ctx3, LONG)
    ctx5, cancel5 = context.with_cancel(ctx4)
    cancel5()
    context.with_timeout(ctx5, LONG)
    cancel1()
    context.with_cancel(ctx4)
    assert gopark.runtime.num_goroutine() == before
    assert isinstance(ctx4.err(), Canceled)


@pytest.mark.go("context", "TestCustomContextPropagation")
@pytest.mark.usefixtures("procs")
async def test_custom_context_propagation():
    why = ValueError("TestCustomContextPropagation")
    ctx1, cancel1 = context.with_cancel_cause(background())
    ctx2 = OwnDone(ctx1)
    ctx3, _ = context.with_cancel(ctx2)
    cancel1(why)
    await wait_all_parked()
    assert ctx3.err() is None  # its parent is not done as long as its channel is open
    ctx2.own.close()
    await ctx3.done().recv()
    assert ctx3.err() == ctx1.err()
    assert cause(ctx3) is why


@pytest.mark.go("context", "TestCustomContextCause")
async def test_custom_context_cause():
    parent = OwnCause()
    parent.cancel()
    assert cause(parent) == parent.err()


@pytest.mark.go("context", "TestCustomContextCause")
async def test_custom_context_cause__childs_own_cause_is_kept():
    parent = OwnCause()
    child, cancel = context.with_cancel_cause(parent)
    why = ValueError("TestCustomContextCause")
    cancel(why)
    assert isinstance(child.err(), Canceled)
    assert cause(child) is why
    assert parent.err() is None
    assert cause(parent) is None
    parent.cancel()
    await wait_all_parked()
    assert isinstance(child.err(), Canceled)
    assert child.err() != parent.err()
    assert cause(child) is why
    assert cause(parent) == parent.err()


@pytest.mark.go("context", "TestCustomContextCause")
async def test_custom_context_cause__parent_cancels_the_child_by_hand():
    parent = OwnCause()
    child, parent.cancel_child = context.with_cancel(parent)
    parent.cancel()
    assert isinstance(child.err(), Canceled)
    assert cause(child) == child.err()
    assert cause(parent) == parent.err()


@pytest.mark.go("context", "TestCustomContextAfterFuncCancel")
@pytest.mark.usefixtures("procs")
async def test_custom_context_after_func_cancel():
    parent, error = OwnAfterFunc(), Canceled()
    child, _ = context.with_cancel(parent)
    assert gopark.runtime.num_goroutine() == 1
    parent.cancel(error)
    await child.done().recv()
    assert child.err() == error


@pytest.mark.go("context", "TestCustomContextAfterFuncTimeout")
@pytest.mark.usefixtures("procs")
async def test_custom_context_after_func_timeout():
    parent, error = OwnAfterFunc(), Canceled()
    child, _ = context.with_timeout(parent, LONG)
    parent.cancel(error)
    await child.done().recv()
    assert child.err() == error


@pytest.mark.go("context", "TestCustomContextAfterFuncAfterFunc")
@pytest.mark.usefixtures("procs")
async def test_custom_context_after_func_after_func():
    parent, called = OwnAfterFunc(), gopark.Chan()
    stop = context.after_func(parent, called.close)
    parent.cancel(Canceled())
    await called.recv()
    assert stop() is False


@pytest.mark.go("context", "TestCustomContextAfterFuncUnregisterCancel")
async def test_custom_context_after_func_unregister_cancel():
    parent = OwnAfterFunc()
    _, cancel1 = context.with_cancel(parent)
    _, cancel2 = context.with_cancel(parent)
    assert len(parent.functions) == 2
    cancel1()
    assert len(parent.functions) == 1
    cancel2()
    assert len(parent.functions) == 0


@pytest.mark.go("context", "TestCustomContextAfterFuncUnregisterTimeout")
async def test_custom_context_after_func_unregister_timeout():
    parent = OwnAfterFunc()
    _, cancel = context.with_timeout(parent, LONG)
    assert len(parent.functions) == 1
    cancel()
    assert len(parent.functions) == 0


@pytest.mark.go("context", "TestCustomContextAfterFuncUnregisterAfterFunc")
async def test_custom_context_after_func_unregister_after_func():
    parent = OwnAfterFunc()
    stop = context.after_func(parent, print)
    assert len(parent.functions) == 1
    assert stop() is True
    assert len(parent.functions) == 0
