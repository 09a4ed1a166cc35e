"""Into C and back on one thread, and what goes along. Go: cmd/cgo/internal/test."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import sys
import threading
import weakref

import pytest

import gopark
from gopark import Chan, cgo


class Thing:
    """Something a weak reference can watch."""


# --- back at once -----------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "TestCallback")
async def test_callback(binding):
    called = []
    binding.nested(lambda: called.append(gopark.runtime.num_goroutine()))
    assert called == [1]


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackGC")
async def test_callback_gc(binding):
    """What only frames below C hold survives a collection in the callback."""
    thing = Thing()
    ref = weakref.ref(thing)
    binding.nested(lambda: gc.collect() >= 0)
    assert ref() is thing


@pytest.mark.go("cmd/cgo/internal/test", "TestZeroArgCallback")
async def test_zero_arg_callback(binding):
    kept = "of the caller"

    def allocates():
        for n in range(10_000):
            x = [n, n, n]
            assert x == [n] * 3

    binding.nested(allocates)
    assert kept == "of the caller"


@pytest.mark.go("cmd/cgo/internal/test", "Test1328")
async def test_1328(lib):
    """A callback with neither argument nor result."""
    made = []
    pointer = ctypes.CFUNCTYPE(None)(cgo.callback(lambda: made.extend(bytearray(100_000))))
    call = ctypes.CFUNCTYPE(None, ctypes.CFUNCTYPE(None), ctypes.c_int)(("call_many", lib))
    cgo.call(call, pointer, 1)
    assert len(made) == 100_000


@pytest.mark.go("cmd/cgo/internal/test", "TestBlocking")
@pytest.mark.usefixtures("procs")
async def test_blocking(binding):
    """A callback waits while C is on the stack, and others run."""
    c = Chan()

    async def echo():
        for _ in range(10):
            await c.send(await c.recv())

    def callback():
        for i in range(10):
            gopark.block(c.send(i))
            assert gopark.block(c.recv()) == i

    gopark.go(echo)
    binding.nested(callback)


@pytest.mark.go("cmd/cgo/internal/test", "Test1560")
@pytest.mark.usefixtures("procs")
async def test_1560(binding):
    """A callback that only yields is not the only one to run, on one P either."""
    step, done = [0], Chan(2)

    def in_callback():
        while step[0] != 1:
            gopark.block(gopark.gosched())
        step[0] = 2
        while step[0] != 3:
            gopark.block(gopark.gosched())
        done.try_send(None)

    async def peer():
        step[0] = 1
        while step[0] != 2:
            await gopark.gosched()
        step[0] = 3
        await done.send(None)

    gopark.go(peer)
    gopark.go(binding.nested, in_callback)
    await done.recv()
    await done.recv()


# --- the thread -------------------------------------------------------------------------------


def locks_and_unlocks(here):
    before = threading.get_ident()
    gopark.runtime.lock_os_thread()
    gopark.runtime.unlock_os_thread()
    gopark.block(gopark.gosched())
    here.append(threading.get_ident() == before)


@pytest.mark.go("cmd/cgo/internal/test", "Test3775")
@pytest.mark.usefixtures("procs")
async def test_3775(binding):
    here = []
    binding.nested(lambda: locks_and_unlocks(here))
    assert here == [True]
    assert "locked to thread" not in gopark.runtime.stack()


@pytest.mark.go("cmd/cgo/internal/test", "Test3775")
def test_3775__before_run(binding, run):
    """The callback is a goroutine of its own then, and its locks are not main's."""
    here, headers = [], []
    binding.nested(lambda: locks_and_unlocks(here))
    run(lambda: headers.append(gopark.runtime.stack().splitlines()[0]))
    assert here == [True]
    assert headers == ["goroutine 1 [running]:"]


@pytest.mark.go("cmd/cgo/internal/test", "TestThreadLock")
@pytest.mark.usefixtures("procs")
async def test_thread_lock(binding):
    """C finds itself on the same kernel thread after a callback that yielded."""
    stop = Chan()

    async def others():
        while True:
            index, _, _ = await gopark.select(
                gopark.recv(stop), gopark.recv(gopark.time.after(0.0001))
            )
            if index == 0:
                return
            await gopark.gosched()

    for _ in range(4):
        gopark.go(others)
    same = [
        binding.call("same_thread", lambda n: gopark.block(gopark.gosched())) for _ in range(150)
    ]
    stop.close()
    assert same == [1] * 150


@pytest.mark.go("cmd/cgo/internal/testtls", "TestTLS")
@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_tls(lib, asynchronous):
    """C's thread-locals stay with a locked goroutine, whoever runs in between."""
    out = Chan()

    async def locked(n):
        gopark.runtime.lock_os_thread()
        for i in range(20):
            cgo.call(lib.set_local, 100 * n + i)
            await gopark.gosched()
            assert cgo.call(lib.get_local) == 100 * n + i
        gopark.runtime.unlock_os_thread()
        await out.send(n)

    def plain(n):
        gopark.block(locked(n))

    for n in range(1, 5):
        gopark.go(locked if asynchronous else plain, n)
    assert sorted([await out.recv() for _ in range(4)]) == [1, 2, 3, 4]


