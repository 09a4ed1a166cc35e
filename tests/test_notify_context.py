"""Contexts that a signal ends: the forms with `with`, what goes wrong, and that nothing leaks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import weakref
from signal import SIGHUP, SIGUSR1, SIGUSR2

import pytest

import gopark
from gopark.context import Canceled, background, cause, with_cancel, with_timeout, with_value
from gopark.runtime import num_goroutine
from gopark.signal import notify_context


def kill(signum):
    os.kill(os.getpid(), signum)


async def test_a_signal_ends_it_and_is_its_cause(procs):
    with notify_context(background(), SIGUSR1, SIGUSR2) as ctx:
        assert ctx.err() is None
        kill(SIGUSR2)
        await ctx.done().recv()
        assert isinstance(ctx.err(), Canceled)
        assert (str(cause(ctx)), cause(ctx).signal) == (
            "user defined signal 2 signal received",
            SIGUSR2,
        )
        kill(SIGUSR1)  # still listened for: harmless
    assert signal.getsignal(SIGUSR1) is signal.SIG_DFL


@pytest.mark.parametrize("form", ["with", "async with", "pair"])
async def test_the_end_of_the_block_stops_listening(form):
    if form == "with":
        with notify_context(background(), SIGUSR1) as ctx:
            assert signal.getsignal(SIGUSR1) is not signal.SIG_DFL
    elif form == "async with":
        async with notify_context(background(), SIGUSR1) as ctx:
            assert signal.getsignal(SIGUSR1) is not signal.SIG_DFL
    else:
        ctx, stop = notify_context(background(), SIGUSR1)
        assert signal.getsignal(SIGUSR1) is not signal.SIG_DFL
        stop()
        stop()
    assert isinstance(ctx.err(), Canceled)
    assert signal.getsignal(SIGUSR1) is signal.SIG_DFL
    await gopark.testing.wait_all_parked()
    assert num_goroutine() == 2  # main, and who hands out signals


async def test_it_is_a_context_like_any_other():
    parent = with_value(background(), "user", "ada")
    with notify_context(parent, SIGUSR1) as ctx, with_cancel(ctx) as child:
        assert child.value("user") == "ada"
        assert str(child) == (
            "signal.NotifyContext(context.Background.WithValue(user, ada), "
            "[user defined signal 1]).WithCancel"
        )
        kill(SIGUSR1)
        await child.done().recv()
        assert str(cause(child)) == "user defined signal 1 signal received"
    with with_timeout(background(), 100) as timed, notify_context(timed, SIGUSR1) as ctx:
        assert ctx.deadline() == timed.deadline()


async def test_in_a_children_tree_the_goroutine_of_a_child_is_not_needed():
    with notify_context(background(), SIGUSR1) as ctx:
        before = num_goroutine()
        with with_cancel(ctx):
            assert num_goroutine() == before


@pytest.mark.parametrize("way", [copy.copy, lambda exc: pickle.loads(pickle.dumps(exc))])
async def test_its_cause_can_be_copied_and_sent_elsewhere(way):
    ctx, stop = notify_context(background(), SIGUSR1)
    kill(SIGUSR1)
    await ctx.done().recv()
    stop()
    again = way(cause(ctx))
    assert (type(again), str(again)) == (type(cause(ctx)), str(cause(ctx)))
    assert again.signal == SIGUSR1


async def test_how_signals_are_named():
    with notify_context(background(), 1000, SIGHUP) as ctx:
        assert str(ctx) == "signal.NotifyContext(context.Background, [signal 1000 hangup])"
    with notify_context(background()) as ctx:
        assert str(ctx) == "signal.NotifyContext(context.Background)"


async def test_mistakes_leave_nothing_behind():
    with pytest.raises(TypeError, match="cannot create context from nil parent"):
        notify_context(None, SIGUSR1)
    parent, cancel = with_cancel(background())
    with pytest.raises(TypeError, match="needs signal numbers, got 'SIGUSR1'"):
        notify_context(parent, "SIGUSR1")
    cancel()
    assert num_goroutine() == 1


def test_without_a_program_it_says_so():
    with pytest.raises(RuntimeError, match=r"gopark\.run is not active"):
        notify_context(background(), SIGUSR1)


async def test_once_stopped_it_is_garbage():
    gone = []
    for _ in range(3):
        ctx, stop = notify_context(background(), SIGUSR1)
        weakref.finalize(ctx, gone.append, True)
        stop()
        del ctx, stop
    await gopark.testing.wait_all_parked()
    while len(gone) < 3:
        gc.collect()
        await gopark.gosched()


async def test_the_form_with_a_block_may_cancel():
    why = OSError("enough")
    with notify_context(background(), SIGUSR1) as ctx:
        ctx.cancel(why)
        await ctx.done().recv()
        assert gopark.context.cause(ctx) is why
