"""gopark.context: one thread is held at each line in turn while another does something else.

So every order of the steps of a cancel and of what races with it comes about, whatever the
machine: there is no lock, and these are the reasons why none is needed.
"""

from __future__ import annotations

import sys
import threading
import weakref

import pytest

import gopark
from gopark import context
from gopark.context import _cancel, background, cause
from gopark.testing import wait_all_parked

LONG = 3600.0


class Held:
    """Runs a function on a thread that stops before the n-th line of gopark.context it comes to."""

    def __init__(self, function, n):
        self.left = n
        self.there = threading.Event()  # it stands, or has come to its end before that
        self.go_on = threading.Event()
        self.stood = False
        self.result = None
        self.thread = threading.Thread(target=self._run, args=(function,))
        self.thread.start()
        assert self.there.wait(120)

    def _run(self, function):
        sys.settrace(self._trace)
        try:
            self.result = function()
        finally:
            sys.settrace(None)
            self.there.set()

    def _trace(self, frame, event, arg):
        if frame.f_code.co_filename != _cancel.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0 and not self.stood:
                self.stood = True
                self.there.set()
                assert self.go_on.wait(120)
        return self._trace

    def end(self):
        self.go_on.set()
        self.thread.join()


def each_line(prepare, check):
    """Hold what `prepare` returns at each of its lines, and call `check` meanwhile and after."""
    n = 0
    while True:
        function, *rest = prepare()
        held = Held(function, n)
        try:
            check(*rest)
        finally:
            held.end()
        yield held, *rest
        if not held.stood:
            break
        n += 1
    assert n > 3


def isclosed(channel):
    return channel.try_recv()[2]


@pytest.mark.parametrize("asked", [True, False], ids=["channel asked for", "not"])
@pytest.mark.parametrize("first", ["err", "done", "cause"])
def test_whoever_sees_one_sign_of_the_end_sees_all(asked, first):
    why = ValueError("why")

    def prepare():
        ctx, cancel = context.with_cancel_cause(background())
        return (lambda: cancel(why)), ctx, ctx.done() if asked else None

    def check(ctx, channel):
        look = {
            "err": lambda: ctx.err() is not None,
            "done": lambda: isclosed(channel or ctx.done()),
            "cause": lambda: cause(ctx) is not None,
        }
        if look[first]():
            assert isclosed(channel or ctx.done())
            assert ctx.err() is not None
            assert cause(ctx) is why

    for _, ctx, channel in each_line(prepare, check):
        assert isclosed(channel or ctx.done())
        assert cause(ctx) is why


def test_a_channel_that_is_asked_for_during_a_cancel_is_closed():
    def prepare():
        ctx, cancel = context.with_cancel(background())
        return ctx.done, ctx, cancel

    for held, ctx, _ in each_line(prepare, lambda _, cancel: cancel()):
        assert isclosed(held.result)
        assert held.result is ctx.done()


@pytest.mark.parametrize(
    "derive",
    [context.with_cancel, lambda parent: context.with_timeout(parent, LONG)],
    ids=["with_cancel", "with_timeout"],
)
def test_a_child_that_is_made_during_a_cancel_ends(derive):
    """And nobody holds it: neither its parent nor a timer."""

    def prepare():
        parent, cancel = context.with_cancel(background())
        return (lambda: derive(parent)[0]), parent, cancel

    for held, parent, _ in each_line(prepare, lambda _, cancel: cancel()):
        child, held.result = held.result, None
        assert child.err() == parent.err()
        assert isclosed(child.done())
        gone = weakref.ref(child)
        del child
        assert gone() is None


def test_a_child_that_is_cancelled_while_its_parent_is_ends_once():
    def prepare():
        parent, cancel = context.with_cancel(background())
        child, cancel_child = context.with_cancel(parent)
        grandchild, _ = context.with_cancel(child)
        return cancel_child, parent, cancel, child, grandchild

    def check(parent, cancel, child, grandchild):
        before = child.err()
        cancel()
        assert child.err() == (before or parent.err())

    for _, _, _, child, grandchild in each_line(prepare, check):
        assert child.err() is not None
        assert grandchild.err() == child.err()
        assert isclosed(grandchild.done())


def test_whoever_has_called_cancel_finds_it_done():
    """Though somebody else is in the middle of doing it."""

    def prepare():
        ctx, cancel = context.with_cancel(background())
        return cancel, cancel, ctx.done()

    def check(cancel, channel):
        cancel()
        assert isclosed(channel)

    for _, _, channel in each_line(prepare, check):
        assert isclosed(channel)


def test_stop_and_the_end_agree_who_was_first():
    calls = []

    def prepare():
        ctx, cancel = context.with_cancel(background())
        calls.clear()
        stop = context.after_func(ctx, calls.append, "called")
        return stop, cancel

    def check(cancel):
        cancel()

    for held, _ in each_line(prepare, check):
        gopark.run(wait_all_parked)
        assert calls == ([] if held.result else ["called"])
