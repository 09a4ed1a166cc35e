"""Which error and which cause a context has, as Go's own tests pin it down (x_test.go)."""

from __future__ import annotations

import pytest

import gopark
from gopark import context
from gopark.context import Canceled, DeadlineExceeded, background, cause
from gopark.testing import wait_all_parked

FOREVER = 1e6

parent_cause = ValueError("parentCause")
child_cause = ValueError("childCause")
too_slow = ValueError("tooSlow")
finished_early = ValueError("finishedEarly")

CASES = {}


def case(err, why):
    """A way to come to a context, with the error and the cause it must have."""

    def register(make):
        CASES[make.__name__] = (make, err, why)
        return make

    return register


class Custom:
    """A context with a done channel and an error of its own, which follow its parent's."""

    def __init__(self, parent):
        self.parent, self.own, self.error = parent, gopark.Chan(), None
        context.after_func(parent, lambda: self.end(parent.err()))

    def end(self, error):
        if self.error is None:
            self.error = error
            self.own.close()

    def deadline(self):
        return self.parent.deadline()

    def done(self):
        return self.own

    def err(self):
        return self.error

    def value(self, key):
        return self.parent.value(key)


@case(None, None)
def root():
    return background()


@case(None, None)
def todo():
    return context.todo()


@case(Canceled, Canceled)
def with_cancel():
    ctx, cancel = context.with_cancel(background())
    cancel()
    return ctx


@case(Canceled, parent_cause)
def with_cancel_cause():
    ctx, cancel = context.with_cancel_cause(background())
    cancel(parent_cause)
    return ctx


@case(Canceled, Canceled)
def with_cancel_cause_none():
    ctx, cancel = context.with_cancel_cause(background())
    cancel(None)
    return ctx


@case(Canceled, parent_cause)
def parent_cause_before_child():
    ctx, cancel_parent = context.with_cancel_cause(background())
    ctx, cancel_child = context.with_cancel_cause(ctx)
    cancel_parent(parent_cause)
    cancel_child(child_cause)
    return ctx


@case(Canceled, child_cause)
def parent_cause_after_child():
    ctx, cancel_parent = context.with_cancel_cause(background())
    ctx, cancel_child = context.with_cancel_cause(ctx)
    cancel_child(child_cause)
    cancel_parent(parent_cause)
    return ctx


@case(Canceled, parent_cause)
def parent_cause_before_none():
    ctx, cancel_parent = context.with_cancel_cause(background())
    ctx, cancel_child = context.with_cancel(ctx)
    cancel_parent(parent_cause)
    cancel_child()
    return ctx


@case(Canceled, Canceled)
def parent_cause_after_none():
    ctx, cancel_parent = context.with_cancel_cause(background())
    ctx, cancel_child = context.with_cancel(ctx)
    cancel_child()
    cancel_parent(parent_cause)
    return ctx


@case(Canceled, Canceled)
def child_cause_after_none():
    ctx, cancel_parent = context.with_cancel(background())
    ctx, cancel_child = context.with_cancel_cause(ctx)
    cancel_parent()
    cancel_child(child_cause)
    return ctx


@case(Canceled, child_cause)
def child_cause_before_none():
    ctx, cancel_parent = context.with_cancel(background())
    ctx, cancel_child = context.with_cancel_cause(ctx)
    cancel_child(child_cause)
    cancel_parent()
    return ctx


@case(DeadlineExceeded, DeadlineExceeded)
def with_timeout():
    ctx, cancel = context.with_timeout(background(), 0)
    cancel()
    return ctx


@case(Canceled, Canceled)
def with_timeout_canceled():
    ctx, cancel = context.with_timeout(background(), FOREVER)
    cancel()
    return ctx


@case(DeadlineExceeded, too_slow)
def with_timeout_cause():
    ctx, cancel = context.with_timeout_cause(background(), 0, too_slow)
    cancel()
    return ctx


@case(Canceled, Canceled)
def with_timeout_cause_canceled():
    ctx, cancel = context.with_timeout_cause(background(), FOREVER, too_slow)
    cancel()
    return ctx


@case(DeadlineExceeded, too_slow)
def with_timeout_cause_stacked():
    ctx, cancel = context.with_cancel_cause(background())
    ctx, _ = context.with_timeout_cause(ctx, 0, too_slow)
    cancel(finished_early)
    return ctx


@case(Canceled, finished_early)
def with_timeout_cause_stacked_canceled():
    ctx, cancel = context.with_cancel_cause(background())
    ctx, _ = context.with_timeout_cause(ctx, FOREVER, too_slow)
    cancel(finished_early)
    return ctx


@case(None, None)
def without_cancel():
    return context.without_cancel(background())


@case(None, None)
def without_cancel_canceled():
    ctx, cancel = context.with_cancel_cause(background())
    ctx = context.without_cancel(ctx)
    cancel(finished_early)
    return ctx


@case(None, None)
def without_cancel_timeout():
    ctx, cancel = context.with_timeout_cause(background(), 0, too_slow)
    ctx = context.without_cancel(ctx)
    cancel()
    return ctx


@case(Canceled, Canceled)
def parent_of_custom_context_not_canceled():
    ctx, _ = context.with_cancel_cause(background())
    ctx = Custom(ctx)
    ctx.end(Canceled())
    return ctx


@case(Canceled, parent_cause)
def parent_of_custom_context_canceled_before():
    ctx, cancel = context.with_cancel_cause(background())
    ctx = Custom(ctx)
    cancel(parent_cause)
    ctx.end(Canceled())
    return ctx


@case(Canceled, parent_cause)
def parent_of_custom_context_canceled_after():
    """Nobody can tell which of the two was first; as in Go the parent's cause counts."""
    ctx, cancel = context.with_cancel_cause(background())
    ctx = Custom(ctx)
    ctx.end(Canceled())
    cancel(parent_cause)
    return ctx


@pytest.mark.go("context", "TestCause")
@pytest.mark.parametrize("name", CASES)
async def test_cause(name):
    make, err, why = CASES[name]
    ctx = make()
    await wait_all_parked()
    if err is None:
        assert ctx.err() is None
        assert cause(ctx) is None
        return
    assert type(ctx.err()) is err
    assert cause(ctx) == (ctx.err() if why is err else why)


def test_all_cases_of_go_are_here():
    assert len(CASES) == 23
