"""What counts and dumps show of goroutines in C, and of callbacks.

Go: testprogcgo (notingo.go, tracebackctxt.go, gprof.go, trace.go), cmd/cgo/internal/test.
"""

from __future__ import annotations

import os
import re
import sys
import threading

import pytest

import gopark
from gopark import Chan, cgo
from gopark.testing import wait_all_parked

gil = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="without the GIL the frames of a running thread may not be read",
)


def goroutines():
    """The goroutines of a dump, each as its state and its functions, innermost first."""
    found = {}
    for text in gopark.runtime.stack(all=True).split("\n\n"):
        head, *lines = text.splitlines()
        goid, state = re.fullmatch(r"goroutine (\d+) \[(.*)\]:", head).groups()
        calls = [line for line in lines if not line.startswith(("\t", "created by"))]
        found[int(goid)] = state, [c.removesuffix("(...)").rpartition(".")[2] for c in calls]
    return found


def in_c():
    """How many goroutines are in C: Go's metric /sched/goroutines/not-in-go."""
    return sum(state.startswith("syscall") for state, _ in goroutines().values())


def in_order(wanted, names):
    """All of `wanted` are among `names`, in that order."""
    rest = iter(names)
    return all(name in rest for name in wanted)


@pytest.fixture
def gate(lib):
    """Where goroutines and threads of C can be made to wait in C."""
    lib.reset_gate()
    yield lib
    lib.open_gate(100)


async def until_inside(lib, n):
    """So many are in C, at the gate."""
    while lib.count_inside() < n:
        await gopark.gosched()


# --- who is in C ------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestNotInGoMetric")
@pytest.mark.go("runtime/testdata/testprogcgo", "NotInGoMetricCgoCall")
@pytest.mark.usefixtures("procs")
async def test_not_in_go_metric_cgo_call(gate):
    """Ten goroutines in C are ten, and none once they are back, whoever has their Ps meanwhile."""
    for _ in range(10):
        gopark.go(cgo.call, gate.wait_gate, 1)
    await until_inside(gate, 10)
    assert in_c() == 10
    before = gopark.runtime.gomaxprocs(4)
    gopark.runtime.gomaxprocs(before)
    assert in_c() == 10
    gate.open_gate(1)
    await wait_all_parked()
    assert in_c() == 0


@pytest.mark.go("runtime", "TestNotInGoMetric")
@pytest.mark.go("runtime/testdata/testprogcgo", "NotInGoMetricCgoCallback")
@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_not_in_go_metric_cgo_callback(gate, unary, libc):
    """Threads of C that have called in and are back in C, with no Python below, do not count."""
    ready = Chan()
    entry = unary(lambda n: gopark.block(ready.send(n)))
    threads = [gate.start_in_and_out(entry) for _ in range(10)]
    for turn in 1, 2:
        assert [await ready.recv() for _ in threads] == [turn] * 10
        await until_inside(gate, 10 * turn)
        assert in_c() == 0
        assert gopark.runtime.num_goroutine() == 1
        gate.open_gate(turn)
    for thread in threads:
        cgo.call(libc.pthread_join, thread, None)


@pytest.mark.go("runtime", "TestNotInGoMetric")
@pytest.mark.go("runtime/testdata/testprogcgo", "NotInGoMetricCgoCallAndCallback")
@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_not_in_go_metric_cgo_call_and_callback(gate, unary, cthread):
    """Callbacks that wait do not cancel out calls: they are in Python."""
    ch = Chan()
    callbacks = [cthread(cgo.callback(lambda _: gopark.block(ch.recv()))) for _ in range(10)]
    for _ in range(10):
        gopark.go(cgo.call, gate.wait_gate, 1)
    await until_inside(gate, 10)
    await wait_for(lambda: states("chan receive, locked to thread") == 10)
    assert in_c() == 10
    assert gopark.runtime.num_goroutine() == 21
    gate.open_gate(1)
    ch.close()
    for thread in callbacks:
        thread.join()
    await wait_all_parked()
    assert in_c() == 0


def states(wanted):
    return sum(state == wanted for state, _ in goroutines().values())


async def wait_for(holds):
    while not holds():
        await gopark.gosched()


# --- stacks across C --------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackCallers")
@pytest.mark.usefixtures("procs")
async def test_callback_callers(binding):
    """From the callback out to main, and nothing of gopark in between."""
    names = []

    def nested_call():
        binding.nested(callback)

    def callback():
        names.extend(goroutines()[1][1])
        assert os.path.dirname(gopark.__file__) not in gopark.runtime.stack()

    nested_call()
    assert in_order(["callback", "nested_call", "test_callback_callers"], names)
    assert names.count("nested_call") == 1


@pytest.mark.go("runtime", "TestCgoTracebackContext")
@pytest.mark.go("runtime/testdata/testprogcgo", "TracebackContext")
async def test_traceback_context(binding):
    """Python, C, Python, C, Python: one goroutine, and its parts in order."""
    names = []

    def traceback_context():
        binding.nested(g1)

    def g1():
        binding.call("call_many", lambda _: g2(), 1)

    def g2():
        found = goroutines()
        assert len(found) == 1
        names.extend(found[1][1])

    traceback_context()
    assert in_order(["g2", "g1", "traceback_context", "test_traceback_context"], names)
    assert [names.count(name) for name in ("g2", "g1", "traceback_context")] == [1, 1, 1]


