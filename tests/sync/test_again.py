"""One error, raised by several: each has its own frames, its own context, and all the rest."""

from __future__ import annotations

import gc
import os
import traceback
import weakref

import pytest

import gopark
from gopark import context
from gopark.sync import errgroup, once_func, once_value, once_values, singleflight
from gopark.sync._again import copied
from gopark.testing import wait_all_parked


class Picky(ValueError):
    """Its `__init__` wants other things than its `args`."""

    __slots__ = ("slot",)

    def __init__(self, *, code, where):
        super().__init__(f"{where} failed with {code}")
        self.code = code
        self.slot = where


class Strange(Exception):
    def __new__(cls, code):
        return super().__new__(cls, "made anew")

    def __init__(self, code):
        self.code = code


def undecodable():
    try:
        b"\xff".decode()
    except UnicodeDecodeError as exc:
        return exc


def missing():
    try:
        os.stat("/no/such/file")
    except OSError as exc:
        return exc


def unknown():
    try:
        return "text".nothing
    except AttributeError as exc:
        return exc


ERRORS = [
    ValueError("x", 1),
    Picky(code=7, where="disk"),
    Strange(5),
    undecodable(),
    missing(),
    unknown(),
    SyntaxError("bad", ("file.py", 3, 4, "text", 3, 5)),
    ImportError("no", name="module", path="/path"),
    SystemExit(3),
    StopIteration(4),
    KeyError("key"),
    ExceptionGroup("two", [ValueError("one"), Picky(code=2, where="here")]),
    gopark.DeadlockError("dead"),
    context.Canceled("mine"),
]


def fields(exc):
    """All that can be read off an exception, but where it was raised and what is behind it."""
    found = dict(vars(exc))
    for name in dir(exc):
        if not name.startswith("__") and name not in ("exceptions", "characters_written"):
            value = getattr(exc, name, None)
            if not callable(value):
                found[name] = value
    if isinstance(exc, ExceptionGroup):
        found["args"] = repr(exc.args)
    return found


@pytest.mark.parametrize("exc", ERRORS, ids=lambda exc: type(exc).__name__)
def test_a_copy_has_all_that_the_error_has(exc):
    copy = copied(exc)
    assert copy is not exc
    assert type(copy) is type(exc)
    assert (str(copy), copy.args) == (str(exc), exc.args) or isinstance(exc, ExceptionGroup)
    assert fields(copy) == fields(exc)
    assert copy.__traceback__ is None


def test_a_copy_has_copies_of_all_that_the_error_came_out_of():
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as second:
        exc = second
    exc.add_note("told once")
    copy = copied(exc)
    copy.add_note("mine")
    assert exc.__notes__ == ["told once"]
    assert copy.__notes__ == ["told once", "mine"]
    assert repr(copy.__cause__) == repr(copy.__context__) == "KeyError('first')"
    assert copy.__cause__ is copy.__context__ is not exc.__cause__
    assert copy.__suppress_context__
    assert copy.__cause__.__traceback__ is None
    assert copied(exc, frames=True).__cause__.__traceback__ is exc.__cause__.__traceback__


def test_a_ring_of_errors_is_copied_as_a_ring():
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one
    copy = copied(one)
    assert copy.__context__.__context__ is copy


class Big:
    """What a failing function has in hand."""


MAKERS = [once_func, once_value, once_values]


@pytest.mark.parametrize("make", MAKERS)
def test_once_keeps_no_frame_of_what_failed(make):
    held = []

    def cleanup():
        mine = Big()
        held.append(weakref.ref(mine))
        raise KeyError("in between")

    def boom():
        big = Big()
        held.append(weakref.ref(big))
        try:
            cleanup()
        except KeyError as exc:
            other = ExceptionGroup("all", [exc])
            raise ValueError("boom") from other

    once = make(boom)
    for _ in range(3):
        with pytest.raises(ValueError, match="boom") as caught:
            once()
        assert repr(caught.value.__cause__) == "ExceptionGroup('all', [KeyError('in between')])"
        del caught
    gc.collect()
    assert [ref() for ref in held] == [None, None]


def frames(exc):
    return [frame.name for frame in traceback.extract_tb(exc.__traceback__)]


