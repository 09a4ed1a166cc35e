"""The program it all started with: a spare M is seen while C calls in, and at no other time.

The same with cffi, in both of its modes, and where no `run` is active.

Go: testprogcgo/numgoroutine.go.
"""

from ctypes import CFUNCTYPE, c_int

import gopark
from registry import library, register


def check(label: str, want: int) -> str:
    """Count in both ways; the dump, for a closer look."""
    got = gopark.runtime.num_goroutine()
    assert got == want, f"{label}: num_goroutine() is {got}, want {want}"
    dump = gopark.runtime.stack(all=True)
    got = dump.count("goroutine ")
    assert got == want, f"{label}: {got} goroutines in the dump, want {want}\n{dump}"
    return dump


in_callback: list[str] = []


def callback_num_goroutine(goroutines: int) -> int:
    in_callback.append(check("in the callback", goroutines))
    return goroutines


def seen_in_dump() -> None:
    (dump,) = in_callback
    assert "callback_num_goroutine" in dump, dump


@register("NumGoroutine")
def num_goroutine() -> None:
    lib = library("thread")
    exported = gopark.cgo.export(CFUNCTYPE(c_int, c_int))(callback_num_goroutine)
    check("before", 1)
    assert gopark.cgo.call(lib.call_on_new_thread, exported, 2) == 2
    seen_in_dump()
    check("after", 1)
    print("OK")


@register("NumGoroutineNoRun", run=False)
def num_goroutine_no_run() -> None:
    lib = library("thread")
    exported = gopark.cgo.export(CFUNCTYPE(c_int, c_int))(callback_num_goroutine)
    check("before", 0)
    assert lib.call_on_new_thread(exported, 1) == 1
    seen_in_dump()
    check("after", 0)
    print("OK")


@register("NumGoroutineCffiABI")
def num_goroutine_cffi_abi() -> None:
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("int call_on_new_thread(int (*fn)(int), int arg);")
    lib = ffi.dlopen(library("thread")._name)
    callback = ffi.callback("int(int)", gopark.cgo.callback(callback_num_goroutine))
    check("before", 1)
    assert gopark.cgo.call(lib.call_on_new_thread, callback, 2) == 2
    seen_in_dump()
    check("after", 1)
    print("OK")


@register("NumGoroutineCffiAPI")
def num_goroutine_cffi_api() -> None:
    import testcffi  # built by the harness

    testcffi.ffi.def_extern("from_c")(gopark.cgo.callback(callback_num_goroutine))
    check("before", 1)
    assert gopark.cgo.call(testcffi.lib.call_from_c_thread, 2) == 2
    seen_in_dump()
    check("after", 1)
    print("OK")
