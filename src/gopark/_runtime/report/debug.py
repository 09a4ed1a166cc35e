"""The stack of the calling goroutine, with the function that asks for it.

Source: Go 1.27 runtime/debug/stack.go. Tests: tests/conformance/traceback
"""

from __future__ import annotations

import sys
from typing import Final

from gopark._runtime.base.runtime2 import callers, getg
from gopark._runtime.report.traceback import gtraceback, handled

__all__ = ("print_stack", "stack")


def stack() -> str:
    """The stack of the calling goroutine, this function included.

    In an `except` or `finally` it shows where the exception that is being handled was raised.

    Returns:
        Text as of `runtime.stack`; empty if the calling thread runs no goroutine.
    Example:
        >>> async def main():
        ...     print(gopark.debug.stack().splitlines()[1])
        >>> gopark.run(main)
        gopark.debug.stack(...)

    Go: runtime/debug.Stack.
    """
    me = getg()
    if me is None:
        return ""
    return gtraceback(me, handled(callers(sys._getframe(0))), own=_OWN)


def print_stack() -> None:
    """Print what `stack` returns to stderr.

    Example:
        >>> gopark.debug.print_stack()

    Go: runtime/debug.PrintStack.
    """
    sys.stderr.write(stack())


_OWN: Final = (stack.__code__, print_stack.__code__)  # shown, though they are gopark's