async def in_two_goroutines(raises):
    """What each has at its end: `b` raises while the error is on its way out of `a`."""
    out = {}
    raised, both = gopark.Chan(), gopark.Chan()

    async def a_inner():
        await raises()

    async def b_inner():
        await raises()

    async def a():
        try:
            try:
                await a_inner()
            finally:
                raised.close()
                await both.recv()
        except Exception as exc:
            out["a"] = exc

    async def b():
        await raised.recv()
        try:
            try:
                {}["b"]
            except KeyError:
                await b_inner()
        except Exception as exc:
            out["b"] = exc

    async with gopark.sync.WaitGroup() as wg:
        wg.go(a)
        wg.go(b)
        await wait_all_parked()
        both.close()
    return out["a"], out["b"]


def check(a, b):
    assert a is not b
    assert "b_inner" not in frames(a), frames(a)
    assert "a_inner" not in frames(b), frames(b)
    seen, other = [], a.__context__
    while other is not None:
        seen.append(repr(other))
        other = other.__context__
    assert "KeyError('b')" not in seen
    assert repr(b.__context__) == "KeyError('b')"


async def test_what_ctx_err_is_belongs_to_who_asks():
    ctx, cancel = context.with_cancel(context.background())
    cancel()

    async def raises():
        raise ctx.err()

    check(*await in_two_goroutines(raises))


async def test_what_cause_is_without_a_cause_belongs_to_who_asks():
    with context.with_timeout(context.background(), 0) as ctx:

        async def raises():
            raise context.cause(ctx)

        check(*await in_two_goroutines(raises))


@pytest.mark.parametrize("make", MAKERS)
async def test_what_once_raises_belongs_to_the_caller(make):
    @make
    def fails():
        raise ValueError("boom")

    async def raises():
        fails()

    check(*await in_two_goroutines(raises))


async def test_what_a_task_raises_belongs_to_who_asks():
    async def fails():
        raise ValueError("boom")

    g = errgroup.Group()
    task = g.go(fails)
    with pytest.raises(ValueError, match="boom"):
        await g.wait()

    async def result():
        task.result()

    check(*await in_two_goroutines(result))
    check(*await in_two_goroutines(g.wait))


async def test_what_a_group_raises_belongs_to_who_waits():
    async def fails():
        raise ValueError("boom")

    for many in (1, 3):
        g = errgroup.Group()
        for _ in range(many):
            g.go(fails)
        a, b = await in_two_goroutines(g.wait)
        assert a is not b
        assert "b_inner" not in frames(a)
        assert "a_inner" not in frames(b)
        if many > 1:
            assert not {id(exc) for exc in a.exceptions} & {id(exc) for exc in b.exceptions}


async def test_what_a_shared_call_raises_belongs_to_the_caller():
    """The first one was handling something when it made the call; that is nobody else's."""
    group = singleflight.Group()
    gate = gopark.Chan()
    out = {}

    async def fails():
        await gate.recv()
        raise ValueError("boom")

    async def first():
        try:
            {}["first"]
        except KeyError:
            await group.do("key", fails)

    async def caller(name, do):
        try:
            await do()
        except ValueError as exc:
            out[name] = exc

    async def second():
        await group.do("key", fails)

    async with gopark.sync.WaitGroup() as wg:
        wg.go(caller, "first", first)
        await wait_all_parked()
        for n in range(3):
            wg.go(caller, n, second)
        await wait_all_parked()
        gate.close()
    assert len({id(exc) for exc in out.values()}) == 4
    assert repr(out.pop("first").__context__) == "KeyError('first')"
    for exc in out.values():
        assert exc.__context__ is None
        assert "first" not in frames(exc)
        assert frames(exc)[-1] == "fails"


@pytest.mark.outside_help
def test_a_fatal_error_is_another_object_in_the_goroutine_and_in_run():
    caught = []

    async def bad():
        try:
            gopark.sync.Mutex().unlock()
        except gopark.FatalError as exc:
            caught.append(exc)
            raise

    async def main():
        gopark.go(bad)
        await gopark.Chan().recv()

    with pytest.raises(gopark.FatalError, match="unlock of unlocked mutex") as ended:
        gopark.run(main)
    assert caught[0] is not ended.value
