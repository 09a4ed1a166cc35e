"""The flight recorder, beyond what Go's tests pin down."""

from __future__ import annotations

import io

import pytest

import gopark
import traces
from gopark.trace import FlightRecorder, _flight
from harness import run_python


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"min_age": 0}, ValueError, "min_age must be positive, got 0"),
        ({"max_bytes": -1}, ValueError, "max_bytes must be positive, got -1"),
        ({"min_age": float("nan")}, ValueError, "min_age must be positive, got nan"),
        ({"min_age": "5"}, TypeError, "min_age must be a number, got '5'"),
        ({"max_bytes": True}, TypeError, "needs an integer as max_bytes, got True"),
    ],
)
def test_limits(options, error, text):
    with pytest.raises(error, match=text):
        FlightRecorder(**options)


@pytest.mark.parametrize("how", ["panic", "deadlock", "no main"])
def test_written_when_the_program_dies(tmp_path, how):
    file = tmp_path / "last.json"
    start = f"""
import gopark, threading
recorder = gopark.trace.FlightRecorder(on_panic={str(file)!r})
recorder.start()
async def bad():
    gopark.trace.log(gopark.context.background(), "last", "words")
    raise ValueError("boom")
async def main():
    gopark.trace.log(gopark.context.background(), "last", "words")
    if {how!r} == "panic":
        gopark.go(bad)
    await gopark.Chan().recv()
"""
    end = "gopark.go(bad); threading.Event().wait(120)" if how == "no main" else "gopark.run(main)"
    ended = run_python(["-c", start + end])
    assert ended.status == 2
    assert ("deadlock!" if how == "deadlock" else "panic: ") in ended.stderr
    found = traces.read(file.read_text())
    assert ("last", "words") in found.logs()


def test_nothing_is_written_when_all_goes_well(tmp_path):
    file = tmp_path / "last.json"
    recorder = FlightRecorder(on_panic=file)
    recorder.start()
    gopark.run(gopark.gosched)
    recorder.stop()
    assert not file.exists()


def test_a_file_that_cannot_be_written(tmp_path):
    """The report of a panic comes first, and the program ends as it would."""
    program = f"""
import gopark
gopark.trace.FlightRecorder(on_panic={str(tmp_path / "no" / "x")!r}).start()
async def bad():
    raise ValueError("boom")
async def main():
    gopark.go(bad)
    await gopark.Chan().recv()
gopark.run(main)
"""
    ended = run_python(["-c", program])
    assert ended.status == 2
    assert ended.stderr.startswith("panic: ")
    assert "gopark: the trace could not be written: " in ended.stderr


def test_what_is_too_old_is_not_written(run, monkeypatch):
    """Also if the list that it is in has not been dropped. What is known from it still counts."""
    monkeypatch.setattr(_flight, "_SLACK", 0.0)
    names = []

    async def waiter(ch):
        await ch.recv()

    async def main():
        recorder = FlightRecorder(min_age=0.05)
        recorder.start()
        gopark.trace.log(gopark.context.background(), "when", "early")
        ch = gopark.Chan()
        gopark.go(waiter, ch)
        while True:  # how old a list is, says who hands it over, and that may be late
            await gopark.time.sleep(0.06)
            gopark.trace.log(gopark.context.background(), "when", "late")
            out = io.BytesIO()
            recorder.write_to(out)
            found = traces.read(out.getvalue())
            goid = found.goid("test_what_is_too_old_is_not_written.waiter")
            assert found.waits(goid) == ["chan receive"]
            if not found.runs(goid):
                break
        recorder.stop()
        ch.close()
        await gopark.testing.wait_all_parked()
        names.extend(found.logs())

    run(main)
    assert set(names) == {("when", "late")}


def test_what_was_there_before_it_began(run):
    """Who waits since before is shown waiting, as long as nothing has been dropped."""
    out = io.BytesIO()

    async def waiter(ch):
        await ch.recv()

    async def main():
        ch = gopark.Chan()
        gopark.go(waiter, ch)
        await gopark.testing.wait_all_parked()
        recorder = FlightRecorder()
        recorder.start()
        await gopark.gosched()
        recorder.write_to(out)
        recorder.stop()
        ch.close()
        await gopark.testing.wait_all_parked()

    run(main)
    found = traces.read(out.getvalue())
    assert found.waits(found.goid("test_what_was_there_before_it_began.waiter")) == ["chan receive"]
