"""What a report shows, and where else it goes: GOTRACEBACK, `set_traceback`, the crash output.

  level     of a panic                   of a deadlock   frames of gopark  the end
  none      no stack                     no stack        -                 status 2
  single    the goroutine that failed    all             no                status 2
  all       all                          all             no                status 2
  system    all                          all             yes               status 2
  crash     all                          all             yes               SIGABRT

GOTRACEBACK is read when gopark is imported; `set_traceback` can show more than it says, never
less. What is read here without a lock is replaced in one store; a report that is being made
meanwhile goes by the old or the new.

Source: Go 1.27 runtime/runtime1.go (gotraceback, setTraceback), runtime.go (setCrashFD),
runtime/debug/stack.go. Tests: tests/runtime/test_runtime1.py, tests/conformance/traceback
"""

from __future__ import annotations

import os
import threading
from typing import Final, NamedTuple, Protocol

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown

__all__ = ("Traceback", "gotraceback", "set_crash_output", "set_traceback", "writecrash")


class Traceback(NamedTuple):
    """How much a report shows."""

    level: int  # 0: no stack; 1: frames of the user; 2: frames of gopark as well
    all: bool = False  # the other goroutines too
    crash: bool = False  # end by SIGABRT


_LEVELS: Final = {
    "none": Traceback(0),
    "single": Traceback(1),
    "all": Traceback(1, True),
    "system": Traceback(2, True),
    "crash": Traceback(2, True, True),
    "0": Traceback(0, True),
    "1": Traceback(1, True),
    "2": Traceback(2, True),
}


def _more(a: Traceback, b: Traceback) -> Traceback:
    return Traceback(max(a.level, b.level), a.all or b.all, a.crash or b.crash)


# What the environment says is the least that is shown. A word that is no level says nothing.
_env: Final = _LEVELS.get(os.environ.get("GOTRACEBACK", "single"), _LEVELS["single"])
_current = _env


def gotraceback() -> Traceback:
    """How much is to be shown now."""
    return _current


def set_traceback(level: str) -> None:
    """Set how much the report of a panic or a fatal error shows.

    The environment variable GOTRACEBACK is the same from outside, "single" if it is not there.
    Less than it asks for cannot be set.

    Args:
        level: "none" (no stack), "single" (the goroutine that failed), "all" (all of them),
            "system" (all of them, with gopark's own frames), "crash" (the same, and the
            process ends by SIGABRT). As in Go, "0", "1" and "2" are none, all and system.
    Raises:
        ValueError: there is no such level.
        TypeError: it is not a string.
    Example:
        >>> gopark.debug.set_traceback("all")
        >>> gopark.debug.set_traceback("single")

    Go: runtime/debug.SetTraceback.
    """
    global _current
    if not isinstance(level, str):
        raise TypeError(f"set_traceback() needs the name of a level, got {shown(level)}")
    if level not in _LEVELS:
        names = ", ".join(name for name in _LEVELS if name.isalpha())
        raise ValueError(f"set_traceback: no level {shown(level)}; there are {names}")
    _current = _more(_LEVELS[level], _env)


# --- the crash output ------------------------------------------------------------------------


class HasFileno(Protocol):
    """A file of the operating system: what `open` returns, a pipe, a socket."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


# Held while a report is written and while the file is exchanged.
_crashlock: Final = lasting(threading.Lock())
_crashfd = -1


def set_crash_output(file: HasFileno | int | None) -> None:
    """Have the reports of panics and fatal errors written to a file, besides stderr.

    There is one such file; a second call replaces the first. The descriptor is duplicated, so
    `file` may be closed at once, and no child process inherits the copy.

    Args:
        file: Something with a descriptor, the descriptor itself, or None for no such file.
    Raises:
        OSError: the descriptor is closed, or there are too many.
        TypeError: `file` has no descriptor.
    Example:
        >>> with open("/dev/null", "wb") as file:
        ...     gopark.debug.set_crash_output(file)
        >>> gopark.debug.set_crash_output(None)

    Go: runtime/debug.SetCrashOutput.
    """
    global _crashfd
    fd = -1
    if file is not None:
        if not isinstance(file, int) and not hasattr(file, "fileno"):
            raise TypeError(f"set_crash_output needs a file or a descriptor, got {shown(file)}")
        try:
            fd = os.dup(
                file if isinstance(file, int) else file.fileno()
            )  # not inheritable: PEP 446
        except OSError as exc:
            raise OSError(exc.errno, f"set_crash_output of {shown(file)}: {exc.strerror}") from None
    with _crashlock:
        before, _crashfd = _crashfd, fd
    if before >= 0:
        os.close(before)


def writecrash(text: str) -> None:
    """Write a report to the crash output; whoever reads it may be gone, and that is no matter."""
    with _crashlock:
        if _crashfd < 0:
            return
        left = text.encode(errors="replace")
        try:
            while left:
                left = left[os.write(_crashfd, left) :]
        except OSError:
            pass
