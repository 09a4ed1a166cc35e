"""The C that these tests share, reached by ctypes and by cffi."""

from __future__ import annotations

import ctypes
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

import gopark
import harness

UNARY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)

CDEF = """
    int call_many(int (*fn)(int), int calls);
    int call_deep(int (*fn)(int), int arg);
    int same_thread(int (*fn)(int));
    int sleep_and_call(int (*fn)(int), int microseconds);
    int call_on_threads(int (*fn)(int), int threads, int calls);
    int cancel_thread(int (*fn)(int));
    int fail_with(int n);
    int fail_after(int (*fn)(int), int n);
"""


@pytest.fixture(scope="session")
def lib(build_folder: pathlib.Path) -> ctypes.CDLL:
    """`cgotest.c`, built once for all."""
    folder = harness.build(harness.TESTDATA / "testprogcgo" / "cgotest.c")
    lib = ctypes.CDLL(str(folder / "cgotest.so"), use_errno=True)
    lib.call_with_handle.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    lib.get_environment.restype = ctypes.c_char_p
    lib.start_in_and_out.restype = ctypes.c_ulong
    return lib


def _returns(fn: Callable[[int], Any]) -> Callable[..., Any]:
    """What returns nothing gives C a zero."""
    if inspect.iscoroutinefunction(fn):

        async def asyncly(n: int) -> Any:
            return await fn(n) or 0

        return asyncly
    return lambda n: fn(n) or 0


class Binding:
    """C functions that call a Python function of one number back."""

    def __init__(
        self, lib: Any, pointer: Callable[..., Any], null: Any, errno: Callable[[], int]
    ) -> None:
        self.lib, self.pointer, self.null, self.errno = lib, pointer, null, errno

    def call(self, name: str, fn: Callable[[int], Any], *args: Any) -> Any:
        """Call `name(fn, *args)` of the library, in a goroutine as a C call that may block."""
        pointer = self.pointer(gopark.cgo.callback(_returns(fn)))
        return gopark.cgo.call(getattr(self.lib, name), pointer, *args)

    def nested(self, fn: Callable[[], Any]) -> None:
        """Into C and back into `fn` on the same thread."""
        self.call("call_deep", lambda n: fn() and None, 0)


@pytest.fixture(params=["ctypes", "cffi"])
def binding(request: pytest.FixtureRequest, lib: ctypes.CDLL) -> Binding:
    """The test runs with ctypes and with cffi."""
    if request.param == "ctypes":
        return Binding(lib, UNARY, None, ctypes.get_errno)
    ffi: Any = pytest.importorskip("cffi", reason="cffi is not installed").FFI()
    ffi.cdef(CDEF)
    return Binding(
        ffi.dlopen(lib._name),
        lambda fn: ffi.callback("int(int)", fn),
        ffi.NULL,
        lambda: ffi.errno,
    )


@pytest.fixture(scope="session")
def unary() -> Callable[..., Any]:
    """A C function pointer of a Python function of one number, by ctypes."""
    return lambda fn: UNARY(gopark.cgo.callback(_returns(fn)))
