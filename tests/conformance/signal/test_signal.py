"""Signals, as Go's own tests pin them down (os/signal, runtime/crash_unix_test.go)."""

from __future__ import annotations

import ctypes
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from signal import SIGCONT, SIGHUP, SIGINT, SIGSEGV, SIGTERM, SIGURG, SIGUSR1, SIGWINCH

import pytest

import gopark
from gopark import Chan, block
from gopark.signal import ignore, ignored, notify, reset, stop
from harness import TESTDATA, TIMEOUT, Ended, run, start, terminals

nohup = shutil.which("nohup")
needs_nohup = pytest.mark.skipif(nohup is None, reason="no nohup on this system")


def kill(signum):
    os.kill(os.getpid(), signum)


def empty(*channels):
    return all(ch.try_recv() == (None, False, False) for ch in channels)


# --- os/signal ------------------------------------------------------------------------------------


@pytest.mark.go("os/signal", "TestSignal")
async def test_signal(procs):
    hups = Chan(1)
    notify(hups, SIGHUP)
    kill(SIGHUP)
    assert await hups.recv() == SIGHUP

    everything = Chan(10)
    notify(everything)
    reset(SIGURG)  # as there; ours are not relayed

    kill(SIGWINCH)
    assert await everything.recv() == SIGWINCH
    for _ in range(2):  # the second finds `hups` full
        kill(SIGHUP)
        assert await everything.recv() == SIGHUP
    assert await hups.recv() == SIGHUP
    stop(everything)
    stop(hups)
    assert empty(hups, everything)


def hammer(ch, seconds):
    """Send SIGUSR1 to this process again and again; then stop the channel and close it."""
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kill(SIGUSR1)
        sent += 1
        block(gopark.gosched())
    stop(ch)
    ch.close()  # that nobody sends to it any more is what is tested
    return sent


@pytest.mark.go("os/signal", "TestStress")
async def test_stress(procs):
    ch, sent = Chan(1), Chan(1)
    notify(ch, SIGUSR1)
    gopark.go(lambda: block(sent.send(hammer(ch, 0.1))))
    received = [s async for s in ch]
    assert set(received) == {SIGUSR1}
    assert 1 <= len(received) <= await sent.recv()


@pytest.mark.go("os/signal", "TestTime")
async def test_time(procs):
    ch, drained = Chan(1), Chan(1)
    notify(ch, SIGUSR1)

    async def drain():
        await drained.send(len([s async for s in ch]))

    gopark.go(drain)
    gopark.go(hammer, ch, 0.1)
    before, end = time.monotonic(), time.monotonic() + 0.1
    while before < end:
        now = time.monotonic()
        assert now >= before
        before = now
    assert await drained.recv() > 0


@pytest.mark.go("os/signal", "TestReset")
async def test_reset(procs):
    winches, hups = await cancelled(reset)
    kill(SIGWINCH)  # ignored by default
    assert await still_empty(winches, hups)


@pytest.mark.go("os/signal", "TestIgnore")
async def test_ignore(procs):
    winches, hups = await cancelled(ignore)
    kill(SIGWINCH)
    kill(SIGHUP)
    assert await still_empty(winches, hups)


async def cancelled(how):
    """Two channels that got a signal each, and then no more."""
    winches, hups = Chan(1), Chan(1)
    notify(winches, SIGWINCH)
    notify(hups, SIGHUP)
    kill(SIGWINCH)
    assert await winches.recv() == SIGWINCH
    kill(SIGHUP)
    assert await hups.recv() == SIGHUP
    how(SIGWINCH, SIGHUP)
    return winches, hups


async def still_empty(*channels):
    """After a signal that was sent later has come."""
    later = Chan(1)
    notify(later, SIGUSR1)
    kill(SIGUSR1)
    await later.recv()
    return empty(*channels)


@pytest.mark.go("os/signal", "TestIgnored")
async def test_ignored():
    ch = Chan(1)
    notify(ch, SIGWINCH)
    assert not ignored(SIGWINCH)
    stop(ch)
    ignore(SIGWINCH)
    assert ignored(SIGWINCH)
    reset()


