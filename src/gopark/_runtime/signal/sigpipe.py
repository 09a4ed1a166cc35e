"""The pipe that signals come through, from C's half of their handlers to who hands them out.

Source: none. Tests: tests/runtime/test_sigqueue.py
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

__all__ = ("MARK", "mark", "newpipe", "pipes", "takepipe")

MARK: Final = b"\0"  # in the pipe: a request waits
_STDERR: Final = 2
_PIPE: Final = 1 << 20  # bytes that the pipe holds if the system allows; 64 KiB else

# Pipes are used again and never closed. A signal handler that C has begun on another thread
# may still write to the one of a program that has ended, and not into a file that has its
# number by then.
pipes: Final[deque[tuple[int, int]]] = deque()


def newpipe() -> tuple[int, int]:
    """A pipe by no number of a closed standard stream: who prints there would send signals."""
    low: list[int] = []
    try:
        while True:
            r, w = os.pipe()
            if r > _STDERR:
                return r, w
            low += (r, w)
    finally:
        for fd in low:
            os.close(fd)


def takepipe() -> tuple[int, int]:
    """An empty pipe that blocks the reader and no writer."""
    try:
        r, w = pipes.pop()
    except IndexError:
        r, w = newpipe()
        os.set_blocking(w, False)
        _enlarge(w)
    os.set_blocking(r, False)
    try:
        while os.read(r, _PIPE):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(r, True)
    return r, w


def _enlarge(fd: int) -> None:
    """Room for more signals than anybody sends while the interpreter is held up."""
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE)
    except (ImportError, AttributeError, OSError):
        pass


def mark(fd: int) -> None:
    while True:
        try:
            os.write(fd, MARK)
            return
        except BlockingIOError:
            time.sleep(0.001)  # full: the loop is at it
