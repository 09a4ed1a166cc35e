"""What Go's tests of runtime/trace pin down: starting, stopping, the flight recorder."""

from __future__ import annotations

import io
import threading

import pytest

import gopark
import traces
from gopark import trace
from gopark.trace import FlightRecorder
from harness import run_python

BACKGROUND = gopark.context.background()


async def ping_pong(n: int = 10) -> None:
    async def answer(ping, pong):
        for _ in range(n):
            await pong.send(await ping.recv())
        pong.close()

    ping, pong = gopark.Chan(), gopark.Chan()
    gopark.go(answer, ping, pong)
    for i in range(n):
        await ping.send(i)
        await pong.recv()
    await pong.recv()
    await gopark.testing.wait_all_parked()


@pytest.fixture
def recorder():
    made: list[FlightRecorder] = []

    def make(**options):
        made.append(FlightRecorder(**options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(autouse=True)
def stopped():
    yield
    trace.stop()


@pytest.mark.go("runtime/trace", "TestTraceStartStop")
def test_trace_start_stop(run):
    out = io.BytesIO()
    trace.start(out)
    run(ping_pong)
    trace.stop()
    size = len(out.getvalue())
    assert size > 0
    run(ping_pong)
    assert len(out.getvalue()) == size


@pytest.mark.go("runtime/trace", "TestTraceDoubleStart")
def test_trace_double_start():
    trace.stop()
    out = io.BytesIO()
    trace.start(out)
    with pytest.raises(RuntimeError, match="execution tracer already enabled"):
        trace.start(io.BytesIO())
    trace.stop()
    size = len(out.getvalue())
    trace.stop()
    assert len(out.getvalue()) == size > 0


@pytest.mark.go("runtime/trace", "TestStartRegionLongString")
def test_start_region_long_string(run):
    name = "x" * 70_000
    out = io.BytesIO()

    async def main():
        trace.start(out)
        trace.start_region(BACKGROUND, name).end()
        trace.stop()

    run(main)
    assert [r[2] for r in traces.read(out.getvalue()).regions[1]] == [name]


@pytest.mark.go("runtime/trace", "Example")
def test_example(tmp_path):
    file = tmp_path / "trace.out"
    program = f"""
import gopark
async def main():
    gopark.trace.start({str(file)!r})
    try:
        print("this function will be traced")
    finally:
        gopark.trace.stop()
gopark.run(main)
"""
    ended = run_python(["-c", program])
    assert (ended.stdout, ended.stderr, ended.status) == ("this function will be traced\n", "", 0)
    assert traces.read(file.read_text()).runs(1)


@pytest.mark.go("runtime", "TestCrashWhileTracing")
def test_crash_while_tracing(tmp_path):
    file = tmp_path / "trace.out"
    program = f"""
import gopark
def main():
    gopark.trace.start({str(file)!r})
    gopark.trace.log(gopark.context.background(), "xyzzy-cat", "xyzzy-msg")
    gopark.go(lambda: 1 // 0)
    gopark.block(gopark.Chan().recv())
gopark.run(main)
"""
    ended = run_python(["-c", program])
    assert ended.status == 2
    assert ended.stderr.count("panic: ") == 1
    assert traces.read(file.read_text()).logs() == [("xyzzy-cat", "xyzzy-msg")]


# --- the flight recorder -----------------------------------------------------------------


@pytest.mark.go("runtime/trace", "TestFlightRecorderDoubleStart")
def test_flight_recorder_double_start(recorder):
    one = recorder()
    one.start()
    with pytest.raises(RuntimeError, match="cannot enable a enabled flight recorder"):
        one.start()
    with pytest.raises(RuntimeError, match="flight recorder already enabled"):
        recorder().start()
    one.stop()


@pytest.mark.go("runtime/trace", "TestFlightRecorderEnabled")
def test_flight_recorder_enabled(recorder):
    one = recorder()
    assert one.enabled() is False
    one.start()
    assert one.enabled() is True
    one.stop()
    assert one.enabled() is False


@pytest.mark.go("runtime/trace", "TestFlightRecorderWriteToDisabled")
def test_flight_recorder_write_to_disabled(recorder):
    one = recorder()
    out = io.BytesIO()
    with pytest.raises(RuntimeError, match="cannot snapshot a disabled flight recorder"):
        one.write_to(out)
    one.start()
    one.stop()
    with pytest.raises(RuntimeError, match="cannot snapshot a disabled flight recorder"):
        one.write_to(out)
    assert out.getvalue() == b""


class _Slow(io.BytesIO):
    """Its first write says that it is under way, and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go_on = threading.Event(), threading.Event()

    def write(self, data):
        self.writing.set()
        assert self.go_on.wait(120)
        return super().write(data)


@pytest.mark.go("runtime/trace", "TestFlightRecorderConcurrentWriteTo")
def test_flight_recorder_concurrent_write_to(recorder, run):
    one = recorder()
    one.start()
    run(ping_pong)
    slow, counts = _Slow(), []
    thread = threading.Thread(target=lambda: counts.append(one.write_to(slow)))
    thread.start()
    assert slow.writing.wait(120)
    late = io.BytesIO()
    text = "call to WriteTo for trace.FlightRecorder already in progress"
    with pytest.raises(RuntimeError, match=text):
        one.write_to(late)
    slow.go_on.set()
    thread.join()
    assert late.getvalue() == b""
    assert counts == [len(slow.getvalue())]
    traces.read(slow.getvalue())


@pytest.mark.go("runtime/trace", "TestFlightRecorder")
def test_flight_recorder(recorder, run):
    one = recorder()
    one.start()
    out = io.BytesIO()

    async def main():
        await ping_pong()
        assert one.write_to(out) == len(out.getvalue())

    run(main)
    found = traces.read(out.getvalue())
    assert {(1, found.goid("ping_pong.answer"), "go")} <= set(found.arrows)


@pytest.mark.go("runtime/trace", "TestFlightRecorderStartStop")
def test_flight_recorder_start_stop(recorder, run):
    one = recorder()
    for i in range(5):
        one.start()
        out = io.BytesIO()

        async def main(i=i, out=out):
            trace.log(BACKGROUND, "round", str(i))
            await ping_pong()
            one.write_to(out)

        run(main)
        one.stop()
        found = traces.read(out.getvalue())
        assert found.logs() == [("round", str(i))]
        assert found.goids("ping_pong.answer")


@pytest.mark.go("runtime/trace", "TestFlightRecorderLog")
def test_flight_recorder_log(recorder, run):
    one = recorder()
    one.start()
    out = io.BytesIO()

    async def main():
        trace.log(BACKGROUND, "message", "hello")
        one.write_to(out)

    run(main)
    assert traces.read(out.getvalue()).logs() == [("message", "hello")]


@pytest.mark.go("runtime/trace", "TestFlightRecorderGenerationCount")
@pytest.mark.parametrize("limit", [{"min_age": 1e-6}, {"max_bytes": 1}], ids=["age", "size"])
def test_flight_recorder_generation_count(recorder, run, limit):
    """With tiny limits a snapshot has the latest events only."""
    one = recorder(**limit)
    one.start()
    out = io.BytesIO()

    async def main():
        for i in range(3):
            trace.log(BACKGROUND, "message", str(i))
            await ping_pong(10_000)
        trace.log(BACKGROUND, "message", "just now")
        one.write_to(out)

    run(main)
    found = traces.read(out.getvalue())
    assert found.logs() == [("message", "just now")]
    assert len(found.goids("ping_pong.answer")) == 1
    assert 100 < len(found.runs(1)) < 10_000


def both(run, steps):
    """Run the steps in turn, with goroutines at work in between: what each has written."""
    full, snapshot = io.BytesIO(), io.BytesIO()
    one = FlightRecorder()
    acts = {
        "start": lambda: trace.start(full),
        "stop": trace.stop,
        "record": one.start,
        "write": lambda: one.write_to(snapshot),
        "end": one.stop,
    }

    async def main():
        for step in steps.split():
            acts[step]()
            await ping_pong()

    run(main)
    return traces.read(full.getvalue()), traces.read(snapshot.getvalue())


@pytest.mark.go("runtime/trace", "TestTraceAndFlightRecorder")
def test_trace_and_flight_recorder(run):
    full, snapshot = both(run, "start record write end stop")
    assert len(full.goids("ping_pong.answer")) > len(snapshot.goids("ping_pong.answer")) >= 1
    assert len(full.events) > len(snapshot.events)


@pytest.mark.go("runtime/trace", "TestSubscribers")
@pytest.mark.parametrize(
    ("steps", "traced", "recorded"),
    [
        ("start record write end stop", 4, 1),
        ("start record write stop end", 3, 1),
        ("record start write end stop", 3, 2),
        ("record start stop write end", 1, 3),
        ("start stop record write end", 1, 1),
        ("record write end start stop", 1, 1),
    ],
)
def test_subscribers(run, steps, traced, recorded):
    full, snapshot = both(run, steps)
    assert len(full.goids("ping_pong.answer")) == traced
    assert len(snapshot.goids("ping_pong.answer")) == recorded
    for found in (full, snapshot):
        for goid in found.goids("ping_pong.answer"):
            assert (1, goid, "go") in found.arrows
            assert len(found.runs(goid)) > 1
