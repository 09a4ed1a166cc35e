"""A profiling signal that comes at any moment does no harm.

Go: testprogcgo (threadprof.go, pprof_callback.go, tracebackctxt.go), testcarchive (main6.c).

Python has no profiler of its own that works by SIGPROF; those that do set this timer and look
at the frames in the handler, as here. Handlers of Python run on the main thread, so that is
where these tests keep main.
"""

from __future__ import annotations

import signal
import threading

import pytest

import gopark
from gopark import Chan

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="no profiling timer on this system"
)


@pytest.fixture
def samples():
    """A signal for each millisecond of CPU time; the functions that were seen by the handler."""
    seen = []

    def look(signum, frame):
        names = []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        seen.append(names)

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    yield seen
    signal.setitimer(signal.ITIMER_PROF, 0)
    # The last one may still be on its way to a thread that gets no CPU just now. To ignore a
    # signal drops it; under the default action it would end the process.
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, before)


def enough(samples):
    return len(samples) >= 5


async def until_enough(samples):
    while not enough(samples):
        await gopark.time.sleep(0.001)


@pytest.mark.go("runtime", "TestCgoCCodeSIGPROF")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoCCodeSIGPROF")
@pytest.mark.usefixtures("procs")
async def test_cgo_c_code_sigprof(binding, samples):
    """It lands in C code and in callbacks of it."""
    gopark.runtime.lock_os_thread()
    while not enough(samples):
        assert binding.call("call_many", lambda n: 1, 50) == 50


@pytest.mark.go("runtime", "TestCgoPprofCallback")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoPprofCallback")
@pytest.mark.parametrize("procs", [4], indirect=True)
async def test_cgo_pprof_callback(binding, samples, procs):
    """More goroutines than Ps, whose slow C calls call back and often find no P on return."""
    out, called, stop = Chan(), set(), []
    gopark.runtime.lock_os_thread()

    def calls(n):
        while not stop:
            assert binding.call("sleep_and_call", lambda us: us, 50) == 50
            called.add(n)
        gopark.block(out.send(n))

    for n in range(4 * procs):
        gopark.go(calls, n)
    while not (enough(samples) and len(called) == 4 * procs):
        await gopark.time.sleep(0.001)
    stop.append(None)
    assert {await out.recv() for _ in range(4 * procs)} == called


@pytest.mark.go("runtime", "TestCgoTracebackContextProfile")
@pytest.mark.go("runtime/testdata/testprogcgo", "TracebackContextProfile")
@pytest.mark.parametrize("procs", [4], indirect=True)
async def test_traceback_context_profile(binding, samples, procs):
    """A goroutine for each P, whose callbacks allocate."""
    out, stop = Chan(), []
    gopark.runtime.lock_os_thread()

    def allocates(n):
        return len(bytearray(128 + n)) - n

    def calls():
        while not stop:
            assert binding.call("call_many", allocates, 20) == 20 * 128
        gopark.block(out.send(None))

    for _ in range(procs):
        gopark.go(calls)
    await until_enough(samples)
    stop.append(None)
    for _ in range(procs):
        await out.recv()


@pytest.mark.go("runtime", "TestCgoExternalThreadSIGPROF")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoExternalThreadSIGPROF")
@pytest.mark.outside_help
def test_cgo_external_thread_sigprof(run, samples, cthread, libc):
    """A thread of C that has never called in sends it to itself, before anybody has called C."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    samples.clear()
    before = gopark.runtime.num_cgo_call()

    async def main():
        gopark.runtime.lock_os_thread()
        assert gopark.runtime.num_cgo_call() == before
        thread = cthread(cthread.start_type(("raise", libc)), signal.SIGPROF)
        while not samples:
            await gopark.gosched()
        thread.join()

    run(main, outside_help=True)
    assert len(samples) == 1


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestSIGPROF")
def test_sigprof(lib, samples):
    """Started and stopped around C that is busy for longer than a few ticks."""
    threading.Thread(target=lib.burn, args=(30,)).start()
    samples.clear()  # of what starting it took
    while not samples:
        lib.burn(30)
    assert all("test_sigprof" in names for names in samples)


@pytest.mark.go("runtime", "TestCgoPprof")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoPprof")
async def test_cgo_pprof(lib, samples):
    """Time in slow C is that of the function that called C, and of those that called that."""
    gopark.runtime.lock_os_thread()

    def found():
        return [names for names in samples if "calls_c" in names]

    def calls_c():
        # Ticks came before this as well, and a virtual machine's clock may go on without any.
        while not found():
            gopark.cgo.call(lib.burn, 20)

    def root():
        calls_c()

    root()
    in_c = found()
    assert all(names[names.index("calls_c") + 1] == "root" for names in in_c)
