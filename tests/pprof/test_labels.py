"""Labels in contexts, and on goroutines. (In dumps: tests/conformance/traceback/test_labels.py.)"""

from __future__ import annotations

import pytest

import gopark
from gopark import Chan, pprof
from gopark._runtime.prof.proflabel import getproflabel
from gopark.context import background

pytestmark = pytest.mark.usefixtures("procs")


@pytest.mark.go("runtime/pprof", "TestLabelMapStringer")
def test_label_map_stringer():
    """A set prints sorted by key, as in Go."""
    assert str(pprof.labels()) == "{}"
    assert str(pprof.labels("foo", "bar")) == '{"foo":"bar"}'
    several = pprof.labels("foo", "bar", "key1", "value1", "key3", 'a"\n', "key2", "ä")
    assert str(several) == '{"foo":"bar", "key1":"value1", "key2":"ä", "key3":"a\\"\\n"}'


def test_of_one_key_the_last_value_counts_and_keys_are_sorted():
    """Go: pprof.Labels: keys are sorted and deduplicated."""
    assert repr(pprof.labels("b", "1", "a", "2", "b", "3")) == "LabelSet(a='2', b='3')"


def test_a_key_without_a_value_is_refused():
    with pytest.raises(ValueError, match=r"uneven number of arguments to pprof\.labels"):
        pprof.labels("a", "1", "b")


def test_labels_are_strings():
    with pytest.raises(TypeError, match=r"say str\(7\)"):
        pprof.labels("a", 7)


@pytest.mark.go("runtime/pprof", "TestContextLabels")
def test_context_labels():
    """A context inherits labels, and replaces those of the same key."""
    assert pprof.label(background(), "key") == ("", False)
    twice = pprof.with_labels(background(), pprof.labels("key", "1", "key", "2"))
    assert pprof.label(twice, "key") == ("2", True)
    parent = pprof.with_labels(background(), pprof.labels("a", "1", "b", "2"))
    child = pprof.with_labels(parent, pprof.labels("c", "3", "a", "4"))
    assert list(pprof.for_labels(child)) == [("a", "4"), ("b", "2"), ("c", "3")]
    assert list(pprof.for_labels(parent)) == [("a", "1"), ("b", "2")]
    assert pprof.label(child, "a") == ("4", True)
    assert pprof.label(child, "d") == ("", False)
    assert list(pprof.for_labels(background())) == []


@pytest.mark.parametrize("wrong", [{"a": "1"}, ("a", "1"), None])
def test_what_is_no_set_of_labels_is_refused(wrong):
    with pytest.raises(TypeError, match=r"needs what labels\(\) returns"):
        pprof.with_labels(background(), wrong)


def test_what_is_no_context_is_refused():
    with pytest.raises(TypeError, match="needs a context, got None"):
        pprof.with_labels(None, pprof.labels())


@pytest.mark.go("runtime/pprof", "TestSetGoroutineLabels")
async def test_set_goroutine_labels():
    """A goroutine hands its labels on, and keeps its own."""
    ctx = pprof.with_labels(background(), pprof.labels("who", "parent"))
    seen = Chan(2)

    async def child():
        before = getproflabel()
        pprof.set_goroutine_labels(pprof.with_labels(background(), pprof.labels("who", "child")))
        await gopark.gosched()
        await seen.send((before, getproflabel()))

    def plain():
        seen.try_send(getproflabel())

    pprof.set_goroutine_labels(ctx)
    gopark.go(child)
    assert await seen.recv() == ((("who", "parent"),), (("who", "child"),))
    gopark.go(plain)
    assert await seen.recv() == (("who", "parent"),)
    assert getproflabel() == (("who", "parent"),)
    pprof.set_goroutine_labels(background())
    assert getproflabel() == ()


@pytest.mark.go("runtime/pprof", "TestDo")
async def test_do():
    """It labels the call and what that starts, and then takes the labels back."""
    outer = pprof.with_labels(background(), pprof.labels("outer", "1"))
    pprof.set_goroutine_labels(outer)
    seen = Chan(3)
    both = (("inner", "2"), ("outer", "1"))

    async def look():
        await seen.send(getproflabel())

    async def work(ctx):
        gopark.go(look)
        await gopark.gosched()
        assert list(pprof.for_labels(ctx)) == list(both)
        return getproflabel()

    def plain(ctx):
        gopark.go(look)
        return getproflabel()

    assert await pprof.do(outer, pprof.labels("inner", "2"), work) == both
    assert getproflabel() == (("outer", "1"),)
    assert pprof.do(outer, pprof.labels("inner", "2"), plain) == both
    assert getproflabel() == (("outer", "1"),)
    assert [await seen.recv(), await seen.recv()] == [both, both]


async def test_do_labels_what_a_coroutine_runs_that_a_plain_function_returns():
    """A lambda that calls an `async def`, a decorated one: it runs when the call is awaited."""
    outer = pprof.with_labels(background(), pprof.labels("outer", "1"))
    pprof.set_goroutine_labels(outer)

    async def work(ctx):
        before = getproflabel()
        await gopark.gosched()
        assert getproflabel() == before
        return before

    async def fails(ctx):
        raise ValueError(getproflabel())

    both = (("inner", "2"), ("outer", "1"))
    made = pprof.do(outer, pprof.labels("inner", "2"), lambda ctx: work(ctx))
    assert getproflabel() == (("outer", "1"),)
    assert await made == both
    assert getproflabel() == (("outer", "1"),)
    with pytest.raises(ValueError, match="inner"):
        await pprof.do(outer, pprof.labels("inner", "2"), lambda ctx: fails(ctx))
    assert getproflabel() == (("outer", "1"),)


async def test_do_takes_the_labels_back_when_the_call_fails():
    async def fails(_):
        raise ValueError("failed")

    def plain_fails(_):
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        await pprof.do(background(), pprof.labels("a", "1"), fails)
    assert getproflabel() == ()
    with pytest.raises(ValueError, match="failed"):
        pprof.do(background(), pprof.labels("a", "1"), plain_fails)
    assert getproflabel() == ()
