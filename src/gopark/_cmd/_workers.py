"""Many processes behind one port, for `gopark serve --workers` and `--reload`.

The parent starts them, and others in the place of those that die; it serves nothing itself.
  SIGTERM, SIGINT   to all of them, and wait
  SIGHUP            new ones, and the old end in good order; what --reload sends when a file changes
On a port each listens for itself (SO_REUSEPORT), and the system shares connections out; the parent
keeps the port, bound. A Unix socket is the parent's, and inherited. If the parent dies they end.

Tests: tests/cmd/test_workers.py
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from gopark._cmd._failed import Failed

__all__ = ("supervise", "worker")

_log: Final = logging.getLogger("gopark.http")
_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_SOON: Final = 1.0  # seconds: one that lived for less is not replaced at once
_PR_SET_PDEATHSIG: Final = 1


def worker() -> None:
    """In one of them, at its start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def supervise(options: argparse.Namespace, held: socket.socket | None) -> int:
    """In the parent, until it is told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    one = _Supervisor(options, held)
    if options.reload:
        _watch(options.app_dir or os.getcwd())
    try:
        return one.run()
    finally:
        if held is not None:
            held.close()
        if options.uds is not None:
            os.unlink(options.uds)


def _watch(folder: str) -> None:
    try:
        watchfiles: Any = importlib.import_module("watchfiles")
    except ImportError:
        raise Failed("--reload needs watchfiles: pip install watchfiles") from None

    chosen = functools.partial(_ofpython, watchfiles.PythonFilter())

    def watch() -> None:
        for _ in watchfiles.watch(folder, watch_filter=chosen):
            os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=watch, name="gopark-reload", daemon=True).start()


def _ofpython(python: Callable[[Any, str], bool], change: Any, path: str) -> bool:
    """Whether a change is one of Python files.

    watchfiles (1.3.0) names no files of a folder that is moved into place: these are looked for.
    """
    return python(change, path) or (
        change.name == "added"
        and any(
            python(change, os.path.join(top, name))
            for top, _, names in os.walk(path)
            for name in names
        )
    )


class _Supervisor:
    def __init__(self, options: argparse.Namespace, held: socket.socket | None) -> None:
        self._count = options.workers or 1
        self._command = [sys.executable, *_flags(), "-m", "gopark", "serve"]
        self._fds: tuple[int, ...] = ()
        args = [one for one in options.args if one != "--reload"]
        if options.fd is not None:
            self._fds = (options.fd,)
        elif held is not None and options.uds is not None:
            self._fds = (held.fileno(),)
            args += ["--fd", str(held.fileno())]
        elif held is not None:
            args += ["--port", str(held.getsockname()[1])]
        self._args = args
        self._number = 0
        self._children: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._old: set[int] = set()  # they are to end

    def run(self) -> int:
        for _ in range(self._count):
            self._start()
        while True:
            sig = signal.sigwait(_SIGNALS)
            if sig == signal.SIGHUP:
                self._renew()
            elif sig == signal.SIGCHLD:
                self._reap()
            else:
                return self._end()

    def _start(self) -> None:
        self._number += 1
        command = [*self._command, *self._args, "--worker", str(self._number)]
        child = subprocess.Popen(command, pass_fds=self._fds, start_new_session=True)
        self._children[child.pid] = child, time.monotonic()

    def _renew(self) -> None:
        _log.info("anew")
        old = [pid for pid in self._children if pid not in self._old]
        for _ in range(self._count):
            self._start()
        for pid in old:
            self._old.add(pid)
            self._children[pid][0].terminate()

    def _reap(self) -> None:
        for pid, (child, began) in list(self._children.items()):
            status = child.poll()
            if status is None:
                continue
            del self._children[pid]
            if pid in self._old:
                self._old.discard(pid)
                continue
            level = logging.WARNING if status else logging.INFO  # 0: it has had its requests
            _log.log(level, "process %d has ended (%d), another takes its place", pid, status)
            if time.monotonic() - began < _SOON:
                time.sleep(_SOON)
            self._start()

    def _end(self) -> int:
        for child, _ in self._children.values():
            child.terminate()
        for child, _ in self._children.values():
            child.wait()
        return 0


def _flags() -> list[str]:
    """What this interpreter was started with: -X dev, -W error."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]
