"""The servers that clients talk to, Redis and PostgreSQL, as long as the script runs."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

from tests.compat.cases import free_port

__all__ = ("servers",)

_PATIENCE = 30.0  # seconds


@contextlib.contextmanager
def servers():
    """What is to be in the environment of the cases."""
    with contextlib.ExitStack() as stack:
        found = {}
        if shutil.which("redis-server"):
            found["REDIS_PORT"] = str(stack.enter_context(_redis()))
        if _tool("initdb") and _tool("postgres"):
            found["POSTGRES_PORT"] = str(stack.enter_context(_postgres()))
        yield found


def _tool(name):
    return shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), ""
    )


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


@contextlib.contextmanager
def _postgres():
    who = {}
    if os.getuid() == 0:  # it refuses to run as root
        pwd.getpwnam("postgres")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        if who:
            os.chmod(folder, 0o755)
            os.mkdir(data)
            shutil.chown(data, "postgres", "postgres")
        command = [_tool("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **who)
        options = ["fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}"]
        args = [x for option in options for x in ("-c", option)]
        child = subprocess.Popen(
            [_tool("postgres"), "-D", data, "-p", str(port), *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **who,
        )
        try:
            _reached(port)
            time.sleep(1)  # it listens before it takes anybody
            yield port
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
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
