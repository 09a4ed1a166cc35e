"""`look_path`: the program that a name stands for.

Source: Go 1.27 os/exec/lp_unix.go. Tests: tests/exec/test_lookpath.py
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from gopark._runtime.base.printstring import oneline, shown
from gopark.exec._errors import DotError, Error, NotExecutableError, NotFoundError

__all__ = ("look_path",)


def _refused(path: str) -> OSError | None:
    """Why it cannot be run; None: it can. Go: findExecutable."""
    try:
        mode = os.stat(path).st_mode
    except OSError as exc:
        return exc
    except ValueError as exc:  # a NUL in it
        return OSError(str(exc))
    if stat.S_ISDIR(mode):
        return IsADirectoryError("is a directory")
    if os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    return PermissionError("permission denied")


def look_path(file: str) -> str:
    """The path of the program that is called so, looked for in $PATH if it has no slash.

    Args:
        file: The name of a program, or a path of one.
    Raises:
        NotFoundError: there is none.
        NotExecutableError: a path with a slash is none of a program.
        DotError: it was found by an entry of $PATH that is relative to the current directory. The
            error has the path.
        TypeError: `file` is no string.
    Example:
        >>> gopark.exec.look_path("sh").endswith("/sh")
        True

    Go: exec.LookPath.
    """
    if not isinstance(file, str):
        raise TypeError(f"look_path() needs a name as string, got {shown(file)}")
    if file in ("", ".", ".."):
        raise NotFoundError(f'exec: "{oneline(file)}": names no program', file)
    if "/" in file:
        exc = _refused(file)
        if exc is None:
            return file
        raise _error(file, exc)
    entries = os.environ.get("PATH")
    for folder in entries.split(":") if entries else ():  # no path has no entry, as in Go
        # An empty entry is the current directory, as for a shell.
        path = os.path.join(folder or ".", file)
        if _refused(path) is not None:
            continue
        if not os.path.isabs(path):
            raise DotError(
                f'exec: "{oneline(file)}": cannot run executable found relative to current '
                f"directory: say {shown(os.path.join('.', path))} if that is meant",
                file,
                path,
            )
        return path
    hint = apart(file)
    why = f": {hint}" if hint else ""
    raise NotFoundError(f'exec: "{oneline(file)}": executable file not found in $PATH{why}', file)


def apart(file: str) -> str:
    """For who has written a whole command line where the name of a program goes."""
    words = file.split()
    if len(words) < 2:
        return ""
    return f"the arguments are separate: command({', '.join(map(shown, words))})"


def words(args: Iterable[str]) -> list[str]:
    """The arguments of a Cmd; one string would be one argument for each letter."""
    if isinstance(args, str | bytes) or not isinstance(args, Iterable):
        raise TypeError(f"Cmd() needs a list of strings as args, got {shown(args)}")
    return list(args)


def _error(file: str, exc: OSError) -> Error:
    text = f'exec: "{oneline(file)}": {(exc.strerror or str(exc)).lower()}'
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        hint = apart(file)
        return NotFoundError(f"{text}: {hint}" if hint else text, file)
    if isinstance(exc, PermissionError | IsADirectoryError):
        return NotExecutableError(text, file)
    return Error(text, file)