# --- values -----------------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "TestCallGoWithString")
async def test_call_go_with_string(lib):
    seen = []
    string = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    cgo.call(lib.call_with_string, string(cgo.callback(lambda s, n: seen.append(s) or 0)), 0)
    assert seen == [b"string passed to Python"]


@pytest.mark.go("cmd/cgo/internal/test", "Test5548")
async def test_5548(lib):
    seen = []

    def called(text, n):
        seen.append((text.decode(), n))
        return 12345

    string = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    assert cgo.call(lib.call_with_string, string(cgo.callback(called)), 42) == 12345
    assert seen == [("string passed to Python", 42)]


@pytest.mark.go("cmd/cgo/internal/test", "Test6833")
async def test_6833(lib):
    """Arguments of 32, 64 and 8 bits and a double next to each other, at their limits."""
    from ctypes import CFUNCTYPE, c_double, c_int8, c_int32, c_int64, c_uint64

    seen = []

    def called(a, b, c, d):
        seen.append((a, b, c, d))
        return -(1 << 63) + a

    mixed = CFUNCTYPE(c_int64, c_int32, c_uint64, c_int8, c_double)
    call = CFUNCTYPE(c_int64, mixed, c_int32, c_uint64)(("call_mixed", lib))
    assert cgo.call(call, mixed(cgo.callback(called)), 7, (1 << 64) - 2) == -(1 << 63) + 7
    assert seen == [(7, (1 << 64) - 2, -1, 0.5)]


@pytest.mark.go("cmd/cgo/internal/test", "TestSetEnv")
async def test_set_env(lib, monkeypatch):
    assert cgo.call(lib.get_environment, b"GOPARK_TEST_KEY") is None
    monkeypatch.setenv("GOPARK_TEST_KEY", "value")
    assert cgo.call(lib.get_environment, b"GOPARK_TEST_KEY") == b"value"


# --- errno ------------------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "Test3729")
@pytest.mark.usefixtures("procs")
async def test_3729(lib):
    """Each goroutine finds the errno of its own call, though all set it."""
    out = Chan()

    async def sets(n):
        for _ in range(20):
            cgo.call(lib.set_errno, n)
            seen = ctypes.get_errno()
            await gopark.gosched()
            if seen != n:
                break
        await out.send((n, seen))

    for n in range(1, 11):
        gopark.go(sets, n)
    assert sorted([await out.recv() for _ in range(10)]) == [(n, n) for n in range(1, 11)]


@pytest.mark.go("cmd/cgo/internal/test", "TestErrno")
@pytest.mark.usefixtures("procs")
async def test_errno(binding):
    """The one of C, whatever the way back into Python or a callback before has done to it."""
    assert cgo.call(binding.lib.fail_with, errno.ENOENT) == -1
    assert binding.errno() == errno.ENOENT

    def spoils(_):
        gopark.block(gopark.time.sleep(0.0001))
        with pytest.raises(FileNotFoundError):
            os.stat("/no/such/file")

    assert binding.call("fail_after", spoils, errno.EINVAL) == -1
    assert binding.errno() == errno.EINVAL


@pytest.mark.go("cmd/cgo/internal/test", "TestErrno")
async def test_errno__as_an_error(lib):
    """Go's two-value form is an exception in Python."""

    def raises(result, function, args):
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    fail = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, use_errno=True)(("fail_with", lib))
    fail.errcheck = raises
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        cgo.call(fail, errno.ENOENT)


# --- beginnings -------------------------------------------------------------------------------


@pytest.mark.go("cmd/cgo/internal/test", "TestCallbackInInit")
@pytest.mark.outside_help
def test_callback_in_init(cthread, monkeypatch, tmp_path):
    """A callback that imports the module being initialised waits until that is complete."""
    seen, inside, threads = [], threading.Event(), []

    def callback(_):
        inside.set()
        import initialises

        seen.append(initialises.value)

    def start():
        threads.append(cthread(cgo.callback(callback)))
        assert inside.wait(120)

    monkeypatch.setattr(sys, "start_callback", start, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "initialises.py").write_text(
        "import sys, gopark\n"
        "sys.start_callback()\n"
        "gopark.block(gopark.time.sleep(0.02))\n"
        "value = 123\n"
    )
    import initialises

    threads[0].join()
    assert seen == [initialises.value] == [123]
    del sys.modules["initialises"]


@pytest.mark.go("cmd/cgo/internal/testcarchive", "TestManyCalls")
def test_many_calls(binding):
    """Python has called C without `run`, and C calls back again and again."""
    seen = []

    def called(n):
        seen.append(bytes(4096))
        seen.clear()
        return 1

    assert binding.call("call_many", called, 10_000) == 10_000
    assert gopark.runtime.num_goroutine() == 0
