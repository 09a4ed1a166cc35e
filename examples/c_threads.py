"""A C thread calls Python, and for as long as the call lasts it is a goroutine.

This is the program that gopark grew from. Threads are made by libc's own `pthread_create`,
so nothing has to be compiled. The callback counts the goroutines and takes a dump of all of
them: it finds itself in both. When it has returned to C, nothing of it is left in either.

The second half is about cost. One C thread calls a Python function many times, once through
plain ctypes and once through gopark. To have libc alone call back that often, a stream is
read whose bytes come from a Python function (`fopencookie`), by a libc function that fits as
the start of a thread and reads until the end (`getmntent`).

    python examples/c_threads.py
"""

from __future__ import annotations

import ctypes
import sys
import textwrap
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_ssize_t, c_ulong, c_void_p

import gopark

CALLS = 10_000
ROUNDS = 3

# void *start(void *arg), and what a stream of fopencookie asks for its bytes. C passes that
# one three arguments as well. They are not looked at, so no time goes into their conversion.
START = CFUNCTYPE(c_void_p, c_void_p)
READ = CFUNCTYPE(c_ssize_t)


class CookieFunctions(ctypes.Structure):
    """cookie_io_functions_t of stdio.h."""

    _fields_ = (("read", READ), ("write", c_void_p), ("seek", c_void_p), ("close", c_void_p))


libc = ctypes.CDLL(None)
try:
    libc.pthread_create.argtypes = (POINTER(c_ulong), c_void_p, c_void_p, c_void_p)
    libc.pthread_join.argtypes = (c_ulong, c_void_p)
    libc.fopencookie.argtypes = (c_void_p, c_char_p, CookieFunctions)
    libc.fopencookie.restype = c_void_p
    libc.setbuf.argtypes = (c_void_p, c_void_p)
    libc.ungetc.argtypes = (c_int, c_void_p)
    libc.fclose.argtypes = (c_void_p,)
except AttributeError as missing:
    sys.exit(f"this example needs the C library of Linux ({missing})")


def run_c_thread(start: object, arg: int | None = None) -> None:
    """Have C make a thread that runs `start(arg)`, and wait until it has ended."""

    def work() -> None:
        thread = c_ulong()
        error = libc.pthread_create(ctypes.byref(thread), None, ctypes.cast(start, c_void_p), arg)  # type: ignore[arg-type]
        if error:
            raise OSError(error, "pthread_create")
        libc.pthread_join(thread, None)

    # All of it is C that may block; `cgo.call` lets other goroutines run meanwhile.
    gopark.cgo.call(work)


# --- counted and seen, exactly ---------------------------------------------------------------

inside: dict[str, int | str] = {}


@gopark.cgo.export(START)
def on_c_thread(arg: int | None) -> None:
    """Called by C, on a thread that Python did not make."""
    inside["count"] = gopark.runtime.num_goroutine()
    inside["dump"] = gopark.runtime.stack(all=True)


# --- what it costs ---------------------------------------------------------------------------


def measure(wrap: Callable[[Callable[[], int]], Callable[[], int]]) -> float:
    """Nanoseconds for each of CALLS calls from one C thread into a small Python function."""
    left = CALLS

    def read() -> int:
        """Say that there is one more byte, or that the stream is at its end."""
        nonlocal left
        left -= 1
        return left > 0

    functions = CookieFunctions(read=READ(wrap(read)))
    stream = libc.fopencookie(None, b"r", functions)
    libc.setbuf(stream, None)  # no buffer: one call for each byte
    libc.ungetc(ord("#"), stream)  # all that follows is a comment, which the reader skips
    began = time.perf_counter_ns()
    run_c_thread(libc.getmntent, stream)
    ended = time.perf_counter_ns()
    libc.fclose(stream)
    if left:
        raise RuntimeError(f"the C library left {left} calls out")
    return (ended - began) / CALLS


# --- all of it -------------------------------------------------------------------------------


async def main() -> None:
    print("goroutines before the C thread:  ", gopark.runtime.num_goroutine())
    run_c_thread(on_c_thread)
    print("counted inside its callback:     ", inside["count"])
    print("after it has returned to C:      ", gopark.runtime.num_goroutine())

    print("\nThe dump that the callback took of all goroutines:\n")
    print(textwrap.indent(str(inside["dump"]), "    "))

    print(f"The cost of one callback, from a C thread that makes {CALLS:,} of them:\n")
    rounds = [(measure(lambda read: read), measure(gopark.cgo.callback)) for _ in range(ROUNDS)]
    plain, bound = map(min, zip(*rounds, strict=True))  # the least disturbed round of each
    print(f"    plain ctypes   {plain:>8,.0f} ns")
    print(f"    gopark         {bound:>8,.0f} ns   {plain / bound:.0f} times cheaper")


if __name__ == "__main__":
    gopark.run(main)
