"""Errors of `gopark.exec`: programs that are not to be had, children that did not end well.

Source: Go 1.27 os/exec/exec.go, lp_unix.go. Tests: tests/exec/test_process.py
"""

from __future__ import annotations

from typing import Any

from gopark.exec._state import ProcessState

__all__ = (
    "DotError",
    "Error",
    "ExitError",
    "NotExecutableError",
    "NotFoundError",
    "WaitDelayError",
)


class Error(OSError):
    """A name that `look_path` could not turn into a program.

    Attributes:
        name: What was looked for.
        path: What was found and is not to be run, if something was; else "".

    Go: exec.Error.
    """

    name: str
    path: str

    def __init__(self, text: str, name: str = "", path: str = "") -> None:
        super().__init__(text)
        self.name = name
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.name, self.path)


class NotFoundError(Error, FileNotFoundError):
    """There is no such program: not in $PATH, or not at that path.

    Go: exec.ErrNotFound, fs.ErrNotExist.
    """


class NotExecutableError(Error, PermissionError):
    """There is such a file, and it is no program: not executable, or a directory.

    Go: fs.ErrPermission, syscall.EISDIR.
    """


class DotError(Error):
    """The program was found in the current directory, by an entry of $PATH that is relative.

    Who means it says so: `command("./prog")`, or `cmd.err = None` before the start. Go: ErrDot.
    """


class ExitError(Exception):
    """The child ended with a status that is not 0, or by a signal.

    Attributes:
        process_state: How it ended.
        stderr: The beginning and the end of what it wrote to standard error, if `output` has
            collected that, which it does where `Cmd.stderr` is not set.
        stdout: What `output`, or `combined_output`, had collected.

    Go: exec.ExitError.
    """

    def __init__(
        self, process_state: ProcessState, stderr: bytes = b"", stdout: bytes = b""
    ) -> None:
        super().__init__(process_state, stderr, stdout)
        self.process_state = process_state
        self.stderr = stderr
        self.stdout = stdout

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.process_state, self.stderr, self.stdout)

    @property
    def exit_code(self) -> int:
        """Its status; -1 if it was ended by a signal."""
        return self.process_state.exit_code

    def __str__(self) -> str:
        last = self.stderr.rstrip().rpartition(b"\n")[2][-200:].decode(errors="backslashreplace")
        return f"{self.process_state}: {last}" if last else str(self.process_state)


class WaitDelayError(Exception):
    """The child has ended well, and others hold its pipes open yet, after `Cmd.wait_delay`.

    Such as its own children. The pipes were closed on this side.

    Attributes:
        stdout: What `output`, or `combined_output`, had collected.

    Go: exec.ErrWaitDelay.
    """

    stdout = b""
