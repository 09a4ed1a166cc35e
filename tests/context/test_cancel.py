"""gopark.context: how an end goes down the tree, and what it leaves behind."""

from __future__ import annotations

import contextvars
import gc
import pickle
import sys
import threading
import time
import traceback
import weakref

import pytest

import gopark
from gopark import Chan, context, go
from gopark.context import Canceled, DeadlineExceeded, _cancel, background, cause
from gopark.testing import wait_all_parked

LONG = 3600.0
MANY = 10_000

DERIVE = {
    "with_cancel": context.with_cancel,
    "with_timeout": lambda parent: context.with_timeout(parent, LONG),
}


# --- the error --------------------------------------------------------------------------------


def test_an_error_is_equal_at_each_call_and_down_the_tree():
    parent, cancel = context.with_cancel(background())
    child = context.with_value(context.with_timeout(parent, LONG)[0], "key", 1)
    other = context.with_cancel(background())
    cancel()
    other.cancel()
    assert parent.err() == parent.err() == child.err()
    assert isinstance(parent.err(), Canceled)
    assert other.ctx.err() != parent.err()  # nothing of one request is in another's error


def test_errors_print_as_gos():
    assert str(Canceled()) == "context canceled"
    assert str(DeadlineExceeded()) == "context deadline exceeded"
    assert isinstance(DeadlineExceeded(), TimeoutError)


def test_an_error_that_is_raised_again_and_again_does_not_collect_frames():
    with context.with_cancel(background()) as ctx:
        pass
    held = []

    def raises():
        big = Canary()
        held.append(weakref.ref(big))
        raise ctx.err()

    depths = set()
    for _ in range(10):
        try:
            raises()
        except Canceled as err:
            depths.add(len(traceback.extract_tb(err.__traceback__)))
    assert depths == {2}
    ctx.err()
    assert [ref() for ref in held] == [None] * 10


class Canary:
    """Something to be collected."""


def test_who_handles_an_error_keeps_its_traceback():
    with context.with_cancel(background()) as ctx:
        pass
    with pytest.raises(Canceled) as caught:
        raise ctx.err()
    assert ctx.err().__traceback__ is None  # another's, and equal
    assert ctx.err() == caught.value
    assert caught.value.__traceback__ is not None


def test_errors_of_one_end_are_equal_and_of_two_are_not():
    ends = [context.with_cancel(background()) for _ in range(2)]
    for _, cancel in ends:
        cancel()
    (one, _), (two, _) = ends
    child, _ = context.with_timeout(one, 60)
    assert one.err() == one.err() == child.err() == cause(child)
    assert len({one.err(), child.err(), two.err()}) == 2
    assert one.err() != two.err() != Canceled()
    assert pickle.loads(pickle.dumps(one.err())).args == one.err().args


@pytest.mark.parametrize("given", [None, "raised before"])
def test_a_cause_that_many_raise_does_not_grow(given):
    """It is the object that was given; what it had then it keeps."""
    why = ValueError("disk full")
    if given:
        try:
            raise why
        except ValueError:
            pass
    names = [frame.name for frame in traceback.extract_tb(why.__traceback__)]
    ctx, cancel = context.with_cancel_cause(background())
    cancel(why)

    def raises():
        try:
            {}["what is handled here"]
        except KeyError:
            raise cause(ctx)  # noqa: B904 - its context is looked at

    for _ in range(10):
        with pytest.raises(ValueError, match="disk full") as caught:
            raises()
        assert caught.value is why
    here = test_a_cause_that_many_raise_does_not_grow.__name__
    assert cause(ctx) is why
    assert [frame.name for frame in traceback.extract_tb(why.__traceback__)] == names
    assert why.__context__ is None
    try:
        raises()
    except ValueError:
        cause(ctx)  # while it is being handled it keeps all
        assert [f.name for f in traceback.extract_tb(why.__traceback__)][:2] == [here, "raises"]


