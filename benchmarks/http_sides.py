"""Servers of HTTP side by side: how each is started, what it costs, and a client that asks it.

The client is a bare epoll loop in a process of its own, on another core than the server. Each
connection sends a request, waits for the answer, sends the next.
"""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PY = sys.executable
APPS = {
    "asgi": ("benchmarks.http_apps:asgi", False),
    "wsgi": ("benchmarks.http_apps:wsgi", False),
    "fastapi": ("benchmarks.http_apps:fastapi", True),
}


class Side(NamedTuple):
    """How to start one: module to be there, kinds of application, the command line."""

    needs: str
    kinds: tuple[str, ...]
    command: tuple[str, ...]  # {app}, {port}, {kind}; what stands in brackets is for a factory


ASGI = ("asgi", "fastapi")
SIDES = {
    "gopark": Side(
        "gopark",
        ("asgi", "wsgi", "fastapi"),
        ("gopark", "serve", "{app}", "--port", "{port}", "--loop", "{loop}", "[--factory]"),
    ),
    "gopark asyncio": Side(
        "gopark",
        ASGI,
        ("gopark", "serve", "{app}", "--port", "{port}", "--loop", "asyncio", "[--factory]"),
    ),
    "gopark loops": Side(
        "gopark",
        ASGI,
        (
            *("gopark", "serve", "{app}", "--port", "{port}", "--loop", "asyncio"),
            *("--loops", "auto", "[--factory]"),
        ),
    ),
    "uvicorn": Side(
        "uvicorn",
        ASGI,
        (
            *("uvicorn", "{app}", "--port", "{port}", "--loop", "uvloop", "--http", "httptools"),
            *("--no-access-log", "--log-level", "error", "[--factory]"),
        ),
    ),
    "granian": Side(
        "granian",
        ("asgi", "wsgi", "fastapi"),
        (
            *("granian", "{app}", "--port", "{port}", "--interface", "{kind}"),
            *("--log-level", "error", "[--factory]"),
        ),
    ),
    "hypercorn": Side(
        "hypercorn",
        ("asgi",),
        ("hypercorn", "{app}", "--bind", "127.0.0.1:{port}", "--worker-class", "uvloop"),
    ),
    "gunicorn gthread": Side(
        "gunicorn",
        ("wsgi",),
        ("gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "-k", "gthread", "--threads", "32"),
    ),
    "gunicorn gevent": Side(
        "gevent",
        ("wsgi",),
        ("gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "-k", "gevent"),
    ),
    "waitress": Side(
        "waitress",
        ("wsgi",),
        ("waitress", "--listen=127.0.0.1:{port}", "--threads=32", "{app}"),
    ),
}


def installed(side: str) -> bool:
    needs = SIDES[side].needs
    return needs == "gopark" or importlib.util.find_spec(needs) is not None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Server:
    """A side in processes of its own, on one core."""

    def __init__(self, side: str, kind: str, core: int) -> None:
        app, factory = APPS[kind]
        self.port = free_port()
        words = {
            "app": app,
            "port": str(self.port),
            "kind": "wsgi" if kind == "wsgi" else "asgi",
            "loop": "auto" if kind == "wsgi" else "bare",
        }
        command = [PY, "-m"]
        for word in SIDES[side].command:
            if not word.startswith("["):
                command.append(word.format(**words))
            elif factory:
                command.append(word.strip("[]"))
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # the child inherits it, and its children
        try:
            self.child = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, mine)
        self._reached(side)

    def _reached(self, side: str) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.child.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    if sock.recv(4096):
                        return
            except OSError:
                time.sleep(0.05)
        self.end()
        raise SystemExit(f"{side} does not answer")

    def spent(self) -> float:
        """Processor time of all its processes so far, in seconds."""
        ticks = 0
        for entry in os.listdir("/proc"):
            if not entry.isdecimal():
                continue
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.child.pid:  # the session
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


class Client:
    """Connections that ask for paths, each as fast as it is answered."""

    def __init__(self, port: int, paths: dict[str, int]) -> None:
        """Args: how many connections for each path."""
        self._poll = select.epoll()
        self._socks: dict[int, tuple[socket.socket, str]] = {}
        for path, count in paths.items():
            for _ in range(count):
                sock = socket.create_connection(("127.0.0.1", port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socks[sock.fileno()] = sock, path
                self._poll.register(sock, select.EPOLLIN)
        self._sent: dict[int, float] = {}

    def run(self, seconds: float) -> dict[str, list[float]]:
        """For each path, how long its answers took that came within that time."""
        took: dict[str, list[float]] = {path: [] for _, path in self._socks.values()}
        for fd in self._socks:
            if fd not in self._sent:
                self._ask(fd)
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            for fd, _ in self._poll.poll(left):
                sock, path = self._socks[fd]
                if not sock.recv(65536):
                    raise SystemExit("the server has closed a connection")
                took[path].append(time.perf_counter() - self._sent[fd])
                self._ask(fd)
        return took

    def _ask(self, fd: int) -> None:
        sock, path = self._socks[fd]
        self._sent[fd] = time.perf_counter()
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def close(self) -> None:
        self._poll.close()
        for sock, _ in self._socks.values():
            sock.close()


def quantile(values: list[float], q: float) -> float:
    """Of what was measured; infinity where there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else float("inf")