def under_nohup(name):
    command = [nohup, sys.executable, str(TESTDATA / "testprog" / "main.py"), name]
    path = os.path.dirname(os.path.dirname(gopark.__file__))
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, "PYTHONPATH": path},
    )


@needs_nohup
@pytest.mark.go("os/signal", "TestDetectNohup")
def test_detect_nohup():
    assert run("testprog", "IsSighupIgnored").status == 1
    assert under_nohup("IsSighupIgnored").returncode == 0


@needs_nohup
@pytest.mark.go("os/signal", "TestNohup")
@pytest.mark.parametrize("when", [1, 2])
def test_nohup(when):
    caught = "True\n" if when == 2 else ""
    assert run("testprog", f"UncaughtSighup{when}") == Ended(caught, "", -SIGHUP)
    survives = under_nohup(f"UncaughtSighup{when}")
    assert survives.stdout == "True\nsurvived\n"
    assert survives.returncode == 0


@pytest.mark.go("os/signal", "TestStop")
@pytest.mark.parametrize("signum", [SIGWINCH, SIGHUP, SIGUSR1])
async def test_stop(procs, signum):
    ch = Chan(1)
    notify(ch, signum)
    kill(signum)
    assert await ch.recv() == signum
    stop(ch)
    assert signal.getsignal(signum) is signal.SIG_DFL
    if signum == SIGWINCH:  # the others would end the tests: see test_nohup, test_atomic_stop
        kill(signum)
    assert await still_empty(ch)


@pytest.mark.go("os/signal", "TestSIGCONT")
async def test_sigcont():
    ch = Chan(1)
    notify(ch, SIGCONT)
    kill(SIGCONT)
    assert await ch.recv() == SIGCONT


@pytest.mark.go("os/signal", "TestAtomicStop")
@pytest.mark.parametrize("signum", [SIGINT, SIGUSR1])
@pytest.mark.parametrize("procs", ["1", "4"])
def test_atomic_stop(signum, procs):
    """SIGINT ends Python by a KeyboardInterrupt that nobody catches, SIGUSR1 without a word."""
    ends = [
        run("testprog", f"AtomicStop{signum.name}", env={"GOMAXPROCS": procs}) for _ in range(3)
    ]
    assert [end.stdout for end in ends] == [""] * 3  # no lost signal
    for end in ends:
        assert end.status in (0, -signum)
        if signum == SIGUSR1 or end.status == 0:
            assert end.stderr == ""
        else:
            assert end.stderr.endswith("\nKeyboardInterrupt\n")


@pytest.mark.go("os/signal", "TestSignalTrace")
async def test_signal_trace(procs):
    quit_, received = Chan(), Chan(1)
    ch = Chan(1)
    notify(ch, SIGHUP)

    def source_and_sink():
        count = 0
        while not count or not quit_.try_recv()[2]:
            kill(SIGHUP)
            assert block(ch.recv()) == SIGHUP
            count += 1
        stop(ch)
        block(received.send(count))

    gopark.go(source_and_sink)
    for _ in range(100):
        gopark.trace.start(io.BytesIO())
        await gopark.gosched()
        gopark.trace.stop()
    quit_.close()
    assert await received.recv() > 0


# Makes its terminal that of its session, and becomes the program that is named.
LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.go("os/signal", "TestTerminalSignal")
def test_terminal_signal():
    """Control-Z, another process in the foreground for a moment, and on."""
    terminal, inside = terminals()
    path = os.path.dirname(os.path.dirname(gopark.__file__))
    program = str(TESTDATA / "testprog" / "main.py")
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER, sys.executable, program, "TerminalSignalLeader"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    os.close(inside)
    seen = b""

    def expect(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 1000)

    try:
        expect(b"ready")
        time.sleep(0.02)  # it is about to read; if not yet, this is no test of a read cut short
        os.write(terminal, b"\x1a")
        expect(b"stopped")
        os.write(terminal, b"hello\n")
        expect(rb"read b'hello\n'")
    finally:
        status = process.wait(TIMEOUT)
        os.close(terminal)
    assert status == 0