@pytest.mark.go("cmd/cgo/internal/test", "Test7978")
@pytest.mark.usefixtures("procs")
async def test_7978(gate, unary):
    """Before, during and after a callback, as another goroutine sees it."""
    ch, out = Chan(), Chan()

    def issue7978cb(_):
        gopark.block(ch.recv())

    def issue7978go():
        cgo.call(gate.in_and_out, unary(issue7978cb))
        gopark.block(out.send(None))

    def seen():
        (found,) = (value for goid, value in goroutines().items() if goid != 1)
        return found

    gopark.go(issue7978go)
    await until_inside(gate, 1)
    assert seen() == ("syscall", ["issue7978go"])
    gate.open_gate(1)
    await wait_for(lambda: seen()[0] == "chan receive")
    names = seen()[1]
    assert in_order(["issue7978cb", "issue7978go"], names)
    ch.close()
    await until_inside(gate, 2)
    assert seen() == ("syscall", ["issue7978go"])
    gate.open_gate(3)
    await wait_for(lambda: seen()[0] == "chan send")
    assert seen() == ("chan send", ["issue7978go"])
    await out.recv()


@pytest.mark.go("runtime", "TestCgoTracebackGoroutineProfile")
@pytest.mark.go("runtime/testdata/testprogcgo", "GoroutineProfile")
@pytest.mark.usefixtures("procs")
async def test_goroutine_profile(lib, unary):
    """Goroutines that sleep in a callback, below C, are shown with both sides of C."""

    def sleeps(_):
        gopark.block(gopark.time.sleep(3600))

    def calls_c():
        cgo.call(lib.call_deep, unary(sleeps), 0)

    for _ in range(3):
        gopark.go(calls_c)
    await wait_all_parked()
    shown = [value for goid, value in goroutines().items() if goid != 1]
    assert [state for state, _ in shown] == ["sleep"] * 3
    assert all(in_order(["sleeps", "calls_c"], names) for _, names in shown)


@pytest.mark.go("runtime", "TestTraceUnwindCGO")
@pytest.mark.go("runtime/testdata/testprogcgo", "Trace")
@pytest.mark.outside_help
async def test_trace(lib, unary):
    """A callback looks the same on a goroutine's thread and on one of C; what differs is below."""
    stacks = []

    def event():
        stacks.append(gopark.runtime.stack())

    def callback(_):
        event()

    entry = unary(callback)
    cgo.call(lib.call_many, entry, 1)
    cgo.call(lib.call_on_threads, entry, 1, 1)
    (main, *on_main), (other, *on_c) = (text.splitlines() for text in stacks)
    assert main == "goroutine 1 [running]:"
    assert re.fullmatch(r"goroutine \d+ \[running, locked to thread\]:", other)
    assert on_c
    assert on_main[: len(on_c)] == on_c
    assert any(".test_trace(...)" in line for line in on_main[len(on_c) :])


@pytest.mark.go("internal/trace", "TestTraceCgoCallback")
@pytest.mark.outside_help
async def test_trace_cgo_callback(gate, unary, libc):
    """The callback's goroutine appears on entry and is gone on exit, each time."""
    entered, leave = Chan(), Chan()

    def callback(n):
        gopark.block(entered.send(n))
        gopark.block(leave.recv())

    entry = unary(callback)
    thread = gate.start_in_and_out(entry)
    for turn in 1, 2:
        assert await entered.recv() == turn
        await wait_for(lambda: states("chan receive, locked to thread") == 1)
        assert len(goroutines()) == gopark.runtime.num_goroutine() == 2
        await leave.send(None)
        await until_inside(gate, turn)
        assert len(goroutines()) == gopark.runtime.num_goroutine() == 1
        gate.open_gate(turn)
    cgo.call(libc.pthread_join, thread, None)


# --- samples ----------------------------------------------------------------------------------


@gil
@pytest.mark.go("runtime", "TestCgoCallbackPprof")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoCallbackPprof")
@pytest.mark.outside_help
def test_cgo_callback_pprof(lib, unary, cthread):
    """What a sampling profiler sees of a callback on a thread of C: it and who called it."""
    stop, ident = threading.Event(), []
    empty = unary(lambda _: 0)

    def callback(_):
        callee()

    def callee():
        cgo.call(lib.call_many, empty, 1)
        ident.append(threading.get_ident())
        while not stop.is_set():
            pass

    thread = cthread(cgo.callback(callback))
    samples = set()
    while len(samples) < 1 or not ident:
        frame = sys._current_frames().get(ident[0]) if ident else None
        while frame is not None:
            if frame.f_code is callee.__code__:
                samples.add(frame.f_back.f_code.co_name)
            frame = frame.f_back
    stop.set()
    thread.join()
    assert samples == {"callback"}
