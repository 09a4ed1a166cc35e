"""Handles: numbers that stand for Python values. Go: runtime/cgo/handle_test.go."""

from __future__ import annotations

import ctypes
import gc
import weakref

import pytest

import gopark
from gopark import Chan, cgo
from gopark._runtime.c import handle

MISUSE = "runtime/cgo: misuse of an invalid Handle"


class Thing:
    """Something a weak reference can watch."""


@pytest.mark.go("runtime/cgo", "TestHandle")
def test_handle():
    for value in (42, [42], None):
        first, second = cgo.new_handle(value), cgo.new_handle(value)
        assert first
        assert second
        assert first != second
        assert first.value() is value
        assert second.value() is value
        first.delete()
        assert second.value() is value
        second.delete()
    assert not handle._values, "the table is empty again"


@pytest.mark.go("runtime/cgo", "TestInvalidHandle")
@pytest.mark.parametrize("number", [0, 1 << 60, -1])
def test_invalid_handle(number):
    with pytest.raises(ValueError, match=MISUSE):
        cgo.Handle(number).delete()
    with pytest.raises(ValueError, match=MISUSE):
        cgo.Handle(number).value()


def test_a_deleted_handle_is_invalid_and_holds_nothing():
    thing = Thing()
    ref = weakref.ref(thing)
    deleted = cgo.new_handle(thing)
    del thing
    gc.collect()
    assert ref() is deleted.value()
    deleted.delete()
    gc.collect()
    assert ref() is None
    for misuse in (deleted.value, deleted.delete):
        with pytest.raises(ValueError, match=MISUSE):
            misuse()


@pytest.mark.go("cmd/cgo/internal/test", "TestHandle")
@pytest.mark.usefixtures("procs")
async def test_handle__through_c(lib):
    """A channel travels through C, each time in a new goroutine, and is sent on in the callback."""

    def called(number):
        h = cgo.Handle(number)
        ch = h.value()
        h.delete()
        gopark.block(ch.send(42))

    entry = ctypes.CFUNCTYPE(None, ctypes.c_size_t)(cgo.callback(called))
    for _ in range(42):
        ch = Chan()
        gopark.go(cgo.call, lib.call_with_handle, entry, cgo.new_handle(ch))
        assert await ch.recv() == 42
    assert not handle._values
