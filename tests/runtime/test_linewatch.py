"""`sys.monitoring` as it is used to raise in user code on another thread."""

from __future__ import annotations

import sys
import threading

import pytest

from conftest import wait_until
from gopark._runtime.signal.linewatch import LineWatch, needed

# Before 3.14 a loop of one line jumps without an event.
pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="no event for a jump")


class Stop(Exception):
    pass


def ours() -> list[int]:
    return [tool for tool in range(6) if sys.monitoring.get_tool(tool) == "gopark"]


def test_only_a_build_without_a_gil_needs_it():
    assert needed() is (sys.version_info >= (3, 13) and not sys._is_gil_enabled())


@pytest.fixture
def computing():
    """A thread in a loop of one line, and what has stopped it: `threading`'s and the test's."""
    caught, started = [], threading.Event()

    def computes():
        try:
            started.set()
            while True: sum(range(10))  # fmt: skip  # noqa: E701
        except Stop as stop:
            caught.append(stop)

    thread = threading.Thread(target=computes)
    thread.start()
    started.wait()
    yield computes.__code__, caught
    thread.join()


def test_what_look_raises_is_raised_in_the_line(computing):
    code, caught = computing
    stop = Stop()
    once = [stop]

    def look(frame):
        if frame.f_code is code and once:
            raise once.pop()

    watch = LineWatch(look)
    watch.on()
    assert wait_until(lambda: caught == [stop])
    watch.off()
    assert ours() == []


def test_it_is_off_when_the_last_has_had_enough():
    seen = []
    watch = LineWatch(lambda frame: seen.append(frame.f_code.co_name))
    watch.on()
    watch.on()
    watch.off()
    assert len(ours()) == 1
    seen.clear()
    here = "still seen"
    assert "test_it_is_off_when_the_last_has_had_enough" in seen, here
    watch.off()
    seen.clear()
    here = "no more"
    assert seen == [], here
    assert ours() == []


def test_a_tool_id_that_becomes_free_is_taken():
    taken = [tool for tool in range(6) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "somebody")
    seen = []
    watch = LineWatch(lambda frame: seen.append(frame))
    try:
        watch.on()
        watch.retry()
        assert ours() == []
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)
    watch.retry()
    assert len(ours()) == 1
    watch.off()
    watch.retry()  # nobody wants it
    assert ours() == []
    assert seen
