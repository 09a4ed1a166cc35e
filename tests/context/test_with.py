"""gopark.context: the pair that the functions return, and what they refuse."""

from __future__ import annotations

import math

import pytest

from gopark import context
from gopark.context import Canceled, background, cause

BACKGROUND = background()
DERIVE = {
    "with_cancel": (),
    "with_cancel_cause": (),
    "with_deadline": (1e9,),
    "with_deadline_cause": (1e9, None),
    "with_timeout": (1e6,),
    "with_timeout_cause": (1e6, None),
    "with_value": ("key", 1),
    "without_cancel": (),
}
PAIRS = [name for name in DERIVE if name.startswith("with_") and name != "with_value"]


def derive(name, parent=BACKGROUND):
    return getattr(context, name)(parent, *DERIVE[name])


@pytest.mark.parametrize("name", PAIRS)
def test_the_end_of_the_block_cancels(name):
    with derive(name) as ctx:
        assert ctx.err() is None
    assert isinstance(ctx.err(), Canceled)


@pytest.mark.parametrize("name", PAIRS)
async def test_the_end_of_the_async_block_cancels(name):
    async with derive(name) as ctx:
        assert ctx.err() is None
    assert isinstance(ctx.err(), Canceled)
    assert await ctx.done().recv_ok() == (None, False)


@pytest.mark.parametrize("name", PAIRS)
def test_an_error_in_the_block_passes_through_and_cancels(name):
    with pytest.raises(KeyError), derive(name) as ctx:
        raise KeyError(1)
    assert isinstance(ctx.err(), Canceled)


@pytest.mark.parametrize("name", PAIRS)
def test_the_pair_unpacks_and_names_its_parts(name):
    pair = derive(name)
    ctx, cancel = pair
    assert (ctx, cancel) == (pair.ctx, pair.cancel) == (pair[0], pair[1])
    cancel()
    err = ctx.err()
    cancel()
    assert ctx.err() == err


def test_an_error_in_a_block_with_a_cause_is_the_cause():
    error = ValueError("bad row")
    with pytest.raises(ValueError, match="bad row"), context.with_cancel_cause(BACKGROUND) as ctx:
        raise error
    assert cause(ctx) is error


@pytest.mark.parametrize("name", DERIVE)
def test_no_parent_is_refused_in_gos_words(name):
    with pytest.raises(TypeError, match=f"^cannot create context from nil parent: {name}"):
        derive(name, None)


@pytest.mark.parametrize("name", DERIVE)
def test_a_pair_is_refused_as_a_parent_and_the_error_says_what_to_pass(name):
    pair = context.with_cancel(BACKGROUND)
    with pytest.raises(TypeError, match=rf"^{name}\(\) .* pair \(ctx, cancel\): pass pair\[0\]"):
        derive(name, pair)
    pair.cancel()


@pytest.mark.parametrize("name", DERIVE)
@pytest.mark.parametrize("parent", [1, "ctx", object(), context.background, context.Context])
def test_what_is_no_context_is_refused(name, parent):
    with pytest.raises(TypeError, match=f"^{name}.* needs a context, got "):
        derive(name, parent)


@pytest.mark.parametrize("method", ["deadline", "done", "err", "value"])
def test_a_method_of_the_context_called_on_the_pair_is_explained(method):
    with pytest.raises(AttributeError, match=rf"^{method}\(\) is a method of the context"):
        getattr(context.with_cancel(BACKGROUND), method)
    with pytest.raises(AttributeError, match="has no attribute 'cancle'"):
        context.with_cancel(BACKGROUND).cancle  # noqa: B018


@pytest.mark.parametrize("name", ["with_deadline", "with_timeout"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(math.nan, ValueError), (math.inf, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_a_time_that_is_none_is_refused(name, value, error):
    for function in (name, f"{name}_cause"):
        more = (None,) if function.endswith("_cause") else ()
        with pytest.raises(error, match=rf"^{function}: the \w+ must be"):
            getattr(context, function)(BACKGROUND, value, *more)


def test_a_cause_that_is_no_exception_is_refused():
    with pytest.raises(TypeError, match="the cause must be an exception or None, got 'late'"):
        context.with_timeout_cause(BACKGROUND, 1, "late")
    ctx, cancel = context.with_cancel_cause(BACKGROUND)
    with pytest.raises(TypeError, match="the cause must be an exception or None, got 'late'"):
        cancel("late")
    assert ctx.err() is None


@pytest.mark.parametrize("fn", [None, 5, "f"])
def test_after_func_refuses_what_it_cannot_start(fn):
    with pytest.raises(TypeError, match=r"^after_func"):
        context.after_func(BACKGROUND, fn)


def test_after_func_refuses_arguments_that_do_not_fit():
    async def coroutine(a):
        raise AssertionError

    def plain(a):
        raise AssertionError

    for fn in (coroutine, plain):
        for args in ((), (1, 2)):
            with pytest.raises(TypeError, match=r"^after_func: .* cannot be called so"):
                context.after_func(BACKGROUND, fn, *args)


# --- cancel, in the form with `with` ----------------------------------------------------------

TIMES = {
    "with_cancel": lambda: context.with_cancel(BACKGROUND),
    "with_cancel_cause": lambda: context.with_cancel_cause(BACKGROUND),
    "with_timeout": lambda: context.with_timeout(BACKGROUND, 60),
    "with_deadline_cause": lambda: context.with_deadline_cause(BACKGROUND, 1e9, ValueError()),
    "sooner parent": lambda: context.with_timeout(context.with_timeout(BACKGROUND, 1)[0], 60),
}


@pytest.mark.parametrize("make", TIMES.values(), ids=TIMES)
def test_the_block_may_end_its_context_before_its_end(make):
    with make() as ctx:
        child, _ = context.with_cancel(ctx)
        assert ctx.err() is None
        ctx.cancel()
        assert isinstance(ctx.err(), context.Canceled)
        assert child.done().try_recv()[2]
        ctx.cancel(OSError("too late"))
    assert context.cause(child) is not None
    assert not isinstance(context.cause(child), OSError)


async def test_the_async_form_may_as_well_with_a_cause():
    why = OSError("disk full")
    async with context.with_timeout(BACKGROUND, 60) as ctx:
        ctx.cancel(why)
        await ctx.done().recv()
    assert context.cause(ctx) is why
    with context.with_cancel(BACKGROUND) as ctx:
        with pytest.raises(TypeError, match="the cause must be an exception or None, got 'late'"):
            ctx.cancel("late")
        assert ctx.err() is None


def test_who_has_a_child_alone_cannot():
    with context.with_cancel(BACKGROUND) as ctx:
        for child in (context.with_value(ctx, "k", 1), context.without_cancel(ctx)):
            assert not hasattr(child, "cancel")


@pytest.mark.parametrize("who", ["with_timeout", "with_deadline"])
def test_arguments_in_the_wrong_order_are_told_the_right_one(who):
    with pytest.raises(TypeError, match=rf"{who}\(parent, "):
        getattr(context, who)(5, context.background())