def test_a_cause_that_is_on_its_way_out_keeps_its_frames():
    def inner():
        with context.with_cancel_cause(background()) as ctx:
            held.append(ctx)
            raise ValueError("disk full")

    def outer():
        try:
            inner()
        finally:
            with_thread(lambda: cause(held[0]))

    held = []
    with pytest.raises(ValueError, match="disk full") as caught:
        outer()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[1:] == ["outer", "inner"]


def with_thread(fn):
    thread = threading.Thread(target=fn)
    thread.start()
    thread.join()


def test_a_traceback_of_the_error_shows_the_cause():
    ctx, cancel = context.with_cancel_cause(background())
    cancel(ValueError("disk full"))
    assert ctx.err().__cause__ is cause(ctx)
    text = "".join(traceback.format_exception(ctx.err()))
    assert text.index("disk full") < text.index("context canceled")


def test_a_timeouts_cause_counts_only_if_the_time_ran_out():
    slow = ValueError("slow")
    with context.with_timeout_cause(background(), LONG, slow) as ctx:
        pass
    assert cause(ctx) == ctx.err()
    with context.with_timeout_cause(background(), 0, slow) as ctx:
        assert cause(ctx) is slow


# --- the channel ------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["asked before", "asked after"])
def test_the_channel_is_the_same_at_each_call(before):
    ctx, cancel = context.with_cancel(background())
    done = ctx.done() if before else None
    cancel()
    if before:
        assert ctx.done() is done
    assert ctx.done() is ctx.done()
    assert ctx.done().try_recv() == (None, False, True)


async def test_nobody_but_the_context_closes_the_channel_or_sends_on_it():
    ctx, cancel = context.with_cancel(background())
    for operation in (
        lambda: ctx.done().close(),
        lambda: ctx.done().try_send(1),
        lambda: ctx.done().send(1),
    ):
        with pytest.raises(TypeError, match="the done channel of a context: call its cancel"):
            operation()
    assert ctx.err() is None
    cancel()
    assert await ctx.done().recv_ok() == (None, False)


def test_a_child_of_a_parent_that_is_never_done_has_a_channel_of_its_own():
    first, second = (context.with_cancel(background())[0] for _ in range(2))
    assert first.done() is not second.done()
    assert context.with_value(first, "key", 1).done() is first.done()


# --- many and deep ----------------------------------------------------------------------------


@pytest.mark.parametrize("derive", DERIVE.values(), ids=DERIVE)
def test_ten_thousand_children_leave_nothing_behind(derive):
    parent, cancel = context.with_cancel(background())
    children = [derive(parent)[0] for _ in range(MANY)]
    channels = [child.done() for child in children[::2]]
    watched = [weakref.ref(child) for child in children]
    cancel()
    assert all(child.err() == parent.err() for child in children)
    assert all(channel.try_recv()[2] for channel in channels)
    del children, channels
    assert all(ref() is None for ref in watched)  # with no help of the garbage collector


