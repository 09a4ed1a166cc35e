"""Who is told of a signal where C has a say: its handlers, its masks, its threads.

Go: testprogcgo/exec.go, cmd/cgo/internal/test/sigprocmask.go, testcarchive (main3.c).
"""

import os
import signal
import subprocess
from ctypes import CFUNCTYPE, c_int

import gopark
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)


@register("OsSignal", run=False)
def os_signal() -> None:
    """A handler of C's, then a channel in its place, then C's again."""
    lib = library("faults")
    lib.install_count(signal.SIGIO)

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGIO)
        while lib.counted() < 1:
            await gopark.gosched()
        ch = gopark.Chan(1)
        gopark.signal.notify(ch, signal.SIGIO)
        gopark.cgo.call(lib.raise_on_thread, signal.SIGIO)
        assert await ch.recv() == signal.SIGIO
        os.kill(os.getpid(), signal.SIGIO)
        assert await ch.recv() == signal.SIGIO
        assert lib.counted() == 1, "C's handler saw it as well"
        gopark.signal.reset(signal.SIGIO)
        os.kill(os.getpid(), signal.SIGIO)
        while lib.counted() < 2:
            await gopark.gosched()
        assert ch.try_recv() == (None, False, False)

    gopark.run(main)
    os.kill(os.getpid(), signal.SIGIO)
    assert lib.counted() == 3
    print("OK")


@register("Sigprocmask")
async def sigprocmask() -> None:
    """What a thread of C blocks stays blocked there, though its callback asks to be told of it."""
    gopark.runtime.lock_os_thread()  # main sets handlers of Python, and shall not be in C then
    lib, ch, done = library("cgotest"), gopark.Chan(1), gopark.Chan()

    def callback(signum: int) -> int:
        gopark.signal.notify(ch, signal.Signals(signum))
        return 0

    entry = prototype(gopark.cgo.callback(callback))

    def calls() -> None:
        gopark.block(done.send(gopark.cgo.call(lib.call_with_sigio_blocked, entry)))

    gopark.go(calls)
    assert await done.recv() == 1, "SIGIO is not blocked any more"
    os.kill(os.getpid(), signal.SIGIO)
    assert await ch.recv() == signal.SIGIO
    print("OK")


def blocked_in_child() -> int:
    """The signals that a new process finds blocked."""
    command = ["grep", "SigBlk", "/proc/self/status"]
    done = gopark.cgo.call(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    return int(done.stdout.split()[1], 16)


@register("CgoExecSignalMask")
async def cgo_exec_signal_mask() -> None:
    """Children are started while listening begins and ends, signals come in, and C calls in."""
    ch, out, stop = gopark.Chan(10), gopark.Chan(), []

    def from_c(_: int) -> int:
        gopark.block(gopark.time.sleep(0.0005))
        return len(stop)

    def calls_in() -> None:
        lib, entry = library("cgotest"), prototype(gopark.cgo.callback(from_c))
        while not gopark.cgo.call(lib.call_on_threads, entry, 4, 10):
            pass
        gopark.block(out.send(0))

    gopark.go(calls_in)
    gopark.signal.notify(ch, signal.SIGTERM)

    async def listens() -> None:
        for _ in range(4):
            mine = gopark.Chan(1)
            gopark.signal.notify(mine, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            seen = blocked_in_child()
            gopark.signal.stop(mine)
            await out.send(seen)

    for _ in range(4):
        gopark.go(listens)
    assert [await out.recv() for _ in range(16)] == [0] * 16
    stop.append(None)
    await out.recv()
    print("OK")


@register("BlockedByC")
def blocked_by_c() -> None:
    """What a callback starts, on a thread of C that blocks all signals, does not inherit that."""
    before = gopark.runtime.gomaxprocs(1)
    masks, seen = gopark.Chan(), []

    def looks() -> None:
        gopark.block(masks.send(blocked_in_child()))

    @gopark.cgo.export(prototype)
    def from_c(_: int) -> int:
        gopark.go(looks)  # on which thread? main's is in C, so it takes a new one
        seen.append(gopark.block(masks.recv()))
        return 0

    gopark.cgo.call(library("faults").call_with_signals_blocked, from_c)
    gopark.runtime.gomaxprocs(before)
    assert seen == [0], hex(seen[0])
    print("OK")