# --- os/signal, examples ------------------------------------------------------------------------


@pytest.mark.go("os/signal", "ExampleNotify")
def test_example_notify():
    child = start("testprog", "ExampleNotify")
    child.expect("ready")
    child.interrupt()
    assert child.end() == Ended("ready\nGot signal: SIGINT\n", "", 0)


@pytest.mark.go("os/signal", "ExampleNotify_allSignals")
@pytest.mark.parametrize("signum", [SIGTERM, SIGHUP, SIGUSR1, signal.SIGQUIT])
def test_example_notify_all_signals(signum):
    child = start("testprog", "ExampleNotifyAllSignals")
    child.expect("ready")
    os.kill(child.pid, signum)
    assert child.end() == Ended(f"ready\nGot signal: {signum.name}\n", "", 0)


@pytest.mark.go("os/signal", "ExampleNotifyContext")
def test_example_notify_context():
    assert run("testprog", "ExampleNotifyContext") == Ended("context canceled\n", "", 0)


# --- runtime --------------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestSignalExitStatus")
@pytest.mark.go("runtime/testdata/testprog", "SignalExitStatus")
def test_signal_exit_status():
    assert run("testprog", "SignalExitStatus") == Ended("", "", -SIGTERM)


@pytest.mark.go("runtime", "TestSignalBogus")
@pytest.mark.go("runtime/testdata/testprog", "SignalBogus")
def test_signal_bogus():
    assert run("testprog", "SignalBogus") == Ended("OK\n", "", 0)


@pytest.mark.go("runtime", "TestSignalIgnoreSIGTRAP")
@pytest.mark.go("runtime/testdata/testprognet", "SignalIgnoreSIGTRAP")
def test_signal_ignore_sigtrap():
    assert run("testprog", "SignalIgnoreSIGTRAP") == Ended("OK\n", "", 0)


@pytest.mark.go("runtime", "TestSignalDuringExec")
@pytest.mark.go("runtime/testdata/testprognet", "SignalDuringExec")
@pytest.mark.go("runtime/testdata/testprognet", "SignalDuringExecPgrp")
@pytest.mark.go("runtime/testdata/testprognet", "Nop")
def test_signal_during_exec():
    assert run("testprog", "SignalDuringExec") == Ended("OK\n", "", 0)


def died_of_sigsegv(ended):
    """Python has no report of its own; faulthandler's is the one that children are run with."""
    return (
        ended.stderr.startswith("Fatal Python error: Segmentation fault\n")
        and re.search("most recent call first|<freed thread state>", ended.stderr)  # without a GIL
        and ended.status == -SIGSEGV
    )


@pytest.mark.go("runtime/testdata/testprog", "Segv")
def test_segv():
    assert died_of_sigsegv(run("testprog", "Segv"))


@pytest.mark.go("runtime/testdata/testprog", "TgkillSegv")
def test_tgkill_segv():
    assert died_of_sigsegv(run("testprog", "TgkillSegv"))


@pytest.mark.go("runtime", "TestSignalM")
@pytest.mark.outside_help
async def test_signal_m(wait_until):
    """Only the thread that was meant runs the handler: only its `pause` returns."""
    libc = ctypes.CDLL(None)
    ch, back, idents = Chan(1), Chan(2), {}
    notify(ch, SIGUSR1)

    def pauses(name):
        gopark.runtime.lock_os_thread()
        idents[name] = threading.get_ident()
        gopark.cgo.call(libc.pause)
        block(back.send(name))

    async def wake(name):
        """A signal that comes just before `pause` does not end it: send another one."""
        while True:
            signal.pthread_kill(idents[name], SIGUSR1)
            index, who, _ = await gopark.select(
                gopark.recv(back), gopark.recv(gopark.time.after(0.01))
            )
            if index == 0:
                return who

    for name in ("one", "two"):
        gopark.go(pauses, name)
        while name not in idents:
            await gopark.time.sleep(0.001)
    assert await wake("two") == "two"
    assert await ch.recv() == SIGUSR1
    assert empty(back)
    assert await wake("one") == "one"
