"""Exceptions that meet C on their way. Go: cmd/cgo/internal/test/callback.go, crash_cgo_test.go.

A panic of Go skips C's frames; in Python C is told zero and returns, and then the exception
goes on in `cgo.call`. What the goroutine sees is the same.
"""

from __future__ import annotations

import gc

import pytest

import gopark
from gopark import Chan, FatalError, cgo


class CallbackError(Exception):
    """What the callbacks of these tests raise."""


def raises(*_):
    raise CallbackError("callback panic")


def locked():
    return "locked to thread" in gopark.runtime.stack().splitlines()[0]


# --- recovered --------------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackPanic")
@pytest.mark.usefixtures("procs")
async def test_callback_panic(binding):
    """The value arrives as it is, and the goroutine is not left on the thread."""
    assert not locked()
    with pytest.raises(CallbackError) as caught:
        binding.nested(raises)
    assert caught.value.args == ("callback panic",)
    assert not locked()
    ch = Chan()
    gopark.go(ch.send, "goes on")
    assert await ch.recv() == "goes on"


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackPanicLoop")
async def test_callback_panic_loop(binding):
    """Twice as many as Python lets functions nest: nothing piles up."""
    for _ in range(2000):
        with pytest.raises(CallbackError):
            binding.call("call_many", raises, 1)
    assert gopark.runtime.stack().count("test_callback_panic_loop") == 1


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackPanicLocked")
@pytest.mark.usefixtures("procs")
async def test_callback_panic_locked(binding):
    gopark.runtime.lock_os_thread()
    with pytest.raises(CallbackError):
        binding.nested(raises)
    assert locked()
    await gopark.gosched()
    gopark.runtime.unlock_os_thread()
    assert not locked()


@pytest.mark.go("cmd/cgo/internal/test", "TestPanicFromC")
async def test_panic_from_c(lib, unary):
    """C itself begins it, by a function that is there to raise."""
    panic = unary(lambda n: raises() if n else 0)
    assert cgo.call(lib.call_deep, panic, 0) == 0
    with pytest.raises(CallbackError, match="callback panic"):
        cgo.call(lib.call_deep, panic, 1)


async def test_nothing_of_a_goroutine_runs_between_a_panic_and_its_recovery(binding):
    """C may call again before it returns, as `qsort` does: it is told zero at once."""
    calls = []

    def third(n):
        calls.append(n)
        return 1 if n < 2 else raises()

    with pytest.raises(CallbackError):
        binding.call("call_many", third, 10)
    assert calls == [0, 1, 2]
    assert binding.call("call_many", lambda n: 1, 10) == 10


@pytest.mark.go("cmd/cgo/internal/test", "TestCthread")
@pytest.mark.outside_help
@pytest.mark.usefixtures("procs")
async def test_cthread(binding):
    """Six C threads add up under a lock, and each fails and recovers at every call."""
    mutex, total = Chan(1), [0]

    def add(n):
        gopark.block(mutex.send(None))
        total[0] += n
        gopark.block(mutex.recv())
        with pytest.raises(CallbackError):
            binding.call("call_many", raises, 1)
        return n

    assert binding.call("call_on_threads", add, 6, 10) == 270
    assert total == [270]


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestDeepStack")
@pytest.mark.parametrize("inside", [True, False], ids=["goroutine", "no_run"])
def test_deep_stack(binding, run, inside):
    """Shallow, deep and shallow again, where the deep one may fail and be recovered."""
    calls = []

    def function(n):
        calls.append(n)
        gc.collect(0)
        return raises() if n else 0

    def various(n):
        binding.call("call_many", lambda _: function(0), 1)
        binding.call("call_deep", function, n)
        binding.call("call_many", lambda _: function(0), 1)

    various(0)
    if inside:
        run(various, 0)
        with pytest.raises(CallbackError):
            run(various, 1)
        assert calls == [0, 0, 0] * 2 + [0, 1]


