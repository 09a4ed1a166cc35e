"""Map: keys and values whose own code uses the map, copies, views of what is there."""

from __future__ import annotations

import copy
import gc
import threading

import pytest

import gopark
from gopark.sync import Map, WaitGroup


def test_a_value_may_be_none():
    m = Map()
    m.store("key", None)
    assert m.load("key") == (None, True)
    assert m.load_or_store("key", 1) == (None, True)
    assert m.compare_and_swap("key", None, 1)
    assert m.compare_and_delete("key", 1)
    assert m.load("key") == (None, False)


def test_values_are_compared_by_equality_and_the_same_one_is_equal():
    m, nan = Map(), float("nan")
    m.store("list", [1])
    assert m.compare_and_swap("list", [1], [2])
    m.store("nan", nan)
    assert not m.compare_and_swap("nan", float("nan"), 0)
    assert m.compare_and_swap("nan", nan, 0)


def test_an_equality_that_uses_the_map_does_not_hang():
    m = Map()

    class Nosy:
        def __eq__(self, other):
            m.store("seen", True)
            return True

        __hash__ = None

    m.store("key", Nosy())
    assert m.compare_and_swap("key", 1, 2)
    assert m.load("seen") == (True, True)


def test_a_finaliser_that_uses_the_map_does_not_hang():
    m = Map()

    class Logged:
        def __del__(self):
            m.store("finalised", True)

    m.store("key", Logged())
    m.delete("key")
    gc.collect()
    assert m.load("finalised") == (True, True)


def test_a_key_that_cannot_be_hashed_is_an_error_and_the_lock_is_free(run):
    m = Map()
    with pytest.raises(TypeError, match="unhashable"):
        m.store([], 1)

    async def main():
        async with WaitGroup() as wg:
            wg.go(lambda: m.store("key", 1))

    run(main)
    assert m.load("key") == (1, True)


def test_load_or_store_gives_all_the_same(run, procs):
    async def main():
        m, got = Map(), []

        async def first(n):
            await gopark.gosched()
            got.append(m.load_or_store("key", n))

        async with WaitGroup() as wg:
            for n in range(20):
                wg.go(first, n)
        values = {value for value, _ in got}
        assert len(values) == 1
        assert [loaded for _, loaded in got].count(False) == 1

    run(main)


def test_it_refuses_to_be_copied():
    with pytest.raises(TypeError, match=r"sync\.Map must not be copied"):
        copy.deepcopy(Map())


@pytest.mark.parametrize(
    "drops",
    [
        lambda m, value: m.store("k", 0),
        lambda m, value: m.clear(),
        lambda m, value: m.compare_and_swap("k", value, 0),
        lambda m, value: m.compare_and_delete("k", value),
    ],
)
def test_the_finalizer_of_what_is_replaced_may_use_another_map(drops):
    maps = Map(), Map()
    both = threading.Barrier(2, timeout=120)

    class Value:
        def __init__(self, other):
            self.other = other

        def __eq__(self, other):
            return other == "equal"

        def __del__(self):
            both.wait()
            self.other.store("from", "a finalizer")

    def replaces(mine, other):  # on one thread: without a GIL who made it may have to free it
        mine.store("k", Value(other))
        drops(mine, "equal")

    pairs = maps, maps[::-1]
    threads = [threading.Thread(target=replaces, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [m.load("from")[1] for m in maps] == [True, True]
