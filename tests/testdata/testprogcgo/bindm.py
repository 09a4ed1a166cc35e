"""Which M a C thread gets: the same one as long as it lives, and after it another thread has it.

Go: testprogcgo/bindm.go, dropm.go.
"""

import threading
from collections import defaultdict
from ctypes import CFUNCTYPE, c_int, c_void_p

import gopark
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)


def goroutine_id() -> int:
    """As the header of the caller's own stack tells it; each M has one G for all callbacks."""
    return int(gopark.runtime.stack().split()[1])


THREADS, CALLS = 2, 100

ids_of: dict[int, set[int]] = defaultdict(set)
calls_of: dict[int, int] = {}
both_inside = threading.Barrier(THREADS)
local = threading.local()


@gopark.cgo.export(prototype)
def check_bind_m(thread: int) -> int:
    local.calls = getattr(local, "calls", 0) + 1
    if local.calls == 1:
        both_inside.wait()  # so that no thread has ended before the other has its M
    ids_of[thread].add(goroutine_id())
    calls_of[thread] = local.calls
    return 1


@register("EnsureBindM")
def ensure_bind_m() -> None:
    lib = library("thread")
    lib.start_thread.restype = c_void_p
    lib.join_thread.argtypes = (c_void_p,)
    jobs = [lib.start_thread(check_bind_m, n, CALLS) for n in range(THREADS)]
    assert [gopark.cgo.call(lib.join_thread, job) for job in jobs] == [CALLS] * THREADS
    assert [len(ids) for ids in ids_of.values()] == [1] * THREADS, ids_of
    assert len(set.union(*ids_of.values())) == THREADS, ids_of
    # Thread-local data of Python lives as long as the thread, too.
    assert calls_of == dict.fromkeys(range(THREADS), CALLS), calls_of
    print("OK")


@register("EnsureDropM")
def ensure_drop_m() -> None:
    lib = library("thread")
    seen = []

    def check_m(_: int) -> int:
        seen.append((goroutine_id(), getattr(local, "left_behind", None)))
        local.left_behind = "by a thread that has ended"
        return 0

    callback = prototype(gopark.cgo.callback(check_m))
    for _ in range(3):
        gopark.cgo.call(lib.call_on_new_thread, callback, 0)
    assert seen == [(seen[0][0], None)] * 3, seen
    print("OK")