@pytest.mark.go("runtime", "TestCgoCrashHandler")
@pytest.mark.go("runtime/testdata/testprogcgo", "Crash")
@pytest.mark.usefixtures("procs")
async def test_crash(binding):
    """Recovered on the main thread, on two threads that goroutines are locked to, and again."""
    out = Chan(4)

    def fails(name):
        try:
            binding.nested(lambda: None.field)  # type: ignore[attr-defined]
        except AttributeError:
            out.try_send(f"{name} recovered done")

    def on_new_thread(name):
        gopark.runtime.lock_os_thread()
        fails(name)
        gopark.block(gopark.gosched())
        fails(name)

    fails("main")
    assert await out.recv() == "main recovered done"
    for name in "new-thread", "second-new-thread":
        gopark.go(on_new_thread, name)
        assert [await out.recv(), await out.recv()] == [f"{name} recovered done"] * 2
    fails("main-again")
    assert await out.recv() == "main-again recovered done"


@pytest.mark.go("runtime", "TestCgoSignalDeadlock")
@pytest.mark.go("runtime/testdata/testprogcgo", "CgoSignalDeadlock")
@pytest.mark.usefixtures("procs")
async def test_cgo_signal_deadlock(binding):
    """One that fails and recovers in a loop answers, however many threads are locked for ever."""
    ping, pong, never = Chan(), Chan(), Chan()

    async def recovers():
        while True:
            with pytest.raises(CallbackError):
                binding.call("call_many", raises, 1)
            index, _, _ = await gopark.select(gopark.recv(ping), default=True)
            if index == 0:
                await pong.send(None)
            else:
                await gopark.gosched()

    async def locks():
        gopark.runtime.lock_os_thread()
        await never.recv()

    gopark.go(recovers)
    for _ in range(24):
        gopark.go(locks)
        await ping.send(None)
        index, _, _ = await gopark.select(gopark.recv(pong), gopark.recv(gopark.time.after(20)))
        assert index == 0, "HANG"


# --- not recovered ----------------------------------------------------------------------------


def report_of(run, capsys, goroutine):
    """What is printed when this goroutine dies, and the error that `run` raises."""

    async def main():
        gopark.go(goroutine)
        await Chan().recv()

    with pytest.raises(FatalError) as caught:
        run(main)
    assert caught.value.code == 2
    return capsys.readouterr().err, caught.value


def functions(report):
    """The functions of the first stack in a report, innermost first, without their modules."""
    stack = report.split("\n\n")[1]
    lines = [line for line in stack.splitlines()[1:] if not line.startswith(("\t", "created by"))]
    return [line.removesuffix("(...)").rpartition(".")[2] for line in lines]


@pytest.mark.go("runtime", "TestCgoPanicCallback")
@pytest.mark.go("runtime/testdata/testprogcgo", "PanicCallback")
def test_panic_callback(binding, run, capsys):
    """One stack, with the callback and with who called C."""

    def callback():
        return None.field  # type: ignore[attr-defined]

    def calls_c():
        binding.nested(callback)

    report, error = report_of(run, capsys, calls_c)
    assert report.startswith(
        "panic: AttributeError: 'NoneType' object has no attribute 'field'\n\n"
    )
    names = functions(report)
    assert names[0] == "callback"
    assert names[-1] == "calls_c"
    assert names.count("callback") == names.count("calls_c") == 1
    assert "runtime: " not in report
    assert isinstance(error.__cause__, AttributeError)


@pytest.mark.go("runtime", "TestCgoCrashTracebackGo")
@pytest.mark.go("runtime/testdata/testprogcgo", "CrashTracebackGo")
def test_crash_traceback_go(lib, unary, run, capsys):
    """The whole of the part above C, and that below it."""

    def h1(_):
        h2()

    def h2():
        h3()

    def h3():
        raise CallbackError("crash")

    def crash_traceback_go():
        cgo.call(lib.call_deep, unary(h1), 1)

    report, _ = report_of(run, capsys, crash_traceback_go)
    assert report.startswith(f"panic: {__name__}.CallbackError: crash\n\n")
    names = functions(report)
    assert names[:3] == ["h3", "h2", "h1"]
    assert names[-1] == "crash_traceback_go"
