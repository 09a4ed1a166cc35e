"""The library of cthreads.py as a cffi extension in API mode, the way its documentation prefers.

C calls an `extern "Python"` function. The extension is compiled once for each interpreter and
kept in `build/`; that takes a C compiler, setuptools and Python's headers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cthreads import SOURCE
from benchmarks.measure import SkipWorkload
from benchmarks.peers import need

__all__ = ("build", "load")

_NAME = "_gopark_bench_callbacks"
_CACHE = Path(__file__).resolve().parent.parent / "build" / "benchmarks"


def build() -> Path:
    """Where the extension is; compiles it if it is not there."""
    library = _CACHE / (_NAME + str(sysconfig.get_config_var("EXT_SUFFIX")))
    if library.exists():
        return library
    ffi = need("cffi").FFI()
    ffi.cdef('extern "Python" int called(int); long run(int threads, int calls);')
    source = "static int called(int);\n" + SOURCE
    source += "static long run(int n, int calls) { return threads(called, n, calls); }\n"
    ffi.set_source(_NAME, source, libraries=["pthread"], extra_compile_args=["-O2"])
    _CACHE.mkdir(parents=True, exist_ok=True)
    noise = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                built = ffi.compile(tmpdir=folder)
        except Exception as exc:  # setuptools or the compiler, each with errors of its own
            raise SkipWorkload(f"cffi cannot build here: {exc}") from None
        shutil.copy(built, library.with_suffix(".new"))
        library.with_suffix(".new").replace(library)
    return library


def load(called: Callable[[int], int]) -> Callable[[int, int], int]:
    """`run(threads, calls)` of the library, which calls that function."""
    spec = importlib.util.spec_from_file_location(_NAME, build())
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ffi.def_extern(name="called")(called)
    run: Callable[[int, int], int] = module.lib.run
    return run
