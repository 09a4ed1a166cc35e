"""gopark.context: parents of other people's making, beyond what Go's tests pin down."""

from __future__ import annotations

import threading

import pytest

import gopark
from gopark import Chan, context
from gopark.context import Canceled, Context, background, cause
from gopark.testing import wait_all_parked


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


class Own(Wrapper):
    """Ends by itself."""

    def __init__(self, inner=None):
        super().__init__(background() if inner is None else inner)
        self.own, self.error = Chan(), None

    def done(self):
        return self.own

    def err(self):
        return self.error

    def end(self, error=None):
        self.error = error
        self.own.close()


class Caller(Own):
    """Calls its functions itself, at once and with its lock held."""

    def __init__(self):
        super().__init__()
        self.lock, self.functions, self.stopped = threading.Lock(), [], 0

    def after_func(self, fn):
        if self.error is not None:
            fn()
        self.functions.append(fn)

        def stop():
            with self.lock:
                self.stopped += 1
            return True

        return stop

    def end(self, error=None):
        with self.lock:
            self.error = error
            for fn in self.functions:
                fn()


async def test_a_child_of_one_that_is_done_is_done_at_birth():
    parent, error = Own(), Canceled()
    parent.end(error)
    before = gopark.runtime.num_goroutine()
    child, _ = context.with_cancel(parent)
    assert child.err() == error
    assert child.done().try_recv()[2]
    assert gopark.runtime.num_goroutine() == before


async def test_the_end_goes_through_wrappers_at_once_and_with_no_goroutine():
    inner, cancel = context.with_cancel(background())
    valued = context.with_value(inner, "key", 1)
    child, _ = context.with_cancel(Wrapper(context.with_value(Wrapper(valued), "other", 2)))
    assert gopark.runtime.num_goroutine() == 1
    cancel()
    assert child.err() == inner.err()


async def test_a_wrapper_around_one_without_an_end_has_none():
    parent, cancel = context.with_cancel(background())
    child, _ = context.with_cancel(Wrapper(context.without_cancel(parent)))
    cancel()
    await wait_all_parked()
    assert child.err() is None


async def test_one_with_after_func_that_ends_is_not_asked_to_stop_what_it_has_called():
    """It would wait for its own lock."""
    parent, error = Caller(), Canceled()
    child, _ = context.with_cancel(parent)
    parent.end(error)
    assert child.err() == error
    assert parent.stopped == 0


async def test_one_with_after_func_is_asked_to_stop_once():
    parent = Caller()
    with context.with_cancel(parent) as child:
        assert child.err() is None
    child._cancel()
    assert parent.stopped == 1


async def test_one_with_after_func_may_call_at_once():
    parent = Caller()
    parent.error = Canceled()
    child, _ = context.with_cancel(parent)
    assert child.err() == parent.error
    assert parent.stopped == 1  # nothing stays registered


async def test_after_func_is_found_below_a_value():
    parent = Caller()
    child, _ = context.with_cancel(context.with_value(parent, "key", 1))
    assert gopark.runtime.num_goroutine() == 1
    parent.end(Canceled())
    assert child.err() == parent.error


async def test_an_end_without_an_error_is_refused_in_gos_words():
    parent = Own()
    parent.end(None)
    with pytest.raises(RuntimeError, match="context: internal error: missing cancel error"):
        context.with_cancel(parent)


async def test_a_helper_goroutine_goes_with_the_child_and_shows_what_it_waits_for():
    parent = Own()
    child, cancel = context.with_cancel(parent)
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 2
    assert "[select]:" in gopark.runtime.stack(all=True)
    cancel()
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1
    assert child.err() is not None


async def test_an_error_of_their_own_goes_down_as_it_is():
    class Quota(Exception):
        pass

    parent = Own()
    child, _ = context.with_cancel(parent)
    parent.end(Quota("exceeded"))
    await child.done().recv()
    assert child.err() == parent.error
    assert cause(child) is parent.error


async def test_an_error_of_their_own_keeps_its_traceback():
    parent = Own()
    child, _ = context.with_cancel(parent)
    try:
        raise OSError("their own")
    except OSError as error:
        parent.end(error)
    await child.done().recv()
    assert child.err().__traceback__ is not None


def test_a_channel_that_is_none_is_refused():
    parent = Own()
    parent.own = 5
    with pytest.raises(TypeError, match=r"^done\(\) of .*Own .* must return a Chan or None, got 5"):
        context.with_cancel(parent)
