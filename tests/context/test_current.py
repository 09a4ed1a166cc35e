"""gopark.context: the current context."""

from __future__ import annotations

import sys
import threading

import pytest

import gopark
from gopark import Chan, context, go
from gopark.context import background, current, use


def named(name):
    return context.with_value(background(), "name", name)


async def test_background_where_nobody_has_set_one():
    assert current() is background()


async def test_the_innermost_use_counts_and_the_end_of_a_block_restores():
    outer, inner = named("outer"), named("inner")
    with use(outer) as ctx:
        assert ctx is outer is current()
        with use(inner):
            assert current() is inner
        assert current() is outer
        with pytest.raises(KeyError), use(inner):
            raise KeyError(1)
        assert current() is outer
    assert current() is background()


@pytest.mark.usefixtures("procs")
async def test_goroutines_inherit_it_and_do_not_hand_it_back():
    seen = Chan()

    async def grandchild():
        await seen.send(current().value("name"))

    async def child(name):
        go(grandchild)
        with use(named(f"{name}'s child")):
            await gopark.gosched()
            go(grandchild)
        await seen.send(current().value("name"))

    def plain(name):
        gopark.block(seen.send(current().value("name")))

    with use(named("main")):
        go(child, "main")
        go(plain, "main")
    assert current() is background()
    names = sorted([await seen.recv() for _ in range(4)])
    assert names == ["main", "main", "main", "main's child"]


@pytest.mark.outside_help
async def test_a_thread_of_pythons_has_what_python_gives_it():
    """The background, unless threads inherit variables (as they do on free-threaded 3.14)."""
    seen, main = [], named("main")
    with use(main):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        gopark.cgo.call(thread.join)
    inherits = getattr(sys.flags, "thread_inherit_context", 0)
    assert seen == [main if inherits else background()]


async def test_the_end_of_the_block_cancels_nothing():
    ctx, cancel = context.with_cancel(background())
    with use(ctx):
        pass
    assert ctx.err() is None
    cancel()


async def test_one_use_cannot_be_entered_twice_at_a_time():
    used = use(named("main"))
    with used:
        with pytest.raises(RuntimeError, match="entered already"):
            used.__enter__()
        assert current().value("name") == "main"
    with used:
        assert current().value("name") == "main"
    assert current() is background()


@pytest.mark.parametrize("wrong", [None, 1, context.with_cancel(background())])
def test_what_is_no_context_is_refused(wrong):
    with pytest.raises(TypeError, match=r"^use\(\) needs a context"):
        use(wrong)


async def test_a_timeout_for_everything_below():
    with context.with_timeout(current(), 0.001) as ctx, use(ctx):
        ended = Chan()

        async def deep():
            await current().done().recv()
            await ended.send(str(current().err()))

        go(deep)
        assert await ended.recv() == "context deadline exceeded"
