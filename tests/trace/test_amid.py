"""A finaliser that begins or ends a recording amid the beginning or the end of another.

It comes in on the thread that has the lock, between any two lines. It is told so at once, for what
it waits for is below it on the stack and waits for it.
"""

from __future__ import annotations

import io

import pytest

import gopark
from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.prof import cpuprof
from gopark.trace import FlightRecorder, _flight, _trace


class Guest:
    """Does something when it is dropped, and keeps what it is told."""

    def __init__(self, work, told):
        self.work = work
        self.told = told

    def __del__(self):
        try:
            self.work()
        except AmidRuntime as exc:
            self.told.append(type(exc))
        else:
            self.told.append(None)


def visited(monkeypatch, module, name, work):
    """Have `work` done by a finaliser as the next one of that kind is made."""
    told, made = [], getattr(module, name)

    def makes(*args):
        Guest(work, told)
        return made(*args)

    monkeypatch.setattr(module, name, makes)
    return told


@pytest.mark.parametrize("works", [gopark.trace.stop, lambda: gopark.trace.start(io.StringIO())])
def test_a_trace_that_begins(monkeypatch, works):
    told = visited(monkeypatch, _trace, "_Trace", works)
    out = io.StringIO()
    gopark.trace.start(out)
    gopark.trace.stop()
    assert told == [AmidRuntime]
    assert out.getvalue()


def test_a_flight_recorder_that_begins(monkeypatch):
    recorder = FlightRecorder()
    told = visited(monkeypatch, _flight, "_Ring", recorder.stop)
    recorder.start()
    assert recorder.enabled()
    recorder.stop()
    assert told == [AmidRuntime]


def test_a_flight_recorder_that_is_stopped_amid_its_own_writing(monkeypatch):
    recorder = FlightRecorder()
    told = visited(monkeypatch, _flight, "Out", recorder.stop)
    recorder.start()
    assert recorder.write_to(io.StringIO()) > 0
    assert told == [None]
    assert not recorder.enabled()


@pytest.mark.skipif(not cpuprof.available(), reason="stacks of running threads cannot be read here")
def test_a_profile_that_begins(monkeypatch):
    told = visited(monkeypatch, cpuprof, "Profiler", gopark.pprof.stop_cpu_profile)
    out = io.BytesIO()
    gopark.pprof.start_cpu_profile(out)
    gopark.pprof.stop_cpu_profile()
    assert told == [AmidRuntime]
    assert out.getvalue()
