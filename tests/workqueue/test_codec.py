"""Values as bytes, and back."""

from __future__ import annotations

import importlib.util
import math

import pytest

from gopark.workqueue import NotEncodable, json, msgspec, raw, unsafe_pickle
from gopark.workqueue._codec import codec_named, encoded


@pytest.mark.parametrize("value", [None, 0, -1.5, "ü\n", [1, ["x"]], {"a": {"b": None}}, True])
def test_json_brings_back_what_it_was_given(value):
    assert json.decode(encoded(json, value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, b"x", "\ud800", {(1,): 2}])
def test_json_refuses_what_it_cannot_write(value):
    with pytest.raises(NotEncodable, match="'json' of the queue cannot write"):
        encoded(json, value)


def test_json_says_what_takes_bytes():
    with pytest.raises(NotEncodable, match=r"codec=workqueue\.msgspec, or raw$"):
        encoded(json, {"body": b"x"})
    with pytest.raises(NotEncodable, match="make it of dicts"):
        encoded(json, {1, 2})


def test_json_refuses_a_circle():
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(NotEncodable):
        encoded(json, circle)


def test_raw_takes_any_bytes_and_nothing_else():
    assert raw.decode(encoded(raw, memoryview(b"\0x"))) == b"\0x"
    with pytest.raises(NotEncodable, match="bytes alone"):
        encoded(raw, "x")


def test_msgspec_takes_bytes_or_says_what_to_install():
    if importlib.util.find_spec("msgspec") is None:
        with pytest.raises(NotEncodable, match="pip install msgspec"):
            encoded(msgspec, 1)
    else:
        assert msgspec.decode(encoded(msgspec, {"a": [b"\0", 1.5]})) == {"a": [b"\0", 1.5]}
        with pytest.raises(NotEncodable):
            encoded(msgspec, object())


def test_pickle_is_never_chosen_by_its_name():
    assert codec_named("unsafe_pickle") is None
    assert codec_named("json") is json
    assert unsafe_pickle.decode(encoded(unsafe_pickle, {1, 2})) == {1, 2}


def test_a_long_value_is_shown_in_part():
    with pytest.raises(NotEncodable) as info:
        encoded(json, [object()] * 1000)
    assert len(str(info.value)) < 400
