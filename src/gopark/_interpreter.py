"""Refuses to be imported in a sub-interpreter; the first thing that the package imports.

There is one runtime in a process: signals, what C calls back on threads of its own, forks and the
end of the process are the main interpreter's alone. Some of the modules that this takes cannot
be imported elsewhere (`faulthandler`, and `ctypes` before 3.13), which says nothing about why.
"""

from __future__ import annotations

import _thread

__all__ = ()


def _main() -> bool:
    """Whether this is the main interpreter."""
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return bool(is_main())
    try:  # before CPython 3.12
        import _xxsubinterpreters as interpreters  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return True  # a Python without any
    return bool(interpreters.get_current() == interpreters.get_main())


if not _main():
    raise ImportError(
        "gopark works in the main interpreter only: signals, forks and callbacks from C belong "
        "to the whole process; run goroutines there, or in a process of their own",
        name="gopark",
    )
