"""A small C library that calls back from threads of its own, built when it is needed.

It knows nothing of Python: it starts a POSIX thread, calls the function pointer it was given,
and joins the thread. The library is built in a temporary directory, and removed once loaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile

from benchmarks.measure import SkipWorkload

__all__ = ("CALLBACK", "SOURCE", "load")

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)

SOURCE = r"""
#include <pthread.h>

typedef int (*callback)(int);

struct job { callback fn; int calls; long sum; };

static void *work(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < job->calls; i++)
        job->sum += job->fn(i);
    return 0;
}

/* One thread after the other, each with that many calls. The sum of the results, or -1. */
long threads(callback fn, int threads, int calls)
{
    struct job job = { fn, calls, 0 };
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, 0, work, &job))
            return -1;
        pthread_join(thread, 0);
    }
    return job.sum;
}
"""


def load() -> ctypes.CDLL:
    """The library; `threads(fn, nthreads, ncalls)` is its one function."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise SkipWorkload("no C compiler found (cc, gcc or $CC)")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "callbacks.c")
        library = os.path.join(folder, "callbacks.so")
        with open(source, "w", encoding="ascii") as file:
            file.write(SOURCE)
        command = [compiler, "-O2", "-shared", "-fPIC", "-pthread", source, "-o", library]
        try:
            built = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as exc:
            raise SkipWorkload(f"the C compiler does not run: {exc.strerror}") from None
        if built.returncode:
            first = built.stderr.strip().splitlines() or ["no message"]
            raise SkipWorkload(f"the C compiler failed: {first[-1]}")
        lib = ctypes.CDLL(library)
    lib.threads.argtypes = (CALLBACK, ctypes.c_int, ctypes.c_int)
    lib.threads.restype = ctypes.c_long
    return lib
