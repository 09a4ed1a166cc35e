"""A PostgreSQL of our own, for as long as a block runs. Used by tests and by tests/compat."""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

__all__ = ("missing", "postgres", "tool")

_PATIENCE = 300.0  # seconds, for what hangs


def tool(name):
    """Where a program of PostgreSQL's is; empty if it is not."""
    return shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), ""
    )


def missing():
    """Whether there is none here, or none that this user may run."""
    if not all(map(tool, ("initdb", "postgres", "pg_isready"))):
        return True
    try:
        return os.getuid() == 0 and not pwd.getpwnam("postgres")
    except KeyError:
        return True


@contextlib.contextmanager
def postgres(port, more=lambda folder, who: []):
    """It trusts everybody, and takes connections when the block begins.

    `more` makes what it needs in its folder, for the user that `who` names, and gives options.
    """
    who = {}
    if os.getuid() == 0:  # it refuses to run as root
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        if who:
            os.chmod(folder, 0o755)
            os.mkdir(data)
            shutil.chown(data, "postgres", "postgres")
        quiet = {"check": True, "capture_output": True, "cwd": "/", "timeout": _PATIENCE, **who}
        command = [tool("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run([*command, "-E", "UTF8"], **quiet)
        options = ["fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}"]
        options += more(pathlib.Path(folder), who)
        args = [x for option in options for x in ("-c", option)]
        child = subprocess.Popen(
            [tool("postgres"), "-D", data, "-p", str(port), *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **who,
        )
        try:
            _accepts(port)
            yield
        finally:
            child.terminate()  # its smart shutdown waits for those who are connected
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _accepts(port):
    """It listens before it takes anybody."""
    asks = [tool("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    until = time.monotonic() + _PATIENCE
    while subprocess.run(asks, check=False).returncode != 0:
        if time.monotonic() > until:
            raise TimeoutError(f"PostgreSQL on port {port}")
        time.sleep(0.05)
