"""Pool: what the collector drops, and when."""

from __future__ import annotations

import copy
import gc

import pytest

from gopark.sync import Pool


class Thing:
    pass


def test_what_lies_there_through_two_collections_is_gone():
    pool = Pool()
    gc.collect()
    pool.put("thing")
    gc.collect()
    assert repr(pool).startswith("<Pool of 1 at")
    assert pool.get() == "thing"  # one collection is survived
    pool.put("thing")
    gc.collect()
    gc.collect()
    assert pool.get() is None


def test_a_young_collection_drops_nothing():
    pool = Pool()
    gc.collect()
    pool.put("thing")
    for _ in range(3):
        gc.collect(0)
    from gopark._runtime.base.runtime2 import FREETHREADED

    assert FREETHREADED or pool.get() == "thing"


def test_a_pool_that_nobody_has_is_forgotten():
    from gopark.sync._pool import _pools

    before = len(_pools)
    pools = [Pool() for _ in range(3)]
    assert len(_pools) == before + 3
    del pools
    gc.collect()
    assert len(_pools) <= before


def test_none_is_nothing():
    pool = Pool(Thing)
    pool.put(None)
    assert isinstance(pool.get(), Thing)


def test_a_finaliser_may_use_the_pool():
    pool = Pool()

    class Returned:
        def __del__(self):
            pool.put("from the finaliser")

    ring = Returned()
    ring.ring = ring
    del ring
    gc.collect()
    assert pool.get() == "from the finaliser"


def test_what_does_not_make_things_is_refused():
    with pytest.raises(TypeError, match="Pool: new must be a function that makes one, got 3"):
        Pool(3)


def test_it_refuses_to_be_copied():
    with pytest.raises(TypeError, match=r"sync\.Pool must not be copied"):
        copy.copy(Pool())
