"""Run a child program and see what a user would see: its output and its exit status.

What ends a process, or prints as it ends, can only be looked at from outside. So the
programs of `testdata` run as children, as Go's crash tests do (runtime/crash_test.go):

    ended = run("testprogcgo", "NumGoroutine", libs=["numgoroutine"])
    assert ended == Ended("OK\n", "", 0)

A child that outlives its time limit is told to print the stacks of all its threads, killed,
and reported as a failure, so no test waits for ever.

C libraries are built with the machine's compiler, once for all processes of a test session:
the builder holds a lock file, and a finished library appears under its name in one step.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

import pytest

import gopark

__all__ = (
    "TESTDATA",
    "Child",
    "Ended",
    "build_folder",
    "built_once",
    "run",
    "run_python",
    "start",
    "start_python",
    "terminals",
)

TESTDATA = pathlib.Path(__file__).resolve().parent / "testdata"
TIMEOUT = 300.0  # seconds; more than any program needs on a machine with a load of 20

_libs: pathlib.Path | None = None


class Ended(NamedTuple):
    """What a child left behind."""

    stdout: str
    stderr: str
    status: int  # negative: the signal that ended it


# --- building C --------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where what is built goes: one folder for all workers of a session.

    A conftest.py that imports this fixture makes the harness ready for its tests.
    """
    global _libs
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a folder in a common one
        base = base.parent
    _libs = base / "built"
    _libs.mkdir(exist_ok=True)
    return _libs


@contextlib.contextmanager
def _locked(file: pathlib.Path) -> Iterator[None]:
    import fcntl

    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def built_once(name: str) -> Iterator[tuple[pathlib.Path, bool]]:
    """Where `name` is to be, and whether the caller has to put it there.

    While the caller builds, all others who ask for the same name wait.
    """
    assert _libs is not None, "the `build_folder` fixture has not run"
    target = _libs / name
    with _locked(_libs / f"{name}.lock"):
        yield target, not target.exists()


def compiler() -> str:
    """The C compiler of this machine; skips the test if there is none."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no C compiler (cc, gcc, clang) on this machine")


def build(source: pathlib.Path) -> pathlib.Path:
    """The folder that holds the shared library made from one C file."""
    cc = compiler()
    with built_once(f"{source.stem}.so") as (target, missing):
        if missing:
            part = target.with_suffix(".part")
            _compile([cc, "-Wall", "-Werror"], source, part)
            part.replace(target)
    return target.parent


def build_cffi(header: pathlib.Path) -> pathlib.Path:
    """The folder that holds cffi's extension module made from `name.h` (cdef) and `name.c`."""
    cffi = pytest.importorskip("cffi", reason="cffi is not installed")
    include = pathlib.Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        pytest.skip("the headers of this Python are not installed")
    cc = compiler()
    name = header.stem
    with built_once(name) as (target, missing):
        if missing:
            part = target.with_suffix(".part")
            part.mkdir(exist_ok=True)
            ffi = cffi.FFI()
            ffi.cdef(header.read_text())
            ffi.set_source(name, header.with_suffix(".c").read_text())
            ffi.emit_c_code(str(part / f"{name}.c"))
            _compile([cc, f"-I{include}"], part / f"{name}.c", part / f"{name}.so")
            part.rename(target)
    return target


def _compile(command: list[str], source: pathlib.Path, target: pathlib.Path) -> None:
    options = ["-shared", "-fPIC", "-pthread", "-O1", "-g", "-o", str(target), str(source)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, f"{source.name} does not compile:\n{done.stderr}"


def terminals() -> tuple[int, int]:
    """A pseudo terminal's two ends, ours and the program's; skips the test if there is none."""
    try:
        return pty.openpty()
    except OSError:
        pytest.skip("no pseudo terminals on this machine")


# --- running programs --------------------------------------------------------------------


class Child:
    """A running program. `end` waits for it; `expect` follows what it prints meanwhile."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], timeout: float) -> None:
        self._name = " ".join(command[-2:])
        self._stderr: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by end()
        self._seen: list[str] = []
        self._timed_out = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=dict(env),
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a Ctrl-C at the terminal of the tests is not for it
        )
        self.pid = self._process.pid
        self._watch = threading.Timer(timeout, self._abort)
        self._watch.daemon = True
        self._watch.start()

    def expect(self, line: str) -> None:
        """Read what it prints up to this line."""
        assert self._process.stdout is not None
        while got := self._process.stdout.readline():
            self._seen.append(got)
            if got.rstrip("\n") == line:
                return
        ended = self.end()
        raise AssertionError(f"{self._name} ended before it printed {line!r}: {ended}")

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        got = self._process.stdout.readline()
        self._seen.append(got)
        return got.rstrip("\n")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it whatever it does; for a program that is meant to run on."""
        self._process.kill()

    def end(self) -> Ended:
        """Wait for its end."""
        assert self._process.stdout is not None
        rest = self._process.stdout.read()
        status = self._process.wait()
        self._watch.cancel()
        self._process.stdout.close()
        with self._stderr as stderr:
            stderr.seek(0)
            ended = Ended("".join(self._seen) + rest, stderr.read(), status)
        if self._timed_out:
            raise AssertionError(f"{self._name} did not end in time\n{ended.stdout}{ended.stderr}")
        return ended

    def _abort(self) -> None:
        """Time is up: have faulthandler print the stack of every thread, then make sure."""
        self._timed_out = True
        self._process.send_signal(signal.SIGABRT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _interpreter_flags() -> list[str]:
    """Children run under what the tests run under: `python -X dev -W error` reaches them."""
    flags = ["-X", "faulthandler"]
    if sys.flags.dev_mode:
        flags += ["-X", "dev"]
    return flags + [f"-W{option}" for option in sys.warnoptions]


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in ("GOMAXPROCS", "GOTRACEBACK")}
    paths = [os.path.abspath(p) for p in env.get("PYTHONPATH", "").split(os.pathsep) if p]
    home = str(pathlib.Path(gopark.__file__).resolve().parent.parent)
    if not home.endswith("-packages"):  # not installed: the children have to be told
        paths.insert(0, home)
    env.update(extra)
    env["PYTHONPATH"] = os.pathsep.join([*paths, extra.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return env


def start_python(
    arguments: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> Child:
    """Start this interpreter with these arguments."""
    command = [sys.executable, *_interpreter_flags(), *arguments]
    return Child(command, _environment(env or {}), timeout)


def start(
    folder: str,
    name: str,
    *,
    libs: Sequence[str] = (),
    cffi: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> Child:
    """Start the program registered as `name` in `testdata/folder`.

    Args:
        folder: `testprog` or `testprogcgo`.
        name: What the program registered as.
        libs: The C files it needs, without suffix.
        cffi: The cffi extension module it needs.
        env: Added to the environment.
        timeout: Seconds it may take.
    """
    extra = dict(env or {})
    for lib in libs:
        extra["TESTPROG_LIBS"] = str(build(TESTDATA / folder / f"{lib}.c"))
    if cffi is not None:
        extra["PYTHONPATH"] = str(build_cffi(TESTDATA / folder / "cffi" / f"{cffi}.h"))
    return start_python([str(TESTDATA / folder / "main.py"), name], env=extra, timeout=timeout)


def run_python(
    arguments: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> Ended:
    """Run this interpreter to its end."""
    return start_python(arguments, env=env, timeout=timeout).end()


def run(
    folder: str,
    name: str,
    *,
    libs: Sequence[str] = (),
    cffi: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> Ended:
    """Run a program to its end; arguments as for `start`."""
    return start(folder, name, libs=libs, cffi=cffi, env=env, timeout=timeout).end()
