"""Atomic values: what they refuse, finalisers that use them, views of what they hold."""

from __future__ import annotations

import copy
import gc

import pytest

from gopark.sync.atomic import Bool, Int32, Int64, Pointer, Uint64, Value


@pytest.mark.parametrize("kind", [Int32, Int64, Uint64])
@pytest.mark.parametrize("value", [1.0, "1", None])
def test_integers_hold_integers(kind, value):
    n = kind(5)
    for use in (kind, n.store, n.swap, n.add, n.and_, n.or_):
        with pytest.raises(TypeError, match=f"atomic.{kind.__name__} holds integers"):
            use(value)
    with pytest.raises(TypeError):
        n.compare_and_swap(value, 1)
    assert n.load() == 5


def test_a_start_value_wraps_around_too():
    assert Int32(2**31).load() == -(2**31)
    assert Uint64(-1).load() == 2**64 - 1


def test_booleans_are_what_they_are_given():
    flag = Bool(1)
    assert flag.load() is True
    flag.store([])
    assert flag.load() is False
    assert flag.compare_and_swap(0, "yes") is True
    assert flag.load() is True


def test_a_pointer_is_compared_by_identity():
    first, same = [1], [1]
    pointer = Pointer(first)
    assert not pointer.compare_and_swap(same, None)
    assert pointer.compare_and_swap(first, None)
    assert pointer.load() is None


def test_a_values_equality_may_use_the_value():
    value = Value()

    class Nosy:
        def __eq__(self, other):
            value.load()
            return True

        __hash__ = None

    value.store(Nosy())
    new = Nosy()
    assert value.compare_and_swap(Nosy(), new)
    assert value.load() is new


@pytest.mark.parametrize("kind", [Pointer, Value])
def test_a_finaliser_of_what_is_replaced_may_use_it(kind):
    cell = kind()

    class Logged:
        def __del__(self):
            seen.append(cell.load())

    seen = []
    cell.store(Logged())
    new = Logged()
    cell.store(new)
    gc.collect()
    assert seen == [new]


def test_its_repr_says_what_it_holds():
    assert repr(Int32(7)).startswith("<atomic.Int32 7 at 0x")
    assert repr(Value("a")).startswith("<atomic.Value 'a' at 0x")


@pytest.mark.parametrize("cell", [Int64(), Bool(), Pointer(), Value()])
def test_it_refuses_to_be_copied(cell):
    with pytest.raises(TypeError, match="must not be copied"):
        copy.copy(cell)