def test_the_time_to_cancel_grows_with_the_number_of_children_and_not_faster():
    def seconds(n):
        """Of this thread's CPU, the best of some."""
        best = 1e9
        for _ in range(5):
            parent, cancel = context.with_cancel(background())
            children = [context.with_cancel(parent)[0] for _ in range(n)]
            start = time.thread_time()
            cancel()
            best = min(best, time.thread_time() - start)
            assert children[-1].err() is not None
        return best

    gc.disable()
    try:
        assert seconds(MANY) < 100 * seconds(MANY // 20)  # squared, it would be 400
    finally:
        gc.enable()


def test_children_that_are_cancelled_one_by_one_leave_nothing_behind():
    parent, _ = context.with_cancel(background())
    for _ in range(100):
        child, cancel = context.with_cancel(parent)
        watched = weakref.ref(child)
        cancel()
        del child, cancel
        assert watched() is None


@pytest.mark.parametrize("derive", DERIVE.values(), ids=DERIVE)
def test_a_cancelled_child_is_held_by_nobody(derive):
    """Neither by the parent nor by the clock."""
    for parent in (background(), context.with_cancel(background())[0]):
        ctx, cancel = derive(parent)
        watched = weakref.ref(ctx)
        cancel()
        del ctx, cancel
        assert watched() is None


def test_a_child_of_the_background_is_collected_uncancelled():
    pair = context.with_cancel(background())
    watched = weakref.ref(pair.ctx)
    pair.ctx.done()
    del pair
    assert watched() is None


def deep(layers=MANY):
    """A chain with every kind of context in it: the first, its cancel, the last."""
    first, cancel = context.with_cancel_cause(background())
    last = context.with_value(first, "first", "value")
    for n in range(layers):
        if n % 3 == 0:
            last = context.with_value(last, n, n)
        elif n % 3 == 1:
            last = context.with_cancel(last)[0]
        else:
            last = context.with_timeout(last, LONG - n / 10)[0]
    return first, cancel, last


def test_a_chain_of_ten_thousand_layers():
    assert sys.getrecursionlimit() < MANY
    first, cancel, last = deep()
    assert last.value("first") == "value"
    assert last.value("none") is None
    assert last.err() is None
    assert last.deadline() is not None
    assert str(last).startswith("context.Background.WithCancel.WithValue(first, value).")
    why = ValueError("why")
    cancel(why)
    assert last.err() == first.err()
    assert cause(last) is why
    assert last.done().try_recv()[2]
    assert context.with_cancel(last)[0].err() == first.err()


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_long_chain_is_destroyed_without_recursion(cancelled):
    first, cancel, last = deep(3 * MANY)
    if cancelled:
        cancel(None)
    watched = weakref.ref(first)
    if not cancelled:
        context.with_cancel(first).cancel()
    del first, cancel, last
    gc.collect()
    assert (watched() is None) is cancelled  # an uncancelled one is held by the clock
    if not cancelled:
        watched().value("nothing")
        watched()._cancel()
        gc.collect()
        assert watched() is None


def test_a_long_chain_of_values_is_destroyed_without_recursion():
    ctx = background()
    for n in range(10 * MANY):
        ctx = context.with_value(ctx, "key", n)
    watched = weakref.ref(ctx)
    del ctx
    assert watched() is None


# --- from anywhere ----------------------------------------------------------------------------


@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_a_thread_of_pythons_cancels_and_wakes_those_who_wait():
    ctx, cancel = context.with_cancel(background())
    woken = Chan(10)

    async def waiter():
        await ctx.done().recv()
        await woken.send(type(ctx.err()))

    for _ in range(10):
        go(waiter)
    await wait_all_parked()
    thread = threading.Thread(target=cancel)
    thread.start()
    assert [await woken.recv() for _ in range(10)] == [Canceled] * 10
    gopark.cgo.call(thread.join)


def test_plain_code_without_a_program():
    with context.with_timeout(background(), 0.001) as ctx:
        for _ in ctx.done():
            raise AssertionError
        assert isinstance(ctx.err(), DeadlineExceeded)


async def test_a_finaliser_that_cancels_in_the_middle_of_a_cancel():
    parent, cancel = context.with_cancel(background())

    class Client:
        def __init__(self):
            self.ctx, self.cancel = context.with_cancel(parent)

        def __del__(self):
            self.cancel()
            cancel()

    clients = [Client() for _ in range(3)]
    watched = [weakref.ref(client.ctx) for client in clients]
    context.with_value(clients[0].ctx, "client", clients[0])  # and away
    children = [client.ctx for client in clients]
    del clients
    assert all(child.err() is not None for child in children)
    del children
    assert [ref() for ref in watched] == [None] * 3


def lines_of_a_cancel():
    """How many lines of gopark.context run in one cancel of `family()`."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if frame.f_code.co_filename != _cancel.__file__:
            return None
        if event == "line":
            count += 1
        return trace

    _, cancel = family()
    sys.settrace(trace)
    try:
        cancel()
    finally:
        sys.settrace(None)
    return count


def family():
    parent, cancel = context.with_cancel(context.with_cancel(background())[0])
    children = [context.with_cancel(parent)[0], context.with_timeout(parent, LONG)[0]]
    grandchildren = [context.with_cancel(child)[0] for child in children * 2]
    everyone = [parent, *children, *grandchildren]
    for ctx in everyone[1:]:
        ctx.done()
    return everyone, cancel


def test_a_cancel_that_is_interrupted_ends_the_whole_tree_or_nothing():
    """Ctrl-C at each line of it in turn."""
    lines = lines_of_a_cancel()
    assert lines > 50
    stopped = 0
    for n in range(lines):
        everyone, cancel = family()
        left = n

        def trace(frame, event, arg):
            nonlocal left
            if frame.f_code.co_filename != _cancel.__file__:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            with pytest.raises(KeyboardInterrupt):
                cancel()
        finally:
            sys.settrace(None)
        ended = {ctx.err() is not None for ctx in everyone}
        closed = {ctx.done().try_recv()[2] for ctx in everyone}
        assert ended == closed
        assert len(ended) == 1, f"half a tree after an interrupt at line {n}"
        stopped += ended == {False}
        cancel()
        assert everyone[0].err() is not None
        assert all(ctx.err() == everyone[0].err() for ctx in everyone)
    assert stopped < lines / 2


# --- time -------------------------------------------------------------------------------------


async def test_a_deadline_later_than_the_parents_is_the_parents():
    parent, cancel = context.with_timeout(background(), 10)
    child, _ = context.with_timeout(parent, LONG)
    assert child.deadline() == parent.deadline()
    assert str(child).endswith("]).WithCancel")
    sooner, _ = context.with_timeout(child, 1)
    assert sooner.deadline() < parent.deadline()
    assert context.with_value(sooner, "key", 1).deadline() == sooner.deadline()
    cancel()


def test_a_cancelled_timeout_keeps_no_program_alive():
    """No timer is left that could still wake somebody: the deadlock is seen at once."""

    async def main():
        with context.with_timeout(background(), LONG):
            pass
        await Chan().recv()

    gopark.debug.strict_deadlock()
    try:
        with pytest.raises(gopark.DeadlockError):
            gopark.run(main)
    finally:
        gopark.debug.strict_deadlock(False)


@pytest.mark.usefixtures("procs")
async def test_a_timeout_ends_all_below_and_tells_the_cause():
    slow = ValueError("slow")
    ctx, _ = context.with_timeout_cause(background(), 0.002, slow)
    leaf = context.with_value(context.with_cancel(ctx)[0], "key", 1)
    await leaf.done().recv()
    assert leaf.err() == ctx.err()
    assert isinstance(leaf.err(), DeadlineExceeded)
    assert cause(leaf) is slow


# --- after_func -------------------------------------------------------------------------------

variable = contextvars.ContextVar("variable", default="unset")


@pytest.mark.usefixtures("procs")
async def test_after_func_passes_arguments_and_the_variables_of_who_asked():
    ctx, cancel = context.with_cancel(background())
    said = Chan(2)

    async def coroutine(word, more):
        await said.send((word + more, variable.get()))

    def plain(word, *, more):
        gopark.block(said.send((word + more, variable.get())))

    variable.set("asker")
    context.after_func(ctx, coroutine, "a", "1")
    context.after_func(ctx, plain, "b", more="2")
    variable.set("canceller")
    cancel()
    assert {await said.recv() for _ in range(2)} == {("a1", "asker"), ("b2", "asker")}


async def test_after_func_holds_nothing_once_it_is_over():
    for over in ("stop", "cancel"):
        ctx, cancel = context.with_cancel(background())
        canary = Canary()
        watched = weakref.ref(canary)
        stop = context.after_func(ctx, id, canary)
        del canary
        assert watched() is not None
        stop() if over == "stop" else cancel()
        await wait_all_parked()
        gc.collect()
        assert watched() is None


async def test_a_function_is_called_once_all_channels_are_closed():
    ctx, cancel = context.with_cancel(background())
    seen = Chan(1)
    below = []
    context.after_func(ctx, lambda: seen.try_send([c.done().try_recv()[2] for c in below]))
    below += [context.with_cancel(ctx)[0] for _ in range(5)]
    cancel()
    assert await seen.recv() == [True] * 5


def test_stop_of_a_context_that_is_never_done():
    stop = context.after_func(background(), print)
    assert stop() is True
    assert stop() is False
