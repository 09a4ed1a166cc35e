"""Signals that come at a bad moment.

Go: testprogcgo/needmdeadlock.go, eintr.go.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_int

import gopark
from registry import library, register


def handle(*signums: int) -> None:
    """A handler that does nothing but interrupt system calls."""
    for signum in signums:
        signal.signal(signum, lambda signum, frame: None)
        signal.siginterrupt(signum, True)


@register("NeedmDeadlock")
def needm_deadlock() -> None:
    handle(signal.SIGCHLD)
    got = []
    callback = gopark.cgo.export(CFUNCTYPE(c_int, c_int))(lambda n: got.append(n) or n)
    gopark.cgo.call(library("needmdeadlock").call_under_signals, callback)
    assert got == list(range(10)), got
    print("OK")


SIZE = 2 << 20  # more than any pipe or socket holds


@register("EINTR")
async def eintr() -> None:
    """Reads, writes and waits are finished though signals interrupt them again and again."""
    handle(signal.SIGURG, signal.SIGWINCH, signal.SIGCHLD)
    done = gopark.Chan()
    going = 0

    def start(fn: Callable[..., None], *args: object) -> None:
        def work() -> None:
            fn(*args)
            gopark.block(done.send(fn.__name__))

        nonlocal going
        going += 1
        gopark.go(work)

    r, w = os.pipe()
    start(write_all, w)
    start(read_all, r)
    a, b = socket.socketpair()
    start(send_all, a)
    start(receive_all, b)
    start(run_child)
    while going:
        for thread in threading.enumerate():  # wherever they are just now
            if thread.ident is not None:
                try:
                    signal.pthread_kill(thread.ident, signal.SIGWINCH)
                except ProcessLookupError:
                    continue
        os.kill(os.getpid(), signal.SIGURG)
        index, _, _ = await gopark.select(gopark.recv(done), gopark.recv(gopark.time.after(0.0005)))
        going -= index == 0
    print("OK")


def write_all(fd: int) -> None:
    with open(fd, "wb", buffering=0) as pipe:
        rest = memoryview(bytes(SIZE))
        while rest:
            rest = rest[gopark.cgo.call(pipe.write, rest) :]


def read_all(fd: int) -> None:
    with open(fd, "rb", buffering=0) as pipe:
        assert len(gopark.cgo.call(pipe.readall)) == SIZE


def send_all(sock: socket.socket) -> None:
    with sock:
        gopark.cgo.call(sock.sendall, bytes(SIZE))


def receive_all(sock: socket.socket) -> None:
    with sock:
        got = 0
        while chunk := gopark.cgo.call(sock.recv, 1 << 16):
            got += len(chunk)
        assert got == SIZE, got


def run_child() -> None:
    """A child that ends when it is told to, and the wait for it."""
    command = [sys.executable, sys.argv[0], "Block"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert gopark.cgo.call(child.wait) == 0


@register("Block", run=False)
def block() -> None:
    """The child of EINTR: reads until its input is closed."""
    while os.read(0, 4096):
        pass
