"""Contexts that a signal ends, as Go's own tests pin them down (os/signal/signal_test.go)."""

from __future__ import annotations

import os
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

import gopark
from gopark import Chan
from gopark.context import Canceled, background, cause, with_cancel, with_cancel_cause
from gopark.signal import ignore, ignored, notify_context
from harness import Ended, run


@pytest.mark.go("os/signal", "TestNotifyContextNotifications")
@pytest.mark.parametrize("times", [1, 10])
def test_notify_context_notifications(times):
    ended = run("testprog", f"NotifyContextNotifications{times}")
    assert ended == Ended("interrupt signal received\nreceived SIGINT\n", "", 0)


@pytest.mark.go("os/signal", "TestNotifyContextStop")
async def test_notify_context_stop(procs):
    ignore(SIGHUP)
    assert ignored(SIGHUP)
    parent, cancel_parent = with_cancel(background())
    ctx, stop = notify_context(parent, SIGHUP)
    assert not ignored(SIGHUP)
    assert str(ctx) == "signal.NotifyContext(context.Background.WithCancel, [hangup])"
    stop()
    await ctx.done().recv()
    assert isinstance(ctx.err(), Canceled)
    assert cause(ctx) == ctx.err()
    cancel_parent()


@pytest.mark.go("os/signal", "TestNotifyContextCancelParent")
async def test_notify_context_cancel_parent(procs):
    parent, cancel_parent = with_cancel_cause(background())
    why = ValueError("parent canceled")
    ctx, stop = notify_context(parent, SIGINT)
    assert str(ctx) == "signal.NotifyContext(context.Background.WithCancel, [interrupt])"
    cancel_parent(why)
    await ctx.done().recv()
    assert isinstance(ctx.err(), Canceled)
    assert cause(ctx) is why
    stop()


@pytest.mark.go("os/signal", "TestNotifyContextPrematureCancelParent")
async def test_notify_context_premature_cancel_parent(procs):
    parent, cancel_parent = with_cancel_cause(background())
    why = ValueError("parent canceled")
    cancel_parent(why)
    ctx, stop = notify_context(parent, SIGINT)
    assert str(ctx) == "signal.NotifyContext(context.Background.WithCancel, [interrupt])"
    await ctx.done().recv()
    assert isinstance(ctx.err(), Canceled)
    assert cause(ctx) is why
    stop()


@pytest.mark.go("os/signal", "TestNotifyContextSimultaneousStop")
async def test_notify_context_simultaneous_stop(procs):
    ctx, stop = notify_context(background(), SIGINT)
    assert str(ctx) == "signal.NotifyContext(context.Background, [interrupt])"
    stopped = Chan(10)

    async def stops():
        stop()
        await stopped.send(True)

    def stops_too():
        stop()
        gopark.block(stopped.send(True))

    for n in range(10):
        gopark.go(stops if n % 2 else stops_too)
    assert [await stopped.recv() for _ in range(10)] == [True] * 10
    await ctx.done().recv()
    assert isinstance(ctx.err(), Canceled)


@pytest.mark.go("os/signal", "TestNotifyContextStringer")
async def test_notify_context_stringer():
    parent, _ = with_cancel(background())
    ctx, stop = notify_context(parent, SIGHUP, SIGINT, SIGTERM)
    expected = "signal.NotifyContext(context.Background.WithCancel, [hangup interrupt terminated])"
    assert str(ctx) == expected
    stop()


@pytest.mark.go("os/signal", "TestNotifyContextCause")
async def test_notify_context_cause(procs):
    parent, _ = with_cancel(background())
    ctx, stop = notify_context(parent, SIGINT)
    os.kill(os.getpid(), SIGINT)
    await ctx.done().recv()
    assert isinstance(ctx.err(), Canceled)
    assert isinstance(cause(ctx), Canceled)
    assert str(cause(ctx)) == "interrupt signal received"
    stop()
