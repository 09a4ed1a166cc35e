"""`context.scope` and `context.shield`: waits that end with a context, and those that do not."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import gopark
from gopark import Chan, context
from gopark._runtime.base.runtime2 import G, getg
from gopark.testing import wait_all_parked

SOON = 0.005


async def test_each_wait_raises_the_error_of_the_context_as_its_own_object():
    with context.with_timeout(context.background(), SOON) as ctx:
        raised = []
        with pytest.raises(context.DeadlineExceeded) as caught, context.scope(ctx) as same:
            assert same is ctx
            for _ in range(3):
                try:
                    await Chan().recv()
                except context.DeadlineExceeded as exc:
                    raised.append(exc)
            await Chan().recv()
    assert len(set(map(id, [*raised, caught.value]))) == 4
    assert all(exc == ctx.err() for exc in raised)
    await gopark.gosched()
    assert type(getg()) is G


async def test_a_cancel_ends_a_wait_that_has_begun():
    out = Chan()

    async def waits(ctx):
        try:
            async with context.scope(ctx):
                await Chan().recv()
        except context.Canceled as exc:
            await out.send(exc)

    ctx, cancel = context.with_cancel_cause(context.background())
    gopark.go(waits, ctx)
    await wait_all_parked()
    why = OSError("disk full")
    cancel(why)
    exc = await out.recv()
    assert exc == ctx.err()
    assert exc.__cause__ is why


async def test_a_context_that_is_done_ends_the_first_wait():
    ctx, cancel = context.with_cancel(context.background())
    cancel()
    with pytest.raises(context.Canceled), context.scope(ctx):
        await gopark.gosched()


async def test_one_that_never_ends_ends_nothing():
    with context.scope(context.background()):
        await gopark.gosched()
        await gopark.time.sleep(0.0001)


async def test_a_context_of_somebody_elses_raises_copies_of_its_error():
    class Mine(Exception):
        pass

    class Foreign:
        def __init__(self):
            self.ch, self.error = Chan(), Mine("over")

        def deadline(self):
            return None

        def done(self):
            return self.ch

        def err(self):
            return self.error if self.ch._closed else None

        def value(self, key):
            return None

    ctx = Foreign()
    gopark.time.after_func(SOON, ctx.ch.close)
    raised = []
    with context.scope(ctx):
        for _ in range(2):
            try:
                await Chan().recv()
            except Mine as exc:
                raised.append(exc)
    assert [str(exc) for exc in raised] == ["over", "over"]
    assert len({id(exc) for exc in [*raised, ctx.error]}) == 3


async def test_goroutines_inside_inherit_the_context_and_not_the_scope():
    out = Chan()

    async def inside():
        assert context.current() is ctx
        await gopark.gosched()
        await out.send(context.current().err())

    before = context.current()
    with context.with_cancel(context.background()) as ctx:
        with context.scope(ctx):
            gopark.go(inside)
            ctx.cancel()
        assert isinstance(await out.recv(), context.Canceled)
    assert context.current() is before


async def test_a_scope_that_was_left_is_not_kept_by_its_context():
    with context.with_cancel(context.background()) as ctx:
        scope = context.scope(ctx)
        with scope:
            pass
        kept = weakref.ref(scope)
        del scope
        gc.collect()
        assert kept() is None
        assert not ctx._children


async def test_a_cancel_from_a_thread_and_from_a_finaliser():
    class Last:
        def __init__(self, cancel):
            self.cancel = cancel

        def __del__(self):
            self.cancel()

    ctx, cancel = context.with_cancel(context.background())
    threading.Timer(SOON, cancel).start()
    with pytest.raises(context.Canceled), context.scope(ctx):
        await gopark.time.sleep(3600)
    ctx, cancel = context.with_cancel(context.background())
    last = [Last(cancel)]
    with pytest.raises(context.Canceled), context.scope(ctx):
        last.clear()
        await Chan().recv()


# --- shield ----------------------------------------------------


async def test_cleanup_behind_a_shield_comes_to_its_end():
    done = []
    with pytest.raises(TimeoutError), gopark.timeout(0):
        try:
            await Chan().recv()
        finally:
            async with context.shield():
                await gopark.gosched()
                await gopark.time.sleep(SOON)
                done.append("cleaned up")
            with pytest.raises(gopark.ScopeEnded):  # and behind it all is as before
                await gopark.gosched()
    assert done == ["cleaned up"]


async def test_time_that_is_up_behind_a_shield_is_told_after_it():
    order = []
    with pytest.raises(TimeoutError), gopark.timeout(SOON) as t:
        with context.shield():
            await gopark.time.sleep(4 * SOON)
            assert t.expired
            order.append("not ended")
        await Chan().recv()
    assert order == ["not ended"]


async def test_a_scope_inside_of_a_shield_counts():
    with gopark.timeout(0):
        with context.shield(), pytest.raises(TimeoutError), gopark.timeout(SOON):
            await Chan().recv()
        with context.shield():
            await gopark.gosched()


async def test_a_shield_alone_does_nothing():
    with context.shield():
        await gopark.gosched()
    assert type(getg()) is G


async def test_in_plain_code():
    def plain():
        done = []
        with context.with_timeout(context.background(), SOON) as ctx:
            try:
                with context.scope(ctx):
                    try:
                        gopark.block(Chan().recv())
                    finally:
                        with context.shield():
                            gopark.block(gopark.time.sleep(SOON))
                            done.append("cleaned up")
            except context.DeadlineExceeded:
                return done

    assert await gopark.spawn(plain) == ["cleaned up"]


# --- mistakes ----------------------------------------------------


@pytest.mark.parametrize("ctx", [None, 5, "ctx", object()])
def test_what_is_no_context_is_refused(ctx):
    with pytest.raises(TypeError, match=r"scope\(\) needs a context, got"):
        context.scope(ctx)


def test_the_pair_is_refused():
    pair = context.with_cancel(context.background())
    with pytest.raises(TypeError, match=r"scope\(\) needs a context and was given the pair"):
        context.scope(pair)
    pair.cancel()


def test_outside_of_a_goroutine_they_say_where_they_belong():
    for scope in (context.scope(context.background()), context.shield()):
        with pytest.raises(gopark.NotOnGError, match="is entered where no goroutine runs"):
            scope.__enter__()


async def test_a_shield_is_entered_once():
    shield = context.shield()
    with shield, pytest.raises(RuntimeError, match=r"shield\(\) has been entered before"):
        shield.__enter__()
