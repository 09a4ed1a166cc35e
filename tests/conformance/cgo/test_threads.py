"""Threads that C has made, and calls of C. Go: cmd/cgo/internal/test, testprogcgo."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

import gopark
from gopark import Chan, cgo
from gopark._runtime.c import extram


@pytest.mark.go("cmd/cgo/internal/test", "Test6997")
def test_6997(binding):
    """A thread of C can be cancelled; if it has called in, what it was given comes back."""
    before = extram.inuse()
    assert binding.lib.cancel_thread(binding.null) == 1
    calls = []
    assert binding.call("cancel_thread", calls.append) == 1
    assert calls == [1]
    assert extram.inuse() == before


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestPreemption")
@pytest.mark.outside_help
@pytest.mark.parametrize("procs", [1], indirect=True)
async def test_preemption(binding, procs):
    """One P, and a goroutine that computes for ever on it: a call in from C still gets to run."""
    started, stop = [], []

    async def spins():
        while not stop:
            started.append(None)
            del started[:-1]

    def from_c(_):
        while not started:
            gopark.block(gopark.gosched())
        stop.append(None)

    gopark.go(spins)
    binding.call("call_on_threads", from_c, 1, 1)
    assert stop


@pytest.fixture
def switch_often():
    """The interpreter lets another thread run as soon as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.go("runtime", "TestCgoTracebackContextPreemption")
@pytest.mark.go("runtime/testdata/testprogcgo", "TracebackContextPreemption")
@pytest.mark.usefixtures("procs", "switch_often")
async def test_traceback_context_preemption(binding):
    """Callbacks of ten goroutines survive preemption at any point."""
    out = Chan()

    def calls(n):
        total = binding.call("call_many", lambda i: len(f"{i}\n") and i, 300)
        gopark.block(out.send(total))

    for n in range(10):
        gopark.go(calls, n)
    assert [await out.recv() for _ in range(10)] == [sum(range(300))] * 10


@pytest.mark.go("runtime", "TestSigStackSwapping")
@pytest.mark.go("runtime/testdata/testprogcgo", "SigStack")
def test_sig_stack(lib, unary):
    """A thread's own signal stack stays its own, though the callback fails and recovers."""

    def fails_and_recovers(n):
        with pytest.raises(AttributeError):
            None.field  # type: ignore[attr-defined]  # noqa: B018
        return 10 + n

    assert cgo.call(lib.call_with_sigstack, unary(fails_and_recovers)) == 10 + 11 + 10 + 11


@pytest.mark.go("runtime", "TestStackSwitchCallback")
@pytest.mark.go("runtime/testdata/testprogcgo", "StackSwitchCallback")
@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="CPython 3.14 runs on no stack that it does not know"
)
@pytest.mark.outside_help
async def test_stack_switch_callback(lib, unary):
    """A thread of C may call in from any stack; one that follows on the same memory, too."""
    calls, ch = [], Chan()

    def called(n):
        calls.append((n, gopark.runtime.num_goroutine()))
        gopark.block(ch.send(n))

    async def takes():
        for _ in range(5):
            await ch.recv()

    gopark.go(takes)
    cgo.call(lib.switch_stacks, unary(called))
    assert [n for n, _ in calls] == [0, 1, 1, 0, 1]
    assert {count for _, count in calls} <= {2, 3}


# --- ids of users and groups: libc sends a signal to every thread -----------------------------


def setgid(lib):
    return cgo.call(lib.setgid, os.getgid())


@pytest.fixture(params=[False, True], ids=["default", "handled"])
def listening(request):
    """Somebody listens to signals, or nobody does."""
    if request.param:
        before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    if request.param:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.go("cmd/cgo/internal/test", "TestSetgid")
@pytest.mark.usefixtures("procs", "listening")
async def test_setgid(libc):
    """It does not hang, with threads asleep in every place."""
    ch = Chan()
    for _ in range(8):
        gopark.go(lambda: gopark.block(ch.recv()))
    await gopark.testing.wait_all_parked()
    assert setgid(libc) == 0
    ch.close()


@pytest.mark.go("cmd/cgo/internal/test", "TestSetgidStress")
async def test_setgid_stress(libc):
    """From goroutines that end locked: each has a new thread, which may be just beginning."""
    out = Chan(30)

    async def sets():
        out.try_send(setgid(libc))
        gopark.runtime.lock_os_thread()

    for _ in range(30):
        gopark.go(sets)
    assert [await out.recv() for _ in range(30)] == [0] * 30


# --- others -----------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCgoTraceback")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoTraceback")
@pytest.mark.usefixtures("procs")
async def test_cgo_traceback(libc):
    """All stacks right after a C call."""
    assert cgo.call(libc.abs, -3) == 3
    dump = gopark.runtime.stack(all=True)
    assert dump.startswith("goroutine 1 [running]:\n")
    assert ".test_cgo_traceback(...)\n" in dump


@pytest.mark.outside_help
async def test_threads_of_c_and_of_python_take_turns(binding):
    """One callback from both, on one channel."""
    ch, out = Chan(), Chan(1)

    def relays(n):
        gopark.block(ch.send(n))

    async def adds():
        await out.send(sum([await ch.recv() for _ in range(60)]))

    gopark.go(adds)
    threads = [threading.Thread(target=lambda: [relays(n) for n in range(10)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    binding.call("call_on_threads", relays, 4, 10)
    assert await out.recv() == 45 * 6
    for thread in threads:
        cgo.call(thread.join)
